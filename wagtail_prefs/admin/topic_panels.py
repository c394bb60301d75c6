"""What the editor of a topic sees beside its fields: who has it, on which centers it stands, where it goes."""

from __future__ import annotations

from typing import Any

from django.utils.translation import gettext_lazy as _
from wagtail.admin.panels import Panel

from .topic_numbers import by_channel, centers_with, mapped


class TopicUsePanel(Panel):
    """Read only, and only for a topic that is saved: a new one has nobody."""

    def __init__(self, **kwargs: Any) -> None:
        kwargs.setdefault("heading", _("Who has it, and where it goes"))
        super().__init__(**kwargs)

    class BoundPanel(Panel.BoundPanel):
        template_name = "wagtail_prefs/admin/topics/use_panel.html"

        def is_shown(self) -> bool:
            return bool(super().is_shown() and self.instance.pk)

        def get_context_data(self, parent_context: Any = None) -> dict[str, Any]:
            return {
                **super().get_context_data(parent_context),
                "channels": by_channel(self.instance),
                "centers": centers_with(self.instance),
                "mapped": mapped(self.instance),
            }
