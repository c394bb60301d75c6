"""The search for leaks finds what is planted: `tests/leaks.py` watches every test, and this watches it."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from tests.leaks import Leaks, search_output

ROOT = Path(__file__).resolve().parents[1]
TOKEN = "v1.t1.eyJhIjoxLCJjIjoiZ3hYaDh4RnNTRXEy.l0T4U81Tm3TuTOO6EUQW7eCtbGd9Ea6nSgzHRaXEkAg"

PLANTED = """
import logging
import threading

import pytest
from django.test import override_settings

from tests import factories
from wagtail_prefs.access import api_keys, tokens
from wagtail_prefs.access.models import AccessRequest

plain = logging.LogRecord  # makes records as a process would without REDACT_LOGS
redacting = logging.getLogRecordFactory()


@pytest.fixture(autouse=True)
def _unredacted():
    logging.setLogRecordFactory(plain)
    yield
    logging.setLogRecordFactory(redacting)


def test_clean_before():
    logging.getLogger("one").info("nothing")


def test_leak_of_a_token():
    logging.getLogger("one").debug("made %s", tokens.sign("v1", {"p": "manage"}))


def test_leak_of_a_token_in_a_path():
    logging.getLogger("one").debug("made %s", tokens.sign("v1", {"p": "manage"}).replace(".", "%2E"))


def test_leak_of_a_mac_alone():
    logging.getLogger("one").debug("made %s", tokens.sign("v1", {"p": "manage"})[-43:-10])


def test_leak_of_a_backends_password():
    from wagtail_prefs.backends.webhook import WebhookBackend

    options = {"URL": "https://crm.example.org/", "SECRET": f"whsec_{'A' * 43}="}
    WebhookBackend("crm", options)
    logging.getLogger("one").debug("cannot use %s", options)


def test_leak_of_an_inbound_secret():
    from wagtail_prefs.backends.registry import backends

    entry = {"BACKEND": "wagtail_prefs.backends.memory.MemoryBackend", "INBOUND_SECRETS": ["a-secret-of-22-letters-x"]}
    with override_settings(WAGTAIL_PREFS={"BACKENDS": {"crm": entry}}):
        backends.inbound_secrets("crm")
        logging.getLogger("one").debug("POST /inbound/crm/a-secret-of-22-letters-x/")


def test_leak_in_an_attribute():
    logging.getLogger("one").debug("made", extra={"made": {"token": tokens.sign("c1", {"p": "manage"})}})


def test_leak_in_an_exception():
    try:
        raise ValueError(tokens.sign("s1", {}))
    except ValueError:
        logging.getLogger("one").debug("failed", exc_info=True)


def test_leak_of_an_address():
    AccessRequest(address="Planted+1@Mail.Example.org")
    logging.getLogger("django.db.backends").debug("SELECT '%s'", "planted+1@mail.example.org")


def test_leak_of_an_address_in_a_query():
    logging.getLogger("django.server").info("GET /?q=planted%2B1%40mail.example.org")


def test_leak_from_a_thread():
    token = tokens.sign("v1", {"p": "manage"})
    thread = threading.Thread(target=lambda: logging.getLogger("one").debug(token))
    thread.start()
    thread.join()


def test_leak_from_a_logger_that_keeps_to_itself():
    logger = logging.getLogger("two")
    logger.propagate = False
    logger.setLevel(logging.DEBUG)
    logger.debug(tokens.sign("v1", {"p": "manage"}))


@pytest.mark.django_db
def test_leak_of_a_key():
    from wagtail_prefs.topics.models import Audience

    audience, _ = Audience.objects.get_or_create(key="default", defaults={"name": "x"})
    row, key = api_keys.make("planted", audience, ["contacts:read"], None)
    logging.getLogger("one").debug("Authorization: Bearer %s", key)


def test_leak_while_a_fixture_ends(request):
    token = tokens.sign("v1", {"p": "manage"})
    request.addfinalizer(lambda: logging.getLogger("one").debug(token))


def test_clean_with_redaction():
    logging.setLogRecordFactory(redacting)
    logging.getLogger("django").debug("made %s of %s", tokens.sign("v1", {}), "planted+1@mail.example.org")


def test_clean_after():
    logging.getLogger("one").info("to somebody@mail.example.org, whom nobody knows, v1.t1.abcdefghi.%s", "x" * 43)
"""


@pytest.mark.slow
def test_every_leak_that_is_planted_is_found() -> None:
    planted = ROOT / "tests" / f"test_planted_{os.getpid()}.py"  # the suite's conftest must be its own
    planted.write_text(PLANTED)
    try:
        done = subprocess.run(
            [sys.executable, "-m", "pytest", "-q", "-rA", "--no-header", "-p", "no:randomly", "-p", "no:cacheprovider", str(planted)],
            cwd=ROOT,
            capture_output=True,
            text=True,
            check=False,
        )  # fmt: skip
    finally:
        planted.unlink()
    outcomes = dict(re.findall(r"^(?:FAILED|ERROR|PASSED) \S+?::(test_\w+)()", done.stdout, re.MULTILINE))
    failed = set(re.findall(r"^(?:FAILED|ERROR) \S+?::(test_\w+)", done.stdout, re.MULTILINE))
    assert len(outcomes) == PLANTED.count("\ndef test_"), done.stdout
    assert failed == {name for name in outcomes if "_leak_" in name}, done.stdout


def test_what_is_searched_for() -> None:
    leaks = Leaks()
    leaks.token(TOKEN)
    leaks.address("Anna@Mail.example.org")
    for text in (TOKEN, f"x{TOKEN}", TOKEN[-43:], f"/l/{TOKEN.replace('.', '%252E')}/", TOKEN[:-20]):
        assert leaks.search(text), text
    for text in ("ANNA@mail.example.org", "to:anna%40mail.example.org", "anna@mail.example.org."):
        assert leaks.search(text) == "an address", text
        assert not leaks.search(text, addresses=False)
    for text in ("", TOKEN[:-43], "anne@mail.example.org", "anna@mail.example.com", TOKEN.replace("T", "t")):
        assert not leaks.search(text), text


def test_the_output_of_another_process() -> None:
    search_output("GET /prefs/l/[redacted]/ 200", ["anna@mail.example.org", ""])
    for output in (
        f"GET /prefs/l/{TOKEN}/ 200",
        f"?x={TOKEN.replace('.', '%2E')}",
        "to Anna@mail.example.org",
    ):
        with pytest.raises(AssertionError):
            search_output(output, ["anna@mail.example.org"])
