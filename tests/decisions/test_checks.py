"""Settings of decisions that cannot be acted upon stop the site."""

from __future__ import annotations

from typing import Any

import pytest
from django.core.checks import run_checks
from django.db import connection

from wagtail_prefs.decisions.checks import check_decisions

RULES = "tests.decisions.site_rules"


def found(settings: Any, **changed: Any) -> list[tuple[str, str]]:
    settings.WAGTAIL_PREFS = {**settings.WAGTAIL_PREFS, **changed}
    return [
        (str(message.id).removeprefix("wagtail_prefs."), message.msg)
        for message in run_checks()
        if str(message.id).startswith("wagtail_prefs.")
    ]


@pytest.mark.parametrize(
    "hours",
    [{}, {"email": ["21:00", "08:00"]}, {"sms": ("20:30", "09:15"), "push": ["00:00", "07:59"]}],
)
def test_hours_that_can_be_kept(hours: Any, settings: Any) -> None:
    assert found(settings, QUIET_HOURS=hours) == []


@pytest.mark.parametrize(
    ("hours", "said"),
    [
        (["21:00", "08:00"], "must be a dict"),
        ({"fax": ["21:00", "08:00"]}, "names a channel 'fax'"),
        ({"email": "21:00-08:00"}, "['email'] must be two times"),
        ({"email": ["21:00"]}, "['email'] must be two times"),
        ({"email": None}, "['email'] must be two times"),
        ({"email": ["21:00", "24:00"]}, "['email'] has '24:00', which is no time"),
        ({"email": ["9pm", "08:00"]}, "['email'] has '9pm', which is no time"),
        ({"email": [21, "08:00"]}, "['email'] has 21, which is no time"),
        ({"email": ["21:00", "21:00"]}, "never quiet"),
    ],
)
def test_hours_that_cannot_be_kept(hours: Any, said: str, settings: Any) -> None:
    ((code, message),) = found(settings, QUIET_HOURS=hours)
    assert code == "E031"
    assert said in message


def test_rules_that_can_be_asked(settings: Any) -> None:
    assert found(settings, DECISION_RULES=[f"{RULES}.ticket", f"{RULES}.holidays"]) == []


@pytest.mark.parametrize(
    "rules",
    [
        f"{RULES}.ticket",
        [f"{RULES}.no_such_rule"],
        ["no_such_module.rule"],
        ["rule"],
        [f"{RULES}.NOT_CALLABLE"],
        [7],
    ],
)
def test_rules_that_cannot_be_asked(rules: Any, settings: Any) -> None:
    ((code, message),) = found(settings, DECISION_RULES=rules)
    assert code == "E032"
    assert "DECISION_RULES" in message


def test_a_database_that_reads_before_it_locks(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(connection, "vendor", "postgresql")
    monkeypatch.setitem(connection.settings_dict, "OPTIONS", {"isolation_level": 2})
    assert check_decisions() == []
    monkeypatch.setitem(connection.settings_dict, "OPTIONS", {"isolation_level": 3})
    assert [message.id for message in check_decisions()] == ["wagtail_prefs.E033"]
