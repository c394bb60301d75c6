"""`contacts/`: what a program with a key may ask and tell of people."""

from __future__ import annotations

import json
import re
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import jsonschema
import pytest
import schemathesis
import time_machine
from django.core.wsgi import get_wsgi_application
from django.utils import timezone
from hypothesis import HealthCheck, given, settings as hypothesis_settings, strategies as st
from pytest_django import DjangoAssertNumQueries, Settings
from schemathesis import Case
from schemathesis.checks import not_a_server_error

from tests.api.client import Program, choose, make_key
from tests.api.test_openapi import OF_CLIENTS, holds, kept_connection
from tests.decisions.cases import law_files
from tests.factories import make_audience, make_center, make_contact, make_editor, make_site, make_topics
from tests.properties import examples
from wagtail_prefs.access import api_keys
from wagtail_prefs.access.api_keys import Scope
from wagtail_prefs.access.models import ApiKey
from wagtail_prefs.api.contacts import CHANGES, MAX_CHANGES
from wagtail_prefs.api.schema import openapi
from wagtail_prefs.changes import OptOut, Pause, SetAttribute, SetChoice, SetFrequency
from wagtail_prefs.contacts.models import Contact, State
from wagtail_prefs.contacts.services import load_state
from wagtail_prefs.ledger import services as ledger
from wagtail_prefs.ledger.models import Record
from wagtail_prefs.submissions import door, services as submissions
from wagtail_prefs.topics.models import Topic
from wagtail_prefs.values import CHANNELS, Actor, ActorType, Source

pytestmark = pytest.mark.django_db

ROOT = Path(__file__).resolve().parents[2]
ANNA = "anna@mail.example.org"
NOBODY = "00000000-0000-4000-8000-000000000000"
HER = Actor(ActorType.SUBJECT_LINK)
CONTACTS, FIND, ONE = "/contacts/", "/contacts/find/", "/contacts/{contact}/"


@pytest.fixture
def program(db: None) -> Program:
    make_topics()
    return Program(make_key()[1])


@pytest.fixture(scope="module")
def description() -> dict[str, Any]:
    found: dict[str, Any] = json.loads(openapi())
    return found


def proof(days: float = 0.01) -> dict[str, str]:
    return {
        "reference": "order 4711, box ticked",
        "at": (timezone.now() - timedelta(days=days)).isoformat(),
    }


# --- keys ------------------------------------------------------------------------------------------------------------


CALLS: tuple[tuple[str, str, Any], ...] = (
    ("POST", "contacts/", {"email": "new@mail.example.org"}),
    ("GET", "contacts/{contact}/", None),
    ("PATCH", "contacts/{contact}/", {"changes": [{"change": "OptOut", "v": 1}]}),
    ("POST", "contacts/find/", {"email": ANNA}),
    ("POST", "links/", {"contacts": ["{contact}"], "center": "{center}"}),
)
SCOPES = {
    "POST contacts/": Scope.CONTACTS_WRITE,
    "GET contacts/{contact}/": Scope.CONTACTS_READ,
    "PATCH contacts/{contact}/": Scope.CONTACTS_WRITE,
    "POST contacts/find/": Scope.CONTACTS_READ,
    "POST links/": Scope.LINKS_WRITE,
}


def run(program: Program, method: str, path: str, body: Any, *, contact: Any, center: Any = NOBODY) -> Any:
    said = json.dumps(body).replace("{contact}", str(contact)).replace("{center}", str(center))
    where = path.replace("{contact}", str(contact))
    key = f"key-{next(program.numbers)}"
    return program.send(method, where, None if body is None else said, **{"Idempotency-Key": key})


def everything() -> list[Any]:
    tables = (Contact, State, Record)
    return [list(model._default_manager.order_by("pk").values()) for model in tables]


@pytest.mark.parametrize(("method", "path", "body"), CALLS)
def test_who_may_not_gets_no_further(
    program: Program, description: dict[str, Any], method: str, path: str, body: Any
) -> None:
    contact, center = make_contact(ANNA), make_center()
    before = everything()
    audience = make_audience()
    gone, revoked = make_key(audience=audience)
    api_keys.revoke(gone)
    _row, ended = make_key(audience=audience, expires_at=timezone.now() + timedelta(seconds=30))
    need = SCOPES[f"{method} {path}"]
    _row, lacking = make_key(*(set(Scope) - {need}), audience=audience)
    refused = []
    with time_machine.travel(timezone.now() + timedelta(minutes=1)):
        for key in ("", "x", program.key[:-1], revoked, ended):
            program.key = key
            answer = run(program, method, path, body, contact=contact.pk, center=center.translation_key)
            refused.append((answer.status_code, answer.content, answer["WWW-Authenticate"]))
            holds(answer, description, f"/{path}", method.lower())
        assert len(set(refused)) == 1
        assert refused[0][0] == 401
        program.key = lacking
        answer = run(program, method, path, body, contact=contact.pk, center=center.translation_key)
        assert answer.status_code == 403
        assert answer.json()["type"] == "urn:wagtail-prefs:scope-missing"
        assert need.value in answer.json()["title"]
        holds(answer, description, f"/{path}", method.lower())
    assert everything() == before
    # A call that was refused is no use of a key.
    assert not ApiKey.objects.exclude(last_used_at=None).exists()


@pytest.mark.parametrize(("method", "path", "body"), CALLS)
def test_the_scope_is_enough_and_answers_are_private(method: str, path: str, body: Any) -> None:
    make_topics()
    contact, center = make_contact(ANNA), make_center()
    row, key = make_key(SCOPES[f"{method} {path}"])
    program = Program(key)
    program.client.force_login(make_editor())  # an admin's cookie is not looked at
    answer = run(program, method, path, body, contact=contact.pk, center=center.translation_key)
    assert answer.status_code in {200, 201}, answer.content
    assert answer["Cache-Control"] == "no-store, private"
    assert "Authorization" in answer["Vary"]
    assert not [name for name in answer.headers if name.lower().startswith("access-control")]
    assert not answer.cookies
    row.refresh_from_db()
    assert row.last_used_at is not None
    foreign = run(
        Program(key), method, path, body, contact=contact.pk, center=center.translation_key
    )  # no browser may read it either
    assert foreign.status_code == 200 or foreign.status_code == 201
    program.key = ""
    assert run(program, method, path, body, contact=contact.pk).status_code == 401


def test_no_page_of_another_origin_reads_an_answer(program: Program) -> None:
    contact = make_contact(ANNA)
    answer = program.get(f"contacts/{contact.pk}/", Origin="https://evil.example")
    assert "Access-Control-Allow-Origin" not in answer
    for method in ("OPTIONS", "DELETE", "PUT", "TRACE", "PROPFIND", "POST"):
        refused = program.send(method, f"contacts/{contact.pk}/", Origin="https://evil.example")
        assert refused.status_code == 405
        assert refused["Allow"] == "GET, PATCH, HEAD"
        assert "Access-Control-Allow-Origin" not in refused


def test_wrong_keys_are_limited_by_network_and_good_ones_are_not(
    program: Program, django_assert_num_queries: DjangoAssertNumQueries, settings: Settings
) -> None:
    settings.WAGTAIL_PREFS = {**settings.WAGTAIL_PREFS, "LIMITS": {"bad_token_network": [(30, 60)]}}
    contact, good = make_contact(ANNA), program.key
    program.key = f"{good[:-1]}{'a' if good[-1] != 'a' else 'b'}"
    with time_machine.travel(timezone.now(), tick=False), django_assert_num_queries(0):
        codes = [program.get(f"contacts/{contact.pk}/").status_code for _number in range(40)]
        limited = program.get(f"contacts/{contact.pk}/")
    assert codes == [401] * 30 + [429] * 10
    assert 0 < int(limited["Retry-After"]) <= 61
    assert limited.json()["type"] == "urn:wagtail-prefs:too-many-requests"
    program.key = good
    assert program.get(f"contacts/{contact.pk}/").status_code == 200


def test_a_key_has_a_limit_of_its_own(
    program: Program, settings: Settings, description: dict[str, Any]
) -> None:
    settings.WAGTAIL_PREFS = {**settings.WAGTAIL_PREFS, "LIMITS": {"key_calls": [(3, 3600)]}}
    contact, other = make_contact(ANNA), Program(make_key()[1])
    with time_machine.travel(timezone.now(), tick=False):
        codes = [program.get(f"contacts/{contact.pk}/").status_code for _number in range(5)]
        holds(program.get(f"contacts/{contact.pk}/"), description, ONE, "get")
    assert codes == [200] * 3 + [429] * 2
    assert other.get(f"contacts/{contact.pk}/").status_code == 200


def test_two_audiences_do_not_know_each_other(program: Program) -> None:
    """Every route, both ways round: whoever is elsewhere is as unknown as nobody (security.md AP-02)."""
    site = make_site("other.example", port=443)
    there = make_audience(site)
    make_topics(there)
    other = Program(make_key(audience=there)[1])
    hers = {
        program.key: (make_contact(ANNA), make_center()),
        other.key: (make_contact(ANNA, audience=there), make_center(site=site)),
    }
    Contact.objects.filter(audience=there).update(external_id="crm-1")
    asked = 0
    for one, another in ((program, other), (other, program)):
        contact, center = hers[another.key]
        own = hers[one.key][1].translation_key
        before = everything()
        for method, path, body in CALLS[1:3]:
            foreign = run(one, method, path, body, contact=contact.pk)
            unknown = run(one, method, path, body, contact=NOBODY)
            assert (foreign.status_code, foreign.content) == (unknown.status_code, unknown.content)
            assert foreign.status_code == 404
            asked += 1
        made = run(one, "POST", "links/", CALLS[4][2], contact=contact.pk, center=own)
        assert made.json() == {"links": [], "unknown": [str(contact.pk)]}
        wrong = run(one, "POST", "links/", CALLS[4][2], contact=contact.pk, center=center.translation_key)
        nowhere = run(one, "POST", "links/", CALLS[4][2], contact=contact.pk, center=NOBODY)
        assert (wrong.status_code, wrong.content) == (nowhere.status_code, nowhere.content)
        assert wrong.status_code == 404
        assert everything() == before
    assert asked == 4
    # The same address is two people.
    assert program.post("contacts/find/", {"email": ANNA}).json()["id"] == str(hers[program.key][0].pk)
    assert other.post("contacts/find/", {"email": ANNA}).json()["id"] == str(hers[other.key][0].pk)
    assert program.post("contacts/find/", {"external_id": "crm-1"}).status_code == 404
    assert program.post("contacts/", {"email": ANNA}).json()["id"] == str(hers[program.key][0].pk)


# --- adding ----------------------------------------------------------------------------------------------------------


def test_somebody_new_is_added_and_may_be_sent_nothing(program: Program) -> None:
    body = {
        "email": "Anna@Mail.Example.org", "language": "de", "country": "de", "timezone": "Europe/Berlin", "external_id": "crm-7",
    }  # fmt: skip
    answer = program.post("contacts/", body)
    assert answer.status_code == 201
    contact = Contact.objects.get()
    assert answer.json() == {"id": str(contact.pk), "version": 0, "external_id": "crm-7", "suppressed": False}
    assert (contact.language, contact.country, contact.timezone) == ("de", "DE", "Europe/Berlin")
    assert contact.country_source == "api"
    assert not State.objects.exists()
    again = program.post(
        "contacts/", {**body, "email": "ANNA@mail.example.org", "language": "en", "external_id": "x"}
    )
    assert again.status_code == 200
    assert again.json() == answer.json()
    contact.refresh_from_db()
    assert (contact.language, contact.external_id) == ("de", "crm-7")


def test_one_who_has_no_external_id_is_given_it_once(program: Program) -> None:
    contact, other = make_contact(ANNA), make_contact("ben@mail.example.org")
    assert program.post("contacts/", {"email": ANNA, "external_id": "crm-7"}).json()["external_id"] == "crm-7"
    taken = program.post("contacts/", {"email": other.email, "external_id": "crm-7"})
    assert taken.status_code == 422
    assert list(taken.json()["errors"]) == ["external_id"]
    assert (
        program.post("contacts/", {"email": "new@mail.example.org", "external_id": "crm-7"}).status_code
        == 422
    )
    assert Contact.objects.count() == 2  # whoever could not be named is not there either
    assert program.post("contacts/find/", {"external_id": "crm-7"}).json()["id"] == str(contact.pk)


def test_an_erased_address_comes_back_suppressed(program: Program) -> None:
    contact = make_contact(ANNA)
    submissions.erase(contact.pk, actor=HER, source=Source(method="page"))
    assert program.get(f"contacts/{contact.pk}/").status_code == 404
    assert program.post("contacts/find/", {"email": ANNA}).status_code == 404
    answer = program.post("contacts/", {"email": ANNA})
    assert answer.status_code == 201
    assert answer.json()["suppressed"] is True
    new = answer.json()["id"]
    assert program.change(new, choose("news", "subscribed"), evidence=proof()).status_code == 422


@pytest.mark.parametrize(
    ("wrong", "field"),
    [
        ({"email": "nobody"}, "email"),
        ({"email": "a@b" * 200}, "email"),
        ({"email": "anna@mail.example.org\r\nBcc: x@mail.example.org"}, "email"),
        ({"email": ""}, "email"),
        ({"email": "anna@" + "\u3002" * 64}, "email"),
        ({"language": "klingon and more"}, "language"),
        ({"country": "XX"}, "country"),
        ({"timezone": "Europe/Nowhere"}, "timezone"),
        ({"external_id": "x" * 256}, "external_id"),
    ],
)
def test_values_that_are_none_are_refused_in_words(
    program: Program, wrong: dict[str, str], field: str
) -> None:
    answer = program.post("contacts/", {"email": ANNA, **wrong})
    assert answer.status_code == 422
    assert list(answer.json()["errors"]) == [field]
    assert not any(value and value in answer.content.decode() for value in wrong.values())
    assert not Contact.objects.exists()


def test_nothing_but_what_is_listed_can_be_sent(program: Program, description: dict[str, Any]) -> None:
    """Every field of our models, and what attackers try (security.md AP-01)."""
    contact = make_contact("ben@mail.example.org")
    names = {field.name for model in (Contact, State, ApiKey) for field in model._meta.get_fields()}
    names |= {f"{name}_id" for name in names} | {
        "subject",
        "tenant",
        "is_staff",
        "lawful_basis",
        "actor",
        "created",
    }
    known = {"email", "language", "country", "timezone", "external_id"}
    tried = 0
    for name in sorted(names - known):
        for answer in (
            program.post("contacts/", {"email": ANNA, name: "x"}),
            program.post("contacts/find/", {"email": ANNA, name: "x"}),
            program.send(
                "PATCH",
                f"contacts/{contact.pk}/",
                {"changes": [{"change": "OptOut", "v": 1}], name: "x"},
                **{"Idempotency-Key": "x"},
            ),
            program.post("links/", {"contacts": [str(contact.pk)], "center": NOBODY, name: "x"})
            if name not in {"topic", "channel"}
            else program.post("contacts/", {}),
        ):
            tried += 1
            assert answer.status_code == 400, name
            holds(answer, description, CONTACTS, "post")
    assert tried > 150
    assert Contact.objects.count() == 1
    assert not Record.objects.exists()


@pytest.mark.parametrize(
    ("body", "content_type", "status"),
    [
        (b"{", "application/json", 400),
        (b"[]", "application/json", 400),
        (b'{"email":"a@b.example","email":"a@b.example"}', "application/json", 400),
        (b'{"email":1}', "application/json", 400),
        (b'{"email":"\\u0000"}', "application/json", 400),
        (b'{"email":"\\ud800"}', "application/json", 400),
        (b"{}", "application/json", 400),
        (b"email=anna%40mail.example.org", "application/x-www-form-urlencoded", 415),
        (b"{}", "text/plain", 415),
        pytest.param(b'{"email": "' + b"x" * 17 * 1024 + b'"}', "application/json", 413, id="long"),
    ],
)
def test_a_body_that_is_not_ours_is_refused(
    program: Program, description: dict[str, Any], body: bytes, content_type: str, status: int
) -> None:
    for path, where in (("contacts/", CONTACTS), ("contacts/find/", FIND)):
        answer = program.send("POST", path, body, content_type)
        assert answer.status_code == status
        holds(answer, description, where, "post")
    assert not Contact.objects.exists()


# --- looking ---------------------------------------------------------------------------------------------------------


def test_a_person_is_told_as_she_is_now(program: Program, description: dict[str, Any]) -> None:
    contact = make_contact(ANNA, language="de", country="DE")
    now = timezone.now()
    soon = now + timedelta(days=1)
    by_her = {"by": HER, "source": "page"}
    door.record(
        contact, [SetChoice("news", "email", "subscribed"), SetFrequency("", "email", "weekly")], **by_her
    )
    door.record(
        contact,
        [SetChoice("offers", "sms", "subscribed", until=soon), SetChoice("", "post", "unsubscribed")],
        **by_her,
    )
    door.record(
        contact, [SetChoice("events", "email", "pending", until=soon), Pause("news", "", soon)], **by_her
    )
    door.record(contact, [Pause("", "", now + timedelta(days=3)), SetAttribute("size", "M")], **by_her)
    answer = program.get(f"contacts/{contact.pk}/")
    holds(answer, description, ONE, "get")
    told = answer.json()
    until = soon.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ")
    assert told["choices"] == [
        {"topic": "", "channel": "post", "choice": "unsubscribed", "pending": False, "until": None},
        {"topic": "events", "channel": "email", "choice": None, "pending": True, "until": until},
        {"topic": "news", "channel": "email", "choice": "subscribed", "pending": False, "until": None},
        {"topic": "offers", "channel": "sms", "choice": "subscribed", "pending": False, "until": until},
    ]
    assert told["frequencies"] == {"channel:email": "weekly"}
    assert set(told["pauses"]) == {"all", "topic:news"}
    assert told["attributes"] == {"size": "M"}
    assert (told["email"], told["country"], told["version"]) == (ANNA, "DE", 4)
    with time_machine.travel(now + timedelta(days=2)):
        later = program.get(f"contacts/{contact.pk}/").json()
    assert set(later["pauses"]) == {"all"}
    assert [(choice["topic"], choice["choice"]) for choice in later["choices"]] == [
        ("", "unsubscribed"), ("news", "subscribed"), ("offers", "unsubscribed"),
    ]  # fmt: skip
    found = program.post("contacts/find/", {"email": " ANNA@mail.example.org"})
    holds(found, description, FIND, "post")
    assert found.json() == told


def test_whoever_was_merged_is_told_as_whom_she_is(program: Program) -> None:
    old, new = make_contact(ANNA), make_contact("anna@work.example.org")
    Contact.objects.filter(pk=old.pk).update(external_id="crm-7")
    submissions.merge_contacts(old.pk, new.pk, actor=HER, source=Source(method="page"))
    for answer in (
        program.get(f"contacts/{old.pk}/"),
        program.post("contacts/find/", {"email": ANNA}),
        program.post("contacts/find/", {"external_id": "crm-7"}),
    ):
        assert (answer.status_code, answer.json()["id"]) == (200, str(new.pk))
    before = everything()
    assert program.change(old.pk, {"change": "OptOut", "v": 1}).status_code == 404
    assert everything() == before


@pytest.mark.parametrize(
    "body",
    [{"email": "nobody@mail.example.org"}, {"email": "x"}, {"external_id": ""}, {"external_id": "x" * 300}],
)
def test_nobody_is_found(program: Program, body: dict[str, str]) -> None:
    make_contact(ANNA)
    answer = program.post("contacts/find/", body)
    assert (answer.status_code, answer.json()["type"]) == (404, "urn:wagtail-prefs:unknown-contact")
    assert program.post("contacts/find/", {}).status_code == 400
    assert program.post("contacts/find/", {"email": ANNA, "external_id": "x"}).status_code == 400


def test_looking_changes_nothing_but_the_last_use(program: Program) -> None:
    contact = make_contact(ANNA)
    door.record(contact, OptOut(), by=HER)
    before = everything()
    program.get(f"contacts/{contact.pk}/")
    program.send("HEAD", f"contacts/{contact.pk}/")
    program.post("contacts/find/", {"email": ANNA})
    assert everything() == before


# --- changing --------------------------------------------------------------------------------------------------------


def test_a_no_always_works(program: Program, description: dict[str, Any]) -> None:
    contact = make_contact(ANNA)
    door.record(contact, SetChoice("news", "email", "subscribed"), by=HER)
    answer = program.change(contact.pk, choose("news", "unsubscribed"), choose("unheard-of", "unsubscribed"))
    assert answer.status_code == 200
    holds(answer, description, ONE, "patch")
    assert answer.json()["applied"] == [
        {"path": "choice:news:email", "action": "withdrawn"},
        {"path": "choice:unheard-of:email", "action": "refused"},
    ]
    state = load_state(contact.pk)
    assert state.choices[("news", "email")] == "unsubscribed"
    body = ledger.read_body(Record.objects.get(pk=answer.json()["receipt"]))
    assert body["actor"]["type"] == "api"
    assert body["actor"]["id"] == ApiKey.objects.get().pk
    out = program.change(contact.pk, {"change": "OptOut", "v": 1})
    assert out.json()["version"] == 3
    assert load_state(contact.pk).opted_out


def test_a_yes_needs_evidence_that_is_younger_than_the_no(
    program: Program, description: dict[str, Any]
) -> None:
    contact = make_contact(ANNA)
    bare = program.change(contact.pk, choose("news", "subscribed"))
    assert (bare.status_code, bare.json()["type"]) == (422, "urn:wagtail-prefs:evidence-needed")
    assert "evidence" in bare.json()["title"]
    holds(bare, description, ONE, "patch")
    good = program.change(contact.pk, choose("news", "subscribed"), evidence=proof())
    assert good.status_code == 200
    assert load_state(contact.pk).choices[("news", "email")] == "subscribed"
    door.record(contact, OptOut(), by=HER)
    before = everything()
    late = program.change(contact.pk, choose("news", "subscribed"), evidence=proof(days=1))
    lifted = program.change(contact.pk, {"change": "OptIn", "v": 1})
    assert (late.status_code, lifted.status_code) == (422, 422)
    assert everything() == before
    with time_machine.travel(timezone.now() + timedelta(hours=2)):
        evidence = proof()
        assert program.change(contact.pk, choose("news", "subscribed"), evidence=evidence).status_code == 200


@pytest.mark.parametrize(
    "evidence",
    [
        {"reference": "", "at": "2026-01-01T00:00:00Z"},
        {"reference": "anna@mail.example.org said so", "at": "2026-01-01T00:00:00Z"},
        {"reference": "x" * 256, "at": "2026-01-01T00:00:00Z"},
        {"reference": 1, "at": "2026-01-01T00:00:00Z"},
        {"reference": "order", "at": "2026-01-01"},
        {"reference": "order", "at": "2026-01-01T00:00:00"},
        {"reference": "order", "at": "2999-01-01T00:00:00Z"},
        {"reference": "order", "at": "0001-01-01T00:00:00+14:00"},
        {"reference": "order", "at": 5},
        {"reference": "order", "at": "2026-01-01T00:00:00Z", "kind": "gift"},
        {"reference": "order", "at": "2026-01-01T00:00:00Z", "kind": ["sale"]},
    ],
)
def test_evidence_that_shows_nothing_is_refused(program: Program, evidence: dict[str, Any]) -> None:
    contact = make_contact(ANNA)
    answer = program.change(contact.pk, choose("news", "subscribed"), evidence=evidence)
    assert answer.status_code == 422
    assert [name.partition(".")[0] for name in answer.json()["errors"]] == ["evidence"]
    assert not Record.objects.exists()
    assert program.change(contact.pk, choose("news", "subscribed"), evidence={"at": "x"}).status_code == 400


def test_lw_07_a_sale_is_taken_with_its_end_or_named(
    program: Program, description: dict[str, Any], settings: Settings, tmp_path: Path
) -> None:
    Topic.objects.filter(key="offers").update(basis="soft_opt_in")
    path = str(law_files(tmp_path)["opt_in_soft"])
    settings.WAGTAIL_PREFS = {**settings.WAGTAIL_PREFS, "JURISDICTIONS": path}
    contact = make_contact(ANNA, country="CA")
    sale = {**proof(), "kind": "sale"}
    answer = program.change(
        contact.pk, choose("offers", "subscribed"), choose("news", "subscribed"), evidence=sale
    )
    holds(answer, description, ONE, "patch")
    assert answer.json()["applied"] == [{"path": "choice:offers:email", "action": "given"}]
    assert answer.json()["merged"] == [{"path": "choice:news:email", "rule": "sale"}]
    assert load_state(contact.pk).until["offers", "email"].year == timezone.now().year + 2
    other = make_contact("eve@mail.example.org", country="RU")
    refused = program.change(other.pk, choose("offers", "subscribed"), evidence={**proof(), "kind": "sale"})
    assert (refused.status_code, refused.json()["receipt"]) == (200, None)
    assert refused.json()["merged"] == [{"path": "choice:offers:email", "rule": "law"}]


WRONG: tuple[tuple[str, Any], ...] = (
    ("not an object", "OptOut"),
    ("no name", {}),
    ("a list for a name", {"change": ["OptOut"], "v": 1}),
    ("no version", {"change": "OptOut"}),
    ("a version there is not", {"change": "OptOut", "v": 2}),
    ("a truth for a version", {"change": "OptOut", "v": True}),
    ("a field too many", {"change": "OptOut", "v": 1, "actor": "x"}),
    ("a field too few", {"change": "SetChoice", "v": 1, "topic": "news"}),
    ("a yes to nothing", choose("unheard-of", "subscribed")),
    ("a yes by what it does not come by", choose("news", "subscribed", "post")),
    ("no choice", choose("news", "maybe")),
    ("no channel", choose("news", "unsubscribed", "fax")),
    ("no key of a topic", choose("x" * 65, "unsubscribed")),
    ("a topic with a colon", choose("a:b", "unsubscribed")),
    ("a number for a topic", {**choose("news", "unsubscribed"), "topic": 1}),
    ("nothing at all", choose("", "unsubscribed", "")),
    ("an end without a zone", choose("news", "subscribed", until="2027-01-01T00:00:00")),
    ("an end out of time", choose("news", "subscribed", until="9999-12-31T23:59:59-12:00")),
    ("a no that ends", choose("news", "unsubscribed", until="2027-01-01T00:00:00Z")),
    ("no frequency", {"change": "SetFrequency", "v": 1, "topic": "", "channel": "", "value": "hourly"}),
    ("a pause of two scopes", {"change": "Resume", "v": 1, "topic": "news", "channel": "email"}),
    ("a pause for ever", {"change": "Pause", "v": 1, "topic": "", "channel": "", "until": None}),
    ("a commitment", {"change": "SetAttribute", "v": 1, "name": "size", "value": {"committed": "00"}}),
    ("a fraction of a list", {"change": "SetAttribute", "v": 1, "name": "size", "value": [1]}),
    ("no name of an attribute", {"change": "SetAttribute", "v": 1, "name": "", "value": "M"}),
    ("a long name", {"change": "SetAttribute", "v": 1, "name": "x" * 65, "value": "M"}),
    ("the reason's own", {"change": "SetAttribute", "v": 1, "name": "reason", "value": "M"}),
    ("no country", {"change": "SetAttribute", "v": 1, "name": "country", "value": "XX"}),
    ("a reason without a code", {"change": "GiveReason", "v": 1, "code": "", "text": "why"}),
    ("words without end", {"change": "GiveReason", "v": 1, "code": "other", "text": "x" * 2001}),
    ("no digest", {"change": "AcknowledgeNotice", "v": 1, "notice": "privacy", "sha256": "x"}),
    *((name, {"change": name, "v": 1}) for name in ("Erase", "Merge", "Undo", "Confirm", "Expire", "ChangeAddress", "PauseFor")),
)  # fmt: skip


@pytest.mark.parametrize("wrong", [wrong for _name, wrong in WRONG], ids=[name for name, _wrong in WRONG])
def test_a_change_that_is_none_changes_nothing(
    program: Program, description: dict[str, Any], wrong: Any
) -> None:
    contact = make_contact(ANNA)
    answer = program.change(contact.pk, {"change": "OptOut", "v": 1}, wrong, evidence=proof())
    assert answer.status_code == (422 if isinstance(wrong, dict) else 400)
    holds(answer, description, ONE, "patch")
    assert not Record.objects.exists()
    if isinstance(wrong, dict):
        assert answer.json()["type"] == "urn:wagtail-prefs:refused"
        if str(wrong.get("change")) not in CHANGES:
            assert "SetChoice" in answer.json()["errors"]["changes.1"][0]


def test_contradictions_and_floods_are_refused(program: Program) -> None:
    contact = make_contact(ANNA)
    for changes in (
        [choose("news", "unsubscribed"), choose("news", "subscribed")],
        [],
        [choose("news", "unsubscribed")] * (MAX_CHANGES + 1),
    ):
        answer = program.change(contact.pk, *changes, evidence=proof())
        assert (answer.status_code, list(answer.json()["errors"])) == (422, ["changes"])
    assert not Record.objects.exists()


def test_a_repeat_gets_the_first_answer(program: Program) -> None:
    contact = make_contact(ANNA)
    first = program.change(contact.pk, {"change": "OptOut", "v": 1}, key="k")
    again = program.change(contact.pk, {"change": "OptOut", "v": 1}, key="k")
    assert again.json() == first.json()
    other = program.change(contact.pk, choose("news", "unsubscribed"), key="k")
    assert (other.status_code, other.json()["type"]) == (422, "urn:wagtail-prefs:key-reused")
    # Another program's key of the same name is another key.
    another = Program(make_key()[1]).change(contact.pk, choose("news", "unsubscribed"), key="k")
    assert another.status_code == 200
    body = {"changes": [choose("news", "unsubscribed")]}
    for key in ("", "x" * 256, "a b"):
        refused = program.send("PATCH", f"contacts/{contact.pk}/", body, **{"Idempotency-Key": key})
        assert refused.status_code == 400


_JSON = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**53), 2**53) | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3),
    max_leaves=6,
)
_FIELDS = st.dictionaries(
    st.sampled_from(["topic", "channel", "value", "until", "name", "code", "text", "notice", "sha256", "x"]),
    _JSON
    | st.sampled_from(
        ["news", "email", "subscribed", "unsubscribed", "weekly", "2027-01-01T00:00:00Z", "country"]
    ),
    max_size=5,
)


@pytest.mark.property
@examples(60)
@given(name=st.sampled_from(sorted(CHANGES)), fields=_FIELDS)
def test_no_change_is_an_error_of_ours(name: str, fields: dict[str, Any]) -> None:
    make_topics()
    contact = make_contact(ANNA)
    program = Program(make_key()[1])
    answer = program.change(contact.pk, {"change": name, "v": 1, **fields})
    assert answer.status_code in {200, 400, 422}
    if answer.status_code != 200:
        assert Record.objects.filter(contact_ref=contact.pk).count() == load_state(contact.pk).version


def test_what_each_call_costs(program: Program, django_assert_num_queries: DjangoAssertNumQueries) -> None:
    contact = make_contact(ANNA)
    door.record(
        contact,
        [SetChoice("news", "email", "subscribed"), Pause("", "", datetime(2030, 1, 1, tzinfo=UTC))],
        by=HER,
    )
    program.get(f"contacts/{contact.pk}/")  # notes the use
    with django_assert_num_queries(2):
        program.get(f"contacts/{contact.pk}/")
    with django_assert_num_queries(4):
        program.post("contacts/find/", {"email": ANNA})
    with django_assert_num_queries(4):  # two are those of Wagtail's middleware, which looks for a redirect
        assert program.get(f"contacts/{NOBODY}/").status_code == 404


def test_a_topic_of_another_audience_is_none(program: Program) -> None:
    there = make_audience(make_site("other.example", port=443))
    Topic.objects.create(audience=there, key="elsewhere", channels=["email"])
    contact = make_contact(ANNA)
    assert program.change(contact.pk, choose("elsewhere", "subscribed"), evidence=proof()).status_code == 422


def test_the_description_tells_of_keys_and_scopes(description: dict[str, Any]) -> None:
    assert description["components"]["securitySchemes"]["api_key"]["scheme"] == "bearer"
    for call, scope in SCOPES.items():
        method, path = call.split()
        operation = description["paths"][f"/{path}"][method.lower()]
        assert operation["security"] == [{"api_key": []}]
        assert f"Scope: `{scope}`" in operation["description"]
    shapes = description["components"]["schemas"]
    assert set(shapes["ChangeEnum"]["enum"]) == CHANGES
    assert set(shapes["ChannelEnum"]["enum"]) == set(CHANNELS)
    schema = {**shapes["ClientChange"], "components": description["components"]}
    with pytest.raises(jsonschema.ValidationError):
        jsonschema.Draft202012Validator(schema).validate({"change": "Erase", "v": 1})


def test_added_and_refused_are_as_described(program: Program, description: dict[str, Any]) -> None:
    holds(program.post("contacts/", {"email": ANNA}), description, CONTACTS, "post")
    holds(program.post("contacts/", {"email": ANNA}), description, CONTACTS, "post")
    holds(program.post("contacts/", {"email": "x"}), description, CONTACTS, "post")
    holds(program.post("contacts/find/", {"email": "x"}), description, FIND, "post")


def test_no_generated_call_makes_the_server_fail(program: Program, settings: Settings) -> None:
    settings.WAGTAIL_PREFS = {**settings.WAGTAIL_PREFS, "LIMITS": {"key_calls": [(100_000, 60)]}}
    contact, center = make_contact(ANNA), make_center()
    application = get_wsgi_application()
    schema = schemathesis.openapi.from_dict(json.loads(openapi()))
    tried = 0
    for result in schema.get_all_operations():
        operation = result.ok()
        if operation.path not in OF_CLIENTS:
            continue

        def run(case: Case) -> None:
            nonlocal tried
            if "contact" in case.path_parameters:
                case.path_parameters["contact"] = str(contact.pk)
            if isinstance(case.body, dict) and "center" in case.body:
                case.body["center"] = str(center.translation_key)
            answer = case.call(
                app=application,
                base_url="http://localhost/prefs/api/v1",
                headers={"Authorization": f"Bearer {program.key}"},
            )
            case.validate_response(answer, checks=[not_a_server_error])
            tried += 1

        check = hypothesis_settings(
            max_examples=25, deadline=None, database=None, suppress_health_check=list(HealthCheck)
        )(given(case=operation.as_strategy())(run))
        with kept_connection():
            check()
    assert tried >= 75


def test_the_reference_is_of_these_calls(program: Program) -> None:
    """Its changes, its kinds of problems, and the answers of its examples, key by key."""
    text = (ROOT / "docs/reference/contacts-api.md").read_text()
    (table,) = re.findall(r"\| change \| fields.+?\n\n", text, re.DOTALL)
    named = {
        name
        for row in re.findall(r"^\| ([^|]+) \|", table, re.MULTILINE)
        for name in re.findall(r"`(\w+)`", row)
    }
    assert named == CHANGES
    new, made, told, wish, receipt, wanted, links = re.findall(r"```json\n(.+?)```", text, re.DOTALL)
    answer = program.post("contacts/", json.loads(new))
    assert (answer.status_code, set(answer.json())) == (201, set(json.loads(made)))
    contact = answer.json()["id"]
    body = json.loads(wish) | {"evidence": {**json.loads(wish)["evidence"], "at": proof()["at"]}}
    changed = program.change(contact, *body["changes"], evidence=body["evidence"])
    assert changed.json()["applied"] == json.loads(receipt)["applied"]
    assert set(changed.json()) == set(json.loads(receipt))
    found = program.get(f"contacts/{contact}/").json()
    assert list(found) == list(json.loads(told))
    assert set(found["choices"][0]) == set(json.loads(told)["choices"][0])
    ask = json.loads(wanted) | {"contacts": [contact, NOBODY], "center": str(make_center().translation_key)}
    given_back = program.post("links/", ask).json()
    assert set(given_back) == set(json.loads(links))
    assert set(given_back["links"][0]) == set(json.loads(links)["links"][0])
    for kind in (
        "body-refused",
        "unknown-contact",
        "not-published",
        "method-not-allowed",
        "refused",
        "evidence-needed",
    ):
        assert f"`{kind}`" in text
