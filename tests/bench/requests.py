"""The requests of every endpoint, and what has to be true of the answers."""

from __future__ import annotations

import json
import random
import re
import uuid
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from urllib.parse import urlencode

from .places import Places

HOST = "localhost"


@dataclass(slots=True)
class Answer:
    status: int
    headers: bytes
    body: bytes


@dataclass(slots=True)
class Exchange:
    """One request, and what has to be true of its answer (raises AssertionError)."""

    method: str
    path: str
    headers: Mapping[str, str]
    body: bytes = b""
    status: int = 200
    check: Callable[[Answer], None] | None = None

    def to_bytes(self) -> bytes:
        lines = [f"{self.method} {self.path} HTTP/1.1", f"Host: {HOST}", "Accept: application/json"]
        lines += [f"{name}: {value}" for name, value in self.headers.items()]
        if self.body:
            lines.append(f"Content-Length: {len(self.body)}")
        return "\r\n".join([*lines, "", ""]).encode() + self.body

    def accept(self, answer: Answer) -> None:
        assert answer.status == self.status, (
            f"{self.method} {self.path}: {answer.status} {answer.body[:500]!r}"
        )
        if self.check:
            self.check(answer)


Send = Callable[[Exchange], Answer]
Source = Iterator[Exchange]


class Traffic:
    """Endless requests for each endpoint, for people picked at random.

    One object for a whole run: it remembers what everybody has saved, whoever carries the requests.
    """

    def __init__(self, places: Places, send: Send) -> None:
        self.places = places
        self.send = send
        self.random = random.Random(1)
        self.people = places.people
        #: index -> (version, whether her five choices are yes); who is not here is as she was made.
        self.saved: dict[int, tuple[int, bool]] = {}
        self.saving: set[int] = set()
        self.center = f"/prefs/api/v1/centers/{places.center}/?locale=en"
        self.preferences = f"/prefs/api/v1/centers/{places.center}/preferences/?locale=en"

    def source(self, name: str) -> Source:
        """The requests of one endpoint by its name in `endpoints`."""
        source: Source = getattr(self, name)()
        return source

    # --- ours ------------------------------------------------------------------------------------------------------

    def center_hit(self) -> Source:
        exchange = Exchange("GET", self.center, {}, check=_filled)
        while True:
            yield exchange

    def center_304(self) -> Source:
        tag = {"If-None-Match": f'"{self.places.revision}"'}
        exchange = Exchange("GET", self.center, tag, status=304, check=_empty)
        while True:
            yield exchange

    def state(self) -> Source:
        while True:
            person = self.random.choice(self.people)
            yield Exchange(
                "GET", self.preferences, {"Authorization": f"Bearer {person.bearer}"}, check=_filled
            )

    def save(self) -> Source:
        """Five choices that all change: out of what the contact is in, and back in the next time."""
        while True:
            index = self.random.randrange(len(self.people))
            if index in self.saving:  # the next answer would depend on the one still under way
                continue
            self.saving.add(index)
            version, yes = self.saved.get(index, (self.places.version, True))
            content = {
                "base_version": version,
                "revision": self.places.revision,
                "answers": {
                    self.places.block: {
                        "choices": {topic: {"email": not yes} for topic in self.places.topics}
                    }
                },
            }

            def saved(answer: Answer, index: int = index, version: int = version, yes: bool = yes) -> None:
                given = json.loads(answer.body)
                assert given["version"] == version + 1 and len(given["applied"]) == 5, given
                self.saved[index] = (given["version"], not yes)
                self.saving.remove(index)

            headers = {
                "Authorization": f"Bearer {self.people[index].bearer}",
                "Idempotency-Key": str(uuid.uuid4()),
                "Content-Type": "application/json",
                "Origin": self.places.origin,
            }
            yield Exchange("PATCH", self.preferences, headers, json.dumps(content).encode(), check=saved)

    def decisions(self) -> Source:
        return self._decisions(min(1000, len(self.people)))

    def decisions_one(self) -> Source:
        return self._decisions(1)

    def _decisions(self, size: int) -> Source:
        """May this be sent to them now? Each a person of her own."""
        headers = {"Authorization": f"Bearer {self.places.api_key}", "Content-Type": "application/json"}

        def answered(answer: Answer) -> None:
            assert answer.body.count(b'"decision":') == size, answer.body[:200]

        while True:
            contacts = [person.contact for person in self.random.sample(self.people, size)]
            asked = {
                "topic": self.random.choice(self.places.topics),
                "channel": "email",
                "contacts": contacts,
            }
            yield Exchange(
                "POST", "/prefs/api/v1/decisions/", headers, json.dumps(asked).encode(), check=answered
            )

    # --- peers -----------------------------------------------------------------------------------------------------

    def hello(self) -> Source:
        return self._same("/peer/hello/")

    def drf_hello(self) -> Source:
        return self._same("/peer/drf/")

    def api_v2(self) -> Source:
        return self._same(f"/peer/api/v2/pages/{self.places.page_id}/")

    def drf_state(self) -> Source:
        def ten_rows(answer: Answer) -> None:
            assert len(json.loads(answer.body)) == 10

        while True:
            person = self.random.choice(self.people)
            yield Exchange("GET", f"/peer/state/{person.contact}/", {}, check=ten_rows)

    def form_page(self) -> Source:
        """As a browser does: the token of the form and its cookie, then the form."""
        path = self.places.form_path
        form = self.send(Exchange("GET", path, {}))
        cookie, token = (
            re.search(rb"csrftoken=(\w+)", form.headers),
            re.search(rb'csrfmiddlewaretoken" value="(\w+)"', form.body),
        )
        assert cookie and token, form.body
        headers = {
            "Cookie": f"csrftoken={cookie[1].decode()}",
            "Content-Type": "application/x-www-form-urlencoded",
        }
        while True:
            fields = {"csrfmiddlewaretoken": token[1].decode()}
            for name in self.places.form_fields:
                fields[name] = "on"
            fields[self.places.form_fields[0]] = f"person{self.random.randrange(10**6)}@mail.example.org"
            yield Exchange("POST", path, headers, urlencode(fields).encode(), check=_thanked)

    def _same(self, path: str) -> Source:
        exchange = Exchange("GET", path, {}, check=_filled)
        while True:
            yield exchange


def _filled(answer: Answer) -> None:
    assert answer.body


def _empty(answer: Answer) -> None:
    assert not answer.body


def _thanked(answer: Answer) -> None:
    assert b"Thank you" in answer.body, answer.body
