"""The page of a member who is signed in: hers by the site's cookie, and so guarded against forged requests."""

from __future__ import annotations

import re
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from types import ModuleType
from typing import Any
from urllib.parse import parse_qs, urlsplit
from uuid import uuid4

import pytest
from django.contrib.auth import get_user_model
from django.core.checks import run_checks
from django.core.exceptions import ImproperlyConfigured
from django.http import HttpRequest
from django.test import Client
from django.urls import include, path
from django.utils.http import urlencode

from tests import factories, pages
from tests.blocks.asking import asking
from tests.urls import urlpatterns as urls_of_the_site
from tests.web.conftest import choose
from wagtail_prefs.centers.page import PreferenceCenterPage
from wagtail_prefs.changes import SetChoice
from wagtail_prefs.contacts.models import Contact
from wagtail_prefs.contacts.services import load_state
from wagtail_prefs.ledger.models import Record
from wagtail_prefs.ledger.services import read_body
from wagtail_prefs.rights import receipts
from wagtail_prefs.submissions import services as submissions
from wagtail_prefs.values import SUBSCRIBED, UNSUBSCRIBED, Actor, ActorType, Source

FORM = "application/x-www-form-urlencoded"
ORIGIN = {"Origin": "http://testserver", "Sec-Fetch-Site": "same-origin"}
MODERATOR = Actor(ActorType.ADMIN, "1")

# A site that has its login where Django expects it.
urlpatterns = [path("accounts/", include("django.contrib.auth.urls")), *urls_of_the_site]


def contact_of(request: HttpRequest) -> Contact | None:
    """What a site writes: its members are known by the number of their user."""
    user = getattr(request, "user", None)
    if user is None or not user.is_authenticated:
        return None
    return Contact.objects.filter(external_id=f"user-{user.pk}").first()


def as_noted(request: HttpRequest) -> Contact:
    """Of a site that has noted which contact it is, and does not look what became of it."""
    return Contact.objects.get(pk=request.user.last_name)  # type: ignore[union-attr]


@contextmanager
def patched_modules(module: ModuleType) -> Iterator[None]:
    """The module can be imported by its name."""
    sys.modules[module.__name__] = module
    try:
        yield
    finally:
        del sys.modules[module.__name__]


def nonsense(_request: HttpRequest) -> str:
    return "anna"


@pytest.fixture(autouse=True)
def _no_cookies() -> None:
    """Not here: this page is the one that rides on the site's cookies."""


@pytest.fixture(autouse=True)
def _setting(settings: Any) -> None:
    settings.WAGTAIL_PREFS = {**settings.WAGTAIL_PREFS, "CONTACT_FOR_REQUEST": f"{__name__}.contact_of"}


@pytest.fixture
def user(contact: Contact) -> Any:
    user = get_user_model().objects.create_user("member", password="password")
    Contact.objects.filter(pk=contact.pk).update(external_id=f"user-{user.pk}")
    return user


@pytest.fixture
def me(center: PreferenceCenterPage) -> str:
    return f"/prefs/me/{center.translation_key}/"


@pytest.fixture
def member(user: Any) -> Client:
    """Somebody who has signed in by the site's own login, in a browser that Django's protection meets."""
    client = Client(enforce_csrf_checks=True)
    assert client.login(username="member", password="password")
    return client


def box(center: PreferenceCenterPage, topic: str, channel: str = "email") -> str:
    return f"{factories.block_id(center, 'topics')}.choices.{topic}.{channel}"


def page_of(response: Any) -> pages.Element:
    return pages.parse(response.content.decode())


def filled(client: Client, path: str, **change: str | None) -> dict[str, Any]:
    """What the browser sends after a person has changed some answers."""
    data: dict[str, Any] = pages.submitted(page_of(client.get(path)))
    for name, value in change.items():
        data.pop(name, None)
        if value is not None:
            data[name] = value
    return data


def send(client: Client, path: str, data: dict[str, Any], **headers: str) -> Any:
    return client.post(path, urlencode(data, doseq=True), content_type=FORM, headers={**ORIGIN, **headers})


# --- hers -------------------------------------------------------------------------------------------------------------


def test_she_sees_her_choices_and_no_address_in_full(
    member: Client, me: str, center: PreferenceCenterPage
) -> None:
    response = member.get(me)
    page = page_of(response)
    ticked = [one.get("id") for one in page.all("input", type="checkbox") if "checked" in one]
    assert ticked == [box(center, "news")]
    assert "anna@mail.example.org" not in response.content.decode()


def test_a_save_is_recorded_as_hers_by_the_sites_session(
    member: Client, me: str, center: PreferenceCenterPage, contact: Contact
) -> None:
    change = {box(center, "news"): None, box(center, "events"): "1"}
    response = send(member, me, filled(member, me, **change))
    assert response.status_code == 303
    where = urlsplit(response["Location"])
    assert (where.netloc, where.path) == ("", me)
    told = page_of(member.get(response["Location"])).one("div", id="saved")
    assert "News by e-mail: unsubscribed" in told.words
    state = load_state(contact.pk)
    assert (state.choices[("news", "email")], state.choices[("events", "email")]) == (
        UNSUBSCRIBED,
        SUBSCRIBED,
    )
    record = Record.objects.get(pk=parse_qs(where.query)["saved"][0])
    body = read_body(record)
    assert record.actor == ActorType.SUBJECT_SESSION
    assert (body["method"], body["form_id"], body["source_url"]) == (
        "page",
        str(center.translation_key),
        center.full_url,
    )


def test_what_is_personal_is_hers_to_see_and_to_change(member: Client, contact: Contact) -> None:
    center = factories.make_center(asking())
    me = f"/prefs/me/{center.translation_key}/"
    response = send(member, me, filled(member, me, **{"question.answer": "blue", "role.role": "press"}))
    assert response.status_code == 303, response.content
    assert load_state(contact.pk).attributes["role"] == "press"
    sent = pages.submitted(page_of(member.get(me)))
    assert (sent["question.answer"], sent["role.role"]) == (["blue"], ["press"])


def test_a_button_takes_back_in_her_name(member: Client, contact: Contact) -> None:
    blocks = [factories.topics_block(), factories.block("history", {"heading": "", "text": "", "entries": 5})]
    center = factories.make_center(blocks)
    me = f"/prefs/me/{center.translation_key}/"
    receipt = parse_qs(
        urlsplit(send(member, me, filled(member, me, **{box(center, "events"): "1"}))["Location"]).query
    )
    buttons = [str(one.get("value")) for one in page_of(member.get(me)).all("button", name="do")]
    back = next(value for value in buttons if value.endswith(receipt["saved"][0]))
    assert send(member, me, {**filled(member, me), "do": back}).status_code == 303
    assert load_state(contact.pk).choices.get(("events", "email")) != SUBSCRIBED
    assert (
        Record.objects.filter(contact_ref=contact.pk).order_by("seq").last().actor
        == ActorType.SUBJECT_SESSION
    )  # type: ignore[union-attr]


def test_a_refused_form_keeps_what_she_typed(
    member: Client, me: str, center: PreferenceCenterPage, contact: Contact
) -> None:
    response = send(member, me, filled(member, me, **{box(center, "events"): "1", "nonsense": "1"}))
    assert response.status_code == 422
    page = page_of(response)
    assert "checked" in page.one("input", id=box(center, "events"))
    assert load_state(contact.pk).version == contact.version
    # And can be sent again.
    data = pages.submitted(page)
    assert send(member, me, data).status_code == 303
    assert load_state(contact.pk).choices[("events", "email")] == SUBSCRIBED


def test_whoever_was_merged_sees_and_changes_whom_she_is_now(
    member: Client, me: str, center: PreferenceCenterPage, contact: Contact
) -> None:
    now = factories.make_contact("berta@mail.example.org")
    choose(now, SetChoice("events", "email", SUBSCRIBED))
    submissions.merge_contacts(contact.pk, now.pk, actor=MODERATOR, source=Source(method="admin"))
    data = filled(member, me, **{box(center, "offers"): None})
    assert data[box(center, "events")] == ["1"]
    data.pop(box(center, "events"))
    assert send(member, me, data).status_code == 303
    assert load_state(now.pk).choices[("events", "email")] == UNSUBSCRIBED


def test_her_language_is_that_of_the_page(
    member: Client, me: str, center: PreferenceCenterPage, contact: Contact
) -> None:
    factories.make_center(locale="de", translation_of=center, title="Ihre Wahl")
    assert member.get(me)["Content-Language"] == "en"
    Contact.objects.filter(pk=contact.pk).update(language="de")
    assert member.get(me)["Content-Language"] == "de"
    response = member.get(me, {"locale": "en"})
    assert response["Content-Language"] == "en"
    assert page_of(response).one("form").get("action") == f"{me}?locale=en"


def test_the_function_of_the_how_to_works(settings: Any, member: Client, user: Any, me: str) -> None:
    """docs/how-to/signed-in-members.md: what it says to write is what is tried here."""
    text = (Path(__file__).parents[2] / "docs/how-to/signed-in-members.md").read_text()
    codes = re.findall(r"```python\n((?:#|from) .*?)```", text, re.DOTALL)
    assert len(codes) == 2
    user.email = " Anna@MAIL.example.org"
    user.save()
    Contact.objects.update(external_id=f"member-{user.pk}")
    for code in codes:
        module = ModuleType("members_preferences")
        exec(compile(code, "signed-in-members.md", "exec"), vars(module))
        with patched_modules(module):
            settings.WAGTAIL_PREFS = {
                **settings.WAGTAIL_PREFS,
                "CONTACT_FOR_REQUEST": f"{module.__name__}.contact",
            }
            assert member.get(me).status_code == 200
            assert Client().get(me).status_code == 403


def test_revoked_links_do_not_lock_a_member_out(member: Client, me: str, contact: Contact) -> None:
    Contact.objects.filter(pk=contact.pk).update(epoch=7)
    assert send(member, me, filled(member, me)).status_code == 303


def test_the_page_that_everybody_sees_leads_there(
    settings: Any, client: Client, me: str, center: PreferenceCenterPage
) -> None:
    page = page_of(client.get(center.url))
    assert page.one("a", href=f"{me}?locale=en").words == "My choices"
    settings.WAGTAIL_PREFS = {**settings.WAGTAIL_PREFS, "CONTACT_FOR_REQUEST": ""}
    assert not list(page_of(client.get(center.url)).all("a", href=f"{me}?locale=en"))


# --- nobody's ---------------------------------------------------------------------------------------------------------


def test_without_the_setting_there_is_no_such_page(settings: Any, member: Client, me: str) -> None:
    settings.WAGTAIL_PREFS = {**settings.WAGTAIL_PREFS, "CONTACT_FOR_REQUEST": ""}
    assert member.get(me).status_code == 404


def test_a_stranger_is_sent_to_the_login_and_comes_back(
    settings: Any, client: Client, user: Any, me: str
) -> None:
    settings.ROOT_URLCONF = __name__
    response = client.get(f"{me}?locale=en&next=https://evil.example/&saved=x")
    where = urlsplit(response["Location"])
    assert (response.status_code, where.netloc, where.path) == (302, "", "/accounts/login/")
    assert parse_qs(where.query) == {"next": [f"{me}?locale=en"]}
    assert response["Cache-Control"] == "no-store, private"
    # The site's own login takes her there.
    signed_in = client.post(response["Location"], {"username": "member", "password": "password"})
    assert signed_in["Location"] == f"{me}?locale=en"
    assert client.get(signed_in["Location"]).status_code == 200


def test_a_stranger_who_sends_the_form_is_sent_to_the_login_and_nothing_is_saved(
    settings: Any, client: Client, member: Client, me: str, contact: Contact
) -> None:
    settings.ROOT_URLCONF = __name__
    response = client.post(me, filled(member, me), headers=ORIGIN)
    assert (response.status_code, urlsplit(response["Location"]).path) == (302, "/accounts/login/")
    assert load_state(contact.pk).version == contact.version


@pytest.mark.parametrize("login", ["/sign-in/", "https://id.brand.example/login?realm=x"])
def test_the_login_may_be_elsewhere(settings: Any, client: Client, me: str, login: str) -> None:
    settings.LOGIN_URL = login
    where = client.get(me)["Location"]
    assert where.partition("?")[0] == login.partition("?")[0]
    assert parse_qs(urlsplit(where).query)["next"] == [me]


def test_where_there_is_no_login_words_have_to_do(client: Client, me: str) -> None:
    response = client.get(me)
    assert response.status_code == 403
    assert "Please sign in" in page_of(response).one("h1").words


@pytest.mark.parametrize("login", ["no-such-name", "https://"])
def test_a_login_that_cannot_be_had_breaks_nothing(
    settings: Any, client: Client, me: str, login: str
) -> None:
    settings.LOGIN_URL = login
    assert client.get(me).status_code in {302, 403}


def test_a_user_whom_the_site_knows_no_contact_of_is_not_sent_in_circles(
    settings: Any, client: Client, me: str, db: None
) -> None:
    settings.ROOT_URLCONF = __name__
    client.force_login(get_user_model().objects.create_user("other"))
    response = client.get(me)
    assert response.status_code == 403
    assert "do not know yet" in response.content.decode()


def test_whoever_is_gone_has_no_page(
    settings: Any, member: Client, user: Any, me: str, contact: Contact
) -> None:
    get_user_model().objects.filter(pk=user.pk).update(last_name=str(contact.pk))
    settings.WAGTAIL_PREFS = {**settings.WAGTAIL_PREFS, "CONTACT_FOR_REQUEST": f"{__name__}.as_noted"}
    data = filled(member, me)
    submissions.erase(contact.pk, actor=MODERATOR, source=Source(method="admin"))
    assert member.get(me).status_code == 404
    assert send(member, me, data).status_code == 404


def test_a_contact_of_another_controller_has_no_page_here(member: Client, user: Any) -> None:
    site = factories.make_site("other.example")
    center = factories.make_center(site=site)
    assert member.get(f"/prefs/me/{center.translation_key}/").status_code == 404


def test_a_center_that_is_closed_or_never_was_is_not_found(
    member: Client, client: Client, me: str, center: PreferenceCenterPage
) -> None:
    data = filled(member, me)
    center.unpublish()
    assert member.get(me).status_code == client.get(me).status_code == 404
    assert send(member, me, data).status_code == 404
    assert member.get(f"/prefs/me/{uuid4()}/").status_code == 404


def test_what_the_site_returns_must_be_a_contact(settings: Any, member: Client, me: str) -> None:
    settings.WAGTAIL_PREFS = {**settings.WAGTAIL_PREFS, "CONTACT_FOR_REQUEST": f"{__name__}.nonsense"}
    with pytest.raises(ImproperlyConfigured, match="returned a str"):
        member.get(me)


@pytest.mark.parametrize("wrong", ["nowhere.at_all", f"{__name__}.FORM"])
def test_a_setting_that_cannot_work_is_an_error(settings: Any, wrong: str) -> None:
    assert "wagtail_prefs.E051" not in [message.id for message in run_checks()]
    settings.WAGTAIL_PREFS = {**settings.WAGTAIL_PREFS, "CONTACT_FOR_REQUEST": wrong}
    assert "wagtail_prefs.E051" in [message.id for message in run_checks()]


# --- forged -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "headers",
    [
        {"Origin": "https://evil.example", "Sec-Fetch-Site": "cross-site"},
        {"Origin": "null", "Sec-Fetch-Site": "cross-site"},
        {"Origin": "null"},  # a sandboxed frame
        {"Origin": "http://testserver.evil.example"},
        {"Origin": "http://shop.testserver", "Sec-Fetch-Site": "same-site"},
        {"Origin": "http://testserver", "Sec-Fetch-Site": "same-site"},
        {"Origin": "http://testserver", "Sec-Fetch-Site": "cross-site"},
    ],
)
def test_a_form_from_elsewhere_is_refused_though_it_brings_cookie_and_token(
    member: Client, me: str, center: PreferenceCenterPage, contact: Contact, headers: dict[str, str]
) -> None:
    data = filled(member, me, **{box(center, "events"): "1"})
    assert send(member, me, data, **headers).status_code == 403
    assert load_state(contact.pk).version == contact.version


def test_a_form_without_the_token_is_refused_though_it_brings_the_cookie(
    member: Client, me: str, center: PreferenceCenterPage, contact: Contact
) -> None:
    data = filled(member, me, **{box(center, "events"): "1"})
    token = data.pop("csrfmiddlewaretoken")
    assert send(member, me, data).status_code == 403
    assert send(member, me, {**data, "csrfmiddlewaretoken": "x" * len(token[0])}).status_code == 403
    assert load_state(contact.pk).version == contact.version


def test_the_protection_does_not_hang_on_the_sites_middleware(
    settings: Any, member: Client, me: str, contact: Contact, center: PreferenceCenterPage
) -> None:
    settings.MIDDLEWARE = [one for one in settings.MIDDLEWARE if "csrf" not in one.lower()]
    data = filled(member, me, **{box(center, "events"): "1"})
    token = data.pop("csrfmiddlewaretoken")
    assert send(member, me, data).status_code == 403
    assert load_state(contact.pk).version == contact.version
    assert send(member, me, {**data, "csrfmiddlewaretoken": token}).status_code == 303


def test_a_link_of_a_mail_is_no_way_in(client: Client, me: str, manage: str) -> None:
    token = manage.split("/")[-2]
    assert client.get(f"/prefs/me/{token}/").status_code == 404
    assert client.get(me, headers={"Authorization": f"Bearer {token}"}).status_code == 403


# --- sealed -----------------------------------------------------------------------------------------------------------


def test_every_answer_is_sealed_and_differs_by_cookie(
    member: Client, client: Client, me: str, contact: Contact
) -> None:
    data = filled(member, me)
    answers = {
        "page": member.get(me),
        "head": member.head(me),
        "saved": send(member, me, data),
        "refused": send(member, me, {**data, "nonsense": "1"}),
        "type": member.post(
            me,
            "{}",
            content_type="application/json",
            headers={"X-CSRFToken": data["csrfmiddlewaretoken"][0], **ORIGIN},
        ),
        "foreign": send(member, me, data, **{"Sec-Fetch-Site": "cross-site"}),
        "stranger": client.get(me),
        "unknown": member.get(f"/prefs/me/{uuid4()}/"),
        "method": member.put(me, headers={"X-CSRFToken": data["csrfmiddlewaretoken"][0], **ORIGIN}),
    }
    assert {name: one.status_code for name, one in answers.items()} == {
        "page": 200,
        "head": 200,
        "saved": 303,
        "refused": 422,
        "type": 415,
        "foreign": 403,
        "stranger": 403,
        "unknown": 404,
        "method": 405,
    }
    for name, response in answers.items():
        assert response["Cache-Control"] == "no-store, private", name
        assert "Cookie" in response["Vary"], name
        assert response["X-Frame-Options"] == "DENY", name
        assert "frame-ancestors 'none'" in response["Content-Security-Policy"], name
        assert response["Referrer-Policy"] == "same-origin", name
        assert not [header for header in response.headers if header.startswith("Access-Control-")], name
    metas = [one.get("content") for one in page_of(answers["page"]).all("meta", name="referrer")]
    assert metas == ["same-origin"]


def test_looking_changes_nothing(member: Client, me: str, contact: Contact) -> None:
    before = Record.objects.count()
    for method in (member.get, member.head, member.options):
        method(me)
    assert (Record.objects.count(), load_state(contact.pk).version) == (before, contact.version)


def test_what_it_asks_of_the_database(
    member: Client, me: str, center: PreferenceCenterPage, statements: Callable[[], Any]
) -> None:
    member.get(me)
    with statements() as asked:
        member.get(me)
    assert len(asked) == 5, [
        query["sql"] for query in asked
    ]  # session, user, the site's own; then her, twice
    data = filled(member, me, **{box(center, "events"): "1"})
    with statements() as asked:
        send(member, me, data)
    assert len(asked) <= 10, [query["sql"] for query in asked]  # the first four, and six


def test_her_receipts_are_here_too_and_nobody_elses(member: Client, me: str, contact: Contact) -> None:
    record = Record.objects.filter(contact_ref=contact.pk).latest("seq")
    page = member.get(f"{me}?receipt={record.pk}")
    assert (page.status_code, "Your receipt" in page.content.decode()) == (200, True)
    file = member.get(f"{me}?receipt={record.pk}&as=receipt")
    assert receipts.check(file.content).verdict == "genuine"
    other = factories.make_contact("other@mail.example.org")
    choose(other, SetChoice("news", "email", SUBSCRIBED))
    theirs = Record.objects.get(contact_ref=other.pk)
    assert member.get(f"{me}?receipt={theirs.pk}&as=receipt").status_code == 404
    assert Client().get(f"{me}?receipt={record.pk}&as=receipt").status_code == 403
