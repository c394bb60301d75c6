"""`u/{token}/`: unsubscribing by one POST of a mail client, and the same button for people (RFC 8058).

The way out never closes: it works for ever, also where a link is old or was called back. All else that the page can do
takes a link that is neither: naming what else she gets, and offering to take back what such a button did in the last
`UNDO_DAYS`. That is less than the manage link of the same mail can do, so nobody gains power over her by it. Whoever
has just pressed the button may take that one press back by any link that was not called back, as long as a session
lasts: the page that answers the press holds a signed receipt, and nobody else has it. So a forwarded mail can end what
she gets, and cannot bring back what she ended (security.md EM-13, TK-05).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any
from uuid import UUID

from django.core.exceptions import RequestDataTooBig, SuspiciousOperation
from django.http import HttpRequest, HttpResponse, QueryDict
from django.urls import reverse
from django.utils import timezone, translation
from django.utils.translation import gettext as _

from ..access import revocations, tokens
from ..access.services import Link, Purpose, make_token, open_link
from ..blocks.words import by_channel
from ..centers import services as centers
from ..centers.services import Center
from ..changes import Change, OptOut, SetChoice
from ..conf import conf
from ..contacts import rules
from ..contacts.models import Contact
from ..contacts.services import load_state
from ..errors import BadToken, NotPublished, StepUpRequired, UnknownContact, UnknownReceipt
from ..ids import b64, unb64
from ..ledger.models import Record
from ..submissions import services as submissions
from ..submissions.gpc import shared_topics
from ..topics.services import goes_on_as, topics_for
from ..values import SUBSCRIBED, UNSUBSCRIBED, Actor, ActorType, ContactState, Key, Source
from .responses import asked_locale, page
from .tokens import FORM, TokenView, content_length, read_anything, refuse_foreign

#: What the POST must say (RFC 8058 s3.1), and what our own page adds.
PAIR = ("List-Unsubscribe", "One-Click")
FROM_PAGE = "page"
EVERYTHING = "everything"
OTHERS = "others"
LEAVE = "leave"
BACK = "back"

#: The kind of token that a button of the page carries: which press it takes back.
BACK_PREFIX = "b1"


class OneClickView(TokenView):
    """POST with the pair acts at once; anything else shows the page. A link whose MAC holds always works."""

    def get(self, request: HttpRequest, token: str) -> HttpResponse:
        try:
            return show(request, open_link(token, Purpose.UNSUBSCRIBE))
        except UnknownContact:
            return gone(request)

    def post(self, request: HttpRequest, token: str) -> HttpResponse:
        data: QueryDict = QueryDict()
        try:
            link = open_link(token, Purpose.UNSUBSCRIBE)
            data = said(request)
            if FROM_PAGE in data and BACK in data:
                refuse_foreign(request)
                return show(request, link, take_back(request, link, str(data[BACK])))
            if {value.strip() for value in data.getlist(PAIR[0])} != {PAIR[1]}:
                return show(request, link)
            if FROM_PAGE in data:
                return show(request, link, act(request, link, data))
            unsubscribe(link, everything=False)
        except UnknownContact:  # erased meanwhile: nothing is sent to her, which is what was asked for
            data = data or said(request)
            return gone(request) if FROM_PAGE in data else done()
        return done()


def said(request: HttpRequest) -> QueryDict:
    """The fields of whatever a mail client sends, none where it is no form; never raises.

    Django refuses urlencoded forms that name another charset than UTF-8. The pair is the same in all that are used.
    """
    data = read_anything(request, conf.max_body_bytes)
    if data or request.content_type != FORM or content_length(request) > conf.max_body_bytes:
        return data
    try:
        return QueryDict(request.body) if not request.headers.get("Content-Encoding") else data
    except (RequestDataTooBig, SuspiciousOperation, OSError):
        return data


@dataclass(frozen=True, slots=True)
class Did:
    """What a button of the page just did: `left` the link's topic, `others`, `everything`; took it `back`, or `late`.

    `labels` are what else was left. `receipt` is of the record, None where nothing had to change. `partly`: not all of
    it came back.
    """

    what: str
    receipt: str | None = None
    labels: Sequence[str] = ()
    partly: bool = False


def act(request: HttpRequest, link: Link, data: QueryDict) -> Did | None:
    """Carry out a button of our page; each of them only ends something. None where nothing was ticked."""
    if EVERYTHING in data:
        return Did(EVERYTHING, unsubscribe(link, everything=True).receipt)
    if OTHERS not in data:
        return Did("left", unsubscribe(link, everything=False).receipt)
    offered = {}
    if is_young(link) and not _is_called_back(link):
        offered = others(link, _today(link), _center(request, link), "")
    ticked = {key: label for key, label in offered.items() if ":".join(key) in data.getlist(LEAVE)}
    if not ticked:
        return None
    saved = _record(link, [SetChoice(topic, channel, UNSUBSCRIBED) for topic, channel in ticked])
    return Did(OTHERS, saved.receipt, tuple(ticked.values()))


def unsubscribe(link: Link, *, everything: bool) -> submissions.Saved:
    """Take the contact out of the link's topic and channel, or of everything. Doing it again records nothing."""
    changes: list[Change] = [OptOut()]
    if link.topic and not everything:
        # The link of an old mail may be about a topic that goes on as another by now.
        topics = (link.topic, *goes_on_as(link.audience_id, link.topic))
        changes = [SetChoice(topic, link.channel, UNSUBSCRIBED) for topic in topics]
    return _record(link, changes)


def _record(link: Link, changes: Sequence[Change]) -> submissions.Saved:
    return submissions.record(
        link.contact_id, changes, actor=Actor(ActorType.ONE_CLICK), source=_source(link)
    )


def _source(link: Link) -> Source:
    return Source(method="one_click", form_id=str(link.center) if link.center else None)


def take_back(request: HttpRequest, link: Link, token: str) -> Did:
    """Restore what one press took away, as far as nothing newer stands in its way. Pressing twice takes back once."""
    try:
        payload = tokens.verify(BACK_PREFIX, token)
        receipt = UUID(bytes=unb64(payload["r"]))
        pressed = datetime.fromtimestamp(payload["i"], UTC)
        if payload["l"] != link.link_id or _is_called_back(link):
            raise BadToken
        if not is_young(link) and timezone.now() - pressed > conf.session_life:
            raise BadToken("expired")
        saved = submissions.undo(
            link_id=link.link_id,
            epoch=link.epoch,
            snapshot=None,
            receipt=receipt,
            actor=Actor(ActorType.SUBJECT_LINK),
            source=_source(link),
            idempotency_key=f"back.{receipt}",
            shared=shared_topics(request.headers.get("Sec-GPC"), link.audience_id),
        )
    except (BadToken, UnknownReceipt, StepUpRequired, KeyError, ValueError, TypeError):
        return Did("late")
    if not saved.effects:
        return Did("late")
    return Did(BACK, saved.receipt, partly=bool(saved.yielded))


def done() -> HttpResponse:
    """What a mail client gets: 200, small, without a redirect or a cookie."""
    return HttpResponse("Unsubscribed.\n", content_type="text/plain; charset=utf-8")


def show(request: HttpRequest, link: Link, did: Did | None = None) -> HttpResponse:
    """The page with the button, or with the news of what it did; and with all else that she can end here."""
    center = _center(request, link)
    locale = center.locale if center else link.language or asked_locale(request)
    context: dict[str, Any] = {
        "did": did,
        "what": what(link, center, locale),
        "action": request.path,
        "pair": PAIR,
        "out": did is not None and did.what in {"left", EVERYTHING},
        "out_of_everything": did is not None and did.what == EVERYTHING,
        "back": "",
    }
    if not _is_called_back(link):
        if did is not None and did.receipt and did.what != BACK:
            context["back"] = back_token(link, did.receipt)
        if is_young(link):
            context |= _of_hers(link, center, locale, back=context["back"])
    return page("wagtail_prefs/one_click.html", context, locale=locale)


def _of_hers(link: Link, center: Center | None, locale: str, *, back: str) -> dict[str, Any]:
    """What only a link says that could as well be a manage link."""
    state = _today(link)
    choice = state.choices.get((link.topic, link.channel))
    return {
        "out": state.opted_out or (bool(link.topic) and choice == UNSUBSCRIBED),
        "out_of_everything": state.opted_out,
        "others": [(":".join(key), label) for key, label in others(link, state, center, locale).items()],
        "back": back or _pressed(link, state),
        "manage_url": manage_path(link, center),
    }


def gone(request: HttpRequest) -> HttpResponse:
    """The page of somebody who is not there any more: she gets nothing, and there is nothing to press."""
    context = {"did": Did(EVERYTHING), "out": True, "out_of_everything": True}
    return page("wagtail_prefs/one_click.html", context, locale=asked_locale(request))


def what(link: Link, center: Center | None, locale: str) -> str:
    """What the link unsubscribes from, as people know it: `News by e-mail`; "" for everything."""
    if not link.topic:
        return ""
    key = (link.topic, link.channel)
    labels = _labels_of(center) if center is not None else {}
    if key in labels:
        return labels[key]
    topics = {topic.key: topic for topic in topics_for(link.audience_id, locale).values()}
    with translation.override(locale):
        topic = topics.get(link.topic)
        return by_channel(topic.label, link.channel) if topic else _("these messages")


def others(link: Link, state: ContactState, center: Center | None, locale: str) -> dict[Key, str]:
    """What else she gets, or waits to confirm, of what the center offers; of what there is, where there is no center."""
    labels = _labels_of(center) if center is not None else _labels_in(link.audience_id, locale)
    held = {key for key, value in state.choices.items() if value == SUBSCRIBED} | state.pending
    held.discard((link.topic, link.channel))
    return {key: label for key, label in labels.items() if key in held}


def _labels_of(center: Center) -> dict[Key, str]:
    """{choice: its name} of what a center offers."""
    found: dict[Key, str] = {}
    for spec in centers.get_snapshot(center.digest).specs:
        for path, (_dotted, label) in spec.paths.items():
            kind, _colon, rest = path.partition(":")
            topic, _colon, channel = rest.rpartition(":")
            if kind == "choice" and topic:
                found.setdefault((topic, channel), label)
    return found


def _labels_in(audience_id: int, locale: str) -> dict[Key, str]:
    """{choice: its name} of the topics of an audience, also of those that are sent no more."""
    with translation.override(locale):
        return {
            (topic.key, channel): by_channel(topic.label, channel)
            for topic in topics_for(audience_id, locale).values()
            for channel in topic.channels
            if not topic.transactional
        }


def is_young(link: Link) -> bool:
    """Whether a manage link that came in the same mail would still open."""
    return timezone.now() - link.issued <= conf.manage_link_life


def _is_called_back(link: Link) -> bool:
    """Whether that manage link was revoked: by contact, center or key."""
    stops = revocations.stops_link(tokens.kid_of(link.token), link.center, link.issued)
    hers = Contact.objects.filter(link_id=link.link_id, audience_id=link.audience_id)
    return not hers.filter(epoch=link.epoch).annotate(revoked=stops).filter(revoked=False).exists()


def manage_path(link: Link, center: Center | None) -> str:
    """Where all of her choices are, by a link as old as the mail: to open it again does not make it younger."""
    contact = Contact.objects.filter(link_id=link.link_id, audience_id=link.audience_id).first()
    if center is None or contact is None:
        return ""
    token = make_token(Purpose.MANAGE, contact, center=center.center, issued=link.issued, of=link.token)
    return reverse("wagtail_prefs:manage", args=[token])


def back_token(link: Link, receipt: str) -> str:
    """What the button carries that takes a press back: made for this link's contact, now."""
    payload = {"l": link.link_id, "r": b64(UUID(receipt).bytes), "i": int(timezone.now().timestamp())}
    return tokens.sign(BACK_PREFIX, payload)


def _pressed(link: Link, state: ContactState) -> str:
    """The token of the press that her present no comes from; "" where it came another way, or too long ago."""
    path = rules.OPTED_OUT if state.opted_out else f"choice:{link.topic}:{link.channel}"
    if not state.opted_out and state.choices.get((link.topic, link.channel)) != UNSUBSCRIBED:
        return ""
    found = Record.objects.filter(
        contact_ref=state.id,
        seq=state.versions.get(path, 0),
        actor=ActorType.ONE_CLICK,
        at__gt=timezone.now() - conf.undo_life,
    ).values_list("pk", flat=True)
    receipt = found.first()
    return back_token(link, str(receipt)) if receipt else ""


def _today(link: Link) -> ContactState:
    return rules.effective(load_state(link.contact_id), timezone.now())


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
