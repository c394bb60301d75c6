"""`me/{center}/`: the page of a member who is signed in to the site (design.md s9, flow d).

Who she is says the site, by CONTACT_FOR_REQUEST: usually by the cookie of its session. So here, and only here, a forged
request has something to ride on, and the page has what Django gives to every page that is behind a login: its
protection against such requests. Its address holds no secret. The site has checked who she is, so that she sees and
changes what is personal as well.
"""

from __future__ import annotations

from typing import Any
from uuid import UUID

from django.conf import global_settings, settings
from django.contrib.auth.views import redirect_to_login
from django.core.checks import CheckMessage, Error
from django.core.exceptions import ImproperlyConfigured
from django.db import transaction
from django.http import Http404, HttpRequest, HttpResponse
from django.http.response import HttpResponseBase
from django.middleware.csrf import get_token
from django.shortcuts import resolve_url
from django.urls import NoReverseMatch, Resolver404, resolve, reverse
from django.utils import timezone
from django.utils.cache import patch_vary_headers
from django.utils.decorators import method_decorator
from django.utils.module_loading import import_string
from django.utils.translation import gettext as _
from django.views.decorators.csrf import csrf_protect
from django.views.decorators.debug import sensitive_post_parameters

from ..access.services import Link, Purpose
from ..centers import services as centers
from ..centers.form import form_bytes, form_to_answers
from ..centers.services import Center
from ..conf import conf, problem_with_function
from ..contacts import store
from ..contacts.models import Contact
from ..errors import BadToken, InvalidAnswers, NotPublished, UnknownContact
from ..values import ActorType
from . import own_receipt, receipts, rights
from .manage import save
from .personal import HttpResponseSeeOther, address, center_of, draw_page, shown
from .responses import message
from .tokens import TokenView, read_form

#: What Django's protection adds to the form.
_CSRF = "csrfmiddlewaretoken"


# Not the decorators of TokenView: `csrf_exempt` would be inherited with them.
@method_decorator(
    [csrf_protect, transaction.non_atomic_requests, sensitive_post_parameters()], name="dispatch"
)
class MemberView(TokenView):
    """GET draws, POST is the form. Without the setting there is no such page."""

    def dispatch(self, request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponseBase:
        if not conf.contact_for_request:
            raise Http404
        response = super().dispatch(request, *args, **kwargs)
        # Under `no-referrer` a browser would send its own form with `Origin: null`, which Django refuses.
        response["Referrer-Policy"] = "same-origin"
        patch_vary_headers(response, ["Cookie"])
        return response

    def get(self, request: HttpRequest, center: UUID) -> HttpResponse:
        found = come_in(request, center)
        if isinstance(found, HttpResponse):
            return found
        link, shown_center = found
        snapshot = centers.get_snapshot(shown_center.digest)
        if "receipt" in request.GET:
            return own_receipt.show(request, link, snapshot)
        receipt = request.GET.get("saved", "")
        return draw_page(request, link, snapshot, member=get_token(request), receipt=receipt)

    def post(self, request: HttpRequest, center: UUID) -> HttpResponse:
        if request.headers.get("Sec-Fetch-Site", "same-origin") not in {"same-origin", "none"}:
            return message(
                request,
                403,
                _("Not from there"),
                _("This form was sent from another website. Open this page, and use the form on it."),
            )
        found = come_in(request, center)
        if isinstance(found, HttpResponse):
            return found
        link, now = found
        newest = centers.get_snapshot(now.digest)
        data = read_form(request, max(conf.max_body_bytes, form_bytes(newest))).copy()
        data.pop(_CSRF, None)
        snapshot = shown(data, newest)
        member = get_token(request)
        try:
            submitted = form_to_answers(snapshot, data)
            if submitted.right:
                by = ActorType.SUBJECT_SESSION
                return rights.answer(
                    request, link, now, snapshot, submitted, data, by=by, is_known=True, member=member
                )
            saved = save(request, link, now, snapshot, submitted, "fresh", by=ActorType.SUBJECT_SESSION)
        except InvalidAnswers as refused:
            return draw_page(request, link, snapshot, member=member, posted=data, refused=refused)
        except (BadToken, UnknownContact):  # gone in just this moment
            return nothing_here(request)
        if saved.asks_address or (saved.receipt is None and saved.merged):
            # What no record holds, the next page could not tell.
            told = receipts.at_once(saved, snapshot)
            return draw_page(request, link, newest, member=member, told=told)
        return HttpResponseSeeOther(address(request, saved=saved.receipt or receipts.NOTHING))


def come_in(request: HttpRequest, center_id: UUID) -> tuple[Link, Center] | HttpResponse:
    """Whose page it is, as a link would say it that was made for her in this moment, and which center; or why not."""
    try:
        centers.current(center_id)
        contact = named_by_the_site(request)
        if contact is None:
            return sign_in(request, center_id)
        # Whatever the site's object says: what the database says now, and of whom she was merged into.
        found = store.load_by_link(contact.link_id, contact.audience_id, "fresh")
        if found is None or found.state.erased:
            return nothing_here(request)
        link = Link(
            token="",
            purpose=Purpose.MANAGE,
            link_id=contact.link_id,
            audience_id=found.audience_id,
            center=center_id,
            topic="",
            channel="",
            host=None,
            issued=timezone.now(),
            epoch=found.epoch,
            expired=False,
            contact_id=found.state.id,
            email=found.email,
            language=found.state.language,
            version=found.state.version,
        )
        center = center_of(link, request)
    except (NotPublished, BadToken):  # the second: she belongs to another controller than the center
        return nothing_here(request)
    return (link, center) if center else nothing_here(request)


def named_by_the_site(request: HttpRequest) -> Contact | None:
    """What CONTACT_FOR_REQUEST says. Raises ImproperlyConfigured for anything but a contact or None."""
    named = import_string(conf.contact_for_request)(request)
    if named is not None and not isinstance(named, Contact):
        raise ImproperlyConfigured(
            f'WAGTAIL_PREFS["CONTACT_FOR_REQUEST"] must return a Contact or None, and returned a {type(named).__name__}.'
        )
    return named


def sign_in(request: HttpRequest, center: UUID) -> HttpResponse:
    """The way to the site's own login and back here; words where there is none, or where she has signed in already."""
    user = getattr(request, "user", None)
    login = "" if user is not None and user.is_authenticated else login_address()
    if login:
        return redirect_to_login(address(request, reverse("wagtail_prefs:member", args=[center])), login)
    if user is not None and user.is_authenticated:
        text = _("You are signed in, but we do not know yet which address of yours our messages go to.")
    else:
        text = _(
            "This page is for people who are signed in. Please sign in to this website, and open it again."
        )
    return message(request, 403, _("Please sign in"), text)


def login_address() -> str:
    """Where LOGIN_URL leads; "" where nothing answers there but, at most, Wagtail's search for a page."""
    try:
        login = resolve_url(settings.LOGIN_URL)
        if settings.LOGIN_URL != global_settings.LOGIN_URL:
            return login
        return "" if resolve(login).url_name == "wagtail_serve" else login
    except (NoReverseMatch, Resolver404):
        return ""


def nothing_here(request: HttpRequest) -> HttpResponse:
    """The one answer for a center that is closed or somebody else's, and for whoever is gone."""
    return message(request, 404, _("There is nothing here"), _("This page does not exist, or not for you."))


def check_member(**_kwargs: Any) -> list[CheckMessage]:
    """E051: a CONTACT_FOR_REQUEST that cannot be had."""
    try:
        problem = problem_with_function(conf.contact_for_request)
    except ImproperlyConfigured:
        return []  # E001 says so
    if not problem:
        return []
    return [
        Error(
            f'WAGTAIL_PREFS["CONTACT_FOR_REQUEST"] {problem}.',
            hint="The dotted path of a function: (request) -> Contact | None. See docs/how-to/signed-in-members.md.",
            id="wagtail_prefs.E051",
        )
    ]
