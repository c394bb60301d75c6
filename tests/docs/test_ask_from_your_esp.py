"""docs/how-to/ask-from-your-esp.md: its Python and its curl, as they stand there, against a server that runs."""

from __future__ import annotations

import json
import os
import subprocess
import types
from collections.abc import Mapping
from datetime import timedelta
from typing import Any

import pytest
from django.utils import timezone

from tests import factories
from tests.api.client import make_key
from tests.docs.blocks import Block, blocks
from tests.docs.explained import DOCS
from wagtail_prefs import record
from wagtail_prefs.changes import Pause, SetChoice, SetFrequency
from wagtail_prefs.contacts.models import Contact
from wagtail_prefs.decisions.models import Send
from wagtail_prefs.values import SUBSCRIBED, UNSUBSCRIBED, Actor, ActorType

PAGE = DOCS / "how-to" / "ask-from-your-esp.md"
HERSELF = Actor(ActorType.SUBJECT_LINK)

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture
def page(live_server: Any, monkeypatch: pytest.MonkeyPatch) -> Mapping[str, list[Block]]:
    factories.make_topics()
    monkeypatch.setenv("PREFS_URL", f"{live_server.url}/prefs/api/v1")
    monkeypatch.setenv("PREFS_KEY", make_key("decisions:read", "sends:write")[1])
    found: dict[str, list[Block]] = {}
    for block in blocks(PAGE):
        found.setdefault(block.language, []).append(block)
    return found


def module(block: Block) -> Any:
    made = types.ModuleType("page")
    exec(compile(block.code, f"{PAGE}, line {block.line}", "exec"), made.__dict__)
    return made


def shell(block: Block) -> Any:
    done = subprocess.run(
        ["bash", "-euc", block.code],
        env=os.environ.copy(),
        capture_output=True,
        text=True,
        timeout=60,
        check=True,
    )
    return json.loads(done.stdout)


def reader(*changes: Any, **fields: Any) -> str:
    contact = Contact.objects.create(audience=factories.make_audience(), **fields)
    record(contact, changes, by=HERSELF)
    return str(contact.pk)


def yes() -> SetChoice:
    return SetChoice("news", "email", SUBSCRIBED)


def test_an_issue_goes_to_whoever_may_get_it(page: Mapping[str, list[Block]]) -> None:
    esp = module(page["python"][0])
    until = timezone.now().replace(microsecond=0) + timedelta(days=9)
    wants, left = reader(yes()), reader(SetChoice("news", "email", UNSUBSCRIBED))
    pauses, fails = reader(yes(), Pause("", "", until)), reader(yes(), SetFrequency("", "", "quarterly"))
    out: list[str] = []

    def deliver(person: str) -> None:
        if person == fails and not out.count(fails):
            out.append(person)
            raise ConnectionError
        out.append(person)

    everybody = [left, pauses, wants, fails]
    later = esp.send_issue("issue/48", "news", everybody, deliver)
    assert out == [wants, fails]
    assert list(later) == [pauses]
    assert later[pauses].startswith(until.date().isoformat())
    assert {str(row.contact) for row in Send.objects.all()} == {wants}
    assert esp.send_issue("issue/48", "news", everybody, deliver).keys() == {pauses}  # as after a time-out
    assert esp.ask("issue/49", "news", [fails])[fails]["decision"] == "digest"


def test_what_was_sent_without_asking_is_told(page: Mapping[str, list[Block]]) -> None:
    reader(yes(), external_id="crm-1", address_key="a")
    reader(SetChoice("news", "email", UNSUBSCRIBED), external_id="crm-2", address_key="b")
    events = [
        {"message": "m-1", "customer": name, "tag": "news", "time": "2099-01-01T00:00:00Z"}
        for name in ("crm-1", "crm-2", "crm-3")
    ]
    webhook = module(page["python"][1])
    broken = [("m-1", "crm-2", "unsubscribed"), ("m-1", "crm-3", "unknown")]
    assert [webhook.tell(events) for _again in range(2)] == [broken, broken]
    assert Send.objects.count() == 2


def test_the_shell_says_the_same(page: Mapping[str, list[Block]]) -> None:
    reader(yes(), external_id="crm-4711", address_key="a")
    ask, free, tell = page["sh"]
    assert [one["decision"] for one in shell(ask)["decisions"]] == ["send", "refuse"]
    assert shell(free) == {"freed": 1}
    assert shell(tell) == {"new": True, "verdict": "send", "reason": "subscribed"}
