"""What all platforms behind HTTP share: a vendor's module has endpoints and a mapping, and nothing else.

    class CrmBackend(HttpBackend):
        capabilities = Capabilities(...)
        known_options = {**HttpBackend.known_options, **TOPICS, "KEY": Option(str, "the API key")}
        base_url = "https://api.crm.example/v2"

        def headers(self):
            return {"Authorization": f"Bearer {self.options['KEY']}"}

        def plan(self, target, since):
            ...

        def send(self, batch):
            answer = self.call("POST", "/contacts/batch", json={"contacts": [item.payload for item in batch]})
            errors = {item["index"]: Verdict(Outcome.REFUSED, word(item["code"])) for item in answer.json()["errors"]}
            return self.by_index(batch, errors, unsaid=Verdict(Outcome.DONE))

Imports no HTTP library: the web process makes backends to read their capabilities.
"""

from __future__ import annotations

import json as jsonlib
import time
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import replace
from functools import cached_property
from math import isnan
from typing import TYPE_CHECKING, Any, ClassVar
from urllib.parse import quote, urlencode

from django.core.exceptions import ImproperlyConfigured

from ..values import Operation, Outcome, Problem, Result
from .answers import MAX_RETRY_AFTER, Answer, TransportError, Verdict, classify, parse_reset
from .base import Option, PlatformError
from .mapping import Mapped

if TYPE_CHECKING:
    from .transport import Transport

#: For the `known_options` of a platform that people host themselves.
OWN_NETWORK: Mapping[str, Option] = {
    "OWN_NETWORK": Option(
        bool,
        "it stands on this machine or in your private network: such addresses, plain http and any port will do",
        default=False,
    ),
}
#: A call must end well within the lease of what it delivers.
MAX_TIMEOUT = 30

NOTHING_SAID = Verdict(Outcome.RETRY, "no-answer")
_SAME_KEY = Verdict(Outcome.SPLIT, "same-key")
_UNMATCHED = Verdict(Outcome.SPLIT, "unmatched-error")


class HttpBackend(Mapped):
    """Subclass it and write `plan` and `send`; override `classify` for what the platform says in its own way."""

    known_options: ClassVar[Mapping[str, Option]] = {
        "TIMEOUT": Option((int, float), "seconds for a whole call", default=10),
    }

    #: The largest answer that is read (bytes): for a platform that answers a batch at length.
    max_answer: ClassVar[int] = 64 * 1024

    def __init__(self, alias: str, options: Mapping[str, Any] | None = None) -> None:
        super().__init__(alias, options)
        if not 0 < self.options.get("TIMEOUT", 1) <= MAX_TIMEOUT:
            raise ImproperlyConfigured(
                f'WAGTAIL_PREFS["BACKENDS"]["{alias}"]["OPTIONS"]["TIMEOUT"] must be more than 0 and at most {MAX_TIMEOUT}.'
            )

    # --- for a vendor's module to override ---------------------------------------------------------------------------

    @property
    def base_url(self) -> str:
        """Where the API stands. A plain attribute where it is the same for everybody."""
        return ""

    def headers(self) -> Mapping[str, str]:
        """What goes with every call: credentials, the version of the API."""
        return {}

    def send(self, batch: Sequence[Operation]) -> Sequence[Result]:
        """Say operations of one kind, in one call. Raise PlatformError (`call` does) where the call as a whole failed.

        An operation without a result counts as not said. See `by_index`, `by_key`, `one_by_one`.
        """
        raise NotImplementedError

    def classify(self, answer: Answer) -> tuple[Outcome, str]:
        """What an answer means, and a word for it. A 2xx says only that the call was taken: `send` reads the body."""
        return classify(answer)

    def refresh(self) -> bool:
        """The platform said 401: get new credentials. Returns whether there are some, then the call is made again, once."""
        return False

    # --- for a vendor's module to use --------------------------------------------------------------------------------

    @staticmethod
    def path(*segments: str | int) -> str:
        """`/lists/17/members/anna%40example.org` of its parts, each encoded whole. Raises PlatformError.

        An empty part would name the collection instead of an item of it, and dots another one.
        """
        parts = [quote(str(segment), safe="", errors="replace") for segment in segments]
        if any(part in {"", ".", ".."} for part in parts):
            raise PlatformError(Outcome.REFUSED, "bad-identifier")
        return "".join(f"/{part}" for part in parts)

    def call(
        self,
        method: str,
        path: str,
        *,
        json: Any = None,
        form: Mapping[str, Any] | None = None,
        query: Mapping[str, Any] | None = None,
        accept: Collection[int] = (),
    ) -> Answer:
        """Make a call and give the answer back if it is a good one, or if its status is in `accept`.

        `path` comes from `self.path` or is written out. `json` or `form` is the body; lists in `form` and `query` repeat
        their key. Everything else raises PlatformError: no answer, and what `classify` calls an error.
        """
        answer = self._exchange(method, path, json=json, form=form, query=query)
        if answer.status == 401 and 401 not in accept and self.refresh():
            answer = self._exchange(method, path, json=json, form=form, query=query)
        return answer if answer.status in accept else self.judged(answer)

    def judged(self, answer: Answer) -> Answer:
        """The answer, if it is a good one. Raises PlatformError for what `classify` calls an error."""
        outcome, code = self.classify(answer)
        if outcome is not Outcome.DONE:
            raise PlatformError(outcome, code, self.retry_after(answer, outcome))
        return answer

    def retry_after(self, answer: Answer, outcome: Outcome) -> float | None:
        """How many seconds to wait: Retry-After; after a rate limit also what other headers say of its end."""
        asked = answer.retry_after
        if asked is not None or outcome is not Outcome.RATE_LIMITED:
            return asked
        now = time.time()
        for name in ("x-sib-ratelimit-reset", "x-ratelimit-reset", "ratelimit-reset"):
            if (asked := parse_reset(answer.headers.get(name), now)) is not None:
                return asked
        return None

    def attempt(self, key: str, function: Callable[[], Result | None]) -> Result:
        """The result of something, where an error is a result, too; None is done. For `erase`."""
        try:
            return function() or Result(key, Outcome.DONE)
        except PlatformError as error:
            return Result(key, error.outcome, error.code, error.retry_after)

    def one_by_one(
        self, batch: Sequence[Operation], function: Callable[[Operation], Result | None]
    ) -> list[Result]:
        """A call for each, where the platform takes one at a time. `function` makes it; None is done.

        When the platform does not answer, or wants to be left alone, the rest is not said: it fails in the same way.
        """
        results: list[Result] = []
        stopped: PlatformError | None = None
        for operation in batch:
            if stopped is None:
                try:
                    results.append(function(operation) or Result(operation.key, Outcome.DONE))
                    continue
                except PlatformError as error:
                    results.append(_failed(operation, error))
                    if isinstance(error, TransportError) or error.outcome in _FOR_ALL:
                        stopped = error
            else:
                results.append(_failed(operation, stopped))
        return results

    def by_index(
        self, batch: Sequence[Operation], said: Mapping[int, Verdict], *, unsaid: Verdict = NOTHING_SAID
    ) -> list[Result]:
        """Results of an answer that speaks of items by their position in the call. See `by_key`."""
        return _matched(dict(enumerate(batch)), said, unsaid)

    def by_key(
        self,
        batch: Sequence[Operation],
        key: Callable[[Operation], Any],
        said: Mapping[Any, Verdict],
        *,
        unsaid: Verdict = NOTHING_SAID,
    ) -> list[Result]:
        """Results of an answer that speaks of items by a key of theirs: an address, a trace id.

        `unsaid` is what of an item the answer says nothing about: `Verdict(Outcome.DONE)` where it names errors only.
        An error that belongs to none of ours makes those of them uncertain: then they are said again in smaller calls.
        So are all where two have the same key: contacts of two audiences may share an address.
        """
        ours = {key(operation): operation for operation in batch}
        if len(ours) < len(batch):
            return [_result(operation, _SAME_KEY) for operation in batch]
        return _matched(ours, said, unsaid)

    def check(self) -> list[Problem]:
        """Whether the address will do. A vendor's module adds to it what only the platform knows."""
        from .transport import check_url  # noqa: PLC0415 - loads `requests`

        try:
            check_url(self.base_url, own_network=self.transport.own_network)
        except TransportError:
            text = f'The address of "{self.alias}" must be https, on port 443, without a user.'
            if "OWN_NETWORK" in self.known_options:
                text = f"{text} OWN_NETWORK lets http and other ports pass."
            return [Problem("error", text)]
        return []

    # --- what the engine calls ---------------------------------------------------------------------------------------

    def execute(self, batch: Sequence[Operation]) -> list[Result]:
        """`send`, and what is left to say: each operation has one result, and an error of the call is everybody's.

        A call that is refused as a whole is halved. An operation whose payload has `misfits` (`Mapping.misfits`) is
        refused by the name of the first when all else went well, unless it restricts: a no does not wait for them.
        """
        try:
            results = {result.key: result for result in self.send(batch)}
        except PlatformError as error:
            many = len(batch) > 1
            if many and (error.outcome is Outcome.REFUSED or error.code in _TOO_MUCH):
                error = PlatformError(Outcome.SPLIT, error.code)
            return [_failed(operation, error) for operation in batch]
        return [
            _checked(operation, results.get(operation.key) or _result(operation, NOTHING_SAID))
            for operation in batch
        ]

    # --- how -----------------------------------------------------------------------------------------------------

    @cached_property
    def transport(self) -> Transport:
        from .transport import Transport  # noqa: PLC0415 - loads `requests`, which only a worker needs

        return Transport(
            timeout=self.options.get("TIMEOUT", 10),
            own_network=self.options.get("OWN_NETWORK", False),
            max_body=self.max_answer,
        )

    def _exchange(
        self,
        method: str,
        path: str,
        *,
        json: Any,
        form: Mapping[str, Any] | None,
        query: Mapping[str, Any] | None,
    ) -> Answer:
        if not path.startswith("/"):
            raise ValueError("a path begins with a slash")
        url = f"{self.base_url.rstrip('/')}{path}"
        if query:
            url = f"{url}?{urlencode(query, doseq=True, errors='replace')}"
        headers = {"Accept": "application/json", **self.headers()}
        body = b""
        if json is not None:
            headers = {"Content-Type": "application/json", **headers}
            body = jsonlib.dumps(json, ensure_ascii=False, separators=(",", ":"), allow_nan=False).encode(
                errors="replace"
            )
        elif form is not None:
            headers = {"Content-Type": "application/x-www-form-urlencoded", **headers}
            body = urlencode(form, doseq=True, errors="replace").encode()
        return self.transport.send(method, url, body=body, headers=headers)


#: After these nobody else's operation would fare better in the same minute.
_FOR_ALL = {Outcome.RATE_LIMITED, Outcome.MISCONFIGURED}
#: The answer about so many is too long for us.
_TOO_MUCH = {"body-too-large"}
_LONGEST_ID, _LONGEST_CODE = 255, 128


def _failed(operation: Operation, error: PlatformError) -> Result:
    return Result(operation.key, error.outcome, error.code, error.retry_after)


def _result(operation: Operation, verdict: Verdict) -> Result:
    return Result(operation.key, verdict.outcome, verdict.code, verdict.retry_after, verdict.remote_id)


def _matched(ours: Mapping[Any, Operation], said: Mapping[Any, Verdict], unsaid: Verdict) -> list[Result]:
    strangers = [
        verdict for key, verdict in said.items() if key not in ours and verdict.outcome is not Outcome.DONE
    ]
    if strangers and unsaid.outcome is Outcome.DONE:
        unsaid = strangers[0] if len(ours) == 1 else _UNMATCHED
    return [_result(operation, said.get(key, unsaid)) for key, operation in ours.items()]


def _checked(operation: Operation, result: Result) -> Result:
    """The result without what a platform's own words could break when it is noted, and with the misfits it left out."""
    remote_id, code = str(result.remote_id or ""), str(result.code or "")
    wait = result.retry_after
    result = replace(
        result,
        code=code[:_LONGEST_CODE] if code.isprintable() else "unreadable",
        remote_id=remote_id if remote_id.isprintable() and len(remote_id) <= _LONGEST_ID else "",
        retry_after=None if wait is None or isnan(wait) else min(max(wait, 0.0), MAX_RETRY_AFTER),
    )
    misfits = operation.payload.get("misfits")
    if not misfits or operation.restricts or result.outcome is not Outcome.DONE:
        return result
    return replace(result, outcome=Outcome.REFUSED, code=f"attribute-{misfits[0]}"[:_LONGEST_CODE])
