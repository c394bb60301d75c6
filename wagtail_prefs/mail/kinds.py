"""The kinds of mail there are: what each is for, what its templates may say, and how long it is worth sending.

The registry is open: an app of yours adds a kind in its `ready()`, and puts the templates
`wagtail_prefs/mail/{kind}_subject.txt`, `{kind}.txt` and `{kind}.html` where Django finds them.
"""

from __future__ import annotations

import enum
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

from django.urls import reverse
from django.utils.functional import Promise
from django.utils.translation import gettext as _, gettext_lazy

from ..conf import conf
from ..values import Json

#: A mail that could not be sent for so long is given up, as other mail servers do (RFC 5321 s4.5.4.1).
GIVEN_UP_AFTER = timedelta(days=5)

#: A whole web address and nothing beside it: no blank, no quote, no bracket, no control character.
_URL = re.compile(r"https?://[^\s\x00-\x20\x7f<>\"'\\]+\Z")
_NAME = re.compile(r"[a-z][a-z0-9_]{0,31}\Z")


class Shape(enum.Enum):
    """What a value of a context is."""

    URL = "url"  # a link of ours: it begins with the root of the audience's site
    LINE = "line"  # words of an editor
    LINES = "lines"  # a list of such
    NUMBER = "number"


@dataclass(frozen=True, slots=True)
class Kind:
    """One kind of mail.

    `shapes` are all the values that a mail of it is posted with, `sample` makes such values for a preview from the root
    of a site; a link in it opens nothing. `life` is how long it is worth sending: as long as its link works.
    """

    name: str
    label: str | Promise
    occasion: str | Promise
    shapes: Mapping[str, Shape]
    sample: Callable[[str], Json]
    life: Callable[[], timedelta] = lambda: GIVEN_UP_AFTER

    def __post_init__(self) -> None:
        if not _NAME.match(self.name):
            raise ValueError(f"{self.name!r} is no name of a kind of mail: [a-z0-9_], at most 32.")

    @property
    def given_up_after(self) -> timedelta:
        return min(self.life(), GIVEN_UP_AFTER)


#: name -> kind
KINDS: dict[str, Kind] = {}


def register(kind: Kind) -> Kind:
    """Add a kind, or put one in the place of another of that name."""
    KINDS[kind.name] = kind
    return kind


class BadContext(ValueError):
    """A mail was posted with other values than its kind has. `str()` of it names the key and holds no value."""


def hold(kind: Kind, context: Json) -> None:
    """Hold values against what a kind has: exactly those, each of its shape. Raises BadContext."""
    missing, unknown = kind.shapes.keys() - context.keys(), context.keys() - kind.shapes.keys()
    if missing or unknown:
        names = ", ".join([*(f"no {name}" for name in missing), *(f"{name}?" for name in sorted(unknown))])
        raise BadContext(f"A mail {kind.name!r} has {', '.join(sorted(kind.shapes)) or 'no values'}: {names}")
    for name, shape in kind.shapes.items():
        if not _fits(shape, context[name]):
            raise BadContext(f"{name!r} of a mail {kind.name!r} is no {shape.value}")


def _fits(shape: Shape, value: Any) -> bool:
    match shape:
        case Shape.URL:
            return isinstance(value, str) and _URL.match(value) is not None
        case Shape.LINE:
            return isinstance(value, str)
        case Shape.LINES:
            return isinstance(value, list) and all(isinstance(item, str) for item in value)
        case Shape.NUMBER:
            return isinstance(value, int) and not isinstance(value, bool)


def urls_of(kind: Kind, context: Json) -> list[str]:
    """The links that a mail holds."""
    return [context[name] for name, shape in kind.shapes.items() if shape is Shape.URL]


def _link(root: str, route: str) -> str:
    """A link that is none: its token was never signed."""
    return root + reverse(f"wagtail_prefs:{route}", args=["sample"])


def _title() -> str:
    return _("Your preferences")


def _topics() -> list[str]:
    return [_("News"), _("Events")]


register(
    Kind(
        "access_link",
        gettext_lazy("Link to the preferences"),
        gettext_lazy("To a person whom we know, when her link was asked for with her address."),
        {"url": Shape.URL, "center_title": Shape.LINE},
        lambda root: {"url": _link(root, "manage"), "center_title": _title()},
        life=lambda: conf.manage_link_life,
    )
)
register(
    Kind(
        "confirm",
        gettext_lazy("Confirm a sign-up"),
        gettext_lazy(
            "To an address that was signed up and gets none of this yet. Nothing else is sent there before."
        ),
        {"url": Shape.URL, "center_title": Shape.LINE, "topics": Shape.LINES, "days": Shape.NUMBER},
        lambda root: {
            "url": _link(root, "confirm"),
            "center_title": _title(),
            "topics": _topics(),
            "days": conf.confirm_link_life.days,
        },
        life=lambda: conf.confirm_link_life,
    )
)
register(
    Kind(
        "already_signed_up",
        gettext_lazy("Signed up already"),
        gettext_lazy("To an address that was signed up for what it gets already."),
        {"url": Shape.URL, "center_title": Shape.LINE, "topics": Shape.LINES},
        lambda root: {"url": _link(root, "manage"), "center_title": _title(), "topics": _topics()},
        life=lambda: conf.manage_link_life,
    )
)
register(
    Kind(
        "fresh_link",
        gettext_lazy("Link to personal details"),
        gettext_lazy("To a person who asked on her page to see or change what is personal."),
        {"url": Shape.URL, "center_title": Shape.LINE, "minutes": Shape.NUMBER},
        lambda root: {
            "url": _link(root, "manage"),
            "center_title": _title(),
            "minutes": round(conf.fresh_link_life.total_seconds() / 60),
        },
        life=lambda: conf.fresh_link_life,
    )
)
register(
    Kind(
        "change_address",
        gettext_lazy("Confirm a new address"),
        gettext_lazy("To the new address, when a person wants to be reached there."),
        {"url": Shape.URL, "center_title": Shape.LINE, "hours": Shape.NUMBER},
        lambda root: {
            "url": _link(root, "confirm"),
            "center_title": _title(),
            "hours": round(conf.change_address_life.total_seconds() / 3600),
        },
        life=lambda: conf.change_address_life,
    )
)
register(
    Kind(
        "address_changed",
        gettext_lazy("The address was changed"),
        gettext_lazy("To the old address, once the new one was confirmed."),
        {"center_title": Shape.LINE},
        lambda _root: {"center_title": _title()},
    )
)
register(
    Kind(
        "receipt",
        gettext_lazy("Receipt"),
        gettext_lazy("To a person who saved something on a page that mails receipts."),
        {"url": Shape.URL, "center_title": Shape.LINE, "lines": Shape.LINES},
        lambda root: {
            "url": _link(root, "manage"),
            "center_title": _title(),
            "lines": [_("News by e-mail: subscribed")],
        },
        life=lambda: conf.manage_link_life,
    )
)
register(
    Kind(
        "pause_ended",
        gettext_lazy("A pause has ended"),
        gettext_lazy("To a person whose pause is over, so that she can pause longer before anything comes."),
        {"url": Shape.URL},
        lambda root: {"url": _link(root, "longer-pause")},
        # Later than that everybody has noticed by what came.
        life=lambda: timedelta(days=2),
    )
)
