"""The "Preferences" group of the admin's menu. Other viewsets join it with `menu_hook = SUBMENU_HOOK`."""

from __future__ import annotations

from django.utils.translation import gettext_lazy as _
from wagtail.snippets.views.snippets import SnippetViewSetGroup

from .topics import AudienceViewSet, TopicGroupViewSet, TopicViewSet

SUBMENU_HOOK = "register_prefs_menu_item"


class PreferencesGroup(SnippetViewSetGroup):
    """What editors of preference centers need, in one place."""

    menu_label = _("Preferences")
    menu_name = "preferences"
    menu_icon = "wagtail-prefs"
    menu_order = 250
    submenu_hook = SUBMENU_HOOK
    items = (TopicViewSet, TopicGroupViewSet, AudienceViewSet)
