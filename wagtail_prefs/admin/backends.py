"""The CRMs and platforms, for the staff who must notice when one is away: how each is doing, why, and what can be done.

Nothing here is about a person, and everything about all sites: whoever may list the deliveries of all sites may look; to
have everything tried again, or to ask a platform whether its settings are right, takes the permission to retry them.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Any

from django.core.exceptions import ImproperlyConfigured, PermissionDenied
from django.http import Http404, HttpRequest, HttpResponse
from django.http.response import HttpResponseBase
from django.shortcuts import redirect
from django.urls import URLPattern, path, reverse
from django.utils import timezone
from django.utils.formats import date_format
from django.utils.functional import cached_property
from django.utils.translation import gettext as _, gettext_lazy
from django.views.generic import View
from wagtail.admin import messages
from wagtail.admin.menu import MenuItem
from wagtail.admin.views.generic.base import WagtailAdminTemplateMixin
from wagtail.admin.viewsets.base import ViewSet
from wagtail.permissions import policy_registry

from ..backends.hiding import secrets_of, without
from ..backends.registry import backends
from ..blocks.words import CHANNEL_LABELS
from ..delivery import drain, health
from ..delivery.health import Health, Status
from ..delivery.models import Delivery
from ..values import Capabilities, Outcome, PauseStyle, Resubscribe, Support
from . import charts, moving, permissions as may
from .menu import SUBMENU_HOOK
from .outcomes import OUTCOME_LABELS

NAME = "prefs_backends"

#: Findings of a platform that are shown, and characters of each: they wait in the session.
MOST, LONGEST = 20, 500

STATUS_LABELS = {
    Status.WELL: gettext_lazy("Well"),
    Status.LATE: gettext_lazy("Late"),
    Status.ASKED_TO_WAIT: gettext_lazy("Asked us to wait"),
    Status.ABSENT: gettext_lazy("Nobody delivers"),
    Status.AWAY: gettext_lazy("Away"),
    Status.GIVEN_UP: gettext_lazy("Given up"),
}
SUPPORT_LABELS = {
    Support.NONE: gettext_lazy("not known there"),
    Support.STORES: gettext_lazy("kept there; whoever sends must look at it"),
    Support.ENFORCES: gettext_lazy("obeyed there"),
}


@dataclass(frozen=True, slots=True)
class Shown:
    """A backend with its health in words. `broken`: its settings cannot be used."""

    health: Health
    url: str
    broken: bool = False

    @property
    def alias(self) -> str:
        return self.health.alias

    @property
    def label(self) -> str:
        return str(_("Settings must be mended") if self.broken else STATUS_LABELS[self.health.status])

    @property
    def tone(self) -> str:
        """How serious it is, for the stylesheet; the label says the same."""
        if self.broken or self.health.status in {Status.GIVEN_UP, Status.AWAY, Status.ABSENT}:
            return "critical"
        return "well" if self.health.status is Status.WELL else "warning"

    @property
    def advice(self) -> str:
        """What is the matter and what to do next, in a sentence or two; "" where all is well."""
        return (
            advice(self.health) if not self.broken else str(_("Run manage.py check: it says what is wrong."))
        )

    @property
    def waited(self) -> str:
        return in_words(self.health.lag.total_seconds())

    @property
    def succeeded(self) -> str:
        return self._ago(self.health.lane.done_at)

    @property
    def seen(self) -> str:
        return self._ago(self.health.lane.seen_at)

    def _ago(self, moment: datetime | None) -> str:
        if moment is None:
            return str(_("never"))
        seconds = max((self.health.at - moment).total_seconds(), 0)
        return str(_("%(time)s ago") % {"time": in_words(seconds)})


def in_words(seconds: float) -> str:
    """A length of time as people say it: its largest unit."""
    for unit, words in (
        (86_400, _("%(count)d d")),
        (3_600, _("%(count)d h")),
        (60, _("%(count)d min")),
    ):
        if seconds >= unit:
            return words % {"count": seconds // unit}
    return _("%(count)d s") % {"count": seconds}


def advice(found: Health) -> str:
    """What is the matter, and what to do next."""
    lane = found.lane
    match found.status:
        case Status.WELL:
            return ""
        case Status.LATE:
            return _("Something has been waiting for more than a quarter of an hour. Below stands why.")
        case Status.ASKED_TO_WAIT:
            return _("It asked to be left alone until %(time)s. Nothing is lost.") % {
                "time": _time(lane.paused_until)
            }
        case Status.ABSENT:
            return _("No worker was there for ten minutes. Start one: manage.py prefs_deliver --loop.")
        case Status.AWAY:
            words = _(
                "There was no usable answer since %(since)s (%(code)s). It is tried again at %(time)s and goes on by itself "
                "when it is back; nothing is lost."
            )
            return words % {
                "since": _time(lane.open_since),
                "code": lane.last_code or lane.code,
                "time": _time(lane.paused_until),
            }
        case _:
            words = _(
                "It has been away for days (%(code)s). Only opt-outs are tried, once a day. When it is mended, press “Try "
                "everything now”. Until then, do not send from there."
            )
            return words % {"code": lane.last_code or lane.code}


def _time(moment: datetime | None) -> str:
    return date_format(timezone.localtime(moment), "SHORT_DATETIME_FORMAT") if moment else "–"


def shown(aliases: list[str], now: datetime) -> list[Shown]:
    found = health.of(aliases, now)
    return [
        Shown(found[alias], reverse(f"{NAME}:one", args=[alias]), not _usable(alias)) for alias in aliases
    ]


def _usable(alias: str) -> bool:
    try:
        backends[alias]
    except ImproperlyConfigured:
        return False
    return True


def can_do(found: Capabilities) -> list[tuple[str, str]]:
    """What a platform does with what people choose, line by line."""
    pauses = {
        PauseStyle.NATIVE: _("paused there"),
        PauseStyle.MEMBERSHIP: _("taken off the list for that time; the yes stays"),
        PauseStyle.ATTRIBUTE: _("noted as a date; whoever sends must look at it"),
    }
    pause = str(SUPPORT_LABELS[found.pause])
    if found.pause is not Support.NONE and found.pause_style in pauses:
        pause = f"{pause} ({pauses[found.pause_style]})"
    lines = [
        (_("Channels"), ", ".join(str(CHANNEL_LABELS.get(channel, channel)) for channel in found.channels)),
        (_("A yes or no to a topic"), SUPPORT_LABELS[found.choice]),
        (_("Unsubscribe from everything"), SUPPORT_LABELS[found.opt_out]),
        (_("A limit on how often"), SUPPORT_LABELS[found.frequency]),
        (_("A pause"), pause),
        (_("What people say about themselves"), SUPPORT_LABELS[found.attributes]),
    ]
    if found.resubscribe is Resubscribe.DOUBLE_OPT_IN:
        lines.append((_("A yes after a no"), _("it mails the person first")))
    elif found.resubscribe is Resubscribe.REFUSED:
        lines.append((_("A yes after a no"), _("refused there for those who left by themselves")))
    return [(str(name), str(words)) for name, words in lines]


def may_look(user: Any) -> bool:
    return bool(policy_registry.get_by_type(Delivery).everywhere(user, [may.VIEW]))


class BackendView(View):
    """For those who may list all deliveries; `allowed` for those who may have everything tried again."""

    def dispatch(self, request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponseBase:
        if not may_look(request.user):
            raise PermissionDenied
        answer = super().dispatch(request, *args, **kwargs)
        answer.headers.setdefault("Cache-Control", "private, no-store")
        return answer

    @cached_property
    def allowed(self) -> bool:
        return may.policy().everywhere(self.request.user, [may.RETRY])

    def known(self, alias: str) -> str:
        """Raises Http404 for a backend that is not configured."""
        if alias not in backends:
            raise Http404
        return alias


class IndexView(WagtailAdminTemplateMixin, BackendView):
    """All of them, the worst first."""

    page_title = gettext_lazy("Backends")
    template_name = "wagtail_prefs/admin/backends/index.html"
    header_icon = "upload"
    http_method_names = ["get", "head"]

    def get(self, request: HttpRequest) -> HttpResponseBase:
        found: HttpResponseBase = self.render_to_response(self.get_context_data())
        return found

    def get_breadcrumbs_items(self) -> list[dict[str, Any]]:
        return [*self.breadcrumbs_items, {"url": "", "label": _("Backends")}]

    def get_context_data(self, **kwargs: Any) -> dict[str, Any]:
        tones = ["critical", "warning", "well"]
        found = sorted(
            shown(list(backends), timezone.now()), key=lambda one: (tones.index(one.tone), one.alias)
        )
        return {**super().get_context_data(**kwargs), "backends": found}


class OneView(WagtailAdminTemplateMixin, BackendView):
    """One of them: its numbers, its last day, why things fail, what it can do."""

    template_name = "wagtail_prefs/admin/backends/one.html"
    header_icon = "upload"
    http_method_names = ["get", "head"]

    def get(self, request: HttpRequest, alias: str) -> HttpResponseBase:
        self.alias = self.known(alias)
        found: HttpResponseBase = self.render_to_response(self.get_context_data())
        return found

    def get_page_title(self) -> str:
        return self.alias

    def get_breadcrumbs_items(self) -> list[dict[str, Any]]:
        return [
            *self.breadcrumbs_items,
            {"url": reverse(f"{NAME}:index"), "label": _("Backends")},
            {"url": "", "label": self.alias},
        ]

    def get_context_data(self, **kwargs: Any) -> dict[str, Any]:
        (one,) = shown([self.alias], timezone.now())
        return {
            **super().get_context_data(**kwargs),
            "one": one,
            "chart": day(one.health),
            "reasons": [
                (
                    code or "–",
                    OUTCOME_LABELS[Outcome(outcome)] if outcome else "–",
                    contacts,
                    self._list(outcome),
                )
                for code, outcome, contacts in one.health.reasons
            ],
            "can_do": [] if one.broken else can_do(backends[self.alias].capabilities),
            "allowed": self.allowed,
            "moving": None if one.broken else moving.section(self.alias),
            "problems": self.request.session.pop(_key(self.alias), None) if self.allowed else None,
        }

    def _list(self, outcome: str) -> str:
        return f"{reverse('prefs_deliveries:index')}?backend={self.alias}&last_outcome={outcome}"


def day(found: Health) -> charts.Chart | None:
    """The last 24 hours as bars: up what was delivered, down what failed; None where nothing was tried."""
    if not any(hour.done or hour.failed for hour in found.hours):
        return None
    pairs = [
        charts.Pair(date_format(timezone.localtime(hour.begins), "TIME_FORMAT"), hour.done, hour.failed)
        for hour in found.hours
    ]
    done, failed = sum(hour.done for hour in found.hours), sum(hour.failed for hour in found.hours)
    return charts.columns(
        "day",
        _("The last 24 hours"),
        _("%(done)d delivered, %(failed)d failed") % {"done": done, "failed": failed},
        (_("Delivered"), _("Failed")),
        pairs,
    )


def _key(alias: str) -> str:
    return f"{NAME}:{alias}"


class RetryView(BackendView):
    """Has all that waits or was given up tried now, and reopens the lane."""

    http_method_names = ["post"]

    def post(self, request: HttpRequest, alias: str) -> HttpResponse:
        if not self.allowed:
            raise PermissionDenied
        count = drain.retry_now([self.known(alias)])
        messages.success(request, _("The worker tries everything now: %(count)d waiting.") % {"count": count})
        return redirect(f"{NAME}:one", alias)


class CheckView(BackendView):
    """Asks the platform whether credentials, lists and fields are right. This one talks to it, and so may take a while."""

    http_method_names = ["post"]

    def post(self, request: HttpRequest, alias: str) -> HttpResponse:
        if not self.allowed:
            raise PermissionDenied
        request.session[_key(self.known(alias))] = _asked(alias)
        return redirect(f"{NAME}:one", alias)


def _asked(alias: str) -> list[tuple[str, str]]:
    """Level and words of what the platform finds, as a session can keep it: the words may be lazy, or very many, or hold
    what stands in the options.
    """
    try:
        backend = backends[alias]
        hidden = secrets_of(backend.options)
        return [(str(one.level), without(hidden, str(one.text))[:LONGEST]) for one in backend.check()[:MOST]]
    except ImproperlyConfigured:
        words = _("The settings of this backend must be mended. Run manage.py check: it says what is wrong.")
    except Exception as error:  # noqa: BLE001 - a backend is anybody's code; its text may hold a secret
        words = _("It could not be asked (%(kind)s).") % {"kind": type(error).__name__}
    return [("error", words)]


class BackendsMenuItem(MenuItem):
    def is_shown(self, request: HttpRequest) -> bool:
        return may_look(request.user)


class BackendsViewSet(ViewSet):
    """The list, a page for each, and its two buttons."""

    name = NAME
    icon = "upload"
    menu_label = gettext_lazy("Backends")
    menu_order = 790
    menu_hook = SUBMENU_HOOK
    menu_item_class = BackendsMenuItem

    def get_urlpatterns(self) -> list[URLPattern]:
        return [
            path("", self.construct_view(IndexView), name="index"),
            path("<str:alias>/", self.construct_view(OneView), name="one"),
            path("<str:alias>/retry/", self.construct_view(RetryView), name="retry"),
            path("<str:alias>/check/", self.construct_view(CheckView), name="check"),
        ]
