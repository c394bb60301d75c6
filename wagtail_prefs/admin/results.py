"""The report on results: who joined, left and paused, by topic and channel over time; and the same as a file.

For those who may see results of an audience; a file needs a permission of its own, and is logged (security.md EX-02).
"""

from __future__ import annotations

from datetime import date, timedelta
from typing import Any

from django import forms
from django.core.exceptions import PermissionDenied
from django.http import Http404, HttpRequest
from django.http.response import HttpResponseBase
from django.urls import URLPattern, path, reverse
from django.utils import timezone
from django.utils.functional import cached_property
from django.utils.translation import gettext as _, gettext_lazy
from django.views.generic import View
from wagtail.admin.menu import MenuItem
from wagtail.admin.views.generic.base import WagtailAdminTemplateMixin
from wagtail.admin.viewsets.base import ViewSet
from wagtail.admin.widgets import AdminDateInput
from wagtail.admin.widgets.button import HeaderButton
from wagtail.log_actions import LogActionRegistry, LogFormatter, log

from ..blocks.words import CHANNEL_LABELS
from ..conf import conf
from ..ledger import counts
from ..topics.models import Audience
from ..values import CHANNELS
from . import permissions as may, results_numbers as numbers
from .exports import Spreadsheet
from .menu import SUBMENU_HOOK

NAME = "prefs_results"
DOWNLOADED = "wagtail_prefs.results.download"

#: What is shown where nothing was asked for.
WEEKS = 12


class PeriodForm(forms.Form):
    """What a report is to be about. Sent by GET: an address of a report can be kept and handed on."""

    audience = forms.ModelChoiceField(
        Audience.objects.none(), label=gettext_lazy("Audience"), to_field_name="key", empty_label=None
    )
    since = forms.DateField(label=gettext_lazy("From"), widget=AdminDateInput)
    until = forms.DateField(label=gettext_lazy("To"), widget=AdminDateInput)
    unit = forms.ChoiceField(label=gettext_lazy("By"), choices=list(numbers.UNITS.items()))
    topic = forms.ChoiceField(label=gettext_lazy("Topic"), required=False)
    channel = forms.ChoiceField(label=gettext_lazy("Channel"), required=False)

    def __init__(self, data: Any, *, audiences: list[Audience]) -> None:
        today = timezone.localdate()
        filled = {
            "audience": audiences[0].key,
            "since": numbers.start_of("week", today - timedelta(weeks=WEEKS - 1)).isoformat(),
            "until": today.isoformat(),
            "unit": "week",
            **{name: data[name] for name in self.base_fields if data.get(name)},
        }
        super().__init__(filled)
        self.chosen: Audience | None = next((one for one in audiences if one.key == filled["audience"]), None)
        field: Any = self.fields["audience"]
        field.queryset = Audience.objects.filter(pk__in=[one.pk for one in audiences])
        field.choices = [(one.key, one.name) for one in audiences]
        if len(audiences) < 2:
            field.widget = forms.HiddenInput()
        self.labels = numbers.topic_labels(self.chosen) if self.chosen else {}
        self.offer("topic", _("All topics"), list(self.labels.items()))
        offered = [(channel, str(CHANNEL_LABELS[channel])) for channel in CHANNELS]
        self.offer("channel", _("All channels"), offered)

    def offer(self, name: str, all_: str, choices: list[tuple[str, str]]) -> None:
        field: Any = self.fields[name]
        widget = field if hasattr(field, "choices") else field.widget
        widget.choices = [("", all_), *choices]

    def clean(self) -> dict[str, Any]:
        found: dict[str, Any] = super().clean() or self.cleaned_data
        since, until, unit = (found.get(name) for name in ("since", "until", "unit"))
        if since and until and unit:
            if since > until:
                self.add_error("until", _("This is before the first day."))
            elif _periods(unit, since, until) > numbers.PERIODS:
                self.add_error(
                    "unit",
                    _("These are too many for one page: ask for longer periods, or for fewer days."),
                )
            elif self.chosen is not None:
                self.offer_more(self.chosen)
        return found

    def offer_more(self, audience: Audience) -> None:
        """Choices that depend on the time that was asked for."""


class AskForm(PeriodForm):
    """What the report on results is to be about."""

    method = forms.CharField(label=gettext_lazy("Where"), required=False, max_length=32, widget=forms.Select)

    def __init__(self, data: Any, *, audiences: list[Audience]) -> None:
        super().__init__(data, audiences=audiences)
        self.offer("method", _("Everywhere"), [])

    def offer_more(self, audience: Audience) -> None:
        """The ways that there are at that time; one that was asked for stays."""
        asked = numbers.Asked(
            audience,
            self.cleaned_data["unit"],
            self.cleaned_data["since"],
            self.cleaned_data["until"],
        )
        given = self.cleaned_data.get("method")
        keys = {*numbers.methods_in(asked), *([given] if given else [])} - {""}
        self.offer("method", _("Everywhere"), numbers.sorted_choices(keys, numbers.METHODS))

    @property
    def asked(self) -> numbers.Asked:
        """Of a valid form."""
        return numbers.Asked(**self.cleaned_data)


def _periods(unit: str, since: date, until: date) -> float:
    """About how many, without making a list of a thousand years."""
    return (until - since).days / {"day": 1, "week": 7, "month": 28}[unit]


class OfAudiences(View):
    """For those who may do all of `actions` with the people of some audience: those are in `audiences`."""

    actions: tuple[str, ...] = (may.RESULTS,)

    def dispatch(self, request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponseBase:
        if not all(may.policy().user_has_permission(request.user, action) for action in self.actions):
            raise PermissionDenied
        return super().dispatch(request, *args, **kwargs)

    @cached_property
    def audiences(self) -> list[Audience]:
        return list(self.allowed(*self.actions))

    def allowed(self, *actions: str) -> Any:
        found = may.audiences(self.request.user, actions[0])
        for action in actions[1:]:
            found = found.filter(pk__in=may.audiences(self.request.user, action).order_by().values("pk"))
        return found


class ResultsView(WagtailAdminTemplateMixin, OfAudiences):
    """The page."""

    page_title = gettext_lazy("Results")
    template_name = "wagtail_prefs/admin/results/index.html"
    header_icon = "list-ul"
    http_method_names = ["get", "head"]

    def get(self, request: HttpRequest) -> HttpResponseBase:
        self.form = AskForm(request.GET, audiences=self.audiences) if self.audiences else None
        self.valid = self.form is not None and self.form.is_valid()
        found: HttpResponseBase = self.render_to_response(self.get_context_data())
        return found

    @cached_property
    def header_buttons(self) -> list[HeaderButton]:
        if not self.valid or self.form is None or self.form.chosen is None:
            return []
        download = (may.RESULTS, may.DOWNLOAD)
        if not self.allowed(*download).filter(pk=self.form.chosen.pk).exists():
            return []
        asked = self.request.GET.copy()
        asked["audience"] = self.form.chosen.key
        found = []
        for kind in Spreadsheet.FORMATS:
            asked["format"] = kind
            url = f"{reverse(f'{NAME}:download')}?{asked.urlencode()}"
            label = _("Download %(format)s") % {"format": kind.upper()}
            found.append(HeaderButton(label, url=url, icon_name="download"))
        return found

    def get_breadcrumbs_items(self) -> list[dict[str, Any]]:
        return [*self.breadcrumbs_items, {"url": "", "label": _("Results")}]

    def get_context_data(self, **kwargs: Any) -> dict[str, Any]:
        context: dict[str, Any] = {
            **super().get_context_data(**kwargs),
            "form": self.form,
            "progress": counts.progress(),
            "seal_minutes": round(conf.seal_age.total_seconds() / 60),
            "zone": timezone.get_default_timezone_name(),
        }
        if self.form is not None and self.valid:
            found = numbers.report(self.form.asked, self.form.labels)
            context.update(
                report=found,
                charts=numbers.drawn(found),
                unit=numbers.UNITS[self.form.asked.unit],
                known=self.form.labels,
                others=self._others(),
            )
        return context

    def _others(self) -> str:
        """What was asked for, but for the topic: for links to one."""
        asked = self.request.GET.copy()
        asked.pop("topic", None)
        return asked.urlencode()


class DownloadView(OfAudiences):
    """The same as a file, with everything that was counted: a report's own is a class of this with these four."""

    actions = (may.RESULTS, may.DOWNLOAD)
    http_method_names = ["get"]
    #: What the file is called, what was asked, the entry of the audit log, and the numbers: its HEADINGS and lines().
    name = "results"
    form_class: Any = AskForm
    action = DOWNLOADED
    numbers: Any = numbers

    def get(self, request: HttpRequest) -> HttpResponseBase:
        kind = str(request.GET.get("format", Spreadsheet.FORMAT_CSV))
        form = self.form_class(request.GET, audiences=self.audiences) if self.audiences else None
        if form is None or kind not in Spreadsheet.FORMATS or not form.is_valid():
            raise Http404
        asked = form.asked
        period = self.period_of(asked)
        log(
            period.audience,
            self.action,
            user=request.user,
            data={"since": period.since.isoformat(), "until": period.until.isoformat(), "format": kind},
        )
        rows = self.numbers.lines(asked, form.labels)
        headings = [str(heading) for heading in self.numbers.HEADINGS]
        return Spreadsheet(self.name, headings).response(rows, kind)

    def period_of(self, asked: Any) -> Any:
        """Whose numbers, from when until when."""
        return asked


class ResultsMenuItem(MenuItem):
    def is_shown(self, request: HttpRequest) -> bool:
        return bool(may.policy().user_has_permission(request.user, may.RESULTS))


class ResultsViewSet(ViewSet):
    """The report and its file."""

    name = NAME
    icon = "list-ul"
    menu_label = gettext_lazy("Results")
    menu_order = 750
    menu_hook = SUBMENU_HOOK
    menu_item_class = ResultsMenuItem

    def get_urlpatterns(self) -> list[URLPattern]:
        return [
            path("", self.construct_view(ResultsView), name="index"),
            path("download/", self.construct_view(DownloadView), name="download"),
        ]


def register_actions(actions: LogActionRegistry) -> None:
    """For the hook `register_log_actions`."""

    @actions.register_action(DOWNLOADED)
    class DownloadedFormatter(LogFormatter):
        label = gettext_lazy("Download results")

        def format_message(self, log_entry: Any) -> str:
            return _("Downloaded the results from %(since)s to %(until)s") % {
                "since": log_entry.data.get("since", ""),
                "until": log_entry.data.get("until", ""),
            }
