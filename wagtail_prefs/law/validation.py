"""From a file's plain data to a `Law`: every fact has its source and confidence, every word is one the program knows.

What is not understood is refused with its place, never skipped: a typing error in `uncertain` or in a unit would
silently turn a guess into law, or law into nothing.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from datetime import date
from types import MappingProxyType
from typing import Any

from ..errors import PrefsError
from .countries import COUNTRIES, country_of
from .documents import Document, Place, written
from .rules import CONFIDENCES, DECIDED, MODELS, UNIT_HOURS, Fact, Jurisdiction, Law, Policy, Source

SCHEMA_VERSION = 1
_TOP = {
    "schema_version",
    "as_of",
    "vocabulary",
    "product_policy",
    "proof_fields_base",
    "sources",
    "jurisdictions",
}
_EFFORT = {"login", "fee", "extra_data", "pages"}
_FACT = {"v", "src", "conf", "note", "uncertain"}
_SOURCE = {"t", "seen", "url", "note"}
#: Keys of an entry that are no facts.
_ENTRY = {"name", "applies_to", "inherits", "uncertain"}
#: What a site can set, and the only values there are for what this product promises everywhere.
_POLICY = {
    "model",
    "preticked_allowed",
    "effort",
    "honour_local_seconds",
    "honour_backends_hours",
    "honour_hard_limit_hours",
    "unsubscribe_link_valid_days",
    "manage_link_valid_days",
    "resolve_unknown_location",
}
_PROMISED: Mapping[str, Any] = {
    "preticked_allowed": False,
    "effort": {"login": False, "fee": False, "extra_data": False, "pages": 1},
    "resolve_unknown_location": "strictest",
    "unsubscribe_link_valid_days": None,
}
#: The longest that mailbox providers bear (Gmail, Yahoo), and the longest that a law asks a link to work (Canada).
_MOST_HOURS = 48
_LEAST_LINK_DAYS = 60
#: A hundred years: longer is a typing error, and out of a calendar's reach.
MOST_MONTHS = 1200
_WORD = re.compile(r"[a-z][a-z0-9_]*")
_GROUP = re.compile(r"[A-Z]{2,10}")
_NUMBERED = ("hours", "calendar_days", "business_days")


class BadLaw(PrefsError):
    """A file that cannot be used; `problems` says what is wrong, and where."""

    def __init__(self, problems: list[str]) -> None:
        super().__init__("\n".join(problems))
        self.problems = problems


def law_of(document: Document) -> Law:
    """Raises BadLaw with everything that is wrong."""
    reader = _Reader(document)
    law = reader.law()
    if reader.problems or law is None:
        raise BadLaw(reader.problems)
    return law


def _number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and value >= 0


def _whole(value: Any) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and value >= 0


def _months(value: Any) -> bool:
    return _whole(value) and 0 < value <= MOST_MONTHS


class _Reader:
    def __init__(self, document: Document) -> None:
        self.data = document.data
        self.lines = document.lines
        self.problems: list[str] = []

    def say(self, place: Place, problem: str) -> None:
        line = next(
            (self.lines[place[:n]] for n in range(len(place), -1, -1) if place[:n] in self.lines), None
        )
        self.problems.append(f"{written(place)}{f' (line {line})' if line else ''}: {problem}")

    def mapping(
        self, value: Any, place: Place, required: set[str], allowed: set[str] | None
    ) -> dict[str, Any]:
        """The value as a dict with these keys; an empty one after saying what is wrong. `allowed` None: any key."""
        if not isinstance(value, dict):
            self.say(place, "must be a mapping")
            return {}
        for key in sorted(required - value.keys()):
            self.say(place, f"has no {key!r}")
        if allowed is not None:
            for key in value.keys() - allowed:
                self.say((*place, key), f"is not known; there are: {', '.join(sorted(allowed))}")
        return value

    def text(self, value: Any, place: Place, *, needed: bool = True) -> str:
        if not isinstance(value, str) or (needed and not value.strip()):
            self.say(place, "must be a text")
            return ""
        return value

    def truth(self, value: Any, place: Place) -> bool:
        if not isinstance(value, bool):
            self.say(place, "must be true or false")
        return value is True

    def texts(self, value: Any, place: Place) -> tuple[str, ...]:
        """A list of different texts; what is wrong is left out."""
        if not isinstance(value, list):
            self.say(place, "must be a list")
            return ()
        found: list[str] = []
        for i, item in enumerate(value):
            if not isinstance(item, str) or not item:
                self.say((*place, str(i)), "must be a text")
            elif item in found:
                self.say((*place, str(i)), f"{item} stands in the list twice")
            else:
                found.append(item)
        return tuple(found)

    # The file

    def law(self) -> Law | None:
        top = self.mapping(self.data, (), _TOP, _TOP)
        if not top.keys() >= _TOP:
            return None
        if top["schema_version"] != SCHEMA_VERSION or isinstance(top["schema_version"], bool):
            self.say(("schema_version",), f"must be {SCHEMA_VERSION}: this program reads no other")
            return None
        self.vocabulary(top["vocabulary"])
        self.proof_fields(top["proof_fields_base"])
        self.sources = self.sources_of(top["sources"])
        version = self.version(top["as_of"])
        policy = self.policy(top["product_policy"])
        jurisdictions = self.jurisdictions(top["jurisdictions"])
        if self.problems or policy is None:
            return None
        return Law(version, policy, MappingProxyType(self.sources), MappingProxyType(jurisdictions))

    def version(self, value: Any) -> str:
        try:
            if isinstance(value, str) and date.fromisoformat(value).isoformat() == value:
                return value
        except ValueError:
            pass
        self.say(("as_of",), 'must be a date such as "2026-11-21"')
        return ""

    def vocabulary(self, value: Any) -> None:
        """The words the file may use; the program must know what each means, so they are these, in any order."""
        place: Place = ("vocabulary",)
        words = {"model", "honour", "effort"}
        found = self.mapping(value, place, words, words)
        if not words <= found.keys():
            return
        if set(self.texts(found["model"], (*place, "model"))) != set(MODELS):
            self.say((*place, "model"), f"must be {', '.join(MODELS)}")
        honour = self.mapping(found["honour"], (*place, "honour"), {"value", "unit"}, {"value", "unit"})
        if "unit" in honour and set(self.texts(honour["unit"], (*place, "honour", "unit"))) != set(
            UNIT_HOURS
        ):
            self.say((*place, "honour", "unit"), f"must be {', '.join(UNIT_HOURS)}")
        self.mapping(found["effort"], (*place, "effort"), _EFFORT, _EFFORT)

    def proof_fields(self, value: Any) -> None:
        place: Place = ("proof_fields_base",)
        fields = self.texts(value, place)
        if isinstance(value, list) and not value:
            self.say(place, "is empty")
        for name in fields:
            if not _WORD.fullmatch(name):
                self.say(place, f"{name!r} is no name of a field")

    def sources_of(self, value: Any) -> dict[str, Source]:
        found: dict[str, Source] = {}
        for key, source in self.mapping(value, ("sources",), set(), None).items():
            place = ("sources", key)
            given = self.mapping(source, place, {"t", "seen"}, _SOURCE)
            found[key] = Source(
                id=key,
                title=self.text(given.get("t", "?"), (*place, "t")),
                seen=self.truth(given.get("seen", False), (*place, "seen")),
                url=self.text(given.get("url", ""), (*place, "url"), needed=False),
                note=self.text(given.get("note", ""), (*place, "note"), needed=False),
            )
        return found

    def policy(self, value: Any) -> Policy | None:
        place: Place = ("product_policy",)
        given = self.mapping(value, place, _POLICY, _POLICY)
        if given.keys() != _POLICY:
            return None
        if given["model"] not in MODELS:
            self.say((*place, "model"), f"must be one of {', '.join(MODELS)}")
            return None
        for key, promised in _PROMISED.items():
            if given[key] != promised or isinstance(given[key], bool) is not isinstance(promised, bool):
                self.say((*place, key), "this product promises one value everywhere, the shipped one")
        hours = [given["honour_backends_hours"], given["honour_hard_limit_hours"]]
        for key, most in (
            ("honour_backends_hours", _MOST_HOURS),
            ("honour_hard_limit_hours", _MOST_HOURS),
            ("honour_local_seconds", 1),
        ):
            if not _whole(given[key]) or given[key] > most:
                self.say((*place, key), f"must be a whole number from 0 to {most}")
                return None
        if not _whole(given["manage_link_valid_days"]) or given["manage_link_valid_days"] < _LEAST_LINK_DAYS:
            self.say(
                (*place, "manage_link_valid_days"), f"must be a whole number, {_LEAST_LINK_DAYS} or more"
            )
        return Policy(given["model"], given["preticked_allowed"], min(hours))

    # Jurisdictions

    def jurisdictions(self, value: Any) -> dict[str, Jurisdiction]:
        place: Place = ("jurisdictions",)
        found: dict[str, Jurisdiction] = {}
        given = self.mapping(value, place, set(), None)
        if not given:
            self.say(place, "is empty")
        for key, entry in given.items():
            jurisdiction = self.jurisdiction(key, entry)
            if jurisdiction is not None:
                found[key] = jurisdiction
        self.inheritance(found)
        self.claims(found)
        return found

    def jurisdiction(self, key: str, value: Any) -> Jurisdiction | None:
        place: Place = ("jurisdictions", key)
        given = self.mapping(value, place, {"name"}, None)
        if not given:
            return None
        group = "applies_to" in given
        if not country_of(key) and not (group and _GROUP.fullmatch(key)):
            self.say(
                place,
                f"{key!r} is neither an ISO 3166-1 country, a region of one, nor a group with applies_to",
            )
        members = self.texts(given["applies_to"], (*place, "applies_to")) if group else ()
        if group and not members:
            self.say((*place, "applies_to"), "names no country")
        for i, member in enumerate(members):
            if member not in COUNTRIES:
                self.say((*place, "applies_to", str(i)), f"{member!r} is no ISO 3166-1 country")
        uncertain = self.truth(given.get("uncertain", False), (*place, "uncertain"))
        return Jurisdiction(
            key=key,
            name=self.text(given.get("name", "?"), (*place, "name")),
            applies_to=members,
            inherits=self.text(given["inherits"], (*place, "inherits")) if "inherits" in given else "",
            uncertain=uncertain,
            facts=MappingProxyType(
                {
                    name: fact
                    for name, raw in given.items()
                    if name not in _ENTRY and (fact := self.fact(key, name, raw, uncertain)) is not None
                }
            ),
        )

    def fact(self, jurisdiction: str, name: str, value: Any, entry_uncertain: bool) -> Fact | None:
        place: Place = ("jurisdictions", jurisdiction, name)
        if not _WORD.fullmatch(name):
            self.say(place, "the name of a fact is lower-case letters, digits and underscores")
        given = self.mapping(value, place, {"v", "src", "conf"}, _FACT)
        if not {"v", "src", "conf"} <= given.keys():
            return None
        sources = self.texts(given["src"], (*place, "src"))
        for source in sources:
            if source not in self.sources:
                self.say((*place, "src"), f"there is no source {source!r}")
        if given["conf"] not in CONFIDENCES:
            self.say((*place, "conf"), f"must be one of {', '.join(CONFIDENCES)}")
            return None
        if not sources and given["conf"] != "low":
            self.say((*place, "src"), "is empty: what has no source is of low confidence")
        self.value(name, given["v"], (*place, "v"))
        uncertain = self.truth(given.get("uncertain", False), (*place, "uncertain"))
        return Fact(
            name=name,
            value=given["v"],
            sources=sources,
            confidence=given["conf"],
            uncertain=uncertain or entry_uncertain,
            note=self.text(given.get("note", ""), (*place, "note"), needed=False),
            jurisdiction=jurisdiction,
            decides=name in DECIDED and given["conf"] != "low" and not uncertain and not entry_uncertain,
        )

    def value(self, name: str, value: Any, place: Place) -> None:
        """The form of the facts that the program reads; all others are for people and may be anything."""
        if name == "model" and value not in MODELS:
            self.say(place, f"must be one of {', '.join(MODELS)}")
        elif name == "preticked_allowed" and not (value is None or isinstance(value, bool)):
            self.say(place, "must be true, false or null")
        elif name == "double_opt_in" and (value == "" or not isinstance(value, bool | str | None)):
            self.say(place, "must be true, false, null or a text")
        elif name == "link_valid_days" and not (value is None or _whole(value)):
            self.say(place, "must be a whole number or null")
        elif name == "reask_wait_months" and not (value is None or _months(value)):
            self.say(place, f"must be a whole number from 1 to {MOST_MONTHS}, or null")
        elif name == "soft_opt_in_months":
            self.soft(value, place)
        elif name == "honour":
            self.honour(value, place)
        elif name == "effort":
            self.effort(value, place)

    def honour(self, value: Any, place: Place) -> None:
        given = self.mapping(value, place, {"value", "unit"}, {"value", "unit"})
        if given.keys() != {"value", "unit"}:
            return
        if given["unit"] not in tuple(UNIT_HOURS):  # it may be a list, which has no hash
            self.say((*place, "unit"), f"must be one of {', '.join(UNIT_HOURS)}")
        elif given["unit"] in _NUMBERED and not _number(given["value"]):
            self.say((*place, "value"), f"must be a number of {given['unit']}")
        elif given["unit"] not in _NUMBERED and not (
            given["value"] is None or (given["unit"] == "immediate" and given["value"] == 0)
        ):
            self.say((*place, "value"), f"{given['unit']} has no number")

    def soft(self, value: Any, place: Place) -> None:
        given = self.mapping(value, place, {"sale"}, {"sale", "inquiry"})
        for key in given.keys() & {"sale", "inquiry"}:
            if not (given[key] is None or _months(given[key])):
                self.say((*place, key), f"must be a whole number from 1 to {MOST_MONTHS}, or null")

    def effort(self, value: Any, place: Place) -> None:
        given = self.mapping(value, place, _EFFORT, _EFFORT)
        for key in given.keys() & {"login", "fee"}:
            if not (given[key] is None or isinstance(given[key], bool)):
                self.say((*place, key), "must be true, false or null")
        if not (given.get("pages") is None or _whole(given["pages"])):
            self.say((*place, "pages"), "must be a whole number or null")

    def inheritance(self, found: Mapping[str, Jurisdiction]) -> None:
        for key, entry in found.items():
            place: Place = ("jurisdictions", key, "inherits")
            seen, at = {key}, entry
            while at.inherits:
                if at.inherits not in found:
                    if at is entry:
                        self.say(place, f"there is no {entry.inherits!r}")
                    break
                if at.inherits in seen:
                    self.say(place, "goes round in a circle")
                    break
                seen.add(at.inherits)
                at = found[at.inherits]
            if not any("model" in found[name].facts for name in seen):
                self.say(("jurisdictions", key), "has no 'model', nor has what it inherits")

    def claims(self, found: Mapping[str, Jurisdiction]) -> None:
        """One country, one entry - or its own entry, which inherits its group's."""
        claimed: dict[str, str] = {}
        for key, entry in found.items():
            for country in entry.applies_to:
                place: Place = ("jurisdictions", key, "applies_to")
                if country in claimed:
                    self.say(place, f"{country} stands in {claimed[country]} already")
                claimed.setdefault(country, key)
                own = found.get(country)
                if own is not None and own is not entry and not self.adds_to(own, key, found):
                    self.say(place, f"{country} has an entry of its own that does not inherit {key}")

    def adds_to(self, entry: Jurisdiction, key: str, found: Mapping[str, Jurisdiction]) -> bool:
        seen = {entry.key}
        while entry.inherits in found and entry.inherits not in seen:
            if entry.inherits == key:
                return True
            seen.add(entry.inherits)
            entry = found[entry.inherits]
        return False
