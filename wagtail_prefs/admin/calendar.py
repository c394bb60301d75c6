"""The send calendar: what is planned for each day of a month, and what was sent.

For whoever may do anything with topics; what was sent for those who may see results of the audience. Looking changes
nothing, and reads a month of counts, however much was sent.
"""

from __future__ import annotations

from collections import Counter
from datetime import date
from typing import Any

from django import forms
from django.core.exceptions import PermissionDenied
from django.core.validators import MaxValueValidator, MinValueValidator
from django.http import HttpRequest
from django.http.response import HttpResponseBase
from django.urls import URLPattern, path, reverse
from django.utils import timezone
from django.utils.dates import WEEKDAYS_ABBR
from django.utils.functional import cached_property
from django.utils.translation import gettext as _, gettext_lazy
from django.views.generic import View
from wagtail.admin.menu import MenuItem
from wagtail.admin.views.generic.base import WagtailAdminTemplateMixin
from wagtail.admin.viewsets.base import ViewSet
from wagtail.permission_policies.base import ModelPermissionPolicy

from ..blocks.words import FREQUENCY_LABELS, in_order
from ..decisions import promises
from ..decisions.counting import Event
from ..topics.calendar import add_months
from ..topics.models import Audience, Topic
from ..topics.services import planned_of
from ..values import CHANNELS
from . import calendar_month as month_of, permissions as may
from .menu import SUBMENU_HOOK
from .results_numbers import channel_words

NAME = "prefs_calendar"
TOPICS = "wagtailsnippets_wagtail_prefs_topic"
#: Messages of a day that are not marked where nobody says another number.
MOST = 1
#: Years that a month can be of: far enough, and within every calendar.
FIRST, LAST = date(2000, 1, 1), date(2199, 12, 1)


class MonthForm(forms.Form):
    """What the calendar is to show. Sent by GET: an address of it can be kept and handed on."""

    audience = forms.ModelChoiceField(
        Audience.objects.none(), label=gettext_lazy("Audience"), to_field_name="key", empty_label=None
    )
    month = forms.DateField(
        label=gettext_lazy("Month"),
        input_formats=["%Y-%m"],
        widget=forms.DateInput(attrs={"type": "month"}, format="%Y-%m"),
        validators=[MinValueValidator(FIRST), MaxValueValidator(LAST)],
        error_messages={"invalid": gettext_lazy("Write a month like this: 2026-11")},
    )
    channel = forms.ChoiceField(label=gettext_lazy("Channel"), required=False)
    most = forms.IntegerField(
        label=gettext_lazy("Mark days with more messages than"), min_value=0, max_value=1000
    )
    frequency = forms.ChoiceField(
        label=gettext_lazy("Somebody who picked"),
        choices=[(code, label) for code, label in FREQUENCY_LABELS.items() if code != "as_it_happens"],
    )

    def __init__(self, data: Any, *, audiences: list[Audience]) -> None:
        filled = {
            "audience": audiences[0].key,
            "month": f"{timezone.localdate():%Y-%m}",
            "most": str(MOST),
            "frequency": "weekly",
            **{name: data[name] for name in self.base_fields if data.get(name)},
        }
        super().__init__(filled)
        audience: Any = self.fields["audience"]
        audience.queryset = Audience.objects.filter(pk__in=[one.pk for one in audiences])
        audience.choices = [(one.key, one.name) for one in audiences]
        if len(audiences) < 2:
            audience.widget = forms.HiddenInput()
        channel: Any = self.fields["channel"]
        channel.choices = [(code, channel_words(code)) for code in ("", *CHANNELS)]


class CalendarView(WagtailAdminTemplateMixin, View):
    """The page."""

    page_title = gettext_lazy("Send calendar")
    template_name = "wagtail_prefs/admin/calendar/index.html"
    header_icon = "calendar-alt"
    http_method_names = ["get", "head"]

    def dispatch(self, request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponseBase:
        if not may_look(request.user):
            raise PermissionDenied
        found: HttpResponseBase = super().dispatch(request, *args, **kwargs)
        return found

    def get(self, request: HttpRequest) -> HttpResponseBase:
        audiences = list(Audience.objects.order_by("name", "pk"))
        self.form = MonthForm(request.GET, audiences=audiences) if audiences else None
        found: HttpResponseBase = self.render_to_response(self.get_context_data())
        return found

    def get_breadcrumbs_items(self) -> list[dict[str, Any]]:
        return [*self.breadcrumbs_items, {"url": "", "label": _("Send calendar")}]

    def get_context_data(self, **kwargs: Any) -> dict[str, Any]:
        context: dict[str, Any] = {
            **super().get_context_data(**kwargs),
            "form": self.form,
            "topics_url": reverse(f"{TOPICS}:list"),
            "zone": timezone.get_default_timezone_name(),
        }
        if self.form is not None and self.form.is_valid():
            context.update(self._month(**self.form.cleaned_data))
        return context

    def _month(
        self, audience: Audience, month: date, channel: str, most: int, frequency: str
    ) -> dict[str, Any]:
        topics = list(
            Topic.objects.filter(audience=audience)
            .order_by("sort_order", "key")
            .prefetch_related("texts__locale")
        )
        labels = {topic.key: str(topic) for topic in topics}
        planned = [found for topic in topics if (found := self._planned(topic, labels[topic.key], channel))]
        seen = may.audiences(self.request.user, may.RESULTS).filter(pk=audience.pk).exists()
        sent = _sent(audience, month, channel) if seen else {}
        return {
            "month": month,
            "weekdays": [str(WEEKDAYS_ABBR[number]) for number in range(7)],
            "weeks": month_of.weeks(
                month,
                planned,
                sent,
                labels,
                today=timezone.localdate(),
                most=most,
                frequency=frequency,
            ),
            "most": most,
            "limit": FREQUENCY_LABELS[frequency],
            "has_plans": bool(planned),
            "sees_sent": seen,
            "counted_at": promises.counted_until() if seen else None,
            "earlier": self._address(month, -1),
            "later": self._address(month, 1),
        }

    def _planned(self, topic: Topic, label: str, channel: str) -> month_of.PlannedTopic | None:
        """What the calendar shows of a topic; None for one that is not sent, or for which nothing is planned."""
        plan = planned_of(topic)
        channels = tuple(code for code in in_order(topic.channels, CHANNELS) if channel in {"", code})
        if plan is None or not channels or topic.archived:
            return None
        url = reverse(f"{TOPICS}:edit", args=[topic.pk]) if self._may_change else ""
        return month_of.PlannedTopic(topic.key, label, plan, channels, url)

    @cached_property
    def _may_change(self) -> bool:
        return bool(ModelPermissionPolicy(Topic).user_has_permission(self.request.user, "change"))

    def _address(self, month: date, months: int) -> str:
        """Of the calendar of another month, with all else as it was asked for; "" where there is none."""
        other = add_months(month, months)
        if not FIRST <= other <= LAST:
            return ""
        asked = self.request.GET.copy()
        asked["month"] = f"{other:%Y-%m}"
        return f"?{asked.urlencode()}"


def may_look(user: Any) -> bool:
    """Whoever works with topics."""
    actions = ("add", "change", "delete", "view")
    return bool(ModelPermissionPolicy(Topic).user_has_any_permission(user, actions))


def _sent(audience: Audience, month: date, channel: str) -> Counter[tuple[date, str]]:
    """{(day, topic): how many were sent}, by UTC's days, in the weeks of a month: counts, which the worker keeps."""
    first, last = month_of.window(month)
    rows = promises.counted(promises.Period(audience, first, last, channel=channel)).filter(
        event__in=[event for event in promises.OF_SENDS if event != Event.LATE]
    )
    found: Counter[tuple[date, str]] = Counter()
    for day, topic, number in rows.values_list("day", "topic", "count"):
        found[day, topic] += number
    return found


class CalendarMenuItem(MenuItem):
    def is_shown(self, request: HttpRequest) -> bool:
        return may_look(request.user)


class CalendarViewSet(ViewSet):
    """One page."""

    name = NAME
    icon = "calendar-alt"
    menu_label = gettext_lazy("Send calendar")
    menu_order = 310
    menu_hook = SUBMENU_HOOK
    menu_item_class = CalendarMenuItem

    def get_urlpatterns(self) -> list[URLPattern]:
        return [path("", self.construct_view(CalendarView), name="index")]
