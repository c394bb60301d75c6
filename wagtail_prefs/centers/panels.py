"""Panels of a center's form in the editor. Here and not in `admin`, because the page's own panels name them."""

from __future__ import annotations

from typing import Any

from django import forms
from django.urls import reverse
from django.utils.translation import gettext_lazy as _
from wagtail.admin.panels import Panel
from wagtail.models import AbstractPage
from wagtail.permissions import policy_registry

from .embed import NotBuilt, embed_snippet, frame_snippet
from .forms import OVERRULE_FIELDS, PreferenceCenterForm

#: For all panels of a center, here and at the side.
MEDIA = forms.Media(css={"all": ["wagtail_prefs/css/admin.css"]})


class ChecksPanel(Panel):
    """At the top of the form once publishing was stopped: what was found, and how to overrule warnings."""

    def __init__(self, **kwargs: Any) -> None:
        kwargs.setdefault("heading", _("Before you publish"))
        kwargs.setdefault("icon", "warning")
        super().__init__(**kwargs)

    def get_form_options(self) -> dict[str, Any]:
        # A site's own form that is not built on ours has no such fields.
        form_class = getattr(self.model, "base_form_class", None) or PreferenceCenterForm
        return {"fields": list(OVERRULE_FIELDS)} if issubclass(form_class, PreferenceCenterForm) else {}

    @property
    def clean_name(self) -> str:
        return "prefs_checks"

    class BoundPanel(Panel.BoundPanel):
        template_name = "wagtail_prefs/admin/checks_panel.html"
        media = MEDIA

        def is_shown(self) -> bool:
            form = self.form
            if not getattr(form, "findings", None):
                return False
            return bool(form.open_warnings) or any(finding.level == "error" for finding in form.findings)

        def get_context_data(self, parent_context: Any = None) -> dict[str, Any]:
            context: dict[str, Any] = super().get_context_data(parent_context)
            form = self.form
            errors = [finding for finding in form.findings if finding.level == "error"]
            return {
                **context,
                "findings": [*errors, *form.open_warnings],
                "fields": [form[name] for name in OVERRULE_FIELDS] if form.open_warnings else [],
            }


class EmbedPanel(Panel):
    """The code that puts a published center into another website, and where it may be put."""

    def __init__(self, **kwargs: Any) -> None:
        kwargs.setdefault("heading", _("Code for other websites"))
        kwargs.setdefault("icon", "code")
        super().__init__(**kwargs)

    @property
    def clean_name(self) -> str:
        return "prefs_embed"

    class BoundPanel(Panel.BoundPanel):
        template_name = "wagtail_prefs/admin/embed_panel.html"
        media = MEDIA

        def is_shown(self) -> bool:
            page = self.instance
            return (
                isinstance(page, AbstractPage) and page.pk is not None and page.live and not page.alias_of_id
            )

        def get_context_data(self, parent_context: Any = None) -> dict[str, Any]:
            context: dict[str, Any] = super().get_context_data(parent_context)
            return {**context, **self._embedding()}

        def _embedding(self) -> dict[str, Any]:
            from ..errors import NotPublished  # noqa: PLC0415
            from .services import current  # noqa: PLC0415 - services work with pages

            page = self.instance
            try:
                center = current(page.translation_key, page.locale.language_code)
            except NotPublished:
                return {"center": None}
            if center.locale != page.locale.language_code:
                return {"center": None}
            try:
                snippet: str | None = embed_snippet(center)
            except NotBuilt:
                snippet = None
            return {
                "center": center,
                "snippet": snippet,
                "frame": frame_snippet(center),
                "own": center.origins[0],
                "origins": center.origins[1:],
                "host_pages": center.host_pages,
                "settings_url": self._settings_url(page),
            }

        def _settings_url(self, page: Any) -> str:
            """Where the origins are changed, for those who may."""
            from .embedding import EmbedSettings  # noqa: PLC0415 - a model; this module is imported by models

            site = page.get_site()
            if site is None or self.request is None:
                return ""
            policy = policy_registry.get_by_type(EmbedSettings)
            own = EmbedSettings(site=site)
            if not policy.user_has_permission_for_instance(self.request.user, "change", own):
                return ""
            url: str = reverse("wagtailsettings:edit", args=["wagtail_prefs", "embedsettings", site.pk])
            return url
