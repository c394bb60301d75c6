"""What is worked out of a snapshot lives as long as the snapshot, so previews of drafts leave nothing behind."""

from __future__ import annotations

import gc
from uuid import uuid4

import pytest
from django.test import RequestFactory
from django.utils import timezone

from tests import factories
from wagtail_prefs.centers import services as centers
from wagtail_prefs.centers.page import PreferenceCenterPage
from wagtail_prefs.centers.personas import LABELS
from wagtail_prefs.centers.values import Snapshot, remembered
from wagtail_prefs.submissions import services as submissions
from wagtail_prefs.submissions.rehearsal import rehearse
from wagtail_prefs.values import Actor, ActorType, ContactState, Source

pytestmark = pytest.mark.django_db

DRAFTS = 12


def snapshots() -> int:
    """How many there are in this process."""
    gc.collect()
    return sum(isinstance(one, Snapshot) for one in gc.get_objects())


def someone() -> ContactState:
    return ContactState(id=uuid4(), audience="default", timezone="Asia/Tokyo")


def rehearsed(page: PreferenceCenterPage) -> None:
    """Press Save in a preview: every package that remembers something of a snapshot is asked."""
    draft = centers.draft_snapshot(page)
    block = factories.block_id(page, "topics")
    found = rehearse(
        state=someone(),
        email="anna@mail.example.org",
        snapshot=draft,
        base_version=0,
        answers={block: {"choices": {"news": {"email": True}}}},
        actor=Actor(ActorType.SUBJECT_LINK),
        source=Source(method="page", form_id=str(draft.center), form_version=draft.digest),
        now=timezone.now(),
    )
    assert found.record is not None
    assert draft.worked_out


def test_previews_of_many_drafts_leave_none_behind() -> None:
    page = factories.make_center()
    request = RequestFactory().get("/")

    def preview(number: int) -> None:
        page.title = f"Draft {number}"
        for mode in LABELS:
            page.serve_preview(request, mode).render()
        rehearsed(page)

    preview(0)
    before = snapshots()
    for number in range(1, DRAFTS):
        preview(number)
    assert snapshots() == before


def test_what_is_published_is_worked_out_once() -> None:
    page = factories.make_center()
    asked: list[str] = []

    @remembered
    def work(snapshot: Snapshot, name: str) -> str:
        asked.append(name)
        return f"{name} of {snapshot.digest}"

    digest = centers.current(page.translation_key).digest
    answers = [work(centers.get_snapshot(digest), name) for name in ("a", "b", "a", "b")]
    assert answers == [f"{name} of {digest}" for name in ("a", "b", "a", "b")]
    assert asked == ["a", "b"]


def test_each_snapshot_has_its_own() -> None:
    page = factories.make_center()
    first = centers.draft_snapshot(page)
    page.title = "Another"
    second = centers.draft_snapshot(page)
    assert submissions.proof_of(first) is submissions.proof_of(first)
    notices = [submissions.proof_of(one).notice for one in (first, second)]
    assert [notice and notice.version for notice in notices] == [first.digest, second.digest]


def test_what_was_worked_out_is_no_part_of_a_snapshot() -> None:
    page = factories.make_center()
    one, other = centers.draft_snapshot(page), centers.draft_snapshot(page)
    centers.answers_to_changes(
        one, {factories.block_id(page, "topics"): {"choices": {"news": {"sms": True}}}}
    )
    assert one.worked_out and not other.worked_out
    assert one == other
    assert hash(one) == hash(other)
    assert "worked_out" not in repr(one)
