"""Mailchimp over its Marketing API 3.0: a topic is a group of one audience (docs/how-to/connect-mailchimp.md).

Written from public documentation and held against a contract of our own (example_site/platforms/contracts/mailchimp.yaml);
not tried against the platform itself.

Whoever left by Mailchimp's own link cannot be brought back by an API: Mailchimp says that she is "in compliance state",
and asks her by mail when she is set to `pending`. So a yes of hers goes that way then, and nothing else does.
"""

from __future__ import annotations

import hashlib
import re
import time
from base64 import b64encode
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any, ClassVar

from django.core.exceptions import ImproperlyConfigured
from django.http import HttpRequest

from ..values import (
    SUBSCRIBED,
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
    ReadBack,
    RemoteState,
    Resubscribe,
    Result,
    Support,
    Target,
    TopicModel,
)
from .answers import Answer, Verdict, classify, parse_moment, word
from .base import Option, PlatformError
from .desired import is_out
from .fields import FieldsBackend, has_moved, is_late
from .mailchimp_inbound import events

#: People in a call of `POST /lists/{id}`, and how many at once are read of a long list.
BATCH, PAGE = 500, 1000
#: How many calls about one person are made before it is noted what came of them.
ALONE = 40
#: The end of an API key names the data centre, and becomes a name of a host.
_CENTRE = re.compile(r"[a-z]{2,4}\d{1,3}")
_KEY = re.compile(r"[A-Za-z0-9]{8,64}-[a-z]{2,4}\d{1,3}")
_AUDIENCE = re.compile(r"[A-Za-z0-9]{4,32}")
#: What a merge tag may be.
_TAG = re.compile(r"[A-Z][A-Z0-9_]{0,9}")
#: How an error about one person says that an API may not bring her back, in a batch; alone it is a title.
_COMPLIANCE = re.compile("compliance state", re.IGNORECASE)
_IN_COMPLIANCE = "member-in-compliance-state"
_NOT_THERE = 404
_EXISTS = re.compile("already a list member", re.IGNORECASE)
_FORGOTTEN = re.compile("permanently deleted", re.IGNORECASE)
_IS_FORGOTTEN, _IS_THERE = "forgotten-email-not-subscribed", "is-there"
_LEFT, _ASKED = "left-over-there", "asked-by-mailchimp"
_MEMBER = re.compile(r"[0-9a-f]{32}")
#: Statuses of people who get no campaigns, and of who is asked by Mailchimp.
_OUT, _WAITS = {"unsubscribed", "cleaned", "archived"}, "pending"
#: A field that Mailchimp asks for of everybody keeps nobody in or out.
_WITHOUT_REQUIRED = {"skip_merge_validation": "true"}
#: For how long it is believed that the audience is there (seconds).
_BELIEVED = 60.0


class MailchimpBackend(FieldsBackend):
    """One audience. Groups hold topics, merge fields the rest; `unsubscribed` is Mailchimp's word for leaving all of it."""

    capabilities = Capabilities(
        choice=Support.STORES,  # a campaign reaches a group only if whoever sends it says so
        opt_out=Support.ENFORCES,
        frequency=Support.STORES,
        pause=Support.STORES,
        pause_style=PauseStyle.ATTRIBUTE,
        attributes=Support.STORES,
        channels=("email",),
        topics=TopicModel.INTEREST,
        explicit_no=False,
        resubscribe=Resubscribe.DOUBLE_OPT_IN,
        evidence=True,
        batch_size=BATCH,
        inbound=Inbound.TOKEN,
        echoes=True,
        read_back=ReadBack.STRONG,
        erases=True,
    )
    known_options: ClassVar[Mapping[str, Option]] = {
        **FieldsBackend.known_options,
        "API_KEY": Option(str, "the API key, which ends with the data centre: …-us21"),
        "AUDIENCE": Option(str, "the id of the audience"),
        "SIGNING_SECRETS": Option(
            (list, tuple),
            "the signing secret of the webhook, where it has one; two while it changes",
            default=(),
        ),
    }

    def __init__(self, alias: str, options: Mapping[str, Any] | None = None) -> None:
        super().__init__(alias, options)
        if not _KEY.fullmatch(self.options["API_KEY"]):
            raise self._wrong("API_KEY", "must be an API key, which ends with the data centre: …-us21")
        if not _AUDIENCE.fullmatch(self.options["AUDIENCE"]):
            raise self._wrong("AUDIENCE", "must be the id of an audience, as its settings show it")
        for tag in self._tags():
            if not _TAG.fullmatch(tag):
                raise self._wrong(
                    "ATTRIBUTES, FREQUENCY_FIELDS, PAUSE_FIELDS",
                    f"name merge tags: ten capital letters, digits and _ at most, not {tag}",
                )
        if not all(isinstance(secret, str) and secret for secret in self.options["SIGNING_SECRETS"]):
            raise self._wrong("SIGNING_SECRETS", "must be a list of texts")
        self._there = -_BELIEVED
        if self.options["SIGNING_SECRETS"]:
            self.capabilities = replace(self.capabilities, inbound=Inbound.SIGNED)

    @property
    def base_url(self) -> str:
        centre = self.options["API_KEY"].rpartition("-")[2]
        if not _CENTRE.fullmatch(centre):
            raise ImproperlyConfigured("API_KEY")  # refused by __init__
        return self.options["URL"] or f"https://{centre}.api.mailchimp.com/3.0"

    def headers(self) -> Mapping[str, str]:
        credentials = f"any:{self.options['API_KEY']}".encode()
        return {"Authorization": f"Basic {b64encode(credentials).decode()}"}

    def classify(self, answer: Answer) -> tuple[Outcome, str]:
        if answer.status == 403 and not answer.body:
            return Outcome.RATE_LIMITED, "http-403"  # so it says under stress that there are too many calls
        title = _title(answer)
        if title == _IN_COMPLIANCE:
            return Outcome.NEEDS_CONFIRMATION, title
        if title == _IS_FORGOTTEN:
            return Outcome.REFUSED, title
        outcome, code = classify(answer)
        return outcome, title or code

    def most(self, kind: str) -> int:
        # The others leave her status as it is, which only calls about one person can: a few of them, one after the other.
        return BATCH if kind == "join" else ALONE

    # --- plan --------------------------------------------------------------------------------------------------------

    def plan(self, target: Target, since: Sequence[ChangeBatch]) -> list[Operation]:
        """Old addresses leave; then what she leaves, what she joins, and her fields.

        `status` is only ever said where she chose it: `subscribed` with a new yes, `unsubscribed` with "leave all".
        """
        email = target.identifiers.email
        known = target.identifiers.remote.get(self.alias, "")
        there: Json = {"id": known} if _MEMBER.fullmatch(known) else {}
        operations = [
            self._operation(target, "former", {"email": former, "now": email, **there}, number=number)
            for number, former in enumerate(_former(target))
        ]
        if not email:
            return operations
        told = self.heard(target, since)
        moved = has_moved(target, since)
        who: Json = {"email": email, **({} if moved else there)}
        refused = self.leaves_channel(target, since, "email")
        if (is_out(target.state) and told < target.state.version) or refused:
            # Out of the groups as well: a yes to one of them, one day, must not bring the others along.
            groups = dict.fromkeys(sorted(self.mapping.pairs().values()), False)
            operations.append(self._operation(target, "opt-out", {**who, "groups": groups}))
        if is_out(target.state):
            return operations
        yeses, noes = self.yeses(target, since), {} if refused else self.noes(target, since)
        groups = dict.fromkeys(sorted(noes.values()), False)
        # Whom Mailchimp may know, and may know to have left: looked up before an old yes is said.
        unheard = told < 1 and not moved
        if groups and not (yeses and unheard and not target.again):
            operations.append(self._operation(target, "leave", {**who, "groups": groups}))
            groups = {}
        # Whom Mailchimp did not know until now it knows nothing of: with a yes goes all that she ever said.
        values = self.field_values(target, since, everything=bool(yeses))
        fields = {tag: "" if value is None else value for tag, value in values.items()}
        more: Json = {"fields": fields} if fields else {}
        if misfits := self.mapping.misfits(target):
            more["misfits"] = misfits
        if yeses:
            first = bool(groups)
            if {"opted_out", "choice::email"} & target.state.versions.keys():
                # Back after she had left everything: with what she says yes to, and nothing that was there before.
                others = [
                    remote for key, remote in self.mapping.pairs().items() if not target.subscribed(*key)
                ]
                groups = {**dict.fromkeys(sorted(others), False), **groups}
            # With the first that Mailchimp hears of her goes her no as well: there is nothing yet that it could stop.
            joined = {**groups, **dict.fromkeys(sorted(yeses.values()), True)}
            given = self.said_at(target, since, yeses)
            if given:
                more["at"] = _written(given)
            more["said"] = {
                remote: _written(at) if (at := self.given_at(target, since, key)) else ""
                for key, remote in yeses.items()
            }
            if unheard:
                more["unheard"] = True
            if (former := _former(target)) and (came := self.moved_at(since)):
                own = {remote: self.said_at(target, since, [key]) for key, remote in yeses.items()}
                more["from"] = {
                    "emails": former,
                    "at": _written(came),
                    "known": bool(there),
                    "said": {remote: _written(at) if at else "" for remote, at in own.items()},
                }
            payload = {"email": email, "groups": joined, **more}
            operations.append(self._operation(target, "join", payload, restricts=first))
        elif more:
            operations.append(self._operation(target, "fields", {**who, "fields": {}, **more}))
        return operations

    def _operation(
        self, target: Target, kind: str, payload: Json, number: int = 0, *, restricts: bool = False
    ) -> Operation:
        key = self.key(target, f"{kind}-{number}" if number else kind)
        state = target.state
        restricts = restricts or kind in {"former", "opt-out", "leave"}
        return Operation(key, state.id, state.version, kind, payload, restricts)

    # --- execute -----------------------------------------------------------------------------------------------------

    def send(self, batch: Sequence[Operation]) -> list[Result]:
        kind = batch[0].kind
        if kind == "join":
            return self._join(batch)
        if kind == "opt-out":
            # Whom Mailchimp may not know stands there as unsubscribed from then on; whom it knows is told herself, also
            # where she has another address there by now, or where something else of the call was refused.
            strangers = [operation for operation in batch if "id" not in operation.payload]
            results = {result.key: result for result in self._post(strangers, "unsubscribed")}
            # A group that is gone there must not keep her from standing there as unsubscribed.
            bare = [_without(each, "groups") for each in strangers if not _is_done(results[each.key])]
            results |= {result.key: result for result in self._post(bare, "unsubscribed")}
            left = [each for each in batch if each not in strangers or not _is_done(results[each.key])]
            results |= {result.key: result for result in self.one_by_one(left, self._alone)}
            return [results[each.key] for each in batch]
        return self.one_by_one(batch, self._alone)

    def _join(self, batch: Sequence[Operation]) -> list[Result]:
        moved = [each for each in batch if each.payload.get("from")]
        if not moved:
            return self._join_here(batch)
        # Who had left at the address that she moved away from must not be in again at the new one.
        looked, go = self._look_up(moved, self._may_move)
        results = {result.key: result for result in looked}
        go += [each for each in batch if each not in moved]
        results |= {result.key: result for result in (self._join_here(go) if go else ())}
        for each in go:
            if each.payload.get("left") and _is_done(results[each.key]):
                results[each.key] = replace(results[each.key], outcome=Outcome.REFUSED, code=_LEFT)
        return [results[each.key] for each in batch]

    def _may_move(self, operation: Operation, back: list[Operation]) -> Result | None:
        """`former` leaves as it is who is out already: so what she did herself is older than her move."""
        came = operation.payload["from"]
        there = [
            said for email in came["emails"] if (said := self._get(_digest(email), "status,last_changed"))
        ]
        left: set[str] = set()
        if came["known"] and not there:
            left |= came["said"].keys()  # somebody deleted her there
        for said in there:
            changed = parse_moment(said.get("last_changed"))
            # What is no older than her move is ours, or came after.
            if said.get("status") in _OUT and _is_after(came["at"], changed):
                left |= {group for group, at in came["said"].items() if not _is_after(at, changed)}
        return self._go(operation, left, back)

    def _go(self, operation: Operation, left: set[str], back: list[Operation]) -> Result | None:
        """Say it without the groups that she left: a yes of after that brings back itself, and none of before."""
        payload = operation.payload
        if left == payload["said"].keys():
            return Result(operation.key, Outcome.REFUSED, _LEFT)
        groups = {**payload["groups"], **dict.fromkeys(sorted(left), False)}
        left_any = bool(left) or payload.get("left", False)
        back.append(replace(operation, payload={**payload, "groups": groups, "left": left_any}))
        return None

    def _join_here(self, batch: Sequence[Operation]) -> list[Result]:
        # Whom Mailchimp may know, and may know to have left: also one whose yes is late.
        unheard = [
            each
            for each in batch
            if each.payload.get("unheard") or any(is_late(at) for at in each.payload["said"].values())
        ]
        new = [each for each in batch if each not in unheard]
        results = {result.key: result for result in self._post(unheard, "subscribed", update=False)}
        there = [each for each in unheard if results[each.key].code == _IS_THERE]
        looked, back = self._look_up(there, self._may_join)
        results |= {result.key: result for result in looked}
        results |= {result.key: result for result in self._post([*new, *back], "subscribed")}
        for each in back:
            if each.payload.get("left") and _is_done(results[each.key]):
                results[each.key] = replace(results[each.key], outcome=Outcome.REFUSED, code=_LEFT)
        refused = [each for each in batch if results[each.key].outcome is Outcome.REFUSED]
        refused = [each for each in refused if results[each.key].code != _LEFT]
        held = [each for each in refused if results[each.key].code == _IN_COMPLIANCE]
        # Her new yes, and Mailchimp must ask her itself.
        results |= {result.key: _asked(result) for result in self._post(held, _WAITS)}
        refused = [each for each in refused if results[each.key].outcome is Outcome.REFUSED]
        ids = {
            **self._without_fields([each for each in refused if each not in held], "subscribed"),
            **self._without_fields([each for each in refused if each in held], _WAITS),
        }
        return [
            replace(results[each.key], remote_id=ids.get(each.key, results[each.key].remote_id))
            for each in batch
        ]

    def _look_up(
        self,
        there: Sequence[Operation],
        may: Callable[[Operation, list[Operation]], Result | None],
    ) -> tuple[list[Result], list[Operation]]:
        """Of those who are there already: what is not to be said, and who may be said to be subscribed, and to what."""
        back: list[Operation] = []
        looked = self.one_by_one(there[:ALONE], lambda each: may(each, back))
        # So many are looked up in smaller calls, so that what came of them is noted in between.
        return [*looked, *(Result(each.key, Outcome.SPLIT, _IS_THERE) for each in there[ALONE:])], back

    def _may_join(self, operation: Operation, back: list[Operation]) -> Result | None:
        payload = operation.payload
        said = self._get(_digest(payload["email"]), "status,last_changed")
        if said is not None and said.get("status") == _WAITS:
            self._alone(operation)
            return Result(operation.key, Outcome.NEEDS_CONFIRMATION, _ASKED)
        left: set[str] = set()
        if said is not None and said.get("status") in _OUT:
            changed = parse_moment(said.get("last_changed"))
            left = {group for group, at in payload["said"].items() if not _is_after(at, changed)}
        return self._go(operation, left, back)

    def _without_fields(self, refused: Sequence[Operation], status: str) -> dict[str, str]:
        """A field that Mailchimp does not take keeps nobody out: her groups go alone then, and her noes where that is
        refused as well. Staff see what was refused. {key: contact id} of who is in now.
        """
        again = [_without(each, "fields") for each in refused if each.payload.get("fields")]
        said = self._post(again, status)
        done = {result.key for result in said if _is_done(result)}
        for operation in refused:
            noes = {group: False for group, wanted in operation.payload["groups"].items() if not wanted}
            if noes and operation.key not in done:
                leave = {"email": operation.payload["email"], "groups": noes}
                self.one_by_one([replace(operation, kind="leave", payload=leave)], self._alone)
        return {result.key: result.remote_id for result in said if result.remote_id}

    def _post(self, batch: Sequence[Operation], status: str, *, update: bool = True) -> list[Result]:
        """Say the same of many. What became of each stands in the answer: whom it does not name nothing is known of."""
        if not batch:
            return []
        answer = self.call(
            "POST",
            self._list(),
            json={"members": [_member(each.payload, status) for each in batch], "update_existing": update},
            query=_WITHOUT_REQUIRED,
        )
        said = _object(answer)
        errors = said.get("errors")
        if not isinstance(errors, list):
            raise PlatformError(Outcome.RETRY, "unexpected-answer")
        verdicts = {
            _folded(member.get("email_address")): _became(member, status)
            for name in ("new_members", "updated_members")
            for member in said.get(name) or ()
            if isinstance(member, dict)
        }
        verdicts |= {
            _folded(error.get("email_address")): _verdict(error)
            for error in errors
            if isinstance(error, dict)
        }
        return self.by_key(batch, lambda each: _folded(each.payload["email"]), verdicts)

    def _alone(self, operation: Operation) -> Result | None:
        """A change to one person that leaves her status as it is, or ends it. Whom Mailchimp does not know it mails nothing."""
        payload = operation.payload
        try:
            if operation.kind == "former":
                self._silence(payload)
            elif operation.kind == "opt-out":
                # Alone: nothing that is refused beside it may hold it back.
                if not self._tell(payload, {"status": "unsubscribed"}):
                    return self._bar(operation)
                self._leave(payload, strictly=False)
            elif payload.get("fields"):
                groups = {"interests": payload["groups"]} if "groups" in payload else {}
                self._tell(payload, {**groups, "merge_fields": payload["fields"]})
            elif "groups" in payload:
                self._leave(payload)
        except PlatformError as error:
            if error.outcome is Outcome.NEEDS_CONFIRMATION:
                raise PlatformError(Outcome.REFUSED, error.code) from error  # it asked nobody
            raise
        return None

    def _silence(self, payload: Json) -> None:
        """Mail to an address that she left, and to the one that she has there by now, ends. Who is out already stays as she
        is: when she left is looked at before her yes is said at the new address.
        """
        for member in dict.fromkeys(filter(None, (payload.get("id"), _digest(payload["email"])))):
            said = self._get(member, "id,status")
            if said is None or said.get("id") == _digest(payload["now"]) or said.get("status") in _OUT:
                continue
            self.call(
                "PATCH",
                self._person(member),
                json={"status": "unsubscribed"},
                query=_WITHOUT_REQUIRED,
                accept={_NOT_THERE},
            )

    def _bar(self, operation: Operation) -> Result:
        """Nobody is there to leave: she stands there as unsubscribed then, so that no import brings her in."""
        (said,) = self._post([_without(operation, "groups")], "unsubscribed")
        return replace(said, outcome=Outcome.DONE, code="") if said.code == _IS_FORGOTTEN else said

    def _leave(self, payload: Json, *, strictly: bool = True) -> None:
        """Change groups: where that is refused, each for itself, as one that is not there takes the others with it."""
        try:
            self._tell(payload, {"interests": payload["groups"]})
        except PlatformError as error:
            if error.outcome is not Outcome.REFUSED:
                raise
            for group, wanted in payload["groups"].items() if len(payload["groups"]) > 1 else ():
                try:
                    self._tell(payload, {"interests": {group: wanted}})
                except PlatformError as another:
                    if another.outcome is not Outcome.REFUSED:
                        raise
            if strictly:
                raise

    def _tell(self, payload: Json, body: Json) -> bool:
        """Change her, by what Mailchimp knows her by and by her address: she may have another one there by now. Whether
        somebody was there.
        """
        found = False
        digest = _digest(payload["email"])
        for member in dict.fromkeys(filter(None, (payload.get("id"), digest))):
            answer = self.call(
                "PATCH", self._person(member), json=body, query=_WITHOUT_REQUIRED, accept={_NOT_THERE}
            )
            if answer.status == _NOT_THERE:
                self._believe()
                continue
            found = True
            if _object(answer).get("id") == digest:
                break
        return found

    def _get(self, member: str, fields: str) -> Json | None:
        answer = self.call("GET", self._person(member), query={"fields": fields}, accept={_NOT_THERE})
        if answer.status == _NOT_THERE:
            self._believe()
            return None
        return _object(answer)

    def _believe(self) -> None:
        """That somebody is not there: only where the audience is. Else every no to a wrong one would be done."""
        if time.monotonic() - self._there > _BELIEVED:
            self.call("GET", self._list(), query={"fields": "id"})
            self._there = time.monotonic()

    # --- read, erase -------------------------------------------------------------------------------------------------

    def read(self, contact: Target) -> RemoteState | None:
        """Groups of whoever gets campaigns. Of somebody who left there nothing is a yes: drift makes noes of that."""
        email = contact.identifiers.email
        if not email:
            return None
        known = contact.identifiers.remote.get(self.alias, "")
        named = [known] if _MEMBER.fullmatch(known) and not contact.retired else []
        said = None
        for member in dict.fromkeys([*named, _digest(email)]):
            said = said or self._get(member, "status,interests,merge_fields")
        if said is None:
            return None
        status, interests = said.get("status"), _part(said, "interests")
        fields = _part(said, "merge_fields")
        if not isinstance(status, str):
            raise PlatformError(Outcome.RETRY, "unexpected-answer")
        choices: dict[Key, str] = {
            key: SUBSCRIBED
            for key, remote in self.mapping.pairs().items()
            if status == "subscribed" and interests.get(remote) is True
        }
        frequencies, pauses, attributes = self.read_fields(fields, contact)
        out: bool | None = False
        if status in _OUT:
            out = (
                True if is_out(contact.state) else None
            )  # she left by e-mail, and may want what comes otherwise
        return RemoteState(
            opted_out=out,
            choices=choices,
            frequencies=frequencies,
            pauses=pauses,
            attributes=attributes,
            waits=status == _WAITS,
            dead=status == "cleaned",
        )

    def erase(self, identifiers: Identifiers) -> Result:
        """Delete her for good. Mailchimp then takes her back by its own form only, never by an API."""
        key = f"{self.alias}-erase"
        return self.attempt(key, lambda: self._erase(identifiers))

    def _erase(self, identifiers: Identifiers) -> None:
        known = identifiers.remote.get(self.alias, "")
        named = [known] if _MEMBER.fullmatch(known) else []
        if identifiers.email:
            named.append(_digest(identifiers.email))
        for member in dict.fromkeys(named):
            path = f"{self._person(member)}/actions/delete-permanent"
            if self.call("POST", path, accept={_NOT_THERE}).status == _NOT_THERE:
                self._believe()

    # --- inbound -----------------------------------------------------------------------------------------------------

    def parse_inbound(self, request: HttpRequest) -> list[InboundEvent]:
        return events(request, self.options["SIGNING_SECRETS"], self.options["AUDIENCE"])

    # --- check -------------------------------------------------------------------------------------------------------

    def check(self) -> list[Problem]:
        problems = super().check()
        if problems:
            return problems
        try:
            answer = self.call("GET", self._list(), query={"fields": "id,name"}, accept={_NOT_THERE})
            if answer.status == _NOT_THERE:
                return [self._error(f"has no audience {self.options['AUDIENCE']}: see AUDIENCE.")]
            problems += self._check_groups()
            problems += self._check_fields()
            problems += self._check_webhook()
        except PlatformError as error:
            problems.append(self._error(_TROUBLE.get(error.code, f"gives no answer ({error.code}).")))
        return problems

    def _check_groups(self) -> list[Problem]:
        known: set[str] = set()
        for category in self._items("interest-categories", "categories", "id"):
            path = f"interest-categories{self.path(str(category.get('id', '')))}/interests"
            known |= {str(interest.get("id")) for interest in self._items(path, "interests", "id")}
        return [
            self._error(
                f'has no group {remote} in this audience, which TOPICS names for "{topic}". Make a group there '
                "(Audience > Manage contacts > Groups), and take its id from the API."
            )
            for (topic, _channel), remote in self.mapping.pairs().items()
            if remote not in known
        ]

    def _check_fields(self) -> list[Problem]:
        wanted = self._tags()
        if not wanted:
            return []
        known = {
            str(field.get("tag")): field
            for field in self._items("merge-fields", "merge_fields", "tag,type,required")
        }
        problems = [
            self._error(
                f"has no merge field {tag} in this audience: {what}. Make it there (Audience > Settings > Audience "
                f"fields and *|MERGE|* tags), of the type {kind}."
            )
            for tag, (what, kind) in wanted.items()
            if tag not in known
        ]
        problems += [
            self._error(
                f"has the merge field {tag} as {known[tag].get('type')}; make it one of the type {kind}: {what}."
            )
            for tag, (what, kind) in wanted.items()
            if tag in known and kind == "date" and known[tag].get("type") not in {"date", "text"}
        ]
        required = sorted(tag for tag, field in known.items() if field.get("required") is True)
        if required:
            problems.append(
                self._error(
                    f"asks for {', '.join(required)} of everybody (a required merge field): people who did not give "
                    "it would be refused. Make it optional there."
                )
            )
        return problems

    def _check_webhook(self) -> list[Problem]:
        for hook in self._items("webhooks", "webhooks", "url,events,sources"):
            if f"/inbound/{self.alias}/" not in str(hook.get("url", "")):
                continue
            if _part(hook, "events").get("unsubscribe") is not True:
                return [self._warning("has our webhook without the event unsubscribe: switch it on.")]
            if _part(hook, "sources").get("user") is not True:
                return [
                    self._warning(
                        "has our webhook without what people do themselves: switch the source user on."
                    )
                ]
            return []
        return [
            self._warning(
                "has no webhook that leads here: who leaves by the link in a campaign is only noticed at night. Make "
                f"one for …/inbound/{self.alias}/…, with unsubscribe and cleaned, by user and admin."
            )
        ]

    def _items(self, path: str, name: str, fields: str) -> list[Json]:
        query = {"count": PAGE, "fields": ",".join(f"{name}.{field}" for field in fields.split(","))}
        found = _object(self.call("GET", f"{self._list()}/{path}", query=query)).get(name)
        if not isinstance(found, list):
            raise PlatformError(Outcome.RETRY, "unexpected-answer")
        return [item for item in found if isinstance(item, dict)]

    def _tags(self) -> dict[str, tuple[str, str]]:
        """{merge tag: (what it is for, its type over there)}."""
        return {
            **{
                remote: (f'the attribute "{name}"', "text")
                for name, remote in self.mapping.attribute_names().items()
            },
            **dict.fromkeys(self.frequency_fields.values(), ("how often people want mail", "text")),
            **dict.fromkeys(self.pause_fields.values(), ("the day a pause ends", "date")),
        }

    def _list(self) -> str:
        return self.path("lists", self.options["AUDIENCE"])

    def _person(self, member: str) -> str:
        return self.path("lists", self.options["AUDIENCE"], "members", member)

    def _error(self, text: str) -> Problem:
        return Problem("error", f'Mailchimp ("{self.alias}") {text}')

    def _warning(self, text: str) -> Problem:
        return Problem("warning", f'Mailchimp ("{self.alias}") {text}')


#: What `check` says of an error.
_TROUBLE = {
    "api-key-invalid": "does not take API_KEY: make one under Account > Extras > API keys.",
    "http-401": "does not take API_KEY: make one under Account > Extras > API keys.",
    "user-disabled": "has disabled the user of API_KEY.",
    "connection": "cannot be reached.",
    "dns": "cannot be found: does API_KEY end with your data centre?",
}


def _member(payload: Json, status: str) -> Json:
    """A person as a batch has her."""
    return {
        "email_address": payload["email"],
        "status": status,
        **({"interests": payload["groups"]} if payload.get("groups") else {}),
        **({"merge_fields": payload["fields"]} if payload.get("fields") else {}),
        **({"timestamp_opt": payload["at"]} if "at" in payload and status != "pending" else {}),
    }


def _verdict(error: Json) -> Verdict:
    """What a batch says of one person. Its sentences hold her address, so only what they begin with is looked at."""
    sentence = str(error.get("error", ""))
    if _COMPLIANCE.search(sentence):
        return Verdict(Outcome.REFUSED, _IN_COMPLIANCE)
    if _FORGOTTEN.search(sentence):
        return Verdict(Outcome.REFUSED, _IS_FORGOTTEN)
    if _EXISTS.search(sentence):
        return Verdict(Outcome.REFUSED, _IS_THERE)
    code = word(error.get("error_code"))
    return Verdict(Outcome.REFUSED, code or "refused")


def _became(member: Json, wanted: str) -> Verdict:
    """What a batch made of one person: it may pass over a status without an error."""
    status = member.get("status")
    contact = str(member.get("contact_id", ""))
    remote = contact if _MEMBER.fullmatch(contact) else ""
    if status == wanted or (wanted == "unsubscribed" and status in _OUT):
        return Verdict(Outcome.DONE, remote_id=remote)
    if wanted != "unsubscribed" and status in _OUT:
        return Verdict(Outcome.REFUSED, _IN_COMPLIANCE)
    if status in {_WAITS, "subscribed"} and wanted != "unsubscribed":
        if status == _WAITS:
            return Verdict(Outcome.NEEDS_CONFIRMATION, _ASKED, remote_id=remote)
        return Verdict(Outcome.DONE, remote_id=remote)
    return Verdict(Outcome.RETRY, "unexpected-answer")


def _without(operation: Operation, name: str) -> Operation:
    return replace(operation, payload={key: value for key, value in operation.payload.items() if key != name})


def _is_done(result: Result) -> bool:
    return result.outcome is Outcome.DONE


def _asked(result: Result) -> Result:
    if result.outcome is not Outcome.DONE:
        return result
    return replace(result, outcome=Outcome.NEEDS_CONFIRMATION, code=_ASKED)


def _former(target: Target) -> list[str]:
    """The addresses that are no longer hers, each once."""
    now = _folded(target.identifiers.email)
    former = {_folded(each.email): each.email for each in target.retired if each.email}
    return [email for folded, email in sorted(former.items()) if folded != now]


def _folded(email: object) -> str:
    return str(email or "").strip().lower()


def _digest(email: str) -> str:
    """What Mailchimp knows a person by. It is an identifier and no secret: whoever has the address has it."""
    return hashlib.md5(_folded(email).encode(), usedforsecurity=False).hexdigest()


def _written(moment: datetime) -> str:
    return f"{moment.astimezone(UTC):%Y-%m-%d %H:%M:%S}"


def _is_after(given: str, changed: datetime | None) -> bool:
    """Whether a yes is newer than what happened there; where either moment is not known, it is not."""
    moment = parse_moment(given)
    return moment is not None and changed is not None and moment > changed


def _title(answer: Answer) -> str:
    """The title of an error, which is what tells errors apart; its sentences may change, and hold addresses."""
    if answer.status < 400:
        return ""
    try:
        said = answer.json()
    except PlatformError:
        return ""
    return word(said.get("title")) if isinstance(said, dict) else ""


def _object(answer: Answer) -> Json:
    found = answer.json()
    if not isinstance(found, dict):
        raise PlatformError(Outcome.RETRY, "unexpected-answer")
    return found


def _part(of: Json, name: str) -> Json:
    part = of.get(name)
    return part if isinstance(part, dict) else {}
