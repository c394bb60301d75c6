"""Topics, their groups, and the audiences they belong to."""

from __future__ import annotations

from typing import Any

from django.contrib.admin.utils import quote
from django.db.models import QuerySet
from django.http import HttpRequest
from django.urls import URLPattern, path, reverse
from django.utils.functional import cached_property
from django.utils.translation import gettext, gettext_lazy as _
from wagtail.admin.panels import FieldPanel, FieldRowPanel, MultiFieldPanel, ObjectList
from wagtail.admin.ui.tables import Column, NumberColumn
from wagtail.admin.widgets.button import Button
from wagtail.log_actions import LogActionRegistry, LogFormatter
from wagtail.snippets.views.chooser import ChooseResultsView, ChooseView, SnippetChooserViewSet
from wagtail.snippets.views.snippets import EditView, IndexView, SnippetViewSet

from ..contacts.models import State
from ..topics.forms import TopicForm
from ..topics.models import Audience, Topic, TopicGroup
from .audience_form import AudienceForm
from .topic_numbers import with_subscribers
from .topic_panels import TopicUsePanel
from .topic_views import ArchiveTopicView, BringBackTopicView, MergeTopicView

_NAMESPACE = "wagtailsnippets_wagtail_prefs_topic"


def topic_actions(topic: Topic) -> list[Button]:
    """What can be done with a topic as a whole, for whoever may change it."""

    def url(action: str) -> str:
        return reverse(f"{_NAMESPACE}:{action}", args=[quote(topic.pk)])

    if topic.archived:
        return [
            Button(_("Bring back"), url=url("bring_back"), icon_name="rotate", priority=40),
            *(
                [Button(_("Go on merging"), url=url("merge"), icon_name="resubmit", priority=50)]
                if any(merge.done_at is None for merge in topic.merges.all())
                else []
            ),
        ]
    archive = Button(_("Archive"), url=url("archive"), icon_name="folder", priority=40)
    merge = Button(_("Merge into another topic"), url=url("merge"), icon_name="resubmit", priority=50)
    return [archive] if topic.transactional else [archive, merge]


class AskedTopicForm(TopicForm):
    """What people were asked about never becomes what is always sent: that would send over every no they gave."""

    def clean(self) -> dict[str, Any]:
        cleaned = super().clean()
        if (
            cleaned.get("transactional")
            and "transactional" in self.changed_data
            and _was_asked(self.instance)
        ):
            self.add_error(
                "transactional",
                _(
                    "People have chosen about this topic already, and what is always sent asks nobody. Make a new "
                    "topic for it."
                ),
            )
        return cleaned


def _was_asked(topic: Topic) -> bool:
    said = State.objects.filter(contact__audience=topic.audience_id, topic=topic.key)
    return topic.pk is not None and (said.exclude(choice="") | said.filter(pending=True)).exists()


class TopicIndexView(IndexView):
    def get_list_more_buttons(self, instance: Topic) -> list[Button]:
        buttons: list[Button] = super().get_list_more_buttons(instance)
        return [*buttons, *topic_actions(instance)] if self._may_change else buttons

    @cached_property
    def _may_change(self) -> bool:
        return bool(self.user_has_permission("change"))


class TopicEditView(EditView):
    @cached_property
    def header_more_buttons(self) -> list[Button]:
        return [*super().header_more_buttons, *topic_actions(self.object)]


class _OfferedTopics:
    """An archived topic is offered nowhere, so it cannot be chosen either."""

    def get_object_list(self) -> QuerySet[Topic]:
        topics: QuerySet[Topic] = super().get_object_list()  # type: ignore[misc]
        return topics.filter(archived=False).prefetch_related("texts__locale")


class ChooseTopicView(_OfferedTopics, ChooseView):
    pass


class ChooseTopicResultsView(_OfferedTopics, ChooseResultsView):
    pass


class TopicChooserViewSet(SnippetChooserViewSet):
    choose_view_class = ChooseTopicView
    choose_results_view_class = ChooseTopicResultsView


class TopicViewSet(SnippetViewSet):
    """One row for each thing people can get."""

    model = Topic
    index_view_class = TopicIndexView
    edit_view_class = TopicEditView
    chooser_viewset_class = TopicChooserViewSet
    edit_handler = ObjectList([*Topic.panels, TopicUsePanel()], base_form_class=AskedTopicForm)
    icon = "list-ul"
    menu_label = _("Topics")
    add_to_admin_menu = False
    list_display = [
        "__str__",
        Column("key", label=_("Key"), sort_key="key"),
        Column("group", label=_("Group"), sort_key="group__key"),
        Column("channel_words", label=_("Channels")),
        NumberColumn("subscribers", label=_("Subscribed"), sort_key="subscribers"),
        Column("status_words", label=_("Status")),
    ]
    list_filter = ["audience", "group", "transactional", "archived"]
    # The words are children: the database's own search finds them without an index.
    search_backend_name = None
    search_fields = ["key", "texts__label"]

    def get_queryset(self, request: HttpRequest) -> QuerySet[Topic]:
        topics: QuerySet[Topic] = with_subscribers(Topic.objects.select_related("group", "audience"))
        return topics.prefetch_related("texts__locale", "group__texts__locale", "merges")

    def get_urlpatterns(self) -> list[URLPattern]:
        patterns: list[URLPattern] = super().get_urlpatterns()
        views = {"archive": ArchiveTopicView, "bring_back": BringBackTopicView, "merge": MergeTopicView}
        return [
            *patterns,
            *(
                path(f"{name.replace('_', '-')}/<int:pk>/", self.construct_view(view), name=name)
                for name, view in views.items()
            ),
        ]


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
    edit_handler = ObjectList(
        [
            FieldPanel("name"),
            FieldRowPanel([FieldPanel("key"), FieldPanel("site")]),
            MultiFieldPanel(
                [
                    FieldPanel("controller_name"),
                    FieldPanel("controller_address"),
                    FieldPanel("controller_contact"),
                    FieldPanel("privacy_url"),
                    FieldPanel("authority"),
                ],
                heading=_("Who is responsible"),
                help_text=_(
                    "People read this in their records of consent, which no standard lets be made without it."
                ),
            ),
            MultiFieldPanel(
                [FieldPanel("data_locations"), FieldPanel("recipients")], heading=_("Where data is")
            ),
        ],
        base_form_class=AudienceForm,
    )

    def get_queryset(self, request: HttpRequest) -> QuerySet[Audience]:
        return Audience.objects.select_related("site")


def register_log_actions(actions: LogActionRegistry) -> None:
    """How the history of a topic tells of what was done to it."""
    actions.register_action("wagtail_prefs.topic.archive", _("Archive"), _("Archived"))
    actions.register_action("wagtail_prefs.topic.bring_back", _("Bring back"), _("Brought back"))

    @actions.register_action("wagtail_prefs.topic.merge")
    class MergeFormatter(LogFormatter):
        label = _("Merge into another topic")

        def format_message(self, log_entry: Any) -> str:
            return gettext("Merged into “%(into)s”: %(reason)s") % {
                "into": log_entry.data.get("into", ""),
                "reason": log_entry.data.get("reason", ""),
            }
