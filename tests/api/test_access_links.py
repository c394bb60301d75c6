"""`POST access-links/`: the same answer, statements and rows, whoever the address belongs to (security.md AB-01)."""

from __future__ import annotations

import json
import logging
import re
from pathlib import Path
from typing import Any

import pytest

from tests import factories
from tests.api.asking import KINDS, Trace, address_of, trace
from tests.api.conftest import BLOG, SHOP, Visit
from wagtail_prefs.access.models import AccessRequest
from wagtail_prefs.mail.models import Mail
from wagtail_prefs.submissions.asking import counted_as


def ask(visit: Visit, email: object = "anna@mail.example.org", **headers: str) -> Any:
    return visit.post("access-links/", {"email": email}, **headers)


def test_a_request_leaves_a_row_and_nothing_else(visit: Visit) -> None:
    answer = ask(visit, " Anna@mail.example.org")
    assert answer.status_code == 202
    assert answer.json() == {"text": "If that address is known to us, a mail with a link is on its way."}
    row = AccessRequest.objects.get()
    assert (row.kind, row.audience_id, row.center) == (
        "link",
        visit.contact.audience_id,
        visit.page.translation_key,
    )
    assert (row.address, row.locale, row.details, row.host) == ("Anna@mail.example.org", "en", {}, 0)
    assert row.idempotency_key is None
    assert not Mail.objects.exists()


def test_the_guide_shows_what_goes_over_the_wire(visit: Visit) -> None:
    guide = (Path(__file__).resolve().parents[2] / "docs/how-to/send-me-my-link.md").read_text()
    sent, told = (json.loads(part) for part in re.findall(r"```json\n(.*?)```", guide, re.DOTALL))
    answer = visit.post("access-links/", sent)
    assert (answer.status_code, answer.json()) == (202, told)


def test_nothing_tells_whose_address_it_is(visit: Visit) -> None:
    ask(visit)  # what the first request of a process learns
    found: dict[Trace, list[str]] = {}
    for kind in KINDS:
        email = address_of(kind)
        found.setdefault(trace(lambda email=email: ask(visit, email)), []).append(kind)
    assert list(found.values()) == [list(KINDS)]
    (same,) = found
    assert same.rows[0] == 1
    assert same.answer[0] == 202
    assert [sql.split('"')[1] for sql in same.statements].count("wagtail_prefs_accessrequest") == 1
    assert not [sql for sql in same.statements if "prefs_contact" in sql]


def test_the_trace_sees_a_difference(visit: Visit) -> None:
    ask(visit)
    one = trace(lambda: ask(visit))
    assert trace(lambda: ask(visit)) == one
    assert trace(lambda: ask(visit, "")) != one
    assert trace(lambda: (visit.contact.refresh_from_db(), ask(visit))[1]) != one


@pytest.mark.parametrize(
    ("origin", "pages", "host"),
    [
        (SHOP, f"{SHOP}/mail\n{SHOP}/other", 0),
        (SHOP, f"{BLOG}/mail\n{SHOP}/other", 1),
        (SHOP, "", None),
        ("http://localhost", f"{SHOP}/mail", None),
        (None, f"{SHOP}/mail", None),
    ],
)
def test_the_link_leads_back_to_where_it_was_asked_for(
    db: None, origin: str | None, pages: str, host: int | None
) -> None:
    site = factories.make_site(origins=[SHOP, BLOG])
    visit = Visit(factories.make_center(site=site, host_pages=pages), factories.make_contact(), origin=origin)
    assert ask(visit).status_code == 202
    assert AccessRequest.objects.get().host == host


def test_the_mail_will_be_in_the_language_of_the_page(visit: Visit) -> None:
    factories.make_center(locale="de", translation_of=visit.page)
    answer = visit.post("access-links/?locale=de", {"email": "anna@mail.example.org"})
    assert answer.status_code == 202
    assert AccessRequest.objects.get().locale == "de"


@pytest.mark.parametrize(
    "email",
    ["anna@mail.example.org", "ANNA@MAIL.EXAMPLE.ORG", "ａnna@mail.example.org", " anna@mail.example.org\t"],
)
def test_every_spelling_of_an_address_is_counted_as_one(visit: Visit, email: str) -> None:
    """One a minute (security.md AB-03): another case, width or blank is no other address."""
    assert ask(visit).content == ask(visit, email).content
    assert AccessRequest.objects.count() == 1


def test_what_looks_alike_is_another_address(visit: Visit) -> None:
    """A Cyrillic а, a dot: mail goes to the stored address of whom they are, and that is nobody (AB-02)."""
    for email in ("anna@mail.example.org", "аnna@mail.example.org", "an.na@mail.example.org"):
        ask(visit, email)
    assert AccessRequest.objects.count() == 3


def test_beyond_a_limit_the_answer_is_the_same_and_nothing_is_noted(visit: Visit, settings: Any) -> None:
    first = ask(visit)
    for limit in ({"link_address": [(1, 60)]}, {"link_network": [(1, 3600)]}):
        settings.WAGTAIL_PREFS = {**settings.WAGTAIL_PREFS, "LIMITS": limit}
        for name in ("one", "one", "two"):
            again = ask(visit, f"{name}@mail.example.org")
            assert (again.status_code, dict(again.headers), again.content) == (
                202,
                dict(first.headers),
                first.content,
            )
    # By address one each, and then the network had had enough.
    assert sorted(AccessRequest.objects.values_list("address", flat=True)) == [
        "anna@mail.example.org",
        "one@mail.example.org",
        "two@mail.example.org",
    ]


def test_no_log_line_of_ours_holds_an_address(visit: Visit, caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.DEBUG):
        for _again in range(3):
            ask(visit)
        ask(visit, "not an address")
    ours = [record.getMessage() for record in caplog.records if record.name.startswith("wagtail_prefs")]
    assert any("link_address" in line for line in ours)  # the limit says that it was reached
    assert not [line for line in ours if "anna" in line or "not an" in line]


def test_a_network_that_is_stopped_uses_nothing_up_of_a_person(visit: Visit, settings: Any) -> None:
    settings.WAGTAIL_PREFS = {**settings.WAGTAIL_PREFS, "LIMITS": {"link_network": [(1, 3600)]}}
    ask(visit, "somebody@mail.example.org")
    ask(visit)
    url, headers = visit.url("access-links/"), visit.headers()
    visit.client.post(
        url,
        {"email": "anna@mail.example.org"},
        content_type="application/json",
        headers=headers,
        REMOTE_ADDR="192.0.2.7",
    )
    assert AccessRequest.objects.filter(address="anna@mail.example.org").count() == 1


@pytest.mark.parametrize(
    ("body", "status"),
    [
        ({"email": ""}, 422),
        ({"email": " \t"}, 422),
        ({"email": None}, 400),
        ({"email": 1}, 400),
        ({"email": ["anna@mail.example.org"]}, 400),
        ({"email": "anna@mail.example.org", "locale": "de"}, 400),
        ({"address": "anna@mail.example.org"}, 400),
        ({}, 400),
        ([], 400),
        (b"{", 400),
        (b'{"email": "a@b.example", "email": "c@d.example"}', 400),
        (b'{"email": "\\u0000a@b.example"}', 400),
        (b'{"email": "\\ud800@b.example"}', 400),
        (b'{"email": "' + b"a" * 17 * 1024 + b'"}', 413),
    ],
    ids=lambda value: str(value)[:40],
)
def test_what_is_no_request_is_refused_whoever_it_is_about(visit: Visit, body: Any, status: int) -> None:
    answer = visit.post("access-links/", body)
    assert answer.status_code == status
    assert b"mail.example.org" not in answer.content
    assert not AccessRequest.objects.exists()


def test_only_json_from_an_allowed_origin_is_taken(visit: Visit) -> None:
    assert ask(visit, Origin="https://evil.example").status_code == 403
    assert ask(visit, Origin="null").status_code == 403
    assert ask(visit, Origin=f"{SHOP}.evil.example").status_code == 403
    form = visit.client.post(
        visit.url("access-links/"), {"email": "anna@mail.example.org"}, headers=visit.headers()
    )
    assert form.status_code == 415
    for method in ("get", "put", "patch", "delete"):
        assert (
            getattr(visit.client, method)(visit.url("access-links/"), headers=visit.headers()).status_code
            == 405
        )
    assert not AccessRequest.objects.exists()


def test_an_allowed_origin_may_read_the_answer_and_nobody_is_remembered(visit: Visit) -> None:
    preflight = visit.client.options(visit.url("access-links/"), headers=visit.headers())
    assert preflight.status_code == 204
    assert preflight["Access-Control-Allow-Origin"] == SHOP
    answer = ask(visit)
    assert answer["Access-Control-Allow-Origin"] == SHOP
    assert answer["Cache-Control"] == "no-store, private"
    assert "Access-Control-Allow-Credentials" not in answer.headers
    assert not answer.cookies
    assert "Retry-After" not in answer.headers


def test_an_unpublished_center_sends_no_links(visit: Visit) -> None:
    visit.page.unpublish()
    assert ask(visit).status_code == 404
    assert not AccessRequest.objects.exists()


@pytest.mark.parametrize(
    "odd", ["a@" + "ü" * 60 + ".example", "a@xn--.example", "@", "a@[1.2.3.4]", "ﬀ@x", "İ@ß.de"]
)
def test_anything_can_be_counted(odd: str) -> None:
    assert counted_as(odd) == counted_as(f" {odd} ")
