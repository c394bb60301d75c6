"""`l/{token}/`: the manage page without JavaScript, or the way to a host page (design.md s9, flows a and c).

A fresh link has the same address, and a module of its own.
"""

from __future__ import annotations

from uuid import UUID

from django.http import HttpRequest, HttpResponse, HttpResponseRedirect, QueryDict
from django.utils import translation
from django.utils.translation import gettext as _

from ..access import services as access
from ..access.services import Link, Purpose, make_code, open_link, purpose_of
from ..canonical import sha256_hex
from ..centers import services as centers
from ..centers.form import SESSION, Submitted, form_bytes, form_to_answers, one
from ..centers.origins import origin_of
from ..centers.services import Center, Snapshot
from ..changes import OptOut
from ..conf import conf
from ..contacts.services import load_state
from ..errors import BadToken, ForeignOrigin, InvalidAnswers, StepUpRequired, UnknownReceipt
from ..submissions import services as submissions
from ..submissions.gpc import Shared, shared_topics
from ..submissions.services import Saved
from ..values import Actor, ActorType, Assurance, Source
from . import degraded, fresh, own_receipt, receipts, rights
from .personal import HttpResponseSeeOther, address, center_of, draw_page, element_for, host_page, shown
from .receipts import Told
from .tokens import TokenView, read_form, refuse_foreign


class ManageView(TokenView):
    """GET draws, or leads to the host page; POST is the form."""

    def get(self, request: HttpRequest, token: str) -> HttpResponse:
        if purpose_of(token) is Purpose.FRESH:
            return fresh.show(request, token)
        link = open_link(token, Purpose.MANAGE)
        center = center_of(link, request)
        if link.expired or center is None:
            return degraded.show(request, link, center)
        if "receipt" in request.GET:
            return own_receipt.show(request, link, centers.get_snapshot(center.digest))
        host = host_page(link, center)
        if host:
            code = make_code(link, center.center, origin_of(host))
            return HttpResponseRedirect(f"{host}#pc={code}")
        snapshot = centers.get_snapshot(center.digest)
        receipt = request.GET.get("saved", "")
        # What a save did stands on the page of the form: no script may take it away.
        element = None if receipt else element_for(link, center)
        return draw_page(request, link, snapshot, receipt=receipt, element=element)

    def post(self, request: HttpRequest, token: str) -> HttpResponse:
        refuse_foreign(request)
        if purpose_of(token) is Purpose.FRESH:
            return fresh.act(request, token)
        link = open_link(token, Purpose.MANAGE)
        center = center_of(link, request)
        if link.expired or center is None:
            return degraded.act(request, link, read_form(request, conf.max_body_bytes))
        newest = centers.get_snapshot(center.digest)
        data = read_form(request, max(conf.max_body_bytes, form_bytes(newest)))
        snapshot = shown(data, newest)
        session = fresh_session(data, link, center)
        try:
            submitted = form_to_answers(snapshot, data)
            if submitted.step_up:
                told = step_up(link, center, snapshot)
                return draw_page(request, link, snapshot, posted=data, session=session, told=told)
            if submitted.right:
                by = ActorType.SUBJECT_SESSION if session else ActorType.SUBJECT_LINK
                known = bool(session)
                return rights.answer(request, link, center, snapshot, submitted, data, by=by, is_known=known)
            saved = save(request, link, center, snapshot, submitted, "fresh" if session else "link")
        except InvalidAnswers as refused:
            return draw_page(request, link, snapshot, posted=data, session=session, refused=refused)
        except StepUpRequired:
            return draw_page(request, link, snapshot, posted=data, refused=too_personal(data, snapshot))
        if session:
            # Not by a redirect, which would lose the session: the address of a page never holds one.
            told = receipts.at_once(saved, snapshot)
            return draw_page(request, link, newest, session=session, told=told)
        if saved.receipt is None and saved.merged:
            # Nothing was recorded that the next page could read the reasons from.
            return draw_page(request, link, newest, told=receipts.at_once(saved, snapshot))
        return HttpResponseSeeOther(address(request, saved=saved.receipt or receipts.NOTHING))


def save(
    request: HttpRequest,
    link: Link,
    center: Center,
    snapshot: Snapshot,
    submitted: Submitted,
    assurance: Assurance,
    *,
    by: ActorType = ActorType.SUBJECT_LINK,
) -> Saved:
    """One submission. Raises InvalidAnswers and StepUpRequired."""
    source = Source(
        method="page",
        form_id=str(center.center),
        form_version=snapshot.digest,
        language=snapshot.locale,
        source_url=center.page_url,
    )
    shared = honoured(request, link, center)
    if submitted.undo is not None:
        key = submitted.idempotency_key
        return take_back(link, snapshot, submitted.undo, key, source, assurance, by, shared)
    if submitted.leave:
        return submissions.record(
            link.contact_id,
            [OptOut()],
            actor=Actor(by),
            source=source,
            idempotency_key=f"{submitted.idempotency_key}.leave",
        )
    return submissions.submit(
        link_id=link.link_id,
        epoch=link.epoch,
        snapshot=snapshot,
        base_version=submitted.base_version,
        answers=submitted.answers,
        actor=Actor(by),
        source=source,
        # A form that comes back by the back button has its old key. With other answers it is another save.
        idempotency_key=f"{submitted.idempotency_key}.{sha256_hex(submitted.answers)}",
        assurance=assurance,
        network=access.network_of(request),
        shared=shared,
    )


def honoured(request: HttpRequest, link: Link, center: Center) -> Shared:
    """What the browser's privacy signal is about, recorded; nothing without one."""
    shared = shared_topics(request.headers.get("Sec-GPC"), link.audience_id)
    if shared:
        source = Source(method="page", form_id=str(center.center), source_url=center.page_url)
        submissions.honour_signal(load_state(link.contact_id), shared, source)
    return shared


def take_back(
    link: Link,
    snapshot: Snapshot,
    receipt: UUID,
    key: str,
    source: Source,
    assurance: Assurance,
    by: ActorType,
    shared: Shared,
) -> Saved:
    """What the button of an entry does. Raises InvalidAnswers where it is too late, or was never hers."""
    try:
        return submissions.undo(
            link_id=link.link_id,
            epoch=link.epoch,
            snapshot=snapshot,
            receipt=receipt,
            actor=Actor(by),
            source=source,
            idempotency_key=f"{key}.{receipt}",
            assurance=assurance,
            shared=shared,
        )
    except UnknownReceipt:
        with translation.override(snapshot.locale):
            told = _("This can no longer be taken back.")
        raise InvalidAnswers({"": {"receipt": [told]}}) from None


def fresh_session(data: QueryDict, link: Link, center: Center) -> str:
    """The bearer in a form that a fresh link has opened, "" where there is none that still holds for this contact."""
    bearer = one(data, SESSION)
    if not bearer:
        return ""
    try:
        session = access.open_session(bearer, center=center.center, origin=origin_of(center.page_url))
        if session.assurance != "fresh" or center.revoked.stops(session.kid, session.began):
            return ""
        return bearer if access.contact_of(session).state.id == link.contact_id else ""
    except (BadToken, ForeignOrigin):
        return ""


def step_up(link: Link, center: Center, snapshot: Snapshot) -> Told:
    """The button beside what is masked: a mail with a fresh link, to the stored address."""
    access.mail_fresh_link(
        link.contact_id,
        center=center.center,
        title=snapshot.document["title"],
        locale=snapshot.locale,
    )
    return Told(access.fresh_link_told(snapshot.locale))


def too_personal(data: QueryDict, snapshot: Snapshot) -> InvalidAnswers:
    """What to do where a form holds what is personal, and no session that still holds."""
    with translation.override(snapshot.locale):
        if one(data, SESSION):
            told = _(
                "This page was open for too long, so nothing was saved. What you typed still stands below. To save what "
                "is personal, have a fresh link sent to you with the button beside it."
            )
        else:
            told = _("This is personal: changing it takes a fresh link.")
    return InvalidAnswers({"": {"": [told]}})
