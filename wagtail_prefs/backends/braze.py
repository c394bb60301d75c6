"""Braze over its REST API: a topic on a channel is a subscription group (docs/how-to/connect-braze.md).

Written from public documentation and held against a contract of our own (example_site/platforms/contracts/braze.yaml); not
tried against the platform itself.

Braze takes what it is told into a queue, and promises no order between calls. So one object carries all that is said of a
person, but for a no, which goes in a lean one of its own that no attribute can hold back; and what makes a difference if it
came in another order is looked up a minute later.
"""

from __future__ import annotations

import json
import re
import time
from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from typing import Any, ClassVar
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
    Rate,
    ReadBack,
    RemoteState,
    Result,
    Support,
    Target,
    TopicModel,
)
from .answers import Answer, Verdict, parse_moment
from .base import Option, PlatformError
from .desired import is_out
from .fields import FieldsBackend, is_late

#: Objects of a call to /users/track, and addresses of one to /email/status.
BATCH, STATUS_BATCH = 75, 50
#: Unsubscribed addresses that are asked for at once.
PAGE = 500
#: So long a list of them is good for the next call as well (seconds).
LISTED = 5.0
#: So many pages of them are read before single addresses are asked for.
PAGES = 4
_INSTANCE = re.compile(r"https://rest\.[a-z]{2,4}-\d{1,3}\.braze\.(com|eu)")
_NAME = re.compile(r"[A-Za-z][A-Za-z0-9_ .-]{0,254}")
#: What of a user object is Braze's own, and no custom attribute.
_BRAZES = {
    "external_id",
    "user_alias",
    "braze_id",
    "email",
    "phone",
    "email_subscribe",
    "push_subscribe",
    "subscription_groups",
}
#: The person that `check` asks about: nobody.
NOBODY = "wagtail-prefs-check"


class BrazeBackend(FieldsBackend):
    """One workspace. Groups hold topics, custom attributes the rest; global states of e-mail and push are its word for all."""

    capabilities = Capabilities(
        identifiers=("email", "external_id"),
        choice=Support.ENFORCES,  # a message of a group goes to nobody who left it
        opt_out=Support.ENFORCES,
        frequency=Support.STORES,
        pause=Support.STORES,
        pause_style=PauseStyle.ATTRIBUTE,
        attributes=Support.STORES,
        channels=("email", "sms"),
        topics=TopicModel.GROUP,
        batch_size=BATCH,
        rate=Rate(2850, 3.0, burst=100),  # of 3000
        inbound=Inbound.POLL,
        echoes=True,
        read_back=ReadBack.EVENTUAL,
        erases=True,
    )
    known_options: ClassVar[Mapping[str, Option]] = {
        **FieldsBackend.known_options,
        "INSTANCE": Option(str, "the REST endpoint of your instance: https://rest.fra-02.braze.eu"),
        "API_KEY": Option(str, "a REST API key"),
        "IDENTIFY_BY": Option(str, "email, or external_id: our external id is the user's", default="email"),
    }

    def __init__(self, alias: str, options: Mapping[str, Any] | None = None) -> None:
        super().__init__(alias, options)
        self._listed: tuple[str, float, dict[str, datetime]] = ("", 0.0, {})
        if not _INSTANCE.fullmatch(self.options["INSTANCE"].rstrip("/")):
            raise self._wrong(
                "INSTANCE", "must be a REST endpoint of Braze, such as https://rest.fra-02.braze.eu"
            )
        if self.options["IDENTIFY_BY"] not in {"email", "external_id"}:
            raise self._wrong("IDENTIFY_BY", "is email or external_id")
        for remote in self.mapping.pairs().values():
            try:
                UUID(remote)
            except ValueError:
                raise self._wrong(
                    "TOPICS", f"names subscription groups by their API identifiers, not {remote}"
                ) from None
        for name in self._names():
            if not _NAME.fullmatch(name) or name in _BRAZES:
                raise self._wrong(
                    "ATTRIBUTES, FREQUENCY_FIELDS, PAUSE_FIELDS", f"name custom attributes, not {name}"
                )

    @property
    def base_url(self) -> str:
        url: str = self.options["URL"] or self.options["INSTANCE"]
        return url

    def headers(self) -> Mapping[str, str]:
        return {"Authorization": f"Bearer {self.options['API_KEY']}"}

    def most(self, kind: str) -> int:
        return STATUS_BATCH if kind == "former" else BATCH

    # --- plan --------------------------------------------------------------------------------------------------------

    def plan(self, target: Target, since: Sequence[ChangeBatch]) -> list[Operation]:
        """Old addresses leave; then a lean object with what she leaves, and one with all that she wants."""
        operations = [
            self._operation(target, "former", {"email": former}, number=number)
            for number, former in enumerate(self._former(target))
        ]
        who = self._who(target.identifiers)
        if not who:
            return operations
        told = self.heard(target, since)
        if is_out(target.state):
            if told < target.state.version:
                states = {**self._address(target, who)}
                states |= {"email_subscribe": "unsubscribed", "push_subscribe": "unsubscribed"}
                groups = dict.fromkeys(sorted(self.refusals(target).values()), "unsubscribed")
                operations.append(
                    self._operation(target, "opt-out", {**who, "states": states, "groups": groups})
                )
            return operations
        yeses, noes = self.yeses(target, since), self.noes(target, since)
        if noes:
            groups = dict.fromkeys(sorted(noes.values()), "unsubscribed")
            left: Json = {**who, "groups": groups}
            if self.leaves_channel(target, since, "email"):
                left["states"] = {**self._address(target, who), "email_subscribe": "unsubscribed"}
            operations.append(self._operation(target, "leave", left))
        values = self.field_values(target, since)
        misfits = self.mapping.misfits(target)
        moved = not yeses and bool(target.retired) and self.stays(target)
        if yeses or values or misfits or moved:
            more: Json = {"misfits": misfits} if misfits else {}
            if yeses:
                more["groups"] = dict.fromkeys(sorted(yeses.values()), "subscribed")
                # Known by her id she has the address that we know with every yes: no older one is opted in.
                more["states"] = self._address(target, who)
                if any(channel == "email" for _topic, channel in yeses):
                    more["states"] |= {"email_subscribe": "opted_in"}
                    more |= self._said(target, since, yeses)
                if told >= 1:
                    more["look"] = True  # it may have been told a no, which may yet be processed after this
            if moved:
                more["states"] = self._address(target, who)
                if any(target.subscribed(*key) for key in self.mapping.pairs() if key[1] == "email"):
                    # Leave for mail is of the address: to move there is a word of hers. That for groups is hers, and moves.
                    more["states"] |= {"email_subscribe": "opted_in"}
            operations.append(self._operation(target, "track", {**who, "values": values, **more}))
        return operations

    def _said(self, target: Target, since: Sequence[ChangeBatch], yeses: Mapping[Key, str]) -> Json:
        """When she said yes to each group of mail, "" unknown, and by which address Braze lists her if she has left."""
        if not target.identifiers.email:
            return {}
        moments = {
            remote: self.given_at(target, since, key)
            for key, remote in sorted(yeses.items())
            if key[1] == "email"
        }
        return {
            "mail": target.identifiers.email,
            "said": {remote: at.isoformat() if at else "" for remote, at in moments.items()},
        }

    def stays(self, target: Target) -> bool:
        return "external_id" in self._who(target.identifiers)

    def _address(self, target: Target, who: Json) -> Json:
        """Known by her id her address is a field of hers, and moves with her."""
        return (
            {"email": target.identifiers.email} if "external_id" in who and target.identifiers.email else {}
        )

    def _operation(self, target: Target, kind: str, payload: Json, number: int = 0) -> Operation:
        state = target.state
        key = self.key(target, f"{kind}-{number}" if number else kind)
        restricts = kind in {"former", "opt-out", "leave"}
        return Operation(key, state.id, state.version, kind, payload, restricts)

    def _who(self, identifiers: Identifiers) -> Json:
        if self.options["IDENTIFY_BY"] == "external_id" and identifiers.external_id:
            return {"external_id": identifiers.external_id}
        return {"email": identifiers.email} if identifiers.email else {}

    def _former(self, target: Target) -> list[str]:
        """Addresses that are no longer hers. The state of an address is the address's own, so nobody else's changes."""
        now = target.identifiers.email.lower()
        return sorted({each.email for each in target.retired if each.email and each.email.lower() != now})

    def pause_value(self, until: datetime, day: str) -> str:
        """A moment in ISO 8601, which Braze takes for a date."""
        return until.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")

    # --- execute -----------------------------------------------------------------------------------------------------

    def send(self, batch: Sequence[Operation]) -> list[Result]:
        if batch[0].kind == "former":
            return self._silence(batch)
        left = self._left_since(batch)
        if left:
            return self._without(batch, left)
        said = _object(
            self.call("POST", "/users/track", json={"attributes": [_attributes(each) for each in batch]})
        )
        results = {
            each.key: each for each in self.by_index(batch, _errors(said), unsaid=Verdict(Outcome.DONE))
        }
        refused = [
            each
            for each in batch
            if results[each.key].outcome is Outcome.REFUSED and each.payload.get("groups")
        ]
        again = {}
        if refused:
            again = self._lean(refused) if batch[0].kind == "track" else self._in_another_way(refused)
        for operation in batch:
            result = again.get(operation.key) or results[operation.key]
            taken = result.outcome is Outcome.DONE
            if taken and (operation.restricts or operation.payload.get("look")):
                # Taken into a queue: what must not be otherwise is looked up.
                result = replace(result, outcome=Outcome.ACCEPTED_UNKNOWN)
            results[operation.key] = result
        return [results[operation.key] for operation in batch]

    def _left_since(self, batch: Sequence[Operation]) -> dict[str, set[str]]:
        """{key of an operation: groups} where she left e-mail over there after she had said the yes that is told now; where
        nobody knows when she said it, what she left stays. A yes of this minute is newer than anything there.
        """
        late = [each for each in batch if any(map(is_late, each.payload.get("said", {}).values()))]
        if not late:
            return {}
        out = self._out(late)
        found = {}
        for operation in late:
            at = out.get(operation.payload["mail"].lower())
            said = operation.payload["said"].items()
            groups = {group for group, given in said if at is not None and not _is_after(given, at)}
            if groups:
                found[operation.key] = groups
        return found

    def _out(self, late: Sequence[Operation]) -> dict[str, datetime]:
        """{address: when it left}: from the list of those days, and one by one where that is long."""
        moments = [given for operation in late for given in operation.payload["said"].values()]
        first = parse_moment(min(moments))
        found: dict[str, datetime] = {}
        if first is not None:
            day, at = _day(first), time.monotonic()
            if self._listed[0] == day and at - self._listed[1] < LISTED:
                return self._listed[2]
            query: Json = {"start_date": day, "end_date": _days_ago(-1), "limit": PAGE}
            for number in range(PAGES):
                page = self._unsubscribes({**query, "offset": number * PAGE, "sort_direction": "asc"})
                found |= dict(page)
                if len(page) < PAGE:
                    self._listed = (day, at, found)
                    return found
        for operation in late:
            found |= dict(self._unsubscribes({"email": operation.payload["mail"], "end_date": _days_ago(-1)}))
        return found

    def _unsubscribes(self, query: Json) -> list[tuple[str, datetime]]:
        emails = _list(_object(self.call("GET", "/email/unsubscribes", query=query)), "emails")
        return [
            (str(entry.get("email")).lower(), parse_moment(entry.get("unsubscribed_at")) or timezone.now())
            for entry in emails
        ]

    def _without(self, batch: Sequence[Operation], left: Mapping[str, set[str]]) -> list[Result]:
        """What of a batch was not overtaken over there; a yes of after she left brings back itself, and none of before."""
        rest, results = [], {}
        for operation in batch:
            payload = {name: value for name, value in operation.payload.items() if name != "said"}
            groups = left.get(operation.key, set())
            if groups and groups == operation.payload["said"].keys():
                payload["states"] = {
                    name: value for name, value in payload["states"].items() if name != "email_subscribe"
                }
                payload["groups"] = {
                    group: state for group, state in payload["groups"].items() if group not in groups
                }
                payload.pop("look", None)
            elif groups:
                payload["groups"] = {**payload["groups"], **dict.fromkeys(sorted(groups), "unsubscribed")}
            if any(payload.get(name) for name in ("states", "groups", "values")):
                rest.append(replace(operation, payload=payload))
        for result in self.send(rest) if rest else ():
            results[result.key] = result
        for key in left:
            done = results.get(key, Result(key, Outcome.DONE))
            if done.outcome in {Outcome.DONE, Outcome.ACCEPTED_UNKNOWN}:
                results[key] = replace(done, outcome=Outcome.REFUSED, code="left-over-there")
        return [results[operation.key] for operation in batch]

    def _lean(self, refused: Sequence[Operation]) -> dict[str, Result]:
        """What she wants without what she told of herself: an attribute that Braze does not take keeps nobody out. Staff see
        all the same that it was refused.
        """
        lean = [
            replace(each, payload={name: value for name, value in each.payload.items() if name != "values"})
            for each in refused
        ]
        _object(self.call("POST", "/users/track", json={"attributes": [_attributes(each) for each in lean]}))
        return {}

    def _in_another_way(self, refused: Sequence[Operation]) -> dict[str, Result]:
        """A no that the one call does not take goes by the calls for groups, and for addresses."""
        groups: dict[tuple[str, str], list[str]] = {}
        unable, emails = set(), []
        for operation in refused:
            payload = operation.payload
            by_id = "external_id" in payload
            for group in payload["groups"]:
                key = self.mapping.key(group)
                if by_id or (key is not None and key[1] == "email"):
                    names = groups.setdefault((group, "external_ids" if by_id else "emails"), [])
                    names.append(payload["external_id" if by_id else "email"])
                else:
                    unable.add(operation.key)  # a group of text messages knows no addresses
            if payload.get("states", {}).get("email_subscribe") == "unsubscribed":
                emails += [payload.get("states", {}).get("email") or payload.get("email", "")]
        said = [
            {
                "subscription_group_id": group,
                "subscription_state": "unsubscribed",
                kind: names[start : start + STATUS_BATCH],
            }
            for (group, kind), names in groups.items()
            for start in range(0, len(names), STATUS_BATCH)
        ]
        if said:
            _object(self.call("POST", "/v2/subscription/status/set", json={"subscription_groups": said}))
        known = [email for email in emails if email]
        for start in range(0, len(known), STATUS_BATCH):
            self._set_email(known[start : start + STATUS_BATCH])
        return {each.key: Result(each.key, Outcome.DONE) for each in refused if each.key not in unable}

    def _silence(self, batch: Sequence[Operation]) -> list[Result]:
        self._set_email([each.payload["email"] for each in batch])
        return [Result(each.key, Outcome.DONE) for each in batch]

    def _set_email(self, emails: Sequence[str]) -> None:
        """Mail to these ends, whoever has them, and also where Braze does not know them yet."""
        body = {"email": list(dict.fromkeys(emails)), "subscription_state": "unsubscribed"}
        _object(self.call("POST", "/email/status", json=body))

    # --- read, erase -------------------------------------------------------------------------------------------------

    def read(self, contact: Target) -> RemoteState | None:
        """Of several profiles with one address the strictest counts."""
        who = self._who(contact.identifiers)
        if not who:
            return None
        users = self._users(who, ["braze_id", "email_subscribe", "custom_attributes"])
        if not users:
            return None
        choices: dict[Key, str] = {}
        for user in _list(_object(self.call("GET", "/subscription/user/status", query=who)), "users"):
            for group in _list(user, "subscription_groups"):
                key = self.mapping.key(str(group.get("id")))
                if key is None:
                    continue
                said = {"subscribed": SUBSCRIBED, "unsubscribed": UNSUBSCRIBED}.get(
                    str(group.get("status")).lower()
                )
                if said is not None and choices.get(key) != UNSUBSCRIBED:
                    choices[key] = said
        values: Json = {}
        for user in users:
            held = user.get("custom_attributes")
            values |= held if isinstance(held, dict) else {}
        frequencies, pauses, attributes = self.read_fields(values, contact)
        out: bool | None = any(user.get("email_subscribe") == "unsubscribed" for user in users)
        if out:
            # It has left e-mail, and says nothing of what comes otherwise.
            choices = {
                key: said for key, said in choices.items() if key[1] != "email" or said == UNSUBSCRIBED
            }
            out = True if is_out(contact.state) else None
        return RemoteState(
            opted_out=out, choices=choices, frequencies=frequencies, pauses=pauses, attributes=attributes
        )

    def _users(self, who: Json, fields: Sequence[str]) -> list[Json]:
        body: Json = {"fields_to_export": list(fields)}
        if "external_id" in who:
            body["external_ids"] = [who["external_id"]]
        else:
            body["email_address"] = who["email"]
        return _list(_object(self.call("POST", "/users/export/ids", json=body)), "users")

    def erase(self, identifiers: Identifiers) -> Result:
        """Delete every profile that goes by her address or her id."""
        key = f"{self.alias}-erase"
        return self.attempt(key, lambda: self._erase(identifiers))

    def _erase(self, identifiers: Identifiers) -> None:
        names: list[Json] = [{"email": identifiers.email}] if identifiers.email else []
        if self.options["IDENTIFY_BY"] == "external_id" and identifiers.external_id:
            names.append({"external_id": identifiers.external_id})
        found = {str(user.get("braze_id")) for who in names for user in self._users(who, ["braze_id"])}
        gone = sorted(found)
        for start in range(0, len(gone), STATUS_BATCH):
            _object(
                self.call("POST", "/users/delete", json={"braze_ids": gone[start : start + STATUS_BATCH]})
            )

    # --- inbound -----------------------------------------------------------------------------------------------------

    def poll(self, cursor: str) -> Polled:
        """Who left e-mail since a day, the oldest first; `cursor` is the day, and how far its pages were read.

        Each round begins with a whole day, because whoever opts in again drops off the list and moves the others up. What is
        told twice is known.
        """
        day, offset = _cursor(cursor)
        query = {
            "start_date": day,
            "end_date": _days_ago(-1),
            "limit": PAGE,
            "offset": offset,
            "sort_direction": "asc",
        }
        emails = _list(_object(self.call("GET", "/email/unsubscribes", query=query)), "emails")
        events = tuple(
            InboundEvent(
                event_id=f"{entry.get('email')} {entry.get('unsubscribed_at')}",
                identifiers=Identifiers(email=str(entry["email"])),
                changes=(SetChoice("", "email", UNSUBSCRIBED),),
                at=parse_moment(entry.get("unsubscribed_at")),
            )
            for entry in emails
            if isinstance(entry.get("email"), str) and 3 <= len(entry["email"]) <= 320
        )
        if len(emails) >= PAGE:
            return Polled(events, json.dumps([day, offset + len(emails)]), more=True)
        return Polled(events, json.dumps([_days_ago(1), 0]))

    # --- check -------------------------------------------------------------------------------------------------------

    def check(self) -> list[Problem]:
        problems = super().check()
        if problems:
            return problems
        try:
            self._users({"external_id": NOBODY}, ["braze_id"])
        except PlatformError as error:
            return [
                self._error(_trouble(error, "users.export.ids", "it cannot be read back what Braze holds"))
            ]
        try:
            query = {"start_date": _days_ago(1), "end_date": _days_ago(-1), "limit": 1}
            self.call("GET", "/email/unsubscribes", query=query)
        except PlatformError as error:
            problems.append(
                self._error(_trouble(error, "email.unsubscribe", "who leaves there is not noticed"))
            )
        try:
            self.call("GET", "/subscription/user/status", query={"external_id": NOBODY})
        except PlatformError as error:
            what = "whether a no has arrived is not seen"
            problems.append(self._error(_trouble(error, "subscription.groups.get", what)))
        for (topic, channel), remote in self.mapping.pairs().items():
            problems += self._check_group(topic, channel, remote)
        return problems

    def _check_group(self, topic: str, channel: str, remote: str) -> list[Problem]:
        query = {"subscription_group_id": remote, "external_id": NOBODY}
        try:
            answer = self.call("GET", "/subscription/status/get", query=query, accept={400, 404})
        except PlatformError as error:
            return [self._error(_trouble(error, "subscription.status.get", "groups cannot be looked up"))]
        if answer.status == 200:
            return []
        return [
            self._error(
                f'has no subscription group {remote}, which TOPICS names for "{topic}" by {channel}. Make one under '
                "Audience > Subscription groups, for that channel, and take its API identifier."
            )
        ]

    def _names(self) -> list[str]:
        return [
            *self.mapping.attribute_names().values(),
            *self.frequency_fields.values(),
            *self.pause_fields.values(),
        ]

    def _error(self, text: str) -> Problem:
        return Problem("error", f'Braze ("{self.alias}") {text}')


def _attributes(operation: Operation) -> Json:
    """A person as /users/track has her: one object."""
    payload = operation.payload
    who = {name: payload[name] for name in ("external_id", "email") if name in payload}
    groups = [
        {"subscription_group_id": group, "subscription_state": state}
        for group, state in payload.get("groups", {}).items()
    ]
    return {
        **who,
        "_update_existing_only": False,
        **payload.get("states", {}),
        **({"subscription_groups": groups} if groups else {}),
        **payload.get("values", {}),
    }


def _errors(said: Json) -> dict[int, Verdict]:
    """What a 201 says of single objects. Its sentences may hold anything, so they are not repeated."""
    errors = said.get("errors", [])
    if said.get("message") != "success" or not isinstance(errors, list):
        raise PlatformError(Outcome.RETRY, "unexpected-answer")
    found: dict[int, Verdict] = {}
    for error in errors:
        if not isinstance(error, dict) or not isinstance(error.get("index"), int):
            raise PlatformError(Outcome.RETRY, "unexpected-answer")
        found[error["index"]] = Verdict(Outcome.REFUSED, "object-refused")
    return found


def _trouble(error: PlatformError, permission: str, what: str) -> str:
    if error.code in {"http-401", "http-403"}:
        return f"does not let API_KEY do {permission}, so {what}. Give the key that permission (Settings > API keys)."
    if error.code == "dns":
        return "cannot be found: is INSTANCE the REST endpoint of your instance?"
    return f"gives no answer ({error.code})."


def _cursor(cursor: str) -> tuple[str, int]:
    try:
        day, offset = json.loads(cursor)
        return date.fromisoformat(day).isoformat(), max(int(offset), 0)
    except (ValueError, TypeError):
        return _days_ago(1), 0


def _is_after(given: str, at: datetime) -> bool:
    """Whether a yes is newer than what happened there; where nobody knows when she said it, it is not."""
    moment = parse_moment(given)
    return moment is not None and moment > at


def _day(moment: datetime) -> str:
    return moment.astimezone(UTC).date().isoformat()


def _days_ago(days: int) -> str:
    return (timezone.now().astimezone(UTC).date() - timedelta(days=days)).isoformat()


def _list(of: Json, name: str) -> list[Json]:
    found = of.get(name)
    if not isinstance(found, list):
        raise PlatformError(Outcome.RETRY, "unexpected-answer")
    return [item for item in found if isinstance(item, dict)]


def _object(answer: Answer) -> Json:
    found = answer.json()
    if not isinstance(found, dict):
        raise PlatformError(Outcome.RETRY, "unexpected-answer")
    return found
