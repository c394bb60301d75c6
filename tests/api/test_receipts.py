"""Undo and history over HTTP: own receipts only, taken back at most to what was."""

from __future__ import annotations

import json
import re
import uuid
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
import time_machine
from django.db import connection
from django.test.utils import CaptureQueriesContext
from django.utils import timezone

from tests import factories
from wagtail_prefs.changes import ChangeAddress, SetAttribute, SetChoice
from wagtail_prefs.conf import conf
from wagtail_prefs.contacts import services as contacts
from wagtail_prefs.contacts.models import Contact
from wagtail_prefs.ledger.models import Record
from wagtail_prefs.submissions import services as submissions
from wagtail_prefs.values import SUBSCRIBED, UNSUBSCRIBED, Actor, ActorType, Source

from .conftest import BLOG, SHOP, Visit
from .test_preferences import checksum, is_problem

pytestmark = pytest.mark.django_db

REFERENCE = Path(__file__).resolve().parents[2] / "docs" / "reference" / "center-document.md"
MYSELF = Actor(ActorType.SUBJECT_SESSION)


def saved(visit: Visit, base: int = 0, **choices: bool) -> str:
    """Save through the API; returns the receipt."""
    answer = visit.patch(visit.choose(base, **choices))
    assert answer.status_code == 200, answer.content
    return str(answer.json()["receipt"])


def choices_of(visit: Visit) -> dict[Any, str]:
    return dict(contacts.load_state(visit.contact.pk).choices)


def test_undo_brings_back_what_was(visit: Visit) -> None:
    visit.enter()
    saved(visit, news=True)
    receipt = saved(visit, base=1, news=False, events=True)
    answer = visit.undo(receipt)
    assert answer.status_code == 200, answer.content
    body = answer.json()
    assert set(body) == {"version", "receipt", "applied", "kept", "preferences"}
    assert body["version"] == 3
    assert body["receipt"] == str(Record.objects.get(seq=3).pk)
    topics = factories.block_id(visit.page, "topics")
    assert {line["path"] for line in body["applied"]} == {
        f"{topics}.choices.news.email",
        f"{topics}.choices.events.email",
    }
    assert body["kept"] == []
    assert body["preferences"]["answers"][topics] == {"choices": {"news": {"email": True}}}
    assert choices_of(visit) == {("news", "email"): SUBSCRIBED}
    assert visit.get().json() == body["preferences"]


def test_undo_keeps_what_was_changed_since_and_says_so(visit: Visit) -> None:
    visit.enter()
    receipt = saved(visit, news=True, offers=True)
    saved(visit, base=1, news=False)
    saved(visit, base=2, news=True)
    body = visit.undo(receipt).json()
    topics = factories.block_id(visit.page, "topics")
    assert [line["path"] for line in body["applied"]] == [f"{topics}.choices.offers.email"]
    assert [line["path"] for line in body["kept"]] == [f"{topics}.choices.news.email"]
    assert "News by e-mail" in body["kept"][0]["text"]
    assert choices_of(visit) == {("news", "email"): SUBSCRIBED}


def test_an_undo_never_resurrects_a_yes_over_a_later_no(visit: Visit) -> None:
    visit.enter()
    saved(visit, news=True)
    receipt = saved(visit, base=1, news=False)
    leave = factories.block_id(visit.page, "unsubscribe_all")
    assert visit.patch(visit.body({leave: {"opted_out": True}}, base=2)).status_code == 200
    before = checksum()
    body = visit.undo(receipt).json()
    assert (body["receipt"], body["applied"], body["version"]) == (None, [], 3)
    assert [line["path"] for line in body["kept"]]
    assert choices_of(visit) == {("news", "email"): UNSUBSCRIBED}
    assert checksum() == before


def test_undo_of_an_undo_brings_it_forth_again(visit: Visit) -> None:
    visit.enter()
    first = saved(visit, news=True)
    taken_back = visit.undo(first).json()
    assert choices_of(visit) == {}
    again = visit.undo(taken_back["receipt"]).json()
    assert again["version"] == 3
    assert choices_of(visit) == {("news", "email"): SUBSCRIBED}
    # The first save is no longer the newest word on that choice, so its own receipt takes back nothing now.
    assert visit.undo(first).json()["receipt"] is None


def test_the_same_key_gets_the_same_answer_and_undoes_once(visit: Visit) -> None:
    visit.enter()
    receipt = saved(visit, news=True)
    other = saved(visit, base=1, events=True)
    first = visit.undo(receipt, key="k")
    again = visit.undo(receipt, key="k")
    assert first.status_code == again.status_code == 200
    assert first.json() == again.json()
    assert contacts.load_state(visit.contact.pk).version == 3
    assert is_problem(visit.undo(other, key="k"), 422)  # another body
    saves = visit.patch(visit.choose(3, offers=True), key="s")
    assert saves.status_code == 200
    assert is_problem(visit.undo(other, key="s"), 422)  # the key of a save


def test_nobody_elses_receipt_is_told_from_one_that_never_was(visit: Visit) -> None:
    other = Visit(visit.page, factories.make_contact("bella@mail.example.org"))
    other.enter()
    theirs = saved(other, news=True)
    visit.enter()
    saved(visit, news=True)
    before = checksum()
    unknown = visit.undo(str(uuid.uuid4()))
    foreign = visit.undo(theirs)
    assert is_problem(unknown, 404)
    assert (foreign.status_code, foreign.content, foreign.headers) == (404, unknown.content, unknown.headers)
    assert foreign["Access-Control-Allow-Origin"] == SHOP
    assert checksum() == before


def test_a_receipt_ends_with_the_days_of_undo(visit: Visit) -> None:
    with time_machine.travel(timezone.now(), tick=False) as clock:
        visit.enter()
        receipt = saved(visit, news=True)
        clock.shift(conf.undo_life - timedelta(seconds=1))
        visit.enter()
        assert [record["undo"] for record in visit.history().json()["records"]] == [True]
        clock.shift(timedelta(seconds=2))
        visit.enter()
        before = checksum()
        assert [record["undo"] for record in visit.history().json()["records"]] == [False]
        assert is_problem(visit.undo(receipt), 404)
        assert checksum() == before


@pytest.mark.parametrize(
    ("status", "body", "how"),
    [
        (400, {}, {}),
        (400, {"receipt": None}, {}),
        (400, {"receipt": 1}, {}),
        (400, {"receipt": ""}, {}),
        (400, {"receipt": "x" * 36}, {}),
        (400, {"receipt": "{00000000-0000-4000-8000-000000000000}"}, {}),
        (400, {"receipt": "00000000000040008000000000000000"}, {}),
        (400, {"receipt": "00000000-0000-4000-8000-000000000000\n"}, {}),
        (400, {"receipt": "٠0000000-0000-4000-8000-000000000000"}, {}),
        (400, {"receipt": "00000000-0000-4000-8000-000000000000", "more": 1}, {}),
        (400, '{"receipt":"a","receipt":"b"}', {}),
        (400, "[]", {}),
        (400, {"receipt": "00000000-0000-4000-8000-000000000000"}, {"Idempotency-Key": " "}),
        (400, {"receipt": "00000000-0000-4000-8000-000000000000"}, {"Idempotency-Key": ""}),
        (413, "x" * 17 * 1024, {}),
        (415, {"receipt": "00000000-0000-4000-8000-000000000000"}, {"Content-Encoding": "gzip"}),
        (404, {"receipt": "00000000-0000-4000-8000-000000000000"}, {}),
        (404, {"receipt": "FFFFFFFF-FFFF-FFFF-FFFF-FFFFFFFFFFFF"}, {}),
    ],
)
def test_bad_requests_to_undo_change_nothing(
    visit: Visit, status: int, body: Any, how: dict[str, str]
) -> None:
    visit.enter()
    saved(visit, news=True)
    before = checksum()
    assert is_problem(visit.post("preferences/undo/", body, **{"Idempotency-Key": "k", **how}), status)
    assert checksum() == before


def test_a_receipt_may_be_spelled_in_capitals(visit: Visit) -> None:
    visit.enter()
    receipt = saved(visit, news=True)
    assert visit.undo(receipt.upper(), key="k").status_code == 200
    assert visit.undo(receipt, key="k").status_code == 200  # the same request
    assert contacts.load_state(visit.contact.pk).version == 2


def test_without_a_good_session_there_is_no_undo_and_no_history(visit: Visit) -> None:
    visit.enter()
    receipt = saved(visit, news=True)
    before = checksum()
    for authorization in ("", "Bearer x", f"Basic {visit.session}"):
        assert is_problem(visit.undo(receipt, Authorization=authorization), 401)
        assert is_problem(visit.history(Authorization=authorization), 401)
    for origin in ("https://evil.example", "null", BLOG):
        for answer in (visit.undo(receipt, Origin=origin), visit.history(Origin=origin)):
            assert is_problem(answer, 403)
            assert answer.get("Access-Control-Allow-Origin") in {None, BLOG}
    assert checksum() == before
    Contact.objects.update(epoch=1)
    before = checksum()
    assert is_problem(visit.undo(receipt), 401)
    assert is_problem(visit.history(), 401)
    assert checksum() == before


def test_a_preflight_allows_both(visit: Visit) -> None:
    for tail, methods in (("undo/", "POST, OPTIONS"), ("history/", "GET, HEAD, OPTIONS")):
        answer = visit.client.options(visit.url(f"preferences/{tail}"), headers={"Origin": SHOP})
        assert (answer.status_code, answer["Access-Control-Allow-Methods"]) == (204, methods)
        assert answer["Access-Control-Allow-Headers"] == "authorization, content-type, idempotency-key"
        assert answer["Access-Control-Allow-Origin"] == SHOP


def test_history_tells_what_happened_the_newest_first(visit: Visit) -> None:
    visit.enter()
    assert visit.history().json() == {"records": [], "next": None}
    first = saved(visit, news=True)
    second = saved(visit, base=1, news=False)
    answer = visit.history()
    assert answer["Cache-Control"] == "no-store, private"
    assert answer["Access-Control-Allow-Origin"] == SHOP
    body = answer.json()
    topics = factories.block_id(visit.page, "topics")
    assert [(record["receipt"], record["version"]) for record in body["records"]] == [(second, 2), (first, 1)]
    assert body["next"] is None
    assert [record["lines"] for record in body["records"]] == [
        [{"path": f"{topics}.choices.news.email", "text": "News by e-mail: unsubscribed"}],
        [{"path": f"{topics}.choices.news.email", "text": "News by e-mail: subscribed"}],
    ]
    assert all(record["undo"] and record["title"] for record in body["records"])


def enter_again(visit: Visit) -> None:
    """By a link that is newer than her new address: that called the older ones back."""
    visit.contact.refresh_from_db()
    visit.enter()


def test_every_receipt_of_history_that_says_undo_can_be_undone(visit: Visit) -> None:
    visit.enter()
    saved(visit, news=True)
    saved(visit, base=1, offers=True)
    submissions.record(
        visit.contact.pk,
        [ChangeAddress("anna.new@mail.example.org")],
        actor=MYSELF,
        source=Source(method="confirm"),
    )
    enter_again(visit)
    records = visit.history().json()["records"]
    assert [record["undo"] for record in records] == [False, True, True]
    assert [visit.undo(record["receipt"]).status_code for record in records] == [404, 200, 200]
    assert choices_of(visit) == {}


def test_history_holds_no_personal_value(visit: Visit) -> None:
    submissions.record(
        visit.contact.pk,
        [SetAttribute("first_name", "Zacharias"), SetAttribute("birthday", "1999-12-31")],
        actor=MYSELF,
        source=Source(method="page"),
    )
    submissions.record(
        visit.contact.pk,
        [ChangeAddress("zacharias@else.example.org")],
        actor=MYSELF,
        source=Source(method="confirm"),
    )
    submissions.record(
        visit.contact.pk, [SetAttribute("first_name", "Yolanda")], actor=MYSELF, source=Source(method="page")
    )
    enter_again(visit)
    text = visit.history().content.decode()
    assert len(json.loads(text)["records"]) == 3
    for secret in ("Zacharias", "zacharias", "else.example", "Yolanda", "1999", visit.contact.email, "anna"):
        assert secret not in text
    newest = json.loads(text)["records"][0]
    assert not newest["undo"]
    undone = visit.undo(newest["receipt"])  # whoever holds an old mail may not be its reader
    assert undone.status_code == 403
    assert undone.json()["type"] == "urn:wagtail-prefs:step-up-required"
    assert contacts.load_state(visit.contact.pk).attributes["first_name"] == "Yolanda"
    for secret in ("Zacharias", "Yolanda"):
        assert secret not in undone.content.decode()


def many(visit: Visit, count: int) -> None:
    for number in range(count):
        value = SUBSCRIBED if number % 2 == 0 else UNSUBSCRIBED
        submissions.record(
            visit.contact.pk,
            [SetChoice("news", "email", value)],
            actor=MYSELF,
            source=Source(method="page"),
        )


def test_history_comes_in_pages_and_none_is_left_out(visit: Visit) -> None:
    visit.enter()
    many(visit, 101)
    versions: list[int] = []
    query = ""
    pages = 0
    while True:
        body = visit.history(query).json()
        versions += [record["version"] for record in body["records"]]
        pages += 1
        if body["next"] is None:
            break
        query = f"?before={body['next']}"
    assert versions == list(range(101, 0, -1))
    assert pages == 3
    assert visit.history("?before=1").json() == {"records": [], "next": None}
    assert [r["version"] for r in visit.history("?before=51").json()["records"]] == list(range(50, 0, -1))
    assert visit.history("?before=51").json()["next"] is None


@pytest.mark.parametrize(
    "before", ["", "0", "-1", "x", "1.0", "1e3", "01", "%D9%A1", "1%00", "99999999999999999999"]
)
def test_a_version_that_is_none_is_refused(visit: Visit, before: str) -> None:
    visit.enter()
    assert is_problem(visit.history(f"?before={before}"), 400)


def test_history_costs_the_same_whatever_there_is(visit: Visit, django_assert_max_num_queries: Any) -> None:
    visit.enter()
    for count in (1, 59):
        many(visit, count)
        with django_assert_max_num_queries(3):  # whether the center is the same, the contact, the records
            assert len(visit.history().json()["records"]) == min(50, count)


def test_undo_costs_the_same_whatever_it_takes_back(visit: Visit) -> None:
    visit.enter()
    counts = []
    for base, choices in ((0, {"news": True}), (2, {"news": True, "events": True, "offers": True})):
        receipt = saved(visit, base=base, **choices)
        with CaptureQueriesContext(connection) as captured:
            assert visit.undo(receipt).status_code == 200
        counts.append(len(captured))
    assert counts[0] == counts[1]


def test_reading_history_changes_nothing(visit: Visit) -> None:
    visit.enter()
    saved(visit, news=True)
    before = checksum()
    for tail in ("undo/", "history/"):
        for method in ("get", "head", "options"):
            url = visit.url(f"preferences/{tail}")
            assert getattr(visit.client, method)(url, headers=visit.headers()).status_code < 500
    assert checksum() == before


def test_history_speaks_the_language_that_was_asked_for(visit: Visit) -> None:
    factories.make_center(locale="de", translation_of=visit.page, title="Ihre Wahl")
    visit.enter()
    saved(visit, news=True)
    english = visit.history("?locale=en").json()["records"][0]
    german = visit.history("?locale=de").json()["records"][0]
    assert english["receipt"] == german["receipt"]
    assert english["lines"] != german["lines"]


def documented(heading: str) -> list[Any]:
    """The JSON examples of a section of the reference."""
    text = REFERENCE.read_text(encoding="utf-8")
    _before, found, section = text.partition(f"\n## {heading}")
    assert found
    blocks = re.findall(r"```json\n(.*?)```", section.partition("\n## ")[0], re.DOTALL)
    return [json.loads(block) for block in blocks]


def shape(value: Any) -> Any:
    """Which keys and types a JSON value has; answers are keyed by what a center happens to offer."""
    if isinstance(value, dict):
        return {key: "…" if key == "answers" else shape(item) for key, item in value.items()}
    if isinstance(value, list):
        (only,) = {json.dumps(shape(item), sort_keys=True) for item in value} or {"nothing"}
        return [only]
    return type(value).__name__


def test_the_examples_of_the_reference_have_the_shape_of_real_answers(visit: Visit) -> None:
    visit.enter()
    receipt = saved(visit, news=True, offers=True)
    saved(visit, base=1, offers=False)
    request, answer = documented("Taking back")
    assert shape(request) == shape({"receipt": receipt})
    real = visit.undo(receipt).json()
    assert real["applied"] and real["kept"]
    assert shape(real) == shape(answer)
    assert real["kept"][0]["text"] == answer["kept"][0]["text"]
    many(visit, 60)
    (past,) = documented("Looking back")
    told = visit.history().json()
    assert told["next"]
    assert shape(told) == shape(past)
