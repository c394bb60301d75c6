"""The words for channels and frequencies: one place, so that editor, page, mail and ledger say the same."""

from __future__ import annotations

from collections.abc import Collection, Iterable
from typing import TYPE_CHECKING

from django.utils.translation import gettext, gettext_lazy as _, ngettext

from ..conf import conf
from ..values import CHANNELS, FREQUENCIES, Per

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

#: As many names as a sentence bears.
_ALL_NAMED = 3

#: What the frequency that somebody picked comes to, within a sentence.
LIMITS: dict[str, _StrPromise] = {
    "daily": _("at most one a day, as you asked"),
    "weekly": _("at most one a week, as you asked"),
    "fortnightly": _("at most one every two weeks, as you asked"),
    "monthly": _("at most one a month, as you asked"),
    "quarterly": _("at most one every three months, as you asked"),
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


def how_often(number: int, per: Per, channels: Collection[str]) -> str:
    """`about 3 mails a week`, in the active language; of several channels, or none, `about 3 a week`."""
    what = {"what": counted(number, *channels) if len(channels) == 1 else str(number)}
    phrases = {
        # Translators: "what" is "3 mails", "1 letter", or a number alone. All of it stands within a sentence.
        "week": gettext("about %(what)s a week"),
        "month": gettext("about %(what)s a month"),
        "quarter": gettext("about %(what)s a quarter"),
        "year": gettext("about %(what)s a year"),
    }
    return phrases[per] % what


def counted(number: int, channel: str) -> str:
    """`3 mails`: so many messages of a channel, in the active language."""
    match channel:
        case "email":
            # Translators: stands in "about %(what)s a week"; so do those below.
            text = ngettext("%(number)s mail", "%(number)s mails", number)
        case "sms":
            text = ngettext("%(number)s text message", "%(number)s text messages", number)
        case "push":
            text = ngettext("%(number)s push message", "%(number)s push messages", number)
        case "in_app":
            text = ngettext("%(number)s message in the app", "%(number)s messages in the app", number)
        case "post":
            text = ngettext("%(number)s letter", "%(number)s letters", number)
        case _:
            text = ngettext("%(number)s call", "%(number)s calls", number)
    return text % {"number": number}


def listed(names: Collection[str]) -> str:
    """`News, Offers, Events`; of many the first two and how many more there are, in the active language."""
    first = list(names)
    if len(first) <= _ALL_NAMED:
        return gettext(", ").join(first)
    more = len(first) - 2
    text = ngettext("%(names)s and %(number)s more", "%(names)s and %(number)s more", more)
    return text % {"names": gettext(", ").join(first[:2]), "number": more}
