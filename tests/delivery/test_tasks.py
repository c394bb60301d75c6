"""The nudge after a commit."""

from __future__ import annotations

from typing import Any

import pytest
from django_tasks import default_task_backend
from pytest_django import DjangoCaptureOnCommitCallbacks, Settings

from tests.delivery.crm import Crm
from tests.delivery.people import JOIN, person
from wagtail_prefs.delivery.models import Delivery
from wagtail_prefs.delivery.tasks import deliver_now

pytestmark = pytest.mark.django_db


def test_under_the_immediate_backend_a_save_calls_no_platform(
    crm: Crm, django_capture_on_commit_callbacks: DjangoCaptureOnCommitCallbacks
) -> None:
    with django_capture_on_commit_callbacks(execute=True) as callbacks:
        person("anna", JOIN)
    assert callbacks == []
    assert crm.calls == []


def test_where_there_is_a_worker_a_save_nudges_it_after_the_commit(
    crm: Crm, settings: Settings, django_capture_on_commit_callbacks: DjangoCaptureOnCommitCallbacks
) -> None:
    settings.TASKS = {"default": {"BACKEND": "django_tasks.backends.dummy.DummyBackend"}}
    with django_capture_on_commit_callbacks(execute=True):
        person("anna", JOIN)
        results: list[Any] = default_task_backend.results
        assert results == []
    (result,) = default_task_backend.results
    assert result.task == deliver_now
    assert (result.args, result.kwargs) == ([], {})  # nothing personal waits in a broker
    assert crm.calls == []  # the request did not do it


def test_the_task_delivers_what_is_due(crm: Crm) -> None:
    person("anna", JOIN)
    deliver_now.call()
    assert len(crm.calls) == 1
    assert not Delivery.objects.filter(due_at__isnull=False).exists()
