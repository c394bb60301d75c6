"""What the CRM knows: one entry a contact, in memory and in one JSON file."""

from __future__ import annotations

import json
import os
import threading
from collections import deque
from dataclasses import asdict, dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Any, Literal

Json = dict[str, Any]
Fate = Literal["taken", "repeat", "older"]

#: Ids of deliveries are remembered so long; a sender's retries end sooner.
REMEMBERED = 20_000


@dataclass(frozen=True, slots=True)
class Contact:
    """A contact as the last webhook described it."""

    id: str
    version: int
    email: str
    language: str = ""
    opted_out: bool = False
    choices: dict[str, dict[str, str]] = field(
        default_factory=dict
    )  # topic -> channel -> subscribed, unsubscribed
    channels: dict[str, str] = field(default_factory=dict)  # what was said of a channel as a whole
    frequencies: dict[str, str] = field(default_factory=dict)  # scope -> code
    pauses: dict[str, str] = field(default_factory=dict)  # scope -> its end
    attributes: dict[str, str] = field(default_factory=dict)
    updated_at: str = ""
    wished_at: str = ""  # when she said so


@dataclass(frozen=True, slots=True)
class Arrival:
    """One line of the log on the page."""

    at: str
    contact: str
    version: int
    fate: str
    late: str = ""  # how long after she said so, in words


def lateness(wished_at: str, received_at: str) -> str:
    """How long it was on its way: "0.4 s", "12 min"; "" where nobody says."""
    if not wished_at:
        return ""
    seconds = (datetime.fromisoformat(received_at) - datetime.fromisoformat(wished_at)).total_seconds()
    return f"{max(seconds, 0):.1f} s" if seconds < 90 else f"{seconds / 60:.0f} min"


class Store:
    """Thread-safe. What `take` returned for is on the disk."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._lock = threading.Lock()
        known = json.loads(path.read_text()) if path.exists() else {"contacts": [], "seen": []}
        self._contacts = {entry["id"]: Contact(**entry) for entry in known["contacts"]}
        self._seen = dict.fromkeys(known["seen"])  # in order of arrival
        self._log: deque[Arrival] = deque(maxlen=12)

    def contacts(self) -> list[Contact]:
        """The last changed first."""
        with self._lock:
            return sorted(self._contacts.values(), key=lambda contact: contact.updated_at, reverse=True)

    def log(self) -> list[Arrival]:
        """The last arrivals, the newest first."""
        with self._lock:
            return list(reversed(self._log))

    def note(self, arrival: Arrival) -> None:
        with self._lock:
            self._log.append(arrival)

    def take(self, delivery: str, contact: Contact) -> Fate:
        """Keep what a webhook says, unless it came before or something newer did.

        Senders repeat themselves when an answer got lost, and two workers can overtake each other; both must do no
        harm.
        """
        with self._lock:
            if delivery in self._seen:
                fate: Fate = "repeat"
            else:
                known = self._contacts.get(contact.id)
                fate = "older" if known is not None and known.version > contact.version else "taken"
                if fate == "taken":
                    self._contacts[contact.id] = contact
                self._seen[delivery] = None
                while len(self._seen) > REMEMBERED:
                    del self._seen[next(iter(self._seen))]
                self._write()
            late = lateness(contact.wished_at, contact.updated_at)
            self._log.append(Arrival(contact.updated_at, contact.email, contact.version, fate, late))
            return fate

    def forget(self, contact_id: str, email: str) -> None:
        """Drop a person, and what the log says of her."""
        with self._lock:
            gone = [
                one
                for one in self._contacts.values()
                if one.id == contact_id or (email and one.email == email)
            ]
            for contact in gone:
                del self._contacts[contact.id]
            addresses = {contact.email for contact in gone} | {email}
            self._log = deque(
                (line for line in self._log if line.contact not in addresses), maxlen=self._log.maxlen
            )
            self._write()

    def _write(self) -> None:
        draft = self._path.with_suffix(".draft")
        with draft.open("w") as file:
            known = {"contacts": [asdict(one) for one in self._contacts.values()], "seen": list(self._seen)}
            json.dump(known, file)
            file.flush()
            os.fsync(file.fileno())
        draft.replace(self._path)
