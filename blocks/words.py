"""The words for channels and frequencies: one place, so that editor, page, mail and ledger say the same."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING

from django.utils.translation import gettext, gettext_lazy as _

from ..conf import conf
from ..values import CHANNELS, FREQUENCIES

if TYPE_CHECKING:
    from django.utils.functional import _StrPromise

# The headings under which the picker shows blocks.
PREFERENCES = _("Preferences")
LEAVING = _("Leaving")
ABOUT = _("About the person")
WORDS = _("Words")

CHANNEL_LABELS: dict[str, _StrPromise] = {
    "email": _("E-mail"),
    "sms": _("Text message"),
    "push": _("Push"),
    "in_app": _("In the app"),
    "post": _("Post"),
    "phone": _("Phone"),
}

FREQUENCY_LABELS: dict[str, _StrPromise] = {
    "as_it_happens": _("As it happens"),
    "daily": _("At most one a day"),
    "weekly": _("At most one a week"),
    "fortnightly": _("At most one every two weeks"),
    "monthly": _("At most one a month"),
    "quarterly": _("At most one every three months"),
}


def in_order(given: Iterable[str], order: Iterable[str]) -> tuple[str, ...]:
    """The given keys, each once, in the order in which people meet them; unknown ones are left out."""
    wanted = set(given)
    return tuple(key for key in order if key in wanted)


def channel_choices() -> list[tuple[str, object]]:
    """The channels this site offers to editors."""
    return [(channel, CHANNEL_LABELS[channel]) for channel in in_order(conf.channels, CHANNELS)]


def frequency_choices() -> list[tuple[str, object]]:
    return [(code, FREQUENCY_LABELS[code]) for code in FREQUENCIES]


def by_channel(topic: str, channel: str) -> str:
    """`News by e-mail`, in the active language; without a topic `E-mail at all`."""
    if not topic:
        return {
            "email": gettext("E-mail at all"),
            "sms": gettext("Text messages at all"),
            "push": gettext("Push messages at all"),
            "in_app": gettext("Messages in the app at all"),
            "post": gettext("Post at all"),
            "phone": gettext("Calls at all"),
        }[channel]
    # Whole phrases, because the preposition and the article differ from language to language.
    phrases = {
        "email": gettext("%(topic)s by e-mail"),
        "sms": gettext("%(topic)s by text message"),
        "push": gettext("%(topic)s as a push message"),
        "in_app": gettext("%(topic)s in the app"),
        "post": gettext("%(topic)s by post"),
        "phone": gettext("%(topic)s by phone"),
    }
    return phrases[channel] % {"topic": topic}
