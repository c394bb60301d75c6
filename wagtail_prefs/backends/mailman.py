"""GNU Mailman 3 over its REST API: a topic is a list, and who is on it gets it (docs/how-to/connect-mailman.md).

Written from the documentation of Mailman core 3.3 and tried against the server itself (tests/mailman). Mailman is a
program of its own, under the GPL, that this speaks to over HTTP and imports nothing of.
"""

from __future__ import annotations

from base64 import b64encode
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, ClassVar

from django.core.exceptions import ImproperlyConfigured, ValidationError

from ..contacts.addresses import canonical_email
from ..values import (
    FREQUENCIES,
    SUBSCRIBED,
    UNSUBSCRIBED,
    Capabilities,
    ChangeBatch,
    Identifiers,
    Inbound,
    Json,
    Key,
    Operation,
    Outcome,
    PauseStyle,
    Problem,
    ReadBack,
    RemoteState,
    Result,
    Support,
    Target,
    TopicModel,
    key_to_scope,
)
from .answers import Answer, classify
from .base import Option, PlatformError
from .http import OWN_NETWORK, HttpBackend
from .mapping import FREQUENCY_VALUES, TOPICS

#: How a member may get a list's mail, in Mailman's words.
MODES = ("regular", "plaintext_digests", "mime_digests", "summary_digests")
DIGESTS = {code: "regular" if code == "as_it_happens" else "mime_digests" for code in FREQUENCIES}
PAGE = 100
#: What is looked through of a long collection at most: who has more waiting must look at it.
PAGES = 100
#: Mailman answers 400 for whatever it does not like, and says it in English only.
_SAID: Mapping[str, tuple[Outcome, str]] = {
    "No such list": (Outcome.MISCONFIGURED, "unknown-list"),
    "Membership is banned": (Outcome.REFUSED, "banned"),
    "List posting address cannot subscribe": (Outcome.REFUSED, "address-of-the-list"),
    'Invalid Parameter "subscriber"': (Outcome.REFUSED, "invalid-address"),
    "Unexpected parameters": (Outcome.MISCONFIGURED, "mailman-too-old"),
}
_MEMBER = "Member already subscribed"
_PENDING = "Subscription request already pending"
_NOT_THERE = 404


class MailmanBackend(HttpBackend):
    """Members come and go; digest mode and a halt of delivery are settings of each membership.

    Only lists that TOPICS names are ever touched. Mailman keeps no "no": who left is not there.
    """

    capabilities = Capabilities(
        choice=Support.ENFORCES,  # it is Mailman that sends, to members only
        opt_out=Support.ENFORCES,
        frequency=Support.STORES,  # digests go out when the list says, not when she says
        pause=Support.ENFORCES,
        pause_style=PauseStyle.NATIVE,
        channels=("email",),
        topics=TopicModel.LIST,
        explicit_no=False,
        inbound=Inbound.POLL,  # it has no events: all members are compared once a day
        read_back=ReadBack.STRONG,
        erases=True,
        wakes=True,  # its halt has no end
    )
    known_options: ClassVar[Mapping[str, Option]] = {
        **HttpBackend.known_options,
        **OWN_NETWORK,
        **TOPICS,
        **FREQUENCY_VALUES,
        "URL": Option(str, "where Mailman's REST API stands, such as http://127.0.0.1:8001"),
        "USER": Option(str, "admin_user of [webservice] in mailman.cfg", default="restadmin"),
        "PASSWORD": Option(str, "admin_pass of [webservice] in mailman.cfg"),
        "FREQUENCIES": Option(dict, f"{{frequency code: one of {', '.join(MODES)}}}", default=DIGESTS),
        "ASK_MODERATORS": Option(
            bool, "whether moderators of a list that is moderated let people in", default=False
        ),
    }

    def __init__(self, alias: str, options: Mapping[str, Any] | None = None) -> None:
        super().__init__(alias, options)
        where = f'WAGTAIL_PREFS["BACKENDS"]["{alias}"]["OPTIONS"]'
        if any("@" in remote for remote in self.mapping.pairs().values()):
            raise ImproperlyConfigured(
                f"{where}: TOPICS: the id of a list has a dot for the @: news.lists.example.org."
            )
        if not set(self.options["FREQUENCIES"].values()) <= set(MODES):
            raise ImproperlyConfigured(f"{where}: FREQUENCIES: a value is one of {', '.join(MODES)}.")
        if ":" in self.options["USER"]:
            raise ImproperlyConfigured(
                f"{where}: USER: no colon, which HTTP could not tell from the password."
            )

    @property
    def base_url(self) -> str:
        url: str = self.options["URL"].rstrip("/")
        return f"{url.removesuffix('/3.1').removesuffix('/3.0')}/3.1"

    def headers(self) -> Mapping[str, str]:
        credentials = f"{self.options['USER']}:{self.options['PASSWORD']}".encode()
        return {"Authorization": f"Basic {b64encode(credentials).decode()}"}

    def classify(self, answer: Answer) -> tuple[Outcome, str]:
        if answer.status != 400:
            return classify(answer)
        said = _description(answer)
        for begin, meaning in _SAID.items():
            if said.startswith(begin):
                return meaning
        # Among the rest is what went wrong in Mailman for a moment: a locked database.
        return Outcome.RETRY, "http-400"

    # --- plan --------------------------------------------------------------------------------------------------------

    def plan(self, target: Target, since: Sequence[ChangeBatch]) -> list[Operation]:
        """Old addresses leave, she leaves what she said no to, and then comes what she wants.

        She is only made a member of what `since` holds her wish for: whoever left by Mailman's own link is not brought
        back by a frequency, nor by the end of a pause.
        """
        email = _spelt(target.identifiers.email)
        lists = self.mapping.pairs()
        operations = [
            _operation(
                self.key(target, f"former-{number}:{remote}"),
                target,
                f"leave:{remote}",
                remote,
                {"email": old},
            )
            for number, old in enumerate(_former(target, email))
            for remote in lists.values()
        ]
        if not email:
            return operations
        wanted = {key: remote for key, remote in lists.items() if target.subscribed(*key)}
        for key, remote in lists.items():
            if key not in wanted and _said_no(target, key):
                kind = f"leave:{remote}"
                operations.append(_operation(self.key(target, kind), target, kind, remote, {"email": email}))
        for key, remote in wanted.items():
            kind = f"{'join' if _is_wish(target, since, key) else 'set'}:{remote}"
            payload = {"email": email, **self._settings(target, key)}
            if kind.startswith("join") or len(payload) > 1:
                operations.append(_operation(self.key(target, kind), target, kind, remote, payload))
        return operations

    def _settings(self, target: Target, key: Key) -> Json:
        """What of a membership is hers to choose and was chosen: the rest is left as it is."""
        settings: dict[str, str | int | None] = {}
        cap = _cap(target, key)
        if cap is not None:
            settings["mode"] = self.mapping.frequency(target.state.frequencies[cap])
        elif any(f"frequency:{key_to_scope(scope)}" in target.state.versions for scope in _scopes(key)):
            settings["mode"] = self.mapping.frequency("as_it_happens")  # taken back
        if target.is_paused(*key):
            settings["status"] = "by_user"
        elif target.ended or any(path.startswith("pause:") for path in target.state.versions):
            settings["status"] = "enabled"
        return {name: value for name, value in settings.items() if value is not None}

    # --- execute -----------------------------------------------------------------------------------------------------

    def send(self, batch: Sequence[Operation]) -> list[Result]:
        return self.one_by_one(batch, self._say)

    def _say(self, operation: Operation) -> Result | None:
        verb = operation.kind.partition(":")[0]
        payload = operation.payload
        if verb == "leave":
            self._leave(payload["list"], payload["email"])
            return None
        if verb == "join":
            return self._join(operation)
        self._set(payload)
        return None

    def _leave(self, remote: str, email: str) -> None:
        """Take her off a list; a wish of hers that waits for the list's moderators must not bring her back."""
        path = self.path("lists", remote, "roster", "member")
        answer = self._of_list(self.call("DELETE", path, json={"emails": [email]}, accept={_NOT_THERE}))
        if not isinstance(_object(answer).get(email), bool):  # False: was not on it
            raise PlatformError(Outcome.RETRY, "unexpected-answer")
        self._withdraw(remote, email, of="moderator")

    def _join(self, operation: Operation) -> Result | None:
        payload = operation.payload
        answer = self._subscribe(payload)
        if _is_pending(answer) and not self.options["ASK_MODERATORS"]:
            # What she once began by mail and did not finish would stand in the way of the yes that we have.
            self._withdraw(payload["list"], payload["email"])
            answer = self._subscribe(payload)
        if answer.status == 201:
            return None
        if answer.status == 202:
            owner = _object(answer).get("token_owner")
            waits = owner if owner in {"moderator", "subscriber"} else "somebody"
            return Result(operation.key, Outcome.NEEDS_CONFIRMATION, f"waits-for-{waits}")
        if _is_pending(answer):
            return Result(operation.key, Outcome.NEEDS_CONFIRMATION, "waits-for-moderator")
        if answer.status == 409 and _description(answer) == _MEMBER:
            self._set(payload)
            return None
        raise PlatformError(Outcome.RETRY, "unexpected-answer")

    def _subscribe(self, payload: Json) -> Answer:
        status = payload.get("status")
        body = {
            "list_id": payload["list"],
            "subscriber": payload["email"],
            # We have her consent and its proof: neither she nor the list is asked again.
            "pre_verified": True,
            "pre_confirmed": True,
            "pre_approved": not self.options["ASK_MODERATORS"],
            "send_welcome_message": False,
            **({"delivery_mode": payload["mode"]} if "mode" in payload else {}),
            **({"delivery_status": status} if status == "by_user" else {}),
        }
        return self.call("POST", "/members", json=body, accept={409})

    def _set(self, payload: Json) -> None:
        """Settings of her membership. Who is no member has none: she may have left by Mailman's own link."""
        if not {"mode", "status"} & payload.keys():
            return
        for membership in self._memberships(payload["email"], payload["list"]):
            changes = _changes(payload, self._preferences(membership))
            if changes:
                self.call("PATCH", self._at(membership, "preferences"), json=changes, accept={_NOT_THERE})

    def _withdraw(self, remote: str, email: str, of: str = "") -> None:
        """Drop her requests to get on a list, those that wait for `of`, or all."""
        path = self.path("lists", remote, "requests")
        query = {"request_type": "subscription", **({"token_owner": of} if of else {})}
        tokens = [
            str(request.get("token", ""))
            for request in self._entries(path, query)
            if request.get("email") == email
        ]
        for token in tokens:
            drop = {"action": "discard"}
            self.call("POST", f"{path}{self.path(token)}", json=drop, accept={_NOT_THERE})

    # --- read --------------------------------------------------------------------------------------------------------

    def read(self, contact: Target) -> RemoteState | None:
        """The mapped lists she is on. Lists she is not on are left out: Mailman does not say why she is not."""
        email = _spelt(contact.identifiers.email)
        if not email:
            return None
        found = list(self._memberships(email))
        if not found and not self._knows(email):
            return None
        choices: dict[Key, str] = {}
        frequencies: dict[Key, str] = {}
        pauses: dict[Key, datetime | None] = {}
        for membership in found:
            key = self.mapping.key(membership.list_id)
            if key is None:
                continue
            choices[key] = SUBSCRIBED
            frequencies |= self._frequency(contact, key, membership.mode)
            if self._preferences(membership).get("delivery_status") == "by_user":
                hers = [scope for scope in _scopes(key) if scope in contact.paused]
                pauses |= dict.fromkeys(hers or [(key[0], "")])
        return RemoteState(choices=choices, frequencies=frequencies, pauses=pauses)

    def _frequency(self, contact: Target, key: Key, mode: str) -> dict[Key, str]:
        """What a mode stands for: her own wish if it does, with its scope, or else a frequency of the topic."""
        cap = _cap(contact, key)
        if cap is not None and self.mapping.frequency(contact.state.frequencies[cap]) == mode:
            return {cap: contact.state.frequencies[cap]}
        code = self.mapping.code(mode)
        return {(key[0], ""): code} if code is not None else {}

    def _preferences(self, membership: Membership) -> Json:
        """The settings of a membership; none when it is gone."""
        answer = self.call("GET", self._at(membership, "preferences"), accept={_NOT_THERE})
        return {} if answer.status == _NOT_THERE else _object(answer)

    def _knows(self, email: str) -> bool:
        if "/" in email:
            return True  # its address over there cannot be asked for
        return self.call("GET", self.path("addresses", email), accept={_NOT_THERE}).status != _NOT_THERE

    # --- erase -------------------------------------------------------------------------------------------------------

    def erase(self, identifiers: Identifiers) -> Result:
        """Forget an address: off the mapped lists, and out of Mailman where no other list and no office keeps it."""
        key = f"{self.alias}-erase"
        return self.attempt(key, lambda: self._erase(key, _spelt(identifiers.email)))

    def _erase(self, key: str, email: str) -> Result | None:
        if not email:
            return None
        for remote in self.mapping.pairs().values():
            self._leave(remote, email)
            self._withdraw(remote, email)
        for membership in list(self._memberships(email, role="")):
            if membership.role == "nonmember" and self.mapping.key(membership.list_id) is not None:
                self.call("DELETE", self._at(membership), accept={_NOT_THERE})  # she once wrote to it
            else:
                return Result(key, Outcome.DONE, "kept-for-other-lists")
        if "/" in email:
            # Mailman 3.3 cuts the address of an address at the slash. She is on no list; a person must do the rest.
            return Result(key, Outcome.REFUSED, "slash-in-address")
        address = self.path("addresses", email)
        answer = self.call("GET", f"{address}/user", accept={_NOT_THERE})
        if answer.status != _NOT_THERE:
            user = _object(answer)
            if user.get("is_server_owner"):
                return Result(key, Outcome.DONE, "kept-for-its-office")
            account = self.path("users", str(user.get("user_id", "")))
            others = self.call("GET", f"{account}/addresses", query={"count": 1, "page": 1})
            if _object(others).get("total_size") == 1:
                self.call("DELETE", account, accept={_NOT_THERE})
        self.call("DELETE", address, accept={_NOT_THERE})
        return None

    # --- check -------------------------------------------------------------------------------------------------------

    def check(self) -> list[Problem]:
        problems = super().check()
        if problems:
            return problems
        try:
            version = _object(self.call("GET", "/system/versions")).get("api_version")
            if version != "3.1":
                return [self._error("does not speak version 3.1 of the API: Mailman 3.3 does.")]
            for (topic, _channel), remote in self.mapping.pairs().items():
                problems += self._check_list(topic, remote)
        except PlatformError as error:
            problems.append(self._error(_TROUBLE.get(error.code, f"gives no answer ({error.code}).")))
        return problems

    def _check_list(self, topic: str, remote: str) -> list[Problem]:
        answer = self.call("GET", self.path("lists", remote, "config"), accept={_NOT_THERE})
        if answer.status == _NOT_THERE:
            return [self._error(f'has no list {remote}, which TOPICS names for "{topic}".')]
        config = _object(answer)
        digests = any("digest" in mode for mode in self.options["FREQUENCIES"].values())
        moderated = "moderate" in str(config.get("subscription_policy"))
        found = []
        if config.get("admin_notify_mchanges"):
            found.append("mails its owners at every join and leave (admin_notify_mchanges).")
        if digests and config.get("digests_enabled") is False:
            found.append("makes no digests (digests_enabled), which FREQUENCIES asks for.")
        if self.options["ASK_MODERATORS"] and not moderated:
            found.append("is not moderated (subscription_policy): ASK_MODERATORS asks nobody.")
        return [Problem("warning", f"The list {remote} {text}") for text in found]

    def _error(self, text: str) -> Problem:
        return Problem("error", f'Mailman ("{self.alias}") {text}')

    # --- asking ------------------------------------------------------------------------------------------------------

    def _memberships(self, email: str, remote: str = "", role: str = "member") -> Iterator[Membership]:
        query = {
            "subscriber": email,
            **({"list_id": remote} if remote else {}),
            **({"role": role} if role else {}),
        }
        fields = ["member_id", "list_id", "role", "email", "delivery_mode"]
        for entry in self._entries("/members/find", {**query, "fields": fields}, post=True):
            if entry.get("email") == email:  # an asterisk in an address finds others, too
                names = ("member_id", "list_id", "role", "delivery_mode")
                yield Membership(*(str(entry.get(name, "")) for name in names))

    def _at(self, membership: Membership, *further: str) -> str:
        return self.path("members", membership.id, *further)

    def _entries(self, path: str, query: Json, *, post: bool = False) -> Iterator[Json]:
        """The items of a collection, page by page. Where there are too many somebody must look."""
        for page in range(1, PAGES + 1):
            paged = {**query, "count": PAGE, "page": page}
            # An address belongs into no URL that need not hold one: Mailman logs them.
            asked = {"json": paged} if post else {"query": paged}
            found = _object(
                self._of_list(self.call("POST" if post else "GET", path, accept={_NOT_THERE}, **asked))
            )
            entries, total = found.get("entries", []), found.get("total_size")
            if not isinstance(entries, list) or not isinstance(total, int):
                raise PlatformError(Outcome.RETRY, "unexpected-answer")
            yield from (entry for entry in entries if isinstance(entry, dict))
            if total <= page * PAGE:
                return
        raise PlatformError(Outcome.RETRY, "too-many-entries")

    def _of_list(self, answer: Answer) -> Answer:
        if answer.status == _NOT_THERE:
            raise PlatformError(Outcome.MISCONFIGURED, "unknown-list")
        return answer


@dataclass(frozen=True, slots=True)
class Membership:
    """An address on a list."""

    id: str
    list_id: str
    role: str
    mode: str


#: What `check` says of an error.
_TROUBLE = {
    "http-401": "does not take USER and PASSWORD: they are admin_user and admin_pass of [webservice] in mailman.cfg.",
    "http-404": "is not what answers at URL.",
    "connection": "cannot be reached at URL. Does it run, and listen for this machine?",
    "refused-address": "stands in your own network: set OWN_NETWORK to True if it should.",
}


def _operation(key: str, target: Target, kind: str, remote: str, payload: Json) -> Operation:
    state = target.state
    restricts = kind.startswith("leave:")
    return Operation(key, state.id, state.version, kind, {"list": remote, **payload}, restricts=restricts)


def _spelt(email: str) -> str:
    """An address as Mailman keeps it: in small letters, which it does not always fold itself, and with an ASCII domain."""
    try:
        return canonical_email(email)
    except ValidationError:
        return email.lower()


def _former(target: Target, email: str) -> list[str]:
    """The addresses that are no longer hers, each once."""
    former = {_spelt(identifiers.email) for identifiers in target.retired}
    return sorted(former - {email, ""})


def _scopes(key: Key) -> list[Key]:
    """What a frequency or a pause that concerns a topic on a channel can have been said of."""
    topic, channel = key
    return [("", ""), ("", channel), (topic, "")]


def _cap(target: Target, key: Key) -> Key | None:
    """Where the frequency stands that counts for a topic: the rarest of all that concern it."""
    frequencies = target.state.frequencies
    said = [scope for scope in _scopes(key) if frequencies.get(scope) in FREQUENCIES]
    return max(said, key=lambda scope: FREQUENCIES.index(frequencies[scope]), default=None)


def _said_no(target: Target, key: Key) -> bool:
    """Whether she is to be off a list. Whom nobody asked may be on it for reasons of its own."""
    state = target.state
    if state.opted_out or state.suppressed or state.erased or state.merged_into is not None:
        return True
    topic, channel = key
    said_no = UNSUBSCRIBED in {state.choices.get(key), state.choices.get(("", channel))}
    return said_no or f"choice:{topic}:{channel}" in state.versions


def _is_wish(target: Target, since: Sequence[ChangeBatch], key: Key) -> bool:
    """Whether what happened makes her a member: her yes, the end of an opt-out, a new address.

    Without any change it is a pause that ended, or everything is brought over once more.
    """
    if not since:
        return not target.ended
    topic, channel = key
    about = ("frequency:", "pause:", "attribute:", "notice:")
    return any(
        effect.topic in {"", topic} and effect.channel in {"", channel} and not effect.path.startswith(about)
        for batch in since
        for effect in batch.effects
    )


def _changes(wanted: Json, now: Json) -> Json:
    """What of the settings of a membership must change. A halt for bounces, or by a moderator, is not ours to end."""
    changes = {}
    if "mode" in wanted and now.get("delivery_mode") != wanted["mode"]:
        changes["delivery_mode"] = wanted["mode"]
    halted = now.get("delivery_status", "enabled")
    if wanted.get("status") not in {None, halted} and halted in {"enabled", "by_user"}:
        changes["delivery_status"] = wanted["status"]
    return changes


def _object(answer: Answer) -> Json:
    found = answer.json()
    if not isinstance(found, dict):
        raise PlatformError(Outcome.RETRY, "unexpected-answer")
    return found


def _description(answer: Answer) -> str:
    try:
        return str(_object(answer).get("description", ""))
    except PlatformError:
        return ""


def _is_pending(answer: Answer) -> bool:
    return answer.status == 409 and _description(answer) == _PENDING
