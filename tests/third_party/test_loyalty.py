"""A block of somebody else's: one module that we know nothing of, from the editor's desk to the CRM."""

from __future__ import annotations

import json
import threading
from email.message import Message
from importlib.metadata import distribution
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

import pytest
from django.core.management import call_command
from django.http import HttpResponse
from django.test import Client
from django.urls import reverse
from pytest_httpserver import HTTPServer
from wagtail.test.utils.form_data import inline_formset, nested_form_data, rich_text, streamfield
from werkzeug import Request, Response

from example_site.crm.store import Store
from example_site.crm.web import Crm
from example_site.loopback import Request as CrmRequest
from example_site.place import Place
from tests import factories, pages
from tests.api.conftest import SHOP, Visit
from wagtail_prefs.access.services import manage_url
from wagtail_prefs.backends.database.models import Subscriber
from wagtail_prefs.centers import services as centers
from wagtail_prefs.centers.page import PreferenceCenterPage
from wagtail_prefs.contacts.models import Contact
from wagtail_prefs.contacts.services import load_state
from wagtail_prefs.delivery import services as delivery
from wagtail_prefs.errors import StepUpRequired
from wagtail_prefs.submissions import services as submissions
from wagtail_prefs.values import Actor, ActorType, Source

pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("loyalty")]

ROOT = Path(__file__).resolve().parents[2]
NUMBER = "2026 1122 0007"
SECRET = "whsec_d2FndGFpbC1wcmVmcy10ZXN0LWtleS0wMA=="
CARD = {
    "heading": "Your card",
    "text": "<p>Points for <b>every</b> purchase.</p>",
    "card": "Harbour card",
    "purpose": "to add what you buy to your points",
}


def card_block(**value: Any) -> dict[str, Any]:
    return factories.block("loyalty_card", {**CARD, **value}, "card")


@pytest.fixture
def visit(db: None) -> Visit:
    site = factories.make_site(origins=[SHOP])
    blocks = [*factories.all_blocks(factories.make_topics().values()), card_block()]
    page = factories.make_center(blocks, site=site, host_pages=f"{SHOP}/mail")
    return Visit(page, factories.make_contact())


def save(visit: Visit, answers: dict[str, Any], assurance: Any = "link") -> submissions.Saved:
    snapshot = centers.get_snapshot(centers.current(visit.page.translation_key).digest)
    return submissions.submit(
        link_id=visit.contact.link_id,
        epoch=0,
        snapshot=snapshot,
        base_version=Contact.objects.get(pk=visit.contact.pk).version,
        answers={"card": answers},
        actor=Actor(ActorType.SUBJECT_SESSION),
        source=Source(method="element", form_version=snapshot.digest),
        idempotency_key=None,
        assurance=assurance,
    )


def attributes(visit: Visit) -> dict[str, Any]:
    return dict(load_state(visit.contact.pk).attributes)


def test_it_is_one_module_that_nothing_of_ours_knows(installed: Path) -> None:
    files = {str(file) for file in distribution("loyalty-card").files or () if file.suffix == ".py"}
    assert files == {"loyalty_card.py"}
    ours = [
        path
        for folder in ("wagtail_prefs", "blocks", "frontend/src", "example_site")
        for path in (ROOT / folder).rglob("*")
        if path.suffix in {".py", ".ts", ".html", ".po", ".css", ".json"} and "var" not in path.parts
    ]
    assert len(ours) > 200
    assert not [path for path in ours if "loyalty" in path.read_text(errors="replace").lower()]
    call_command("makemigrations", "--check", "--dry-run", verbosity=0)
    call_command("check", fail_level="WARNING")


def form(value: dict[str, Any]) -> dict[str, Any]:
    written = {**value, "text": rich_text(CARD["text"]), "conditions": streamfield([])}
    return nested_form_data(
        {
            "title": "Your choices",
            "slug": "choices",
            "host_pages": "",
            "comments": inline_formset([]),
            "body": streamfield([("loyalty_card", written)]),
        }
    )


def test_an_editor_picks_it_previews_it_and_is_told_what_it_lacks(admin_client: Client) -> None:
    site = factories.make_site()
    add = reverse("wagtailadmin_pages:add", args=["wagtail_prefs", "preferencecenterpage", site.root_page_id])
    picker = admin_client.get(add).content.decode()
    assert "loyalty_card" in picker
    assert "Name of the card" in picker

    incomplete = form({**CARD, "purpose": ""})
    stopped = admin_client.post(add, {**incomplete, "action-publish": "1"})
    assert stopped.status_code == 200
    assert "Say what you need the number for." in stopped.content.decode()
    drafted = admin_client.post(add, incomplete)
    assert drafted.status_code == 302  # a draft may be incomplete
    page = PreferenceCenterPage.objects.get()
    assert page.get_latest_revision_as_object().body[0].value["card"] == "Harbour card"

    block = page.body.stream_block.child_blocks["loyalty_card"]
    drawn = admin_client.get(
        reverse("wagtailadmin_block_preview"), {"id": block.definition_prefix}
    ).content.decode()
    assert "Harbour card" in drawn
    assert "Trees" in drawn


def test_the_document_has_its_controls(visit: Visit) -> None:
    document = visit.client.get(visit.url()).json()
    block = document["blocks"][-1]
    assert (block["id"], block["type"], block["heading"]) == ("card", "loyalty_card", "Your card")
    assert block["text"] == [["p", {}, "Points for ", ["b", {}, "every"], " purchase."]]
    # The last is ours: she may see her number by a fresh link.
    number, points, step_up = block["controls"]
    assert (step_up["type"], step_up["do"]) == ("action", "step_up")
    assert (number["type"], number["name"], number["personal"]) == ("text", "number", True)
    assert "to add what you buy" in number["help"]
    assert (points["type"], [option["key"] for option in points["options"]]) == (
        "one_of",
        ["vouchers", "trees"],
    )


def test_the_page_draws_and_saves_it_without_javascript(visit: Visit) -> None:
    url = manage_url(visit.contact, visit.page.translation_key)
    path = url.removeprefix("http://localhost")
    drawn = pages.parse(visit.client.get(path).content.decode())
    assert "Harbour card" in drawn.words
    answers = pages.submitted(drawn, {"card.points": "trees"})
    written = urlencode(answers, doseq=True)
    done = visit.client.post(path, written, content_type="application/x-www-form-urlencoded")
    assert done.status_code == 303
    assert attributes(visit) == {"loyalty_points": "trees"}
    again = pages.parse(visit.client.get(path).content.decode())
    (picked,) = [
        element
        for element in again.all("input", "option")
        if {"checked", "selected"} & set(element.attributes)
    ]
    assert picked.get("value") == "trees"


def test_the_element_saves_it_and_hears_what_is_wrong(visit: Visit) -> None:
    visit.enter()
    wrong = visit.patch(visit.body({"card": {"points": "gold"}}))
    assert wrong.status_code == 422
    assert list(wrong.json()["errors"]["card"]) == ["points"]
    saved = visit.patch(visit.body({"card": {"points": "vouchers"}})).json()
    assert saved["preferences"]["answers"]["card"] == {"points": "vouchers"}
    assert [line["path"] for line in saved["applied"]] == ["card.points"]
    # Its number is personal: an old mail is not enough.
    personal = visit.patch(visit.body({"card": {"number": NUMBER}}))
    assert personal.status_code == 403
    assert personal.json()["type"].endswith("step-up-required")
    assert attributes(visit) == {"loyalty_points": "vouchers"}


@pytest.mark.parametrize(
    "number", ["2026 1122 0004", "2026 1122", "2026 1122 0007 1", "²026 1122 0007", "<b>", 202611220007, None]
)
def test_a_number_that_cannot_be_one_is_refused(visit: Visit, number: Any) -> None:
    visit.enter()
    refused = visit.patch(visit.body({"card": {"number": number}}))
    assert refused.status_code == 422
    assert list(refused.json()["errors"]["card"]) == ["number"]
    assert attributes(visit) == {}


def test_a_personal_answer_is_masked_for_who_came_by_an_old_mail(visit: Visit) -> None:
    with pytest.raises(StepUpRequired):
        save(visit, {"number": NUMBER})
    assert save(visit, {"number": NUMBER}, "fresh").receipt
    assert attributes(visit) == {"loyalty_card": "202611220007"}
    answer: HttpResponse = visit.client.get(
        manage_url(visit.contact, visit.page.translation_key).removeprefix("http://localhost")
    )
    assert b"202611220007" not in answer.content
    assert "202611220007" not in json.dumps(visit.enter())
    assert save(visit, {"number": ""}, "fresh").receipt
    assert attributes(visit) == {}


@pytest.fixture
def crm(httpserver: HTTPServer, tmp_path: Path) -> Store:
    """The demo's CRM behind a real socket."""
    store = Store(tmp_path / "crm.json")
    taker = Crm(store, SECRET, "", Place(0))
    lock = threading.Lock()

    def take(request: Request) -> Response:
        headers = Message()
        for name, value in request.headers.items():
            headers[name] = value
        with lock:
            answer = taker(CrmRequest(request.method, request.path, headers, request.get_data()))
        return Response(answer.body, answer.status)

    httpserver.expect_request("/hooks/preferences").respond_with_handler(take)
    return store


def test_it_reaches_the_database_and_the_crm(
    visit: Visit, crm: Store, httpserver: HTTPServer, settings: Any
) -> None:
    hook = {"URL": httpserver.url_for("/hooks/preferences"), "SECRET": SECRET}
    settings.WAGTAIL_PREFS = {
        **settings.WAGTAIL_PREFS,
        "ALLOW_PRIVATE_HOSTS": True,
        "BACKENDS": {
            "database": {"BACKEND": "wagtail_prefs.backends.database.DatabaseBackend"},
            "crm": {"BACKEND": "wagtail_prefs.backends.webhook.WebhookBackend", "OPTIONS": hook},
        },
    }
    assert save(visit, {"number": NUMBER, "points": "trees"}, "fresh").receipt
    delivery.run_once()

    told = {"loyalty_card": "202611220007", "loyalty_points": "trees"}
    assert Subscriber.objects.get(contact=visit.contact.pk).attributes == told
    (request, answer) = httpserver.log[-1]
    assert answer.status_code == 204  # its signature held, and its body was understood
    sent = json.loads(request.get_data())
    assert sent["attributes"] == told
    assert sent["changed"] == ["attribute:loyalty_card", "attribute:loyalty_points"]
    (known,) = crm.contacts()
    assert (known.id, known.version) == (str(visit.contact.pk), 1)


def test_where_the_package_is_taken_away_its_answers_stay_and_nobody_meets_an_error(
    visit: Visit, settings: Any
) -> None:
    save(visit, {"points": "trees"})
    settings.WAGTAIL_PREFS = {**settings.WAGTAIL_PREFS, "BLOCKS": {}}
    preferences = visit.enter()
    assert "card" not in preferences["answers"]
    topics = factories.block_id(visit.page, "topics")
    answers = {"card": {"points": "vouchers"}, topics: {"choices": {"news": {"email": True}}}}
    saved = visit.patch(visit.body(answers, base=1))
    assert saved.status_code == 200
    assert [line["path"] for line in saved.json()["merged"]] == ["card.points"]
    assert [line["path"] for line in saved.json()["applied"]] == [f"{topics}.choices.news.email"]
    assert attributes(visit) == {"loyalty_points": "trees"}
    path = manage_url(visit.contact, visit.page.translation_key).removeprefix("http://localhost")
    assert visit.client.get(path).status_code == 200
