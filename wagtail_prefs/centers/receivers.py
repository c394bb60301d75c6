"""When a center is compiled: at publish, and again when something it shows has changed. Connected in apps.ready()."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from functools import partial
from typing import Any

from django.apps import apps
from django.db import transaction
from django.db.models.signals import post_delete, post_save, pre_delete
from wagtail.images import get_image_model
from wagtail.models import Site
from wagtail.signals import page_published, page_slug_changed, page_unpublished, post_page_move

from ..topics.models import Topic, TopicGroup, TopicGroupText, TopicText
from ..topics.pictures import SIZE
from .checks.audit import log_unchecked
from .embedding import EmbedSettings
from .mixins import PreferenceCenterMixin
from .publishing import publish, republish, republish_below, unpublish


def connect() -> None:
    """Connect all receivers; doing it twice changes nothing."""
    page_published.connect(_published, dispatch_uid="wagtail_prefs.published")
    page_unpublished.connect(_unpublished, dispatch_uid="wagtail_prefs.unpublished")
    page_slug_changed.connect(_readdressed, dispatch_uid="wagtail_prefs.slug")
    post_page_move.connect(_readdressed, dispatch_uid="wagtail_prefs.move")
    watched: dict[type, Callable[..., None]] = {
        Topic: _topic_changed,
        TopicText: _topic_text_changed,
        TopicGroup: _topic_changed,
        TopicGroupText: _group_text_changed,
        EmbedSettings: _site_changed,
        Site: _site_changed,
    }
    for model, receiver in watched.items():
        for signal, name in ((post_save, "save"), (post_delete, "delete")):
            signal.connect(receiver, sender=model, dispatch_uid=f"wagtail_prefs.{model.__name__}.{name}")
    post_delete.connect(_site_deleted, sender=Site, dispatch_uid="wagtail_prefs.Site.deleted")
    for center in apps.get_models():
        if issubclass(center, PreferenceCenterMixin):
            post_save.connect(
                _alias_made, sender=center, dispatch_uid=f"wagtail_prefs.alias.{center.__name__}"
            )
    picture = get_image_model()
    post_save.connect(_picture_changed, sender=picture, dispatch_uid="wagtail_prefs.picture.save")
    # Before: afterwards no topic knows that it was hers.
    pre_delete.connect(_picture_changed, sender=picture, dispatch_uid="wagtail_prefs.picture.delete")
    rendition = picture.get_rendition_model()
    post_delete.connect(_rendition_gone, sender=rendition, dispatch_uid="wagtail_prefs.rendition.delete")


@dataclass(slots=True)
class _Run:
    """Shared by all that wait for one commit: the first does the work for all."""

    done: bool = False


@dataclass(slots=True)
class _Republish:
    """Compiles again what matches, once for a transaction: saving a topic with its texts sends many signals."""

    lookup: str
    value: Any
    run: _Run = field(default_factory=_Run, compare=False)

    def __call__(self) -> None:
        if not self.run.done:
            self.run.done = True
            republish(**{self.lookup: self.value})

    def after_commit(self) -> None:
        waiting = (entry[1] for entry in transaction.get_connection().run_on_commit)
        self.run = next((other.run for other in waiting if other == self and not other.run.done), self.run)
        transaction.on_commit(self)


def _published(instance: Any, **kwargs: Any) -> None:
    # In the transaction of the publish: a center and its snapshot appear together, or neither does. Wagtail sends the
    # signal for a page that is only scheduled as well; its words are not public before its time has come.
    if isinstance(instance, PreferenceCenterMixin) and instance.live:
        snapshot = publish(instance)
        if snapshot is not None:
            log_unchecked(instance, snapshot)


def _unpublished(instance: Any, **kwargs: Any) -> None:
    if isinstance(instance, PreferenceCenterMixin):
        unpublish(instance)


def _alias_made(instance: Any, created: bool = False, raw: bool = False, **kwargs: Any) -> None:
    # Wagtail publishes aliases with their original, but makes the alias of a live page without a word.
    if created and not raw and instance.alias_of_id and instance.live:
        transaction.on_commit(partial(_publish_alias, type(instance), instance.pk))


def _publish_alias(model: Any, pk: int) -> None:
    page = model.objects.filter(pk=pk, live=True).first()
    if page is not None:
        publish(page)


def _readdressed(instance: Any, **kwargs: Any) -> None:
    republish_below(instance.path)


def _topic_changed(instance: Any, raw: bool = False, **kwargs: Any) -> None:
    if not raw:
        _Republish("audience_id", instance.audience_id).after_commit()


def _topic_text_changed(instance: TopicText, raw: bool = False, **kwargs: Any) -> None:
    # A text that goes with its topic needs nothing: the topic's own signal comes too.
    topic = Topic.objects.filter(pk=instance.topic_id).first()
    if topic:
        _topic_changed(topic, raw)


def _group_text_changed(instance: TopicGroupText, raw: bool = False, **kwargs: Any) -> None:
    group = TopicGroup.objects.filter(pk=instance.group_id).first()
    if group:
        _topic_changed(group, raw)


def _picture_changed(instance: Any, raw: bool = False, **kwargs: Any) -> None:
    if not raw:
        _republish_with_picture(instance.pk)


def _rendition_gone(instance: Any, **kwargs: Any) -> None:
    # Wagtail makes away with them when a file is replaced, after it has saved the image.
    if instance.filter_spec == SIZE:
        _republish_with_picture(instance.image_id)


def _republish_with_picture(picture_id: int) -> None:
    shown = Topic.objects.filter(picture_id=picture_id).order_by("audience_id")
    for audience_id in shown.values_list("audience_id", flat=True).distinct():
        _Republish("audience_id", audience_id).after_commit()


def _site_changed(instance: Any, raw: bool = False, **kwargs: Any) -> None:
    if not raw:
        site_id = instance.pk if isinstance(instance, Site) else instance.site_id
        _Republish("audience__site_id", site_id).after_commit()


def _site_deleted(instance: Site, **kwargs: Any) -> None:
    # Its audience stays, for its contacts; its pages have no address any more.
    path = instance.root_page.path
    transaction.on_commit(lambda: republish_below(path))
