"""Undo looks into the records for an opt-out that today's state does not show any more."""

from __future__ import annotations

from uuid import UUID

from tests.submissions.conftest import PERSON, Scene
from wagtail_prefs.changes import Change, OptIn, OptOut, SetChoice
from wagtail_prefs.submissions import services as submissions
from wagtail_prefs.submissions.services import Saved
from wagtail_prefs.values import SUBSCRIBED, UNSUBSCRIBED, Source

NEWS = ("news", "email")
SOURCE = Source(method="python")


def lives(scene: Scene, *changes: Change) -> list[Saved]:
    return [submissions.record(scene.contact.pk, [change], actor=PERSON, source=SOURCE) for change in changes]


def undo(scene: Scene, saved: Saved) -> Saved:
    assert saved.receipt
    return submissions.undo(
        link_id=scene.contact.link_id,
        epoch=0,
        snapshot=scene.snapshot,
        receipt=UUID(saved.receipt),
        actor=PERSON,
        source=SOURCE,
        idempotency_key=None,
    )


def test_a_no_is_not_taken_back_over_an_opt_out_that_was_lifted_since(scene: Scene) -> None:
    yes, no = SetChoice(*NEWS, SUBSCRIBED), SetChoice(*NEWS, UNSUBSCRIBED)
    refused = lives(scene, yes, no, OptOut(), OptIn())[1]
    saved = undo(scene, refused)
    assert saved.receipt is None
    assert saved.state.choices == {NEWS: UNSUBSCRIBED}
    assert [(item.path, item.rule) for item in saved.yielded] == [("choice:news:email", "refused")]


def test_an_opt_out_is_taken_back_also_after_an_opt_in(scene: Scene) -> None:
    left = lives(scene, SetChoice(*NEWS, SUBSCRIBED), OptOut(), OptIn())[1]
    assert undo(scene, left).state.choices == {NEWS: SUBSCRIBED}
