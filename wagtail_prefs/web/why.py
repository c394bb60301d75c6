"""`w/{token}/`: why did I get this mail? Which one, by which of her choices or which law, and the button that ends it.

The page only tells. Its button is a form of the one-click page, which acts, offers to take that back, and names what else
she gets. A forwarded mail opens this as well, so her address is masked; and of what she has set it tells as long as a
manage link of the same mail would, and not after it was called back. What is known of the mail itself, and the way out,
stay for ever.
"""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime
from typing import TYPE_CHECKING, Any

from django.conf import settings
from django.http import HttpRequest, HttpResponse
from django.urls import reverse
from django.utils import timezone, translation
from django.utils.formats import date_format
from django.utils.translation import gettext as _, gettext_lazy

from ..access.services import Link, Purpose, lead_on, open_link, site_root
from ..blocks.pause import day_it_ends
from ..blocks.words import CHANNEL_LABELS, FREQUENCY_LABELS
from ..centers import services as centers
from ..centers.services import Center
from ..contacts import rules
from ..contacts.addresses import masked
from ..contacts.services import load_state
from ..decisions import periods
from ..decisions.models import Send
from ..decisions.values import Verdict
from ..errors import NotPublished, UnknownContact
from ..ledger.models import Record
from ..ledger.services import read_body
from ..sending import looking_back
from ..topics.models import Audience, Topic
from ..values import SUBSCRIBED, UNSUBSCRIBED, ActorType, ContactState
from . import one_click
from .responses import asked_locale, message, page
from .tokens import TokenView

if TYPE_CHECKING:
    from django.utils.functional import _StrPromise

#: Why a mail went out, by the reason of the decision that let it out.
REASONS: dict[str, _StrPromise] = {
    "subscribed": gettext_lazy("You had subscribed to this."),
    "recorded": gettext_lazy("You had subscribed to this."),
    "transactional": gettext_lazy(
        "It is about something that you ordered or asked for, or about your account. Such messages always come, whatever "
        "you have chosen."
    ),
}
#: The same where she was never asked, by the legal basis of the topic.
BASES: dict[str, _StrPromise] = {
    "soft_opt_in": gettext_lazy(
        "You are a customer of ours. Where you live that is enough for messages like this one, until you say no."
    ),
    "contract": gettext_lazy("It belongs to an agreement with you, so it comes until you say no."),
    "legitimate_interest": gettext_lazy(
        "Where you live, messages like this one may come until you say no, and you had not said so."
    ),
}
#: Reasons that rest on a yes of hers, or on nothing that anybody noted.
_BY_HER_YES = {"subscribed", "recorded", ""}
#: Why a mail should not have gone out, by the reason of the refusal.
BROKEN: dict[str, _StrPromise] = {
    "opted_out": gettext_lazy("You had unsubscribed from everything."),
    "unsubscribed": gettext_lazy("You had unsubscribed from this."),
    "channel_refused": gettext_lazy("You had said that you want nothing this way."),
    "expired": gettext_lazy("Your subscription had ended."),
    "pending": gettext_lazy("You had not confirmed your subscription yet."),
    "no_consent": gettext_lazy("You had not subscribed, and where you live that takes a yes."),
    "paused": gettext_lazy("You had asked for a pause."),
    "frequency": gettext_lazy("You had got as much in that time as you wanted."),
    "quiet_hours": gettext_lazy("It was night where you live."),
    "dead_address": gettext_lazy("Mail to this address had come back before."),
    "suppressed": gettext_lazy("This address was erased once, at the wish of its owner."),
    "archived": gettext_lazy("We had said that this is not sent any more."),
}


class WhyView(TokenView):
    """It changes nothing, whatever is sent to it."""

    def get(self, request: HttpRequest, token: str) -> HttpResponse:
        try:
            return show(request, open_link(token, Purpose.WHY))
        except UnknownContact:
            return gone(request)

    def post(self, request: HttpRequest, token: str) -> HttpResponse:
        return self.get(request, token)


def gone(request: HttpRequest) -> HttpResponse:
    """The page of somebody who is not there any more."""
    told = _(
        "Whoever got this mail has had her data erased, or is not known any more. Nothing is sent to her."
    )
    return message(request, 200, _("Nothing is kept about this mail"), told)


def show(request: HttpRequest, link: Link) -> HttpResponse:
    """The page: what is known of the mail, and what of her as long as the link is young and was not called back."""
    center = _center(request, link)
    locale = center.locale if center else link.language or asked_locale(request)
    sent = looking_back.find(link)
    topic = Topic.objects.filter(audience_id=link.audience_id, key=link.topic).first() if link.topic else None
    state = load_state(link.contact_id)
    zone = state.timezone
    what = one_click.what(link, center, locale)
    with translation.override(locale):
        context: dict[str, Any] = {
            "what": what,
            "sent": sent,
            "on": _day(sent.at, zone) if sent else "",
            "waited": _day(sent.waited_since, zone) if sent and sent.waited_since else "",
            "broken": _is_broken(sent),
            "reason": _reason(sent, topic),
            "always": bool(topic and topic.transactional),
            "action": reverse("wagtail_prefs:one-click", args=[lead_on(link, Purpose.UNSUBSCRIBE)]),
            "pair": one_click.PAIR,
            "old": link.expired,
        }
        if context["broken"]:
            audience = Audience.objects.get(pk=link.audience_id)
            context |= {"brand": audience.name, "site": site_root(link.audience_id)}
        if not (link.expired or link.called_back):
            context |= _of_hers(link, state, sent, what, center)
    return page("wagtail_prefs/why.html", context, locale=locale)


def _of_hers(
    link: Link, state: ContactState, sent: Send | None, what: str, center: Center | None
) -> dict[str, Any]:
    """What only a link says that could as well be a manage link."""
    now = rules.effective(state, timezone.now())
    known = None
    if link.topic and (sent is None or sent.reason in _BY_HER_YES):
        known = looking_back.consent(state, link.topic, link.channel, sent.record if sent else None)
        if known and sent and known.at > sent.at:  # it did not go out by what she said later
            known = None
    return {
        "address": masked(link.email) if link.email else "",
        "consent": _consent(known, state.timezone) if known else "",
        "sender": sent.sender if sent and sent.sender != "django" else "",
        "set": list(_settings(now, link, what)),
        "out": _out(now, link),
        "manage_url": reverse("wagtail_prefs:manage", args=[lead_on(link, Purpose.MANAGE)]) if center else "",
    }


def _is_broken(sent: Send | None) -> bool:
    return sent is not None and sent.verdict not in {"", Verdict.SEND}


def _reason(sent: Send | None, topic: Topic | None) -> str:
    """Why it was sent, or why it should not have been; "" where nobody noted that."""
    if sent is None or not sent.verdict:
        return ""
    if _is_broken(sent):
        return str(BROKEN.get(sent.reason, _("One of our rules spoke against it.")))
    if sent.reason == "allowed":
        told = _("You had not said no to this, and where you live it takes no consent.")
        return str(BASES.get(topic.basis if topic else "", told))
    return str(REASONS.get(sent.reason, _("Nothing that you had chosen stood in its way.")))


def _consent(record: Record, zone: str) -> str:
    """When, and where, she said yes."""
    body = read_body(record)
    on = {"date": _day(record.at, zone)}
    match body["actor"]["type"]:
        case ActorType.SUBJECT_LINK | ActorType.SUBJECT_SESSION:
            title = _title(body.get("form_version"))
            if title:
                return _("You subscribed on %(date)s, on the page “%(title)s”.") % {**on, "title": title}
            return _("You subscribed on %(date)s.") % on
        case ActorType.ADMIN:
            return _("Our staff noted on %(date)s that you subscribe.") % on
        case ActorType.IMPORT:
            return _("It came on %(date)s, with data that we were given, that you subscribe.") % on
    return _("One of our systems noted on %(date)s that you subscribe.") % on


def _title(digest: str | None) -> str:
    """What a page was called when she answered it."""
    try:
        return str(centers.get_snapshot(digest).document["title"]) if digest else ""
    except NotPublished:
        return ""


def _settings(state: ContactState, link: Link, what: str) -> Iterator[str]:
    """How often, and until when not at all: as far as it is about this mail."""
    scopes = {
        ("", ""): _("Everything"),
        ("", link.channel): str(CHANNEL_LABELS.get(link.channel, link.channel)),
        (link.topic, ""): what,
    }
    for key, label in scopes.items():
        if key in state.frequencies:
            code = state.frequencies[key]
            yield _("%(what)s: %(value)s") % {"what": label, "value": FREQUENCY_LABELS.get(code, code)}
    for key, label in scopes.items():
        if key in state.pauses:
            day = date_format(day_it_ends(state.pauses[key].until, state.timezone), "DATE_FORMAT")
            yield _("%(what)s: paused until %(date)s") % {"what": label, "date": day}


def _out(state: ContactState, link: Link) -> str:
    """Whether she has left since, or before: `everything`, the `channel`, `this`, or ""."""
    if state.opted_out:
        return "everything"
    said = state.choices.get((link.topic, link.channel))
    if said == UNSUBSCRIBED and link.topic:
        return "this"
    if state.choices.get(("", link.channel)) == UNSUBSCRIBED and said != SUBSCRIBED:
        return "channel"
    return ""


def _day(moment: datetime, zone: str) -> str:
    """A day where she lives, as it is written in her language."""
    local = moment.astimezone(periods.zone(zone, settings.TIME_ZONE))
    return date_format(local, "DATE_FORMAT")


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
