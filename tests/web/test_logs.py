"""Tokens, codes and addresses stay out of logs, however a server or a library writes them (security.md TK-11)."""

from __future__ import annotations

import io
import logging
from typing import Any

import pytest
from django.test import Client
from gunicorn.glogging import SafeAtoms

from wagtail_prefs.access.services import Purpose, make_code, open_link
from wagtail_prefs.centers.page import PreferenceCenterPage
from wagtail_prefs.web.logs import REDACTED, RedactTokens, redact

TOKEN = "v1.t1.eyJhIjoxLCJjIjoiZ3hYaDh4RnNTRXEy.l0T4U81Tm3TuTOO6EUQW7eCtbGd9Ea6nSgzHRaXEkAg"


@pytest.fixture
def log() -> Any:
    stream = io.StringIO()
    handler = logging.StreamHandler(stream)
    handler.addFilter(RedactTokens())
    handler.setFormatter(logging.Formatter("%(name)s %(message)s"))
    root = logging.getLogger()
    root.addHandler(handler)
    yield stream
    root.removeHandler(handler)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (f"GET /prefs/l/{TOKEN}/ 200", f"GET /prefs/l/{REDACTED}/ 200"),
        (f"/de/mail/u/{TOKEN}/?x=1", f"/de/mail/u/{REDACTED}/?x=1"),
        (f"/prefs/l/{TOKEN[:-9]}AAAA/", f"/prefs/l/{REDACTED}/"),
        ("/prefs/c/abcdefghijkl/", f"/prefs/c/{REDACTED}/"),
        ("/prefs/r/0123456789/", f"/prefs/r/{REDACTED}/"),
        (f"/prefs/w/{TOKEN}", f"/prefs/w/{REDACTED}"),
        ("/prefs/api/v1/inbound/crm/s3cret/", f"/prefs/api/v1/inbound/crm/{REDACTED}/"),
        (f"https://shop.example/mail#pc={TOKEN}", f"https://shop.example/mail#pc={REDACTED}"),
        (f"Authorization: Bearer s1{TOKEN[2:]}", f"Authorization: Bearer {REDACTED}"),
        ("to anna@mail.example.org now", f"to {REDACTED} now"),
        ("?email=anna%40mail.example.org&x=1", f"?email={REDACTED}&x=1"),
        ("/prefs/l/v1%2Et1%2EeyJh%2Eabc/", f"/prefs/l/{REDACTED}/"),
        # what is nobody's secret stays
        ("GET /prefs/embed/0123456789abcdef.js 200", "GET /prefs/embed/0123456789abcdef.js 200"),
        (
            "GET /api/v1/centers/5f1c8e1e-7a55-4b56-9a5e-0d8f7d0a1b11/",
            "GET /api/v1/centers/5f1c8e1e-7a55-4b56-9a5e-0d8f7d0a1b11/",
        ),
        ("to s3.eu-west-1.amazonaws.com", "to s3.eu-west-1.amazonaws.com"),
        ("wagtail 8.0.1 on python 3.11.7", "wagtail 8.0.1 on python 3.11.7"),
    ],
)
def test_texts(text: str, expected: str) -> None:
    assert redact(text) == expected


def test_payloads_are_gone_through() -> None:
    event = {
        "request": {"url": f"https://x.example/prefs/l/{TOKEN}/", "headers": [("Referer", f"/u/{TOKEN}/")]},
        "user": {"email": "anna@mail.example.org", "id": 7},
        "body": TOKEN.encode(),
        "extra": None,
    }
    clean = redact(event)
    assert "t1" not in str(clean)
    assert "anna" not in str(clean)
    assert clean["user"]["id"] == 7
    assert event["user"]["email"] == "anna@mail.example.org"  # ours is a copy


def test_what_django_logs_of_a_refused_link(log: Any, client: Client, manage: str, one_click: str) -> None:
    for path in (manage[:-3] + "/", one_click):
        client.get(path)
        client.put(path)
    written = log.getvalue()
    assert f"Not Found: /prefs/l/{REDACTED}/" in written
    assert "Method Not Allowed (PUT): /prefs/u/" in written
    assert "eyJ" not in written


def test_what_gunicorn_logs(log: Any) -> None:
    atoms = SafeAtoms(
        {
            "h": "203.0.113.7",
            "r": f"GET /prefs/l/{TOKEN}/ HTTP/1.1",
            "s": "200",
            "b": 512,
            "{referer}i": TOKEN,
        }
    )
    logging.getLogger("gunicorn.access").warning(
        '%(h)s "%(r)s" %(s)s %(b)s "%({referer}i)s" "%({x}i)s"', atoms
    )
    assert (
        log.getvalue()
        == f'gunicorn.access 203.0.113.7 "GET /prefs/l/{REDACTED}/ HTTP/1.1" 200 512 "{REDACTED}" "-"\n'
    )
    assert TOKEN in atoms["r"]  # gunicorn's own stay as they were


def test_arguments_of_every_kind(log: Any) -> None:
    class Path:
        def __str__(self) -> str:
            return f"/l/{TOKEN}/"

    logging.getLogger("any").warning("%s %d %.1f %s", Path(), 3, 1.5, None)
    written = f"sent to anna@mail.example.org, 100% of {TOKEN}"
    logging.getLogger("any").warning(written)
    assert log.getvalue() == f"any /l/{REDACTED}/ 3 1.5 None\nany sent to {REDACTED}, 100% of {REDACTED}\n"


def test_tracebacks(log: Any) -> None:
    try:
        raise ValueError(f"no such link: {TOKEN} of anna@mail.example.org")
    except ValueError:
        logging.getLogger("any").exception("Internal Server Error: %s", f"/prefs/l/{TOKEN}/", stack_info=True)
    written = log.getvalue()
    assert "ValueError: no such link" in written
    assert "eyJ" not in written
    assert "anna" not in written


def test_codes_are_tokens_too(log: Any, manage: str, center: PreferenceCenterPage) -> None:
    token = manage.rstrip("/").rpartition("/")[2]
    code = make_code(open_link(token, Purpose.MANAGE), center.translation_key, "https://shop.example")
    logging.getLogger("any").warning("leads to %s", f"https://shop.example/#pc={code}")
    logging.getLogger("any").warning("used %s", code)
    assert code.split(".")[2] not in log.getvalue()
