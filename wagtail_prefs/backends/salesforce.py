"""Salesforce core over its REST API: consent objects by external ids (docs/how-to/connect-salesforce.md).

Written from public documentation and held against a contract of our own (example_site/platforms/contracts/salesforce.yaml);
not tried against the platform itself.

A person is an `Individual` with a `ContactPointEmail`; a topic is a `CommSubscriptionConsent` on a channel type, with status,
moment and source; to leave e-mail is a `ContactPointTypeConsent`. Each is found by a key that we write, and never by an
address. A pause is the day from which a consent is in effect: the consent itself stays as it is.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Iterable, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any, ClassVar
from urllib.parse import urlencode
from uuid import UUID

from django.utils import timezone

from ..changes import SetChoice
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

#: Records of a call, and of a page of a query.
RECORDS, PAGE = 200, 200
INDIVIDUAL, POINT = "Individual", "ContactPointEmail"
CONSENT, CHANNEL = "CommSubscriptionConsent", "ContactPointTypeConsent"
#: In the order in which they are deleted: what refers to something goes before it.
OBJECTS = (CONSENT, CHANNEL, POINT, INDIVIDUAL)
_HOST = re.compile(r"https://[a-z0-9-]+(--[a-z0-9-]+)?(\.sandbox|\.develop|\.scratch)?\.my\.salesforce\.com")
_ID = re.compile(r"[A-Za-z0-9]{15}([A-Za-z0-9]{3})?")
_FIELD = re.compile(r"[A-Za-z][A-Za-z0-9_]{0,40}__c")
_VERSION = re.compile(r"v\d{2,3}\.0")
_PERSON = re.compile(r"[0-9a-f]{40}")
_STAMP = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z")
#: Errors of a record that refers to one which is not there.
_NOBODY = {"invalid_field", "invalid_cross_reference_key", "entity_is_deleted"}
_REFERS = {CONSENT: POINT, CHANNEL: INDIVIDUAL, POINT: INDIVIDUAL}
#: Errors of a record after which the same may go well.
_AGAIN = {"unable_to_lock_row", "server_unavailable", "query_timeout"}
#: How long the day's pool of calls is left alone when it is used up (seconds).
USED_UP = 3600.0
#: How far back the first question for news goes.
FIRST = timedelta(days=1)


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
            if not _ID.fullmatch(remote):
                raise self._wrong("TOPICS", f"names channel types by their record ids, not {remote}")
        for topic in self.mapping.topics():
            if "." in topic:
                raise self._wrong("TOPICS", "has keys without a dot")

    @property
    def base_url(self) -> str:
        url: str = self.options["URL"] or self.options["INSTANCE"]
        return url

    @property
    def _data(self) -> str:
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
        said = _said(answer)
        if said == "request_limit_exceeded":
            return Outcome.RATE_LIMITED, said
        if said in _AGAIN:
            return Outcome.RETRY, said
        return outcome, said or code

    def retry_after(self, answer: Answer, outcome: Outcome) -> float | None:
        asked = super().retry_after(answer, outcome)
        if asked is None and _said(answer) == "request_limit_exceeded":
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
        if first:
            operations.append(self._operation(target, "person", INDIVIDUAL, [person], restricts=urgent))
        if first or target.retired or getattr(since, "moved", False):
            # Until the address is the new one, the old one gets her mail.
            restricts = urgent or bool(target.retired)
            operations.append(self._operation(target, "point", POINT, [point], restricts=restricts, **met))
        if out and told < target.state.version:
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
            "ConsentCapturedDateTime": _iso(given) if given else "",
            "EffectiveFromDate": from_ or (_iso(given) if given else ""),
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
        return _iso(max(pauses)) if pauses else None

    def keeps(self, concept: str, scope: Key, topic: str, channel: str) -> bool:
        return True if concept == "pause" else super().keeps(concept, scope, topic, channel)

    def describe_field(self, concept: str, topic: str, channel: str) -> str:
        if concept == "pause":
            return "EffectiveFromDate"
        return super().describe_field(concept, topic, channel)

    # --- execute -----------------------------------------------------------------------------------------------------

    def send(self, batch: Sequence[Operation]) -> list[Result]:
        sobject = batch[0].payload["object"]
        verdicts = self._upsert(sobject, [operation.payload["records"] for operation in batch])
        gone = self._gone(batch, verdicts)
        for number in gone:
            verdicts[number] = Verdict()  # nobody is there, and nothing but a yes makes her anew
        back = [number for number in gone if "herself" in batch[number].payload]
        if back:
            for position, each in enumerate((INDIVIDUAL, POINT)):
                self._upsert(each, [[batch[number].payload["herself"][position]] for number in back])
            said = self._upsert(sobject, [batch[number].payload["records"] for number in back])
            for number, verdict in zip(back, said, strict=True):
                verdicts[number] = verdict
        results = []
        for operation, verdict in zip(batch, verdicts, strict=True):
            # With her contact point there is all that a consent refers to.
            met = operation.kind == "point" and verdict.outcome is Outcome.DONE
            person = operation.payload["person"] if met else ""
            results.append(Result(operation.key, verdict.outcome, verdict.code, remote_id=person))
        return results

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
        people = ", ".join(f"'{batch[number].payload['person']}'" for number in asked)
        there = {
            each.get(field)
            for each in self._query(f"SELECT {field} FROM {refers} WHERE {field} IN ({people})")
        }
        return [*found, *(number for number in asked if batch[number].payload["person"] not in there)]

    def _upsert(self, sobject: str, groups: Sequence[Sequence[Json]]) -> list[Verdict]:
        """Write records by their keys; what is said of each group of them: the worst."""
        now = _iso(timezone.now())
        records = [
            {"attributes": {"type": sobject}, **_dated(record, now)} for group in groups for record in group
        ]
        path = f"{self._data}/composite/sobjects{self.path(sobject, self.options['ID_FIELD'])}"
        said = self.call("PATCH", path, json={"allOrNone": False, "records": records}).json()
        if not isinstance(said, list) or len(said) != len(records):
            raise PlatformError(Outcome.RETRY, "unexpected-answer")
        answers = iter(said)
        return [_worst([_verdict(next(answers)) for _ in group]) for group in groups]

    # --- read, erase -------------------------------------------------------------------------------------------------

    def read(self, contact: Target) -> RemoteState | None:
        field = self.options["ID_FIELD"]
        person = _key(contact)
        names = [*self.mapping.attribute_names().values(), *self.frequency_fields.values()]
        found = self._query(
            f"SELECT {', '.join([field, *names])} FROM {INDIVIDUAL} WHERE {field} = '{person}'"
        )
        if not found:
            return None
        keys = {f"{person}.{topic}.{channel}": (topic, channel) for topic, channel in self.mapping.pairs()}
        wanted = ", ".join(f"'{key}'" for key in keys)
        consents = self._query(
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
            begins = _moment(consent.get("EffectiveFromDate"))
            if status == SUBSCRIBED and begins is not None and begins > now:
                ends[key] = begins
        channels = self._query(
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
        if identifiers.email:
            address = _quoted(identifiers.email)
            query = f"SELECT {field} FROM {POINT} WHERE EmailAddress = '{address}' AND {field} != null"
            people |= {str(each.get(field)) for each in self._query(query)}
        for person in sorted(filter(_PERSON.fullmatch, people)):
            for sobject in OBJECTS:
                where = (
                    f"{field} = '{person}'"
                    if sobject in {POINT, INDIVIDUAL}
                    else f"{field} LIKE '{person}.%'"
                )
                self._delete(
                    [str(each.get("Id")) for each in self._query(f"SELECT Id FROM {sobject} WHERE {where}")]
                )

    def _delete(self, ids: Iterable[str]) -> None:
        named = [each for each in ids if _ID.fullmatch(each)]
        for start in range(0, len(named), RECORDS):
            query = {"ids": ",".join(named[start : start + RECORDS]), "allOrNone": "false"}
            said = self.call("DELETE", f"{self._data}/composite/sobjects", query=query).json()
            verdict = _worst([_verdict(each) for each in said if isinstance(each, dict)])
            if verdict.outcome is not Outcome.DONE and verdict.code != "entity_is_deleted":
                raise PlatformError(Outcome.RETRY, verdict.code)

    def _query(self, soql: str) -> list[Json]:
        said = self.call("GET", f"{self._data}/query", query={"q": soql}).json()
        records = said.get("records") if isinstance(said, dict) else None
        if not isinstance(records, list):
            raise PlatformError(Outcome.RETRY, "unexpected-answer")
        return [record for record in records if isinstance(record, dict)]

    # --- inbound -----------------------------------------------------------------------------------------------------

    def poll(self, cursor: str) -> Polled:
        """Consents of ours that became a no; `cursor` is how far each object was read: moment and id."""
        positions = _positions(cursor)
        events: list[InboundEvent] = []
        more = False
        for sobject in (CONSENT, CHANNEL):
            stamp, last = positions[sobject]
            found = self._query(self._news(sobject, stamp, last))
            events += filter(None, map(self._event, found))
            if found:
                positions[sobject] = [
                    _stamp(found[-1].get("SystemModstamp")) or stamp,
                    str(found[-1].get("Id", "")),
                ]
            more = more or len(found) >= PAGE
        return Polled(tuple(events), json.dumps(positions), more=more)

    def _news(self, sobject: str, stamp: str, last: str) -> str:
        field = self.options["ID_FIELD"]
        later = f"SystemModstamp > {stamp}"
        if last:
            later = f"({later} OR (SystemModstamp = {stamp} AND Id > '{last}'))"
        return (
            f"SELECT Id, {field}, PrivacyConsentStatus, SystemModstamp FROM {sobject} WHERE {later} "
            f"AND {field} != null AND PrivacyConsentStatus = 'OptOut' ORDER BY SystemModstamp, Id LIMIT {PAGE}"
        )

    def _event(self, record: Json) -> InboundEvent | None:
        person, _, rest = str(record.get(self.options["ID_FIELD"])).partition(".")
        topic, _, channel = rest.rpartition(".")
        if not _PERSON.fullmatch(person) or channel not in self.capabilities.channels or not topic:
            return None
        if topic != "all" and (topic, channel) not in self.mapping.pairs():
            return None
        return InboundEvent(
            event_id=f"{record.get('Id')} {record.get('SystemModstamp')}",
            identifiers=Identifiers(remote={self.alias: person}),
            changes=(SetChoice("" if topic == "all" else topic, channel, UNSUBSCRIBED),),
            at=_moment(record.get("SystemModstamp")),
        )

    # --- check -------------------------------------------------------------------------------------------------------

    def check(self) -> list[Problem]:
        problems = super().check()
        if problems:
            return problems
        try:
            self.headers()
            for sobject in OBJECTS:
                problems += self._check_object(sobject)
            if not problems:
                problems += self._check_types()
        except PlatformError as error:
            problems.append(self._error(_TROUBLE.get(error.code, f"gives no answer ({error.code}).")))
        return problems

    def _check_object(self, sobject: str) -> list[Problem]:
        path = f"{self._data}/sobjects{self.path(sobject)}/describe"
        answer = self.call("GET", path, accept={404})
        if answer.status == 404:
            return [
                self._error(
                    f'does not show {sobject}. Switch on "Make data protection details available in records" (Setup > '
                    "Data Protection and Privacy), and let the integration user read and edit it."
                )
            ]
        said = answer.json()
        fields = {
            str(field.get("name")): field for field in (said.get("fields") or []) if isinstance(field, dict)
        }
        name = self.options["ID_FIELD"]
        key = fields.get(name)
        if key is None or not (key.get("externalId") and key.get("unique")):
            return [
                self._error(
                    f"has no field {name} on {sobject} that is a text of 120 letters, unique, and an external id. Make "
                    "it there (Setup > Object Manager), and let the integration user edit it."
                )
            ]
        if sobject != INDIVIDUAL:
            return []
        return [
            self._error(
                f"has no field {wanted} on {INDIVIDUAL}, which holds {what}. Make it there (Setup > Object Manager), and "
                "let the integration user edit it."
            )
            for wanted, what in self._wanted().items()
            if wanted not in fields
        ]

    def _check_types(self) -> list[Problem]:
        wanted = ", ".join(f"'{remote}'" for remote in self.mapping.pairs().values())
        known = (
            {
                str(each.get("Id"))[:15]
                for each in self._query(f"SELECT Id FROM CommSubscriptionChannelType WHERE Id IN ({wanted})")
            }
            if wanted
            else set()
        )
        return [
            self._error(
                f'has no communication subscription channel type {remote}, which TOPICS names for "{topic}". Make a '
                "Communication Subscription and a channel type of it for e-mail, and take the id from its address."
            )
            for (topic, _channel), remote in self.mapping.pairs().items()
            if remote[:15] not in known
        ]

    def _wanted(self) -> dict[str, str]:
        return {
            **{remote: f'the attribute "{name}"' for name, remote in self.mapping.attribute_names().items()},
            **dict.fromkeys(self.frequency_fields.values(), "how often people want mail"),
        }

    def _names(self) -> list[str]:
        return [*self.mapping.attribute_names().values(), *self.frequency_fields.values()]

    def _error(self, text: str) -> Problem:
        return Problem("error", f'Salesforce ("{self.alias}") {text}')


#: What `check` says of an error.
_TROUBLE = {
    "invalid_client": "does not take CLIENT_ID and CLIENT_SECRET: see the connected app.",
    "invalid_client_id": "does not know CLIENT_ID: see the connected app.",
    "invalid_grant": "gives no token: let the connected app use the client credentials flow, with a user to run as.",
    "dns": "cannot be found: is INSTANCE your My Domain?",
    "connection": "cannot be reached.",
}


def _key(target: Target) -> str:
    return person_key(target.state.id)


def person_key(contact: UUID) -> str:
    """What Salesforce knows a contact of ours by: nothing of hers is in it, and it stays when her address changes."""
    return hashlib.sha256(f"wagtail-prefs:{contact}".encode()).hexdigest()[:40]


def _dated(record: Json, now: str) -> Json:
    """With the moment of the call where nobody knows when: these dates must not be empty."""
    return {name: now if value == "" and name in _DATES else _empty(value) for name, value in record.items()}


_DATES = {"ConsentCapturedDateTime", "EffectiveFromDate", "EffectiveFrom"}


def _empty(value: Any) -> Any:
    return ";".join(map(str, value)) if isinstance(value, list) else value


def _verdict(said: Any) -> Verdict:
    """What a call says of one record."""
    if not isinstance(said, dict) or not isinstance(said.get("success"), bool):
        return Verdict(Outcome.RETRY, "unexpected-answer")
    if said["success"]:
        return Verdict()
    errors = said.get("errors")
    first = errors[0] if isinstance(errors, list) and errors and isinstance(errors[0], dict) else {}
    code = word(first.get("statusCode")) or "refused"
    return Verdict(Outcome.RETRY if code in _AGAIN else Outcome.REFUSED, code)


def _worst(verdicts: Sequence[Verdict]) -> Verdict:
    for outcome in (Outcome.RETRY, Outcome.REFUSED):
        for verdict in verdicts:
            if verdict.outcome is outcome:
                return verdict
    return Verdict()


def _said(answer: Answer) -> str:
    """The code of an error: `[{"message", "errorCode"}]`. The message may hold anything."""
    try:
        said = answer.json()
    except PlatformError:
        return ""
    first = said[0] if isinstance(said, list) and said else {}
    return word(first.get("errorCode")) if isinstance(first, dict) else ""


def _quoted(text: str) -> str:
    """A text as it stands between quotes in SOQL."""
    return text.replace("\\", "\\\\").replace("'", "\\'")


def _positions(cursor: str) -> dict[str, list[str]]:
    first = [_iso(timezone.now() - FIRST), ""]
    found = {CONSENT: list(first), CHANNEL: list(first)}
    try:
        given = json.loads(cursor)
        for sobject in found:
            stamp, last = given[sobject]
            if _STAMP.fullmatch(stamp) and (not last or _ID.fullmatch(last)):
                found[sobject] = [stamp, last]
    except (ValueError, TypeError, KeyError):
        pass
    return found


def _iso(moment: datetime) -> str:
    return moment.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%S.") + f"{moment.microsecond // 1000:03d}Z"


def _stamp(value: object) -> str:
    moment = _moment(value)
    return _iso(moment) if moment else ""


def _moment(value: object) -> datetime | None:
    """`2026-11-22T09:30:00.000+0000`, as Salesforce writes it."""
    if not isinstance(value, str):
        return None
    try:
        moment = datetime.fromisoformat(re.sub(r"([+-]\d\d)(\d\d)$", r"\1:\2", value))
    except ValueError:
        return None
    return moment.astimezone(UTC) if moment.tzinfo else moment.replace(tzinfo=UTC)
