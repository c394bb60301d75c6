"""`l/{token}/`: the manage page without JavaScript, or the way to a host page (design.md s9, flows a and c)."""

from __future__ import annotations

from typing import Any
from urllib.parse import urlencode
from uuid import UUID

from django.http import HttpRequest, HttpResponse, HttpResponseRedirect, QueryDict
from django.http.response import HttpResponseRedirectBase
from django.utils import translation
from django.utils.translation import gettext as _

from ..access.services import Link, Purpose, make_code, open_link
from ..canonical import sha256_hex
from ..centers import services as centers
from ..centers.drawing import draw
from ..centers.form import form_bytes, form_to_answers, revision_of
from ..centers.origins import origin_of
from ..centers.services import Center, Snapshot
from ..conf import conf
from ..contacts.services import load_state
from ..errors import BadToken, InvalidAnswers, NotPublished, StepUpRequired, UnknownReceipt
from ..ids import random_id
from ..submissions import services as submissions
from ..values import Actor, ActorType, Source
from . import degraded, receipts
from .receipts import Told
from .responses import media_origins, page
from .tokens import TokenView, read_form, refuse_foreign

MAX_LOCALE = 35


class HttpResponseSeeOther(HttpResponseRedirectBase):
    """303: whatever the browser sent, it goes on with GET."""

    status_code = 303


class ManageView(TokenView):
    """GET draws, or leads to the host page; POST is the form."""

    def get(self, request: HttpRequest, token: str) -> HttpResponse:
        link = open_link(token, Purpose.MANAGE)
        center = center_of(link, request)
        if link.expired or center is None:
            return degraded.show(request, link, center)
        host = host_page(link, center)
        if host:
            code = make_code(link, center.center, origin_of(host))
            return HttpResponseRedirect(f"{host}#pc={code}")
        snapshot = centers.get_snapshot(center.digest)
        receipt = request.GET.get("saved", "")
        return draw_page(request, link, snapshot, receipt=receipt)

    def post(self, request: HttpRequest, token: str) -> HttpResponse:
        refuse_foreign(request)
        link = open_link(token, Purpose.MANAGE)
        center = center_of(link, request)
        if link.expired or center is None:
            return degraded.act(request, link, read_form(request, conf.max_body_bytes))
        newest = centers.get_snapshot(center.digest)
        data = read_form(request, max(conf.max_body_bytes, form_bytes(newest)))
        snapshot = shown(data, newest)
        try:
            saved = self.save(link, center, snapshot, data)
        except InvalidAnswers as refused:
            return draw_page(request, link, snapshot, posted=data, refused=refused)
        except StepUpRequired:
            with translation.override(snapshot.locale):
                told = _("This is personal: changing it takes a fresh link.")
            return draw_page(request, link, snapshot, posted=data, refused=InvalidAnswers({"": {"": [told]}}))
        if saved.receipt is None and saved.merged:
            # Nothing was recorded that the next page could read the reasons from.
            return draw_page(request, link, newest, told=receipts.at_once(saved, snapshot))
        return HttpResponseSeeOther(address(request, saved=saved.receipt or receipts.NOTHING))

    def save(self, link: Link, center: Center, snapshot: Snapshot, data: QueryDict) -> submissions.Saved:
        """One submission. Raises InvalidAnswers."""
        submitted = form_to_answers(snapshot, data)
        source = Source(
            method="page",
            form_id=str(center.center),
            form_version=snapshot.digest,
            language=snapshot.locale,
            source_url=center.page_url,
        )
        if submitted.undo is not None:
            return take_back(link, snapshot, submitted.undo, submitted.idempotency_key, source)
        return submissions.submit(
            link_id=link.link_id,
            epoch=link.epoch,
            snapshot=snapshot,
            base_version=submitted.base_version,
            answers=submitted.answers,
            actor=Actor(ActorType.SUBJECT_LINK),
            source=source,
            # A form that comes back by the back button has its old key. With other answers it is another save.
            idempotency_key=f"{submitted.idempotency_key}.{sha256_hex(submitted.answers)}",
        )


def take_back(link: Link, snapshot: Snapshot, receipt: UUID, key: str, source: Source) -> submissions.Saved:
    """What the button of an entry does. Raises InvalidAnswers where it is too late, or was never hers."""
    try:
        return submissions.undo(
            link_id=link.link_id,
            epoch=link.epoch,
            snapshot=snapshot,
            receipt=receipt,
            actor=Actor(ActorType.SUBJECT_LINK),
            source=source,
            idempotency_key=f"{key}.{receipt}",
        )
    except UnknownReceipt:
        with translation.override(snapshot.locale):
            told = _("This can no longer be taken back.")
        raise InvalidAnswers({"": {"receipt": [told]}}) from None


def center_of(link: Link, request: HttpRequest) -> Center | None:
    """The link's center in the best language: asked for, the contact's, the browser's. None when unpublished."""
    if link.center is None:
        raise BadToken
    wish = request.GET.get("locale", "")[:MAX_LOCALE] or link.language
    try:
        center = centers.current(link.center, wish or None, request.headers.get("Accept-Language", ""))
    except NotPublished:
        return None
    if center.audience_id != link.audience_id:
        raise BadToken
    return center


def host_page(link: Link, center: Center) -> str:
    """The host page a link leads to, "" for the own page - also when the editor took the host page away."""
    if link.host is None or not 0 <= link.host < len(center.host_pages):
        return ""
    url = center.host_pages[link.host]
    return url if origin_of(url) in center.origins else ""


def shown(data: QueryDict, newest: Snapshot) -> Snapshot:
    """The snapshot a form was drawn from; the newest, and so an error, where it is not of this center."""
    revision = revision_of(data)
    if revision == newest.digest:
        return newest
    try:
        snapshot = centers.get_snapshot(revision)
    except NotPublished:
        return newest
    return snapshot if snapshot.center == newest.center else newest


def draw_page(
    request: HttpRequest,
    link: Link,
    snapshot: Snapshot,
    *,
    receipt: str = "",
    told: Told | None = None,
    posted: QueryDict | None = None,
    refused: InvalidAnswers | None = None,
) -> HttpResponse:
    """The form with today's state, or with what a refused form held; `receipt` is of the save to tell about."""
    state = load_state(link.contact_id)
    records = submissions.records_of(state, snapshot)
    preferences = centers.preferences(snapshot, state, link.email, assurance="link", records=records)
    if receipt:
        told = receipts.told(receipt, link.contact_id, snapshot, state.timezone)
    form = draw(snapshot.document, preferences, posted=posted, errors=refused.errors if refused else None)
    context: dict[str, Any] = {
        "form": form,
        "saved": told,
        "action": address(request),
        "idempotency_key": random_id(),
    }
    return page(
        "wagtail_prefs/manage.html",
        context,
        locale=snapshot.locale,
        status=422 if refused else 200,
        media=media_origins(snapshot.document),
    )


def address(request: HttpRequest, **query: str) -> str:
    """This page's address with nothing but the language that was asked for, and `query`."""
    locale = request.GET.get("locale", "")[:MAX_LOCALE]
    wanted = urlencode({**({"locale": locale} if locale else {}), **query})
    return f"{request.path}?{wanted}" if wanted else request.path
