"""A backend that does everything wrong fails every test of the kit: so each of them can fail."""

from __future__ import annotations

import inspect
import traceback
from collections.abc import Iterator
from datetime import datetime
from pathlib import Path
from typing import Any

import pytest

from tests.conformance.acme import TOKEN, Acme
from wagtail_prefs.backends.testing import Conformance, HttpHarness, Seen
from wagtail_prefs.backends.testing.suite import Suite

FAILURES = (Exception, pytest.fail.Exception, pytest.skip.Exception)
ALL = sorted(name for name in dir(Conformance) if name.startswith("test_"))


def places(error: BaseException) -> set[str]:
    """The files that an error came through, and what it was made of."""
    chain = [error]
    while (before := chain[-1].__context__) is not None:
        chain.append(before)
    return {Path(frame.filename).name for one in chain for frame in traceback.extract_tb(one.__traceback__)}


class AcmeHarness(HttpHarness):
    """Looks into the CRM's memory."""

    unmapped = ("events", "email")
    backend = "tests.conformance.naive.NaiveBackend"

    def __init__(self, acme: Acme) -> None:
        super().__init__(acme.url)
        self.acme = acme

    def entry(self, token: str = TOKEN) -> dict[str, Any]:
        topics = {"news": "17", "offers": "18"}
        return {"BACKEND": self.backend, "OPTIONS": {"URL": self.url, "TOKEN": token, "TOPICS": topics}}

    def wrong_entry(self) -> dict[str, Any]:
        return self.entry("not-the-token-of-acme")

    def seen(self, email: str) -> Seen | None:
        known = self.acme.contacts.get(email)
        if known is None:
            return None
        keys = {"17": ("news", "email"), "18": ("offers", "email"), "19": ("events", "email")}
        fields = dict(known["fields"])
        frequency, paused = fields.pop("frequency", None), fields.pop("paused_until", None)
        return Seen(
            frozenset(keys[name] for name, on in known["lists"].items() if on and not known["blocked"]),
            frozenset(keys[name] for name, on in known["lists"].items() if not on),
            known["blocked"],
            {("", ""): frequency} if frequency else {},
            {("", ""): datetime.fromisoformat(paused)} if paused else {},
            fields,
        )

    def people(self) -> int:
        return len(self.acme.contacts)

    def reset(self) -> None:
        self.acme.contacts.clear()

    def refuse(self, email: str) -> None:
        self.acme.refused.append(email)

    def accept(self) -> None:
        self.acme.refused.clear()


class TestNaive(Suite):
    @pytest.fixture
    def harness(self) -> Iterator[AcmeHarness]:
        acme = Acme()
        yield AcmeHarness(acme)
        acme.close()

    @pytest.mark.django_db
    @pytest.mark.parametrize("name", ALL)
    def test_it_fails(self, name: str, request: pytest.FixtureRequest) -> None:
        test = getattr(Conformance(), name)
        given = {fixture: request.getfixturevalue(fixture) for fixture in inspect.signature(test).parameters}
        with pytest.raises(FAILURES) as told:
            test(**given)
        if isinstance(told.value, pytest.skip.Exception):
            pytest.fail(f"{name} was skipped: {told.value}")
        expected = isinstance(told.value, AssertionError | pytest.fail.Exception)
        assert expected or "naive.py" in places(told.value)
