"""Leaving a mail: what may stand in it, and whom it nudges."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest
from django.core import mail as django_mail
from django.db import transaction
from django.utils import timezone
from django_tasks import default_task_backend
from pytest_django import DjangoAssertNumQueries, DjangoCaptureOnCommitCallbacks, Settings

from tests import factories
from tests.mail.conftest import ROOT, URL
from wagtail_prefs.contacts.models import Contact
from wagtail_prefs.mail.kinds import GIVEN_UP_AFTER, KINDS, hold
from wagtail_prefs.mail.models import Mail
from wagtail_prefs.mail.services import BadContext, Kind, Shape, forget, post, register
from wagtail_prefs.mail.tasks import send_now
from wagtail_prefs.submissions import services as submissions
from wagtail_prefs.values import Actor, ActorType, Source

pytestmark = pytest.mark.django_db

GOOD: dict[str, Any] = {"url": URL, "center_title": "Choices", "topics": ["News"], "days": 7}


def leave_confirm(**changed: Any) -> None:
    context = {name: value for name, value in {**GOOD, **changed}.items() if value is not None}
    post("confirm", to="anna@mail.example.org", audience_id=1, locale="en", context=context)


def test_one_insert(django_assert_num_queries: DjangoAssertNumQueries) -> None:
    with django_assert_num_queries(1):
        leave_confirm()
    row = Mail.objects.get()
    assert row.due_at is not None
    assert (row.kind, row.context, row.contact, row.attempts) == ("confirm", GOOD, None, 0)


@pytest.mark.parametrize(
    "changed",
    [
        {"url": None},
        {"topics": None},
        {"name": "Anna"},
        {"center_title": 3},
        {"topics": "News"},
        {"topics": [1]},
        {"days": "7"},
        {"days": True},
        {"url": "/prefs/l/token/"},
        {"url": "//evil.example/"},
        {"url": "javascript:alert(1)"},
        {"url": "http://localhost/ https://evil.example/"},
        {"url": "http://localhost/\r\nBcc: eve@evil.example"},
        {"url": "http://localhost/\x85"},
        {"url": "http://localhost/\u2028"},
        {"url": "http://localhost/\n"},
        {"url": 'http://localhost/"><b>'},
        {"url": "http://localhost\\@evil.example/"},
    ],
)
def test_a_mail_says_what_its_kind_says_and_nothing_else(changed: dict[str, Any]) -> None:
    with pytest.raises(BadContext) as caught:
        leave_confirm(**changed)
    assert "evil" not in str(caught.value)  # the error names the key: a link is a secret
    assert not Mail.objects.exists()


def test_a_kind_that_there_is_not() -> None:
    with pytest.raises(KeyError):
        post("newsletter", to="anna@mail.example.org", audience_id=1, locale="en", context={})


@pytest.mark.parametrize("kind", KINDS)
def test_the_sample_of_a_kind_is_one_of_it_and_opens_nothing(kind: str, client: Any) -> None:
    factories.make_center()
    context = KINDS[kind].sample(ROOT)
    hold(KINDS[kind], context)
    if "url" in context:
        assert context["url"].startswith(f"{ROOT}/prefs/")
        assert client.get(context["url"].removeprefix(ROOT)).status_code == 404


def test_a_kind_of_another_app(leave: Callable[..., Mail]) -> None:
    ours = KINDS["access_link"]
    parcel = Kind("parcel", "Parcel", "When it comes.", {"count": Shape.NUMBER}, lambda _root: {"count": 1})
    try:
        register(parcel)
        row = leave("anna@mail.example.org", "parcel")
        assert row.context == {"count": 1}
        assert parcel.given_up_after == GIVEN_UP_AFTER
        brief = Kind("parcel", "", "", {}, lambda _root: {}, life=lambda: timedelta(hours=1))
        assert brief.given_up_after == timedelta(hours=1)
        register(Kind("access_link", "Ours", "", {}, lambda _root: {}))
        assert KINDS["access_link"].label == "Ours"
    finally:
        del KINDS["parcel"]
        register(ours)
    with pytest.raises(ValueError, match="no name"):
        Kind("../parcel", "", "", {}, lambda _root: {})


def test_a_mail_is_as_undone_as_what_it_is_about() -> None:
    with transaction.atomic():
        leave_confirm()
        transaction.set_rollback(True)
    assert not Mail.objects.exists()


def test_under_the_immediate_backend_nobody_talks_to_a_mail_server(
    django_capture_on_commit_callbacks: DjangoCaptureOnCommitCallbacks,
) -> None:
    with django_capture_on_commit_callbacks(execute=True) as callbacks:
        leave_confirm()
    assert callbacks == []
    assert django_mail.outbox == []


def test_where_there_is_a_worker_it_is_nudged_after_the_commit(
    settings: Settings,
    leave: Callable[..., Mail],
    django_capture_on_commit_callbacks: DjangoCaptureOnCommitCallbacks,
) -> None:
    settings.TASKS = {"default": {"BACKEND": "django_tasks.backends.dummy.DummyBackend"}}

    def nudges() -> list[Any]:  # Wagtail has tasks of its own, where a site has to be made first
        return [result for result in default_task_backend.results if result.task == send_now]

    with django_capture_on_commit_callbacks(execute=True):
        leave("anna@mail.example.org")
        assert nudges() == []
    (result,) = nudges()
    assert (result.args, result.kwargs) == ([], {})  # nothing personal waits in a broker
    assert django_mail.outbox == []  # the request did not do it
    send_now.call()
    assert len(django_mail.outbox) == 1


def test_whoever_is_erased_gets_none_of_what_waits(leave: Callable[..., Mail]) -> None:
    anna, ben = (factories.make_contact(f"{name}@mail.example.org") for name in ("anna", "ben"))
    leave(anna.email, contact=anna.pk)
    leave(ben.email, contact=ben.pk)
    actor = Actor(ActorType.ADMIN, "staff")
    submissions.erase(anna.pk, actor=actor, source=Source(method="python"))
    assert [row.contact for row in Mail.objects.all()] == [ben.pk]
    assert Contact.objects.get(pk=anna.pk).erased_at is not None
    forget(ben.pk)
    assert not Mail.objects.exists()


def test_a_row_says_nothing_of_whom_it_is_for(leave: Callable[..., Mail]) -> None:
    assert str(leave("anna@mail.example.org")) == f"access_link {timezone.now():%Y-%m-%d %H:%M}"
