"""A fresh link for whoever holds a session, and what it opens."""

from __future__ import annotations

import json
from collections.abc import Callable
from datetime import timedelta
from typing import Any
from urllib.parse import urlsplit

import pytest
import time_machine
from django.db import connection
from django.http import HttpResponse
from django.test.utils import CaptureQueriesContext
from django.utils import timezone

from tests import factories
from tests.blocks.asking import asking
from wagtail_prefs.access import services as access
from wagtail_prefs.access.models import OneTimeLink
from wagtail_prefs.access.services import Purpose
from wagtail_prefs.changes import GiveReason, SetAttribute
from wagtail_prefs.contacts import services as contacts
from wagtail_prefs.mail.models import Mail
from wagtail_prefs.submissions import services as submissions
from wagtail_prefs.values import Actor, ActorType, Source

from .conftest import SHOP, Visit

pytestmark = pytest.mark.django_db
NAME, REASON = "Zacharias", "Too loud for my taste."
OWN = "http://localhost"


@pytest.fixture
def asked(db: None) -> Visit:
    """Her page asks for a name and lets her change her address; she has said her name, and why she left once."""
    site = factories.make_site(origins=[SHOP])
    page = factories.make_center(asking(), site=site, host_pages=f"{SHOP}/mail")
    contact = factories.make_contact()
    submissions.record(
        contact.pk,
        [SetAttribute("given_name", NAME), GiveReason("too_many"), SetAttribute("reason_text", REASON)],
        actor=Actor(ActorType.SUBJECT_SESSION),
        source=Source(method="element"),
    )
    visit = Visit(page, contact)
    visit.enter()
    return visit


def step_up(visit: Visit, body: Any = None, **headers: str) -> HttpResponse:
    return visit.post(
        "preferences/step-up/", {} if body is None else body, **{"Idempotency-Key": "one", **headers}
    )


def mailed() -> str:
    """The path of the link in the newest mail."""
    return urlsplit(Mail.objects.latest("created_at").context["url"]).path


def token_of(path: str) -> str:
    return path.rstrip("/").rpartition("/")[2]


def press(visit: Visit, path: str) -> HttpResponse:
    return visit.client.post(path, "do=open", content_type="application/x-www-form-urlencoded")


def enter_fresh(visit: Visit) -> dict[str, Any]:
    assert step_up(visit).status_code == 202
    answer = press(visit, mailed())
    assert answer.status_code == 303, answer.content
    page, _hash, code = answer["Location"].partition("#pc=")
    assert page == f"{SHOP}/mail"
    opened = visit.post("sessions/", {"code": code})
    assert opened.status_code == 200
    visit.session = opened.json()["session"]
    preferences: dict[str, Any] = opened.json()["preferences"]
    return preferences


def test_it_mails_a_link_to_the_stored_address_and_back_to_the_page_she_was_on(asked: Visit) -> None:
    answer = step_up(asked)
    assert answer.status_code == 202
    assert answer["Content-Type"] == "application/json"
    assert answer["Cache-Control"] == "no-store, private"
    assert answer.json().keys() == {"text"}
    assert "mailbox" in answer.json()["text"] and "15 minutes" in answer.json()["text"]
    mail = Mail.objects.get()
    assert (mail.kind, mail.to, mail.contact) == ("fresh_link", asked.contact.email, asked.contact.pk)
    assert mail.context.keys() == {"url", "center_title", "minutes"}
    assert (mail.context["center_title"], mail.context["minutes"], mail.locale) == ("Your choices", 15, "en")
    link = access.look(token_of(mailed()), Purpose.FRESH)
    assert (link.host, link.over, link.contact_id) == (0, False, asked.contact.pk)
    assert asked.contact.email not in answer.content.decode()


def test_from_our_own_page_it_leads_back_there(asked: Visit) -> None:
    token = access.make_token(Purpose.MANAGE, asked.contact, center=asked.page.translation_key)
    link = access.open_link(token, Purpose.MANAGE)
    asked.origin = OWN
    asked.session = access.start_session(link, asked.page.translation_key, OWN, assurance="link")
    assert step_up(asked).status_code == 202
    assert access.look(token_of(mailed()), Purpose.FRESH).host is None


def test_beyond_the_limit_and_to_a_dead_address_the_answer_is_the_same_and_no_mail_goes(asked: Visit) -> None:
    first = step_up(asked)
    again = step_up(asked, **{"Idempotency-Key": "two"})
    contacts.mark_dead(asked.contact.pk, timezone.now())
    with time_machine.travel(timezone.now() + timedelta(minutes=2), tick=False):
        dead = step_up(asked, **{"Idempotency-Key": "three"})
    assert {(one.status_code, one.content) for one in (first, again, dead)} == {(202, first.content)}
    assert Mail.objects.count() == OneTimeLink.objects.count() == 1


@pytest.mark.parametrize(
    ("change", "status"),
    [
        (lambda v: step_up(v, {"email": "evil@mail.example.org"}), 400),
        (lambda v: step_up(v, "[]"), 400),
        (lambda v: step_up(v, **{"Idempotency-Key": ""}), 400),
        (lambda v: step_up(v, Origin="https://evil.example"), 403),
        (lambda v: step_up(v, Origin=OWN), 403),
        (lambda v: step_up(v, Authorization="Bearer no"), 401),
        (lambda v: v.client.get(v.url("preferences/step-up/"), headers=v.headers()), 405),
    ],
)
def test_bad_requests_mail_nothing(asked: Visit, change: Callable[[Visit], Any], status: int) -> None:
    assert change(asked).status_code == status
    assert not Mail.objects.exists()
    assert not OneTimeLink.objects.exists()


def test_who_was_erased_gets_nothing(asked: Visit) -> None:
    submissions.erase(asked.contact.pk, actor=Actor(ActorType.ADMIN, "staff"), source=Source(method="admin"))
    assert step_up(asked).status_code == 401
    assert not Mail.objects.exists()


def test_an_erasure_forgets_what_was_asked_for(asked: Visit) -> None:
    step_up(asked)
    submissions.erase(asked.contact.pk, actor=Actor(ActorType.ADMIN, "staff"), source=Source(method="admin"))
    assert not Mail.objects.filter(to__gt="").exists()
    assert not OneTimeLink.objects.exists()


def test_what_it_costs(asked: Visit, settings: Any) -> None:
    settings.WAGTAIL_PREFS = {**settings.WAGTAIL_PREFS, "CENTER_CACHE_SECONDS": 60}  # on a busy machine, too
    asked.get()
    with CaptureQueriesContext(connection) as asking_for_it:
        step_up(asked)
    # Not counting limits, which a shared cache counts where there is one.
    told = [
        query["sql"]
        for query in asking_for_it.captured_queries
        if "wagtail_prefs_hits" not in query["sql"] and not query["sql"].startswith(("SAVE", "RELEASE"))
    ]
    assert len(told) == 6, told


def test_a_fresh_link_opens_what_is_personal_and_a_save_takes_it(asked: Visit) -> None:
    refused = asked.patch(asked.body({"profile": {"given_name": "Yolanda"}}, 1))
    assert refused.status_code == 403
    assert refused.json()["type"] == "urn:wagtail-prefs:step-up-required"
    preferences = enter_fresh(asked)
    assert preferences["assurance"] == "fresh"
    assert preferences["answers"]["profile"]["given_name"] == NAME
    saved = asked.patch(asked.body({"profile": {"given_name": "Yolanda"}}, preferences["version"]))
    assert saved.status_code == 200
    assert saved.json()["preferences"]["answers"]["profile"]["given_name"] == "Yolanda"
    assert contacts.load_state(asked.contact.pk).attributes["given_name"] == "Yolanda"
    undone = asked.undo(saved.json()["receipt"])
    assert undone.status_code == 200
    assert contacts.load_state(asked.contact.pk).attributes["given_name"] == NAME


def test_the_button_stands_where_it_is_needed(asked: Visit) -> None:
    document = asked.client.get(asked.url()).json()
    buttons = {
        f"{block['id']}.{control['name']}"
        for block in document["blocks"]
        for control in block["controls"]
        if control["type"] == "action" and control["do"] == "step_up"
    }
    assert buttons == {"profile.step_up"}
    assert buttons.isdisjoint(asked.get().json()["hidden"])
    assert buttons <= set(enter_fresh(asked)["hidden"])


def test_an_old_mail_shows_nothing_personal_and_a_fresh_link_only_what_is_hers(asked: Visit) -> None:
    """What every personal route says, as bytes (security.md TK-08)."""
    secrets = (NAME, REASON, asked.contact.email, asked.contact.email.partition("@")[0], "mail.example.org")

    def everything() -> str:
        answers = [
            asked.get(),
            asked.history(),
            asked.patch(asked.choose(asked.get().json()["version"], news=True)),
            asked.undo(json.loads(asked.history().content)["records"][0]["receipt"]),
            step_up(asked, **{"Idempotency-Key": "told"}),
            asked.post("sessions/", {}),
        ]
        assert {answer.status_code for answer in answers} <= {200, 202}
        return "".join(answer.content.decode() for answer in answers)

    asked.page.refresh_from_db()
    told = everything()
    assert not [secret for secret in secrets if secret in told]
    assert "•••" in told
    with time_machine.travel(timezone.now() + timedelta(minutes=2), tick=False):
        enter_fresh(asked)
        told = asked.get().content.decode()
        assert [secret for secret in secrets if secret in told] == [NAME]
        history = asked.history().content.decode()
        assert not [secret for secret in secrets if secret in history]
