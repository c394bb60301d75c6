"""Customer.io over its Track and App APIs: a topic is one of the subscription centre (docs/how-to/connect-customerio.md).

Written from public documentation and held against a contract of our own (example_site/platforms/contracts/customerio.yaml);
not tried against the platform itself.

Preferences are written in dot notation, one topic each: an object in their place would replace all that she ever chose.
People are named in the body of a batch and never in a path, where a plus sign that is not encoded finds nobody, with 200.
"""

from __future__ import annotations

import json
import time
from base64 import b64encode
from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import UTC, datetime
from functools import cached_property
from typing import Any, ClassVar

from django.http import HttpRequest

from ..values import (
    SUBSCRIBED,
    UNSUBSCRIBED,
    Capabilities,
    ChangeBatch,
    Identifiers,
    Inbound,
    InboundEvent,
    Json,
    Key,
    Operation,
    Outcome,
    PauseStyle,
    Problem,
    Rate,
    ReadBack,
    RemoteState,
    Result,
    Support,
    Target,
    TopicModel,
)
from .answers import Answer, Verdict, word
from .base import Option, PlatformError
from .customerio_inbound import events
from .desired import is_out
from .fields import RECENT, FieldsBackend
from .http import OWN_NETWORK, HttpBackend

#: People in a call: documented are bytes, less than 500 KB for a batch and 32 KB for a person.
BATCH, BATCH_BYTES = 500, 400_000
#: The longest text that an attribute holds (bytes).
LONGEST = 1000
_TOPIC = "cio_subscription_preferences.topics."
_REGIONS = {
    "us": ("https://track.customer.io", "https://api.customer.io"),
    "eu": ("https://track-eu.customer.io", "https://api-eu.customer.io"),
}
_NOT_THERE = 404


#: The moment of a yes of which nobody knows when it was said: anything that stands there is newer (2001-09-09).
LONG_AGO = 1_000_000_000


class CustomerioBackend(FieldsBackend):
    """One workspace. Topics are those of its subscription centre, `unsubscribed` is its word for leaving everything."""

    capabilities = Capabilities(
        identifiers=("email", "external_id"),
        choice=Support.ENFORCES,  # a message of a topic goes to nobody who said no to it
        opt_out=Support.ENFORCES,
        frequency=Support.STORES,
        pause=Support.STORES,
        pause_style=PauseStyle.ATTRIBUTE,
        attributes=Support.STORES,
        channels=("email",),
        topics=TopicModel.SUBSCRIPTION,
        batch_size=BATCH,
        batch_bytes=BATCH_BYTES,
        rate=Rate(95, 1.0, burst=3),  # of 100, so that no two workers meet more in any second
        inbound=Inbound.SIGNED,
        echoes=True,
        read_back=ReadBack.EVENTUAL,
        erases=True,
    )
    known_options: ClassVar[Mapping[str, Option]] = {
        **FieldsBackend.known_options,
        "SITE_ID": Option(str, "the site id of the Track API"),
        "API_KEY": Option(str, "the API key of the Track API"),
        "APP_KEY": Option(str, "a key of the App API, to read with"),
        "REGION": Option(str, "us or eu: where your account's data stands", default="us"),
        "IDENTIFY_BY": Option(
            str, "email, or id: our external id is the person's id over there", default="email"
        ),
        "SIGNING_KEYS": Option(
            (list, tuple), "the signing key of the reporting webhook; two while it changes", default=()
        ),
        "APP_URL": Option(str, "another address than the App API's own: a proxy, a test", default=""),
    }

    def __init__(self, alias: str, options: Mapping[str, Any] | None = None) -> None:
        super().__init__(alias, options)
        if self.options["REGION"] not in _REGIONS:
            raise self._wrong("REGION", "is us or eu")
        if self.options["IDENTIFY_BY"] not in {"email", "id"}:
            raise self._wrong("IDENTIFY_BY", "is email or id")
        if not all(isinstance(key, str) and key for key in self.options["SIGNING_KEYS"]):
            raise self._wrong("SIGNING_KEYS", "must be a list of texts")
        for remote in self.mapping.pairs().values():
            if not remote.isascii() or not remote.removeprefix("topic_").isdigit():
                raise self._wrong("TOPICS", f"names topics by their ids, such as topic_1 or 1, not {remote}")
        if not self.options["SIGNING_KEYS"]:
            # Without a key nothing that comes in can be told from what somebody made up.
            self.capabilities = replace(self.capabilities, inbound=Inbound.NONE)

    @property
    def base_url(self) -> str:
        url: str = self.options["URL"] or _REGIONS[self.options["REGION"]][0]
        return url

    def headers(self) -> Mapping[str, str]:
        credentials = f"{self.options['SITE_ID']}:{self.options['API_KEY']}".encode()
        return {"Authorization": f"Basic {b64encode(credentials).decode()}"}

    @cached_property
    def app(self) -> _AppApi:
        """The API to read by, on another host with a key of its own."""
        options = self.options
        url = options["APP_URL"] or options["URL"] or _REGIONS[options["REGION"]][1]
        return _AppApi(self.alias, url, options["APP_KEY"], options["TIMEOUT"], own=options["OWN_NETWORK"])

    # --- plan --------------------------------------------------------------------------------------------------------

    def plan(self, target: Target, since: Sequence[ChangeBatch]) -> list[Operation]:
        """Old addresses leave; then what she leaves, what she joins, and her fields."""
        operations = [
            self._operation(target, "former", {"email": former}, {"unsubscribed": True}, number=number)
            for number, former in enumerate(self._former(target))
        ]
        who = self._who(target.identifiers)
        if not who:
            return operations
        told = self.heard(target, since)
        # Her address goes there for the first time. Where another person has it already, Customer.io answers 200 and keeps
        # it there, and all that we say reaches a person without an address: so it is looked up.
        first = self.stays(target) and bool(target.identifiers.email) and bool(target.retired or told < 1)
        moving = {"look": True} if first else {}
        yeses, noes = self.yeses(target, since), self.noes(target, since)
        if is_out(target.state):
            if told < target.state.version:
                left = dict.fromkeys(map(_path, sorted(self.refusals(target).values())), False)
                operations.append(
                    self._operation(target, "opt-out", who, {"unsubscribed": True, **left}, **moving)
                )
            return operations
        if noes:
            left = dict.fromkeys(map(_path, sorted(noes.values())), False)
            operations.append(self._operation(target, "leave", who, left, **moving))
        # Whom it was told of before it may have been told a no: then it is looked up whether the yes stands.
        again = {"look": True} if told >= 1 else moving
        for number, (given, topics) in enumerate(self._by_moment(target, since, yeses)):
            joined: Json = {**dict.fromkeys(map(_path, topics), True), "unsubscribed": False}
            operations.append(
                self._operation(target, "join", who, joined, number=number, given=given, **again)
            )
        values, misfits = self._values(target, since)
        if first:
            # Her address is a field of hers then, and moves with her.
            values = {"email": target.identifiers.email, **values}
        if values or misfits:
            payload: Json = {**moving, "misfits": misfits} if misfits else moving
            operations.append(self._operation(target, "profile", who, values, **payload))
        return operations

    def _by_moment(
        self, target: Target, since: Sequence[ChangeBatch], yeses: Mapping[Key, str]
    ) -> list[tuple[int, list[str]]]:
        """(when she said so, in seconds since 1970, 0 unknown; topics), the oldest first: each call has one moment."""
        found: dict[int, list[str]] = {}
        for key, remote in sorted(yeses.items()):
            at = self.given_at(target, since, key)
            found.setdefault(int(at.timestamp()) if at else 0, []).append(remote)
        return sorted(found.items())

    def _operation(
        self, target: Target, kind: str, who: Json, attributes: Json, number: int = 0, **more: Any
    ) -> Operation:
        state = target.state
        payload = {"who": who, "attributes": attributes, **more}
        key = self.key(target, f"{kind}-{number}" if number else kind)
        restricts = kind in {"former", "opt-out", "leave"}
        return Operation(key, state.id, state.version, kind, payload, restricts)

    def _who(self, identifiers: Identifiers) -> Json:
        if self.options["IDENTIFY_BY"] == "id" and identifiers.external_id:
            return {"id": identifiers.external_id}
        return {"email": identifiers.email} if identifiers.email else {}

    def stays(self, target: Target) -> bool:
        return "id" in self._who(target.identifiers)

    def _former(self, target: Target) -> list[str]:
        """Addresses that are no longer hers. Known by her id she is the same person over there, and her address moves."""
        if self.stays(target):
            return []
        now = target.identifiers.email.lower()
        return sorted({each.email for each in target.retired if each.email and each.email.lower() != now})

    def _values(self, target: Target, since: Sequence[ChangeBatch]) -> tuple[Json, list[str]]:
        """Attributes are texts, numbers and truths: a list becomes a text. What she took back is emptied."""
        misfits = list(self.mapping.misfits(target))
        values: Json = {}
        names = {remote: name for name, remote in self.mapping.attribute_names().items()}
        for field, value in self.field_values(target, since).items():
            plain = ", ".join(map(str, value)) if isinstance(value, list) else value
            if isinstance(plain, str) and len(plain.encode(errors="replace")) > LONGEST:
                misfits.append(names.get(field, field))
                continue
            values[field] = "" if plain is None else plain
        return values, misfits

    def pause_value(self, until: datetime, day: str) -> int:
        """Seconds since 1970: what a segment here compares."""
        return int(until.timestamp())

    def parse_pause(self, value: Any) -> datetime | None:
        try:
            return datetime.fromtimestamp(int(value), UTC)
        except (TypeError, ValueError, OverflowError, OSError):
            return None

    # --- execute -----------------------------------------------------------------------------------------------------

    def send(self, batch: Sequence[Operation]) -> list[Result]:
        people = [
            {
                "type": "person",
                "action": "identify",
                "identifiers": each.payload["who"],
                "attributes": {**each.payload["attributes"], **_stamp(each)},
            }
            for each in batch
        ]
        results = self._verdicts(batch, self.call("POST", "/api/v2/batch", json={"batch": people}))
        looks = {each.key for each in batch if each.payload.get("look")}
        return [
            replace(result, outcome=Outcome.ACCEPTED_UNKNOWN)
            if result.key in looks and result.outcome is Outcome.DONE
            else result
            for result in results
        ]

    def _verdicts(self, batch: Sequence[Operation], answer: Answer) -> list[Result]:
        if answer.status != 207:
            _object(answer)  # a page of somebody else's is no success
            return self.by_index(batch, {}, unsaid=Verdict(Outcome.DONE))
        errors = _object(answer).get("errors")
        if not isinstance(errors, list):
            raise PlatformError(Outcome.RETRY, "unexpected-answer")
        said: dict[int, Verdict] = {}
        for error in errors:
            if not isinstance(error, dict) or not isinstance(error.get("batch_index"), int):
                raise PlatformError(Outcome.RETRY, "unexpected-answer")
            said[error["batch_index"]] = Verdict(Outcome.REFUSED, word(error.get("reason")) or "refused")
        return self.by_index(batch, said, unsaid=Verdict(Outcome.DONE))

    # --- read, erase -------------------------------------------------------------------------------------------------

    def read(self, contact: Target) -> RemoteState | None:
        """What she chose over there; a topic that only has the workspace's default is one that she was never asked about."""
        who = self._who(contact.identifiers)
        if not who:
            return None
        ((kind, value),) = who.items()
        path = self.path("v1", "customers", value, "attributes")
        answer = self.app.call("GET", path, query={"id_type": kind}, accept={_NOT_THERE})
        if answer.status == _NOT_THERE:
            return None
        customer = _object(answer).get("customer")
        attributes = customer.get("attributes") if isinstance(customer, dict) else None
        if not isinstance(attributes, dict):
            raise PlatformError(Outcome.RETRY, "unexpected-answer")
        if kind == "id" and not _same(attributes.get("email"), contact.identifiers.email):
            return None  # a person without her address: what stands there keeps no mail away from her
        chosen = _preferences(attributes.get("cio_subscription_preferences"))
        topics = _part(chosen, "topics")
        # Who left e-mail over there gets none of these, whatever stands at a topic.
        no_mail = _part(chosen, "channels").get("email") is False
        choices: dict[Key, str] = {
            key: SUBSCRIBED if topics[name] and not no_mail else UNSUBSCRIBED
            for key, remote in self.mapping.pairs().items()
            if isinstance(topics.get(name := _name(remote)), bool)
        }
        values = {name: self._typed(name, value) for name, value in attributes.items()}
        frequencies, pauses, known = self.read_fields(values, contact)
        return RemoteState(
            opted_out=str(attributes.get("unsubscribed", "")).lower() == "true",
            choices=choices,
            frequencies=frequencies,
            pauses=pauses,
            attributes=known,
        )

    def _typed(self, name: str, value: Any) -> Any:
        """What it reads as texts was written as something else: numbers and truths as they were."""
        if (
            name in self.pause_fields.values()
            and isinstance(value, str)
            and value.isascii()
            and value.isdigit()
        ):
            return int(value)
        if name in self.mapping.attribute_names().values() and value in ("true", "false"):
            return value == "true"
        if name in self.mapping.attribute_names().values() and isinstance(value, str) and _is_number(value):
            return int(value)
        return value

    def erase(self, identifiers: Identifiers) -> Result:
        """Delete her. She is not suppressed: a yes of hers, one day, makes her anew."""
        key = f"{self.alias}-erase"
        return self.attempt(key, lambda: self._erase(identifiers))

    def _erase(self, identifiers: Identifiers) -> None:
        who = [self._who(identifiers)]
        if "id" in who[0] and identifiers.email:
            who.append({"email": identifiers.email})
        people = [{"type": "person", "action": "delete", "identifiers": each} for each in who if each]
        if not people:
            return
        answer = self.call("POST", "/api/v2/batch", json={"batch": people})
        if answer.status == 207:
            raise PlatformError(Outcome.RETRY, "not-deleted")
        _object(answer)

    # --- inbound -----------------------------------------------------------------------------------------------------

    def parse_inbound(self, request: HttpRequest) -> list[InboundEvent]:
        if not self.options["SIGNING_KEYS"]:
            return super().parse_inbound(request)
        keys = {_name(remote): key for key, remote in self.mapping.pairs().items()}
        return events(request, self.options["SIGNING_KEYS"], keys, by_id=self.options["IDENTIFY_BY"] == "id")

    # --- check -------------------------------------------------------------------------------------------------------

    def check(self) -> list[Problem]:
        problems = super().check()
        if problems:
            return problems
        try:
            self.call("GET", "/api/v1/accounts/region")
        except PlatformError as error:
            return [self._error(_TROUBLE.get(error.code, f"gives no answer ({error.code})."))]
        try:
            problems += self._check_topics()
            problems += self._check_webhook()
        except PlatformError as error:
            trouble = {**_TROUBLE, "http-401": _APP_KEY, "http-403": _APP_KEY}
            problems.append(self._error(trouble.get(error.code, f"gives no answer ({error.code}).")))
        return problems

    def _check_topics(self) -> list[Problem]:
        found = _object(self.app.call("GET", "/v1/subscription_topics")).get("topics")
        if not isinstance(found, list):
            raise PlatformError(Outcome.RETRY, "unexpected-answer")
        topics = {str(topic.get("identifier")): topic for topic in found if isinstance(topic, dict)}
        problems = [
            self._error(
                f'has no topic {_name(remote)}, which TOPICS names for "{topic}". Make it under Settings > Workspace '
                "settings > Subscription center."
            )
            for (topic, _channel), remote in self.mapping.pairs().items()
            if _name(remote) not in topics
        ]
        return problems + [
            self._warning(
                f'sends the topic {_name(remote)} ("{topic}") to everybody who was never asked: it is "opted in by '
                'default". Make it one that people choose.'
            )
            for (topic, _channel), remote in self.mapping.pairs().items()
            if topics.get(_name(remote), {}).get("subscribed_by_default") is True
        ]

    def _check_webhook(self) -> list[Problem]:
        if not self.options["SIGNING_KEYS"]:
            return [
                self._warning(
                    "tells us nothing: set SIGNING_KEYS, and make a reporting webhook that leads here."
                )
            ]
        found = _object(self.app.call("GET", "/v1/reporting_webhooks")).get("reporting_webhooks")
        hooks = [hook for hook in found or [] if isinstance(hook, dict)]
        for hook in hooks:
            if f"/inbound/{self.alias}/" in str(hook.get("endpoint", "")):
                missing = sorted(_EVENTS - set(hook.get("events") or ()))
                if hook.get("disabled") is True:
                    return [self._warning("has switched our reporting webhook off: switch it on.")]
                if missing:
                    return [
                        self._warning(f"has our reporting webhook without {', '.join(missing)}: tick them.")
                    ]
                return []
        return [
            self._warning(
                "has no reporting webhook that leads here: who leaves over there is only noticed at night. Make one "
                f"for …/inbound/{self.alias}/…, with {', '.join(sorted(_EVENTS))}."
            )
        ]

    def _error(self, text: str) -> Problem:
        return Problem("error", f'Customer.io ("{self.alias}") {text}')

    def _warning(self, text: str) -> Problem:
        return Problem("warning", f'Customer.io ("{self.alias}") {text}')


class _AppApi(HttpBackend):
    """The App API, by which everything is read: ten calls a second."""

    known_options: ClassVar[Mapping[str, Option]] = {**HttpBackend.known_options, **OWN_NETWORK}

    def __init__(self, alias: str, url: str, key: str, timeout: float, *, own: bool) -> None:
        super().__init__(alias, {"TIMEOUT": timeout, "OWN_NETWORK": own})
        self._url, self._key = url, key

    @property
    def base_url(self) -> str:
        return self._url

    def headers(self) -> Mapping[str, str]:
        return {"Authorization": f"Bearer {self._key}"}


#: The events that a reporting webhook must tell of.
_EVENTS = {"customer_unsubscribed", "customer_subscription_preferences_changed"}
_APP_KEY = "does not take APP_KEY: make an App API key under Settings > Account settings > API credentials."
#: What `check` says of an error.
_TROUBLE = {
    "http-401": "does not take SITE_ID and API_KEY: they stand under Settings > Account settings > API credentials.",
    "connection": "cannot be reached.",
    "dns": "cannot be found.",
}


def _name(remote: str) -> str:
    return f"topic_{remote.removeprefix('topic_')}"


def _path(remote: str) -> str:
    return f"{_TOPIC}{_name(remote)}"


def _stamp(operation: Operation) -> Json:
    """What makes nothing stricter says when it was sent, so that a call which was held up on its way undoes no newer one; and
    a yes that is late when she said it, so that it undoes no no of since. A no says nothing of the kind: whatever somebody
    wrote over there, it counts.
    """
    if operation.restricts:
        return {}
    now, given = int(time.time()), operation.payload.get("given", LONG_AGO)
    late = operation.kind == "join" and given < now - RECENT.total_seconds()
    return {"_timestamp": max(given, LONG_AGO) if late else now}


def _same(one: Any, email: str) -> bool:
    return not email or (isinstance(one, str) and one.lower() == email.lower())


def _preferences(said: Any) -> Json:
    """`{"topics": {"topic_1": true}, "channels": {"email": true}}`, which it gives back as a text."""
    if isinstance(said, str):
        try:
            said = json.loads(said)
        except ValueError:
            return {}
    return said if isinstance(said, dict) else {}


def _part(said: Json, name: str) -> Json:
    part = said.get(name)
    return part if isinstance(part, dict) else {}


def _is_number(text: str) -> bool:
    digits = text.removeprefix("-")
    return digits.isascii() and digits.isdigit() and len(digits) <= 15 and str(int(text)) == text


def _object(answer: Answer) -> Json:
    found = answer.json()
    if not isinstance(found, dict):
        raise PlatformError(Outcome.RETRY, "unexpected-answer")
    return found
