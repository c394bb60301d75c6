"""HubSpot over its communication preferences v4 and its contacts: a topic is a subscription type (docs/how-to/connect-hubspot.md).

Written from public documentation and held against a contract of our own (example_site/platforms/contracts/hubspot.yaml);
not tried against the platform itself.

Subscriptions are kept by address, properties by contact. So a no needs no contact, and a yes is told with the contact, whose
id is all that HubSpot's webhooks name.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping, Sequence
from dataclasses import replace
from math import ceil
from typing import Any, ClassVar

from django.http import HttpRequest

from ..values import (
    FREQUENCIES,
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
from .answers import Answer, Verdict, classify, parse_moment, parse_reset
from .base import Option, PlatformError, restricts
from .desired import is_out
from .fields import FieldsBackend, is_late
from .hubspot_answers import (
    address,
    code_of,
    context,
    error_of,
    folded,
    items,
    names_her,
    object_of,
    settled,
)
from .hubspot_checks import Wanted, problems_of
from .hubspot_inbound import events

#: Inputs of a call, of contacts and of statuses.
BATCH = 100
VERSIONS = ("v4", "2026-03", "2026-09")
LEGAL_BASES = (
    "CONSENT_WITH_NOTICE",
    "LEGITIMATE_INTEREST_CLIENT",
    "LEGITIMATE_INTEREST_OTHER",
    "LEGITIMATE_INTEREST_PQL",
    "NON_GDPR",
    "PERFORMANCE_OF_CONTRACT",
    "PROCESS_AND_STORE",
)
_SAID_YES, _SAID_NO, _SAID_NOTHING = "SUBSCRIBED", "UNSUBSCRIBED", "NOT_SPECIFIED"
_PROPERTY = re.compile(r"[a-z][a-z0-9_]{0,99}")
#: Properties that are HubSpot's own, or say who she is.
_NOT_OURS = re.compile(r"email|hs_.*|createdate|lastmodifieddate")
_TOKEN = re.compile(r"[\x21-\x7e]{8,512}")
_ORIGIN = re.compile(r"https?://[^/?#\s]+(/[^?#\s]*)?")
_EMAIL: Json = {"channel": "EMAIL"}
_CONTACTS = "/crm/v3/objects/contacts"
_NOT_THERE = 404
#: Seconds to wait where nobody says how long.
_SHORT_LIMIT, _DAILY_LIMIT = 10.0, 3600.0


class HubspotBackend(FieldsBackend):
    """One account. HubSpot sends no marketing mail of a type to whoever is unsubscribed from it, or from all."""

    capabilities = Capabilities(
        choice=Support.ENFORCES,
        opt_out=Support.ENFORCES,
        frequency=Support.STORES,
        pause=Support.STORES,
        pause_style=PauseStyle.ATTRIBUTE,
        attributes=Support.STORES,
        channels=("email",),
        topics=TopicModel.SUBSCRIPTION,
        evidence=True,
        batch_size=BATCH,
        rate=Rate(95, 10, burst=3),  # of 100, the least that any account has
        inbound=Inbound.SIGNED,
        echoes=True,
        read_back=ReadBack.STRONG,
        erases=True,
    )
    known_options: ClassVar[Mapping[str, Option]] = {
        **FieldsBackend.known_options,
        "ACCESS_TOKEN": Option(str, "the access token of a private app"),
        "VERSION": Option(str, f"of the preferences API: {', '.join(VERSIONS)}", default="v4"),
        "LEGAL_BASIS": Option(str, "what a status is put down to there", default="CONSENT_WITH_NOTICE"),
        "CLIENT_SECRETS": Option(
            (list, tuple),
            "the client secret of the app that sends webhooks; two while it changes",
            default=(),
        ),
        "WEBHOOK_URL": Option(
            str, "the address that HubSpot calls, where a proxy hides it from Django", default=""
        ),
        "PORTAL": Option((int, str), "the account's id: events of other accounts are left aside", default=""),
    }

    def __init__(self, alias: str, options: Mapping[str, Any] | None = None) -> None:
        super().__init__(alias, options)
        given = self.options
        #: {our name: the type that ATTRIBUTES names}
        self._types = {
            name: entry.get("type") if isinstance(entry, Mapping) else None
            for name, entry in given["ATTRIBUTES"].items()
        }
        if not _TOKEN.fullmatch(given["ACCESS_TOKEN"]):
            raise self._wrong("ACCESS_TOKEN", "must be an access token")
        if given["VERSION"] not in VERSIONS:
            raise self._wrong("VERSION", f"is one of {', '.join(VERSIONS)}")
        if given["LEGAL_BASIS"] not in LEGAL_BASES:
            raise self._wrong("LEGAL_BASIS", f"is one of {', '.join(LEGAL_BASES)}")
        if not all(isinstance(secret, str) and secret for secret in given["CLIENT_SECRETS"]):
            raise self._wrong("CLIENT_SECRETS", "must be a list of texts")
        if given["WEBHOOK_URL"] and not _ORIGIN.fullmatch(given["WEBHOOK_URL"]):
            raise self._wrong("WEBHOOK_URL", "must be an address, as it stands in HubSpot")
        if not re.fullmatch(r"\d{0,20}", str(given["PORTAL"])):
            raise self._wrong("PORTAL", "must be the number of the account")
        for remote in self.mapping.pairs().values():
            if not re.fullmatch(r"\d{1,15}", remote):
                raise self._wrong("TOPICS", f"has ids of subscription types, which are numbers, not {remote}")
        for name in self.properties():
            if not _PROPERTY.fullmatch(name) or _NOT_OURS.fullmatch(name):
                raise self._wrong(
                    "ATTRIBUTES, FREQUENCY_FIELDS, PAUSE_FIELDS",
                    f"name properties of contacts by their internal names, and none of HubSpot's own: {name}",
                )
        if not given["CLIENT_SECRETS"]:
            # Without a secret nothing that comes in can be told from what somebody made up.
            self.capabilities = replace(self.capabilities, inbound=Inbound.NONE)

    @property
    def base_url(self) -> str:
        return self.options["URL"] or "https://api.hubapi.com"

    def headers(self) -> Mapping[str, str]:
        return {"Authorization": f"Bearer {self.options['ACCESS_TOKEN']}"}

    def classify(self, answer: Answer) -> tuple[Outcome, str]:
        if answer.status == 477:
            return Outcome.RATE_LIMITED, "account-migrating"
        outcome, code = classify(answer)
        return outcome, code if outcome is Outcome.DONE else code_of(error_of(answer)) or code

    def retry_after(self, answer: Answer, outcome: Outcome) -> float | None:
        asked = super().retry_after(answer, outcome)
        if asked is not None or outcome is not Outcome.RATE_LIMITED:
            return asked
        if error_of(answer).get("policyName") == "DAILY":
            return _DAILY_LIMIT
        interval = parse_reset(answer.headers.get("x-hubspot-ratelimit-interval-milliseconds"), 0.0)
        return interval / 1000 if interval else _SHORT_LIMIT

    def most(self, kind: str) -> int:
        # One operation holds as many inputs as there are topics.
        return max(BATCH // max(len(self.mapping.pairs()), 1), 1) if kind in {"leave", "join"} else BATCH

    def calls(self, batch: Sequence[Operation]) -> int:
        if batch[0].kind == "former":
            return 3
        asked = [each for operation in batch for each in _inputs(operation) if _is_looked_up(each)]
        emails = len(batch) + sum(len(each.get("from", {}).get("emails", ())) for each in asked)
        return 1 + 2 * ceil(emails / BATCH) if asked else 1

    # --- plan --------------------------------------------------------------------------------------------------------

    def plan(self, target: Target, since: Sequence[ChangeBatch]) -> list[Operation]:
        """Old addresses leave; then what she leaves, what she joins, and her contact.

        A yes brings the contact along with all that she ever said: HubSpot may not have known her, and its webhooks name
        people by nothing but the contact's id.
        """
        email = target.identifiers.email
        operations = [
            self._operation(target, "former", {"email": former}, number)
            for number, former in enumerate(_former(target))
        ]
        if not email:
            return operations
        if is_out(target.state):
            if restricts(since) or self.heard(target, since) < target.state.version:
                operations.append(self._operation(target, "opt-out", {"email": email}))
            told = self.field_values(target, since) if target.identifiers.remote.get(self.alias) else {}
            # Of somebody who left nothing new is told, but what she takes back is gone.
            gone = {name: "" for name, value in told.items() if value is None}
            if gone:
                operations.append(self._operation(target, "profile", {"email": email, "properties": gone}))
            return operations
        if self.leaves_channel(target, since, "email"):
            # E-mail is all that HubSpot sends: also what it sends beside the topics that are mapped.
            operations.append(self._operation(target, "opt-out", {"email": email}))
        yeses = self.yeses(target, since)
        joined = [self._yes(target, since, key, remote) for key, remote in yeses.items()]
        operations += self._statuses(target, "leave", email, self._left(target, since))
        operations += self._statuses(target, "join", email, joined)
        told = self.field_values(target, since, everything=bool(yeses))
        misfits = sorted({*self.mapping.misfits(target), *self._unlistable(target)})
        names = self.mapping.attribute_names()
        unfit = {names[misfit] for misfit in misfits}
        properties = {name: _text(value) for name, value in told.items() if name not in unfit}
        if properties or misfits or yeses:
            payload = {"email": email, "properties": properties, **({"misfits": misfits} if misfits else {})}
            operations.append(self._operation(target, "profile", payload))
        return operations

    def _left(self, target: Target, since: Sequence[ChangeBatch]) -> list[Json]:
        """Her noes; and each yes that is none any more without a no, which is as if she had never been asked."""
        choices = target.state.choices
        found = []
        for key, remote in self.noes(target, since).items():
            if UNSUBSCRIBED in {choices.get(key), choices.get(("", key[1]))}:
                found.append(self._input(target, key, remote, _SAID_NO))
            elif key not in target.state.pending or _was_yes(since, key):
                # Who waits to confirm her first yes may have said no over there meanwhile: nothing is told of her.
                found.append(self._input(target, key, remote, _SAID_NOTHING))
        return found

    def _yes(self, target: Target, since: Sequence[ChangeBatch], key: Key, remote: str) -> Json:
        """With when she said it, and where she moved from: what became a no there, or at her old address, stands."""
        given = self.given_at(target, since, key)
        found = {
            **self._input(target, key, remote, _SAID_YES),
            "since": given.isoformat() if given else "",
        }
        if (former := _former(target)) and (came := self.moved_at(since)):
            said = self.said_at(target, since, [key])
            found["from"] = {
                "emails": former,
                "at": came.replace(microsecond=0).isoformat(),  # what we say there is no older
                "said": said.isoformat() if said else "",
            }
        return found

    def _input(self, target: Target, key: Key, remote: str, state: str) -> Json:
        return {"id": int(remote), "state": state, "why": self.evidence(target, *key)}

    def _statuses(self, target: Target, kind: str, email: str, inputs: list[Json]) -> list[Operation]:
        inputs = sorted(inputs, key=lambda each: int(each["id"]))
        return [
            self._operation(target, kind, {"email": email, "inputs": inputs[start : start + BATCH]}, number)
            for number, start in enumerate(range(0, len(inputs), BATCH))
        ]

    def _operation(self, target: Target, kind: str, payload: Json, number: int = 0) -> Operation:
        key = self.key(target, f"{kind}-{number}" if number else kind)
        state = target.state
        return Operation(
            key, state.id, state.version, kind, payload, restricts=kind in {"former", "opt-out", "leave"}
        )

    def _unlistable(self, target: Target) -> list[str]:
        """Attributes that are lists with an item that would become two: HubSpot parts them by semicolons."""
        values = self.mapping.attributes(target)
        return [
            name
            for name, remote in self.mapping.attribute_names().items()
            if isinstance(values.get(remote), list) and any(";" in str(item) for item in values[remote])
        ]

    # --- execute -----------------------------------------------------------------------------------------------------

    def send(self, batch: Sequence[Operation]) -> list[Result]:
        kind = batch[0].kind
        if len({address(operation) for operation in batch}) < len(batch):
            # Contacts of two audiences: answers about them could not be told apart, and contacts are refused as a whole.
            return [Result(operation.key, Outcome.SPLIT, "same-address") for operation in batch]
        if kind == "profile":
            return self._upsert(batch)
        if kind in {"leave", "join"}:
            return self._write(batch)
        return self._unsubscribe(batch)

    def _write(self, batch: Sequence[Operation]) -> list[Result]:
        """Statuses. A 200 holds the errors of single inputs, and what each status became."""
        left = self._left_since(batch)
        if left:
            return self._without(batch, left)
        inputs = [
            {
                "subscriberIdString": operation.payload["email"],
                "subscriptionId": each["id"],
                "channel": "EMAIL",
                "statusState": each["state"],
                "legalBasis": self.options["LEGAL_BASIS"],
                "legalBasisExplanation": each["why"],
            }
            for operation in batch
            for each in operation.payload["inputs"]
        ]
        said = self._batch(self.preferences("statuses", "batch", "write"), inputs)
        became = {
            (folded(each.get("subscriberIdString")), each.get("subscriptionId"), each.get("status"))
            for each in items(said, "results")
        }
        other = {part[:2]: Verdict(Outcome.REFUSED, "not-set") for part in became}

        def wanted(operation: Operation) -> set[tuple[str, int, str]]:
            email = folded(operation.payload["email"])
            return {(email, each["id"], each["state"]) for each in operation.payload["inputs"]}

        def about(error: Json, operation: Operation) -> bool:
            ids = context(error, "subscriptionId")
            return names_her(error, operation) and (
                not ids or any(str(each["id"]) in ids for each in operation.payload["inputs"])
            )

        verdicts = {
            operation.key: Verdict()
            if wanted(operation) <= became
            else next((other[part[:2]] for part in wanted(operation) - became if part[:2] in other), None)
            for operation in batch
        }
        return settled(batch, verdicts, items(said, "errors"), about)

    def _without(self, batch: Sequence[Operation], left: Collection[tuple[str, int]]) -> list[Result]:
        """Without what became a no over there since she said yes; the rest of what she said yes to is written."""
        results = {operation.key: Result(operation.key, Outcome.DONE) for operation in batch}
        rest, named = [], set()
        for operation in batch:
            inputs = operation.payload["inputs"]
            kept = [
                {name: value for name, value in each.items() if name not in {"since", "from"}}
                for each in inputs
                if (address(operation), each["id"]) not in left
            ]
            if len(kept) < len(inputs):
                named.add(operation.key)
            if kept:
                rest.append(replace(operation, payload={**operation.payload, "inputs": kept}))
        results |= {result.key: result for result in (self._write(rest) if rest else ())}
        for key in named:
            if results[key].outcome is Outcome.DONE:
                results[key] = Result(key, Outcome.REFUSED, "left-over-there")
        return [results[operation.key] for operation in batch]

    def _left_since(self, batch: Sequence[Operation]) -> set[tuple[str, int]]:
        """(address, subscription type) of what became a no over there after she had said the yes that is told now; and where
        nobody knows when, the no stands. A yes of this minute is newer than anything there.
        """
        asked = [
            (address(operation), each)
            for operation in batch
            for each in _inputs(operation)
            if _is_looked_up(each)
        ]
        if not asked:
            return set()
        emails = {email for email, _each in asked}
        emails |= {
            folded(email) for _email, each in asked for email in each.get("from", {}).get("emails", ())
        }
        noes = self._noes(sorted(emails))
        return {(email, each["id"]) for email, each in asked if _has_left(noes, email, each)}

    def _noes(self, emails: Sequence[str]) -> dict[tuple[str, int | None], object]:
        """{(address, subscription type; None for all of them): when it became a no}."""
        noes: dict[tuple[str, int | None], object] = {}
        for segments, name in (
            (("batch", "read"), "statuses"),
            (("batch", "unsubscribe-all", "read"), "wideStatuses"),
        ):
            for start in range(0, len(emails), BATCH):
                said = self._batch(
                    self.preferences("statuses", *segments), emails[start : start + BATCH], query=_EMAIL
                )
                for each in items(said, "results"):
                    for status in items(each, name):
                        if status.get("status") == _SAID_NO:
                            key = folded(each.get("subscriberIdString")), status.get("subscriptionId")
                            noes[key] = status.get("timestamp")
        return noes

    def _unsubscribe(self, batch: Sequence[Operation]) -> list[Result]:
        """From all. Without `verbose` the answer would not say of whom it speaks.

        An old address that is out already stays as it is: when she left there is looked at before her yes is said at the new.
        """
        if batch[0].kind == "former":
            noes = self._noes(sorted({address(operation) for operation in batch}))
            out = [operation for operation in batch if (address(operation), None) in noes]
            rest = [operation for operation in batch if operation not in out]
            done = [Result(operation.key, Outcome.DONE) for operation in out]
            return [*done, *(self._leave_all(rest) if rest else ())]
        return self._leave_all(batch)

    def _leave_all(self, batch: Sequence[Operation]) -> list[Result]:
        emails = [operation.payload["email"] for operation in batch]
        path = self.preferences("statuses", "batch", "unsubscribe-all")
        said = self._batch(path, emails, query={**_EMAIL, "verbose": "true"})
        done = {folded(each.get("subscriberIdString")) for each in items(said, "results")}
        verdicts = {operation.key: Verdict() if address(operation) in done else None for operation in batch}
        return settled(batch, verdicts, items(said, "errors"), names_her)

    def _upsert(self, batch: Sequence[Operation]) -> list[Result]:
        """Contacts. The trace id says which input an answer speaks of."""
        inputs = [
            {
                "idProperty": "email",
                "id": operation.payload["email"],
                "properties": operation.payload["properties"],
                "objectWriteTraceId": operation.key,
            }
            for operation in batch
        ]
        said = self._batch(f"{_CONTACTS}/batch/upsert", inputs)
        ids: dict[str, str] = {}
        for each in items(said, "results"):
            properties = each.get("properties")
            email = properties.get("email") if isinstance(properties, dict) else None
            remote = str(each.get("id") or "")
            for name in (each.get("objectWriteTraceId"), folded(email)):
                if isinstance(name, str) and name:
                    ids[name] = remote
        verdicts: dict[str, Verdict | None] = {}
        for operation in batch:
            remote_id = ids.get(operation.key) or ids.get(address(operation))
            verdicts[operation.key] = Verdict(remote_id=remote_id) if remote_id else None

        def about(error: Json, operation: Operation) -> bool:
            return operation.key in context(error, "objectWriteTraceId")

        return settled(batch, verdicts, items(said, "errors"), about)

    def _batch(self, path: str, inputs: Sequence[Any], query: Json | None = None) -> Json:
        said = object_of(self.call("POST", path, json={"inputs": inputs}, query=query))
        if not isinstance(said.get("results"), list):
            raise PlatformError(Outcome.RETRY, "unexpected-answer")
        return said

    # --- read, erase -------------------------------------------------------------------------------------------------

    def read(self, contact: Target) -> RemoteState | None:
        """Of whoever is unsubscribed from all every topic is a no, whatever stands at the topic."""
        email = contact.identifiers.email
        if not email:
            return None
        statuses = self._part(self._asked("batch", "read", email=email), "statuses")
        wide = self._part(self._asked("batch", "unsubscribe-all", "read", email=email), "wideStatuses")
        found = self._contact({"idProperty": "email"}, email, sorted(self.properties()))
        held = {str(each.get("subscriptionId")): each.get("status") for each in statuses}
        is_out_there = any(each.get("status") == _SAID_NO for each in wide)
        if found is None and not is_out_there and not set(held.values()) & {_SAID_YES, _SAID_NO}:
            return None
        words = {_SAID_YES: SUBSCRIBED, _SAID_NO: UNSUBSCRIBED}
        choices = {
            key: UNSUBSCRIBED if is_out_there else words[str(held[remote])]
            for key, remote in self.mapping.pairs().items()
            if is_out_there or held.get(remote) in words
        }
        frequencies, pauses, attributes = self.read_fields(found["properties"] if found else {}, contact)
        out: bool | None = False
        if is_out_there:
            out = (
                True if is_out(contact.state) else None
            )  # she left by e-mail, and may want what comes otherwise
        return RemoteState(
            opted_out=out,
            choices=choices,
            frequencies=frequencies,
            pauses=pauses,
            attributes={name: self._value(contact, name, value) for name, value in attributes.items()},
        )

    def _value(self, contact: Target, name: str, text: Any) -> Any:
        """An attribute of a property, all of which are texts: hers, where it is what we would write there."""
        remote = self.mapping.attribute_names()[name]
        wanted = self.mapping.attributes(contact).get(remote)
        if wanted is not None and _text(wanted) == text:
            return contact.state.attributes[name]
        match self._types[name]:
            case "number" if re.fullmatch(r"-?\d+", text):
                return int(text)
            case "boolean" if text in {"true", "false"}:
                return text == "true"
            case "list":
                return text.split(";")
        return text

    def erase(self, identifiers: Identifiers) -> Result:
        """Delete her contact for good, by its id.

        By an address that HubSpot does not know, the deletion would block that address for ever.
        """
        return self.attempt(f"{self.alias}-erase", lambda: self._erase(identifiers))

    def _erase(self, identifiers: Identifiers) -> None:
        email, known = identifiers.email, identifiers.remote.get(self.alias, "")
        found, is_silent = [], True
        if email:
            # Subscriptions are kept by address: they would be there for whoever brings in a contact of that address.
            statuses = self._part(self._asked("batch", "read", email=email), "statuses")
            if any(each.get("status") == _SAID_YES for each in statuses):
                path = self.preferences("statuses", "batch", "unsubscribe-all")
                said = self._batch(path, [email], query={**_EMAIL, "verbose": "true"})
                is_silent = folded(email) in {
                    folded(each.get("subscriberIdString")) for each in items(said, "results")
                }
            found.append(self._contact({"idProperty": "email"}, email, []))
        if known.isascii() and known.isdigit():
            found.append(self._contact({}, known, []))
        for contact in sorted({str(each["id"]) for each in found if each}):
            self.call("POST", f"{_CONTACTS}/gdpr-delete", json={"objectId": contact}, accept={_NOT_THERE})
        if not is_silent:
            raise PlatformError(Outcome.RETRY, "not-unsubscribed")

    def _contact(self, by: Json, remote: str, properties: Sequence[str]) -> Json | None:
        """A contact, in a call whose address says nothing of her; None where there is none."""
        body = {**by, "inputs": [{"id": remote}], "properties": ["email", *properties]}
        said = object_of(self.call("POST", f"{_CONTACTS}/batch/read", json=body))
        # Nobody is gone because an answer made no sense.
        if not isinstance(said.get("results"), list) or {code_of(each) for each in items(said, "errors")} - {
            "object_not_found"
        }:
            raise PlatformError(Outcome.RETRY, "unexpected-answer")
        for each in items(said, "results"):
            if each.get("id") and isinstance(each.get("properties"), dict):
                return each
        return None

    def _asked(self, *segments: str, email: str) -> Json:
        answer = self.call(
            "POST", self.preferences("statuses", *segments), json={"inputs": [email]}, query=_EMAIL
        )
        said = object_of(answer)
        if not isinstance(said.get("results"), list) or items(said, "errors"):
            raise PlatformError(Outcome.RETRY, "unexpected-answer")
        return said

    @staticmethod
    def _part(said: Json, name: str) -> list[Json]:
        return [inner for each in items(said, "results") for inner in items(each, name)]

    # --- inbound -----------------------------------------------------------------------------------------------------

    def parse_inbound(self, request: HttpRequest) -> list[InboundEvent]:
        secrets = self.options["CLIENT_SECRETS"]
        if not secrets:
            return super().parse_inbound(request)
        return events(
            request,
            secrets,
            url=self.options["WEBHOOK_URL"],
            alias=self.alias,
            portal=str(self.options["PORTAL"]),
            topic=self.mapping.key,
        )

    # --- check -------------------------------------------------------------------------------------------------------

    def check(self) -> list[Problem]:
        return super().check() or problems_of(self)

    def properties(self) -> dict[str, Wanted]:
        """The properties of contacts that the options name."""
        names = self.mapping.attribute_names()
        codes = tuple(str(self.options["FREQUENCIES"].get(code, code)) for code in FREQUENCIES)
        return {
            **{remote: Wanted.attribute(name, self._types[name]) for name, remote in names.items()},
            **dict.fromkeys(self.frequency_fields.values(), Wanted.frequency(codes)),
            **dict.fromkeys(self.pause_fields.values(), Wanted.pause()),
        }

    def preferences(self, *segments: str) -> str:
        """The path of a call about subscriptions."""
        return self.path("communication-preferences", self.options["VERSION"], *segments)


def _text(value: Any) -> str:
    """A value as HubSpot takes it: all are texts, an empty one empties the property, a list is parted by semicolons."""
    if value is None:
        return ""
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, list | tuple):
        return ";".join(_text(item) for item in value)
    return str(value)


def _inputs(operation: Operation) -> Sequence[Json]:
    return operation.payload.get("inputs") or ()


def _is_looked_up(each: Json) -> bool:
    """Whether a status is a yes that may have been overtaken over there, or at the address that she moved away from."""
    return "from" in each or ("since" in each and is_late(each["since"]))


def _has_left(noes: Mapping[tuple[str, int | None], object], email: str, each: Json) -> bool:
    """Whether a yes was overtaken by a no: of after it at her address; of after it and before she moved at an old one."""
    if is_late(each["since"]) and any(
        key in noes and not _is_before(noes[key], each["since"])
        for key in ((email, each["id"]), (email, None))
    ):
        return True
    came = each.get("from", {"emails": ()})
    return any(
        key in noes and _is_before(noes[key], came["at"]) and not _is_before(noes[key], came["said"])
        for former in came["emails"]
        for key in ((folded(former), each["id"]), (folded(former), None))
    )


def _is_before(moment: object, given: str) -> bool:
    """Whether a moment over there is before one of ours. Where either is not known, it is not."""
    there, ours = parse_moment(moment), parse_moment(given)
    return there is not None and ours is not None and there < ours


def _former(target: Target) -> list[str]:
    """The addresses that are no longer hers, each once."""
    now = folded(target.identifiers.email)
    former = {folded(each.email): each.email for each in target.retired if each.email}
    return [email for folded, email in sorted(former.items()) if folded != now]


def _was_yes(since: Sequence[ChangeBatch], key: Key) -> bool:
    path = f"choice:{key[0]}:{key[1]}"
    return any(
        effect.path == path and effect.before == SUBSCRIBED for batch in since for effect in batch.effects
    )
