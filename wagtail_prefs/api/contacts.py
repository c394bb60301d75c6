"""People, for a program that knows them too: `contacts/`. By UUID; no address stands in a URL.

A key belongs to an audience, and whoever is of another one is as unknown as nobody at all.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from typing import Any
from uuid import UUID

from django.core.exceptions import ValidationError
from django.db import IntegrityError, transaction
from django.utils import timezone
from django.utils.translation import gettext as _

from ..access.api_keys import Scope
from ..changes import Change, change_from_json
from ..contacts import rules, services as contacts, store
from ..contacts.addresses import canonical_email
from ..contacts.models import Contact
from ..errors import BodyRefused, UnknownContact
from ..submissions import door
from ..sync.reading import FACTS, fact
from ..values import CHANNELS, EVIDENCE_KINDS, Actor, ActorType, Evidence, Json, Source, iso, key_to_scope
from .clients import ClientCall, Refused, client_view
from .shapes import CLIENT, KEY, describe, problems, ref, refused

#: What a program may say of a person. The rest is her own, or has a place of its own.
CHANGES = frozenset(
    {
        "SetChoice", "SetFrequency", "Pause", "Resume", "OptOut", "OptIn", "SetAttribute", "ClearAttribute",
        "GiveReason", "AcknowledgeNotice",
    }
)  # fmt: skip
#: Changes that one call may bring.
MAX_CHANGES = 100
_NAME = re.compile(r"[a-z0-9_-]{1,64}\Z")
_SHA256 = re.compile(r"[0-9a-f]{64}\Z")
#: The longest words that go with a reason.
MAX_WORDS = 2000


@describe(
    operation_id="add_contact",
    summary="Add a person",
    request={"application/json": ref("NewContact")},
    responses={
        200: ref("KnownContact"),
        201: ref("KnownContact"),
        **refused(),
        **problems(400, 401, 403, 413, 415, 429),
    },
    auth=CLIENT,
)
def add(call: ClientCall) -> tuple[int, Json]:
    """Makes a contact, which allows nothing yet. What is known of one that exists is left alone: 200 then.

    Scope: `contacts:write`.
    """
    data = call.read({"email": str}, {**dict.fromkeys(FACTS, str), "external_id": str})
    errors: dict[str, list[str]] = {}
    try:
        canonical_email(data["email"])
    except (ValidationError, UnicodeError):
        errors["email"] = [_("This is no e-mail address.")]
    facts = {name: fact(name, data[name]) for name in FACTS if data.get(name)}
    errors |= {name: [_("There is no such value.")] for name, value in facts.items() if not value}
    external_id = data.get("external_id", "").strip()
    if len(external_id) > 255:
        errors["external_id"] = [_("An external id has at most 255 characters.")]
    if errors:
        raise Refused(errors)
    with transaction.atomic():  # whoever cannot be named as wished is not added either
        is_new = contacts.find(call.audience_id, data["email"]) is None
        contact = contacts.get_or_create(call.audience_id, data["email"], source="api", **facts)
        if external_id and not contact.external_id:
            _name(contact, external_id)
    return (201 if is_new else 200), {
        "id": str(contact.pk),
        "version": contact.version,
        "external_id": contact.external_id,
        "suppressed": contact.suppressed,
    }


def _name(contact: Contact, external_id: str) -> None:
    try:
        with transaction.atomic():
            nameless = Contact.objects.filter(pk=contact.pk, external_id="")
            nameless.update(external_id=external_id, touched_at=timezone.now())
    except IntegrityError as taken:
        raise Refused({"external_id": [_("Somebody else has this external id.")]}) from taken
    contact.refresh_from_db(fields=["external_id"])


@describe(
    operation_id="read_contact",
    summary="What a person chose",
    responses={200: ref("ContactOfClient"), **problems(401, 403, 404, 429)},
    auth=CLIENT,
)
def read(call: ClientCall, contact: UUID) -> Json:
    """As it holds now. Whoever was merged is answered as whom she is now: `id` says so. Scope: `contacts:read`."""
    return _told(call, contact)


@describe(
    operation_id="find_contact",
    summary="Find a person",
    request={"application/json": ref("FindContact")},
    responses={200: ref("ContactOfClient"), **problems(400, 401, 403, 404, 413, 415, 429)},
    auth=CLIENT,
)
def find(call: ClientCall) -> Json:
    """By her address or by the id that other programs know her by. A POST, so that neither stands in a URL.

    Scope: `contacts:read`.
    """
    data = call.read({}, {"email": str, "external_id": str})
    if len(data) != 1:
        raise BodyRefused(
            _("The body must have exactly these keys: %(keys)s") % {"keys": "email / external_id"}
        )
    found = _by_address(call, data["email"]) if "email" in data else _by_name(call, data["external_id"])
    if found is None:
        raise UnknownContact
    return _told(call, found)


def _by_address(call: ClientCall, email: str) -> UUID | None:
    try:
        found = contacts.find(call.audience_id, email)
    except (ValidationError, UnicodeError):  # no address, and so nobody's
        return None
    return found.pk if found else None


def _by_name(call: ClientCall, external_id: str) -> UUID | None:
    external_id = external_id.strip()
    if not external_id or len(external_id) > 255:  # "" is what those have who have none
        return None
    rows = Contact.objects.filter(audience_id=call.audience_id, external_id=external_id)
    return rows.values_list("pk", flat=True).first()


def _told(call: ClientCall, contact: UUID) -> Json:
    loaded = store.load(contact)
    if loaded is not None and loaded.audience_id == call.audience_id and loaded.state.merged_into:
        loaded = store.load(loaded.state.merged_into)
    if loaded is None or loaded.audience_id != call.audience_id or loaded.state.erased:
        raise UnknownContact
    state = rules.effective(loaded.state, timezone.now())
    return {
        "id": str(state.id),
        "version": state.version,
        "email": loaded.email,
        "external_id": loaded.external_id,
        "language": state.language,
        "country": state.country,
        "timezone": state.timezone,
        "opted_out": state.opted_out,
        "suppressed": state.suppressed,
        "choices": [
            {
                "topic": key[0],
                "channel": key[1],
                "choice": state.choices.get(key),
                "pending": key in state.pending,
                "until": iso(state.until[key]) if key in state.until else None,
            }
            for key in sorted({*state.choices, *state.pending})
        ],
        "frequencies": {key_to_scope(key): code for key, code in sorted(state.frequencies.items())},
        "pauses": {key_to_scope(key): iso(pause.until) for key, pause in sorted(state.pauses.items())},
        "attributes": dict(state.attributes),
    }


@describe(
    operation_id="change_contact",
    summary="Change what a person chose",
    parameters=[KEY],
    request={"application/json": ref("ClientChanges")},
    responses={200: ref("ClientReceipt"), **refused(), **problems(400, 401, 403, 404, 413, 415, 429)},
    auth=CLIENT,
)
def change(call: ClientCall, contact: UUID) -> Json:
    """A no is always taken. A yes needs evidence of the person's own act, younger than what she said since. A `sale` is
    no yes: it allows what the law of her country lets customers be sent, for a while; `merged` says what it does not.

    Scope: `contacts:write`.
    """
    key = call.idempotency_key()
    data = call.read({"changes": list}, {"evidence": dict})
    changes = _changes(data["changes"])
    evidence = _evidence(data["evidence"]) if "evidence" in data else None
    hers = Contact.objects.filter(pk=contact, audience_id=call.audience_id, erased_at=None, merged_into=None)
    if not hers.exists():
        raise UnknownContact
    try:
        saved = door.record(
            contact,
            changes,
            by=Actor(ActorType.API, call.key.pk),
            source=Source(method="api", evidence=evidence),
            idempotency_key=key,
        )
    except ValueError as unknown:  # the words of it repeat what was sent
        raise Refused(
            {"changes": [_("A yes is about a topic there is, on a channel that it comes by.")]}
        ) from unknown
    return {
        "version": saved.version,
        "receipt": saved.receipt,
        "applied": [{"path": effect.path, "action": effect.action} for effect in saved.effects],
        "merged": [{"path": merged.path, "rule": merged.rule} for merged in saved.yielded],
    }


def _changes(items: list[Any]) -> tuple[Change, ...]:
    if not 0 < len(items) <= MAX_CHANGES:
        raise Refused({"changes": [_("Send 1 to %(most)s changes.") % {"most": MAX_CHANGES}]})
    found, errors = [], dict[str, list[str]]()
    for number, item in enumerate(items):
        if not isinstance(item, dict):
            raise BodyRefused(_("“%(key)s” has the wrong type.") % {"key": "changes"})
        try:
            found.append(_change(item))
        except _Unfit as unfit:
            errors[f"changes.{number}"] = [str(unfit)]
    if errors:
        raise Refused(errors)
    if rules.contradictions(found):
        raise Refused({"changes": [_("Two of the changes contradict each other.")]})
    return tuple(found)


class _Unfit(Exception):
    """Why a change cannot be taken, in words that repeat nothing of it."""


def _change(item: Json) -> Change:
    name = item.get("change")
    if not isinstance(name, str) or name not in CHANGES:
        raise _Unfit(_("There are these changes: %(names)s.") % {"names": ", ".join(sorted(CHANGES))})
    if item.get("v") != 1 or item["v"] is True:
        raise _Unfit(_("“v” is 1."))
    if any(isinstance(value, dict) for value in item.values()):
        # A record holds those where a value was: they are no value that anybody has.
        raise _Unfit(_("A value is a text, a whole number, true, false or a list of texts."))
    for name, fits in _FIT.items():
        if item.get(name) and not fits(item[name]):
            raise _Unfit(_("“%(name)s” is none that there can be.") % {"name": name})
    try:
        found = change_from_json(item)
    except (TypeError, ValueError) as error:
        raise _Unfit(_("The fields of this change, or their values, are not those that it has.")) from error
    if not _makes_sense(found, item):
        raise _Unfit(_("The fields of this change, or their values, are not those that it has."))
    return found


def _named(value: object) -> bool:
    return isinstance(value, str) and bool(_NAME.match(value))


def _is_moment(value: object) -> bool:
    """Whether this is a moment with a zone, of a time that computers agree about."""
    try:
        found = datetime.fromisoformat(value) if isinstance(value, str) else None
        return found is not None and found.tzinfo is not None and 1900 <= found.astimezone(UTC).year < 9999
    except (ValueError, OverflowError):
        return False


#: What the fields of changes can be, whatever the change: a column, or a path, must hold it.
_FIT: Mapping[str, Callable[[Any], bool]] = {
    "topic": _named,
    "channel": lambda value: value in CHANNELS,
    "name": _named,
    "notice": _named,
    "code": _named,
    "sha256": lambda value: isinstance(value, str) and bool(_SHA256.match(value)),
    "until": _is_moment,
    "text": lambda value: isinstance(value, str) and len(value) <= MAX_WORDS,
}


def _makes_sense(found: Change, item: Mapping[str, Any]) -> bool:
    match item["change"]:
        case "SetAttribute" if item["name"] in FACTS:
            return isinstance(item["value"], str) and fact(item["name"], item["value"]) == item["value"]
        case "SetAttribute" | "ClearAttribute":
            return bool(item["name"] != "reason")  # GiveReason's own
        case "GiveReason":
            return bool(item["code"])
        case "AcknowledgeNotice":
            return bool(item["sha256"])
    return True


def _evidence(data: Json) -> Evidence:
    """Where the person's own act can be looked up. It stands in the ledger for ever, so it is no address."""
    if data.keys() - {"kind"} != {"reference", "at"}:
        raise BodyRefused(_("The body must have exactly these keys: %(keys)s") % {"keys": "reference, at"})
    reference, at, kind = data["reference"], data["at"], data.get("kind", "consent")
    errors = {}
    if not isinstance(reference, str) or not reference.strip() or len(reference) > 255 or "@" in reference:
        errors["evidence.reference"] = [
            _(
                "A reference has 1 to 255 characters, and holds no address: an order, a form's entry, a signed sheet."
            )
        ]
    if not _is_moment(at) or datetime.fromisoformat(at) > timezone.now():
        errors["evidence.at"] = [_("Evidence is of a moment that is past, with its zone, as in ISO 8601.")]
    if kind not in EVIDENCE_KINDS:
        errors["evidence.kind"] = [_("There are these: %(names)s.") % {"names": ", ".join(EVIDENCE_KINDS)}]
    if errors:
        raise Refused(errors)
    return Evidence(reference, datetime.fromisoformat(at).astimezone(UTC), kind)


contacts_view = client_view(post=(Scope.CONTACTS_WRITE, add))
find_view = client_view(post=(Scope.CONTACTS_READ, find))
contact_view = client_view(get=(Scope.CONTACTS_READ, read), patch=(Scope.CONTACTS_WRITE, change))
