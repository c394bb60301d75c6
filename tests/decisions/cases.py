"""Reads the tables of docs/reference/decisions-cases.md: the cases that people wrote, for code to be held against.

A line can be set up in two ways: as rows of a database (`World`), and as the facts that the rules see (`facts_of`).
"""

from __future__ import annotations

import re
import uuid
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from functools import cache
from pathlib import Path
from typing import Any

from wagtail_prefs.contacts.models import Contact, State
from wagtail_prefs.decisions.models import Send
from wagtail_prefs.decisions.values import (
    CapFact,
    Facts,
    PauseFact,
    Place,
    Question,
    Standing,
    TopicFacts,
    Verdict,
)
from wagtail_prefs.law import services as law
from wagtail_prefs.ledger.models import Record
from wagtail_prefs.topics.models import Audience, Topic
from wagtail_prefs.values import Key, scope_to_key

PAGE = Path(__file__).resolve().parents[2] / "docs" / "reference" / "decisions-cases.md"

_FLAGS = {"unknown", "erased", "merged", "dead", "suppressed", "opted-out", "opted-in"}
_CHOICE = re.compile(r"([a-z-]+):([a-z_]+)=(subscribed|unsubscribed)?\+?(pending)?(?:/(\S+))?")
_OF_CHANNEL = re.compile(r"channel:([a-z_]+)=(subscribed|unsubscribed)")
_SENT = re.compile(r"sent:([a-z-]+):([a-z_]+)(?:#(\w+))?=(\S+)")
_QUIET = re.compile(r"quiet:([a-z_]+)=(\d\d:\d\d)-(\d\d:\d\d)")


@dataclass(frozen=True)
class TopicLine:
    audience: str
    key: str
    channels: tuple[str, ...]
    basis: str
    transactional: bool
    archived: bool


@dataclass(frozen=True)
class Choice:
    value: str
    pending: bool
    until: datetime | None


@dataclass(frozen=True)
class SendLine:
    topic: str
    channel: str
    message: str  # "" where the line does not say
    at: datetime


@dataclass(frozen=True)
class Site:
    """The settings a line asks for."""

    quiet: tuple[tuple[str, str, str], ...] = ()
    tz: str = "UTC"
    law: str = "opt_in"
    rules: tuple[str, ...] = ()

    def prefs(self, laws: Mapping[str, Path]) -> dict[str, Any]:
        """The keys of WAGTAIL_PREFS."""
        return {
            "QUIET_HOURS": {channel: [begin, end] for channel, begin, end in self.quiet},
            "DECISION_RULES": [f"tests.decisions.site_rules.{rule}" for rule in self.rules],
            "JURISDICTIONS": str(laws[self.law]),
        }


@dataclass
class Given:
    """What is known about the contact of a line."""

    flags: set[str] = field(default_factory=set)
    country: str = ""
    tz: str = ""
    audience: str = "main"
    choices: dict[Key, Choice] = field(default_factory=dict)
    pauses: dict[Key, datetime] = field(default_factory=dict)
    caps: dict[Key, str] = field(default_factory=dict)
    sends: list[SendLine] = field(default_factory=list)


@dataclass(frozen=True, eq=False)
class Case:
    line: int
    situation: str
    text: str
    given: Given
    site: Site
    question: Question
    message: str
    verdict: Verdict
    reason: str
    until: datetime | None

    @property
    def answer(self) -> tuple[Verdict, str, datetime | None]:
        return self.verdict, self.reason, self.until

    def __str__(self) -> str:
        return f"line {self.line}: {self.situation}"


def moment(text: str) -> datetime:
    """2026-11-23T09:00Z; raises ValueError for what is not in UTC."""
    if not text.endswith("Z"):
        raise ValueError(f"{text!r} is not UTC")
    return datetime.fromisoformat(text[:-1]).replace(tzinfo=UTC)


@cache
def topics() -> Mapping[tuple[str, str], TopicLine]:
    """{(audience, key): topic} as the page lists them."""
    found = {}
    for _line, cells in _rows("audience"):
        audience, key, channels, basis, transactional, archived = cells
        found[audience, key] = TopicLine(
            audience, key, tuple(channels.split()), basis, _truth(transactional), _truth(archived)
        )
    return found


@cache
def cases() -> tuple[Case, ...]:
    """All lines of all tables of cases, in order. Raises ValueError for a line that cannot be read."""
    return tuple(_case(line, *cells) for line, cells in _rows("situation"))


def _rows(first: str) -> Iterator[tuple[int, list[str]]]:
    """The rows of the tables whose head begins with this word."""
    inside = False
    for number, line in enumerate(PAGE.read_text().splitlines(), 1):
        if not line.startswith("|"):
            inside = False
            continue
        cells = [cell.strip() for cell in line.strip("|").split("|")]
        if cells[0] == first:
            inside = True
        elif inside and not cells[0].startswith("---"):
            yield number, cells


def _truth(word: str) -> bool:
    return {"yes": True, "no": False}[word]


def _case(line: int, situation: str, text: str, at: str, question: str, answer: str) -> Case:
    try:
        given, site = _given(text.strip("`").split())
        asked = Question(*question.split()[:2], moment(at))
        message = "".join(word.removeprefix("#") for word in question.split()[2:])
        verdict, reason, *until = answer.split()
        ends = moment(until[0]) if until else None
        return Case(line, situation, text, given, site, asked, message, Verdict(verdict), reason, ends)
    except (ValueError, TypeError) as problem:
        raise ValueError(f"{PAGE.name}, line {line}: {problem}") from problem


def _given(words: Iterable[str]) -> tuple[Given, Site]:
    given, quiet, rules = Given(), [], []
    site: dict[str, Any] = {}
    for word in words:
        name, _, value = word.partition("=")
        if match := _QUIET.fullmatch(word):
            quiet.append((match[1], match[2], match[3]))
        elif name == "rule":
            rules.append(value)
        elif name in {"site-tz", "law"}:
            site[name.removeprefix("site-")] = value
        else:
            _about_her(given, word, name, value)
    return given, Site(quiet=tuple(quiet), rules=tuple(rules), **site)


def _about_her(given: Given, word: str, name: str, value: str) -> None:
    if word in _FLAGS:
        given.flags.add(word)
    elif name in {"country", "audience", "tz"}:
        setattr(given, name, value)
    elif name.startswith("pause:"):
        given.pauses[scope_to_key(name.removeprefix("pause:"))] = moment(value)
    elif name.startswith("cap:"):
        given.caps[scope_to_key(name.removeprefix("cap:"))] = value
    elif match := _SENT.fullmatch(word):
        given.sends.append(SendLine(match[1], match[2], match[3] or "", moment(match[4])))
    elif match := _OF_CHANNEL.fullmatch(word):
        given.choices["", match[1]] = Choice(match[2], False, None)
    elif match := _CHOICE.fullmatch(word):
        until = moment(match[5]) if match[5] else None
        given.choices[match[1], match[2]] = Choice(match[3] or "", bool(match[4]), until)
    else:
        raise ValueError(f"what is {word!r}?")


def law_files(folder: Path) -> dict[str, Path]:
    """The shipped file of the law, and the same with looser product policies."""
    shipped = law.SHIPPED.read_text()
    files = {"opt_in": law.SHIPPED}
    for model in ("opt_in_soft", "opt_out"):
        files[model] = folder / f"{model}.yaml"
        files[model].write_text(shipped.replace("  model: opt_in\n", f"  model: {model}\n", 1))
        assert law.load(files[model]).policy.model == model
    return files


def facts_of(case: Case) -> Facts:
    """What the rules see of a line: made without a database, so that rules and SQL are tested apart."""
    given, asked = case.given, case.question
    who = uuid.UUID(int=case.line)
    if "unknown" in given.flags:
        return Facts(who)
    topic = topics().get((given.audience, asked.topic))
    never = Choice("", False, None)
    chosen = given.choices.get((asked.topic, asked.channel), never)
    scopes = {"all": ("", ""), "channel": ("", asked.channel), "topic": (asked.topic, "")}
    standing = Standing.KNOWN
    if "erased" in given.flags:
        standing = Standing.ERASED
    elif "merged" in given.flags:
        standing = Standing.MERGED
    return Facts(
        contact=who,
        standing=standing,
        country=given.country,
        timezone=given.tz,
        suppressed="suppressed" in given.flags,
        email_dead="dead" in given.flags,
        topic=topic
        and TopicFacts(frozenset(topic.channels), topic.basis, topic.transactional, topic.archived),
        opted_out="opted-out" in given.flags,
        channel_choice=given.choices.get(("", asked.channel), never).value,
        choice=chosen.value,
        pending=chosen.pending,
        choice_until=chosen.until,
        pauses=tuple(
            PauseFact(name, given.pauses[key]) for name, key in scopes.items() if key in given.pauses
        ),
        caps=tuple(
            CapFact(name, given.caps[key], _last(case, key))
            for name, key in scopes.items()
            if key in given.caps
        ),
        place=_place(case),
    )


def _last(case: Case, scope: Key) -> datetime | None:
    own = [sent.at for sent in case.given.sends if case.message and sent.message == case.message]

    def counts(sent: SendLine) -> bool:
        topic = topics().get((case.given.audience, sent.topic))
        if case.message and sent.message == case.message:
            return False
        return not (topic and topic.transactional) and (not own or sent.at < own[0])

    topic, channel = scope
    return max(
        (
            sent.at
            for sent in case.given.sends
            if counts(sent) and topic in {"", sent.topic} and channel in {"", sent.channel}
        ),
        default=None,
    )


def _place(case: Case) -> Place:
    own = [sent for sent in case.given.sends if case.message and sent.message == case.message]
    if not own:
        return Place.NONE
    same = (own[0].topic, own[0].channel) == (case.question.topic, case.question.channel)
    return Place.SAME if same else Place.OTHER


#: The versions that `World` gives to the parts of a state, and so the `seq` of the records behind them.
VERSIONS = {
    "opted_out": 1,
    "choice": 2,
    "pause:all": 3,
    "pause:channel": 4,
    "pause:topic": 5,
    "frequency:all": 6,
    "frequency:channel": 7,
    "frequency:topic": 8,
    "channel": 9,
    "contact": 10,
}


class World:
    """The cases as rows of a database, each a contact of her own; `contacts` and `records` find them again."""

    def __init__(self, lines: Iterable[Case]) -> None:
        self.audiences = {
            key: Audience.objects.create(key=f"cases-{key}", name=key) for key in ("main", "club")
        }
        Topic.objects.bulk_create(
            Topic(
                audience=self.audiences[topic.audience],
                key=topic.key,
                channels=list(topic.channels),
                basis=topic.basis,
                transactional=topic.transactional,
                archived=topic.archived,
            )
            for topic in topics().values()
        )
        self.winner = Contact.objects.create(audience=self.audiences["main"], link_id="winner")
        self.contacts = {case.line: uuid.uuid4() for case in lines}
        there = [case for case in lines if "unknown" not in case.given.flags]
        Contact.objects.bulk_create(map(self._contact, there))
        State.objects.bulk_create(state for case in there for state in self._states(case))
        Send.objects.bulk_create(send for case in there for send in self._sends(case))
        records = [
            Record(
                contact_ref=self.contacts[case.line],
                audience="",
                seq=seq,
                at=case.question.at,
                actor="system",
            )
            for case in there
            for seq in VERSIONS.values()
        ]
        Record.objects.bulk_create(records)
        self.behind = {
            record.pk: next(name for name, seq in VERSIONS.items() if seq == record.seq) for record in records
        }

    def _contact(self, case: Case) -> Contact:
        given = case.given
        return Contact(
            pk=self.contacts[case.line],
            audience=self.audiences[given.audience],
            version=VERSIONS["contact"],
            country=given.country,
            timezone=given.tz,
            suppressed="suppressed" in given.flags,
            email_dead_at=case.question.at if "dead" in given.flags else None,
            erased_at=case.question.at if "erased" in given.flags else None,
            merged_into=self.winner if "merged" in given.flags else None,
        )

    def _states(self, case: Case) -> Iterator[State]:
        given, rows = case.given, dict[Key, State]()

        def row(key: Key) -> State:
            return rows.setdefault(
                key, State(contact_id=self.contacts[case.line], topic=key[0], channel=key[1])
            )

        if given.flags & {"opted-out", "opted-in"}:
            row(("", "")).choice = "unsubscribed" if "opted-out" in given.flags else "subscribed"
            row(("", "")).choice_version = VERSIONS["opted_out"]
        for key, chosen in given.choices.items():
            row(key).choice, row(key).pending, row(key).choice_until = (
                chosen.value,
                chosen.pending,
                chosen.until,
            )
            row(key).choice_version = VERSIONS["choice" if key[0] else "channel"]
        for key, until in given.pauses.items():
            row(key).paused_until, row(key).pause_version = until, VERSIONS[f"pause:{_kind(key)}"]
        for key, code in given.caps.items():
            row(key).frequency, row(key).frequency_version = code, VERSIONS[f"frequency:{_kind(key)}"]
        yield from rows.values()

    def _sends(self, case: Case) -> Iterator[Send]:
        for number, sent in enumerate(case.given.sends):
            topic = topics().get((case.given.audience, sent.topic))
            yield Send(
                message_id=sent.message or f"line-{case.line}-{number}",
                contact=self.contacts[case.line],
                topic=sent.topic,
                channel=sent.channel,
                at=sent.at,
                counts=not (topic and topic.transactional),
            )


def _kind(key: Key) -> str:
    return {(False, False): "all", (False, True): "channel", (True, False): "topic"}[
        bool(key[0]), bool(key[1])
    ]
