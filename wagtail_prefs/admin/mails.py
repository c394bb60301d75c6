"""The mails that the plugin sends by itself: what each is for, how it looks in each language, and how they are going.

For those who may see results of an audience, or change topics. Nothing here is about a person: samples stand in place of
links and words, a test goes to the address of whoever asks for it, and what failed is told by its reason alone.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any
from urllib.parse import urlencode

from django.core.exceptions import PermissionDenied
from django.db.models import Count, Q
from django.http import Http404, HttpRequest, HttpResponse
from django.http.response import HttpResponseBase
from django.shortcuts import redirect
from django.urls import URLPattern, path, reverse
from django.utils.functional import cached_property
from django.utils.translation import get_language, gettext as _, gettext_lazy
from django.views.generic import View
from wagtail.admin import messages
from wagtail.admin.menu import MenuItem
from wagtail.admin.views.generic.base import WagtailAdminTemplateMixin
from wagtail.admin.viewsets.base import ViewSet
from wagtail.coreutils import get_content_languages

from ..mail.kinds import KINDS, Kind
from ..mail.messages import Brand, Rendered, brand_of, render
from ..mail.models import Mail
from ..mail.rows import SERVER
from ..mail.services import post
from ..topics.models import Audience
from . import permissions as may
from .menu import SUBMENU_HOOK

NAME = "prefs_mails"

#: A sealed page inside a frame of ours: it shows its own colors, and does nothing else.
PREVIEW_POLICY = "default-src 'none'; style-src 'unsafe-inline'; base-uri 'none'; form-action 'none'; frame-ancestors 'self'; sandbox"


def may_look(user: Any) -> bool:
    """Whether there may be a mail for this user to look at."""
    return bool(_everywhere(user) or may.policy().user_has_permission(user, may.RESULTS))


def _everywhere(user: Any) -> bool:
    return bool(user.is_active and user.has_perm("wagtail_prefs.change_topic"))


@dataclass(frozen=True, slots=True)
class Asked:
    """Which mail: of which kind, in which language, from whom."""

    kind: Kind
    locale: str
    audience: Audience

    @property
    def brand(self) -> Brand:
        return brand_of(self.audience.pk)

    @property
    def query(self) -> str:
        return urlencode({"kind": self.kind.name, "locale": self.locale, "audience": self.audience.key})

    def sample(self) -> dict[str, Any]:
        return self.kind.sample(self.brand.site_root)

    def rendered(self) -> Rendered:
        return render(self.kind, self.sample(), self.brand, self.locale)


class MailsView(View):
    """What the screens share: who may look, and what is asked for."""

    def dispatch(self, request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponseBase:
        if not may_look(request.user):
            raise PermissionDenied
        answer = super().dispatch(request, *args, **kwargs)
        answer.headers.setdefault("Cache-Control", "private, no-store")
        return answer

    @cached_property
    def audiences(self) -> list[Audience]:
        user = self.request.user
        if _everywhere(user):
            return list(Audience.objects.order_by("name", "pk"))
        return list(may.audiences(user, may.RESULTS))

    def asked(self, data: Any) -> Asked:
        """Raises Http404 for a kind, a language or an audience that there is not, or not for this user."""
        name = data.get("kind") or next(iter(KINDS))
        key = data.get("audience")
        audience = next((one for one in self.audiences if key in {None, "", one.key}), None)
        locale = data.get("locale") or _own_language()
        if name not in KINDS or audience is None or locale not in get_content_languages():
            raise Http404
        return Asked(KINDS[name], locale, audience)


def _own_language() -> str:
    languages = get_content_languages()
    own = get_language() or ""
    return own if own in languages else next(iter(languages))


class IndexView(WagtailAdminTemplateMixin, MailsView):
    """All kinds, and how they are going."""

    page_title = gettext_lazy("Mails")
    template_name = "wagtail_prefs/admin/mails/index.html"
    header_icon = "mail"
    http_method_names = ["get", "head"]

    def get(self, request: HttpRequest) -> HttpResponseBase:
        found: HttpResponseBase = self.render_to_response(self.get_context_data())
        return found

    def get_breadcrumbs_items(self) -> list[dict[str, Any]]:
        return [*self.breadcrumbs_items, {"url": "", "label": _("Mails")}]

    def get_context_data(self, **kwargs: Any) -> dict[str, Any]:
        rows = Mail.objects.filter(audience_id__in=[audience.pk for audience in self.audiences])
        return {
            **super().get_context_data(**kwargs),
            "audiences": self.audiences,
            "kinds": _kinds(rows),
            "troubles": _troubles(rows),
        }


#: By state, as they are counted.
_STATES = {
    "sent": Q(sent_at__isnull=False),
    "waiting": Q(due_at__isnull=False),
    "given_up": Q(sent_at=None, due_at=None),
}


def _kinds(rows: Any) -> list[dict[str, Any]]:
    """Each kind with its numbers of the last month; one query."""
    counted = {
        row.pop("kind"): row
        for row in rows.order_by()
        .values("kind")
        .annotate(**{state: Count("pk", filter=rule) for state, rule in _STATES.items()})
    }
    none = dict.fromkeys(_STATES, 0)
    return [{"kind": kind, **counted.get(name, none)} for name, kind in KINDS.items()]


def _troubles(rows: Any) -> list[dict[str, Any]]:
    """What failed, by kind and reason, the most first; one query."""
    failed = (
        rows.exclude(code="")
        .order_by()
        .values("kind", "code")
        .annotate(**{state: Count("pk", filter=_STATES[state]) for state in ("waiting", "given_up")})
    )
    return [
        {
            **row,
            "label": KINDS[row["kind"]].label if row["kind"] in KINDS else row["kind"],
            "reason": reason_in_words(row["code"]),
        }
        for row in sorted(
            failed, key=lambda row: (-row["waiting"] - row["given_up"], row["kind"], row["code"])
        )
    ]


def reason_in_words(code: str) -> str:
    """Why a mail was not sent, for staff; the code stands beside it."""
    known = {
        "too-old": _("It could not be sent before its link ended, or for five days."),
        "address": _("The address is none that mail can go to."),
        "line-end": _("The address, or the subject, has more than one line."),
        "foreign-url": _("Its link is not of the site that it was to come from."),
        "no-audience": _("Its audience was deleted."),
        "not-taken": _("The mail server took nothing."),
    }
    beginnings = {
        SERVER: _("There was no mail server to take it."),
        "unusable-": _("Its template, or a setting, cannot be used."),
        "smtp-5": _("The mail server refused it for good."),
        "smtp-4": _("The mail server refused it for now."),
    }
    begun = (words for beginning, words in beginnings.items() if code.startswith(beginning))
    return known.get(code) or next(begun, _("The connection to the mail server broke."))


class PreviewView(WagtailAdminTemplateMixin, MailsView):
    """One kind as HTML and as text, side by side, with sample words."""

    template_name = "wagtail_prefs/admin/mails/preview.html"
    header_icon = "mail"
    http_method_names = ["get", "head"]

    def get(self, request: HttpRequest) -> HttpResponseBase:
        self.shown = self.asked(request.GET)
        found: HttpResponseBase = self.render_to_response(self.get_context_data())
        return found

    def get_page_title(self) -> str:
        return str(self.shown.kind.label)

    def get_breadcrumbs_items(self) -> list[dict[str, Any]]:
        return [
            *self.breadcrumbs_items,
            {"url": reverse(f"{NAME}:index"), "label": _("Mails")},
            {"url": "", "label": self.shown.kind.label},
        ]

    def get_context_data(self, **kwargs: Any) -> dict[str, Any]:
        context: dict[str, Any] = {
            **super().get_context_data(**kwargs),
            "asked": self.shown,
            "audiences": self.audiences,
            "languages": get_content_languages(),
            "html_url": f"{reverse(f'{NAME}:html')}?{self.shown.query}",
            "address": getattr(self.request.user, "email", ""),
        }
        try:
            context["said"] = self.shown.rendered()
        except Exception as error:  # noqa: BLE001 - a site's own template; whoever wrote it looks here for the mistake
            context["mistake"] = f"{type(error).__name__}: {error}"
        return context


class HtmlView(MailsView):
    """The HTML part by itself, for the frame of the preview."""

    http_method_names = ["get", "head"]

    def get(self, request: HttpRequest) -> HttpResponse:
        answer = HttpResponse(self.asked(request.GET).rendered().html)
        answer["Content-Security-Policy"] = PREVIEW_POLICY
        answer["X-Frame-Options"] = "SAMEORIGIN"
        answer["Referrer-Policy"] = "no-referrer"
        return answer


class SendTestView(MailsView):
    """Leaves one mail with sample words for the address of whoever asks, and for no other."""

    http_method_names = ["post"]

    def post(self, request: HttpRequest) -> HttpResponse:
        asked = self.asked(request.POST)
        address = getattr(request.user, "email", "")
        if address:
            post(
                asked.kind.name,
                to=address,
                audience_id=asked.audience.pk,
                locale=asked.locale,
                context=asked.sample(),
            )
            messages.success(request, _("The worker sends a test to your address."))
        else:
            messages.error(request, _("Your account has no e-mail address to send a test to."))
        return redirect(f"{reverse(f'{NAME}:preview')}?{asked.query}")


class MailsMenuItem(MenuItem):
    def is_shown(self, request: HttpRequest) -> bool:
        return may_look(request.user)


class MailsViewSet(ViewSet):
    """The list of kinds, the previews, and the button."""

    name = NAME
    icon = "mail"
    menu_label = gettext_lazy("Mails")
    menu_order = 760
    menu_hook = SUBMENU_HOOK
    menu_item_class = MailsMenuItem

    def get_urlpatterns(self) -> list[URLPattern]:
        return [
            path("", self.construct_view(IndexView), name="index"),
            path("preview/", self.construct_view(PreviewView), name="preview"),
            path("html/", self.construct_view(HtmlView), name="html"),
            path("test/", self.construct_view(SendTestView), name="test"),
        ]
