"""What every answer to a token carries, and what it never does (security.md TK-09, EB-06, EB-07)."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from django.test import Client, override_settings
from django.utils import timezone

from tests import pages
from tests.web.conftest import post
from wagtail_prefs.access.models import UsedCode
from wagtail_prefs.access.services import Purpose, make_token
from wagtail_prefs.centers import embed
from wagtail_prefs.centers.page import PreferenceCenterPage
from wagtail_prefs.contacts.models import Contact
from wagtail_prefs.web.responses import media_origins

Answer = Callable[[], Any]


@pytest.fixture
def answers(
    strict: Client, manage: str, one_click: str, contact: Contact, center: PreferenceCenterPage
) -> dict[str, Answer]:
    """Every kind of answer there is."""
    old = make_token(
        Purpose.MANAGE, contact, center=center.translation_key, issued=timezone.now() - timedelta(days=61)
    )
    form = pages.submitted(pages.parse(strict.get(manage).content.decode()))
    return {
        "page": lambda: strict.get(manage),
        "head": lambda: strict.head(manage),
        "options": lambda: strict.options(manage),
        "saved": lambda: post(strict, manage, form),
        "refused": lambda: post(strict, manage, {**form, "nonsense": "1"}),
        "foreign": lambda: post(strict, manage, form, **{"Sec-Fetch-Site": "cross-site"}),
        "type": lambda: strict.post(manage, "{}", content_type="application/json"),
        "large": lambda: post(strict, manage, {"x": "x" * 20_000}),
        "method": lambda: strict.put(manage),
        "expired": lambda: strict.get(f"/prefs/l/{old}/"),
        "forged": lambda: strict.get("/prefs/l/v1.t1.abc.def/"),
        "unsubscribe page": lambda: strict.get(one_click),
        "unsubscribed": lambda: strict.post(one_click, {"List-Unsubscribe": "One-Click"}),
        "unsubscribed page": lambda: strict.post(one_click, {"List-Unsubscribe": "One-Click", "page": "1"}),
        "forged unsubscribe": lambda: strict.post("/prefs/u/x/", {"List-Unsubscribe": "One-Click"}),
        "unsubscribe method": lambda: strict.delete(one_click),
    }


def test_every_answer_is_sealed(answers: dict[str, Answer]) -> None:
    for name, answer in answers.items():
        response = answer()
        assert response["Cache-Control"] == "no-store, private", name
        assert response["Referrer-Policy"] == "no-referrer", name
        assert response["X-Robots-Tag"] == "noindex", name
        assert response["X-Content-Type-Options"] == "nosniff", name
        assert response["X-Frame-Options"] == "DENY", name
        assert response["Cross-Origin-Opener-Policy"] == "same-origin", name
        assert "default-src 'none'" in response["Content-Security-Policy"], name
        assert "frame-ancestors 'none'" in response["Content-Security-Policy"], name
        assert not [header for header in response.headers if header.startswith("Access-Control-")], name
        assert "Set-Cookie" not in response.headers, name


def test_pages_may_load_one_style_sheet_and_run_nothing(answers: dict[str, Answer]) -> None:
    nonces = []
    for name in ("page", "refused", "expired", "forged", "unsubscribe page", "unsubscribed page", "large"):
        response = answers[name]()
        policy = response["Content-Security-Policy"]
        nonce = re.search(r"style-src 'nonce-([\w-]{20,})' 'self';", policy)
        assert nonce, name
        nonces.append(nonce[1])
        if name != "page":  # where the element may take over: see below
            assert "script-src" not in policy
            assert not list(pages.parse(response.content.decode()).all("script"))
        assert "unsafe" not in policy
        assert "form-action 'self'; base-uri 'none'" in policy
        page = pages.parse(response.content.decode())
        assert page.one("link", rel="stylesheet").get("nonce") == nonce[1]
        assert not list(page.all("style", "iframe", "object"))
        assert not [
            one for one in page.all() if "style" in one or any(key.startswith("on") for key in one.attributes)
        ]
        assert not [one for one in page.all("meta") if one.get("http-equiv")]
    assert len(set(nonces)) == len(nonces)


@pytest.fixture
def built(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The element's script, whether or not the front end was built here."""
    script = tmp_path / "preference-center.js"
    script.write_bytes(b"export {};\n")
    monkeypatch.setattr(embed, "SCRIPT", script)
    return script


def test_only_the_page_that_was_just_opened_runs_a_script_and_only_ours(
    built: Path, answers: dict[str, Answer], strict: Client, manage: str, center: PreferenceCenterPage
) -> None:
    response = answers["page"]()
    page, policy = pages.parse(response.content.decode()), response["Content-Security-Policy"]
    script, element = page.one("script"), page.one("div", id="pc-element")
    assert (script.get("src"), script.text) == ("/static/wagtail_prefs/own-page.js", "")
    assert f"script-src 'nonce-{script.get('nonce')}' 'strict-dynamic'; connect-src 'self'; " in policy
    assert "require-trusted-types-for 'script'; trusted-types 'none'; " in policy
    assert element.get("data-src") == f"/prefs/api/v1/centers/{center.translation_key}/"
    assert strict.get(str(element.get("data-script"))).content == built.read_bytes()
    # Its code is for this view alone: another look has another one.
    again = pages.parse(strict.get(manage).content.decode()).one("div", id="pc-element")
    assert again.get("data-code") != element.get("data-code")
    assert not UsedCode.objects.exists()
    # What a save did is not taken away by anything.
    told = strict.get(answers["saved"]()["Location"])
    assert "script-src" not in told["Content-Security-Policy"]
    assert not list(pages.parse(told.content.decode()).all("script"))


def test_where_the_element_is_not_built_nothing_takes_over(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, answers: dict[str, Answer]
) -> None:
    monkeypatch.setattr(embed, "SCRIPT", tmp_path / "missing.js")
    response = answers["page"]()
    assert "script-src" not in response["Content-Security-Policy"]
    assert not list(pages.parse(response.content.decode()).all("script"))


def test_nothing_is_loaded_from_elsewhere(answers: dict[str, Answer]) -> None:
    page = pages.parse(answers["page"]().content.decode())
    loaded = [one.get("href") for one in page.all("link")] + [one.get("src") for one in page.all("img")]
    assert loaded == ["/static/wagtail_prefs/css/center.css"]


def test_pictures_may_come_from_where_the_document_has_them() -> None:
    media = {"src": "https://cdn.example/a.jpg", "alt": "", "width": 1, "height": 1}
    local = {**media, "src": "/media/a.jpg"}
    odd = {**media, "src": "https://cdn.example;script-src */a.jpg"}
    controls = [
        {"type": "image", "media": media},
        {"type": "matrix", "media": None, "rows": [{"media": local}, {"media": odd}, {"media": None}]},
    ]
    assert media_origins({"blocks": [{"controls": controls}]}) == ["https://cdn.example"]


class Watching:
    """A middleware that fails when anybody looks at the session."""

    def __init__(self, get_response: Any) -> None:
        self.get_response = get_response

    def __call__(self, request: Any) -> Any:
        class Session:
            accessed = modified = False

            def __getattr__(self, name: str) -> Any:
                raise AssertionError(f"the session was asked for {name}")

        request.session = Session()
        return self.get_response(request)


@pytest.fixture
def watched(settings: Any) -> Iterator[None]:
    sessions = settings.MIDDLEWARE.index("django.contrib.sessions.middleware.SessionMiddleware")
    middleware = [*settings.MIDDLEWARE]
    middleware[sessions] = "tests.web.test_headers.Watching"
    with override_settings(MIDDLEWARE=middleware):
        yield


def test_no_session_is_touched(watched: None, answers: dict[str, Answer]) -> None:
    for answer in answers.values():
        assert answer().status_code < 500
