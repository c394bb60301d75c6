"""Invented contacts, as a page is previewed for them: states made of what a snapshot offers. Pure.

Nobody is behind them: the one address is of a domain that is kept for examples, and a persona has no name but what she
has chosen. She is the same each time, so that a form which was drawn for her can be read for her again.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any
from uuid import UUID, uuid5
from zoneinfo import ZoneInfo

from django.utils.functional import Promise
from django.utils.translation import gettext_lazy as _

from ..changes import Change, OptOut, Pause, SetAttribute, SetChoice
from ..contacts import rules
from ..decisions.periods import add_period
from ..law.countries import normal
from ..law.services import Law, Rules
from ..values import SUBSCRIBED, Actor, ActorType, ContactState, Key
from .values import Snapshot
from .visibility import INVITED, meets

#: The address of every persona: RFC 2606 keeps the domain for examples.
ADDRESS = "preview@example.org"
#: How long a paused persona rests.
REST = "P1M"

_NAMESPACE = UUID("6f0a5a26-1d0b-5f7e-9c6b-0b6f3c1f5a10")

#: Name (also of Wagtail's preview mode) -> what the editor picks.
LABELS: Mapping[str, str | Promise] = {
    "new": _("Somebody new: nothing chosen yet"),
    "subscribed": _("Subscribed to everything"),
    "paused": _("Subscribed, and paused for a month"),
    "opted_out": _("Unsubscribed from everything"),
    "language": _("Subscribed, with another language"),
    "country": _("Subscribed, in another country"),
    "invited": _("New, and invited to the private topics"),
}


@dataclass(frozen=True, slots=True)
class Circumstances:
    """What a persona is made for, besides the page: `language` and `country` are those of the personas that differ."""

    audience: str
    now: datetime
    zone: ZoneInfo
    home: str  # a country's code, "" where the page does not tell
    language: str
    country: str


@dataclass(frozen=True, slots=True)
class Persona:
    """An invented contact; `name` is one of LABELS."""

    name: str
    state: ContactState
    email: str = ADDRESS


@dataclass(frozen=True, slots=True)
class Difference:
    """One thing that the law says otherwise there; `what` is a name of `Rules`, or "jurisdiction"."""

    what: str
    here: Any
    there: Any


def persona(name: str, snapshot: Snapshot, given: Circumstances) -> Persona:
    """The persona of that name on a page; raises KeyError for a name that is none."""
    state = ContactState(
        id=uuid5(_NAMESPACE, name),
        audience=given.audience,
        language=snapshot.locale,
        country=given.home,
        timezone=given.zone.key or "",
    )
    return Persona(name, _STATES[name](state, snapshot, given))


def offered(snapshot: Snapshot) -> tuple[list[Key], list[str]]:
    """The choices that everybody is offered, in the order of the page; and the topics that only the invited see."""
    private = {
        row["key"]: None
        for spec in snapshot.specs
        for rows in spec.rules.get("private", {}).values()
        for row in rows
    }
    keys: dict[Key, None] = {}
    for spec in snapshot.specs:
        for path in spec.paths:
            kind, _colon, rest = path.partition(":")
            topic, _colon, channel = rest.rpartition(":")
            if kind == "choice" and topic not in private:
                keys[topic, channel] = None
    return list(keys), list(private)


def home_of(locale: str) -> str:
    """The country that a locale names ("de-at" -> "AT"), "" where it names none."""
    return normal(locale.rpartition("-")[2]) if "-" in locale else ""


def other_language(locale: str, published: Iterable[str], languages: Iterable[str]) -> str:
    """Another language than the page's: one that it is published in, else one of the site's, else any."""
    others = [code for code in languages if code != locale]
    shown = list(published)
    for code in (*(code for code in others if code in shown), *sorted(shown), *others):
        if code != locale:
            return code
    return "de" if locale.partition("-")[0] == "en" else "en"


def other_country(snapshot: Snapshot, home: str, law: Law) -> str:
    """Another country, rather one where other blocks are shown, then one whose law says something else."""
    named = [
        code
        for spec in snapshot.specs
        for condition in spec.conditions
        if condition["fact"] == "country"
        for code in map(normal, (*condition.get("in", ()), *condition.get("not_in", ())))
    ]
    others = [code for code in (*named, *sorted(law.jurisdictions), "US", "DE") if normal(code)]
    here = _away(snapshot, home)

    def distance(code: str) -> tuple[bool, int]:
        return _away(snapshot, code) != here, len(differences(law, home, code))

    # What nobody names is asked first: a page for one country alone differs for all the others.
    return max((code for code in dict.fromkeys(others) if code != home), key=distance)


def differences(law: Law, here: str, there: str) -> list[Difference]:
    """What the law of one country says otherwise than that of another; which law it is comes first."""
    ours, theirs = law.rules_for(here), law.rules_for(there)
    names = ("jurisdiction", "model", "double_opt_in", "honour_hours")
    return [
        Difference(name, _of(law, ours, name), _of(law, theirs, name))
        for name in names
        if getattr(ours, name) != getattr(theirs, name)
    ]


def _of(law: Law, found: Rules, name: str) -> Any:
    if name != "jurisdiction":
        return getattr(found, name)
    entry = law.jurisdictions.get(found.jurisdiction)
    return entry.name if entry else ""


def _away(snapshot: Snapshot, country: str) -> list[str]:
    """The blocks that nobody there gets, whoever it is otherwise."""
    state = ContactState(id=_NAMESPACE, audience="", country=country)
    return [
        spec.block_id
        for spec in snapshot.specs
        if not all(meets(state, condition) for condition in spec.conditions if condition["fact"] == "country")
    ]


# --- the states: what these people did before we meet them, carried out as it is for everybody -----------------------


def _new(state: ContactState, _snapshot: Snapshot, _given: Circumstances) -> ContactState:
    return state


def _subscribed(state: ContactState, snapshot: Snapshot, given: Circumstances) -> ContactState:
    keys, _private = offered(snapshot)
    return _after(state, given, *(SetChoice(topic, channel, SUBSCRIBED) for topic, channel in keys))


def _paused(state: ContactState, snapshot: Snapshot, given: Circumstances) -> ContactState:
    rest = Pause("", "", add_period(given.now, REST, given.zone))
    return _after(_subscribed(state, snapshot, given), given, rest)


def _opted_out(state: ContactState, snapshot: Snapshot, given: Circumstances) -> ContactState:
    return _after(_subscribed(state, snapshot, given), given, OptOut())


def _language(state: ContactState, snapshot: Snapshot, given: Circumstances) -> ContactState:
    return _subscribed(replace(state, language=given.language), snapshot, given)


def _country(state: ContactState, snapshot: Snapshot, given: Circumstances) -> ContactState:
    return _subscribed(replace(state, country=given.country), snapshot, given)


def _invited(state: ContactState, snapshot: Snapshot, given: Circumstances) -> ContactState:
    _keys, topics = offered(snapshot)
    return _after(state, given, SetAttribute(INVITED, topics)) if topics else state


def _after(state: ContactState, given: Circumstances, *changes: Change) -> ContactState:
    after, _effects = rules.apply(state, changes, rules.Act(Actor(ActorType.SUBJECT_LINK), given.now))
    return after


_STATES: Mapping[str, Callable[[ContactState, Snapshot, Circumstances], ContactState]] = {
    "new": _new,
    "subscribed": _subscribed,
    "paused": _paused,
    "opted_out": _opted_out,
    "language": _language,
    "country": _country,
    "invited": _invited,
}
