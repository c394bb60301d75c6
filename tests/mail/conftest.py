from __future__ import annotations

from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from typing import Any

import pytest
import time_machine
from django.core import mail
from pytest_django import Settings

from tests.factories import make_audience
from tests.mail import hooked, smtp
from wagtail_prefs.mail.kinds import KINDS
from wagtail_prefs.mail.models import Mail
from wagtail_prefs.mail.services import post

START = datetime(2026, 11, 22, 12, tzinfo=UTC)
ROOT = "http://localhost"
URL = f"{ROOT}/prefs/l/v1.t1.secret.mac/"


@pytest.fixture
def clock() -> Iterator[time_machine.Traveller]:
    with time_machine.travel(START, tick=False) as traveller:
        yield traveller


@pytest.fixture
def leave() -> Callable[..., Mail]:
    """Leaves a mail in the table and returns its row; a kind's sample is its context, but for what is given."""

    def left(
        to: str, kind: str = "access_link", *, locale: str = "en", contact: Any = None, **context: Any
    ) -> Mail:
        values = {**KINDS[kind].sample(ROOT), **context}
        before = set(Mail.objects.values_list("pk", flat=True))
        audience = make_audience()
        post(kind, to=to, audience_id=audience.pk, locale=locale, context=values, contact=contact)
        return Mail.objects.exclude(pk__in=before).get()

    return left


@pytest.fixture
def mailer(settings: Settings) -> Callable[..., None]:
    """Sets Django's mail backend, in the way of this Django."""

    def configured(backend: str, **options: Any) -> None:
        if hasattr(mail, "mailers"):
            settings.MAILERS = {"default": {"BACKEND": backend, "OPTIONS": options}}
        else:
            settings.EMAIL_BACKEND = backend
            for name, value in options.items():
                setattr(settings, f"EMAIL_{name.upper()}", value)

    return configured


@pytest.fixture
def sink(mailer: Callable[..., None]) -> Iterator[smtp.Sink]:
    """A mail server that is there, and that Django's mail goes to."""
    found = smtp.Sink(smtp.free_port())
    mailer("django.core.mail.backends.smtp.EmailBackend", host=smtp.HOST, port=found.port, timeout=10)
    with smtp.running(found):
        yield found


@pytest.fixture
def hooks(mailer: Callable[..., None]) -> Iterator[list[Callable[[Any], None]]]:
    """Called with each message before Django's outbox gets it."""
    mailer(hooked.PATH)
    yield hooked.HOOKS
    hooked.HOOKS.clear()
