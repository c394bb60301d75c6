"""What people outside try: another host, another way out, another line in a header, somebody else's address, a frame."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import timedelta
from email import message_from_bytes
from email.header import decode_header, make_header
from itertools import product
from typing import Any
from urllib.parse import parse_qs, quote, urlsplit

import pytest
from django.core import mail as outbox
from django.test import Client
from django.urls import reverse
from django.utils import timezone

from tests import factories, pages
from tests.api.client import Program, make_key
from tests.api.conftest import SHOP, Visit
from tests.blocks.asking import asking
from tests.web.conftest import path_of, post
from tests.web.test_sign_up import filled
from wagtail_prefs.access import services as access, tokens
from wagtail_prefs.access.models import OneTimeLink
from wagtail_prefs.access.services import Purpose, make_token, one_click_url
from wagtail_prefs.api.urls import urlpatterns as api_routes
from wagtail_prefs.centers.page import PreferenceCenterPage
from wagtail_prefs.contacts.models import Contact
from wagtail_prefs.mail import sending
from wagtail_prefs.mail.models import Mail
from wagtail_prefs.submissions import requests
from wagtail_prefs.topics.models import Topic, TopicText

ROOT = "http://localhost"
EVIL = "evil.example"
HOSTILE = {
    "Host": EVIL,
    "X-Forwarded-Host": EVIL,
    "X-Forwarded-Server": EVIL,
    "X-Host": EVIL,
    "X-Original-URL": f"https://{EVIL}/",
    "Forwarded": f"host={EVIL};proto=https",
}
#: Of another controller's website, and of nobody's.
NEW = "zoe@else.example.org"


@dataclass
class Scene:
    """A center that asks, one of its contacts, and a browser without cookies."""

    center: PreferenceCenterPage
    contact: Contact
    client: Client

    @property
    def key(self) -> Any:
        return self.center.translation_key

    @property
    def visit(self) -> Visit:
        return Visit(self.center, self.contact)

    def manage(self, **more: Any) -> str:
        token = make_token(Purpose.MANAGE, self.contact, center=self.key, **more)
        return reverse("wagtail_prefs:manage", args=[token])

    def once(self, purpose: Purpose, **more: Any) -> str:
        return path_of(access.issue(purpose, self.contact, center=self.key, **more))

    def route(self, name: str) -> str:
        return reverse(f"wagtail_prefs:{name}", args=[self.key])

    def form(self, path: str) -> dict[str, Any]:
        return dict(pages.submitted(pages.parse(self.client.get(path).content.decode())))

    def send(self, path: str, data: dict[str, Any], **headers: str) -> Any:
        return post(self.client, path, data, **headers)


@pytest.fixture
def scene(db: None) -> Scene:
    site = factories.make_site(origins=[SHOP])
    page = factories.make_center(asking(), site=site, host_pages=f"{SHOP}/mail")
    return Scene(page, factories.make_contact(), Client(enforce_csrf_checks=True))


def worked_off() -> list[Mail]:
    """The mails that came of what was asked, as the worker makes and sends them."""
    requests.work_off()
    mails = list(Mail.objects.order_by("created_at"))
    sending.drain()
    return mails


def addresses_in(text: str) -> list[str]:
    return re.findall(r"https?://[^\s\"'<>)]+", text)


# --- another host (TK-12) --------------------------------------------------------------------------------------------


def step_up_on_the_page(scene: Scene) -> Any:
    path = scene.manage()
    page = pages.parse(scene.client.get(path).content.decode())
    name = next(
        str(one.get("value")) for one in page.all("button", name="do") if "fresh link" in one.words.lower()
    )
    return scene.send(path, {**pages.submitted(page), "do": name}, **HOSTILE)


def another_fresh_link(scene: Scene) -> Any:
    path = scene.once(Purpose.FRESH)
    OneTimeLink.objects.update(used_at=timezone.now())
    return scene.send(path, {"do": "again"}, **HOSTILE)


def another_address(scene: Scene) -> Any:
    opened = scene.send(scene.once(Purpose.FRESH), {"do": "open"}, **HOSTILE)
    page = pages.parse(opened.content.decode())
    action = str(next(page.all("form")).get("action"))
    assert EVIL not in opened.content.decode()
    return scene.send(action, {**pages.submitted(page), "profile.email": NEW}, **HOSTILE)


def confirmed_address(scene: Scene) -> Any:
    return scene.send(scene.once(Purpose.CHANGE_ADDRESS, address=NEW), {"do": ""}, **HOSTILE)


def step_up_by_the_element(scene: Scene) -> Any:
    visit = scene.visit
    visit.enter()
    return visit.post("preferences/step-up/", {}, **{"Idempotency-Key": "k", **HOSTILE})


def sign_up_by_the_element(scene: Scene) -> Any:
    visit = scene.visit
    revision = visit.client.get(visit.url()).json()["revision"]
    answers = {factories.block_id(scene.center, "topics"): {"choices": {"news": {"email": True}}}}
    body = {"email": NEW, "revision": revision, "answers": answers}
    return visit.post("signups/", body, **{"Idempotency-Key": "k", **HOSTILE})


MAILERS: dict[str, Callable[[Scene], Any]] = {
    "a link, on the page": lambda scene: scene.send(
        scene.route("request-link"), {"email": scene.contact.email}, **HOSTILE
    ),
    "a link, by the element": lambda scene: scene.visit.post(
        "access-links/", {"email": scene.contact.email}, **HOSTILE
    ),
    "a sign-up, on the page": lambda scene: scene.send(
        scene.route("sign-up"), filled(scene.client, scene.center, email=NEW), **HOSTILE
    ),
    "a sign-up, by the element": sign_up_by_the_element,
    "a new link for an old one": lambda scene: scene.send(
        scene.manage(issued=timezone.now() - timedelta(days=100)), {"do": "new_link"}, **HOSTILE
    ),
    "a fresh link, on the page": step_up_on_the_page,
    "a fresh link, by the element": step_up_by_the_element,
    "another fresh link": another_fresh_link,
    "another address": another_address,
    "a new address, confirmed": confirmed_address,
}


@pytest.mark.parametrize("trusts", [False, True])
@pytest.mark.parametrize("name", MAILERS)
def test_no_mail_leads_to_the_host_that_a_request_names(
    settings: Any, scene: Scene, name: str, trusts: bool
) -> None:
    settings.USE_X_FORWARDED_HOST = trusts
    answer = MAILERS[name](scene)
    assert answer.status_code in {200, 202}, answer.content
    assert EVIL not in answer.content.decode() + str(answer.headers)
    mails = worked_off()
    assert mails, "nothing was mailed, so nothing was tried"
    for one in mails:
        assert all(url.startswith(f"{ROOT}/prefs/") for url in addresses_in(str(one.context))), one.context
    assert len(outbox.outbox) == len(mails)
    for message in outbox.outbox:
        text = message.message().as_string()
        assert EVIL not in text
        bodies = message.body + str([body for body, _type in message.alternatives])
        assert {f"{part.scheme}://{part.netloc}" for part in map(urlsplit, addresses_in(bodies))} <= {ROOT}


def test_no_page_and_no_answer_leads_to_the_host_that_a_request_names(settings: Any, scene: Scene) -> None:
    settings.USE_X_FORWARDED_HOST = True
    one_click = path_of(one_click_url(scene.contact, "news", "email", scene.key))
    looked_at = [
        scene.manage(),
        scene.manage(issued=timezone.now() - timedelta(days=100)),
        one_click,
        *(
            scene.once(purpose, address=NEW)
            for purpose in (Purpose.FRESH, Purpose.CONFIRM, Purpose.CHANGE_ADDRESS)
        ),
        *(scene.route(name) for name in ("request-link", "sign-up", "embed-frame", "center")),
        reverse("wagtail_prefs:openapi"),
        reverse("wagtail_prefs:embed"),
        "/prefs/l/none/",
    ]
    answers = [scene.client.get(path, headers=HOSTILE) for path in looked_at]
    answers.append(
        scene.client.post(one_click, {"List-Unsubscribe": "One-Click", "page": "1"}, headers=HOSTILE)
    )
    made = Program(make_key("links:write")[1]).post(
        "links/", {"contacts": [str(scene.contact.pk)], "center": str(scene.key)}, **HOSTILE
    )
    assert made.status_code == 200
    for answer in [*answers, made]:
        assert EVIL not in answer.content.decode() + str(answer.headers)


# --- another way out -------------------------------------------------------------------------------------------------

NAMES = "next return_url return redirect redirect_uri redirect_url url to target continue dest host callback goto rurl".split()
WAYS_OUT = (
    f"https://{EVIL}/",
    f"//{EVIL}/",
    f"/\\{EVIL}/",
    f"\\\\{EVIL}",
    f"https:{EVIL}",
    f"/%2f{EVIL}",
    f"https://localhost@{EVIL}/",
    f"javascript:location='//{EVIL}'",
    "0",
    "-1",
)


def leads_nowhere(answer: Any) -> bool:
    """Whether it leads to ourselves at most, or to the center's own host page."""
    where = answer.headers.get("Location", "")
    return (
        EVIL not in where
        and "\\" not in where
        and (where.startswith((f"{SHOP}/mail#pc=", "/prefs/")) or not where)
    )


def test_no_parameter_leads_anywhere(scene: Scene) -> None:
    paths = [
        scene.manage(),
        scene.manage(host=0),
        path_of(one_click_url(scene.contact, "news", "email", scene.key)),
        *(
            scene.once(purpose, address=NEW)
            for purpose in (Purpose.FRESH, Purpose.CONFIRM, Purpose.CHANGE_ADDRESS)
        ),
        *(scene.route(name) for name in ("request-link", "sign-up", "embed-frame", "center", "sessions")),
        reverse("wagtail_prefs:embed"),
        f"/prefs/l/{quote(f'//{EVIL}')}/",
    ]
    tried = 0
    for way in WAYS_OUT:
        query = {**dict.fromkeys(NAMES, way), "locale": way, "saved": way}
        for path in paths:
            answer = scene.client.get(path, query)
            assert leads_nowhere(answer), (path, way, answer.headers)
            tried += 1
    # A save leads back to itself, with nothing in the address but the language and the receipt.
    for way in WAYS_OUT:
        path = scene.manage()
        answer = post(scene.client, f"{path}?next={quote(way)}&locale={quote(way)}", scene.form(path))
        assert answer.status_code == 303
        where = urlsplit(answer["Location"])
        assert (where.scheme, where.netloc, where.path) == ("", "", path)
        assert set(parse_qs(where.query)) == {"locale", "saved"}
        tried += 1
    assert tried == len(WAYS_OUT) * (len(paths) + 1)


@pytest.mark.parametrize("purpose", [Purpose.MANAGE, Purpose.FRESH])
def test_only_a_host_page_of_the_center_is_led_to_whatever_a_signed_link_says(
    scene: Scene, purpose: Purpose
) -> None:
    """As if by whoever has a key: the list of the center's pages holds all the same."""
    for host in (-1, 1, 99, 2**53 - 1, "0", f"https://{EVIL}/", True, False, None, [], [0], {}):
        path = scene.manage(host=0) if purpose is Purpose.MANAGE else scene.once(purpose, host=0)
        payload = tokens.verify("v1", path.split("/")[-2])
        path = f"/prefs/l/{tokens.sign('v1', {**payload, 'h': host})}/"
        answer = scene.client.get(path)
        if purpose is Purpose.FRESH and answer.status_code == 200:
            answer = scene.send(path, {"do": "open"})
        assert answer.status_code in {200, 404}, host
        assert "Location" not in answer.headers, host


def test_a_host_page_that_an_editor_took_away_is_not_led_to(scene: Scene) -> None:
    path, fresh = scene.manage(host=0), scene.once(Purpose.FRESH, host=0)
    assert scene.client.get(path)["Location"].startswith(f"{SHOP}/mail#pc=")
    scene.center.host_pages = ""
    scene.center.save_revision().publish()
    assert scene.client.get(path).status_code == 200
    assert "Location" not in scene.send(fresh, {"do": "open"}).headers


def test_a_host_page_whose_website_is_no_longer_allowed_is_not_led_to(scene: Scene) -> None:
    path = scene.manage(host=0)
    factories.make_site(origins=["https://blog.example"])
    scene.center.save_revision().publish()
    assert scene.client.get(path).status_code == 200


# --- another line in a header (EM-17) --------------------------------------------------------------------------------

INJECTED = f"\r\nBcc: all@{EVIL}\r\nSet-Cookie: x=1\r\n\r\n<script>"


@pytest.mark.parametrize("ends", ["\r\n", "\n", "\r", "\u0085", "\u2028", "\x0b", "\x1e", "\0"])
def test_a_line_end_in_an_address_reaches_nobody(scene: Scene, ends: str) -> None:
    for typed in (
        f"{scene.contact.email}{ends}Bcc: all@{EVIL}",
        f"{scene.contact.email}{ends},all@{EVIL}",
        f"Bcc: all@{EVIL}{ends}{scene.contact.email}",
    ):
        answer = scene.send(scene.route("request-link"), {"email": typed})
        assert answer.status_code in {200, 422}
        assert "Bcc" not in answer.headers and "Set-Cookie" not in answer.headers
        scene.visit.post("access-links/", {"email": typed})
        scene.send(scene.route("sign-up"), filled(scene.client, scene.center, email=typed))
    assert [one.to for one in worked_off()] == []
    assert outbox.outbox == []
    assert Contact.objects.count() == 1


def test_a_line_end_in_what_editors_write_makes_no_header(scene: Scene) -> None:
    scene.center.title = f"Choices{INJECTED}"
    scene.center.save_revision().publish()
    TopicText.objects.update(label=f"News{INJECTED}")
    scene.center.save_revision().publish()
    scene.send(scene.route("request-link"), {"email": scene.contact.email})
    scene.send(scene.route("sign-up"), filled(scene.client, scene.center, email=NEW))
    mails = worked_off()
    assert {one.kind for one in mails} == {"access_link", "confirm"}
    assert len(outbox.outbox) == 2
    for message in outbox.outbox:
        assert message.recipients() in ([scene.contact.email], [NEW])
        sent = message_from_bytes(message.message().as_bytes())
        assert not {"bcc", "set-cookie"} & {name.lower() for name in sent}
        assert "Choices" in str(make_header(decode_header(sent["Subject"])))
        assert "<script>" not in str(message.alternatives)
    for path in (
        scene.manage(),
        scene.route("request-link"),
        scene.route("sign-up"),
        scene.route("embed-frame"),
    ):
        answer = scene.client.get(path)
        assert "Set-Cookie" not in answer.headers
        assert b"<script>" not in answer.content


def test_a_line_end_in_what_visitors_send_makes_no_header(scene: Scene) -> None:
    paths = [
        scene.manage(),
        path_of(one_click_url(scene.contact, "news", "email", scene.key)),
        *(scene.route(name) for name in ("request-link", "sign-up", "embed-frame", "center")),
    ]
    for path in paths:
        for language in (f"de{INJECTED}", f"de\n{INJECTED}", "\0", "de" * 5000):
            answer = scene.client.get(path, {"locale": language})
            assert answer.status_code == 200, (path, language)
            assert not {"Bcc", "Set-Cookie"} & set(answer.headers)
            assert answer["Content-Language"] in {"en", "de"}
            assert "<script>" not in answer.content.decode().replace('<script type="module"', "")
    path = scene.manage()
    answer = post(scene.client, f"{path}?locale={quote(INJECTED)}", scene.form(path))
    assert answer.status_code == 303
    assert "\r" not in answer["Location"] and "\n" not in answer["Location"]
    assert not {"Bcc", "Set-Cookie"} & set(answer.headers)


# --- somebody else's address (AB-02) ---------------------------------------------------------------------------------

#: (stored, typed): what a database, a fold or a normalisation may take for one another. CVE-2019-19844 and its kin.
LOOK_ALIKES = (
    ("mike@example.org", "mıke@example.org"),
    ("mike@example.org", "mIke@example.org"),
    ("mike@example.org", "mİke@example.org"),
    ("mike@example.org", "mike@exampIe.org"),
    ("mike@example.org", "mike@ıxample.org"),
    ("kate@example.org", "\u212aate@example.org"),  # the sign of Kelvin
    ("kate@example.org", "каte@example.org"),  # Cyrillic
    ("kate@kino.example.org", "kate@\u212aino.example.org"),
    ("sam@example.org", "ſam@example.org"),
    ("strasse@example.org", "straße@example.org"),
    ("file@example.org", "ﬁle@example.org"),
    ("anna@example.org", "ａｎｎａ@ｅｘａｍｐｌｅ.ｏｒｇ"),
    ("anna@example.org", "anna＠example.org"),
    ("anna@example.org", "anna@example。org"),
    ("anna@example.org", "anna@example.org."),
    ("anna@example.org", ".anna@example.org"),
    ("anna@example.org", "an.na@example.org"),
    ("anna@example.org", "anna+x@example.org"),
    ("anna+x@example.org", "anna@example.org"),
    ("anna@example.org", "ANNA@EXAMPLE.ORG"),
    ("anna@example.org", "\u200banna@example.org"),
    ("anna@example.org", "anna\u00ad@example.org"),
    ("anna@example.org", "ann\u0061\u0301@example.org"),
    ("anna@example.org", '"anna"@example.org'),
    ("anna@example.org", "anna(x)@example.org"),
    ("anna@example.org", "Anna <anna@example.org>"),
    ("anna@example.org", f"anna@example.org,all@{EVIL}"),
    ("anna@example.org", f"anna@example.org all@{EVIL}"),
    ("anna@example.org", f"anna%example.org@{EVIL}"),
    ("anna@xn--bcher-kva.example", "anna@bücher.example"),
    ("anna@bücher.example", "anna@xn--bcher-kva.example"),
)
#: Other mailboxes, whatever they look like: nobody is mailed.
OTHERS = (
    "mıke@example.org",
    "каte@example.org",
    "mike@exampIe.org",
    "mike@ıxample.org",
    "an.na@example.org",
    "anna+x@example.org",
    "ann\u0061\u0301@example.org",
    f"anna%example.org@{EVIL}",
)


@pytest.mark.parametrize("way", ["page", "element"])
def test_a_look_alike_gets_no_mail_but_at_the_stored_address(settings: Any, scene: Scene, way: str) -> None:
    plenty = {name: [(1000, 60)] for name in ("link_address", "link_network", "link_site")}
    settings.WAGTAIL_PREFS = {**settings.WAGTAIL_PREFS, "LIMITS": plenty}
    visit, reached = scene.visit, 0
    for stored, typed in LOOK_ALIKES:
        contact = factories.make_contact(stored)
        if way == "page":
            answer = scene.send(scene.route("request-link"), {"email": typed})
        else:
            answer = visit.post("access-links/", {"email": typed})
        assert answer.status_code in {200, 202, 422}
        mailed = [one.to for one in worked_off()]
        assert set(mailed) <= {stored}, typed
        assert [message.recipients() for message in outbox.outbox] == [[one] for one in mailed], typed
        assert not (mailed and (typed in OTHERS or stored.replace("+x", "") == typed != stored)), typed
        reached += len(mailed)
        outbox.outbox.clear()
        Mail.objects.all().delete()
        contact.delete()
    # Some are the same mailbox in another spelling: else nothing would have been tried here.
    assert reached >= 5


def test_the_stored_address_does_get_it(scene: Scene) -> None:
    factories.make_contact("Mike.O'Hara@Example.org")
    scene.send(scene.route("request-link"), {"email": " mike.o'hara@EXAMPLE.org "})
    assert [one.to for one in worked_off()] == ["Mike.O'Hara@Example.org"]


# --- another website -------------------------------------------------------------------------------------------------

ORIGINS = (
    "null",
    "",
    "*",
    f"https://{EVIL}",
    f"{SHOP}.{EVIL}",
    f"{SHOP}.",
    f"{SHOP}/",
    f"{SHOP}:8443",
    f"{SHOP}:443",
    SHOP.replace("https", "http"),
    SHOP.replace("shop", "SHOP"),
    SHOP.replace("shop", "xshop"),
    SHOP.replace("https://", "https://user@"),
    SHOP.replace(".example", "%2eexample"),
    SHOP.replace("shop", "sh\u043ep"),
    f"{SHOP}, https://{EVIL}",
    f"{SHOP} https://{EVIL}",
    "file://",
    "chrome-extension://abcdefghijklmnop",
)
#: What a center answers in person, and how it is asked.
PERSONAL = {
    "access-links": "POST",
    "sign-ups": "POST",
    "sessions": "POST",
    "preferences": "GET",
    "undo": "POST",
    "history": "GET",
    "step-up": "POST",
    "export": "POST",
    "erasure": "POST",
}


def test_the_personal_routes_are_all_of_them() -> None:
    """Whoever adds one says here how it is asked."""
    of_a_center = {one.name for one in api_routes if str(one.pattern).startswith("centers/")}
    assert of_a_center == {"center", *PERSONAL}


def test_no_other_website_gets_an_answer(scene: Scene) -> None:
    visit = scene.visit
    visit.enter()
    headers = {**visit.headers(), "Idempotency-Key": "k"}
    asked = {"Access-Control-Request-Method": "POST", "Access-Control-Request-Headers": "authorization"}
    for origin, (name, method) in product(ORIGINS, PERSONAL.items()):
        path = scene.route(name)
        for answer in (
            scene.client.generic(
                method, path, "{}", content_type="application/json", headers={**headers, "Origin": origin}
            ),
            scene.client.options(path, headers={"Origin": origin, **asked}),
        ):
            assert answer.status_code == 403, (name, origin, answer.content)
            assert not [one for one in answer.headers if one.startswith("Access-Control-")], (name, origin)
            assert "Origin" in answer["Vary"], name
    assert worked_off() == []
    # What programs ask with a key is for no website at all.
    programs = ("contacts/", "contacts/find/", f"contacts/{scene.contact.pk}/", "links/")
    for origin, path, method in product((*ORIGINS, SHOP, ROOT), programs, ("POST", "OPTIONS")):
        answer = scene.client.generic(method, f"/prefs/api/v1/{path}", headers={"Origin": origin})
        assert not [one for one in answer.headers if one.startswith("Access-Control-")], (path, origin)


def framed(scene: Scene) -> Iterator[str]:
    yield scene.manage()
    yield scene.manage(issued=timezone.now() - timedelta(days=100))
    yield path_of(one_click_url(scene.contact, "news", "email", scene.key))
    for purpose in (Purpose.FRESH, Purpose.CONFIRM, Purpose.CHANGE_ADDRESS):
        yield scene.once(purpose, address=NEW)
    yield from (scene.route(name) for name in ("request-link", "sign-up"))
    yield "/prefs/l/none/"


def test_no_page_with_a_button_lets_itself_be_framed_or_read_from_elsewhere(scene: Scene) -> None:
    for path in framed(scene):
        answer = scene.client.get(path, headers={"Origin": SHOP})
        assert answer["X-Frame-Options"] == "DENY", path
        assert "frame-ancestors 'none'" in answer["Content-Security-Policy"], path
        assert answer["Cross-Origin-Resource-Policy"] == "same-origin", path
        assert not [one for one in answer.headers if one.startswith("Access-Control-")], path


def test_a_private_topic_is_neither_named_nor_joined_from_outside(scene: Scene) -> None:
    """AB-08, where somebody who is nobody could try: the names of what is not offered."""
    Topic.objects.create(audience=factories.make_audience(), key="vip", channels=["email"], private=True)
    visit, block = scene.visit, factories.block_id(scene.center, "topics")
    revision = visit.client.get(visit.url()).json()["revision"]

    def wants(topic: str) -> Any:
        answers = {block: {"choices": {topic: {"email": True}}}}
        body = {"email": NEW, "revision": revision, "answers": answers}
        return visit.post("signups/", body, **{"Idempotency-Key": topic})

    private, unknown = wants("vip"), wants("xyz")
    assert private.status_code == unknown.status_code == 422
    assert private.content.replace(b"vip", b"xyz") == unknown.content
