"""`sign-up/{center}/`: a center's blocks for somebody new, one answer whoever it is."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest
from django.http import HttpRequest
from django.test import Client
from django.utils import timezone

from tests import factories, pages
from tests.api.asking import KINDS, Trace, address_of, plain, trace
from tests.blocks.asking import asking
from tests.web.conftest import post
from wagtail_prefs.access import tokens
from wagtail_prefs.access.models import AccessRequest
from wagtail_prefs.blocks.registry import block_classes
from wagtail_prefs.centers.page import PreferenceCenterPage
from wagtail_prefs.centers.services import current, get_snapshot
from wagtail_prefs.contacts.models import Contact
from wagtail_prefs.ids import b64
from wagtail_prefs.mail.models import Mail
from wagtail_prefs.topics.models import Topic
from wagtail_prefs.web.sign_up import OPENED_PREFIX

EMAIL = "anna@mail.example.org"


def path(center: PreferenceCenterPage, query: str = "") -> str:
    return f"/prefs/sign-up/{center.translation_key}/{query}"


def opened(center: PreferenceCenterPage, seconds: float = 60) -> str:
    """What the form holds that was drawn so long ago."""
    at = timezone.now() - timedelta(seconds=seconds)
    return tokens.sign(
        OPENED_PREFIX, {"c": b64(center.translation_key.bytes), "i": int(at.timestamp() * 1000)}
    )


def filled(client: Client, center: PreferenceCenterPage, query: str = "", **change: str) -> dict[str, Any]:
    """The form as a person sends it: read for a minute, with news by e-mail ticked."""
    page = pages.parse(client.get(path(center, query)).content.decode())
    news = next(field.get("name") for field in page.all("input", type="checkbox"))
    assert news is not None
    return pages.submitted(page, {news: "1", "email": EMAIL, "opened": opened(center), **change})


@pytest.fixture
def asks(db: None) -> PreferenceCenterPage:
    """A center of blocks that ask, with a private topic, a pause and a history."""
    factories.make_topics()
    audience = factories.make_audience()
    vip = Topic.objects.create(audience=audience, key="vip", channels=["email"], private=True)
    blocks = asking()
    blocks[1]["value"]["topics"].append(vip.pk)
    return factories.make_center(blocks)


def test_the_page_asks_what_the_center_asks_and_where_to_write(
    strict: Client, center: PreferenceCenterPage
) -> None:
    response = strict.get(path(center))
    assert response.status_code == 200
    page = pages.parse(response.content.decode())
    form = page.one("form")
    assert form.get("action") == path(center)
    address = form.one("input", id="email")
    assert (address.get("type"), address.get("autocomplete"), address.get("value")) == ("email", "email", "")
    assert "required" in address
    assert page.one("div", id="email.notes").words.startswith("We send a mail to this address.")
    boxes = list(form.all("input", type="checkbox"))
    assert boxes
    assert not [box for box in boxes if "checked" in box or "disabled" in box]
    assert {button.words for button in form.all("button")} == {"Sign up"}
    assert page.one("h1").words == "Your choices"
    assert page.one("title").words == "Sign up – Your choices"
    # What is for those who are known already is not here.
    assert "Unsubscribe from everything" not in page.text
    assert "open the link in one of our mails" not in page.text


def test_leaving_pausing_and_moving_are_for_those_who_are_known(
    strict: Client, asks: PreferenceCenterPage
) -> None:
    page = pages.parse(strict.get(path(asks)).content.decode())
    names = {str(field.get("name")) for field in page.all("input", "select", "textarea")}
    assert {"profile.given_name", "profile.country", "role.role"} <= names
    assert "profile.email" not in names
    assert not [name for name in names if name.startswith(("leave", "reason", "do"))]
    assert "vip" not in str(names)
    # Her own words, typed now: nothing to mask.
    assert "readonly" not in page.one("input", id="profile.given_name")


def test_any_block_can_say_that_it_is_for_those_who_are_known(
    strict: Client, db: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    """No renderer goes by the names of blocks: a third party's says it as ours do, in the document."""
    monkeypatch.setattr(block_classes()["role"], "of_contact", True)
    factories.make_topics()
    center = factories.make_center(asking())
    document = get_snapshot(current(center.translation_key).digest).document
    said = {block["type"]: block["of_contact"] for block in document["blocks"]}
    assert said["role"]
    assert not said["topics"]
    assert not said["profile"]
    page = pages.parse(strict.get(path(center)).content.decode())
    names = {str(field.get("name")) for field in page.all("input", "select", "textarea")}
    assert "profile.given_name" in names
    assert not [name for name in names if name.startswith("role")]
    ours = {name for name, one in block_classes().items() if one.of_contact}
    assert ours == {"role", "history", "pause", "reason", "unsubscribe_all", "your_data"}


def test_a_sign_up_leaves_a_row_and_changes_nobody(strict: Client, center: PreferenceCenterPage) -> None:
    before = Contact.objects.count()
    response = post(strict, path(center), filled(strict, center))
    assert response.status_code == 200
    told = pages.parse(response.content.decode())
    assert told.one("h1").words == "Look into your mailbox"
    assert "autofocus" in told.one("div", role="status")
    assert "7 days" in told.text
    assert EMAIL not in response.content.decode()
    row = AccessRequest.objects.get()
    topics = factories.block_id(center, "topics")
    assert (row.kind, row.address, row.host, row.locale) == ("sign_up", EMAIL, None, "en")
    assert row.details == {
        "revision": current(center.translation_key).digest,
        "answers": {topics: {"choices": {"news": {"email": True}}}},
        "source_url": center.full_url,
    }
    assert Contact.objects.count() == before
    assert not Mail.objects.exists()


def test_personal_answers_are_taken(strict: Client, asks: PreferenceCenterPage) -> None:
    form = filled(strict, asks, **{"profile.given_name": "A.", "profile.country": "AT"})
    assert post(strict, path(asks), form).status_code == 200
    answers = AccessRequest.objects.get().details["answers"]
    assert answers["profile"] == {"given_name": "A.", "country": "AT"}


def test_nothing_tells_whose_address_it_is(strict: Client, center: PreferenceCenterPage) -> None:
    form = filled(strict, center)
    post(strict, path(center), form)
    kinds = [kind for kind in KINDS if kind != "no_at"]
    found: dict[Trace, list[str]] = {}
    for kind in kinds:
        data = {**form, "email": address_of(kind)}
        found.setdefault(trace(lambda data=data: post(strict, path(center), data)), []).append(kind)
    assert list(found.values()) == [kinds]
    (same,) = found
    assert (same.answer[0], same.rows[0]) == (200, 1)
    assert not [sql for sql in same.statements if "prefs_contact" in sql]


def test_a_form_that_is_sent_twice_is_noted_once(strict: Client, center: PreferenceCenterPage) -> None:
    form = filled(strict, center)
    assert len({plain(post(strict, path(center), form)) for _twice in range(2)}) == 1
    assert AccessRequest.objects.count() == 1


# --- what comes back -------------------------------------------------------------------------------------------------


def refused(response: Any) -> pages.Element:
    assert response.status_code == 422
    assert not AccessRequest.objects.exists()
    page = pages.parse(response.content.decode())
    assert "autofocus" in page.one("div", id="problems")
    return page


def test_nothing_is_lost_when_the_address_is_none(strict: Client, center: PreferenceCenterPage) -> None:
    form = filled(strict, center, email="anna")
    page = refused(post(strict, path(center), form))
    assert page.one("div", id="problems").one("a").get("href") == "#email"
    assert page.one("input", id="email").get("value") == "anna"
    assert page.one("input", id="email").get("aria-invalid") == "true"
    assert [box for box in page.all("input", type="checkbox") if "checked" in box]
    again = pages.submitted(page, {"email": EMAIL, "opened": opened(center)})
    assert post(strict, path(center), again).status_code == 200
    assert AccessRequest.objects.count() == 1


def test_everything_that_is_wrong_is_said_at_once(strict: Client, asks: PreferenceCenterPage) -> None:
    form = filled(strict, asks, email="", **{"profile.given_name": "x" * 5000})
    page = refused(post(strict, path(asks), form))
    links = [link.get("href") for link in page.one("div", id="problems").all("a")]
    assert links == ["#email", "#profile.given_name"]


def test_a_sign_up_for_nothing_is_none(strict: Client, center: PreferenceCenterPage) -> None:
    page = pages.parse(strict.get(path(center)).content.decode())
    form = pages.submitted(page, {"email": EMAIL, "opened": opened(center)})
    found = refused(post(strict, path(center), form))
    assert found.one("div", id="problems").one("li").words == "Choose what you would like to get."


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("nonsense", "1"),
        ("topics.choices.news.fax", "1"),
        ("topics.choices.orders.email", "1"),
        ("topics.choices.news.email", "yes"),
        ("revision", "0" * 64),
        ("revision", ""),
        ("idempotency_key", ""),
        ("profile.email", "new@mail.example.org"),
        ("do", "leave.opt_out"),
        ("do", "nonsense"),
        ("leave.opted_out", "1"),
    ],
)
def test_what_the_page_does_not_offer_is_refused(
    strict: Client, asks: PreferenceCenterPage, name: str, value: str
) -> None:
    page = refused(post(strict, path(asks), {**filled(strict, asks), name: [value]}))
    assert page.one("input", id="email").get("value") == EMAIL


def test_a_private_topic_is_answered_like_one_that_there_is_not(
    strict: Client, asks: PreferenceCenterPage
) -> None:
    """security.md AB-08, also by the names of a form."""
    form = filled(strict, asks)
    answers = set()
    for topic in ("vip", "xyz"):
        sent = {
            **form,
            f"topics.choices.{topic}.email": ["1"],
            f"was.topics.choices.{topic}.email": [""],
        }
        response = post(strict, path(asks), sent)
        assert response.status_code == 422
        page = pages.parse(response.content.decode())
        fresh = [str(page.one("input", name=name).get("value")) for name in ("idempotency_key", "opened")]
        status, headers, body = plain(response)
        for drawn in fresh:
            body = body.replace(drawn.encode(), b"")
        answers.add((status, headers, body.replace(topic.encode(), b"?")))
    assert len(answers) == 1
    assert not AccessRequest.objects.exists()


# --- programs --------------------------------------------------------------------------------------------------------


def test_a_program_that_fills_in_everything_is_told_what_everybody_is_told(
    strict: Client, center: PreferenceCenterPage
) -> None:
    form = filled(strict, center)
    caught = post(strict, path(center), {**form, "website": "https://spam.example"})
    assert not AccessRequest.objects.exists()
    assert plain(post(strict, path(center), form)) == plain(caught)


@pytest.mark.parametrize("seconds", [0, -3600, 25 * 3600])
def test_a_form_that_nobody_can_have_read_is_shown_again(
    strict: Client, center: PreferenceCenterPage, seconds: int
) -> None:
    form = filled(strict, center, opened=opened(center, seconds))
    page = refused(post(strict, path(center), form))
    assert "press the button once more" in page.one("div", id="problems").words
    assert [box for box in page.all("input", type="checkbox") if "checked" in box]


def test_its_time_cannot_be_made_up_or_brought_from_elsewhere(
    strict: Client, center: PreferenceCenterPage, manage: str
) -> None:
    other = factories.make_center(title="Other")
    link = manage.rstrip("/").rpartition("/")[2]
    for stamp in ("", "1", "f1.t1.abc.def", opened(center)[:-1], opened(other), link):
        refused(post(strict, path(center), filled(strict, center, opened=stamp)))
    # And it opens nothing.
    assert strict.get(f"/prefs/l/{opened(center)}/").status_code == 404


def riddle(request: HttpRequest) -> str:
    return "" if request.POST.get("check_riddle") == "seven" else "Solve the riddle, please."


def test_a_site_may_ask_for_more(strict: Client, center: PreferenceCenterPage, settings: Any) -> None:
    settings.WAGTAIL_PREFS = {
        **settings.WAGTAIL_PREFS,
        "SIGN_UP_CHECK": "tests.web.test_sign_up.riddle",
    }
    form = filled(strict, center)
    page = refused(post(strict, path(center), form))
    assert page.one("div", id="problems").one("li").words == "Solve the riddle, please."
    assert post(strict, path(center), {**form, "check_riddle": "seven"}).status_code == 200
    assert AccessRequest.objects.count() == 1


def test_what_is_typed_comes_out_nowhere(strict: Client, asks: PreferenceCenterPage) -> None:
    """Names and links in every field: they wait in the row, and no answer repeats them (security.md AB-05)."""
    evil = "https://evil.example/?a=<b>"
    form = filled(strict, asks, email=f"{evil}@mail.example.org", **{"profile.given_name": evil})
    response = post(strict, path(asks), form, Referer=evil, **{"User-Agent": evil})
    assert response.status_code == 200
    assert "evil" not in response.content.decode() + str(dict(response.headers))
    assert AccessRequest.objects.get().details["answers"]["profile"] == {"given_name": evil}


def test_beyond_the_limit_of_a_network_everybody_is_told_the_same(
    strict: Client, center: PreferenceCenterPage, settings: Any
) -> None:
    settings.WAGTAIL_PREFS = {**settings.WAGTAIL_PREFS, "LIMITS": {"sign_up_network": [(1, 3600)]}}
    form = filled(strict, center)
    answers = {
        plain(post(strict, path(center), {**form, "email": f"p{n}@mail.example.org"})) for n in range(3)
    }
    assert len(answers) == 1
    assert AccessRequest.objects.count() == 1


# --- how it is served ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "headers", [{"Sec-Fetch-Site": "cross-site"}, {"Origin": "https://evil.example"}, {"Origin": ""}]
)
def test_no_other_website_sends_the_form(
    strict: Client, center: PreferenceCenterPage, headers: dict[str, str]
) -> None:
    assert post(strict, path(center), filled(strict, center), **headers).status_code == 403
    assert not AccessRequest.objects.exists()


def test_only_forms_of_a_size_are_read(strict: Client, center: PreferenceCenterPage) -> None:
    assert post(strict, path(center), {"email": "x" * 20 * 1024}).status_code == 413
    assert strict.post(path(center), "{}", content_type="application/json").status_code == 415
    assert strict.delete(path(center)).status_code == 405


@pytest.mark.parametrize("method", ["get", "head", "options"])
def test_looking_changes_nothing_and_costs_nothing(
    strict: Client,
    center: PreferenceCenterPage,
    method: str,
    django_assert_num_queries: Any,
    settings: Any,
) -> None:
    settings.WAGTAIL_PREFS = {**settings.WAGTAIL_PREFS, "CENTER_CACHE_SECONDS": 3600}
    strict.get(path(center))
    with django_assert_num_queries(0):
        response = getattr(strict, method)(path(center, "?email=anna@mail.example.org"))
    assert response.status_code == 200
    assert b"anna@" not in response.content
    assert not AccessRequest.objects.exists()


def test_every_answer_is_sealed_and_in_no_frame(strict: Client, center: PreferenceCenterPage) -> None:
    form = filled(strict, center)
    for response in (
        strict.get(path(center)),
        post(strict, path(center), form),
        post(strict, path(center), {}),
        post(strict, path(center), {**form, "email": ""}),
        strict.get("/prefs/sign-up/00000000-0000-4000-8000-000000000000/"),
    ):
        assert response["Cache-Control"] == "no-store, private"
        assert response["Referrer-Policy"] == "no-referrer"
        assert response["X-Frame-Options"] == "DENY"
        assert "frame-ancestors 'none'" in response["Content-Security-Policy"]


def test_it_speaks_the_language_that_is_asked_for(strict: Client, center: PreferenceCenterPage) -> None:
    factories.make_center(locale="de", translation_of=center)
    response = strict.get(path(center, "?locale=de"))
    assert response["Content-Language"] == "de"
    assert 'lang="de"' in response.content.decode()
    form = filled(strict, center, "?locale=de")
    assert post(strict, path(center, "?locale=de"), form)["Content-Language"] == "de"
    assert AccessRequest.objects.get().locale == "de"


def test_where_there_is_nothing_to_choose_nobody_signs_up(strict: Client, db: None) -> None:
    told = factories.make_center([factories.transactional_block(), factories.unsubscribe_all_block()])
    paced = factories.make_center([factories.frequency_block(), factories.privacy_block()])
    for center in (told, paced):
        assert strict.get(path(center)).status_code == 404
        assert post(strict, path(center), {"email": EMAIL}).status_code == 404
    assert not AccessRequest.objects.exists()
    closed = factories.make_center()
    closed.unpublish()
    assert strict.get(path(closed)).status_code == 404
    assert post(strict, path(closed), {"email": EMAIL}).status_code == 404


def test_a_large_center_can_be_signed_up_to_as_a_whole(strict: Client, db: None) -> None:
    audience = factories.make_audience()
    topics = [
        Topic.objects.create(audience=audience, key=f"a-topic-{number}", channels=["email", "sms"])
        for number in range(100)
    ]
    center = factories.make_center([factories.topics_block(topics)])
    form = filled(strict, center)
    form |= {name.removeprefix("was."): ["1"] for name in form if name.startswith("was.")}
    assert post(strict, path(center), form).status_code == 200
    (answers,) = AccessRequest.objects.get().details["answers"].values()
    assert len(answers["choices"]) == 100
