"""The editor's form of a center."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from django import forms
from django.core.exceptions import ValidationError
from django.utils.translation import gettext, gettext_lazy as _, ngettext
from wagtail.admin.forms.pages import WagtailAdminPageForm
from wagtail.admin.widgets import AdminAutoHeightTextInput
from wagtail.blocks.stream_block import StreamBlockValidationError
from wagtail.blocks.struct_block import StructBlockValidationError

from .origins import lines, origin_of

if TYPE_CHECKING:
    from .checks.values import Finding

#: The fields by which warnings are overruled. They are no fields of the page; a panel shows them when they are needed.
OVERRULE_FIELDS = ("publish_anyway", "overrule_reason")


class PreferenceCenterForm(WagtailAdminPageForm):
    """Checks what needs the site, and - whenever more than a draft is saved - what stands against publishing."""

    publish_anyway = forms.BooleanField(label=_("Publish all the same"), required=False)
    overrule_reason = forms.CharField(
        label=_("Reason"),
        required=False,
        max_length=500,
        widget=AdminAutoHeightTextInput,
        help_text=_("Kept in the history of this page, with your name. Write nothing about single people."),
    )

    #: What the checks found; None where they were not asked, because only a draft is saved.
    findings: Sequence[Finding] | None = None
    #: The warnings among them that nobody has overruled yet.
    open_warnings: Sequence[Finding] = ()

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        # Without the panel nobody could tick them.
        for name in set(OVERRULE_FIELDS) - set(self._meta.fields or ()):
            del self.fields[name]

    def clean_host_pages(self) -> str:
        """A center may only narrow what the site's administrators allow."""
        from .embedding import site_origins  # noqa: PLC0415 - a model; this module is imported by models

        text: str = self.cleaned_data["host_pages"]
        place = self.instance if self.instance.path else self.parent_page
        site = place.get_site() if text and place is not None else None
        allowed = set(site_origins(site.pk)) if site else set()
        for url in lines(text) if site else ():
            origin = origin_of(url)
            if origin not in allowed:
                message = _(
                    "%(origin)s may not embed centers of this site. Ask an administrator to add it under "
                    "Settings › Embedding of preference centers."
                )
                raise ValidationError(message, params={"origin": origin})
        return text

    def _post_clean(self) -> None:
        # From here on the page in memory is what was sent.
        super()._post_clean()
        if not self.is_deferred_validation and not self._takes_back() and "body" in self.cleaned_data:
            self._check()

    def _takes_back(self) -> bool:
        """Whether this ends a way to publication: a page must not need to be mended before it can be sent back.

        In the order in which Wagtail reads the buttons: who presses several does the first.
        """
        if any(self.data.get(f"action-{name}") for name in ("publish", "submit", "restart-workflow")):
            return False
        if self.data.get("action-workflow-action"):
            return bool(self.data.get("workflow-action-name") == "reject")
        return bool(self.data.get("action-cancel-workflow"))

    def _check(self) -> None:
        from .checks.audit import Overruled, accepted  # noqa: PLC0415 - models
        from .checks.gather import check_page  # noqa: PLC0415

        page = self.instance
        if not page.path and self.parent_page is not None and page.slug:
            page.set_url_path(self.parent_page)  # a new page is found in its site by the place it will have
        page.body.get_prep_value()  # gives new blocks their ids
        self.findings = check_page(page)
        errors = [finding for finding in self.findings if finding.level == "error"]
        warnings = [finding for finding in self.findings if finding.level == "warning"]
        known = accepted(page) if warnings and "publish_anyway" in self.fields else frozenset()
        if "publish_anyway" in self.fields:
            self.open_warnings = [finding for finding in warnings if finding.key not in known]
        if errors:
            self._show(errors)
        reason = str(self.cleaned_data.get("overrule_reason") or "").strip()
        if not self.open_warnings:
            return
        if not self.cleaned_data.get("publish_anyway"):
            self.add_error(
                "publish_anyway",
                ValidationError(
                    gettext("Mend what is listed under “Before you publish”, or tick this and say why."),
                    code="warnings",
                ),
            )
        elif not reason:
            self.add_error("overrule_reason", ValidationError(gettext("Say why."), code="required"))
        else:
            page.overruled = Overruled(tuple(finding.key for finding in warnings), reason)

    def _show(self, errors: Sequence[Finding]) -> None:
        """Beside the blocks what belongs to one, and everything in words at the top."""
        places = {str(child.id): (index, child.block) for index, child in enumerate(self.instance.body)}
        found: dict[int, tuple[dict[str, list[str]], list[str]]] = {}
        general = []
        for error in errors:
            if error.block_id not in places:
                general.append(error.text)
                continue
            index, block = places[error.block_id]
            fields, whole = found.setdefault(index, ({}, []))
            (fields.setdefault(error.field, []) if error.field in block.child_blocks else whole).append(
                error.text
            )
        if found:
            beside = StreamBlockValidationError(
                block_errors={
                    index: StructBlockValidationError(
                        block_errors={name: ValidationError(texts) for name, texts in fields.items()},
                        non_block_errors=whole,
                    )
                    for index, (fields, whole) in found.items()
                }
            )
            # What Wagtail prints in its message at the top, where no block is near.
            beside.message = ngettext(
                "%(count)s block must be mended.", "%(count)s blocks must be mended.", len(found)
            ) % {"count": len(found)}
            self.add_error("body", beside)
        head = gettext("This center cannot be published yet. A draft of it can be saved.")
        self.add_error(None, [ValidationError(text, code="check") for text in (head, *general)])
