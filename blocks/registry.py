"""Which blocks there are: ours, and those a site adds in `WAGTAIL_PREFS["BLOCKS"]`."""

from __future__ import annotations

from functools import lru_cache
from typing import TYPE_CHECKING

from django.core.exceptions import ImproperlyConfigured
from django.utils.module_loading import import_string

from ..conf import conf

if TYPE_CHECKING:
    from .base import PreferenceBlock

#: Name in the body -> class. The names stand in stored pages and snapshots, so they stay.
BUILT_IN = {
    "topics": "wagtail_prefs.blocks.topics.TopicsBlock",
    "frequency": "wagtail_prefs.blocks.frequency.FrequencyBlock",
    "channels": "wagtail_prefs.blocks.channels.ChannelsBlock",
    "pause": "wagtail_prefs.blocks.pause.PauseBlock",
    "privacy_notice": "wagtail_prefs.blocks.privacy_notice.PrivacyNoticeBlock",
    "transactional": "wagtail_prefs.blocks.transactional.TransactionalBlock",
    "unsubscribe_all": "wagtail_prefs.blocks.unsubscribe_all.UnsubscribeAllBlock",
    "reason": "wagtail_prefs.blocks.reason.ReasonBlock",
    "profile": "wagtail_prefs.blocks.profile.ProfileBlock",
    "question": "wagtail_prefs.blocks.question.QuestionBlock",
    "role": "wagtail_prefs.blocks.role.RoleBlock",
    "follow_us": "wagtail_prefs.blocks.follow_us.FollowUsBlock",
    "rich_text": "wagtail_prefs.blocks.rich_text.RichTextBlock",
    "history": "wagtail_prefs.blocks.history.HistoryBlock",
    "your_data": "wagtail_prefs.blocks.your_data.YourDataBlock",
}


def block_classes() -> dict[str, type[PreferenceBlock]]:
    """All registered blocks by name; raises ImproperlyConfigured for a setting that names no block."""
    return _load(tuple(conf.blocks.items()))


def block_class(name: str) -> type[PreferenceBlock]:
    """The class that compiled a spec of this type; raises LookupError where the site no longer has it."""
    return block_classes()[name]


@lru_cache(maxsize=8)
def _load(added: tuple[tuple[str, str], ...]) -> dict[str, type[PreferenceBlock]]:
    from .base import PreferenceBlock  # noqa: PLC0415 - needs the apps

    classes: dict[str, type[PreferenceBlock]] = {}
    for name, path in {**BUILT_IN, **dict(added)}.items():
        try:
            found = import_string(path)
        except ImportError as missing:
            raise ImproperlyConfigured(
                f'WAGTAIL_PREFS["BLOCKS"][{name!r}]: cannot import {path!r}.'
            ) from missing
        if not (isinstance(found, type) and issubclass(found, PreferenceBlock)):
            raise ImproperlyConfigured(f'WAGTAIL_PREFS["BLOCKS"][{name!r}]: {path!r} is no PreferenceBlock.')
        classes[name] = found
    return classes
