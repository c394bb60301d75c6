from __future__ import annotations

import socket
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from typing import Any

import pytest
import time_machine
from pytest_django import Settings

from tests.mailman.server import Mailman
from wagtail_prefs.backends.mailman import MailmanBackend
from wagtail_prefs.backends.registry import backends

START = datetime(2026, 11, 22, 12, tzinfo=UTC)
PATH = "wagtail_prefs.backends.mailman.MailmanBackend"


@pytest.fixture(scope="session")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Mailman]:
    """One Mailman for the tests of a process. Each test makes lists of its own."""
    mailman = Mailman(tmp_path_factory.mktemp("mailman"))
    try:
        mailman.start()
        yield mailman
    finally:
        mailman.kill()


@pytest.fixture
def mailman(server: Mailman) -> Mailman:
    return server


@pytest.fixture
def news(mailman: Mailman) -> str:
    """The list of the topic `news`."""
    return mailman.make_list()


@pytest.fixture
def offers(mailman: Mailman) -> str:
    return mailman.make_list()


@pytest.fixture
def configure(settings: Settings, mailman: Mailman, news: str, offers: str) -> Callable[..., MailmanBackend]:
    """Have the backend `mailman` with these options, beside what it needs."""

    def configured(**options: Any) -> MailmanBackend:
        given = {
            "URL": mailman.root,
            "USER": mailman.user,
            "PASSWORD": mailman.password,
            "OWN_NETWORK": True,
            "TOPICS": {"news": news, "offers": offers},
            **options,
        }
        entries = {"mailman": {"BACKEND": PATH, "OPTIONS": given}}
        settings.WAGTAIL_PREFS = {**settings.WAGTAIL_PREFS, "BACKENDS": entries}
        backend = backends["mailman"]
        assert isinstance(backend, MailmanBackend)
        return backend

    return configured


@pytest.fixture
def backend(configure: Callable[..., MailmanBackend]) -> MailmanBackend:
    return configure()


@pytest.fixture
def unused_tcp_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as probe:
        port: int = probe.getsockname()[1]
        return port


@pytest.fixture
def clock() -> Iterator[time_machine.Traveller]:
    with time_machine.travel(START, tick=False) as traveller:
        yield traveller
