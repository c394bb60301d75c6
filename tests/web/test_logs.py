"""Tokens, codes and addresses stay out of logs, however a server or a library writes them (security.md TK-11)."""

from __future__ import annotations

import io
import json
import logging
import logging.handlers
import os
import pickle
import queue
import subprocess
import sys
from pathlib import Path
from typing import Any
from urllib.parse import quote

import django
import pytest
from django.core import mail
from django.db import IntegrityError, connection, transaction
from django.test import Client, RequestFactory
from django.test.utils import CaptureQueriesContext
from gunicorn.glogging import SafeAtoms
from hypothesis import given, strategies as st
from pytest_django import Settings

from tests import factories
from tests.properties import examples
from wagtail_prefs.access.services import Purpose, make_code, open_link
from wagtail_prefs.centers.page import PreferenceCenterPage
from wagtail_prefs.contacts.models import Contact
from wagtail_prefs.web import logs
from wagtail_prefs.web.logs import REDACTED, RedactTokens, redact

TOKEN = "v1.t1.eyJhIjoxLCJjIjoiZ3hYaDh4RnNTRXEy.l0T4U81Tm3TuTOO6EUQW7eCtbGd9Ea6nSgzHRaXEkAg"
KEY = "wpk_a1B2c3D4e5F6_" + "aB3" * 14 + "x" + "Zz09aA"


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
        (f"/prefs/p/{TOKEN}", f"/prefs/p/{REDACTED}"),
        ("/prefs/api/v1/inbound/crm/s3cret/", f"/prefs/api/v1/inbound/crm/{REDACTED}/"),
        (f"https://shop.example/mail#pc={TOKEN}", f"https://shop.example/mail#pc={REDACTED}"),
        (f"Authorization: Bearer s1{TOKEN[2:]}", f"Authorization: Bearer {REDACTED}"),
        ("to anna@mail.example.org now", f"to {REDACTED} now"),
        ("?email=anna%40mail.example.org&x=1", f"?email={REDACTED}&x=1"),
        ("/prefs/l/v1%2Et1%2EeyJh%2Eabc/", f"/prefs/l/{REDACTED}/"),
        # addresses in every spelling
        ("to <anna+news@mail.example.org>,", f"to <{REDACTED}>,"),
        ("mailto:o'brien@example.org", f"mailto:{REDACTED}"),
        ('to "anna smith"@example.org.', f"to {REDACTED}."),
        (r'{"to": "\"anna smith\"@example.org"}', f'{{"to": "{REDACTED}"}}'),
        ("to jürgen@bücher.example", f"to {REDACTED}"),
        (r"to j\u00fcrgen@b\u00fccher.example", f"to {REDACTED}"),
        ("?q=j%C3%BCrgen%40b%C3%BCcher.example", f"?q={REDACTED}"),
        ("?q=anna%2Bnews%2540example%2Eorg&x", f"?q={REDACTED}&x"),
        ("postgres://anna@localhost:5432", f"postgres://{REDACTED}:5432"),
        ("to anna@[203.0.113.7]", f"to {REDACTED}"),
        ("('anna@example.org', 'b@example.org')", f"('{REDACTED}', '{REDACTED}')"),
        # tokens and keys as well
        (f"?next=%2Fu%2F{TOKEN.replace('.', '%2E')}", f"?next=%2Fu%2F{REDACTED}"),
        (f"?x={TOKEN.replace('.', '%252e')}", f"?x={REDACTED}"),
        (f"https://shop.example/%23pc%3D{TOKEN}", f"https://shop.example/%23pc%3D{REDACTED}"),
        (KEY, f"wpk_a1B2c3D4e5F6_{REDACTED}"),
        (f"'Authorization': 'Bearer {KEY}'", f"'Authorization': 'Bearer wpk_a1B2c3D4e5F6_{REDACTED}'"),
        ("wpk_notoursbutlooksso", f"wpk_{REDACTED}"),
        # what is nobody's secret stays
        ("@decorated, 5 @ 3, a@, @b.c", "@decorated, 5 @ 3, a@, @b.c"),
        ("a***@e***.org", "a***@e***.org"),
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


class Keeping(logging.Handler):
    """As an error tracker or a JSON formatter: looks at the record itself, and at everything in it."""

    def __init__(self) -> None:
        super().__init__()
        self.records: list[logging.LogRecord] = []

    def emit(self, record: logging.LogRecord) -> None:
        self.records.append(record)

    def everything(self) -> str:
        told = []
        for record in self.records:
            told += [record.getMessage(), repr(record.msg), repr(record.args), repr(dict(vars(record)))]
            if record.exc_info:
                told.append(logging.Formatter().formatException(record.exc_info))
            told.append(logging.Formatter().format(record))
        return "\n".join(told)


@pytest.fixture
def kept() -> Any:
    """A handler without any filter of ours."""
    handler, root = Keeping(), logging.getLogger()
    root.addHandler(handler)
    yield handler
    root.removeHandler(handler)


def clean(kept: Keeping) -> str:
    told = kept.everything()
    assert "anna" not in told
    assert "eyJ" not in told
    assert "aB3" not in told
    return told


def test_every_record_is_redacted_when_it_is_made(kept: Keeping) -> None:
    logger = logging.getLogger("wagtail_prefs.any")
    logger.warning("of %s: %s", "anna@mail.example.org", TOKEN)
    logger.warning("of %(who)s", {"who": "anna@mail.example.org", "and": TOKEN})
    whole = f"of anna@mail.example.org, 100% {TOKEN}"
    logger.warning(whole)
    logger.warning("%s", {"to": ["anna@mail.example.org"], "key": KEY})
    logger.warning("from /l/%s/", "anna-does-not-look-like-a-token")
    logger.warning(ValueError(TOKEN))
    logger.warning(TOKEN.encode())
    logger.warning("more", extra={"who": "anna@mail.example.org", "deep": {"keys": [KEY, (TOKEN,)]}, "n": 7})
    told = clean(kept)
    assert f"of {REDACTED}: {REDACTED}" in told
    assert f"from /l/{REDACTED}/" in told
    assert kept.records[-1].n == 7  # type: ignore[attr-defined]
    assert kept.records[0].args == (REDACTED, REDACTED)  # as many as there were


def test_what_cannot_be_formatted_is_redacted_all_the_same(
    kept: Keeping, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    class Broken:
        def __str__(self) -> str:
            raise ValueError(TOKEN)

    monkeypatch.setattr(logging, "raiseExceptions", False)
    logging.getLogger("wagtail_prefs.any").warning("%d of %s", TOKEN, Broken())
    (record,) = kept.records
    assert record.args == (REDACTED, REDACTED)


def test_other_programs_keep_addresses_and_nobody_keeps_tokens(kept: Keeping) -> None:
    logging.getLogger("shop.orders").warning(
        "sent to %s, %s", "anna@mail.example.org", TOKEN, extra={"who": "anna@mail.example.org", "key": KEY}
    )
    (record,) = kept.records
    assert record.getMessage() == f"sent to anna@mail.example.org, {REDACTED}"
    assert record.who == "anna@mail.example.org"  # type: ignore[attr-defined]
    assert KEY not in record.key  # type: ignore[attr-defined]
    logging.getLogger("djangonauts").warning("anna@mail.example.org")
    assert kept.records[-1].getMessage() == "anna@mail.example.org"


def test_exceptions_with_all_that_led_to_them(kept: Keeping) -> None:
    class Refused(ValueError):
        def __init__(self, who: str, why: str) -> None:
            super().__init__(who, why)
            self.who = who

    address = "anna@mail.example.org"
    try:
        try:
            raise KeyError(address)
        except KeyError as error:
            error.add_note(f"and {TOKEN}")
            raise Refused(address, TOKEN) from error
    except Refused:
        logging.getLogger("wagtail_prefs.any").exception("failed")
    (record,) = kept.records
    kind, error, trace = record.exc_info  # type: ignore[misc]
    assert issubclass(kind, Refused) and kind.__qualname__ == Refused.__qualname__
    assert isinstance(error, ValueError) and isinstance(error.__cause__, KeyError)
    assert trace is not None
    told = clean(kept)
    assert "Refused: " in told and "The above exception was the direct cause" in told
    assert f"and {REDACTED}" in told


def test_exceptions_that_say_nothing_stay_what_they_are(kept: Keeping) -> None:
    error = RuntimeError("nothing to hide")
    try:
        raise error
    except RuntimeError:
        logging.getLogger("wagtail_prefs.any").exception("failed")
    assert kept.records[0].exc_info[1] is error  # type: ignore[index]
    assert kept.records[0].exc_text is None or "nothing to hide" in kept.records[0].exc_text


def test_groups_and_circles_of_exceptions(kept: Keeping) -> None:
    first, second = ValueError(TOKEN), ValueError("anna@mail.example.org")
    first.__context__, second.__context__ = second, first
    group = ExceptionGroup(TOKEN, [first])
    for error in (first, group):
        logging.getLogger("wagtail_prefs.any").error("failed", exc_info=error)
    clean(kept)
    assert len(kept.records) == 2


def test_what_a_database_says_of_a_row(kept: Keeping, contact: Contact) -> None:
    """PostgreSQL names the values: `Key (email)=(anna@mail.example.org) already exists.`"""
    with connection.cursor() as cursor, pytest.raises(Exception) as caught, transaction.atomic():  # noqa: PT011, PT012
        if connection.vendor == "postgresql":
            cursor.execute("CREATE TEMPORARY TABLE held (email text UNIQUE) ON COMMIT DROP")
            cursor.execute("INSERT INTO held VALUES (%s), (%s)", [contact.email] * 2)
        raise IntegrityError(f"DETAIL: Key (email)=({contact.email}) already exists.")
    logging.getLogger("django.request").error("failed", exc_info=caught.value)
    assert f"(email)=({REDACTED})" in clean(kept)


@pytest.mark.django_db
def test_statements_that_django_logs(kept: Keeping) -> None:
    logger = logging.getLogger("django.db.backends")
    level = logger.level
    logger.setLevel(logging.DEBUG)
    try:
        with CaptureQueriesContext(connection):
            factories.make_contact(email="anna@mail.example.org")
            Contact.objects.filter(email="anna@mail.example.org").count()
    finally:
        logger.setLevel(level)
    assert len(kept.records) > 1
    assert REDACTED in clean(kept)


def test_errors_that_django_mails(settings: Settings) -> None:
    settings.ADMINS = ["admin@example.org"] if django.VERSION >= (6,) else [("", "admin@example.org")]
    request = RequestFactory().post(
        f"/prefs/l/{TOKEN}/",
        {"profile.email": "anna@mail.example.org"},
        headers={"Referer": f"https://x.example/u/{TOKEN}/", "Authorization": "Bearer opensesame-eyJ"},
    )
    logger = logging.getLogger("django.request")
    said = f"cannot mail anna@mail.example.org {TOKEN}"
    try:
        raise ValueError(said)
    except ValueError:
        logger.exception("Internal Server Error: %s", request.path, extra={"request": request})
    (sent,) = mail.outbox
    told = f"{sent.subject}\n{sent.body}"
    assert f"/prefs/l/{REDACTED}/" in told and "ValueError" in told
    for secret in (TOKEN, TOKEN[-30:], "opensesame"):
        assert secret not in told
    assert "anna@mail" not in told
    assert request.path == f"/prefs/l/{TOKEN}/"  # the view's own stays as it was


def test_records_travel(kept: Keeping) -> None:
    """To another thread, another process, and through a socket."""
    logging.getLogger("wagtail_prefs.any").warning("of %s", TOKEN, extra={"who": "anna@mail.example.org"})
    (record,) = kept.records
    line: queue.Queue[logging.LogRecord] = queue.Queue()
    logging.handlers.QueueHandler(line).emit(record)
    travelled = [line.get(), pickle.loads(pickle.dumps(record)), logging.makeLogRecord(dict(vars(record)))]
    for one in travelled:
        assert one.getMessage() == f"of {REDACTED}"
        assert one.who == REDACTED  # type: ignore[attr-defined]
        json.dumps(one.getMessage())


def test_what_uvicorn_logs(kept: Keeping) -> None:
    """Its formatter takes the five arguments apart."""
    logging.getLogger("uvicorn.access").warning(
        '%s - "%s %s HTTP/%s" %d', "203.0.113.7:4711", "GET", f"/prefs/l/{TOKEN}/?q=anna%40x.org", "1.1", 200
    )
    address, method, path, version, status = kept.records[0].args  # type: ignore[misc]
    assert (method, path, version, status) == ("GET", f"/prefs/l/{REDACTED}/?q={REDACTED}", "1.1", 200)
    assert address == "203.0.113.7:4711"


def test_installing_again_changes_nothing() -> None:
    factory = logging.getLogRecordFactory()
    logs.install()
    assert logging.getLogRecordFactory() is factory


def test_whoever_made_records_goes_on_making_them(kept: Keeping) -> None:
    ours = logging.getLogRecordFactory()

    class Special(logging.LogRecord):
        pass

    try:
        logging.setLogRecordFactory(Special)
        logs.install()
        logging.getLogger("wagtail_prefs.any").warning("of %s", TOKEN)
    finally:
        logging.setLogRecordFactory(ours)
    assert isinstance(kept.records[0], Special)
    clean(kept)


@pytest.mark.parametrize("redacts", [True, False])
def test_one_setting(redacts: bool, tmp_path: Path) -> None:
    """A process that logs in the plainest way there is."""
    (tmp_path / "quiet.py").write_text(
        "from tests.settings import *\n\nWAGTAIL_PREFS = {**WAGTAIL_PREFS, 'REDACT_LOGS': " + f"{redacts}}}\n"
    )
    code = f"import django, logging; django.setup(); logging.warning('of %s', '{TOKEN}')"
    root = Path(__file__).resolve().parents[2]
    env = {
        **os.environ,
        "DJANGO_SETTINGS_MODULE": "quiet",
        "PYTHONPATH": os.pathsep.join([str(tmp_path), str(root)]),
    }
    done = subprocess.run(
        [sys.executable, "-c", code], env=env, cwd=root, capture_output=True, text=True, check=True
    )
    assert done.stderr.strip() == f"WARNING:root:of {REDACTED if redacts else TOKEN}"


LOCAL = st.text("abcXYZ019.!#$%&'*+/=?^_`{|}~-äé漢", min_size=1, max_size=20)
DOMAINS = st.from_regex(
    r"[a-zä]([a-z0-9ä-]{0,10}[a-z0-9])?(\.[a-z]([a-z0-9-]{0,8}[a-z0-9])?){1,3}", fullmatch=True
)


@pytest.mark.property
@examples(300)
@given(local=LOCAL, domain=DOMAINS)
def test_no_address_stays_whole(local: str, domain: str) -> None:
    address = f"{local}@{domain}"
    for spelled in (
        address,
        f"<{address}>",
        repr(address),
        f"x={quote(address)}&y",
        json.dumps({"to": address}),
    ):
        told = redact(spelled)
        assert REDACTED in told
        # What stands before the @, as far as it can be told from a path or a query, and the domain.
        assert f"@{domain}" not in told and quote(f"@{domain}") not in told


@pytest.mark.property
@examples(300)
@given(text=st.text())
def test_texts_without_anything_stay(text: str) -> None:
    if not any(sign in text for sign in ("@", "%40", "%2540", ".", "/")):
        assert redact(text) == text
    assert redact(redact(text)) == redact(text)


def test_what_a_template_was_given_when_a_variable_is_missing(log: io.StringIO) -> None:
    """At DEBUG Django prints the whole context, with whatever a page was about."""
    logger, level = logging.getLogger("django.template"), logging.getLogger("django.template").level
    logger.setLevel(logging.DEBUG)
    try:
        from django.template import Context, Template

        given = {"url": f"https://brand.example/prefs/l/{TOKEN}/", "to": "somebody@mail.example.org"}
        Template("{{ given.missing }}").render(Context({"given": given}))
    finally:
        logger.setLevel(level)
    said = log.getvalue()
    assert "missing" in said and REDACTED in said
    assert TOKEN not in said and "somebody@" not in said
