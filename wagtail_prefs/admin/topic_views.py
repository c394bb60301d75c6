"""Archiving a topic, bringing it back, and merging it into another: each a page that says what would happen first."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

from django import forms
from django.contrib.admin.utils import quote
from django.core.exceptions import PermissionDenied
from django.db import transaction
from django.http import HttpRequest, HttpResponse
from django.http.response import HttpResponseBase
from django.shortcuts import redirect
from django.urls import reverse
from django.utils.decorators import method_decorator
from django.utils.functional import cached_property
from django.utils.translation import gettext, gettext_lazy as _
from django.views.generic import View
from wagtail.admin import messages
from wagtail.admin.views.generic.base import BaseObjectMixin, WagtailAdminTemplateMixin
from wagtail.admin.views.generic.permissions import PermissionCheckedMixin
from wagtail.log_actions import log

from ..topics.merging import Verdict
from ..topics.models import Topic, TopicMerge
from . import topic_merging
from .topic_numbers import by_channel, centers_with, live_states

if TYPE_CHECKING:
    from django.utils.functional import _StrPromise


class TopicActionView(PermissionCheckedMixin, BaseObjectMixin, WagtailAdminTemplateMixin, View):
    """One topic, for those who may change it. GET says what would happen, POST does it."""

    model = Topic
    permission_required = "change"
    index_url_name: str | None = None
    edit_url_name: str | None = None
    object: Topic

    def get(self, request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponse:
        return self._page()

    def _page(self, **context: Any) -> HttpResponse:
        response: HttpResponse = self.render_to_response(self.get_context_data(**context))
        return response

    def get_base_object_queryset(self) -> Any:
        return super().get_base_object_queryset().select_related("audience").prefetch_related("texts__locale")

    def get_page_subtitle(self) -> str:
        return str(self.object)

    def get_breadcrumbs_items(self) -> list[dict[str, Any]]:
        return [
            *self.breadcrumbs_items,
            {"url": self.list_url, "label": _("Topics")},
            {"url": self.edit_url, "label": str(self.object)},
            {"url": "", "label": self.get_page_title()},
        ]

    @property
    def list_url(self) -> str:
        return reverse(self.index_url_name)

    @property
    def edit_url(self) -> str:
        return reverse(self.edit_url_name, args=[quote(self.object.pk)])


class ArchiveTopicView(TopicActionView):
    """Hide a topic everywhere. Choices stay as they are."""

    page_title = _("Archive")
    template_name = "wagtail_prefs/admin/topics/archive.html"

    def get_context_data(self, **kwargs: Any) -> dict[str, Any]:
        context: dict[str, Any] = super().get_context_data(edit_url=self.edit_url, **kwargs)
        return {**context, "channels": by_channel(self.object), "centers": centers_with(self.object)}

    def post(self, request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponse:
        if not self.object.archived:
            _set_archived(self.object, archived=True)
            log(self.object, "wagtail_prefs.topic.archive", user=request.user)
        messages.success(
            request, gettext("“%(topic)s” is archived. Nobody's choice was changed.") % {"topic": self.object}
        )
        return redirect(self.list_url)


class BringBackTopicView(TopicActionView):
    """Show an archived topic again, with the choices that people had."""

    page_title = _("Bring back")
    template_name = "wagtail_prefs/admin/topics/bring_back.html"

    def get_context_data(self, **kwargs: Any) -> dict[str, Any]:
        context: dict[str, Any] = super().get_context_data(edit_url=self.edit_url, **kwargs)
        merge = self.object.merges.select_related("winner").order_by("-pk").first()
        return {**context, "channels": by_channel(self.object), "merge": merge}

    def post(self, request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponse:
        if self.object.archived:
            topic_merging.stop(self.object)
            _set_archived(self.object, archived=False)
            log(self.object, "wagtail_prefs.topic.bring_back", user=request.user)
        messages.success(request, gettext("“%(topic)s” can be offered again.") % {"topic": self.object})
        return redirect(self.edit_url)


class ReasonForm(forms.Form):
    """What a merge is begun with."""

    reason = forms.CharField(
        label=_("Reason"),
        max_length=500,
        help_text=_("Kept with the merge. The records of everybody who changes by it name the merge."),
    )


# A piece is many small transactions: what is carried over is settled, and nobody waits for the rest.
@method_decorator(transaction.non_atomic_requests, name="dispatch")
class MergeTopicView(TopicActionView):
    """First which topic, then who would change, then piece by piece until it is through.

    A piece is carried over by each POST; the page that answers one sends the next by itself, as long as it is open.
    """

    page_title = _("Merge into another topic")
    template_name = "wagtail_prefs/admin/topics/merge.html"
    #: how long one answer takes about, and how many people are looked at together
    seconds: float = topic_merging.SECONDS
    batch: int = topic_merging.BATCH

    @cached_property
    def merge(self) -> TopicMerge | None:
        """The merge that is under way."""
        found: TopicMerge | None = (
            self.object.merges.filter(done_at=None).select_related("loser", "winner").first()
        )
        return found

    @cached_property
    def winners(self) -> list[Topic]:
        return list(topic_merging.possible_winners(self.object))

    def dispatch(self, request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponseBase:
        # What always comes has no choices, and what is archived already has nobody to ask.
        if not self.user_has_permission("change"):
            raise PermissionDenied
        if self.merge is None and (self.object.transactional or self.object.archived):
            messages.error(request, gettext("“%(topic)s” cannot be merged.") % {"topic": self.object})
            return redirect(self.edit_url)
        return super().dispatch(request, *args, **kwargs)

    def get_template_names(self) -> list[str]:
        if self.merge is not None:
            return ["wagtail_prefs/admin/topics/merge_progress.html"]
        return [self.template_name]

    def get_context_data(self, **kwargs: Any) -> dict[str, Any]:
        context: dict[str, Any] = super().get_context_data(edit_url=self.edit_url, **kwargs)
        if self.merge is not None:
            total = live_states(self.object).count()
            return {**context, "merge": self.merge, "total": max(total, self.merge.looked_at)}
        winner = context.get("winner") or self._winner(self.request.GET.get("into"))
        context |= {"winners": self.winners, "winner": winner}
        if winner is not None:
            forecast = topic_merging.forecast(self.object, winner)
            context |= {
                "forecast": forecast,
                "rows": list(_in_words(forecast)),
                "centers": centers_with(self.object),
                "form": context.get("form") or ReasonForm(),
            }
        return context

    def post(self, request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponse:
        merge = self.merge
        if merge is None:
            winner, form = self._winner(request.POST.get("into")), ReasonForm(request.POST)
            if winner is None or not form.is_valid():
                return self._page(winner=winner, form=form)
            merge = topic_merging.begin(
                self.object, winner, reason=form.cleaned_data["reason"], user=request.user
            )
            log(
                self.object,
                "wagtail_prefs.topic.merge",
                user=request.user,
                data={"into": winner.key, "reason": merge.reason},
            )
        merge = topic_merging.go_on(merge, seconds=self.seconds, batch=self.batch)
        if merge.done_at is None:
            self.merge = merge
            return self._page(going=True)
        messages.success(
            request,
            gettext("“%(topic)s” is merged into “%(winner)s”. People who changed: %(changed)s.")
            % {"topic": merge.loser, "winner": merge.winner, "changed": merge.changed},
        )
        return redirect(self.list_url)

    def _winner(self, given: str | None) -> Topic | None:
        return next((topic for topic in self.winners if str(topic.pk) == given), None)


#: What these people said, and what becomes of them: all verdicts, those first who get something afterwards.
VERDICTS: dict[Verdict, tuple[_StrPromise, _StrPromise]] = {
    Verdict.BOTH: (_("Yes to both"), _("They stay subscribed.")),
    Verdict.STAYS: (_("No to this topic, and later yes to the other"), _("They stay subscribed.")),
    Verdict.ASKED: (
        _("Yes to this topic, never asked about the other"),
        _("They are asked, and get nothing until they say yes."),
    ),
    Verdict.WAITING: (
        _("Yes to this topic, and asked about the other already"),
        _("They get nothing until they say yes."),
    ),
    Verdict.LOST: (
        _("Yes to this topic, and cannot be asked about the other"),
        _("They get nothing: the other does not come this way, or they left everything."),
    ),
    Verdict.NO_STAYS: (_("Yes to this topic, no to the other"), _("Their no stays.")),
    Verdict.LEAVES: (_("Yes to the other, and no to this topic since"), _("They are unsubscribed.")),
    Verdict.REFUSED: (
        _("No to this topic, and no answer about the other"),
        _("Their no holds for the other, too."),
    ),
    Verdict.BOTH_NO: (_("No to both"), _("Nothing changes.")),
}


def _in_words(forecast: topic_merging.Forecast) -> Iterator[dict[str, Any]]:
    """The rows of the table: a verdict in words, with its people on each channel."""
    for verdict, (said, becomes) in VERDICTS.items():
        numbers = [channel.people[verdict] for channel in forecast.channels]
        yield {"said": said, "becomes": becomes, "numbers": numbers}


def _set_archived(topic: Topic, *, archived: bool) -> None:
    topic.archived = archived
    topic.save(update_fields=["archived"])
