"""What a platform holds against what people said: the report by field, for the staff who watch a move or doubt a platform.

To look, whoever may list all deliveries; to begin or stop, whoever may have them tried again. The contacts behind a number
are links for those who may look at people of all sites; the report itself holds no address and no answer.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any
from uuid import UUID

from django.core.exceptions import PermissionDenied
from django.http import HttpRequest
from django.http.response import HttpResponseBase
from django.shortcuts import redirect
from django.urls import URLPattern, path, reverse
from django.utils.translation import gettext as _, gettext_lazy
from wagtail.admin import messages
from wagtail.admin.views.generic.base import WagtailAdminTemplateMixin
from wagtail.admin.viewsets.base import ViewSet

from ..blocks.words import CHANNEL_LABELS
from ..sync import comparing
from ..sync.drift import Kind
from ..sync.models import DriftRun
from ..values import scope_to_key
from . import charts, permissions as may
from .backends import NAME as BACKENDS, BackendView
from .staff import person_url

NAME = "prefs_comparisons"

#: How many of the past are listed; how many bars are drawn, and how many people a field names.
EARLIER, BARS, NAMED = 10, 12, 5

CODES = {
    "too-many": gettext_lazy(
        "So many people get less there of one thing that nothing more was put right: look whether a list was deleted."
    ),
    "cannot-be-read": gettext_lazy("This platform cannot be read back."),
    "stopped": gettext_lazy("It was stopped."),
    "away": gettext_lazy("The platform is away; it goes on when it is back."),
    "rate": gettext_lazy("The platform allows only so many calls; it goes on by itself."),
    "asked-to-wait": gettext_lazy("The platform asked to be left alone for a while; it goes on by itself."),
}


@dataclass(frozen=True, slots=True)
class Field:
    """A line of the report. `people` are (id, address of her page) of the first few."""

    words: str
    looser: int
    stricter: int
    other: int
    people: tuple[tuple[str, str], ...] = ()


def in_words(field: str) -> str:
    """A field of a report as staff read it."""
    kind, _colon, name = field.partition(":")
    if kind == "opted_out":
        return _("Unsubscribed from everything")
    if kind == "choice":
        topic, _colon, channel = name.rpartition(":")
        words = str(CHANNEL_LABELS.get(channel, channel))
        return f"{topic} ({words})" if topic else words
    if kind == "attribute":
        return _("Answer: %(name)s") % {"name": name}
    scope = _scope(name)
    return {
        "frequency": _("How often: %(scope)s") % {"scope": scope},
        "pause": _("Pause: %(scope)s") % {"scope": scope},
    }.get(kind, field)


def _scope(name: str) -> str:
    try:
        topic, channel = scope_to_key(name)
    except ValueError:
        return name
    return topic or str(CHANNEL_LABELS.get(channel, channel)) or _("everything")


def lines(run: DriftRun, *, linked: bool) -> list[Field]:
    """The report, where most mail too much goes first."""
    found = [
        Field(
            in_words(name),
            sums[Kind.LOOSER],
            sums[Kind.STRICTER],
            sums[Kind.OTHER],
            tuple((one, person_url(UUID(one))) for one in sums["contacts"][:NAMED]) if linked else (),
        )
        for name, sums in run.fields.items()
    ]
    return sorted(found, key=lambda line: (-line.looser, -line.stricter, -line.other, line.words))


def chart(found: list[Field]) -> charts.Chart | None:
    """Less there to the right, more there to the left."""
    pairs = [
        charts.Pair(line.words, line.stricter, line.looser) for line in found if line.looser or line.stricter
    ]
    if not pairs:
        return None
    return charts.rows(
        "drift",
        _("Differences by field"),
        _("%(looser)d times more mail there than here, %(stricter)d times less")
        % {"looser": sum(pair.down for pair in pairs), "stricter": sum(pair.up for pair in pairs)},
        (_("Less there"), _("More there")),
        pairs[:BARS],
    )


class ComparisonView(WagtailAdminTemplateMixin, BackendView):
    """The report of the newest run or of one before."""

    template_name = "wagtail_prefs/admin/comparisons/one.html"
    header_icon = "upload"
    http_method_names = ["get", "head"]
    alias = ""

    def get_page_title(self) -> str:
        return _("Compare %(backend)s") % {"backend": self.alias}

    def get_breadcrumbs_items(self) -> list[dict[str, Any]]:
        return [
            *self.breadcrumbs_items,
            {"url": reverse(f"{BACKENDS}:index"), "label": _("Backends")},
            {"url": reverse(f"{BACKENDS}:one", args=[self.alias]), "label": self.alias},
            {"url": "", "label": self.get_page_title()},
        ]

    def get(self, request: HttpRequest, alias: str) -> HttpResponseBase:
        self.alias = self.known(alias)
        runs = list(DriftRun.objects.filter(backend=alias).order_by("-started_at", "-pk")[:EARLIER])
        asked = request.GET.get("run", "")
        run = next((one for one in runs if str(one.pk) == asked), runs[0] if runs else None)
        linked = may.policy().everywhere(request.user, [may.VIEW])
        found = lines(run, linked=linked) if run else []
        going = next((one for one in runs if one.finished_at is None), None)
        answer: HttpResponseBase = self.render_to_response(
            self.get_context_data(
                alias=alias,
                run=run,
                going=going,
                expected=max(min(run.sample or run.total, run.total), run.checked) if run else 0,
                code=CODES.get(run.code, run.code) if run else "",
                lines=found,
                linked=linked,
                chart=chart(found),
                runs=runs,
                readable=comparing.is_readable(alias),
                allowed=self.allowed,
                sample=comparing.SAMPLE,
            )
        )
        return answer


class StartView(BackendView):
    """Begins one; the worker carries it out. What it is to look at, and whether it repairs, says the button."""

    http_method_names = ["post"]

    def post(self, request: HttpRequest, alias: str) -> HttpResponseBase:
        if not self.allowed:
            raise PermissionDenied
        try:
            comparing.start(
                self.known(alias),
                by=str(request.user.pk),
                sample=0 if request.POST.get("who") == "everybody" else comparing.SAMPLE,
                repairs=request.POST.get("repair") == "yes",
            )
        except comparing.Running:
            messages.warning(request, _("One is under way already."))
        except comparing.NotReadable:
            messages.warning(request, _("This platform cannot be read back."))
        else:
            messages.success(request, _("Begun. The worker goes on with it by itself."))
        return redirect(f"{NAME}:one", alias)


class StopView(BackendView):
    """Ends the one under way."""

    http_method_names = ["post"]

    def post(self, request: HttpRequest, alias: str) -> HttpResponseBase:
        if not self.allowed:
            raise PermissionDenied
        if comparing.stop(self.known(alias)):
            messages.success(request, _("Stopped."))
        return redirect(f"{NAME}:one", alias)


class ComparisonsViewSet(ViewSet):
    """The report and its two buttons; the page of a backend leads here."""

    name = NAME
    icon = "upload"
    add_to_admin_menu = False

    def get_urlpatterns(self) -> list[URLPattern]:
        return [
            path("<str:alias>/", self.construct_view(ComparisonView), name="one"),
            path("<str:alias>/start/", self.construct_view(StartView), name="start"),
            path("<str:alias>/stop/", self.construct_view(StopView), name="stop"),
        ]
