"""`sends/`: what was sent elsewhere, and the places of what was not sent after all."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from uuid import UUID

from django.utils.translation import gettext as _
from drf_spectacular.utils import OpenApiParameter

from ..access.api_keys import Scope
from ..contacts.models import Contact
from ..decisions import judging, naming, services as decisions
from ..errors import BodyRefused
from ..values import CHANNELS, Json
from . import body
from .clients import ClientCall, Refused, client_view
from .decisions import is_external, is_id, is_message, moment, no_message
from .shapes import CLIENT, describe, problems, ref, refused

#: Messages that one call may bring, and the bytes and keys that they need, whatever the alphabet of their ids.
MAX_SENDS = 1000
MAX_BYTES = 2 * 1024 * 1024
_MOST_KEYS = 6 * MAX_SENDS + 1

_NEEDED = {"message_id": str, "topic": str, "channel": str}
_MORE = {"contact": str, "external_id": str, "at": str}


@describe(
    operation_id="note_sends",
    summary="Tell what was sent",
    request={"application/json": ref("SendsMade")},
    responses={200: ref("SendsNoted"), **refused(), **problems(400, 401, 403, 413, 415, 429)},
    auth=CLIENT,
)
def note(call: ClientCall) -> Json:
    """One message, or up to a thousand. Each counts from now on, and is held against what was promised for its moment.
    The same message again gets its first answer. Either all are read, or none is noted: what cannot be one is named.

    Scope: `sends:write`.
    """
    data = body.read_json(call.request, MAX_BYTES, most_keys=_MOST_KEYS)
    items, errors = [data], dict[str, list[str]]()
    if is_list := "sends" in data:
        body.only(data, sends=list)
        items = data["sends"]
        if not 0 < len(items) <= MAX_SENDS:
            raise Refused({"sends": [_("Send 1 to %(most)s messages.") % {"most": MAX_SENDS}]})
    for place, item in enumerate(items):
        if not isinstance(item, dict):
            raise BodyRefused(_("“%(key)s” has the wrong type.") % {"key": "sends"})
        body.some(item, _NEEDED, _MORE)
        errors |= {f"sends.{place}.{name}" if is_list else name: why for name, why in _unfit(item).items()}
    if errors:
        raise Refused(errors)
    noted = judging.note(_reports(items, call.audience_id), audience=call.audience_id, sender=call.sender)
    told = [{"new": one.new, "verdict": one.verdict or None, "reason": one.reason or None} for one in noted]
    return {"sends": told} if is_list else told[0]


def _unfit(item: Json) -> Mapping[str, list[str]]:
    """The fields of a message that cannot be what they are, each with a reason that repeats nothing of it."""
    fits = {
        "message_id": (is_message, no_message()),
        "contact": (is_id, _("An id is a UUID.")),
        "external_id": (is_external, _("An external id is a text.")),
        "channel": (CHANNELS.__contains__, _("There are these: %(names)s.") % {"names": ", ".join(CHANNELS)}),
        "at": (moment, _("A moment is written as in ISO 8601, with its zone.")),
    }
    errors = {name: [why] for name, (is_fit, why) in fits.items() if name in item and not is_fit(item[name])}
    if ("contact" in item) == ("external_id" in item):
        errors["contact"] = [_("Name the person by one of the two, `contact` or `external_id`.")]
    return errors


def _reports(items: Sequence[Json], audience: int) -> list[judging.Report]:
    names = [item["external_id"] for item in items if "external_id" in item]
    ids = dict(zip(names, naming.ids_of(names, audience), strict=True)) if names else {}
    return [
        judging.Report(
            item["message_id"],
            UUID(item["contact"] if "contact" in item else ids[item["external_id"]]),
            item["topic"],
            item["channel"],
            moment(item.get("at")),
        )
        for item in items
    ]


@describe(
    operation_id="give_back",
    summary="Give back the place of what was not sent",
    parameters=[OpenApiParameter("contact", UUID, description="of one person only")],
    responses={200: ref("PlacesFreed"), **refused(), **problems(401, 403, 429)},
    auth=CLIENT,
)
def give_back(call: ClientCall, message_id: str) -> Json:
    """For a message that never left: the next one may have its place. With everybody of the key's audience, or one person.
    Nothing is left of what was noted of it.

    Scope: `sends:write`.
    """
    if not is_message(message_id):
        raise Refused({"message_id": [no_message()]})
    people = _people(call)
    return {"freed": decisions.give_back(message_id, people, audience=call.audience_id)}


def _people(call: ClientCall) -> list[UUID] | None:
    """Who the query names, as whom she was and as whom she is; None where it names nobody, which is everybody.

    So a name that is misspelt, or a value that is empty, is refused.
    """
    query = call.request.GET
    if not query:
        return None
    given = query.getlist("contact")
    if query.keys() != {"contact"} or len(given) != 1 or not is_id(given[0]):
        raise Refused({"contact": [_("The query may name one person, by a UUID, and nothing else.")]})
    asked = UUID(given[0])
    merged_into = Contact.objects.filter(pk=asked, audience=call.audience_id).values_list("merged_into")
    return [asked, *(who for (who,) in merged_into if who)]


sends_view = client_view(post=(Scope.SENDS_WRITE, note))
send_view = client_view(delete=(Scope.SENDS_WRITE, give_back))
