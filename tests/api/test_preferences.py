"""Sessions and preferences over HTTP: who gets in, what comes back, and what bad input does: nothing."""

from __future__ import annotations

import hashlib
import json
from datetime import timedelta
from typing import Any

import pytest
import time_machine
from django.apps import apps
from django.core import serializers
from django.http import HttpResponse
from django.utils import timezone

from tests import factories
from wagtail_prefs.access import services as access
from wagtail_prefs.contacts import services as contacts
from wagtail_prefs.contacts.models import Contact
from wagtail_prefs.ledger.models import Record
from wagtail_prefs.values import SUBSCRIBED

from .conftest import BLOG, SHOP, Visit

pytestmark = pytest.mark.django_db


def checksum() -> str:
    """Everything we have stored, as one digest: what must not move."""
    digest = hashlib.sha256()
    for model in apps.get_app_config("wagtail_prefs").get_models():
        digest.update(serializers.serialize("json", model._default_manager.order_by("pk")).encode())
    return digest.hexdigest()


def is_problem(answer: HttpResponse, status: int) -> bool:
    assert answer.status_code == status, (answer.status_code, answer.content)
    assert answer["Content-Type"] == "application/problem+json"
    problem = json.loads(answer.content)
    assert problem["status"] == status
    assert problem["title"]
    return True


def test_code_session_preferences_save_reload(visit: Visit) -> None:
    preferences = visit.enter()
    assert preferences["answers"] == {}
    assert preferences["contact"] == {"email": "a***@m***.org"}
    saved = visit.patch(visit.choose(news=True))
    assert saved.status_code == 200
    body = saved.json()
    assert body["version"] == 1
    assert body["receipt"] == str(Record.objects.get().pk)
    assert [line["text"] for line in body["applied"]] == ["News by e-mail: subscribed"]
    again = visit.get()
    assert again.json() == body["preferences"]
    topics = factories.block_id(visit.page, "topics")
    assert again.json()["answers"][topics] == {"choices": {"news": {"email": True}}}
    assert contacts.load_state(visit.contact.pk).choices == {("news", "email"): SUBSCRIBED}


def test_a_code_opens_one_session_only(visit: Visit) -> None:
    code = visit.code()
    assert visit.post("sessions/", {"code": code}).status_code == 200
    assert is_problem(visit.post("sessions/", {"code": code}), 401)


def test_a_code_from_another_origin_is_refused_and_not_used_up(visit: Visit) -> None:
    code = visit.code(SHOP)
    visit.origin = BLOG
    assert is_problem(visit.post("sessions/", {"code": code}), 403)
    visit.origin = SHOP
    assert visit.post("sessions/", {"code": code}).status_code == 200


def test_a_code_lives_ten_minutes_and_a_session_thirty(visit: Visit) -> None:
    with time_machine.travel(timezone.now(), tick=False) as clock:
        late = visit.code()
        code = visit.code()
        assert visit.post("sessions/", {"code": code}).status_code == 200
        clock.shift(timedelta(minutes=10, seconds=1))
        assert is_problem(visit.post("sessions/", {"code": late}), 401)
        visit.enter()
        clock.shift(timedelta(minutes=29))
        assert visit.get().status_code == 200
        clock.shift(timedelta(minutes=1, seconds=1))
        assert is_problem(visit.get(), 401)
        assert is_problem(visit.patch(visit.choose(news=True)), 401)


@pytest.mark.parametrize(
    "origin",
    [
        "https://evil.example",
        "https://shop.example.evil.example",
        "https://xshop.example",
        "http://shop.example",
        "https://shop.example:8443",
        "https://SHOP.example",
        "null",
        "",
    ],
)
def test_no_look_alike_origin_gets_in_or_reads_anything(visit: Visit, origin: str) -> None:
    visit.enter()
    before = checksum()
    for answer in (
        visit.get(Origin=origin),
        visit.patch(visit.choose(news=True), Origin=origin),
        visit.post("sessions/", {"code": visit.code()}, Origin=origin),
        visit.client.options(visit.url("preferences/"), headers={"Origin": origin}),
    ):
        assert answer.status_code == 403
        assert not answer.has_header("Access-Control-Allow-Origin")
    assert checksum() == before


def test_a_session_of_one_origin_is_none_of_another(visit: Visit) -> None:
    visit.enter()
    visit.origin = BLOG
    answer = visit.get()
    assert is_problem(answer, 403)
    visit.origin = None  # as a same-origin GET, or a script outside any browser
    assert is_problem(visit.get(), 403)


def test_only_the_asking_origin_may_read_and_nothing_is_cached(visit: Visit) -> None:
    visit.enter()
    for answer in (visit.get(), visit.patch(visit.choose(news=True)), visit.patch(b"{")):
        assert answer["Access-Control-Allow-Origin"] == SHOP
        assert not answer.has_header("Access-Control-Allow-Credentials")
        assert {"Origin", "Authorization"} <= {name.strip() for name in answer["Vary"].split(",")}
        assert answer["Cache-Control"] == "no-store, private"
        assert answer["Referrer-Policy"] == "no-referrer"
        assert answer["X-Content-Type-Options"] == "nosniff"
        assert not answer.cookies


def test_one_preflight_allows_everything_the_element_sends(
    visit: Visit, django_assert_max_num_queries: Any
) -> None:
    visit.client.get(visit.url())
    with django_assert_max_num_queries(1):  # whether the center is still the same; none within a second
        answer = visit.client.options(
            visit.url("preferences/"),
            headers={
                "Origin": SHOP,
                "Access-Control-Request-Method": "PATCH",
                "Access-Control-Request-Headers": "authorization,content-type,idempotency-key",
            },
        )
    assert answer.status_code == 204
    assert {"GET", "PATCH"} <= set(answer["Access-Control-Allow-Methods"].split(", "))
    assert answer["Access-Control-Allow-Headers"] == "authorization, content-type, idempotency-key"
    assert answer["Access-Control-Max-Age"] == "7200"


@pytest.mark.parametrize(
    ("tail", "method", "allowed"),
    [
        ("preferences/", "post", "GET, PATCH, HEAD, OPTIONS"),
        ("preferences/", "put", "GET, PATCH, HEAD, OPTIONS"),
        ("preferences/", "delete", "GET, PATCH, HEAD, OPTIONS"),
        ("sessions/", "get", "POST, OPTIONS"),
        ("sessions/", "patch", "POST, OPTIONS"),
    ],
)
def test_no_other_method_is_taken(visit: Visit, tail: str, method: str, allowed: str) -> None:
    visit.enter()
    answer = getattr(visit.client, method)(visit.url(tail), headers=visit.headers())
    assert is_problem(answer, 405)
    assert answer["Allow"] == allowed
    assert "{" not in answer.json()["title"]


def test_head_has_the_headers_of_get(visit: Visit) -> None:
    visit.enter()
    head = visit.client.head(visit.url("preferences/"), headers=visit.headers())
    assert (head.status_code, head.content, head.headers) == (200, b"", visit.get().headers)


def test_the_headers_of_a_personal_answer(visit: Visit) -> None:
    """Exactly these, beside what the site's own middleware adds."""
    visit.enter()
    answer = visit.get()
    assert dict(answer.headers) == {
        "Access-Control-Allow-Origin": SHOP,
        "Access-Control-Expose-Headers": "etag, retry-after",
        "Allow": "GET, PATCH, HEAD, OPTIONS",
        "Cache-Control": "no-store, private",
        "Content-Length": str(len(answer.content)),
        "Content-Type": "application/json",
        "Referrer-Policy": "no-referrer",
        "Vary": "Origin, Authorization, Accept-Language",
        "X-Content-Type-Options": "nosniff",
        "X-Robots-Tag": "noindex",
        # Django's
        "Content-Language": "en",
        "Cross-Origin-Opener-Policy": "same-origin",
        "X-Frame-Options": "DENY",
    }


@pytest.mark.parametrize(
    "authorization", ["", "Bearer", "Bearer x", "Basic eDp5", "Bearer s1.t1.e30.AAAA", "bearer " + "s" * 600]
)
def test_without_a_good_session_nobody_gets_in(visit: Visit, authorization: str) -> None:
    answer = visit.get(Authorization=authorization)
    assert is_problem(answer, 401)
    assert answer["WWW-Authenticate"] == "Bearer"
    assert is_problem(visit.patch(visit.choose(news=True), Authorization=authorization), 401)


def test_a_link_a_code_or_another_centers_session_is_no_session(visit: Visit) -> None:
    link = access.make_token(access.Purpose.MANAGE, visit.contact, center=visit.page.translation_key)
    other = Visit(factories.make_center(host_pages=f"{SHOP}/other"), visit.contact)
    other.enter()
    for bearer in (link, visit.code(), other.session):
        assert is_problem(visit.get(Authorization=f"Bearer {bearer}"), 401)


def test_a_revoked_contact_is_out_at_once(visit: Visit) -> None:
    visit.enter()
    Contact.objects.update(epoch=1)
    assert is_problem(visit.get(), 401)
    assert is_problem(visit.patch(visit.choose(news=True)), 401)


def bad_bodies(visit: Visit) -> list[tuple[int, Any, dict[str, Any]]]:
    """(status, body, how it is sent): everything of issue 2 and more."""
    topics = factories.block_id(visit.page, "topics")
    good = visit.choose(news=True)
    text = json.dumps(good)
    deep: Any = True
    for _ in range(14):
        deep = {"a": deep}
    return [
        (422, visit.body({"unknown-block": {"choices": {}}}), {}),
        (422, visit.body({topics: {"choices": {"secret": {"email": True}}}}), {}),
        (422, visit.body({topics: {"choices": {"news": {"post": True}}}}), {}),
        (422, visit.body({topics: {"nothing": 1}}), {}),
        (422, visit.body({topics: {"choices": {"news": {"email": "yes"}}}}), {}),
        (422, visit.body({topics: {"choices": {"news": {"email": 1}}}}), {}),
        (422, visit.body({topics: {"choices": {"news": {"email": None}}}}), {}),
        (422, visit.body({topics: {"choices": [True]}}), {}),
        (422, visit.body({topics: {"choices": {"news": {"email": {"a": [1]}}}}}), {}),
        (422, {**good, "revision": "0" * 64}, {}),
        (400, {**good, "base_version": -1}, {}),
        (400, {**good, "base_version": True}, {}),
        (400, {**good, "base_version": "0"}, {}),
        (400, {**good, "extra": 1}, {}),
        (400, {"revision": good["revision"], "answers": {}}, {}),
        (400, {**good, "answers": {topics: []}}, {}),
        (400, text.replace('"base_version"', '"base_version": 0, "base_version"'), {}),
        (400, visit.body({topics: {"choices": {"news": {"email": {"x": deep}}}}}), {}),
        (400, text[:-1], {}),
        (400, "[]", {}),
        (400, b"\xff\xfe", {}),
        (400, good, {"key": " "}),
        (400, good, {"key": "k" * 256}),
        (400, good, {"key": "schl\u00fcssel"}),
        (413, {**good, "answers": {topics: {"choices": "x" * 17 * 1024}}}, {}),
        (415, text, {"content_type": "text/plain"}),
        (415, "a=b", {"content_type": "application/x-www-form-urlencoded"}),
        (415, text, {"Content-Encoding": "gzip"}),
    ]


def test_bad_input_gets_its_status_and_changes_nothing(visit: Visit) -> None:
    visit.enter()
    visit.patch(visit.choose(news=True))
    before = checksum()
    for number, (status, body, how) in enumerate(bad_bodies(visit)):
        answer = visit.patch(body, **how)
        assert answer.status_code == status, (number, answer.status_code, answer.content)
        assert is_problem(answer, status)
        assert visit.contact.email.encode() not in answer.content
    assert checksum() == before


def test_errors_name_block_and_field(visit: Visit) -> None:
    visit.enter()
    topics = factories.block_id(visit.page, "topics")
    answer = visit.patch(visit.body({topics: {"choices": {"news": {"email": "yes"}}}}))
    assert list(answer.json()["errors"]) == [topics]
    assert list(answer.json()["errors"][topics]) == ["choices.news.email"]


def test_a_missing_idempotency_key_is_400(visit: Visit) -> None:
    visit.enter()
    answer = visit.client.patch(
        visit.url("preferences/"),
        json.dumps(visit.choose(news=True)),
        "application/json",
        headers=visit.headers(),
    )
    assert is_problem(answer, 400)


def test_a_repeated_key_gets_the_first_answer(visit: Visit) -> None:
    visit.enter()
    first = visit.patch(visit.choose(news=True), key="k").json()
    again = visit.patch(visit.choose(news=True), key="k").json()
    assert first == again
    assert is_problem(visit.patch(visit.choose(news=False), key="k"), 422)


def test_an_unpublished_center_takes_nothing(visit: Visit) -> None:
    visit.enter()
    body = visit.choose(news=True)
    visit.page.unpublish()
    before = checksum()
    assert is_problem(visit.patch(body), 404)
    assert is_problem(visit.get(), 404)
    assert is_problem(visit.post("sessions/", {"code": visit.code()}), 404)
    assert checksum() == before


def test_the_snapshot_that_was_shown_holds_also_after_a_newer_publish(visit: Visit) -> None:
    visit.enter()
    body = visit.choose(news=True)
    visit.page.title = "Another title"
    visit.page.save_revision().publish()
    answer = visit.patch(body)
    assert answer.status_code == 200
    assert answer.json()["preferences"]["revision"] != body["revision"]
    assert json.loads(Record.objects.get().body)["form_version"] == body["revision"]


def test_safe_requests_change_nothing(visit: Visit) -> None:
    visit.enter()
    visit.patch(visit.choose(news=True))
    code = visit.code()
    before = checksum()
    for path in (
        visit.url(),
        visit.url("preferences/"),
        visit.url("sessions/"),
        "/prefs/api/v1/openapi.json",
    ):
        for method in ("get", "head", "options"):
            answer = getattr(visit.client, method)(path, headers=visit.headers())
            assert answer.status_code < 500
    assert checksum() == before
    assert visit.post("sessions/", {"code": code}).status_code == 200


def test_statements_of_each_request(visit: Visit, django_assert_max_num_queries: Any) -> None:
    visit.enter()
    body = visit.choose(news=True)
    with django_assert_max_num_queries(1 + 1):  # the state; and whether the center is still the same
        visit.get()
    with django_assert_max_num_queries(6 + 2 + 1):  # the six, SAVEPOINT and RELEASE of the test, the center
        visit.patch(body)
    with django_assert_max_num_queries(3 + 2 + 1):  # old codes go, this one is used up, the state
        visit.post("sessions/", {"code": visit.code()})
