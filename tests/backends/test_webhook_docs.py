"""docs/reference/webhook.md says what happens."""

from __future__ import annotations

import json
import re
import time
from pathlib import Path
from typing import Any

from wagtail_prefs.backends.signature import secret_bytes, signed_headers
from wagtail_prefs.backends.webhook import WebhookBackend

from .states import LEFT, batch, target

PAGE = (Path(__file__).parents[2] / "docs/reference/webhook.md").read_text()
SECRET = "whsec_d2FndGFpbC1wcmVmcy10ZXN0LWtleS0wMA=="


def code(language: str, number: int = 0) -> str:
    return re.findall(rf"```{language}\n(.*?)```", PAGE, re.DOTALL)[number]


def payload(version: int = 7) -> dict[str, Any]:
    backend = WebhookBackend("crm", {"URL": "https://crm.example/", "SECRET": SECRET})
    return backend.plan(target(version=version, attributes={"a": 1}), [batch(version, LEFT)])[0].payload


def test_the_example_has_the_fields_that_are_sent() -> None:
    example = json.loads(code("json"))
    sent = payload()
    assert set(example) == set(sent)  # bodies are sent sorted
    for name, value in sent.items():
        assert type(value) is type(example[name])
    assert set(sent["contact"]) == set(example["contact"])


def test_every_option_is_in_the_table() -> None:
    named = set(re.findall(r"^\| `([A-Z_]+)` \|", PAGE, re.MULTILINE))
    assert named == set(WebhookBackend.known_options)


def test_the_settings_and_the_receiver_of_the_page_work(monkeypatch: Any) -> None:
    monkeypatch.setenv("CRM_WEBHOOK_SECRET", SECRET)
    settings: dict[str, Any] = {}
    exec("import os\n" + code("python", 0), settings)
    options = settings["WAGTAIL_PREFS"]["BACKENDS"]["crm"]["OPTIONS"]
    assert WebhookBackend("crm", options).check() == []

    receiver: dict[str, Any] = {"SECRET": SECRET}
    exec(code("python", 1), receiver)
    known: dict[str, Any] = {}
    for version in (7, 9, 8):
        body = json.dumps(payload(version)).encode()
        headers = signed_headers([secret_bytes(SECRET)], f"m{version}", int(time.time()), body)
        receiver["receive"](headers, body, known)
    assert [event["version"] for event in known.values()] == [9]
