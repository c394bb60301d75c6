"""Decisions from ids as text to an answer as JSON (design.md s9): what is the same for many is written once."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Sequence
from datetime import datetime

from ..values import iso
from . import naming
from .answers import answers
from .values import Ruling

#: As many as one request may ask about.
MAX_CONTACTS = 1000

_ID = "[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}"
_LENGTH = 36
_IS_ID = re.compile(_ID, re.IGNORECASE)
_ARE_IDS = re.compile(f"(?:{_ID},)*")


def answer(
    contacts: Sequence[str],
    topic: str,
    channel: str,
    *,
    at: datetime | None = None,
    record: str | None = None,
    audience: int | None = None,
    sender: str = "",
    external: bool = False,
) -> bytes:
    """`services.decide` for contacts whose ids are texts, as JSON: {"decisions": [{"contact", "decision", "until",
    "reason", "rule", "record"}]}, in the order of the list, the words of the rules in the active language.

    `external`: they are the ids that the senders of an audience know them by, and stand in the answer as they were
    given; one statement more. Who has no such id is unknown.

    Raises ValueError as `decide` does, for more than MAX_CONTACTS, and for what is no UUID, or no text: then it names
    the place, from 0, and not what stands there. So it does for external ids without an audience.
    """
    if external:
        if audience is None:
            raise ValueError("external ids are those of an audience")
        named = _checked_names(contacts)
        ids, shown = naming.ids_of(named, audience), [json.dumps(name) for name in named]
    else:
        ids = checked(contacts)
        shown = [f'"{contact}"' for contact in ids]
    rulings, records = answers(ids, topic, channel, at, record, texts=True, audience=audience, sender=sender)
    written = _written(rulings)
    decisions = [
        f'{{"contact":{contact},{written[id(ruling)]},"record":"{behind}"}}'
        if behind
        else f'{{"contact":{contact},{written[id(ruling)]},"record":null}}'
        for contact, ruling, behind in zip(shown, rulings, records, strict=True)
    ]
    return f'{{"decisions":[{",".join(decisions)}]}}'.encode()


def checked(contacts: Sequence[object]) -> list[str]:
    """The ids as everybody writes them: five groups of hexadecimal digits, in lower case. Raises ValueError."""
    _check_size(contacts)
    # All of them in one look; only where one is written otherwise, each by itself.
    texts = [contact for contact in contacts if isinstance(contact, str)]
    if (
        len(texts) == len(contacts)
        and set(map(len, texts)) <= {_LENGTH}
        and _ARE_IDS.fullmatch(",".join([*texts, ""]))
    ):
        return texts
    for place, contact in enumerate(contacts):
        if not isinstance(contact, str) or not _IS_ID.fullmatch(contact):
            raise ValueError(f"contacts[{place}] is no UUID")
    return [text.lower() for text in texts]


def _checked_names(contacts: Sequence[object]) -> list[str]:
    _check_size(contacts)
    for place, contact in enumerate(contacts):
        if not isinstance(contact, str) or not contact:
            raise ValueError(f"contacts[{place}] is no external id")
    return [contact for contact in contacts if isinstance(contact, str)]


def _check_size(contacts: Sequence[object]) -> None:
    if len(contacts) > MAX_CONTACTS:
        raise ValueError(f"at most {MAX_CONTACTS} contacts at once")


def _written(rulings: Iterable[Ruling]) -> dict[int, str]:
    """By the `id` of each ruling, what it says as the inside of a JSON object; most differ in their moment alone."""
    words: dict[tuple[str, str, int], tuple[str, str]] = {}
    written: dict[int, str] = {}
    for ruling in {id(ruling): ruling for ruling in rulings}.values():
        kind = ruling.verdict, ruling.reason, id(ruling.rule)
        said = words.get(kind)
        if said is None:
            said = words[kind] = _words(ruling)
        until = f'"{iso(ruling.until)}"' if ruling.until else "null"
        written[id(ruling)] = f"{said[0]}{until}{said[1]}"
    return written


def _words(ruling: Ruling) -> tuple[str, str]:
    """What stands before the moment, and what after it."""
    verdict, reason, rule = (
        json.dumps(str(text), ensure_ascii=False) for text in (ruling.verdict, ruling.reason, ruling.rule)
    )
    return f'"decision":{verdict},"until":', f',"reason":{reason},"rule":{rule}'
