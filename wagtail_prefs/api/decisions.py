"""`POST decisions/`: may this be sent to them now? And `decisions/asking/`: may they be asked for a yes?

Answered as `decisions` answers, for up to a thousand at once.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Any
from uuid import UUID

from django.http import HttpResponse, JsonResponse
from django.utils import translation
from django.utils.translation import gettext as _

from ..access.api_keys import Scope
from ..decisions import answers, asking, naming, wire
from ..values import iso
from .clients import ClientCall, Refused, client_view
from .shapes import CLIENT, describe, problems, ref, refused

#: Bytes that a thousand external ids of 255 characters need, whatever their alphabet.
MAX_BYTES = 1024 * 1024
#: How contacts can be named: by the id that they have here, or that other programs know them by.
BY = ("id", "external_id")


@describe(
    operation_id="decide",
    summary="May this be sent to them?",
    request={"application/json": ref("Question")},
    responses={200: ref("Decisions"), **refused(), **problems(400, 401, 403, 413, 415, 429)},
    auth=CLIENT,
)
def decide(call: ClientCall) -> HttpResponse:
    """An answer for each, in their order, its words in the language of `Accept-Language`. Asking changes nothing; with
    `record`, the message's id, a `send` takes its place in what the person wants to get.

    Scope: `decisions:read`; with `record` also `sends:write`.
    """
    data = call.read(
        {"topic": str, "channel": str, "contacts": list},
        {"at": str, "record": str, "by": str},
        limit=MAX_BYTES,
    )
    record = data.get("record")
    if record is not None:
        call.require(Scope.SENDS_WRITE)
    contacts, external = data["contacts"], data.get("by", BY[0]) == BY[1]
    if refusals := _refusals(data):
        raise Refused(refusals)
    at = moment(data["at"]) if "at" in data else None
    language = translation.get_language_from_request(call.request)
    with translation.override(language):
        try:
            text = wire.answer(
                contacts,
                data["topic"],
                data["channel"],
                at=at,
                record=record,
                audience=call.audience_id,
                sender=call.sender,
                external=external,
            )
        except ValueError:
            if not (refusals := _unnamed(contacts, external=external)):
                raise
            raise Refused(refusals) from None
    response = HttpResponse(text, content_type="application/json")
    response["Content-Language"] = language
    return response


@describe(
    operation_id="may_ask",
    summary="May they be asked for a yes?",
    request={"application/json": ref("AskingQuestion")},
    responses={200: ref("Askings"), **refused(), **problems(400, 401, 403, 413, 415, 429)},
    auth=CLIENT,
)
def may_ask(call: ClientCall) -> HttpResponse:
    """An answer for each, in their order. Who said no is not asked again for a year, or longer by the law of her
    country: `until` says from when on. Whether a mail that asks may go out, is for `decisions/` to say.

    Scope: `decisions:read`.
    """
    data = call.read(
        {"topic": str, "channel": str, "contacts": list},
        {"at": str, "by": str},
        limit=MAX_BYTES,
    )
    external = data.get("by", BY[0]) == BY[1]
    refusals = _refusals(data) or _unnamed(data["contacts"], external=external)
    if refusals:
        raise Refused(refusals)
    named = naming.ids_of(data["contacts"], call.audience_id) if external else data["contacts"]
    at = moment(data["at"]) if "at" in data else None
    askings = asking.may_ask(
        [UUID(one) for one in named], data["topic"], data["channel"], at, audience=call.audience_id
    )
    language = translation.get_language_from_request(call.request)
    with translation.override(language):
        answer = [
            {
                "contact": name if external else str(one.contact),
                "may_ask": one.may,
                "until": iso(one.until) if one.until else None,
                "reason": one.reason,
                "rule": str(asking.WORDS[one.reason]),
            }
            for name, one in zip(data["contacts"], askings, strict=True)
        ]
    response = JsonResponse({"askings": answer})
    response["Content-Language"] = language
    return response


def _refusals(data: dict[str, Any]) -> dict[str, list[str]]:
    """What the fields cannot be; who is asked about is looked at by `wire`, and again only where that fails."""
    errors = dict[str, list[str]]()
    if not 0 < len(data["contacts"]) <= wire.MAX_CONTACTS:
        errors["contacts"] = [_("Name 1 to %(most)s people.") % {"most": wire.MAX_CONTACTS}]
    if data.get("by", BY[0]) not in BY:
        errors["by"] = [_("There are these: %(names)s.") % {"names": ", ".join(BY)}]
    if "at" in data and moment(data["at"]) is None:
        errors["at"] = [_("A moment is written as in ISO 8601, with its zone.")]
    if "record" in data:
        if not is_message(data["record"]):
            errors["record"] = [no_message()]
        elif "at" in data:
            errors["record"] = [_("A message is recorded now: leave out one of the two, `at` or `record`.")]
    return errors


def _unnamed(contacts: Sequence[Any], *, external: bool) -> dict[str, list[str]]:
    """The places of what names nobody."""
    names = is_external if external else is_id
    reason = _("An external id is a text.") if external else _("An id is a UUID.")
    return {f"contacts.{place}": [reason] for place, given in enumerate(contacts) if not names(given)}


def is_id(given: object) -> bool:
    """Whether this is a UUID as everybody writes them."""
    try:
        return isinstance(given, str) and len(given) == 36 and str(UUID(given)) == given.lower()
    except ValueError:
        return False


def is_external(given: object) -> bool:
    """Whether this can be the id that another program knows somebody by."""
    return isinstance(given, str) and bool(given)


def is_message(given: object) -> bool:
    """Whether this can be a message's id."""
    try:
        answers.check_message(given if isinstance(given, str) else "")
    except ValueError:
        return False
    return True


def no_message() -> str:
    """Why something is no id of a message."""
    most = {"most": answers.MAX_MESSAGE_ID}
    return _("The id of a message has 1 to %(most)s printable characters.") % most


def moment(given: object) -> datetime | None:
    """The moment (UTC) that is written here; None for what is none, has no zone, or is out of reach."""
    try:
        return answers.checked(datetime.fromisoformat(given)) if isinstance(given, str) else None
    except (ValueError, OverflowError):
        return None


decisions_view = client_view(post=(Scope.DECISIONS_READ, decide))
asking_view = client_view(post=(Scope.DECISIONS_READ, may_ask))
