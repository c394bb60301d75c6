"""The report on promises: what was asked, what was sent against an answer, by topic, channel and sender; and as a file.

For those who may see results of an audience; who may look at people as well sees whom the newest broken ones went to.
"""

from __future__ import annotations

from typing import Any

from django import forms
from django.http import HttpRequest
from django.http.response import HttpResponseBase
from django.urls import URLPattern, path, reverse
from django.utils.functional import cached_property
from django.utils.translation import gettext as _, gettext_lazy
from wagtail.admin.views.generic.base import WagtailAdminTemplateMixin
from wagtail.admin.viewsets.base import ViewSet
from wagtail.admin.widgets.button import HeaderButton
from wagtail.log_actions import LogActionRegistry, LogFormatter

from ..decisions import promises
from ..topics.models import Audience
from . import permissions as may, promises_numbers as numbers, results
from .exports import Spreadsheet
from .menu import SUBMENU_HOOK
from .results import OfAudiences, PeriodForm, ResultsMenuItem
from .results_numbers import UNITS, sorted_choices

NAME = "prefs_promises"
DOWNLOADED = "wagtail_prefs.promises.download"


class AskForm(PeriodForm):
    """What the report is to be about."""

    sender = forms.CharField(label=gettext_lazy("Sender"), required=False, max_length=64, widget=forms.Select)

    def __init__(self, data: Any, *, audiences: list[Audience]) -> None:
        super().__init__(data, audiences=audiences)
        self.offer("sender", _("All senders"), [])

    def offer_more(self, audience: Audience) -> None:
        """The senders that there are at that time; one that was asked for stays."""
        period = promises.Period(audience, self.cleaned_data["since"], self.cleaned_data["until"])
        given = self.cleaned_data.get("sender")
        names = {*numbers.senders_in(period), *([given] if given else [])} - {""}
        self.offer("sender", _("All senders"), sorted_choices(names, {}))

    @property
    def asked(self) -> numbers.Asked:
        """Of a valid form."""
        given = dict(self.cleaned_data)
        unit = given.pop("unit")
        return numbers.Asked(promises.Period(**given), unit)


class PromisesView(WagtailAdminTemplateMixin, OfAudiences):
    """The page."""

    page_title = gettext_lazy("Promises kept")
    template_name = "wagtail_prefs/admin/promises/index.html"
    header_icon = "circle-check"
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
        if not self.allowed(may.RESULTS, may.DOWNLOAD).filter(pk=self.form.chosen.pk).exists():
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
        return [*self.breadcrumbs_items, {"url": "", "label": _("Promises kept")}]

    def get_context_data(self, **kwargs: Any) -> dict[str, Any]:
        context: dict[str, Any] = {
            **super().get_context_data(**kwargs),
            "form": self.form,
            "counted_until": promises.counted_until(),
        }
        if self.form is not None and self.valid:
            asked, labels = self.form.asked, self.form.labels
            found = numbers.report(asked, labels)
            context.update(
                report=found,
                sentence=numbers.sentence(found.total),
                charts=numbers.drawn(found),
                unit=UNITS[asked.unit],
                waits=numbers.waits(asked.period),
                waits_are_forgotten=numbers.is_beyond_waits(asked.period),
                waits_days=numbers.WAITS_DAYS,
                known=labels,
                others=self._others(),
            )
            if found.total.against:
                people = (
                    may.audiences(self.request.user, may.VIEW).filter(pk=asked.period.audience.pk).exists()
                )
                context.update(
                    broken=numbers.broken(asked.period, labels, people=people),
                    people=people,
                    listed=numbers.LISTED,
                )
        return context

    def _others(self) -> str:
        """What was asked for, but for the topic: for links to one."""
        asked = self.request.GET.copy()
        asked.pop("topic", None)
        return asked.urlencode()


class DownloadView(results.DownloadView):
    """The same as a file, with everything that was counted."""

    name = "promises"
    form_class = AskForm
    action = DOWNLOADED
    numbers = numbers

    def period_of(self, asked: Any) -> Any:
        return asked.period


class PromisesViewSet(ViewSet):
    """The report and its file."""

    name = NAME
    icon = "circle-check"
    menu_label = gettext_lazy("Promises kept")
    menu_order = 755
    menu_hook = SUBMENU_HOOK
    menu_item_class = ResultsMenuItem

    def get_urlpatterns(self) -> list[URLPattern]:
        return [
            path("", self.construct_view(PromisesView), name="index"),
            path("download/", self.construct_view(DownloadView), name="download"),
        ]


def register_actions(actions: LogActionRegistry) -> None:
    """For the hook `register_log_actions`."""

    @actions.register_action(DOWNLOADED)
    class DownloadedFormatter(LogFormatter):
        label = gettext_lazy("Download the report on promises")

        def format_message(self, log_entry: Any) -> str:
            return _("Downloaded the report on promises from %(since)s to %(until)s") % {
                "since": log_entry.data.get("since", ""),
                "until": log_entry.data.get("until", ""),
            }
