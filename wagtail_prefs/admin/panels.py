"""What the editor of a center has beside Wagtail's own: a side panel with what stands against publishing, and the same
question asked on the ways to a publication that do not lead through the form."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

from django.apps import apps
from django.http import HttpRequest, HttpResponse
from django.http.response import HttpResponseBase
from django.shortcuts import redirect
from django.urls import reverse
from django.utils.html import format_html
from django.utils.translation import gettext as _, gettext_lazy, ngettext
from wagtail.admin import messages
from wagtail.admin.ui.components import MediaContainer
from wagtail.admin.ui.side_panels import BaseSidePanel

from ..centers.checks.audit import accepted
from ..centers.checks.gather import check_page
from ..centers.checks.values import Finding
from ..centers.mixins import PreferenceCenterMixin
from ..centers.panels import MEDIA

#: Findings and pages that one message tells.
MAX_TOLD = 3


class PublishChecksSidePanel(BaseSidePanel):
    """Everything that the checks find in the saved draft; after a refused publish, in what was sent.

    Wagtail draws the side panels again after each autosave, but not their buttons: the counter is sent along.
    """

    class SidePanelToggle(BaseSidePanel.SidePanelToggle):
        aria_label = gettext_lazy("Toggle what to mend before you publish")
        icon_name = "clipboard-list"
        counter_classname = "w-bg-critical-200"

        def get_context_data(self, parent_context: Any) -> dict[str, Any]:
            return {**super().get_context_data(parent_context), "count": len(self.panel.findings)}

    name = "prefs-checks"
    title = gettext_lazy("Before you publish")
    template_name = "wagtail_prefs/admin/checks_side_panel.html"
    order = 150
    media = MEDIA

    def __init__(
        self, page: Any, request: HttpRequest, findings: Sequence[Finding] | None, *, saved: bool = True
    ) -> None:
        super().__init__(page, request)
        self.saved = saved
        self.findings = findings if findings is not None else check_page(page) if saved else []

    def get_context_data(self, parent_context: Any) -> dict[str, Any]:
        known = accepted(self.object) if self.findings else frozenset()
        return {
            **super().get_context_data(parent_context),
            "saved": self.saved,
            "count": len(self.findings),
            "is_partial": parent_context.get("is_partial", False),
            "errors": [finding for finding in self.findings if finding.level == "error"],
            "warnings": [
                {"finding": finding, "accepted": finding.key in known}
                for finding in self.findings
                if finding.level == "warning"
            ],
        }


class ChecksInEditor:
    """For a view that edits a center. Stands before Wagtail's, also in a site's own page viewset."""

    page: Any
    form: Any
    request: HttpRequest

    def get_side_panels(self) -> MediaContainer:
        panels = super().get_side_panels()  # type: ignore[misc]
        if self.page.alias_of_id:
            return panels
        findings = getattr(self.form, "findings", None)
        own = PublishChecksSidePanel(self.page, self.request, findings, saved=self.page.pk is not None)
        return MediaContainer([*panels, own])


class ChecksInWorkflow:
    """For the views by which a moderator approves without opening the form."""

    object: Any
    task_state: Any
    action_name: str
    request: HttpRequest

    def post(self, request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponseBase:
        if self.action_name == "approve":
            page = self.task_state.revision.as_object()  # what is published once all have approved
            stopping = what_stops(page)
            if stopping:
                tell(request, page, stopping)
                return self._back()
        response: HttpResponseBase = super().post(request, *args, **kwargs)  # type: ignore[misc]
        return response

    def _back(self) -> HttpResponseBase:
        edit = reverse("wagtailadmin_pages:edit", args=[self.object.pk])
        if self.request.headers.get("x-requested-with") == "XMLHttpRequest":
            response: HttpResponseBase = self.render_modal_json(  # type: ignore[attr-defined]
                self.request, {"step": "success", "redirect": edit}
            )
            return response
        return redirect(edit)


def what_stops(page: PreferenceCenterMixin) -> list[Finding]:
    """What keeps the form from publishing this page: errors, and warnings that nobody has overruled yet."""
    findings = check_page(page)
    known = accepted(page) if findings else frozenset()
    return [finding for finding in findings if finding.level == "error" or finding.key not in known]


def tell(request: HttpRequest, page: Any, stopping: Sequence[Finding]) -> None:
    """A message at the top of the next screen. The rest stands in the editor: messages travel in cookies."""
    text = _("“%(title)s” cannot be published yet: %(findings)s") % {
        "title": page.title,
        "findings": " ".join(finding.text for finding in stopping[:MAX_TOLD]),
    }
    more = len(stopping) - MAX_TOLD
    if more > 0:
        text += " " + ngettext("And %(count)s more.", "And %(count)s more.", more) % {"count": more}
    edit = reverse("wagtailadmin_pages:edit", args=[page.pk])
    messages.error(request, format_html("{}", text), buttons=[messages.button(edit, _("Edit"))])


def before_bulk_action(
    request: HttpRequest, action_type: str, objects: Iterable[Any], action: Any
) -> HttpResponse | None:
    """The hook of that name: pages are published by the dozen without their forms."""
    if action_type != "publish":
        return None
    pages = list(_centers(objects, action))
    stopped = [(page, stopping) for page in pages if (stopping := what_stops(page))]
    if not stopped:
        return None
    for page, stopping in stopped[:MAX_TOLD]:
        tell(request, page, stopping)
    return redirect(action.next_url)


def _centers(objects: Iterable[Any], action: Any) -> Iterable[Any]:
    """The newest drafts of the centers among the pages, and below them where that was asked for."""
    kinds = tuple(center_models())
    below = bool(kinds) and action.cleaned_form.cleaned_data.get("include_descendants")
    for chosen in objects:
        if issubclass(chosen.specific_class or type(chosen), kinds):
            yield chosen.get_latest_revision_as_object()
        for page in chosen.get_descendants().not_live().type(*kinds) if below else ():
            yield page.get_latest_revision_as_object()


def center_models() -> list[type[Any]]:
    """All page types that are centers: ours, and those a site has made with the mixin."""
    return [model for model in apps.get_models() if issubclass(model, PreferenceCenterMixin)]
