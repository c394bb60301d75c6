"""What is forgotten when its time is over, and what the rounds of the worker came to: numbers only (security.md PR-03).

A round is about all sites. So whoever may erase people of all sites may look, and have the worker say what is over now;
forgetting itself is the worker's, by the times in the settings.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from django.core.exceptions import PermissionDenied
from django.http import HttpRequest, HttpResponse
from django.http.response import HttpResponseBase
from django.shortcuts import redirect
from django.urls import URLPattern, path
from django.utils import timezone
from django.utils.functional import Promise
from django.utils.translation import gettext as _, gettext_lazy, ngettext
from wagtail.admin import messages
from wagtail.admin.menu import MenuItem
from wagtail.admin.viewsets.base import ViewSet

from ..conf import conf
from ..rights import retention
from ..rights.models import RetentionRun
from . import permissions as may
from .menu import SUBMENU_HOOK
from .staff import StaffView

NAME = "prefs_retention"
#: How many rounds are listed.
EARLIER = 30
#: Which time of the settings a rule goes by.
TIMES = {
    "sends": "sends_days",
    "silent": "silent_months",
    "dead": "dead_months",
    "chains": "evidence_months",
    "reports": "reports_days",
}


@dataclass(frozen=True, slots=True)
class Line:
    """A rule in a round; None where the round has not come to it."""

    label: str | Promise
    kept: str
    found: int | None
    forgotten: int | None
    problem: str


def kept_for(rule: retention.Rule) -> str:
    """The time that a rule goes by, in words."""
    name = TIMES.get(rule.key, "")
    number = rule.kept.days if rule.kept else conf.retention[name]
    if number is None:
        return _("for ever")
    if name.endswith("_months"):
        return ngettext("%(number)d month", "%(number)d months", number) % {"number": number}
    return ngettext("%(number)d day", "%(number)d days", number) % {"number": number}


def lines(run: RetentionRun | None) -> list[Line]:
    """All rules, with what a round came to."""
    report: dict[str, dict[str, Any]] = run.report if run else {}
    found = []
    for rule in retention.RULES:
        said = report.get(rule.key, {})
        found.append(
            Line(
                rule.label,
                kept_for(rule),
                said.get("found"),
                said.get("forgotten"),
                said.get("problem", ""),
            )
        )
    return found


class RetentionView(StaffView):
    """The rules, and the newest round or one before."""

    action = may.ERASE
    page_title = gettext_lazy("Retention")
    header_icon = "history"
    template_name = "wagtail_prefs/admin/retention/index.html"

    def dispatch(self, request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponseBase:
        if not may.policy().everywhere(request.user, [may.VIEW, may.ERASE]):
            raise PermissionDenied
        return super().dispatch(request, *args, **kwargs)

    def get(self, request: HttpRequest) -> HttpResponse:
        return self.page()

    def get_context_data(self, **kwargs: Any) -> dict[str, Any]:
        runs = list(RetentionRun.objects.order_by("-started_at", "-pk")[:EARLIER])
        asked = self.request.GET.get("run", "")
        run = next((one for one in runs if str(one.pk) == asked), runs[0] if runs else None)
        late = timezone.now() - retention.GIVEN_UP
        return {
            **super().get_context_data(**kwargs),
            "run": run,
            "runs": runs,
            "lines": lines(run),
            "stopped": run is not None and run.done_at is None and run.started_at <= late,
            "going": any(one.dry and one.done_at is None and one.started_at > late for one in runs),
        }

    def get_breadcrumbs_items(self) -> list[dict[str, Any]]:
        return [*self.breadcrumbs_items, {"url": "", "label": _("Retention")}]


class AskView(RetentionView):
    """Has the worker say what is over now."""

    http_method_names = ["post"]

    def post(self, request: HttpRequest) -> HttpResponse:
        retention.ask(f"admin:{request.user.pk}")
        messages.success(request, _("Begun. The worker goes on with it by itself; nothing is forgotten."))
        return redirect(f"{NAME}:index")


class RetentionMenuItem(MenuItem):
    def is_shown(self, request: HttpRequest) -> bool:
        return bool(may.policy().everywhere(request.user, [may.VIEW, may.ERASE]))


class RetentionViewSet(ViewSet):
    """The rules and the rounds."""

    name = NAME
    icon = "history"
    menu_label = gettext_lazy("Retention")
    menu_order = 706
    menu_hook = SUBMENU_HOOK
    menu_item_class = RetentionMenuItem

    def get_urlpatterns(self) -> list[URLPattern]:
        return [
            path("", self.construct_view(RetentionView), name="index"),
            path("ask/", self.construct_view(AskView), name="ask"),
        ]
