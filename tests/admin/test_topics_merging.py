"""Merging a topic into another: counted before, carried over in pieces, and never a yes that nobody gave."""

from __future__ import annotations

import threading
from collections import Counter
from datetime import timedelta
from typing import Any

import pytest
from django.db import connection, transaction
from django.test import Client
from django.urls import resolve, reverse
from django.utils import timezone
from wagtail.models import ModelLogEntry

from tests import factories
from tests.admin.test_topics import HERSELF, NO, YES, editor, person, url
from wagtail_prefs.access.services import Purpose, make_token
from wagtail_prefs.admin import topic_merging
from wagtail_prefs.admin.topic_views import MergeTopicView
from wagtail_prefs.centers import services as centers
from wagtail_prefs.changes import OptOut, Pause, SetChoice, SetFrequency
from wagtail_prefs.contacts import store
from wagtail_prefs.contacts.models import Contact, State
from wagtail_prefs.contacts.rules import effective
from wagtail_prefs.delivery.models import Delivery
from wagtail_prefs.ledger import services as ledger
from wagtail_prefs.ledger.models import Record
from wagtail_prefs.submissions import services as submissions
from wagtail_prefs.submissions.audit import differences
from wagtail_prefs.topics.merging import Verdict, verdict
from wagtail_prefs.topics.models import Topic, TopicMerge
from wagtail_prefs.topics.services import goes_on_as
from wagtail_prefs.values import CHANNELS, PENDING, Actor, ActorType, ContactState, Source

pytestmark = pytest.mark.django_db

__all__ = ["editor"]  # a fixture


def say(topic: str, value: str, channel: str = "email", **fields: Any) -> SetChoice:
    return SetChoice(topic, channel, value, **fields)


#: name -> what she says one after the other about "offers", which goes, and "news", which stays
PEOPLE: dict[str, list[Any]] = {
    "both": [say("offers", YES), say("news", YES), SetFrequency("offers", "", "monthly")],
    "asked": [say("offers", YES), say("offers", YES, "sms"), SetFrequency("news", "", "quarterly")],
    "ending": [say("offers", YES, until="2126-01-01T00:00:00Z")],
    "requested": [say("offers", PENDING)],
    "waiting": [say("offers", YES), say("news", PENDING)],
    "no-stays": [say("offers", YES), say("news", NO)],
    "by-post": [say("offers", YES, "post")],
    "stays": [say("offers", NO), say("news", YES)],
    "leaves": [say("news", YES), say("offers", NO)],
    "refused": [say("offers", NO)],
    "undecided": [say("news", PENDING), say("offers", NO)],
    "both-no": [say("offers", NO), say("news", NO)],
    "gone": [say("offers", YES), OptOut()],
    "gone-asked": [OptOut(), say("offers", PENDING)],
    "only-news": [say("news", YES)],
    "silent": [],
}
EXPECTED = {
    "both": Verdict.BOTH,
    "asked": Verdict.ASKED,
    "ending": Verdict.ASKED,
    "requested": Verdict.ASKED,
    "waiting": Verdict.WAITING,
    "no-stays": Verdict.NO_STAYS,
    "stays": Verdict.STAYS,
    "leaves": Verdict.LEAVES,
    "at-once": Verdict.LEAVES,
    "ended": Verdict.LEAVES,
    "refused": Verdict.REFUSED,
    "undecided": Verdict.REFUSED,
    "both-no": Verdict.BOTH_NO,
    "gone": Verdict.REFUSED,
    "gone-asked": Verdict.LOST,
}


@pytest.fixture
def topics() -> dict[str, Topic]:
    return factories.make_topics()


@pytest.fixture
def crowd(topics: dict[str, Topic]) -> dict[str, Contact]:
    found = {name: person(name, *changes) for name, changes in PEOPLE.items()}
    # Both in one save; a yes that has ended and was not written down yet; one of another audience; one merged, one erased.
    found["at-once"] = person("at-once")
    torn = [say("offers", NO), say("news", YES)]
    submissions.record(found["at-once"].pk, torn, actor=HERSELF, source=Source(method="python"))
    found["ended"] = person("ended", say("news", YES), say("offers", YES, until="2126-01-01T00:00:00Z"))
    State.objects.filter(contact=found["ended"], topic="offers").update(
        choice_until=timezone.now() - timedelta(days=1)
    )
    other = factories.make_audience(factories.make_site("other.example"))
    found["other"] = person("other", say("offers", YES), audience=other)
    found["loser"] = person("loser", say("offers", YES))
    staff, source = Actor(ActorType.ADMIN, "staff"), Source(method="python")
    submissions.merge_contacts(found["loser"].pk, found["silent"].pk, actor=staff, source=source)
    found["erased"] = person("erased", say("offers", YES))
    submissions.erase(found["erased"].pk, actor=HERSELF, source=source)
    return found


def state_of(contact: Contact) -> ContactState:
    loaded = store.load(contact.pk)
    assert loaded is not None
    return effective(loaded.state, timezone.now())


def merged(topics: dict[str, Topic], **how: Any) -> TopicMerge:
    user = factories.make_editor()
    merge = topic_merging.begin(topics["offers"], topics["news"], reason="One letter is enough", user=user)
    while merge.done_at is None:
        merge = topic_merging.go_on(merge, **how)
    return merge


def test_the_forecast_counts_what_the_rule_says_of_each(
    topics: dict[str, Topic], crowd: dict[str, Contact], django_assert_num_queries: Any
) -> None:
    with django_assert_num_queries(2):
        forecast = topic_merging.forecast(topics["offers"], topics["news"])
    expected: dict[str, Counter[str]] = {}
    for name, contact in crowd.items():
        if name in {"other", "loser", "erased"}:
            continue
        state = state_of(contact)
        for channel in CHANNELS:
            found = verdict(state, "offers", "news", channel, {"email", "sms"})
            if found is not None:
                expected.setdefault(channel, Counter())[found.value] += 1
            if channel == "email" and name in EXPECTED:
                assert found is EXPECTED[name], name
    counted = {item.label: {key: n for key, n in item.people.items() if n} for item in forecast.channels}
    assert counted == {
        "E-mail": dict(expected["email"]),
        "Text message": {"asked": 1},
        "Post": {"lost": 1},
    }
    assert set(expected) == {"email", "sms", "post"}
    assert forecast.limits == 1


def test_limits_are_counted_as_the_rule_takes_them(topics: dict[str, Topic]) -> None:
    soon, late = timezone.now() + timedelta(days=1), timezone.now() + timedelta(days=9)
    person("a", SetFrequency("offers", "", "weekly"))
    person("b", SetFrequency("offers", "", "weekly"), SetFrequency("news", "", "monthly"))
    person("c", Pause("offers", "", late), Pause("news", "", soon))
    person("d", Pause("offers", "", soon), Pause("news", "", late))
    person(
        "e",
        Pause("offers", "", soon),
        SetFrequency("offers", "", "monthly"),
        SetFrequency("news", "", "daily"),
    )
    assert topic_merging.forecast(topics["offers"], topics["news"]).limits == 3
    assert merged(topics).changed == 3
    assert topic_merging.forecast(topics["offers"], topics["news"]).limits == 0


def test_a_merge_does_what_the_forecast_said_and_turns_no_silence_into_a_yes(
    topics: dict[str, Topic], crowd: dict[str, Contact]
) -> None:
    before = {name: state_of(contact) for name, contact in crowd.items()}
    forecast = topic_merging.forecast(topics["offers"], topics["news"])
    merge = merged(topics)
    after = {name: state_of(contact) for name, contact in crowd.items()}
    for name, state in after.items():
        yes = {key for key, value in state.choices.items() if value == YES}
        assert yes <= {key for key, value in before[name].choices.items() if value == YES}, name
        held = {key: value for key, value in before[name].choices.items() if key[0] == "offers"}
        assert {key: value for key, value in state.choices.items() if key[0] == "offers"} == held, name
        if name != "ended":  # whose end was put there by hand
            assert differences(crowd[name].pk) == [], name
    on_mail = ("news", "email")
    assert {name for name, state in after.items() if state.choices.get(on_mail) == YES} == {
        "both", "stays", "only-news",
    }  # fmt: skip
    assert {name for name, state in after.items() if on_mail in state.pending} == {
        "asked", "ending", "requested", "waiting",
    }  # fmt: skip
    assert after["ending"].until[on_mail].year == 2126
    assert ("news", "sms") in after["asked"].pending
    assert after["both"].frequencies["news", ""] == "monthly"
    assert after["asked"].frequencies["news", ""] == "quarterly"
    for name in ("other", "loser", "erased", "silent", "only-news", "by-post", "waiting"):
        assert after[name] == before[name], name
    # What was counted before is what was written.
    counted = Counter[str]()
    for channel in forecast.channels:
        counted.update(channel.people)
    written = [
        record for record in Record.objects.all() if ledger.read_body(record)["method"] == "topic_merge"
    ]
    effects = [effect for record in written for effect in ledger.effects_of(ledger.read_body(record))]
    assert (
        sum(effect.path.startswith("choice:") for effect in effects) == counted["leaves"] + counted["refused"]
    )
    # One that waited is refused, which ends its waiting as well.
    asked = [effect for effect in effects if effect.path.startswith("pending:") and effect.after]
    assert len(asked) == counted["asked"]
    assert merge.changed == len(written)
    again = topic_merging.forecast(topics["offers"], topics["news"])
    assert not any(
        item.people["asked"] or item.people["leaves"] or item.people["refused"] for item in again.channels
    )


def test_every_record_says_who_merged_and_what(topics: dict[str, Topic], crowd: dict[str, Contact]) -> None:
    merge = merged(topics)
    user = factories.make_editor()
    body = ledger.read_body(Record.objects.filter(contact_ref=crowd["leaves"].pk).latest("seq"))
    assert (body["actor"]["type"], body["actor"]["id"]) == ("admin", str(user.pk))
    assert (body["method"], body["form_id"]) == ("topic_merge", f"topic-merge-{merge.pk}")
    # A no is for every platform to hear, and first.
    assert Delivery.objects.get(contact=crowd["leaves"].pk).restricts
    assert (merge.reason, merge.started_by) == ("One letter is enough", str(user.pk))


@pytest.mark.parametrize("batch", [1, 3, 5])
def test_a_merge_that_is_stopped_goes_on_where_it_was(
    topics: dict[str, Topic], crowd: dict[str, Contact], batch: int
) -> None:
    merge = merged(topics, seconds=0, batch=batch)
    rows = State.objects.filter(topic="offers", contact__audience=topics["offers"].audience)
    live = rows.filter(contact__merged_into=None, contact__erased_at=None).count()
    assert merge.looked_at == live
    records = Record.objects.count()
    # From the beginning once more: there is nothing left to do.
    TopicMerge.objects.update(done_at=None, channel="", after=None)
    assert topic_merging.go_on(merge, batch=batch).changed == merge.changed
    assert Record.objects.count() == records


def test_whoever_said_something_meanwhile_is_taken_at_her_word(topics: dict[str, Topic]) -> None:
    joins, leaves = person("joins", say("news", YES), say("offers", NO)), person("leaves", say("offers", YES))
    user = factories.make_editor()
    merge = topic_merging.begin(topics["offers"], topics["news"], reason="x", user=user)
    submissions.record(joins.pk, [say("news", NO)], actor=HERSELF, source=Source(method="python"))
    submissions.record(joins.pk, [say("news", YES)], actor=HERSELF, source=Source(method="python"))
    submissions.record(leaves.pk, [say("news", NO)], actor=HERSELF, source=Source(method="python"))
    merge = topic_merging.go_on(merge)
    assert state_of(joins).choices["news", "email"] == YES
    assert ("news", "email") not in state_of(leaves).pending
    assert merge.changed == 0


def test_the_page_shows_who_would_change_and_changes_nothing(
    editor: Client, topics: dict[str, Topic], crowd: dict[str, Contact]
) -> None:
    factories.make_center()
    records = Record.objects.count()
    choose = editor.get(url("merge", topics["offers"])).content.decode()
    assert f'value="{topics["news"].pk}"' in choose
    assert f'value="{topics["events"].pk}"' in choose
    for key in ("offers", "orders"):  # not into itself, and not into what always comes
        assert f'<option value="{topics[key].pk}"' not in choose
    shown = editor.get(url("merge", topics["offers"]), {"into": topics["news"].pk})
    html = shown.content.decode()
    assert "Yes, merge them" in html
    assert "Your choices" in html
    table = {str(row["said"]): row["numbers"] for row in shown.context["rows"]}
    assert table["Yes to this topic, never asked about the other"] == [3, 1, 0]
    assert table["Yes to both"] == [1, 0, 0]
    assert len(table) == len(Verdict)
    assert not TopicMerge.objects.exists()
    assert not Topic.objects.get(key="offers").archived
    assert Record.objects.count() == records


def test_the_page_asks_the_same_number_of_questions_for_more_people(
    editor: Client, topics: dict[str, Topic]
) -> None:
    from django.test.utils import CaptureQueriesContext

    editor.get(url("merge", topics["offers"]), {"into": topics["news"].pk})
    counts = []
    for more in (1, 6):
        for number in range(more):
            person(f"p{more}x{number}", say("offers", YES), say("news", NO, "sms"))
        with CaptureQueriesContext(connection) as queries:
            assert editor.get(url("merge", topics["offers"]), {"into": topics["news"].pk}).status_code == 200
        counts.append(len(queries))
    assert counts[0] == counts[1]
    assert counts[1] <= 25


def test_a_merge_through_the_page(
    editor: Client,
    topics: dict[str, Topic],
    crowd: dict[str, Contact],
    django_capture_on_commit_callbacks: Any,
) -> None:
    page = factories.make_center()
    form = {"into": topics["news"].pk, "reason": "Two letters about the same"}
    refused = editor.post(url("merge", topics["offers"]), {**form, "reason": ""})
    assert refused.status_code == 200
    assert refused.context["form"].errors.keys() == {"reason"}
    assert not TopicMerge.objects.exists()
    with django_capture_on_commit_callbacks(execute=True):
        answer = editor.post(url("merge", topics["offers"]), form)
    assert answer.status_code == 302
    merge = TopicMerge.objects.get()
    assert merge.done_at is not None
    assert state_of(crowd["leaves"]).choices["news", "email"] == NO
    snapshot = centers.get_snapshot(centers.current(page.translation_key).digest)
    assert not any("offers" in path for spec in snapshot.specs for path in spec.paths)
    entry = ModelLogEntry.objects.get(action="wagtail_prefs.topic.merge")
    assert str(entry.message) == "Merged into “news”: Two letters about the same"
    # Done is done: the page is no longer for this topic.
    assert editor.get(url("merge", topics["offers"]))["Location"] == url("edit", topics["offers"])
    assert editor.post(url("merge", topics["offers"]), form).status_code == 302
    assert TopicMerge.objects.count() == 1
    assert "merged into “News”" in editor.get(url("bring_back", topics["offers"])).content.decode()


def test_a_long_merge_goes_on_by_itself_after_a_post_and_never_after_a_get(
    editor: Client, topics: dict[str, Topic], crowd: dict[str, Contact], monkeypatch: pytest.MonkeyPatch
) -> None:
    merge = topic_merging.begin(topics["offers"], topics["news"], reason="x", user=factories.make_editor())
    records = Record.objects.count()
    shown = editor.get(url("merge", topics["offers"])).content.decode()
    assert "Go on" in shown
    assert "w-init:ready->w-action#click" not in shown
    assert Record.objects.count() == records
    assert url("merge", topics["offers"]) in editor.get(url("edit", topics["offers"])).content.decode()
    monkeypatch.setattr(MergeTopicView, "seconds", 0)
    monkeypatch.setattr(MergeTopicView, "batch", 4)
    posts = 0
    while (answer := editor.post(url("merge", topics["offers"]))).status_code == 200:
        posts += 1
        assert "w-init:ready->w-action#click" in answer.content.decode()
    assert posts > 2
    merge.refresh_from_db()
    assert merge.done_at is not None
    assert answer["Location"] == reverse("wagtailsnippets_wagtail_prefs_topic:list")


def test_a_piece_is_no_single_transaction_even_where_requests_are(topics: dict[str, Topic]) -> None:
    assert resolve(url("merge", topics["offers"])).func._non_atomic_requests == {"default"}


@pytest.mark.parametrize("into", ["", "x", "999999", "orders", "offers", "archived", "elsewhere"])
def test_nothing_is_merged_into_what_cannot_take_it(
    editor: Client, topics: dict[str, Topic], into: str
) -> None:
    other = factories.make_audience(factories.make_site("other.example"))
    strange = Topic.objects.create(audience=other, key="news", channels=["email"])
    Topic.objects.filter(key="events").update(archived=True)
    ids = {"orders": topics["orders"].pk, "offers": topics["offers"].pk}
    ids |= {"archived": topics["events"].pk, "elsewhere": strange.pk}
    form = {"into": ids.get(into, into), "reason": "x"}
    assert editor.post(url("merge", topics["offers"]), form).status_code == 200
    assert not TopicMerge.objects.exists()
    assert "Yes, merge them" not in editor.get(url("merge", topics["offers"]), form).content.decode()


def test_what_always_comes_and_what_is_archived_is_not_merged(
    editor: Client, topics: dict[str, Topic]
) -> None:
    Topic.objects.filter(key="offers").update(archived=True)
    for key in ("orders", "offers"):
        answer = editor.post(url("merge", topics[key]), {"into": topics["news"].pk, "reason": "x"})
        assert answer["Location"] == url("edit", topics[key])
    assert not TopicMerge.objects.exists()


def test_bringing_a_topic_back_ends_its_merge(editor: Client, topics: dict[str, Topic]) -> None:
    user = factories.make_editor()
    merge = topic_merging.begin(topics["offers"], topics["news"], reason="x", user=user)
    assert topic_merging.begin(topics["offers"], topics["events"], reason="y", user=user) == merge
    editor.post(url("bring_back", topics["offers"]))
    person("late", say("offers", NO))
    assert topic_merging.go_on(merge).changed == 0
    # And it can be merged anew, into another.
    second = topic_merging.begin(topics["offers"], topics["events"], reason="y", user=user)
    assert second != merge
    assert topic_merging.go_on(second).changed == 1


def test_the_unsubscribe_link_of_an_old_mail_is_about_the_topic_it_goes_on_as(
    client: Client, topics: dict[str, Topic]
) -> None:
    contact = person("both", say("offers", YES), say("news", YES), say("events", YES))
    token = make_token(Purpose.UNSUBSCRIBE, contact, topic="offers", channel="email")
    merged(topics)
    assert state_of(contact).choices["news", "email"] == YES
    data = {"List-Unsubscribe": "One-Click"}
    assert client.post(reverse("wagtail_prefs:one-click", args=[token]), data).status_code == 200
    choices = state_of(contact).choices
    assert {topic: choices[topic, "email"] for topic in ("offers", "news", "events")} == {
        "offers": NO,
        "news": NO,
        "events": YES,
    }


def test_a_topic_goes_on_step_by_step_and_no_longer_once_it_is_back(topics: dict[str, Topic]) -> None:
    audience, user = topics["offers"].audience_id, factories.make_editor()
    assert goes_on_as(audience, "offers") == ()
    merged(topics)
    topic_merging.begin(topics["news"], topics["events"], reason="x", user=user)
    assert goes_on_as(audience, "offers") == ("news", "events")
    assert goes_on_as(audience, "events") == ()
    assert goes_on_as(factories.make_audience(factories.make_site("other.example")).pk, "offers") == ()
    Topic.objects.filter(key="news").update(archived=False)
    assert goes_on_as(audience, "offers") == ("news",)
    # Round in a circle: brought back, and merged the other way.
    Topic.objects.filter(key="offers").update(archived=False)
    topic_merging.stop(topics["news"])
    topic_merging.begin(topics["news"], topics["offers"], reason="x", user=user)
    Topic.objects.filter(key="offers").update(archived=True)
    assert goes_on_as(audience, "news") == ("offers",)


@pytest.mark.django_db(transaction=True)
def test_two_at_once_carry_each_over_once() -> None:
    topics = factories.make_topics()
    contacts = [person(f"p{number}", say("news", YES), say("offers", NO)) for number in range(12)]
    merge = topic_merging.begin(topics["offers"], topics["news"], reason="x", user=factories.make_editor())
    failed: list[BaseException] = []

    def run() -> None:
        try:
            topic_merging.go_on(merge, batch=3, seconds=60)
        except BaseException as error:  # noqa: BLE001 - told below
            failed.append(error)
        finally:
            connection.close()

    threads = [threading.Thread(target=run) for _number in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert failed == []
    merge.refresh_from_db()
    assert merge.done_at is not None
    assert merge.looked_at == merge.changed == len(contacts)
    for contact in contacts:
        assert state_of(contact).choices["news", "email"] == NO
        assert Record.objects.filter(contact_ref=contact.pk).count() == 3


@pytest.mark.django_db(transaction=True)
def test_what_she_says_just_before_her_turn_is_heard() -> None:
    topics = factories.make_topics()
    contact = person("p", say("news", YES), say("offers", NO))  # so far she would have to leave
    merge = topic_merging.begin(topics["offers"], topics["news"], reason="x", user=factories.make_editor())
    TopicMerge.objects.update(channel="email")  # where her row is
    looked = threading.Event()

    def watch(execute: Any, sql: str, *rest: Any) -> Any:
        result = execute(sql, *rest)
        if "contact.id IN (" in sql:
            looked.set()
        return result

    def run() -> None:
        with connection.execute_wrapper(watch):
            topic_merging.go_on(merge)
        connection.close()

    def waiting() -> bool:
        with connection.cursor() as cursor:
            cursor.execute("SELECT COUNT(*) FROM pg_locks WHERE NOT granted")
            return bool(cursor.fetchone()[0])

    thread = threading.Thread(target=run)
    with transaction.atomic():
        for value in (NO, YES):
            submissions.record(
                contact.pk, [say("news", value)], actor=HERSELF, source=Source(method="python")
            )
        thread.start()
        assert looked.wait(20)
        while connection.vendor == "postgresql" and not waiting():  # until it is her turn, which she holds up
            assert thread.is_alive()
    thread.join()
    assert state_of(contact).choices["news", "email"] == YES
    merge.refresh_from_db()
    assert (merge.looked_at, merge.changed) == (1, 0)
