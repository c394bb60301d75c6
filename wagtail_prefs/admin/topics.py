"""Topics, their groups, and the audiences they belong to."""

from __future__ import annotations

from typing import Any

from django.db.models import QuerySet
from django.http import HttpRequest
from django.utils.translation import gettext_lazy as _
from wagtail.admin.panels import FieldPanel
from wagtail.admin.ui.tables import Column
from wagtail.snippets.views.snippets import SnippetViewSet

from ..topics.models import Audience, Topic, TopicGroup


class TopicViewSet(SnippetViewSet):
    """One row for each thing people can get."""

    model = Topic
    icon = "list-ul"
    menu_label = _("Topics")
    add_to_admin_menu = False
    list_display = [
        "__str__",
        Column("key", label=_("Key"), sort_key="key"),
        Column("group", label=_("Group"), sort_key="group__key"),
        Column("channel_words", label=_("Channels")),
        Column("status_words", label=_("Status")),
    ]
    list_filter = ["audience", "group", "transactional", "archived"]
    # The words are children: the database's own search finds them without an index.
    search_backend_name = None
    search_fields = ["key", "texts__label"]

    def get_queryset(self, request: HttpRequest) -> QuerySet[Topic]:
        topics: QuerySet[Topic] = Topic.objects.select_related("group", "audience")
        return topics.prefetch_related("texts__locale", "group__texts__locale")


class TopicGroupViewSet(SnippetViewSet):
    """Headings."""

    model = TopicGroup
    icon = "folder-open-inverse"
    menu_label = _("Topic groups")
    add_to_admin_menu = False
    list_display = ["__str__", Column("key", label=_("Key"), sort_key="key")]
    search_backend_name = None
    search_fields = ["key", "texts__label"]

    def get_queryset(self, request: HttpRequest) -> QuerySet[TopicGroup]:
        groups: QuerySet[TopicGroup] = TopicGroup.objects.prefetch_related("texts__locale")
        return groups


class AudienceViewSet(SnippetViewSet):
    """Controllers. Most sites have one, which makes itself."""

    model = Audience
    icon = "group"
    menu_label = _("Audiences")
    add_to_admin_menu = False
    list_display = ["__str__", Column("key", label=_("Key"), sort_key="key"), Column("site", label=_("Site"))]
    list_select_related: Any = ["site"]
    panels = [FieldPanel("name"), FieldPanel("key"), FieldPanel("site")]

    def get_queryset(self, request: HttpRequest) -> QuerySet[Audience]:
        return Audience.objects.select_related("site")
