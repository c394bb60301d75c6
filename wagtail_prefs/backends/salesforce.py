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
from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
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
from .answers import Answer, classify, word
from .base import Option, PlatformError
from .desired import is_out
from .fields import FieldsBackend, has_moved, heard_of_her, local_day, moment_of
from .salesforce_answers import (
    AGAIN,
    CHANNEL,
    CONSENT,
    ID,
    INDIVIDUAL,
    LIMIT,
    MOVED,
    OBJECTS,
    PERSON,
    POINT,
    code_of,
    is_block,
    is_crowd,
    iso,
    records_of,
    verdict_of,
    worst,
)
from .salesforce_checks import problems_of
from .salesforce_inbound import news
from .salesforce_writing import NOW, RECORDS, ask, write

_HOST = re.compile(r"https://[a-z0-9-]+(--[a-z0-9-]+)?(\.sandbox|\.develop|\.scratch)?\.my\.salesforce\.com")
_FIELD = re.compile(r"[A-Za-z][A-Za-z0-9_]{0,40}__c")
_VERSION = re.compile(r"v\d{2,3}\.0")
#: How long it is left alone (seconds): when the pool of 24 hours is used up, which does not say when there is room; when
#: too many calls go on at the same time.
USED_UP, CROWD = 3600.0, 10.0


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
        if said == LIMIT:
            return Outcome.RATE_LIMITED, said
        if said in AGAIN:
            return Outcome.RETRY, said
        return outcome, said or code

    def retry_after(self, answer: Answer, outcome: Outcome) -> float | None:
        asked = super().retry_after(answer, outcome)
        if asked is None and code_of(answer) == LIMIT:
            return CROWD if is_crowd(answer) else USED_UP
        return asked

    def most(self, kind: str) -> int:
        # A person may have a record for each topic.
        records = max(len(self.mapping.pairs()), 1) if kind in {"leave", "consent", "window"} else 1
        return max(RECORDS // records, 1)

    # --- plan --------------------------------------------------------------------------------------------------------

    def known_as(self, contact: UUID) -> str:
        return person_key(contact)

    def stays(self, target: Target) -> bool:
        return bool(target.identifiers.remote.get(self.alias))  # our key, which it has answered with

    def heard(self, target: Target, since: Sequence[ChangeBatch]) -> int:
        # Her noes stay with her as well: it is the address that is new, and nothing that she said before.
        return heard_of_her(target, since) if self.stays(target) else super().heard(target, since)

    def plan(self, target: Target, since: Sequence[ChangeBatch]) -> list[Operation]:
        """Who she is, where that is new; what she leaves; what she wants; since when it is in effect; her fields."""
        email, told = target.identifiers.email, self.heard(target, since)
        if not email:
            return []
        out = is_out(target.state)
        leaves = out and target.state.versions.get("opted_out", target.state.version) > told
        yeses = {} if out else self.yeses(target, since)
        noes = {
            key: remote for key, remote in self.noes(target, since).items() if not target.subscribed(*key)
        }
        if leaves:
            noes = self.refusals(target)
        # Until it has answered with her key there is nothing to hang a consent on.
        met = self.stays(target)
        moved = met and has_moved(target, since)
        values = self.field_values(target, since, everything=not met)
        operations = []
        first = not met and bool(yeses or noes or values or out)
        # What a no refers to must be there before it; nothing of these can be refused for what she told of herself.
        urgent = bool(noes or out)
        person, point = self._herself(target)
        # Who has been met may have been deleted over there since: her own new yes makes her anew, and nothing else does.
        here: Json = {"met": met}
        yes: Json = {
            **here,
            "ours": _source(target),
            "address": email if moved else "",
            "anew": self._anew(target, since) if met else {},
        }
        if first:
            operations.append(self._operation(target, "person", INDIVIDUAL, [person], restricts=urgent))
        if first or has_moved(target, since):
            # Until the address is the new one, the old one gets her mail.
            block = self._channel(target, target.state.version, "", MOVED) if moved else {}
            restricts = urgent or bool(target.retired)
            operations.append(
                self._operation(target, "point", POINT, [point], restricts=restricts, block=block, **here)
            )
        if leaves or self.leaves_channel(target, since, "email"):
            path = "opted_out" if out else "choice::email"
            version = target.state.versions.get(path, target.state.version)
            record = self._channel(target, version, _moment(moment_of(since, version)), " OptOut")
            operations.append(
                self._operation(target, "channel-out", CHANNEL, [record], restricts=True, **here)
            )
        if noes:
            records = self._consents(target, since, noes, "OptOut")
            operations.append(self._operation(target, "leave", CONSENT, records, restricts=True, **here))
        if yeses:
            said = {key: _moment(self.said_at(target, since, [key])) for key in yeses}
            # Whoever left mail, here or over there, and comes back.
            if {"opted_out", "choice::email"} & target.state.versions.keys():
                newest = max(target.state.versions.get(f"choice:{key[0]}:{key[1]}", 0) for key in yeses)
                at = _moment(self.said_at(target, since, yeses))
                record = self._channel(target, newest, at, " OptIn")
                operations.append(
                    self._operation(
                        target, "channel-in", CHANNEL, [record], **yes, said={self._id_of(record): at}
                    )
                )
            records = self._consents(target, since, yeses, "OptIn")
            moments = {_consent_key(target, key): at for key, at in said.items()}
            operations.append(self._operation(target, "consent", CONSENT, records, **yes, said=moments))
        if not out and (window := self._window(target, told, set(yeses))):
            operations.append(self._operation(target, "window", CONSENT, window, **here))
        misfits = self.mapping.misfits(target)
        if values or misfits:
            profile = {self.options["ID_FIELD"]: _key(target), **values}
            operations.append(
                self._operation(target, "profile", INDIVIDUAL, [profile], misfits=misfits, **here)
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

    def _anew(self, target: Target, since: Sequence[ChangeBatch]) -> Json:
        """All of her that a yes brings back where she was deleted: also what she refuses, and her fields."""
        person, point = self._herself(target)
        values = self.field_values(target, since, everything=True)
        return {
            "person": person,
            "point": point,
            "noes": self._consents(target, since, self.refusals(target), "OptOut"),
            "fields": {self.options["ID_FIELD"]: _key(target), **values} if values else {},
        }

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
        """`more` as `salesforce_writing` has it; what is empty is left out."""
        state = target.state
        payload = {"object": sobject, "records": records, "person": _key(target)}
        payload |= {name: value for name, value in more.items() if value}
        return Operation(self.key(target, kind), state.id, state.version, kind, payload, restricts)

    def _id_of(self, record: Json) -> str:
        key: str = record[self.options["ID_FIELD"]]
        return key

    def _refer(self, sobject: str, key: str) -> Json:
        """Another record by its key: ids of Salesforce's own are never sent."""
        return {"attributes": {"type": sobject}, self.options["ID_FIELD"]: key}

    def _consents(
        self, target: Target, since: Sequence[ChangeBatch], keys: Mapping[Key, str], status: str
    ) -> list[Json]:
        return [self._consent(target, since, key, remote, status) for key, remote in sorted(keys.items())]

    def _consent(
        self, target: Target, since: Sequence[ChangeBatch], key: Key, remote: str, status: str
    ) -> Json:
        given = self.said_at(target, since, [key])
        day = local_day(given, target.state.timezone) if given else ""
        if not day and any(path.startswith("pause:") for path in target.state.versions):
            day = NOW  # the day over there may be the end of a pause that is over
        record: Json = {
            self.options["ID_FIELD"]: _consent_key(target, key),
            "Name": f"{key[0]} ({key[1]})",
            "CommSubscriptionChannelTypeId": remote,
            "ContactPoint": self._refer(POINT, _key(target)),
            "PrivacyConsentStatus": status,
            "ConsentCapturedSource": f"{self.evidence(target, *key)} {status}",
            "ConsentCapturedDateTime": _moment(given),
            "EffectiveFromDate": day,
        }
        if status == "OptIn":
            record |= {"EffectiveFromDate": self._from(target, key) or day, "EffectiveToDate": None}
        return record

    def _channel(self, target: Target, version: int, at: str, ends: str) -> Json:
        """What she wants of e-mail as a whole; `ends` is the end of its source, and its status: a block is a no."""
        return {
            self.options["ID_FIELD"]: f"{_key(target)}.all.email",
            "Name": "E-mail",
            "Party": self._refer(INDIVIDUAL, _key(target)),
            "ContactPointType": "Email",
            "PrivacyConsentStatus": "OptIn" if ends == " OptIn" else "OptOut",
            "CaptureContactPointType": "Web",
            "CaptureDate": at,
            "CaptureSource": f"{_source(target)}{version}{ends}",
            "EffectiveFrom": at,
        }

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
                self.options["ID_FIELD"]: _consent_key(target, key),
                "EffectiveFromDate": self._from(target, key) or NOW,
            }
            for key in self.mapping.pairs()
            if target.subscribed(*key) and key not in written
        ]

    def _from(self, target: Target, key: Key) -> str | None:
        """The day on which the longest pause in force that concerns a topic ends."""
        pauses = [
            target.state.pauses[scope].until
            for scope in _scopes_of(key)
            if scope in target.paused and scope in target.state.pauses
        ]
        return local_day(max(pauses), target.state.timezone) if pauses else None

    def keeps(self, concept: str, scope: Key, topic: str, channel: str) -> bool:
        return True if concept == "pause" else super().keeps(concept, scope, topic, channel)

    def describe_field(self, concept: str, topic: str, channel: str) -> str:
        if concept == "pause":
            return "EffectiveFromDate"
        return super().describe_field(concept, topic, channel)

    # --- execute -----------------------------------------------------------------------------------------------------

    def send(self, batch: Sequence[Operation]) -> list[Result]:
        return write(self, batch)

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
        keys = {_consent_key(contact, key): key for key in self.mapping.pairs()}
        consents = ask(
            self, f"{field}, PrivacyConsentStatus, EffectiveFromDate, EffectiveToDate", CONSENT, keys
        )
        choices: dict[Key, str] = {}
        ends: dict[Key, str] = {}
        today = local_day(timezone.now(), contact.state.timezone)
        for consent in consents:
            key = keys.get(str(consent.get(field)))
            status = {"OptIn": SUBSCRIBED, "OptOut": UNSUBSCRIBED}.get(
                str(consent.get("PrivacyConsentStatus"))
            )
            if key is None or status is None:
                continue
            begins, ended = (str(consent.get(f"Effective{name}Date") or "") for name in ("From", "To"))
            if ended and ended < today:
                status = UNSUBSCRIBED
            choices[key] = status
            if status == SUBSCRIBED and begins > today:
                ends[key] = begins
        channels = ask(self, "PrivacyConsentStatus, CaptureSource", CHANNEL, [f"{person}.all.email"])
        left = any(
            each.get("PrivacyConsentStatus") == "OptOut" and not is_block(each.get("CaptureSource"))
            for each in channels
        )
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

    def _pauses(self, contact: Target, ends: Mapping[Key, str]) -> dict[Key, datetime | None]:
        """The pauses that consents are not yet in effect for: hers with their scope where they say so, else the topic's."""
        found: dict[Key, datetime | None] = {}
        state = contact.state
        for key, day in ends.items():
            hers = [
                scope
                for scope in _scopes_of(key)
                if scope in state.pauses and local_day(state.pauses[scope].until, state.timezone) == day
            ]
            if hers:
                found[hers[0]] = state.pauses[hers[0]].until
            elif (until := self.parse_pause(day)) is not None:
                found[key[0], ""] = until
        return found

    def erase(self, identifiers: Identifiers) -> Result:
        """Delete what we wrote of her: consents, contact point, individual. Contacts and leads of your own stay.

        She is found by our key (`known_as`), never by an address, which may be somebody else's of another audience.
        """
        key = f"{self.alias}-erase"
        return self.attempt(key, lambda: self._erase(identifiers.remote.get(self.alias, "")))

    def _erase(self, person: str) -> None:
        if not PERSON.fullmatch(person):
            return
        field = self.options["ID_FIELD"]
        for sobject in OBJECTS:
            where = (
                f"{field} = '{person}'" if sobject in {POINT, INDIVIDUAL} else f"{field} LIKE '{person}.%'"
            )
            found = self.query(f"SELECT Id FROM {sobject} WHERE {where}")
            self.delete(str(each.get("Id")) for each in found)

    def delete(self, ids: Iterable[str]) -> None:
        """Delete records by their ids; raises PlatformError where one is left."""
        named = [each for each in ids if ID.fullmatch(each)]
        for start in range(0, len(named), RECORDS):
            query = {"ids": ",".join(named[start : start + RECORDS]), "allOrNone": "false"}
            said = self.call("DELETE", f"{self.data}/composite/sobjects", query=query).json()
            verdicts = [verdict_of(each) for each in said] if isinstance(said, list) else []
            left = worst(each for each in verdicts if each.code != "entity_is_deleted")
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


def _consent_key(target: Target, key: Key) -> str:
    return f"{_key(target)}.{key[0]}.{key[1]}"


def _source(target: Target) -> str:
    """What the sources of her records begin with."""
    return f"prefs:{target.state.id}#"


def _scopes_of(key: Key) -> tuple[Key, Key, Key]:
    """Of the pauses that concern a topic."""
    return ("", ""), ("", key[1]), (key[0], "")


def _moment(at: datetime | None) -> str:
    return iso(at) if at else ""
