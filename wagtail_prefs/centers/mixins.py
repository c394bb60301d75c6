"""What makes a page a preference center. A site with its own base page model takes the mixin only."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, ClassVar

from django.db import models
from django.http import HttpRequest, HttpResponse
from django.template.response import TemplateResponse
from django.utils.translation import gettext_lazy as _
from wagtail.admin.panels import FieldPanel, MultiFieldPanel

from ..errors import NotPublished
from .fields import CenterStreamField
from .forms import PreferenceCenterForm
from .origins import lines, validate_host_pages
from .panels import ChecksPanel, EmbedPanel

if TYPE_CHECKING:
    from uuid import UUID

    from .checks.audit import Overruled
    from .values import Snapshot


class PreferenceCenterMixin(models.Model):
    """Fields, panels and serving of a center. Stands before the page class:

    class PreferencePage(PreferenceCenterMixin, BasePage):
        content_panels = BasePage.content_panels + PreferenceCenterMixin.center_panels
    """

    body = CenterStreamField(
        blank=True,
        verbose_name=_("blocks"),
        help_text=_(
            "What people see, in this order. They can save what is on the page when it is published."
        ),
    )
    host_pages = models.TextField(
        _("pages that show this center"),
        blank=True,
        validators=[validate_host_pages],
        help_text=_(
            "Addresses of pages on other websites that embed this center, one a line. "
            "Empty: it may be embedded wherever this site's settings allow it."
        ),
    )

    center_panels: ClassVar[list[Any]] = [
        ChecksPanel(),
        FieldPanel("body"),
        MultiFieldPanel([FieldPanel("host_pages")], heading=_("Embedding"), classname="collapsed"),
        EmbedPanel(classname="collapsed"),
    ]

    base_form_class = PreferenceCenterForm

    #: What an editor has just overruled in the form; logged with the revision that she saves.
    overruled: Overruled | None = None

    if TYPE_CHECKING:  # what Wagtail's page brings
        pk: int | None
        title: str
        live: bool
        locale: Any
        translation_key: UUID
        get_site: Any
        get_full_url: Any

    class Meta:
        abstract = True

    @property
    def host_page_list(self) -> list[str]:
        return lines(self.host_pages)

    def save_revision(self, user: Any = None, *args: Any, **kwargs: Any) -> Any:
        """Every way of the editor to a publication saves a revision, and only then a new page has a key to log."""
        revision = super().save_revision(user, *args, **kwargs)  # type: ignore[misc]
        if self.overruled:
            from .checks.audit import log_overruled  # noqa: PLC0415 - models

            log_overruled(self, self.overruled, revision, user)
            self.overruled = None
        return revision

    def get_template(self, request: HttpRequest, *args: Any, **kwargs: Any) -> str:
        return "wagtail_prefs/center_page.html"

    def serve(self, request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponse:
        """The page without anybody's choices: how the center looks, and how to get to one's own."""
        from .services import current, draft_snapshot, get_snapshot  # noqa: PLC0415 - services work with pages

        try:
            snapshot = get_snapshot(current(self.translation_key, self.locale.language_code).digest)
        except NotPublished:  # live since before the plugin was told, for example loaded from a fixture
            snapshot = draft_snapshot(self)
        return self._render(request, snapshot)

    @property
    def preview_modes(self) -> list[tuple[str, str]]:
        """A visitor without a link, and people who do not exist (`personas`)."""
        from .previewing import modes  # noqa: PLC0415 - knows models, as the next

        return modes()

    def serve_preview(self, request: HttpRequest, mode_name: str) -> HttpResponse:
        """The draft, compiled in memory: nothing is stored."""
        from . import personas, previewing  # noqa: PLC0415

        if mode_name in personas.LABELS:
            return previewing.serve(self, request, mode_name)
        return self._render(request, previewing.snapshot_of(self))

    def _render(self, request: HttpRequest, snapshot: Snapshot) -> HttpResponse:
        context = self.get_context(request)  # type: ignore[attr-defined]
        context |= {
            "snapshot": snapshot,
            "document": snapshot.document,
            "preferences": None,
            "lang": snapshot.locale,
            "dir": snapshot.direction,
        }
        return TemplateResponse(request, self.get_template(request), context)
