"""`POST links/`: links for many people, for the merge fields of a platform that sends."""

from __future__ import annotations

from typing import Any
from uuid import UUID

from django.utils.translation import gettext as _

from ..access import bulk
from ..access.api_keys import Scope
from ..centers import services as centers
from ..errors import NotPublished
from ..values import Json
from .clients import ClientCall, Refused, client_view
from .shapes import CLIENT, describe, problems, ref, refused

#: People that one call may name, and the bytes that their ids need.
MAX_CONTACTS = 1000
MAX_BYTES = 64 * 1024


@describe(
    operation_id="make_links",
    summary="Links for many people",
    request={"application/json": ref("LinksWanted")},
    responses={200: ref("LinksMade"), **refused(), **problems(400, 401, 403, 404, 413, 415, 429)},
    auth=CLIENT,
)
def make_links(call: ClientCall) -> Json:
    """One link to her choices and one out of them for each, made without a row. Who is not there is named.

    Scope: `links:write`.
    """
    data = call.read(
        {"contacts": list, "center": str},
        {"topic": str, "channel": str, "host": int},
        limit=MAX_BYTES,
    )
    ids = _ids(data["contacts"])
    topic = data.get("topic", "")
    channel = data.get("channel", "email" if topic else "")
    host = data.get("host")
    center = _center(call, data["center"], host)
    if name := bulk.problem_with(call.key.audience, topic, channel):
        raise Refused(
            {name: [_("There is nothing to unsubscribe from: no such topic, or not by this channel.")]}
        )
    maker = bulk.Maker(call.audience_id, center, topic=topic, channel=channel, host=host)
    made = maker.of(list(ids.values()))
    return {
        "links": [
            {
                "contact": given,
                "manage": made[contact].manage,
                "unsubscribe": made[contact].unsubscribe,
            }
            for given, contact in ids.items()
            if contact in made
        ],
        "unknown": [given for given, contact in ids.items() if contact not in made],
    }


def _ids(items: list[Any]) -> dict[str, UUID]:
    """What was sent -> the id it is, each once and in the order of the body."""
    if not 0 < len(items) <= MAX_CONTACTS:
        raise Refused({"contacts": [_("Name 1 to %(most)s people.") % {"most": MAX_CONTACTS}]})
    found: dict[str, UUID] = {}
    for item in items:
        contact = _uuid(item)
        if contact is None:
            raise Refused({"contacts": [_("An id is a UUID.")]})
        found[str(contact)] = contact
    return found


def _center(call: ClientCall, given: str, host: int | None) -> UUID:
    center = _uuid(given)
    if center is None:
        raise NotPublished
    found = centers.current(center)
    if found.audience_id != call.audience_id:
        raise NotPublished
    if host is not None and not 0 <= host < len(found.host_pages):
        raise Refused({"host": [_("The center has no host page of this number; the first is 0.")]})
    return center


def _uuid(given: object) -> UUID | None:
    try:
        return UUID(given) if isinstance(given, str) and len(given) == 36 else None
    except ValueError:
        return None


links_view = client_view(post=(Scope.LINKS_WRITE, make_links))
