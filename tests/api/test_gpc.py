"""`Sec-GPC: 1`: the browser's no to sale and sharing, by the element and by the page (security.md LW-09; 11 CCR 7025)."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.utils import timezone
from hypothesis import given, strategies as st

from tests import factories, pages
from tests.docs import explained
from tests.properties import examples
from tests.web.conftest import choose, path_of, post
from tests.web.test_confirm import asked, press
from wagtail_prefs import decide
from wagtail_prefs.access.services import manage_url
from wagtail_prefs.centers.models import CenterSnapshot
from wagtail_prefs.centers.services import get_snapshot, unpublish
from wagtail_prefs.changes import Confirm, OptOut, SetChoice
from wagtail_prefs.contacts import rules
from wagtail_prefs.contacts.models import Contact
from wagtail_prefs.contacts.services import load_state
from wagtail_prefs.ledger.models import Record
from wagtail_prefs.ledger.services import read_body
from wagtail_prefs.submissions import gpc, services as submissions
from wagtail_prefs.submissions.audit import differences
from wagtail_prefs.topics.models import Topic
from wagtail_prefs.values import PENDING, SUBSCRIBED, UNSUBSCRIBED, Actor, ActorType, ContactState, Source

from .conftest import Visit

GPC = {"Sec-GPC": "1"}
HONOURED = {"text": "Your browser’s opt-out signal is honoured.", "kind": "gpc"}
#: What is no signal (11 CCR 7025(b): the one that is defined), absent included.
OTHERS: list[dict[str, str]] = [
    {},
    *({"Sec-GPC": value} for value in ("0", "", "true", "1, 1", "1;", "01", "１", "1.0", "yes", "-1", "1 1")),
    {"DNT": "1"},
    {"X-Sec-GPC": "1"},
]


@pytest.fixture
def sharing(visit: Visit) -> Visit:
    """She gets news, offers and events by e-mail; offers and events share data."""
    Topic.objects.filter(key__in=("offers", "events")).update(shares_data=True)
    choose(
        visit.contact,
        *(SetChoice(topic, "email", SUBSCRIBED) for topic in ("news", "offers", "events")),
    )
    return visit


def choices(visit: Visit) -> dict[tuple[str, str], str]:
    return dict(load_state(visit.contact.pk).choices)


def answers(visit: Visit, **topics: dict[str, bool]) -> dict[str, Any]:
    return {factories.block_id(visit.page, "topics"): {"choices": topics}}


def drawn(preferences: dict[str, Any], visit: Visit) -> dict[str, Any]:
    found: dict[str, Any] = preferences["answers"][factories.block_id(visit.page, "topics")]["choices"]
    return found


def save(visit: Visit, preferences: dict[str, Any], said: dict[str, Any], **headers: str) -> Any:
    body = {
        "base_version": preferences["version"],
        "revision": preferences["revision"],
        "answers": said,
    }
    return visit.patch(body, **headers)


def records(visit: Visit) -> list[Record]:
    return list(Record.objects.filter(contact_ref=visit.contact.pk, actor=ActorType.GPC))


# --- the element -----------------------------------------------------------------------------------------------------


def test_opening_a_session_records_it_once(sharing: Visit) -> None:
    opened = sharing.post("sessions/", {"code": sharing.code()}, **GPC).json()
    assert opened["preferences"]["outlook"][-1] == HONOURED
    assert drawn(opened["preferences"], sharing)["offers"]["email"] is False
    (record,) = records(sharing)
    body = read_body(record)
    assert body["actor"] == {"type": "gpc", "id": ""}
    assert body["method"] == "element"
    assert body["form_id"] == str(sharing.page.translation_key)
    # What comes by other channels is asked nobody yet: it is a no as well, from now on.
    noes = {("offers", "email"), ("offers", "sms"), ("events", "email"), ("events", "post")}
    assert {(item["purpose_id"], item["channel"]) for item in body["effects"]} == noes
    assert {key for key, value in choices(sharing).items() if value == UNSUBSCRIBED} == noes
    assert choices(sharing)[("news", "email")] == SUBSCRIBED
    assert opened["preferences"]["version"] == record.seq
    assert differences(sharing.contact.pk) == []
    sharing.session = opened["session"]
    for _ in range(2):
        preferences = sharing.post("sessions/", {"code": sharing.code()}, **GPC).json()["preferences"]
        assert save(sharing, preferences, {}, **GPC).status_code == 200
    assert len(records(sharing)) == 1


@pytest.mark.parametrize("headers", OTHERS, ids=str)
def test_anything_else_is_no_signal(sharing: Visit, headers: dict[str, str]) -> None:
    before = choices(sharing)
    opened = sharing.post("sessions/", {"code": sharing.code()}, **headers).json()
    assert HONOURED not in opened["preferences"]["outlook"]
    sharing.session = opened["session"]
    assert HONOURED not in sharing.get(**headers).json()["outlook"]
    assert save(sharing, opened["preferences"], {}, **headers).status_code == 200
    assert choices(sharing) == before
    assert records(sharing) == []


@pytest.mark.parametrize("name", ["sec-gpc", "SEC-GPC", "Sec-Gpc"])
def test_the_name_of_a_header_has_no_case(sharing: Visit, name: str) -> None:
    sharing.enter()
    assert sharing.get(**{name: "1"}).json()["outlook"][-1] == HONOURED


def test_looking_writes_nothing_and_draws_it_off(sharing: Visit) -> None:
    sharing.enter()
    before = load_state(sharing.contact.pk)
    seen = sharing.get(**GPC).json()
    assert seen["outlook"][-1] == HONOURED
    assert drawn(seen, sharing)["offers"]["email"] is False
    assert drawn(seen, sharing)["news"]["email"] is True
    assert seen["version"] == before.version
    assert load_state(sharing.contact.pk) == before
    again = sharing.get().json()  # in another browser of hers
    assert HONOURED not in again["outlook"]
    assert drawn(again, sharing)["offers"]["email"] is True


def test_a_wait_is_not_drawn_and_ends(sharing: Visit) -> None:
    until = timezone.now() + timedelta(days=7)
    choose(sharing.contact, SetChoice("offers", "sms", PENDING, until=until))
    sharing.enter()
    assert sharing.get().json()["pending"]
    assert sharing.get(**GPC).json()["pending"] == []
    sharing.post("sessions/", {"code": sharing.code()}, **GPC)
    assert load_state(sharing.contact.pk).pending == frozenset()


def test_a_yes_to_it_is_not_taken_and_named(sharing: Visit) -> None:
    preferences = sharing.enter()
    said = answers(sharing, offers={"sms": True}, news={"sms": True})
    answer = save(sharing, preferences, said, **GPC).json()
    assert [line["path"].partition(".")[2] for line in answer["merged"]] == ["choices.offers.sms"]
    assert answer["merged"][0]["text"] == (
        "Offers by text message: stays off, because your browser asks that your data is not sold or shared."
    )
    assert [line["path"].partition(".")[2] for line in answer["applied"]] == ["choices.news.sms"]
    assert choices(sharing)[("offers", "sms")] == UNSUBSCRIBED
    assert choices(sharing)[("news", "sms")] == SUBSCRIBED
    body = read_body(Record.objects.get(pk=answer["receipt"]))
    assert [(item["path"], item["rule"]) for item in body["merged"]] == [("choice:offers:sms", "gpc")]
    assert answer["preferences"]["outlook"][-1] == HONOURED
    assert differences(sharing.contact.pk) == []


def test_a_yes_alone_changes_nothing_but_the_signal(sharing: Visit) -> None:
    preferences = sharing.enter()
    answer = save(sharing, preferences, answers(sharing, offers={"email": True}), **GPC).json()
    assert answer["receipt"] is None
    assert len(answer["merged"]) == 1
    assert len(records(sharing)) == 1


def test_without_the_signal_she_may_say_yes_again(sharing: Visit) -> None:
    """It is the browser's word, not a lock: another browser of hers, or this one without it, speaks for itself."""
    sharing.post("sessions/", {"code": sharing.code()}, **GPC)
    preferences = sharing.enter()
    assert save(sharing, preferences, answers(sharing, offers={"email": True})).json()["merged"] == []
    assert choices(sharing)[("offers", "email")] == SUBSCRIBED
    sharing.post("sessions/", {"code": sharing.code()}, **GPC)
    assert choices(sharing)[("offers", "email")] == UNSUBSCRIBED
    assert len(records(sharing)) == 2


def test_a_no_is_taken(sharing: Visit) -> None:
    preferences = sharing.enter()
    assert save(sharing, preferences, answers(sharing, news={"email": False}), **GPC).status_code == 200
    assert set(choices(sharing).values()) == {UNSUBSCRIBED}


def test_it_is_recorded_also_where_the_answers_are_refused(sharing: Visit) -> None:
    preferences = sharing.enter()
    answer = save(sharing, preferences, answers(sharing, nothing={"email": True}), **GPC)
    assert answer.status_code == 422
    assert choices(sharing)[("offers", "email")] == UNSUBSCRIBED


def test_undo_brings_none_of_it_back(sharing: Visit) -> None:
    preferences = sharing.enter()
    said = answers(sharing, news={"email": False}, offers={"email": False})
    receipt = save(sharing, preferences, said).json()["receipt"]
    undone = sharing.undo(receipt, **GPC).json()
    assert [line["path"].partition(".")[2] for line in undone["kept"]] == ["choices.offers.email"]
    assert "sold or shared" in undone["kept"][0]["text"]
    assert (choices(sharing)[("news", "email")], choices(sharing)[("offers", "email")]) == (
        SUBSCRIBED,
        UNSUBSCRIBED,
    )
    assert differences(sharing.contact.pk) == []


def test_undo_of_everything_brings_back_the_rest(sharing: Visit) -> None:
    sharing.enter()
    left = submissions.record(
        sharing.contact.pk, [OptOut()], actor=Actor(ActorType.SUBJECT_LINK), source=Source(method="page")
    )
    undone = sharing.undo(left.receipt, **GPC).json()
    assert len(undone["kept"]) == 2
    assert choices(sharing)[("news", "email")] == SUBSCRIBED
    assert UNSUBSCRIBED == choices(sharing)[("offers", "email")] == choices(sharing)[("events", "email")]


def test_her_history_names_the_signal(sharing: Visit) -> None:
    sharing.post("sessions/", {"code": sharing.code()}, **GPC)
    sharing.enter()
    history = sharing.client.get(sharing.url("preferences/history/"), headers=sharing.headers()).json()
    assert history["records"][0]["title"] == "By the privacy signal of your browser"


def test_nothing_that_shares_means_nothing_to_say(visit: Visit) -> None:
    choose(visit.contact, SetChoice("news", "email", SUBSCRIBED))
    Topic.objects.filter(key="orders").update(shares_data=True)  # always sent: no choice of hers
    opened = visit.post("sessions/", {"code": visit.code()}, **GPC).json()
    assert HONOURED not in opened["preferences"]["outlook"]
    assert records(visit) == []


def test_topics_of_another_audience_are_not_meant(sharing: Visit) -> None:
    other = factories.make_audience(factories.make_site("other.example"))
    Topic.objects.create(audience=other, key="news", channels=["email"], shares_data=True)
    sharing.post("sessions/", {"code": sharing.code()}, **GPC)
    assert choices(sharing)[("news", "email")] == SUBSCRIBED


def test_who_opted_out_is_told_both(sharing: Visit) -> None:
    choose(sharing.contact, OptOut())
    sharing.enter()
    assert [line["kind"] for line in sharing.get(**GPC).json()["outlook"]] == ["opted_out", "always", "gpc"]


def test_what_it_costs(sharing: Visit) -> None:
    sharing.enter()

    def asked(call: Callable[[], Any]) -> int:
        call()
        words = ("BEGIN", "COMMIT", "SAVEPOINT", "RELEASE", "ROLLBACK")
        with CaptureQueriesContext(connection) as captured:
            call()
        return sum(not query["sql"].startswith(words) for query in captured)

    assert asked(lambda: sharing.get(**GPC)) - asked(sharing.get) == 1
    nothing = {"base_version": 0, "revision": sharing.get().json()["revision"], "answers": {}}
    sharing.patch(nothing, **GPC)
    # Which topics, who she is, and the same topics for the answer.
    assert asked(lambda: sharing.patch(nothing, **GPC)) - asked(lambda: sharing.patch(nothing)) == 3


# --- the page without JavaScript -------------------------------------------------------------------------------------


def fill_in(path: str, change: dict[str, str], **headers: str) -> Any:
    client = Client(enforce_csrf_checks=True)
    page = pages.parse(client.get(path, headers=headers).content.decode())
    data = {**pages.submitted(page), **{name: [value] for name, value in change.items()}}
    return post(client, path, data, **headers)


@pytest.fixture
def manage(sharing: Visit) -> str:
    return path_of(manage_url(sharing.contact, sharing.page.translation_key))


def test_the_page_says_so_and_writes_nothing(sharing: Visit, manage: str) -> None:
    before = load_state(sharing.contact.pk)
    page = pages.parse(Client().get(manage, headers=GPC).content.decode())
    assert HONOURED["text"] in page.words
    name = f"{factories.block_id(sharing.page, 'topics')}.choices"
    assert "checked" not in page.one("input", id=f"{name}.offers.email")
    assert "checked" in page.one("input", id=f"{name}.news.email")
    assert load_state(sharing.contact.pk) == before
    assert HONOURED["text"] not in Client().get(manage).content.decode()


def test_the_form_records_it_and_takes_no_yes(sharing: Visit, manage: str) -> None:
    name = f"{factories.block_id(sharing.page, 'topics')}.choices.offers.sms"
    response = fill_in(manage, {name: "1"}, **GPC)
    # Nothing of the form could be saved, so that the page says at once why.
    assert response.status_code == 200
    page = pages.parse(response.content.decode())
    assert "Offers by text message: stays off" in page.words
    assert choices(sharing)[("offers", "sms")] == UNSUBSCRIBED
    assert choices(sharing)[("offers", "email")] == UNSUBSCRIBED
    assert choices(sharing)[("news", "email")] == SUBSCRIBED
    (record,) = records(sharing)
    assert read_body(record)["method"] == "page"


def test_what_the_form_saves_beside_it_is_told_after_it(sharing: Visit, manage: str) -> None:
    name = f"{factories.block_id(sharing.page, 'topics')}.choices"
    response = fill_in(manage, {f"{name}.offers.sms": "1", f"{name}.news.sms": "1"}, **GPC)
    assert response.status_code == 303
    page = pages.parse(Client().get(response["Location"], headers=GPC).content.decode())
    assert "Offers by text message: stays off" in page.words
    assert choices(sharing)[("news", "sms")] == SUBSCRIBED


@pytest.mark.parametrize("headers", OTHERS, ids=str)
def test_no_signal_changes_nothing_on_the_page(sharing: Visit, manage: str, headers: dict[str, str]) -> None:
    before = choices(sharing)
    assert fill_in(manage, {}, **headers).status_code == 303
    assert choices(sharing) == before


@pytest.mark.parametrize("forgotten", [False, True], ids=["page", "page that nobody has any more"])
def test_a_sign_up_is_confirmed_without_it(sharing: Visit, forgotten: bool) -> None:
    path = asked(sharing.page, "news", "offers", address="new@mail.example.org")
    if forgotten:
        unpublish(sharing.page)
        CenterSnapshot.objects.all().delete()
        get_snapshot.cache_clear()
    said = press(Client(enforce_csrf_checks=True), path, **GPC).content.decode()
    contact = Contact.objects.get(email="new@mail.example.org")
    held = load_state(contact.pk).choices
    assert held == {("news", "email"): SUBSCRIBED}
    assert decide(contact.pk, "offers", "email").verdict == "refuse"
    assert ("Offers by e-mail: stays off" in said) is not forgotten
    assert differences(contact.pk) == []


def test_the_explanation_is_so(db: None) -> None:
    factories.make_topics()
    Topic.objects.filter(key="offers").update(shares_data=True)
    contact = factories.make_contact()
    choose(contact, SetChoice("news", "email", SUBSCRIBED), SetChoice("offers", "email", SUBSCRIBED))
    names = {"contact": contact, "state": lambda: load_state(contact.pk)}
    assert explained.run(explained.DOCS / "explanation" / "opt-out-signal.md", names) == 10


# --- the rules -------------------------------------------------------------------------------------------------------

KEYS = st.tuples(st.sampled_from(["a", "b", "c"]), st.sampled_from(["email", "sms"]))
WISHES = st.one_of(
    st.builds(
        SetChoice,
        st.sampled_from(["a", "b", "c"]),
        st.just("email"),
        st.sampled_from([SUBSCRIBED, UNSUBSCRIBED]),
    ),
    st.builds(Confirm, st.sampled_from(["a", "b", "c"]), st.just("email")),
    st.just(OptOut()),
)


@pytest.mark.property
@examples(300)
@given(
    held=st.dictionaries(KEYS, st.sampled_from([SUBSCRIBED, UNSUBSCRIBED]), max_size=6),
    pending=st.frozensets(KEYS, max_size=3),
    shared=st.dictionaries(
        st.sampled_from(["a", "b"]), st.lists(st.sampled_from(["email", "sms"]), unique=True)
    ),
    wished=st.lists(WISHES, max_size=4),
)
def test_it_makes_no_yes_of_anything_and_leaves_the_rest_alone(
    held: dict[tuple[str, str], str],
    pending: frozenset[tuple[str, str]],
    shared: dict[str, list[str]],
    wished: list[Any],
) -> None:
    state = ContactState(id=None, audience="a", choices=held, pending=pending)  # type: ignore[arg-type]  # nobody in particular
    act = rules.Act(Actor(ActorType.GPC), timezone.now())
    after, effects = rules.apply(state, gpc.refusals(state, shared), act)
    assert all(effect.topic in shared and effect.after != SUBSCRIBED for effect in effects)
    assert {key: value for key, value in after.choices.items() if key[0] not in shared} == {
        key: value for key, value in held.items() if key[0] not in shared
    }
    for topic, channels in shared.items():
        assert not [key for key in after.pending if key[0] == topic]
        assert SUBSCRIBED not in [value for key, value in after.choices.items() if key[0] == topic]
        assert all(after.choices[(topic, channel)] == UNSUBSCRIBED for channel in channels)
    assert gpc.refusals(after, shared) == ()
    kept, merged = gpc.without_yes(wished, shared, state)
    assert len(kept) + len(merged) == len(wished)
    assert {item.path.split(":")[1] for item in merged} <= shared.keys()
    assert not [
        change
        for change in kept
        if change.key[0] in shared and not (isinstance(change, SetChoice) and change.value == UNSUBSCRIBED)
    ]
