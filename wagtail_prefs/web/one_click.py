"""`u/{token}/`: unsubscribing by one POST of a mail client, and the same button for people (RFC 8058)."""

from __future__ import annotations

from dataclasses import dataclass

from django.http import HttpRequest, HttpResponse
from django.urls import reverse
from django.utils import timezone, translation
from django.utils.translation import gettext as _

from ..access.services import Link, Purpose, make_token, open_link
from ..blocks.words import by_channel
from ..centers import services as centers
from ..centers.services import Center
from ..changes import Change, OptOut, SetChoice
from ..conf import conf
from ..contacts.models import Contact
from ..errors import NotPublished, UnknownContact
from ..submissions import services as submissions
from ..topics.services import goes_on_as, topics_for
from ..values import UNSUBSCRIBED, Actor, ActorType, Source
from .responses import asked_locale, page
from .tokens import TokenView, read_anything

#: What the POST must say (RFC 8058 s3.1), and what our own page adds.
PAIR = ("List-Unsubscribe", "One-Click")
FROM_PAGE = "page"
EVERYTHING = "everything"


class OneClickView(TokenView):
    """POST with the pair acts at once; anything else shows the page. A link whose MAC holds always works."""

    def get(self, request: HttpRequest, token: str) -> HttpResponse:
        try:
            link = open_link(token, Purpose.UNSUBSCRIBE)
        except UnknownContact:
            return gone(request)
        return show(request, link)

    def post(self, request: HttpRequest, token: str) -> HttpResponse:
        try:
            link = open_link(token, Purpose.UNSUBSCRIBE)
            data = read_anything(request, conf.max_body_bytes)
            if {value.strip() for value in data.getlist(PAIR[0])} != {PAIR[1]}:
                return show(request, link)
            everything = EVERYTHING in data and FROM_PAGE in data
            unsubscribe(link, everything=everything)
        except UnknownContact:  # erased meanwhile: nothing is sent to her, which is what was asked for
            return gone(request) if FROM_PAGE in read_anything(request, conf.max_body_bytes) else done()
        return show(request, link, Did(everything=everything)) if FROM_PAGE in data else done()


@dataclass(frozen=True, slots=True)
class Did:
    """What the button just did."""

    everything: bool


def unsubscribe(link: Link, *, everything: bool) -> None:
    """Take the contact out of the link's topic and channel, or of everything. Doing it again records nothing."""
    changes: list[Change] = [OptOut()]
    if link.topic and not everything:
        # The link of an old mail may be about a topic that goes on as another by now.
        topics = (link.topic, *goes_on_as(link.audience_id, link.topic))
        changes = [SetChoice(topic, link.channel, UNSUBSCRIBED) for topic in topics]
    submissions.record(
        link.contact_id,
        changes,
        actor=Actor(ActorType.ONE_CLICK),
        source=Source(method="one_click", form_id=str(link.center) if link.center else None),
    )


def done() -> HttpResponse:
    """What a mail client gets: 200, small, without a redirect or a cookie."""
    return HttpResponse("Unsubscribed.\n", content_type="text/plain; charset=utf-8")


def show(request: HttpRequest, link: Link, did: Did | None = None) -> HttpResponse:
    """The page with the button, or with the news that it was pressed."""
    center = _center(request, link)
    locale = center.locale if center else link.language or asked_locale(request)
    context = {
        "did": did,
        "what": what(link, center, locale),
        "action": request.path,
        "pair": PAIR,
        "from_page": FROM_PAGE,
        "everything": EVERYTHING,
        "manage_url": manage_path(link, center),
    }
    return page("wagtail_prefs/one_click.html", context, locale=locale)


def gone(request: HttpRequest) -> HttpResponse:
    """The page of somebody who is not there any more: she gets nothing, and there is nothing to press."""
    context = {"did": Did(everything=True), "what": ""}
    return page("wagtail_prefs/one_click.html", context, locale=asked_locale(request))


def what(link: Link, center: Center | None, locale: str) -> str:
    """What the link unsubscribes from, as people know it: `News by e-mail`; "" for everything."""
    path = f"choice:{link.topic}:{link.channel}"
    if center is not None and link.topic:
        for spec in centers.get_snapshot(center.digest).specs:
            if path in spec.paths:
                return spec.paths[path][1]
    if not link.topic:
        return ""
    topics = {topic.key: topic for topic in topics_for(link.audience_id, locale).values()}
    with translation.override(locale):
        topic = topics.get(link.topic)
        return by_channel(topic.label, link.channel) if topic else _("these messages")


def manage_path(link: Link, center: Center | None) -> str:
    """Where the other topics are. An unsubscribe link lives for ever, a manage link does not: so only while one that
    had come in the same mail would still open, and not after links were revoked.
    """
    if center is None or timezone.now() - link.issued > conf.manage_link_life:
        return ""
    contact = Contact.objects.filter(pk=link.contact_id, epoch=link.epoch).first()
    if contact is None:
        return ""
    # As old as the mail, so that opening it again and again does not make it younger.
    token = make_token(Purpose.MANAGE, contact, center=center.center, issued=link.issued)
    return reverse("wagtail_prefs:manage", args=[token])


def _center(request: HttpRequest, link: Link) -> Center | None:
    if link.center is None:
        return None
    try:
        center = centers.current(
            link.center, link.language or None, request.headers.get("Accept-Language", "")
        )
    except NotPublished:
        return None
    return center if center.audience_id == link.audience_id else None
