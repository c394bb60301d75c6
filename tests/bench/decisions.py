"""Decisions for random contacts, and what else could answer: one SQL statement, or DRF and one ORM query."""

from __future__ import annotations

import json
import random
from collections.abc import Callable, Mapping
from functools import cache
from itertools import count
from typing import Any
from uuid import UUID

from django.db import connection
from django.http import HttpRequest
from django.test import RequestFactory

from tests.bench.site.peers import DrfDecisions
from wagtail_prefs.decisions import services as decisions, wire
from wagtail_prefs.values import SUBSCRIBED

from .calls import Calls
from .chains import TOPICS, bare

MANY = 1000
CHANNEL = "email"

#: What a sender would write for himself: is there such a contact, has she left, what has she chosen?
_BARE = """
SELECT given.id,
       CASE WHEN contact.id IS NULL THEN 'unknown' WHEN contact.suppressed THEN 'suppressed'
            WHEN everything.choice = 'unsubscribed' THEN 'opted_out' WHEN chosen.choice <> '' THEN chosen.choice
            ELSE 'never_asked' END
FROM unnest(%s::uuid[]) AS given(id)
LEFT JOIN wagtail_prefs_contact AS contact ON contact.id = given.id
LEFT JOIN wagtail_prefs_state AS everything
       ON everything.contact_id = given.id AND everything.topic = '' AND everything.channel = ''
LEFT JOIN wagtail_prefs_state AS chosen
       ON chosen.contact_id = given.id AND chosen.topic = %s AND chosen.channel = %s
"""


def decide(random: random.Random) -> Calls:
    while True:
        ids, topic = _some(random), random.choice(TOPICS)
        yield lambda ids=ids, topic=topic: _done(decisions.decide(ids, topic, CHANNEL))  # type: ignore[misc]


def bare_decide(random: random.Random) -> Calls:
    while True:
        ids, topic = _some(random), random.choice(TOPICS)
        yield lambda ids=ids, topic=topic: _done(bare_rows(ids, topic))  # type: ignore[misc]


def decide_json(random: random.Random) -> Calls:
    """With what DRF does as well: reading the ids, writing the answer (design.md s9)."""
    while True:
        body = _body(random)

        def call(body: bytes = body) -> int:
            asked = json.loads(body)
            return _written(wire.answer(asked["contacts"], asked["topic"], asked["channel"]))

        yield call


def drf_decide(random: random.Random) -> Calls:
    _agree(_some(random))
    while True:
        request = _request(_body(random))
        yield lambda request=request: _written(_drf_content(request))  # type: ignore[misc]


def _request(body: bytes) -> HttpRequest:
    return RequestFactory().post("/", body, content_type="application/json")


def _drf_content(request: HttpRequest) -> bytes:
    response = DrfDecisions.as_view()(request)
    response.render()
    content: bytes = response.content
    return content


def _agree(ids: list[UUID]) -> None:
    """The two peers say the same of everybody, and whom we would send to, so would they."""
    for topic in TOPICS:
        body = json.dumps({"topic": topic, "channel": CHANNEL, "contacts": list(map(str, ids))}).encode()
        answers = json.loads(_drf_content(_request(body)))["decisions"]
        drf = {one["contact"] for one in answers if one["decision"] == "send"}
        bare = {str(contact) for contact, reason in bare_rows(ids, topic) if reason == SUBSCRIBED}
        ours = decisions.decide(ids, topic, CHANNEL)
        sent = {str(one.contact) for one in ours if one.verdict is decisions.Verdict.SEND}
        assert drf == bare and sent and sent <= drf, (len(sent), len(bare), len(drf))


def decide_record(random: random.Random) -> Calls:
    for number in count():
        ids, topic, message = _some(random), random.choice(TOPICS), f"bench-{number}"
        yield lambda ids=ids, topic=topic, message=message: _done(  # type: ignore[misc]
            decisions.decide(ids, topic, CHANNEL, record=message)
        )


def decide_one(random: random.Random) -> Calls:
    while True:
        (one,), topic = _some(random, 1), random.choice(TOPICS)
        yield lambda one=one, topic=topic: 1 if decisions.decide(one, topic, CHANNEL).reason else 0  # type: ignore[misc]


def bare_decide_one(random: random.Random) -> Calls:
    while True:
        ids, topic = _some(random, 1), random.choice(TOPICS)
        yield lambda ids=ids, topic=topic: len(bare_rows(ids, topic))  # type: ignore[misc]


def bare_rows(ids: list[UUID], topic: str) -> list[tuple[UUID, str]]:
    # As text, because psycopg takes long for a list of UUIDs.
    asked = f"{{{','.join(map(str, ids))}}}"
    return bare().execute(_BARE, (asked, topic, CHANNEL)).fetchall()


def _done(answers: list[Any]) -> int:
    assert len(answers) == MANY, len(answers)
    return 1


def _written(content: bytes) -> int:
    assert content.count(b'"contact"') == MANY, content[:200]
    return 1


def _body(random: random.Random) -> bytes:
    asked = {"topic": random.choice(TOPICS), "channel": CHANNEL, "contacts": [str(i) for i in _some(random)]}
    return json.dumps(asked).encode()


def _some(random: random.Random, size: int = MANY) -> list[UUID]:
    """Contacts out of all there are; each once, unless there are not so many."""
    everybody = _everybody()
    draw = random.sample if size <= len(everybody) // 16 else random.choices
    places = draw(range(len(everybody) // 16), k=size)
    return [UUID(bytes=everybody[16 * place : 16 * place + 16]) for place in places]


@cache
def _everybody() -> bytes:
    """The ids of all contacts, 16 bytes each: a million objects would slow down what is measured."""
    with connection.cursor() as cursor:
        cursor.execute("SELECT string_agg(uuid_send(id), ''::bytea) FROM wagtail_prefs_contact")
        return bytes(cursor.fetchone()[0])


MAKERS: Mapping[str, Callable[[random.Random], Calls]] = {
    "decide": decide,
    "bare_decide": bare_decide,
    "decide_json": decide_json,
    "drf_decide": drf_decide,
    "decide_record": decide_record,
    "decide_one": decide_one,
    "bare_decide_one": bare_decide_one,
}
