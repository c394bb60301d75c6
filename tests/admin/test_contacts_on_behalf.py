"""Changing on behalf: what is needed for a yes, what is shown before, what is kept, and who comes second."""

from __future__ import annotations

import uuid
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import pytest
import time_machine
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.urls import reverse
from hypothesis import given, strategies as st
from wagtail.models import ModelLogEntry

from tests.admin.staff import make_staff
from tests.decisions.cases import law_files
from tests.delivery.people import HERSELF, JOIN, LEAVE, OUT, save
from tests.factories import make_contact, make_editor, make_topics
from tests.properties import examples
from wagtail_prefs.admin import people, staff_log
from wagtail_prefs.admin.on_behalf import Moved, foresee, save as save_for
from wagtail_prefs.admin.on_behalf_form import OnBehalfForm
from wagtail_prefs.changes import Change, OptIn, OptOut, Pause, Resume, SetChoice, SetFrequency
from wagtail_prefs.contacts.models import Contact
from wagtail_prefs.contacts.rules import contradictions
from wagtail_prefs.contacts.services import load_state
from wagtail_prefs.delivery.models import Delivery
from wagtail_prefs.errors import NotAllowed
from wagtail_prefs.ledger import services as ledger
from wagtail_prefs.ledger.models import Record
from wagtail_prefs.submissions.services import erase, merge_contacts, record
from wagtail_prefs.topics.models import Topic
from wagtail_prefs.values import (
    FREQUENCIES,
    SUBSCRIBED,
    UNSUBSCRIBED,
    Actor,
    ActorType,
    Evidence,
    Source,
)

pytestmark = pytest.mark.django_db

NOW = datetime(2026, 6, 1, 12, 0, tzinfo=UTC)
NEWS, SMS = ("news", "email"), ("news", "sms")


@pytest.fixture
def clock() -> Iterator[time_machine.Traveller]:
    with time_machine.travel(NOW, tick=True) as traveller:
        yield traveller


@pytest.fixture
def editor(clock: time_machine.Traveller, client: Client) -> Client:
    client.force_login(make_editor())
    return client


@pytest.fixture
def anna(clock: time_machine.Traveller) -> Contact:
    make_topics()
    return make_contact("anna@mail.example.org", timezone="America/New_York")


def url(contact: Contact) -> str:
    return reverse("prefs_contacts:change", args=[contact.pk])


def form(client: Client, contact: Contact, **fields: Any) -> dict[str, Any]:
    """The form as it is drawn now, filled in. `__` in names of fields stands for a colon."""
    drawn = client.get(url(contact)).context["form"]
    hidden = {name: str(drawn.initial[name]) for name in ("base_version", "act")}
    named = {name.replace("__", ":"): value for name, value in fields.items()}
    return {**hidden, "reason": "called us", **named}


def send(client: Client, contact: Contact, data: dict[str, Any], step: str = "confirm") -> Any:
    return client.post(url(contact), {**data, "step": step})


def saved(client: Client, contact: Contact, **fields: Any) -> bool:
    """Look at the preview, then confirm; whether it was saved."""
    data = form(client, contact, **fields)
    preview = send(client, contact, data, "preview")
    assert preview.status_code == 200
    if not preview.context.get("forecast"):
        return False
    return bool(send(client, contact, data).status_code == 302)


def evidence(at: datetime) -> dict[str, str]:
    return {"evidence_reference": "ticket 4711", "evidence_at": f"{at:%Y-%m-%dT%H:%M}"}


def errors(answer: Any) -> str:
    return " ".join(str(error) for found in answer.context["form"].errors.values() for error in found)


# --- what is saved -----------------------------------------------------------------------------------------------------


def test_a_no_needs_a_reason_and_nothing_else(editor: Client, anna: Contact) -> None:
    save(anna.pk, JOIN)
    assert saved(editor, anna, choice__news__email=UNSUBSCRIBED)
    state = load_state(anna.pk)
    assert state.choices[NEWS] == UNSUBSCRIBED
    entry = Record.objects.get(contact_ref=anna.pk, seq=2)
    body = ledger.read_body(entry)
    user = ModelLogEntry.objects.get(action=staff_log.CHANGED).user
    assert body["actor"] == {"type": "admin", "id": str(user.pk)}
    assert body["method"] == "staff"
    assert body["evidence_ref"] is None
    log = ModelLogEntry.objects.get(action=staff_log.CHANGED)
    assert log.object_id == str(anna.pk)
    assert log.data["reason"] == "called us"
    assert log.data["receipt"] == str(entry.pk)
    assert body["form_id"] == f"staff-{log.data['act']}"
    assert "called us" not in entry.body  # free words stay out of what cannot be changed
    assert Delivery.objects.get(contact=anna.pk).wanted == 2


def test_her_page_and_her_staff_see_it_afterwards(editor: Client, anna: Contact) -> None:
    save(anna.pk, JOIN)
    assert saved(editor, anna, choice__news__email=UNSUBSCRIBED, reason="asked by letter")
    text = editor.get(reverse("prefs_contacts:person", args=[anna.pk])).content.decode()
    assert "Staff: editor (staff)" in text
    assert "Reason: asked by letter" in text
    assert "Changed on her behalf: asked by letter" in text


def test_everything_of_the_form_is_saved_at_once(editor: Client, anna: Contact) -> None:
    save(anna.pk, JOIN, Pause("", "sms", NOW + timedelta(days=9)))
    assert saved(
        editor,
        anna,
        choice__news__email=UNSUBSCRIBED,
        choice__offers__sms=UNSUBSCRIBED,
        frequency__all="monthly",
        frequency__topic__offers="weekly",
        pause__channel__email="2026-07-01",
        resume__channel__sms="on",
    )
    state = load_state(anna.pk)
    assert state.choices == {NEWS: UNSUBSCRIBED, ("offers", "sms"): UNSUBSCRIBED}
    assert state.frequencies == {("", ""): "monthly", ("offers", ""): "weekly"}
    # The day begins where she lives.
    assert state.pauses[("", "email")].until == datetime(2026, 7, 1, tzinfo=ZoneInfo("America/New_York"))
    assert ("", "sms") not in state.pauses
    assert state.version == 2


def test_leaving_everything(editor: Client, anna: Contact) -> None:
    save(anna.pk, JOIN)
    assert saved(editor, anna, everything="opt_out")
    state = load_state(anna.pk)
    assert state.opted_out
    assert state.choices[NEWS] == UNSUBSCRIBED


# --- a yes -------------------------------------------------------------------------------------------------------------


def test_a_yes_needs_evidence(editor: Client, anna: Contact) -> None:
    for given_evidence in ({}, {"evidence_reference": "ticket 4711"}, {"evidence_at": "2026-05-01T10:00"}):
        for wish in ({"choice__news__email": SUBSCRIBED}, {"everything": "opt_in"}):
            answer = send(editor, anna, form(editor, anna, **wish, **given_evidence))
            assert answer.status_code == 200
            assert "ay w" in errors(answer)  # Say where, or say when
    assert not Record.objects.exists()


def test_a_yes_with_evidence_is_a_yes_with_its_proof(editor: Client, anna: Contact) -> None:
    assert saved(editor, anna, choice__news__email=SUBSCRIBED, **evidence(NOW - timedelta(days=3)))
    assert load_state(anna.pk).choices[NEWS] == SUBSCRIBED
    body = ledger.read_body(Record.objects.get(contact_ref=anna.pk))
    assert body["evidence_ref"] == "ticket 4711"
    assert body["evidence_at"] == "2026-05-29T12:00:00.000000Z"


def test_lw_07_a_purchase_is_no_yes(editor: Client, anna: Contact, settings: Any, tmp_path: Path) -> None:
    Topic.objects.filter(key="offers").update(basis="soft_opt_in")
    path = str(law_files(tmp_path)["opt_in_soft"])
    sale = {**evidence(NOW - timedelta(days=3)), "evidence_kind": "sale"}
    wish = form(editor, anna, choice__offers__email=SUBSCRIBED, **sale)
    assert "asks for a yes of her own" in errors(send(editor, anna, wish, "preview"))
    settings.WAGTAIL_PREFS = {**settings.WAGTAIL_PREFS, "JURISDICTIONS": path}
    assert "asks for a yes of her own" in errors(
        send(editor, anna, wish, "preview")
    )  # nobody knows where she is
    Contact.objects.filter(pk=anna.pk).update(country="CA")
    wrong = form(editor, anna, choice__news__email=SUBSCRIBED, choice__offers__email=SUBSCRIBED, **sale)
    assert "A purchase is no yes" in errors(send(editor, anna, wrong, "preview"))
    assert not Record.objects.exists()
    assert saved(editor, anna, choice__offers__email=SUBSCRIBED, **sale)
    state = load_state(anna.pk)
    assert state.choices == {("offers", "email"): SUBSCRIBED}
    assert state.until["offers", "email"] == datetime(2028, 5, 29, 12, tzinfo=UTC)
    assert ledger.read_body(Record.objects.get())["evidence_kind"] == "sale"


def test_a_no_is_not_overruled_by_older_evidence(
    editor: Client, anna: Contact, clock: time_machine.Traveller
) -> None:
    """LW-14: a withdrawal stands until she does something new."""
    save(anna.pk, LEAVE)
    clock.move_to(NOW + timedelta(days=5))
    data = form(editor, anna, choice__news__email=SUBSCRIBED, **evidence(NOW - timedelta(days=1)))
    for step in ("preview", "confirm"):
        answer = send(editor, anna, data, step)
        assert answer.status_code == 200
        assert "That was: June 1, 2026" in errors(answer)
        text = answer.content.decode()
        assert 'value="ticket 4711"' in text  # nothing is lost
        assert 'value="called us"' in text
        assert '<option value="subscribed" selected>' in text
    assert load_state(anna.pk).choices[NEWS] == UNSUBSCRIBED
    assert not ModelLogEntry.objects.filter(action=staff_log.CHANGED).exists()
    assert saved(editor, anna, choice__news__email=SUBSCRIBED, **evidence(NOW + timedelta(days=2)))
    assert load_state(anna.pk).choices[NEWS] == SUBSCRIBED


def test_an_opt_out_ends_what_she_said_before_it(
    editor: Client, anna: Contact, clock: time_machine.Traveller
) -> None:
    save(anna.pk, OUT)
    clock.move_to(NOW + timedelta(days=5))
    old, new = evidence(NOW - timedelta(days=1)), evidence(NOW + timedelta(days=1))
    assert not saved(editor, anna, choice__events__email=SUBSCRIBED, **old)
    assert not saved(editor, anna, everything="opt_in", **old)
    preview = send(editor, anna, form(editor, anna, choice__events__email=SUBSCRIBED, **new), "preview")
    steps = {step.label: (step.before, step.after) for step in preview.context["forecast"].steps}
    assert steps["Unsubscribed from everything"] == ("yes", "no")  # it is said that this is lifted, too
    assert saved(editor, anna, choice__events__email=SUBSCRIBED, **new)
    assert not load_state(anna.pk).opted_out


def test_a_suppressed_address_needs_her_own_link(editor: Client, anna: Contact) -> None:
    erase(anna.pk, actor=HERSELF, source=Source(method="test"))
    again = make_contact("anna@mail.example.org")
    answer = send(editor, again, form(editor, again, choice__news__email=SUBSCRIBED, **evidence(NOW)))
    assert "Only she can bring it back" in errors(answer)
    assert not Record.objects.filter(contact_ref=again.pk).exists()


def test_a_superuser_may_no_more(editor: Client, anna: Contact) -> None:
    save(anna.pk, LEAVE)
    with pytest.raises(NotAllowed):
        record(anna.pk, [JOIN], actor=Actor(ActorType.ADMIN, "1"), source=Source(method="staff"))
    assert not saved(editor, anna, choice__news__email=SUBSCRIBED, **evidence(NOW - timedelta(days=1)))


# --- what is refused ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("fields", "words"),
    [
        ({"choice__news__email": UNSUBSCRIBED, "reason": ""}, "required"),
        ({"choice__news__email": UNSUBSCRIBED, "reason": "wrote from anna@mail.example.org"}, "Leave out"),
        ({"choice__news__email": UNSUBSCRIBED, "evidence_reference": "x@y", "evidence_at": "2026-05-01T10:00"}, "Leave"),
        ({"choice__news__email": SUBSCRIBED, **evidence(NOW + timedelta(days=1))}, "not happened yet"),
        ({"choice__news__email": UNSUBSCRIBED, "evidence_at": "yesterday"}, "valid date"),
        ({}, "Choose what is to be changed"),
        ({"everything": "opt_out", "choice__news__email": SUBSCRIBED, **evidence(NOW)}, "at once"),
        ({"pause__all": "2026-05-01"}, "in the future"),
        ({"pause__all": "9999-12-31", "resume__all": "on"}, "Either pause"),
        ({"pause__all": "01.07.2026"}, "valid date"),
        ({"frequency__all": "hourly"}, "valid choice"),
        ({"choice__news__email": "pending"}, "valid choice"),
        ({"choice__orders__email": UNSUBSCRIBED}, "Choose what"),  # always sent: not on the form
        ({"choice__nothing__email": UNSUBSCRIBED}, "Choose what"),
        ({"everything": "erase"}, "valid choice"),
        ({"choice__news__sms": UNSUBSCRIBED, "base_version": "x"}, "whole number"),
        ({"choice__news__sms": UNSUBSCRIBED, "act": "1"}, "UUID"),
        ({"resume__all": "on"}, "change nothing"),
    ],
)  # fmt: skip
def test_nonsense_is_refused_in_words(
    editor: Client, anna: Contact, fields: dict[str, Any], words: str
) -> None:
    for step in ("preview", "confirm", "nonsense"):
        answer = send(editor, anna, form(editor, anna, **fields), step)
        assert answer.status_code == 200
        assert words in errors(answer)
        assert "Nothing was changed." in answer.content.decode()
    assert not Record.objects.exists()


def test_what_is_so_already_changes_nothing(editor: Client, anna: Contact) -> None:
    save(anna.pk, LEAVE)
    answer = send(editor, anna, form(editor, anna, choice__news__email=UNSUBSCRIBED))
    assert "so already" in errors(answer)
    assert Record.objects.count() == 1


def test_a_far_pause_is_taken_or_refused_but_never_breaks(editor: Client, anna: Contact) -> None:
    for day in ("9999-12-31", "9998-01-01", "0001-01-01", "1900-02-29"):
        assert send(editor, anna, form(editor, anna, pause__all=day), "preview").status_code == 200


def test_somebody_who_is_gone_cannot_be_changed(editor: Client, anna: Contact) -> None:
    data = form(editor, anna, choice__news__email=UNSUBSCRIBED)
    winner = make_contact("anna2@mail.example.org")
    merge_contacts(anna.pk, winner.pk, actor=HERSELF, source=Source(method="test"))
    before = Record.objects.count()
    for answer in (editor.get(url(anna)), send(editor, anna, data)):
        assert answer.status_code == 302
    erase(winner.pk, actor=HERSELF, source=Source(method="test"))
    after = Record.objects.count()
    assert after > before
    assert editor.get(url(winner)).status_code == 302
    assert Record.objects.count() == after


# --- preview, back, twice, and meanwhile -------------------------------------------------------------------------------


def test_a_preview_writes_nothing_and_keeps_the_form(editor: Client, anna: Contact) -> None:
    save(anna.pk, JOIN)
    data = form(
        editor, anna, choice__news__email=UNSUBSCRIBED, frequency__all="weekly", reason="it's <b> “so”"
    )
    preview = send(editor, anna, data, "preview")
    steps = [(step.label, step.before, step.after) for step in preview.context["forecast"].steps]
    assert steps == [
        ("News by e-mail", "subscribed", "unsubscribed"),
        ("How often: Everything", "nothing chosen", "At most one a week"),
    ]
    assert preview.context["forecast"].backends == ("database",)
    assert Record.objects.count() == 1
    back = send(editor, anna, data, "back")
    drawn = back.context["form"]
    assert {name: drawn[name].value() for name in data} == data
    assert back.context.get("forecast") is None
    assert Record.objects.count() == 1


def test_the_preview_says_what_the_save_does(editor: Client, anna: Contact) -> None:
    """The hidden form of the preview is the one that was sent, to the letter."""
    save(anna.pk, JOIN)
    data = form(
        editor, anna, choice__news__email=UNSUBSCRIBED, pause__all="2026-08-01", reason='it\'s "so" & so'
    )
    text = send(editor, anna, data, "preview").content.decode()
    hidden = dict(inputs(text))
    assert {name: hidden[name] for name in data} == data
    assert send(editor, anna, {name: value for name, value in hidden.items() if value}).status_code == 302
    assert ModelLogEntry.objects.get(action=staff_log.CHANGED).data["reason"] == data["reason"]


def inputs(page: str) -> Iterator[tuple[str, str]]:
    from html.parser import HTMLParser

    class Inputs(HTMLParser):
        found: list[tuple[str, str]] = []

        def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
            given = dict(attrs)
            if (
                tag == "input"
                and given.get("type") == "hidden"
                and given.get("name") != "csrfmiddlewaretoken"
            ):
                self.found.append((str(given["name"]), given.get("value") or ""))

    parser = Inputs()
    parser.feed(page)
    yield from parser.found


def test_pressed_twice_it_is_saved_once(editor: Client, anna: Contact) -> None:
    save(anna.pk, JOIN)
    data = form(editor, anna, choice__news__email=UNSUBSCRIBED)
    for _ in range(3):
        assert send(editor, anna, data).status_code == 302
    assert Record.objects.count() == 2
    assert ModelLogEntry.objects.filter(action=staff_log.CHANGED).count() == 1


def test_what_she_did_meanwhile_is_shown_first(editor: Client, anna: Contact) -> None:
    save(anna.pk, JOIN)
    data = form(editor, anna, frequency__all="weekly", reason="it's so")
    save(anna.pk, SetChoice("offers", "email", SUBSCRIBED))
    for step in ("preview", "confirm"):
        answer = send(editor, anna, data, step)
        assert answer.status_code == 200
        assert "changed in the meantime" in errors(answer)
        drawn = answer.context["form"]
        assert drawn["frequency:all"].value() == "weekly"
        assert drawn["reason"].value() == "it's so"
        assert drawn["base_version"].value() == "2"
        assert "How it is now" in answer.content.decode()
    assert load_state(anna.pk).frequencies == {}
    again = {**data, "base_version": "2"}
    assert send(editor, anna, again).status_code == 302
    assert load_state(anna.pk).frequencies == {("", ""): "weekly"}


def test_under_the_lock_the_version_is_asked_for_again(editor: Client, anna: Contact) -> None:
    """As it is where she saves after the view has looked, and before the save begins."""
    sent = OnBehalfForm(form(editor, anna, everything="opt_out"), topics=people.offered(anna))
    assert sent.is_valid()
    save(anna.pk, JOIN)
    with pytest.raises(Moved):
        save_for(anna, sent, make_editor(), sent.changes(), base_version=0)
    assert load_state(anna.pk).choices == {NEWS: SUBSCRIBED}
    assert not ModelLogEntry.objects.filter(action=staff_log.CHANGED).exists()
    save_for(anna, sent, make_editor(), sent.changes(), base_version=1)
    assert load_state(anna.pk).opted_out


def test_a_form_of_a_version_that_never_was_is_refused(editor: Client, anna: Contact) -> None:
    for version in ("99", "9" * 30):
        data = {**form(editor, anna, everything="opt_out"), "base_version": version}
        assert "changed in the meantime" in errors(send(editor, anna, data))
    assert not Record.objects.exists()


def test_a_topic_that_is_gone_meanwhile_is_not_changed(editor: Client, anna: Contact) -> None:
    data = form(editor, anna, choice__news__email=UNSUBSCRIBED, choice__offers__email=UNSUBSCRIBED)
    Topic.objects.filter(key="news").update(archived=True)
    assert send(editor, anna, data).status_code == 302
    assert load_state(anna.pk).choices == {("offers", "email"): UNSUBSCRIBED}


def test_a_change_needs_a_token(anna: Contact) -> None:
    client = Client(enforce_csrf_checks=True)
    client.force_login(make_editor())
    assert client.post(url(anna), {"everything": "opt_out", "reason": "x"}).status_code == 403


def test_looking_at_the_form_is_looking(client: Client, anna: Contact) -> None:
    client.force_login(make_staff("desk", "view_contact", "change_contact"))
    client.get(url(anna))
    entries = ModelLogEntry.objects.for_instance(anna)
    assert [entry.action for entry in entries] == [staff_log.VIEWED]
    text = client.get(url(anna)).content.decode()
    assert "anna@" not in text


def test_what_a_change_costs(editor: Client, anna: Contact) -> None:
    save(anna.pk, JOIN)
    data = form(editor, anna, choice__news__email=UNSUBSCRIBED)
    send(editor, anna, data, "preview")
    counts = []
    for step in ("preview", "confirm"):
        with CaptureQueriesContext(connection) as queries:
            send(editor, anna, data, step)
        counts.append(len(queries))
    assert counts[0] <= 22, counts
    assert counts[1] <= 32, counts


# --- the promise ---------------------------------------------------------------------------------------------------------

_keys = st.tuples(st.sampled_from(["news", "offers"]), st.sampled_from(["email", "sms"]))
_scopes = st.sampled_from([("", ""), ("", "email"), ("news", "")])
_days = st.integers(1, 400).map(lambda days: NOW + timedelta(days=days))
wishes: st.SearchStrategy[Change] = st.one_of(
    st.builds(lambda key, value: SetChoice(*key, value), _keys, st.sampled_from([SUBSCRIBED, UNSUBSCRIBED])),
    st.builds(lambda key, code: SetFrequency(*key, code), _scopes, st.sampled_from(FREQUENCIES)),
    st.builds(lambda key, until: Pause(*key, until), _scopes, _days),
    st.builds(lambda key: Resume(*key), _scopes),
    st.sampled_from([OptOut(), OptIn()]),
)


@pytest.mark.property
@examples(30)
@given(
    hers=st.lists(wishes, max_size=6),
    ours=st.lists(wishes, min_size=1, max_size=3, unique_by=lambda change: change.path),
    when=st.sampled_from(
        [None, NOW - timedelta(days=400), NOW - timedelta(hours=1), NOW + timedelta(hours=1)]
    ),
)
def test_a_forecast_is_what_a_save_comes_to(
    hers: list[Change], ours: list[Change], when: datetime | None
) -> None:
    """Also in this: what the forecast refuses the save refuses, and nothing else. And a yes is newer than every no."""
    with time_machine.travel(NOW) as clock:
        make_topics()
        contact = make_contact(f"{uuid.uuid4().hex}@mail.example.org")
        for change in hers:
            save(contact.pk, change)
        clock.move_to(NOW + timedelta(hours=2))
        actor = Actor(ActorType.ADMIN, "1")
        shown = Evidence("ticket", when) if when else None
        before = load_state(contact.pk)
        if contradictions(ours):  # the form lets no such thing through
            return
        forecast = foresee(people.load(contact), ours, actor, shown)
        try:
            result = record(contact.pk, ours, actor=actor, source=Source(method="staff", evidence=shown))
        except NotAllowed:
            assert forecast.problem
            assert load_state(contact.pk) == before
            return
    assert not forecast.problem
    assert len(forecast.steps) == len(result.effects)
    new = {
        key for key, value in result.state.choices.items() if value == SUBSCRIBED != before.choices.get(key)
    }
    if new or (before.opted_out and not result.state.opted_out):
        assert shown is not None
        assert shown.at > NOW or not before.versions.keys() & {
            "opted_out",
            *(f"choice:{t}:{c}" for t, c in new),
        }
