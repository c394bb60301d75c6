"""A save on a page that is not the same for everybody: what she could not see is not saved, and she is told."""

from __future__ import annotations

from dataclasses import replace
from typing import Any
from uuid import UUID, uuid4

import pytest

from tests.blocks.conftest import compiled
from tests.submissions.conftest import PERSON, Scene
from wagtail_prefs.centers.services import Snapshot
from wagtail_prefs.centers.values import make_snapshot
from wagtail_prefs.changes import SetAttribute
from wagtail_prefs.contacts.models import Contact
from wagtail_prefs.contacts.services import load_target
from wagtail_prefs.errors import InvalidAnswers, StepUpRequired
from wagtail_prefs.ledger.models import Record
from wagtail_prefs.ledger.services import merged_of, read_body
from wagtail_prefs.submissions import services as submissions
from wagtail_prefs.values import ContactState, Source, Spec

pytestmark = pytest.mark.django_db


def state_of(scene: Scene) -> ContactState:
    return load_target(scene.contact.pk).state


def versions(scene: Scene) -> tuple[int, int]:
    return state_of(scene).version, Record.objects.count()


def with_spec(scene: Scene, block_id: str, change: Any) -> Snapshot:
    """The scene's center with one of its blocks compiled another way."""
    shown = scene.snapshot
    specs = [change(spec) if spec.block_id == block_id else spec for spec in shown.specs]
    document = {**shown.document, "blocks": [spec.document for spec in specs]}
    del document["revision"]
    return make_snapshot(document, specs)


def deals_only_for_leavers(spec: Spec) -> Spec:
    """The rows of the matrix are shown where the frequency is weekly."""
    matrix, *others = spec.document["controls"]
    when = {"block": WEEKLY[0], "control": "frequency.all", "in": ["weekly"]}
    rows = [{**row, "when": when if row["key"] == "offers" else None} for row in matrix["rows"]]
    return replace(spec, document={**spec.document, "controls": [{**matrix, "rows": rows}, *others]})


WEEKLY = [""]


@pytest.fixture
def conditional(scene: Scene) -> Scene:
    WEEKLY[0] = scene.frequency
    scene.snapshot = with_spec(scene, scene.topics, deals_only_for_leavers)
    return scene


def test_what_other_answers_hide_is_not_saved_and_named(conditional: Scene) -> None:
    saved = conditional.save(conditional.choose(news=True, offers=True))
    assert state_of(conditional).choices == {("news", "email"): "subscribed"}
    (line,) = saved.merged
    assert line.path == f"{conditional.topics}.choices.offers.email"
    assert "not saved" in line.text
    (kept,) = merged_of(read_body(Record.objects.get()))
    assert (kept.path, kept.wanted, kept.kept, kept.rule) == (
        "choice:offers:email", "subscribed", None, "hidden",
    )  # fmt: skip


def test_the_answer_that_shows_it_may_come_with_it(conditional: Scene) -> None:
    weekly = {conditional.frequency: {"frequency": {"all": "weekly"}}}
    saved = conditional.save({**conditional.choose(offers=True), **weekly})
    assert saved.merged == ()
    assert state_of(conditional).choices == {("offers", "email"): "subscribed"}
    assert conditional.save(conditional.choose(offers=False)).merged == ()  # and then it stands in her state


def test_where_all_of_it_was_hidden_nothing_is_recorded(conditional: Scene) -> None:
    before = versions(conditional)
    saved = conditional.save(conditional.choose(offers=True))
    assert saved.receipt is None
    assert len(saved.merged) == 1
    assert versions(conditional) == before


def test_a_repeat_gets_what_was_named_the_first_time(conditional: Scene) -> None:
    answers = conditional.choose(news=True, offers=True)
    first = conditional.save(answers, base=0, key="once")
    again = conditional.save(answers, base=0, key="once")
    assert (again.receipt, again.merged) == (first.receipt, first.merged)
    assert Record.objects.count() == 1


def test_a_block_that_is_not_for_her_takes_no_answer(scene: Scene) -> None:
    scene.snapshot = with_spec(
        scene, scene.topics, lambda spec: replace(spec, conditions=({"fact": "country", "in": ["AT"]},))
    )
    before = versions(scene)
    with pytest.raises(InvalidAnswers) as refused:
        scene.save(scene.choose(news=True))
    assert list(refused.value.errors) == [scene.topics]
    assert versions(scene) == before
    Contact.objects.filter(pk=scene.contact.pk).update(country="AT")
    assert scene.save(scene.choose(news=True)).receipt


@pytest.fixture
def personal(scene: Scene) -> Scene:
    """With a block that asks for a phone number."""
    profile = replace(compiled("profile"), block_id="me")
    document = {**scene.snapshot.document, "blocks": [*scene.snapshot.document["blocks"], profile.document]}
    del document["revision"]
    scene.snapshot = make_snapshot(document, [*scene.snapshot.specs, profile])
    return scene


def test_a_personal_field_needs_a_fresh_link(personal: Scene) -> None:
    before = versions(personal)
    answers = {**personal.choose(news=True), "me": {"phone": "+43 1 2345678"}}
    with pytest.raises(StepUpRequired):
        personal.save(answers)
    assert versions(personal) == before
    assert personal.save(answers, assurance="fresh").receipt
    assert state_of(personal).attributes["phone"]


def test_what_is_not_personal_needs_none(personal: Scene) -> None:
    assert personal.save({"me": {"country": "AT"}}).receipt
    assert state_of(personal).country == "AT"


def test_a_personal_answer_is_not_taken_back_by_an_old_link(personal: Scene) -> None:
    scene = personal
    saved = submissions.record(
        scene.contact.pk,
        [SetAttribute("phone", "+43 1 2345678")],
        actor=PERSON,
        source=Source(method="element"),
    )
    assert saved.receipt
    with pytest.raises(StepUpRequired):
        undo(scene, saved.receipt)
    assert state_of(scene).attributes == {"phone": "+43 1 2345678"}
    assert undo(scene, saved.receipt, assurance="fresh").receipt
    assert state_of(scene).attributes == {}


def undo(scene: Scene, receipt: str, **own: Any) -> submissions.Saved:
    return submissions.undo(
        link_id=scene.contact.link_id,
        epoch=0,
        snapshot=scene.snapshot,
        receipt=UUID(receipt),
        actor=PERSON,
        source=Source(method="element"),
        idempotency_key=str(uuid4()),
        **own,
    )
