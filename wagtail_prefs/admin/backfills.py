"""Bringing a backend up to everybody, for the staff who move to another platform: begin, watch, stop.

Who may: as for all that is about backends as a whole - to look, whoever may list all deliveries; to begin or stop,
whoever may have them tried again.
"""

from __future__ import annotations

from typing import Any

from django.core.exceptions import PermissionDenied
from django.http import HttpRequest
from django.http.response import HttpResponseBase
from django.shortcuts import redirect
from django.urls import URLPattern, path, reverse
from django.utils.translation import gettext as _
from wagtail.admin import messages
from wagtail.admin.views.generic.base import WagtailAdminTemplateMixin
from wagtail.admin.viewsets.base import ViewSet

from ..delivery import backfill
from ..delivery.models import Backfill
from .backends import NAME as BACKENDS, BackendView

NAME = "prefs_backfills"

#: How many of the past are listed.
EARLIER = 10


class BackfillView(WagtailAdminTemplateMixin, BackendView):
    """What the screens share."""

    header_icon = "upload"
    alias = ""

    def get_page_title(self) -> str:
        return _("Bring %(backend)s up to everybody") % {"backend": self.alias}

    def get_breadcrumbs_items(self) -> list[dict[str, Any]]:
        return [
            *self.breadcrumbs_items,
            {"url": reverse(f"{BACKENDS}:index"), "label": _("Backends")},
            {"url": reverse(f"{BACKENDS}:one", args=[self.alias]), "label": self.alias},
            {"url": "", "label": self.get_page_title()},
        ]

    def draw(self, **context: Any) -> HttpResponseBase:
        found: HttpResponseBase = self.render_to_response(self.get_context_data(alias=self.alias, **context))
        return found


class OneView(BackfillView):
    """How far it is, and those before."""

    template_name = "wagtail_prefs/admin/backfills/one.html"
    http_method_names = ["get", "head"]

    def get(self, request: HttpRequest, alias: str) -> HttpResponseBase:
        self.alias = self.known(alias)
        runs = list(Backfill.objects.filter(backend=alias).order_by("-started_at", "-pk")[: EARLIER + 1])
        running = next((run for run in runs if not (run.finished_at or run.stopped_at)), None)
        return self.draw(
            running=running,
            total=max(running.total, running.seen) if running else 0,
            waiting=backfill.waiting(alias, backfill.MOST) if running else 0,
            earlier=[run for run in runs if run is not running][:EARLIER],
            allowed=self.allowed,
        )


class StartView(BackfillView):
    """How many it is about; the button begins."""

    template_name = "wagtail_prefs/admin/backfills/start.html"
    http_method_names = ["get", "head", "post"]

    def dispatch(self, request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponseBase:
        if not self.allowed:
            raise PermissionDenied
        return super().dispatch(request, *args, **kwargs)

    def get(self, request: HttpRequest, alias: str) -> HttpResponseBase:
        self.alias = self.known(alias)
        if backfill.running().filter(backend=alias).exists():
            return redirect(f"{NAME}:one", alias)
        return self.draw(people=backfill.people(alias), everybody=backfill.people(alias, again=True))

    def post(self, request: HttpRequest, alias: str) -> HttpResponseBase:
        self.alias = self.known(alias)
        again = request.POST.get("who") == "everybody"
        try:
            backfill.start(alias, by=str(request.user.pk), again=again)
        except backfill.Running:
            messages.warning(request, _("One is under way already."))
        else:
            messages.success(request, _("Begun. The worker goes on with it by itself."))
        return redirect(f"{NAME}:one", alias)


class StopView(BackfillView):
    """Ends the one under way."""

    http_method_names = ["post"]

    def post(self, request: HttpRequest, alias: str) -> HttpResponseBase:
        if not self.allowed:
            raise PermissionDenied
        if backfill.stop(self.known(alias)):
            messages.success(request, _("Stopped. What is queued already is still delivered."))
        return redirect(f"{NAME}:one", alias)


class BackfillsViewSet(ViewSet):
    """The pages; the page of a backend leads here."""

    name = NAME
    icon = "upload"
    add_to_admin_menu = False

    def get_urlpatterns(self) -> list[URLPattern]:
        return [
            path("<str:alias>/", self.construct_view(OneView), name="one"),
            path("<str:alias>/start/", self.construct_view(StartView), name="start"),
            path("<str:alias>/stop/", self.construct_view(StopView), name="stop"),
        ]
