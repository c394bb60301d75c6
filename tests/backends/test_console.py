"""The console: a line for each contact, with nothing personal in it unless it is asked for."""

from __future__ import annotations

import json
import logging
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from django.core.exceptions import ImproperlyConfigured

from wagtail_prefs.backends.console import ConsoleBackend
from wagtail_prefs.ids import uuid7
from wagtail_prefs.values import Identifiers, Json, Outcome, Support

from .states import ANNA, JOINED, LEFT, batch, target

PAGE = (Path(__file__).parents[2] / "docs/reference/console-backend.md").read_text()

PERSON = replace(
    target(attributes={"birthday": "1990/01/01"}),
    identifiers=Identifiers("anna@mail.example.org", "+491701234567", "crm-77"),
    retired=(Identifiers(email="old@mail.example.org", external_id="crm-66"),),
)


def lines(text: str) -> list[Json]:
    return [json.loads(line) for line in text.splitlines()]


def tell(**options: Any) -> None:
    backend = ConsoleBackend("crm", options)
    results = backend.execute(
        [
            *backend.plan(PERSON, [batch(3, LEFT)]),
            *backend.plan(target(uuid7()), [batch(3, JOINED)]),
        ]
    )
    assert [result.outcome for result in results] == [Outcome.DONE] * 2
    assert backend.erase(replace(PERSON.identifiers, remote={"crm": str(ANNA)})).outcome is Outcome.DONE


def test_a_line_for_each_says_what_would_be_told(capsys: pytest.CaptureFixture[str]) -> None:
    tell()
    first, second, third = lines(capsys.readouterr().out)
    assert (first["backend"], first["kind"], first["restricts"]) == ("crm", "write", True)
    assert first["choices"] == {"news": {"email": "subscribed", "sms": "unsubscribed"}}
    assert first["changed"] == ["choice:news:sms"]
    assert first["contact"]["id"] == str(ANNA)
    assert not second["restricts"]
    assert "former" not in second
    assert (third["kind"], third["contact"]["id"]) == ("erase", str(ANNA))


def test_nothing_personal_is_shown(capsys: pytest.CaptureFixture[str]) -> None:
    tell()
    out = capsys.readouterr().out
    # Signs that no id of ours can have by chance.
    for personal in ("anna", "old@", "1701234567", "crm-77", "crm-66", "1990/"):
        assert personal not in out
    first, *_ = lines(out)
    assert first["contact"]["email"] == "a***@m***.org"
    assert first["former"] == [{"email": "o***@m***.org", "external_id": "***"}]
    assert first["attributes"] == {"birthday": "***"}


def test_everything_is_shown_where_it_is_asked_for(capsys: pytest.CaptureFixture[str]) -> None:
    tell(UNMASKED=True, TO="stderr")
    out, err = capsys.readouterr()
    assert out == ""
    first, _, third = lines(err)
    assert first["contact"]["email"] == third["contact"]["email"] == "anna@mail.example.org"
    assert first["attributes"] == {"birthday": "1990/01/01"}
    assert first["former"] == [{"email": "old@mail.example.org", "external_id": "crm-66"}]


def test_it_can_go_to_the_log(capsys: pytest.CaptureFixture[str], caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO, "wagtail_prefs.console")
    tell(TO="log")
    assert [record.name for record in caplog.records] == ["wagtail_prefs.console"] * 3
    assert json.loads(caplog.records[0].getMessage())["version"] == 3
    assert capsys.readouterr().out == ""


def test_no_text_moves_the_cursor(capsys: pytest.CaptureFixture[str]) -> None:
    backend = ConsoleBackend("crm", {"UNMASKED": True})
    backend.execute(backend.plan(target(attributes={"name": "\x1b[2J\n\u202eZoë\x9b"}), []))
    out = capsys.readouterr().out
    assert out.removesuffix("\n").isascii()
    assert out.removesuffix("\n").isprintable()


def test_it_promises_nothing() -> None:
    can = ConsoleBackend("crm").capabilities
    concepts = (can.choice, can.opt_out, can.frequency, can.pause, can.attributes)
    assert set(concepts) == {Support.NONE}


def test_it_goes_to_a_place_that_there_is() -> None:
    with pytest.raises(ImproperlyConfigured, match="stdout, stderr, log"):
        ConsoleBackend("crm", {"TO": "/var/file"})


def test_every_option_is_on_the_page() -> None:
    for option in ConsoleBackend.known_options:
        assert f"`{option}`" in PAGE
