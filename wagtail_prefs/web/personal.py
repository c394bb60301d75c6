"""A contact's own page: which center it is, where it stands, and how it is drawn."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any
from urllib.parse import urlencode

from django.http import HttpRequest, HttpResponse, QueryDict
from django.http.response import HttpResponseRedirectBase
from django.urls import reverse

from ..access.services import Link, Once, make_code
from ..centers import services as centers
from ..centers.drawing import draw
from ..centers.embed import NotBuilt, element as built_element
from ..centers.form import OPT_OUT, revision_of
from ..centers.origins import origin_of
from ..centers.screen import Form
from ..centers.services import Center, Snapshot
from ..contacts.rules import OPTED_OUT
from ..contacts.services import load_state
from ..errors import BadToken, InvalidAnswers, NotPublished
from ..ids import random_id
from ..submissions import services as submissions
from ..submissions.gpc import shared_topics
from ..values import Assurance, Json
from . import receipts
from .receipts import Told
from .responses import media_origins, page

MAX_LOCALE = 35


class HttpResponseSeeOther(HttpResponseRedirectBase):
    """303: whatever the browser sent, it goes on with GET."""

    status_code = 303


def center_of(link: Link | Once, request: HttpRequest) -> Center | None:
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


def host_page(link: Link | Once, center: Center) -> str:
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
    link: Link | Once,
    snapshot: Snapshot,
    *,
    path: str = "",
    session: str = "",
    member: str = "",
    receipt: str = "",
    told: Told | None = None,
    posted: QueryDict | None = None,
    refused: InvalidAnswers | None = None,
    element: Json | None = None,
) -> HttpResponse:
    """The form with today's state, or with what a refused form held; `receipt` is of the save to tell about.

    `session` is the bearer of whoever came by a fresh link: it shows what is personal, and goes with the form. `path` is
    where that is sent, this page itself without. `member` is the token of Django's protection against forged requests:
    of whoever is signed in to the site, which knows her, so that she sees all of it as well. `element` is what the script
    beside the form needs to take over.
    """
    assurance: Assurance = "fresh" if session or member else "link"
    state = load_state(link.contact_id)
    records = submissions.records_of(state, snapshot, assurance)
    shared = shared_topics(request.headers.get("Sec-GPC"), link.audience_id)
    preferences = centers.preferences(
        snapshot, state, link.email, assurance=assurance, records=records, shared=shared
    )
    if receipt:
        told = receipts.told(receipt, link.contact_id, snapshot, state.timezone, assurance)
    form = draw(snapshot.document, preferences, posted=posted, errors=refused.errors if refused else None)
    no_way_out = not state.opted_out and not has_way_out(form, snapshot)
    if no_way_out:
        element = None  # it draws the blocks, and they would leave her without one
    context: dict[str, Any] = {
        "form": form,
        "way_out": OPT_OUT if no_way_out else "",
        "saved": told,
        "action": address(request, path),
        "receipts": address(request, path, receipt=""),
        "session": session,
        "idempotency_key": random_id(),
        "csrf_token": member,
        "element": element,
    }
    return page(
        "wagtail_prefs/member.html" if member else "wagtail_prefs/manage.html",
        context,
        locale=snapshot.locale,
        status=422 if refused else 200,
        media=media_origins(snapshot.document),
        scripts=element is not None,
    )


def has_way_out(form: Form, snapshot: Snapshot) -> bool:
    """Whether a button among what is drawn ends everything by one press. Not where the block with it was hidden, is locked,
    or was never there: publishing checks that, and a page that was published otherwise must let people go as well
    (security.md LW-03).
    """
    outs = {(spec.block_id, spec.paths[OPTED_OUT][0]) for spec in snapshot.specs if OPTED_OUT in spec.paths}
    return any(
        (section.id, name) in outs and value is True
        for section in form.sections
        for control in section.controls
        if isinstance(do := control.json.get("do"), Mapping) and not control.field.disabled
        for name, value in do["answers"].items()
    )


def element_for(link: Link, center: Center) -> Json | None:
    """The element's script and what it opens: a code for our own origin, made for this very view. None where it is not
    built.
    """
    try:
        version = built_element().version
    except NotBuilt:
        return None
    return {
        "code": make_code(link, center.center, origin_of(center.page_url)),
        "src": reverse("wagtail_prefs:center", args=[center.center]),
        "script": reverse("wagtail_prefs:embed-version", args=[version]),
    }


def address(request: HttpRequest, path: str = "", **query: str) -> str:
    """This page's address, or `path`, with nothing but the language that was asked for, and `query`."""
    locale = request.GET.get("locale", "")[:MAX_LOCALE]
    wanted = urlencode({**({"locale": locale} if locale else {}), **query})
    path = path or request.path
    return f"{path}?{wanted}" if wanted else path
