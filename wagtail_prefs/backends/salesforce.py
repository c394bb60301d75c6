"""Salesforce core over its REST API: consent objects by external ids (docs/how-to/connect-salesforce.md).

Written from public documentation and held against a contract of our own (example_site/platforms/contracts/salesforce.yaml);
not tried against the platform itself.

A person is an `Individual` with a `ContactPointEmail`; a topic is a `CommSubscriptionConsent` on a channel type, with status,
moment and source; to leave e-mail is a `ContactPointTypeConsent`. Each is found by a key that we write, and never by an
address. A pause is the day from which a consent is in effect: the consent itself stays as it is.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any, ClassVar
from urllib.parse import urlencode
from uuid import UUID

from django.utils import timezone

from ..values import (
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
    Polled,
    Problem,
    ReadBack,
    RemoteState,
    Result,
    Support,
    Target,
    TopicModel,
)
from .answers import Answer, Verdict, classify, word
from .base import Option, PlatformError
from .desired import is_out
from .fields import FieldsBackend, heard
from .salesforce_answers import (
    AGAIN,
    CHANNEL,
    CONSENT,
    ID,
    INDIVIDUAL,
    OBJECTS,
    PERSON,
    POINT,
    code_of,
    iso,
    moment_of,
    quoted,
    records_of,
    verdict_of,
    worst,
)
from .salesforce_checks import problems_of
from .salesforce_inbound import news

#: Records of a call, and keys of a question: a question is part of an address, which must not be too long.
RECORDS, KEYS = 200, 50
_HOST = re.compile(r"https://[a-z0-9-]+(--[a-z0-9-]+)?(\.sandbox|\.develop|\.scratch)?\.my\.salesforce\.com")
_FIELD = re.compile(r"[A-Za-z][A-Za-z0-9_]{0,40}__c")
_VERSION = re.compile(r"v\d{2,3}\.0")
#: Errors of a record that refers to one which is not there.
_NOBODY = {"invalid_field", "invalid_cross_reference_key", "entity_is_deleted"}
_REFERS = {CONSENT: POINT, CHANNEL: INDIVIDUAL, POINT: INDIVIDUAL}
#: How long the day's pool of calls is left alone when it is used up (seconds).
USED_UP = 3600.0


class SalesforceBackend(FieldsBackend):
    """One org. It keeps consents with their evidence; whoever sends from it must look at them."""

    capabilities = Capabilities(
        choice=Support.STORES,
        opt_out=Support.STORES,
        frequency=Support.STORES,
        pause=Support.STORES,
        pause_style=PauseStyle.NATIVE,  # the day from which a consent is in effect
        attributes=Support.STORES,
        channels=("email",),
        topics=TopicModel.SUBSCRIPTION,
        evidence=True,
        batch_size=RECORDS,
        inbound=Inbound.POLL,
        echoes=True,
        read_back=ReadBack.STRONG,
        erases=True,
    )
    known_options: ClassVar[Mapping[str, Option]] = {
        **{name: option for name, option in FieldsBackend.known_options.items() if name != "PAUSE_FIELDS"},
        "INSTANCE": Option(str, "your My Domain: https://example.my.salesforce.com"),
        "CLIENT_ID": Option(str, "the consumer key of the connected app"),
        "CLIENT_SECRET": Option(str, "its consumer secret"),
        "VERSION": Option(str, "the version of the API", default="v62.0"),
        "ID_FIELD": Option(
            str, "the external id field that each of the four objects has", default="Prefs_Key__c"
        ),
        "LOGIN_URL": Option(str, "another address for the token: a proxy, a test", default=""),
    }

    def __init__(self, alias: str, options: Mapping[str, Any] | None = None) -> None:
        super().__init__(alias, options)
        self._token = ""
        if not _HOST.fullmatch(self.options["INSTANCE"].rstrip("/")):
            raise self._wrong("INSTANCE", "must be your My Domain, such as https://example.my.salesforce.com")
        if not _VERSION.fullmatch(self.options["VERSION"]):
            raise self._wrong("VERSION", "is a version of the API, such as v62.0")
        if not _FIELD.fullmatch(self.options["ID_FIELD"]):
            raise self._wrong("ID_FIELD", "is the API name of a custom field, such as Prefs_Key__c")
        for name in self._names():
            if not _FIELD.fullmatch(name):
                raise self._wrong(
                    "ATTRIBUTES, FREQUENCY_FIELDS", f"name custom fields, such as Pref_Freq__c, not {name}"
                )
        for remote in self.mapping.pairs().values():
            if not ID.fullmatch(remote):
                raise self._wrong("TOPICS", f"names channel types by their record ids, not {remote}")
        for topic in self.mapping.topics():
            if "." in topic:
                raise self._wrong("TOPICS", "has keys without a dot")

    @property
    def base_url(self) -> str:
        url: str = self.options["URL"] or self.options["INSTANCE"]
        return url

    @property
    def data(self) -> str:
        """Where the API of its version stands."""
        return f"/services/data/{self.options['VERSION']}"

    # --- credentials -------------------------------------------------------------------------------------------------

    def headers(self) -> Mapping[str, str]:
        if not self._token:
            self._log_in()
        return {"Authorization": f"Bearer {self._token}"}

    def refresh(self) -> bool:
        """A token ends, or is taken away; then there is another one."""
        self._token = ""
        self._log_in()
        return True

    def _log_in(self) -> None:
        url = (self.options["LOGIN_URL"] or self.base_url).rstrip("/")
        form = {
            "grant_type": "client_credentials",
            "client_id": self.options["CLIENT_ID"],
            "client_secret": self.options["CLIENT_SECRET"],
        }
        headers = {"Content-Type": "application/x-www-form-urlencoded", "Accept": "application/json"}
        answer = self.transport.send(
            "POST", f"{url}/services/oauth2/token", body=urlencode(form).encode(), headers=headers
        )
        said = answer.json() if answer.status in {200, 400, 401} else {}
        token = said.get("access_token") if isinstance(said, dict) else None
        if answer.status == 200 and isinstance(token, str) and token.isprintable() and token:
            self._token = token
            return
        if answer.status in {400, 401}:
            raise PlatformError(Outcome.MISCONFIGURED, word(said.get("error")) or "no-token")
        outcome, code = classify(answer)
        raise PlatformError(Outcome.RETRY if outcome is Outcome.DONE else outcome, code or "no-token")

    def classify(self, answer: Answer) -> tuple[Outcome, str]:
        outcome, code = classify(answer)
        if outcome is Outcome.DONE:
            return outcome, code
        said = code_of(answer)
        if said == "request_limit_exceeded":
            return Outcome.RATE_LIMITED, said
        if said in AGAIN:
            return Outcome.RETRY, said
        return outcome, said or code

    def retry_after(self, answer: Answer, outcome: Outcome) -> float | None:
        asked = super().retry_after(answer, outcome)
        if asked is None and code_of(answer) == "request_limit_exceeded":
            return USED_UP  # of a pool of 24 hours; it does not say when there is room
        return asked

    def most(self, kind: str) -> int:
        # A person may have a record for each topic.
        records = max(len(self.mapping.pairs()), 1) if kind in {"leave", "consent", "window"} else 1
        return max(RECORDS // records, 1)

    # --- plan --------------------------------------------------------------------------------------------------------

    def plan(self, target: Target, since: Sequence[ChangeBatch]) -> list[Operation]:
        """Who she is, where that is new; what she leaves; what she wants; since when it is in effect; her fields."""
        email, told = target.identifiers.email, heard(target, since)
        if not email:
            return []
        out = is_out(target.state)
        yeses = {} if out else self.yeses(target, since)
        noes = {
            key: remote for key, remote in self.noes(target, since).items() if not target.subscribed(*key)
        }
        if out and told < target.state.version:
            noes = self.refusals(target)
        # Until it has answered with her key there is nothing to hang a consent on.
        known = bool(target.identifiers.remote.get(self.alias))
        values = self.field_values(target, since, everything=not known)
        operations = []
        first = not known and bool(yeses or noes or values or out)
        # What a no refers to must be there before it; nothing of these can be refused for what she told of herself.
        urgent = bool(noes or out)
        person, point = self._herself(target)
        # Who has been met may have been deleted over there since: her own new yes makes her anew, and nothing else does.
        met: Json = {"met": True} if known else {}
        anew: Json = {**met, "herself": [person, point]} if known else {}
        if target.again:
            # Told once more: she may have left over there since she said yes.
            given = self.said_at(target, since, yeses)
            anew["since"] = iso(given) if given else "0"  # nobody knows when: then before anything
        if first:
            operations.append(self._operation(target, "person", INDIVIDUAL, [person], restricts=urgent))
        if first or target.retired or getattr(since, "moved", False):
            # Until the address is the new one, the old one gets her mail.
            restricts = urgent or bool(target.retired)
            operations.append(self._operation(target, "point", POINT, [point], restricts=restricts, **met))
        refused = self.refuses(target, "email") and self.is_new(target, since, "choice::email")
        if (out and told < target.state.version) or refused:
            operations.append(self._channel(target, "OptOut", **met))
        if noes:
            records = [
                self._consent(target, since, key, remote, "OptOut") for key, remote in sorted(noes.items())
            ]
            operations.append(self._operation(target, "leave", CONSENT, records, restricts=True, **met))
        if yeses:
            # Whoever left mail, here or over there, and comes back.
            if {"opted_out", "choice::email"} & target.state.versions.keys():
                operations.append(self._channel(target, "OptIn", **anew))
            records = [
                self._consent(target, since, key, remote, "OptIn") for key, remote in sorted(yeses.items())
            ]
            operations.append(self._operation(target, "consent", CONSENT, records, **anew))
        if not out and (window := self._window(target, told, set(yeses))):
            operations.append(self._operation(target, "window", CONSENT, window, **met))
        misfits = self.mapping.misfits(target)
        if values or misfits:
            profile = {self.options["ID_FIELD"]: _key(target), **values}
            operations.append(
                self._operation(target, "profile", INDIVIDUAL, [profile], misfits=misfits, **met)
            )
        return operations

    def _herself(self, target: Target) -> tuple[Json, Json]:
        """The person, and the address that her consents are about. Nothing of hers stands in her name."""
        name = self.options["ID_FIELD"]
        key = _key(target)
        return (
            {name: key, "LastName": f"Preferences {key[:8]}"},
            {name: key, "EmailAddress": target.identifiers.email, "Parent": self._refer(INDIVIDUAL, key)},
        )

    def _operation(
        self,
        target: Target,
        kind: str,
        sobject: str,
        records: list[Json],
        *,
        restricts: bool = False,
        **more: Any,
    ) -> Operation:
        state = target.state
        payload = {"object": sobject, "records": records, "person": _key(target)}
        payload |= {name: value for name, value in more.items() if value}
        return Operation(self.key(target, kind), state.id, state.version, kind, payload, restricts)

    def _refer(self, sobject: str, key: str) -> Json:
        """Another record by its key: ids of Salesforce's own are never sent."""
        return {"attributes": {"type": sobject}, self.options["ID_FIELD"]: key}

    def _consent(
        self, target: Target, since: Sequence[ChangeBatch], key: Key, remote: str, status: str
    ) -> Json:
        given = self.said_at(target, since, [key])
        from_ = self._from(target, key) if status == "OptIn" else None
        record: Json = {
            self.options["ID_FIELD"]: f"{_key(target)}.{key[0]}.{key[1]}",
            "Name": f"{key[0]} ({key[1]})",
            "CommSubscriptionChannelTypeId": remote,
            "ContactPoint": self._refer(POINT, _key(target)),
            "PrivacyConsentStatus": status,
            "ConsentCapturedSource": self.evidence(target, *key),
            "ConsentCapturedDateTime": iso(given) if given else "",
            "EffectiveFromDate": from_ or (iso(given) if given else ""),
        }
        return record

    def _channel(self, target: Target, status: str, **more: Any) -> Operation:
        version = target.state.versions.get("opted_out", target.state.version)
        record: Json = {
            self.options["ID_FIELD"]: f"{_key(target)}.all.email",
            "Name": "E-mail",
            "Party": self._refer(INDIVIDUAL, _key(target)),
            "ContactPointType": "Email",
            "PrivacyConsentStatus": status,
            "CaptureContactPointType": "Web",
            "CaptureSource": f"prefs:{target.state.id}#{version}",
            "EffectiveFrom": "",
        }
        kind = "channel-out" if status == "OptOut" else "channel-in"
        return self._operation(target, kind, CHANNEL, [record], restricts=status == "OptOut", **more)

    def _window(self, target: Target, told: int, written: set[Key]) -> list[Json]:
        """Since when her older consents are in effect, where a pause of hers changed that: nothing else of them, so that
        who left over there is not brought back.
        """
        if told < 1 or not any(
            version > told for path, version in target.state.versions.items() if path.startswith("pause:")
        ):
            return []
        return [
            {
                self.options["ID_FIELD"]: f"{_key(target)}.{key[0]}.{key[1]}",
                "EffectiveFromDate": self._from(target, key) or "",
            }
            for key in self.mapping.pairs()
            if target.subscribed(*key) and key not in written
        ]

    def _from(self, target: Target, key: Key) -> str | None:
        """The end of the longest pause in force that concerns a topic."""
        pauses = [
            target.state.pauses[scope].until
            for scope in (("", ""), ("", key[1]), (key[0], ""))
            if scope in target.paused and scope in target.state.pauses
        ]
        return iso(max(pauses)) if pauses else None

    def keeps(self, concept: str, scope: Key, topic: str, channel: str) -> bool:
        return True if concept == "pause" else super().keeps(concept, scope, topic, channel)

    def describe_field(self, concept: str, topic: str, channel: str) -> str:
        if concept == "pause":
            return "EffectiveFromDate"
        return super().describe_field(concept, topic, channel)

    # --- execute -----------------------------------------------------------------------------------------------------

    def send(self, batch: Sequence[Operation]) -> list[Result]:
        sobject = batch[0].payload["object"]
        left = self._left_since(batch)
        records = [
            [each for each in operation.payload["records"] if each[self.options["ID_FIELD"]] not in left]
            for operation in batch
        ]
        verdicts = self._upsert(sobject, records)
        gone = self._gone(batch, verdicts)
        for number in gone:
            verdicts[number] = Verdict()  # nobody is there, and nothing but a yes makes her anew
        back = [number for number in gone if "herself" in batch[number].payload]
        if back:
            for position, each in enumerate((INDIVIDUAL, POINT)):
                self._upsert(each, [[batch[number].payload["herself"][position]] for number in back])
            said = self._upsert(sobject, [records[number] for number in back])
            for number, verdict in zip(back, said, strict=True):
                verdicts[number] = verdict
        results = []
        for operation, verdict, written in zip(batch, verdicts, records, strict=True):
            if len(written) < len(operation.payload["records"]) and verdict.outcome is Outcome.DONE:
                verdict = Verdict(Outcome.REFUSED, "left-over-there")  # noqa: PLW2901
            # With her contact point there is all that a consent refers to.
            met = operation.kind == "point" and verdict.outcome is Outcome.DONE
            person = operation.payload["person"] if met else ""
            results.append(Result(operation.key, verdict.outcome, verdict.code, remote_id=person))
        return results

    def _left_since(self, batch: Sequence[Operation]) -> set[str]:
        """The keys of what became a no over there after she had said the yes that is told once more."""
        field = self.options["ID_FIELD"]
        asked = {
            record[field]: operation.payload["since"]
            for operation in batch
            if "since" in operation.payload
            for record in operation.payload["records"]
        }
        found = [
            each
            for keys in _batched(sorted(asked), KEYS)
            for each in self.query(
                f"SELECT {field}, SystemModstamp FROM {batch[0].payload['object']} WHERE {field} IN ({_listed(keys)}) "
                "AND PrivacyConsentStatus = 'OptOut'"
            )
        ]
        return {
            str(each.get(field))
            for each in found
            if iso(moment_of(each.get("SystemModstamp")) or timezone.now())
            > asked.get(str(each.get(field)), "")
        }

    def _gone(self, batch: Sequence[Operation], verdicts: Sequence[Verdict]) -> list[int]:
        """The places of those who were met, and have been deleted over there since. It is looked up: a field that is hidden
        from us gives the same error, and a no to somebody who is there must be said.
        """
        found, asked = [], []
        for number, (operation, verdict) in enumerate(zip(batch, verdicts, strict=True)):
            if "met" not in operation.payload:
                continue
            if operation.kind in {"profile", "window"}:
                if verdict.code == "required_field_missing":
                    found.append(number)
            elif verdict.code in _NOBODY:
                asked.append(number)
        if not asked:
            return found
        field, refers = self.options["ID_FIELD"], _REFERS[batch[0].payload["object"]]
        people = [batch[number].payload["person"] for number in asked]
        there = {
            each.get(field)
            for some in _batched(people, KEYS)
            for each in self.query(f"SELECT {field} FROM {refers} WHERE {field} IN ({_listed(some)})")
        }
        return [*found, *(number for number in asked if batch[number].payload["person"] not in there)]

    def _upsert(self, sobject: str, groups: Sequence[Sequence[Json]]) -> list[Verdict]:
        """Write records by their keys; what is said of each group of them: the worst."""
        now = iso(timezone.now())
        records = [
            {"attributes": {"type": sobject}, **_dated(record, now)} for group in groups for record in group
        ]
        if not records:
            return [Verdict() for _ in groups]
        path = f"{self.data}/composite/sobjects{self.path(sobject, self.options['ID_FIELD'])}"
        said = self.call("PATCH", path, json={"allOrNone": False, "records": records}).json()
        if not isinstance(said, list) or len(said) != len(records):
            raise PlatformError(Outcome.RETRY, "unexpected-answer")
        answers = iter(said)
        return [worst([verdict_of(next(answers)) for _ in group]) for group in groups]

    # --- read, erase -------------------------------------------------------------------------------------------------

    def read(self, contact: Target) -> RemoteState | None:
        field = self.options["ID_FIELD"]
        person = _key(contact)
        names = [*self.mapping.attribute_names().values(), *self.frequency_fields.values()]
        found = self.query(
            f"SELECT {', '.join([field, *names])} FROM {INDIVIDUAL} WHERE {field} = '{person}'"
        )
        if not found:
            return None
        keys = {f"{person}.{topic}.{channel}": (topic, channel) for topic, channel in self.mapping.pairs()}
        wanted = ", ".join(f"'{key}'" for key in keys)
        consents = self.query(
            f"SELECT {field}, PrivacyConsentStatus, EffectiveFromDate FROM {CONSENT} WHERE {field} IN ({wanted})"
        )
        choices: dict[Key, str] = {}
        ends: dict[Key, datetime] = {}
        now = timezone.now()
        for consent in consents:
            key = keys.get(str(consent.get(field)))
            status = {"OptIn": SUBSCRIBED, "OptOut": UNSUBSCRIBED}.get(
                str(consent.get("PrivacyConsentStatus"))
            )
            if key is None or status is None:
                continue
            choices[key] = status
            begins = moment_of(consent.get("EffectiveFromDate"))
            if status == SUBSCRIBED and begins is not None and begins > now:
                ends[key] = begins
        channels = self.query(
            f"SELECT PrivacyConsentStatus FROM {CHANNEL} WHERE {field} = '{person}.all.email'"
        )
        left = any(each.get("PrivacyConsentStatus") == "OptOut" for each in channels)
        frequencies, _pauses, attributes = self.read_fields(found[0], contact)
        out: bool | None = left
        if left and not is_out(contact.state):
            # She left e-mail over there, and may want what comes otherwise.
            out, choices = None, {key: said for key, said in choices.items() if said == UNSUBSCRIBED}
        return RemoteState(
            opted_out=out,
            choices=choices,
            frequencies=frequencies,
            pauses=self._pauses(contact, ends),
            attributes=attributes,
        )

    def _pauses(self, contact: Target, ends: Mapping[Key, datetime]) -> dict[Key, datetime | None]:
        """The pauses that consents are not yet in effect for: hers with their scope where they say so, else the topic's."""
        found: dict[Key, datetime | None] = {}
        for key, end in ends.items():
            hers = [
                scope
                for scope in (("", ""), ("", key[1]), (key[0], ""))
                if scope in contact.state.pauses
                and abs(contact.state.pauses[scope].until - end) < timedelta(seconds=1)
            ]
            found[hers[0] if hers else (key[0], "")] = end
        return found

    def erase(self, identifiers: Identifiers) -> Result:
        """Delete what we wrote of her: consents, contact point, individual. Contacts and leads of your own stay."""
        key = f"{self.alias}-erase"
        return self.attempt(key, lambda: self._erase(identifiers))

    def _erase(self, identifiers: Identifiers) -> None:
        field = self.options["ID_FIELD"]
        people = {identifiers.remote.get(self.alias, "")}
        if people == {""} and identifiers.email:
            # Written, and its answer was lost. Else an address is not looked for: it may be of another audience, too.
            address = quoted(identifiers.email)
            query = f"SELECT {field} FROM {POINT} WHERE EmailAddress = '{address}' AND {field} != null"
            people |= {str(each.get(field)) for each in self.query(query)}
        for person in sorted(filter(PERSON.fullmatch, people)):
            for sobject in OBJECTS:
                where = (
                    f"{field} = '{person}'"
                    if sobject in {POINT, INDIVIDUAL}
                    else f"{field} LIKE '{person}.%'"
                )
                self._delete(
                    [str(each.get("Id")) for each in self.query(f"SELECT Id FROM {sobject} WHERE {where}")]
                )

    def _delete(self, ids: Iterable[str]) -> None:
        named = [each for each in ids if ID.fullmatch(each)]
        for start in range(0, len(named), RECORDS):
            query = {"ids": ",".join(named[start : start + RECORDS]), "allOrNone": "false"}
            said = self.call("DELETE", f"{self.data}/composite/sobjects", query=query).json()
            verdicts = [verdict_of(each) for each in said] if isinstance(said, list) else []
            left = worst([each for each in verdicts if each.code != "entity_is_deleted"])
            if not verdicts or left.outcome is not Outcome.DONE:
                raise PlatformError(Outcome.RETRY, left.code or "unexpected-answer")

    def query(self, soql: str) -> list[Json]:
        """The records that a question finds."""
        return records_of(self.ask(soql))

    def ask(self, soql: str) -> Answer:
        return self.call("GET", f"{self.data}/query", query={"q": soql})

    # --- inbound, check ----------------------------------------------------------------------------------------------

    def poll(self, cursor: str) -> Polled:
        return news(self, cursor)

    def check(self) -> list[Problem]:
        return super().check() or problems_of(self)

    def _names(self) -> list[str]:
        return [*self.mapping.attribute_names().values(), *self.frequency_fields.values()]


def _key(target: Target) -> str:
    return person_key(target.state.id)


def person_key(contact: UUID) -> str:
    """What Salesforce knows a contact of ours by: nothing of hers is in it, and it stays when her address changes."""
    return hashlib.sha256(f"wagtail-prefs:{contact}".encode()).hexdigest()[:40]


def _listed(keys: Iterable[str]) -> str:
    """Keys of ours, as SOQL has a list of them."""
    return ", ".join(f"'{key}'" for key in keys)


def _batched(items: Sequence[str], size: int) -> Iterator[Sequence[str]]:
    for start in range(0, len(items), size):
        yield items[start : start + size]


def _dated(record: Json, now: str) -> Json:
    """With the moment of the call where nobody knows when: these dates must not be empty."""
    return {name: now if value == "" and name in _DATES else _empty(value) for name, value in record.items()}


_DATES = {"ConsentCapturedDateTime", "EffectiveFromDate", "EffectiveFrom"}


def _empty(value: Any) -> Any:
    return ";".join(map(str, value)) if isinstance(value, list) else value
