"""Rules that a site could add; the last table of docs/reference/decisions-cases.md says what each does."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime, time, timedelta
from typing import Any
from uuid import UUID

from django.utils.functional import lazy
from django.utils.translation import get_language

from wagtail_prefs.decisions.services import Facts, Question, Rule, Ruling, Verdict, defer, digest, refuse

SUNDAY = 6


class ticket(Rule):  # noqa: N801 - settings name it like the functions
    """Fetches for all at once who has a ticket: here everybody."""

    code = "open_ticket"
    words = "A ticket is open."

    def prepare(self, contacts: Sequence[UUID]) -> frozenset[UUID]:
        return frozenset(contacts)

    def __call__(self, facts: Facts, question: Question, prepared: frozenset[UUID]) -> Ruling | None:
        return self.refuse() if facts.contact in prepared else None


class every_other(Rule):  # noqa: N801 - as above
    """Speaks of every other contact of a call, and would speak of anybody it were asked about."""

    code = "every_other"
    words = "Not this time."
    only_prepared = True

    def prepare(self, contacts: Sequence[UUID]) -> list[Any]:
        return list(contacts[::2])

    def __call__(self, facts: Facts, question: Question, prepared: Any) -> Ruling | None:
        return self.refuse()


class by_text(every_other):  # noqa: N801 - as above
    """Names contacts as text, and so nobody."""

    def prepare(self, contacts: Sequence[UUID]) -> list[Any]:
        return [str(contact) for contact in contacts]


class by_nothing(every_other):  # noqa: N801 - as above
    def prepare(self, contacts: Sequence[UUID]) -> Any:
        return None


def holidays(_facts: Facts, question: Question, _prepared: Any) -> Ruling | None:
    begin, end = datetime(2026, 12, 24, tzinfo=UTC), datetime(2026, 12, 27, tzinfo=UTC)
    return defer(end, "holidays", "The shop is closed.") if begin <= question.at < end else None


def sundays(_facts: Facts, question: Question, _prepared: Any) -> Ruling | None:
    if question.at.weekday() != SUNDAY:
        return None
    monday = datetime.combine(question.at.date() + timedelta(days=1), time(), UTC)
    return defer(monday, "sunday", "It is Sunday.")


def batch(_facts: Facts, question: Question, _prepared: Any) -> Ruling | None:
    until = datetime(2026, 12, 1, tzinfo=UTC)
    return digest(until, "batch", "A digest goes out then.") if question.at < until else None


def generous(_facts: Facts, _question: Question, _prepared: Any) -> Ruling:
    return Ruling(Verdict.SEND, "generous", "Everybody likes mail.")


def broken(facts: Facts, _question: Question, _prepared: Any) -> Ruling:
    raise LookupError(f"anna@mail.example.org is {facts.contact}")


def backwards(_facts: Facts, _question: Question, _prepared: Any) -> Ruling:
    return defer(datetime(2020, 1, 1, tzinfo=UTC), "backwards", "Long ago.")


def naive(_facts: Facts, _question: Question, _prepared: Any) -> Ruling:
    return defer(datetime(2030, 1, 1), "naive", "Which clock?")  # noqa: DTZ001 - that is what it does


def talkative(_facts: Facts, _question: Question, _prepared: Any) -> Any:
    return "refuse"


class unprepared(Rule):  # noqa: N801
    code = "unprepared"
    words = "Never asked."

    def prepare(self, contacts: Sequence[UUID]) -> None:
        raise ConnectionError(f"anna@mail.example.org is {contacts[0]}")

    def __call__(self, facts: Facts, question: Question, prepared: None) -> Ruling | None:
        return None


def nothing(_facts: Facts, _question: Question, _prepared: Any) -> None:
    return None


def dislikes(facts: Facts, _question: Question, _prepared: Any) -> Ruling | None:
    """Knows whom: every second contact."""
    return refuse("disliked", "Not her.") if facts.contact.int % 2 else None


#: Facts that `witness` has seen.
SEEN: list[Facts] = []


def witness(facts: Facts, _question: Question, _prepared: Any) -> None:
    SEEN.append(facts)


def campaign(_facts: Facts, question: Question, _prepared: Any) -> Ruling | None:
    """Nothing of this sender, and no message of this kind, before the holidays are over."""
    if question.sender == "cart" or question.message.startswith("cart-"):
        until = datetime(2026, 12, 27, tzinfo=UTC)
        return defer(until, "campaign", "Not now.") if question.at < until else None
    return None


def quotes(_facts: Facts, _question: Question, _prepared: Any) -> Ruling:
    """Words that JSON cannot take as they are, and that are not the same in every language."""
    return refuse("quotes", lazy(lambda: f'"{get_language()}" \\ </b> \n ü \u2028', str)())


NOT_CALLABLE = 3
