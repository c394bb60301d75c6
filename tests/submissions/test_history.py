"""What a contact reads of her own past: in her language, without anything that a forwarded mail must not show."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

import pytest
import time_machine
from django.utils import timezone
from django.utils.translation import gettext, override

from tests import factories
from wagtail_prefs.centers import services as centers
from wagtail_prefs.centers.page import PreferenceCenterPage
from wagtail_prefs.centers.services import Snapshot
from wagtail_prefs.changes import (
    AcknowledgeNotice,
    Change,
    ChangeAddress,
    ClearAttribute,
    Confirm,
    Expire,
    GiveReason,
    OptIn,
    OptOut,
    Pause,
    Resume,
    SetAttribute,
    SetChoice,
    SetFrequency,
)
from wagtail_prefs.submissions import services as submissions
from wagtail_prefs.submissions.services import PastSubmission
from wagtail_prefs.values import PENDING, SUBSCRIBED, UNSUBSCRIBED, Actor, ActorType, Evidence, Source

from .conftest import PERSON, Scene

pytestmark = pytest.mark.django_db
PYTHON = Source(method="python")
START = datetime(2026, 11, 22, 12, 0, tzinfo=UTC)


def say(scene: Scene, *changes: Change, actor: Actor = PERSON, source: Source = PYTHON) -> UUID:
    saved = submissions.record(scene.contact.pk, changes, actor=actor, source=source)
    assert saved.receipt
    return UUID(saved.receipt)


def past(scene: Scene, **kwargs: Any) -> list[PastSubmission]:
    return submissions.history(scene.contact.pk, scene.snapshot, **kwargs)


def german(scene: Scene) -> Snapshot:
    page = PreferenceCenterPage.objects.get(translation_key=scene.snapshot.center)
    translated = factories.make_center(locale="de", translation_of=page)
    return centers.get_snapshot(centers.current(translated.translation_key, "de").digest)


def test_the_newest_comes_first_with_receipt_version_and_time(scene: Scene) -> None:
    with time_machine.travel(START, tick=False) as clock:
        first = say(scene, SetChoice("news", "email", SUBSCRIBED))
        clock.shift(timedelta(days=1))
        second = say(scene, OptOut())
        entries = past(scene)
    assert [(entry.receipt, entry.version, entry.at) for entry in entries] == [
        (second, 2, START + timedelta(days=1)),
        (first, 1, START),
    ]
    assert [(line.path, line.text) for line in entries[0].lines] == [
        (f"{scene.topics}.choices.news.email", "News by e-mail: unsubscribed"),
        (
            f"{scene.leave}.opted_out",
            "You are unsubscribed from everything except what must always be sent.",
        ),
    ]


def test_it_is_one_statement_and_changes_nothing(scene: Scene, django_assert_num_queries: Any) -> None:
    for number in range(7):
        scene.save(scene.choose(news=number % 2 == 0))
        say(scene, SetAttribute("city", f"City {number}"))
    with django_assert_num_queries(1):
        assert len(past(scene)) == 14
    with django_assert_num_queries(1):
        assert past(scene, before=1) == []


def test_pages_follow_each_other_without_a_gap_also_while_she_saves(scene: Scene) -> None:
    for number in range(7):
        scene.save(scene.choose(news=number % 2 == 0))
    page = past(scene, limit=3)
    scene.save(scene.choose(offers=True))
    seen = [entry.version for entry in page]
    while page:
        page = past(scene, limit=3, before=seen[-1])
        seen += [entry.version for entry in page]
    assert seen == [7, 6, 5, 4, 3, 2, 1]


def test_of_others_she_reads_nothing(scene: Scene) -> None:
    scene.save(scene.choose(news=True))
    other = factories.make_contact("bea@mail.example.org")
    assert submissions.history(other.pk, scene.snapshot) == []


@pytest.mark.parametrize(
    ("actor", "method", "title"),
    [
        (PERSON, "element", "By you, on this page"),
        (Actor(ActorType.SUBJECT_LINK), "page", "By you, on this page"),
        (Actor(ActorType.ONE_CLICK), "one_click", "With the unsubscribe button of your mail program"),
        (Actor(ActorType.GPC), "element", "By the privacy signal of your browser"),
        (Actor(ActorType.ADMIN, "j.doe"), "admin", "By our staff"),
        (Actor(ActorType.IMPORT, "j.doe"), "import", "From data that we were given"),
        (Actor(ActorType.API, "j.doe"), "python", "By one of our systems"),
        (Actor(ActorType.BACKEND, "j.doe"), "inbound", "By one of our systems"),
        (Actor(ActorType.SYSTEM, "j.doe"), "expiry", "Ended by itself"),
    ],
)
def test_a_title_says_who_and_where_and_no_name(scene: Scene, actor: Actor, method: str, title: str) -> None:
    say(scene, SetChoice("news", "email", UNSUBSCRIBED), actor=actor, source=Source(method=method))
    assert [entry.title for entry in past(scene)] == [title]
    (entry,) = submissions.history(scene.contact.pk, german(scene))
    with override("de"):
        assert entry.title == gettext(title)
    assert "doe" not in repr(entry)


def test_the_words_are_those_of_the_page_in_its_language(scene: Scene) -> None:
    scene.save({**scene.choose(news=True), scene.frequency: {"frequency": {"all": "weekly"}}})
    texts = [line.text for line in past(scene)[0].lines]
    assert texts == ["News by e-mail: subscribed", "How often: Everything: At most one a week"]
    deutsch = submissions.history(scene.contact.pk, german(scene))
    assert deutsch[0].lines[0].text == "Neues per E-Mail: angemeldet"


SECRETS = [
    "Kassel",
    "+49301234",
    "second@mail.example.org",
    "anna@mail.example.org",
    "They call me",
    "203.0.113",
]


def test_no_line_holds_a_personal_value(scene: Scene) -> None:
    """A forwarded mail opens this page as well."""
    soon = timezone.now() + timedelta(days=3)
    for change in (
        SetAttribute("city", "Kassel"),
        SetAttribute("phone", "+49301234"),
        ClearAttribute("phone"),
        GiveReason("other", "They call me at night"),
        ChangeAddress("second@mail.example.org"),
        SetChoice("news", "email", SUBSCRIBED),
        SetFrequency("", "email", "weekly"),
        SetFrequency("gone-topic", "", "weekly"),
        Pause("", "", soon),
        Pause("", "email", soon),
        Pause("news", "", soon),
        Resume("", ""),
        AcknowledgeNotice("privacy", "a" * 64),
        AcknowledgeNotice("unknown", "a" * 64),
        OptOut(),
        OptIn(),
    ):
        say(
            scene,
            change,
            source=Source(method="python", ip="203.0.113.7", address_as_entered="anna@mail.example.org"),
        )
    say(scene, SetChoice("offers", "email", PENDING, soon), actor=Actor(ActorType.API, "form"))
    say(scene, Confirm("offers", "email"))
    twin = factories.make_contact("twin@mail.example.org")
    submissions.merge_contacts(twin.pk, scene.contact.pk, actor=PERSON, source=PYTHON)
    submissions.erase(scene.contact.pk, actor=PERSON, source=PYTHON)
    for snapshot in (scene.snapshot, german(scene)):
        entries = submissions.history(scene.contact.pk, snapshot, limit=100)
        assert len(entries) == 19
        said = repr(entries)
        for secret in SECRETS:
            assert secret not in said
        assert "committed" not in said
        lines = [line.text for entry in entries for line in entry.lines]
        assert all(line.strip() for line in lines)
        assert "None" not in " ".join(lines)
    assert [line.text for line in submissions.history(twin.pk, scene.snapshot)[-1].lines] == [
        "You are unsubscribed from everything except what must always be sent.",
        "This entry was merged with another one of yours.",
    ]


def test_a_wait_is_told_and_its_answer_only_once(scene: Scene) -> None:
    """Somebody may have asked in her name."""
    form = Actor(ActorType.API, "form")
    say(scene, SetChoice("news", "email", PENDING), actor=form)
    say(scene, Confirm("news", "email"))
    with time_machine.travel(timezone.now(), tick=False) as clock:
        say(scene, SetChoice("events", "email", PENDING, timezone.now() + timedelta(days=1)), actor=form)
        clock.shift(timedelta(days=2))
        assert submissions.expire_due() == 1
        say(scene, SetChoice("offers", "email", PENDING), actor=form)
        say(scene, OptOut())
        told = [[line.text for line in entry.lines] for entry in past(scene)]
    assert told == [
        [
            "News by e-mail: unsubscribed",
            "Offers by e-mail: no longer waiting to be confirmed",
            "You are unsubscribed from everything except what must always be sent.",
        ],
        ["Offers by e-mail: asked for, and waiting to be confirmed"],
        ["Events by e-mail: ended by itself"],
        ["Events by e-mail: asked for, and waiting to be confirmed"],
        ["News by e-mail: subscribed"],
        ["News by e-mail: asked for, and waiting to be confirmed"],
    ]


def test_what_ended_by_itself_says_so(scene: Scene) -> None:
    with time_machine.travel(START, tick=False) as clock:
        say(scene, SetChoice("news", "email", SUBSCRIBED, START + timedelta(days=1)))
        clock.shift(timedelta(days=2))
        assert submissions.expire_due() == 1
        entry = past(scene)[0]
    assert entry.title == "Ended by itself"
    assert [line.text for line in entry.lines] == ["News by e-mail: ended by itself"]
    assert isinstance(Expire("news", "email"), Change)


def test_evidence_stays_with_us(scene: Scene) -> None:
    """The reference may name a case or a sheet that she has no use for."""
    shown = Source(method="import", evidence=Evidence("sheet 7, row 12", timezone.now()))
    say(scene, SetChoice("news", "email", SUBSCRIBED), actor=Actor(ActorType.IMPORT, "job"), source=shown)
    assert "sheet" not in repr(past(scene))
