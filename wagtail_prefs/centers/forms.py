"""The editor's form of a center."""

from __future__ import annotations

from django.core.exceptions import ValidationError
from django.utils.translation import gettext_lazy as _
from wagtail.admin.forms.pages import WagtailAdminPageForm

from .origins import lines, origin_of


class PreferenceCenterForm(WagtailAdminPageForm):
    """Checks what needs the site, which a new page gets from the place where it is made."""

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
