"""`POST signups/`: what somebody new wants is held against the page, and whose address it is against nothing."""

from __future__ import annotations

import json
import re
import time
from pathlib import Path
from typing import Any

import pytest
from django.db import connection
from django.http import HttpRequest

from tests import factories
from tests.api.asking import KINDS, Trace, address_of, plain, trace
from tests.api.conftest import BLOG, SHOP, Visit
from tests.blocks.asking import asking
from wagtail_prefs.access.models import AccessRequest
from wagtail_prefs.centers.services import current, get_snapshot
from wagtail_prefs.contacts.addresses import address_key
from wagtail_prefs.contacts.models import Contact
from wagtail_prefs.ledger.models import Record
from wagtail_prefs.mail.models import Mail
from wagtail_prefs.submissions.asking import check_answers
from wagtail_prefs.topics.models import Topic

EMAIL = "anna@mail.example.org"


def revision(visit: Visit) -> str:
    found: str = visit.client.get(visit.url()).json()["revision"]
    return found


def wish(visit: Visit, email: str = EMAIL, **choices: Any) -> dict[str, Any]:
    topics = factories.block_id(visit.page, "topics")
    choices = choices or {"news": {"email": True}}
    return {"email": email, "revision": revision(visit), "answers": {topics: {"choices": choices}}}


def sign_up(visit: Visit, body: Any, key: str = "key-1", **headers: str) -> Any:
    return visit.post("signups/", body, **{"Idempotency-Key": key, **headers})


@pytest.fixture
def asked(db: None) -> Visit:
    """A center of blocks that ask, one of its topics private."""
    factories.make_topics()
    vip = Topic.objects.create(
        audience=factories.make_audience(), key="vip", channels=["email"], private=True
    )
    blocks = asking()
    blocks[1]["value"]["topics"].append(vip.pk)
    site = factories.make_site(origins=[SHOP])
    return Visit(
        factories.make_center(blocks, site=site, host_pages=f"{SHOP}/mail"), factories.make_contact()
    )


def answered(visit: Visit, answers: Any, key: str = "key-1") -> Any:
    return sign_up(visit, {"email": EMAIL, "revision": revision(visit), "answers": answers}, key)


def test_a_sign_up_leaves_a_row_and_changes_nobody(visit: Visit) -> None:
    body = wish(visit)
    answer = sign_up(visit, body)
    assert answer.status_code == 202
    assert answer.json() == {"text": "A mail is on its way. Your choices count once you open the link in it."}
    row = AccessRequest.objects.get()
    assert (row.kind, row.address, row.center, row.locale, row.host) == (
        "sign_up",
        EMAIL,
        visit.page.translation_key,
        "en",
        0,
    )
    assert row.details == {"revision": body["revision"], "answers": body["answers"], "source_url": SHOP}
    assert Contact.objects.count() == 1
    assert not Mail.objects.exists()
    assert not Record.objects.exists()


def test_nothing_tells_whose_address_it_is(visit: Visit) -> None:
    body = wish(visit)
    sign_up(visit, body)
    found: dict[Trace, list[str]] = {}
    for kind in KINDS:
        email = address_of(kind)
        found.setdefault(trace(lambda email=email: sign_up(visit, {**body, "email": email})), []).append(kind)
    assert list(found.values()) == [list(KINDS)]
    (same,) = found
    assert same.answer[0] == 202
    assert same.rows[0] == 1
    assert not [sql for sql in same.statements if "prefs_contact" in sql]


def test_a_refusal_tells_nothing_either(visit: Visit) -> None:
    body = wish(visit, news={"fax": True})
    refusals = {plain(sign_up(visit, {**body, "email": address_of(kind)})) for kind in KINDS}
    assert len(refusals) == 1
    assert next(iter(refusals))[0] == 422
    assert not AccessRequest.objects.exists()


# --- repeats ---------------------------------------------------------------------------------------------------------


def test_the_same_twice_is_noted_once(visit: Visit) -> None:
    body = wish(visit)
    assert plain(sign_up(visit, body)) == plain(sign_up(visit, body))
    assert AccessRequest.objects.count() == 1
    sign_up(visit, body, "key-2")
    assert AccessRequest.objects.count() == 2


def test_a_key_that_a_stranger_used_takes_nothing_away(visit: Visit) -> None:
    """Keys are not shared: a page that sends a constant must not lose every sign-up but the first."""
    for email in ("one@mail.example.org", "two@mail.example.org"):
        assert sign_up(visit, wish(visit, email), "constant").status_code == 202
    assert sign_up(visit, wish(visit, offers={"email": True}), "constant").status_code == 202
    assert AccessRequest.objects.count() == 3


@pytest.mark.parametrize("key", ["", "x" * 256, "a b", "ü"])
def test_without_a_key_it_is_400(visit: Visit, key: str) -> None:
    assert sign_up(visit, wish(visit), key).status_code == 400
    assert not AccessRequest.objects.exists()


# --- what is no sign-up ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("spoil", "status"),
    [
        ({"email": ""}, 422),
        ({"email": "  "}, 422),
        ({"email": None}, 400),
        ({"email": 7}, 400),
        ({"revision": "0" * 64}, 422),
        ({"revision": ""}, 422),
        ({"revision": 1}, 400),
        ({"answers": []}, 400),
        ({"answers": {"a": 1}}, 400),
        ({"answers": {}}, 422),
        ({"answers": {"nowhere": {}}}, 422),
        ({"base_version": 0}, 400),
        ({"contact": "0"}, 400),
    ],
    ids=str,
)
def test_what_is_no_sign_up_is_refused(visit: Visit, spoil: dict[str, Any], status: int) -> None:
    answer = sign_up(visit, {**wish(visit), **spoil})
    assert answer.status_code == status
    assert EMAIL not in answer.content.decode()
    assert not AccessRequest.objects.exists()


def test_the_snapshot_of_another_center_is_refused(visit: Visit) -> None:
    other = factories.make_center(title="Other")
    digest = current(other.translation_key, "en").digest
    assert sign_up(visit, {**wish(visit), "revision": digest}).status_code == 422


def test_an_older_page_of_the_center_is_taken(visit: Visit) -> None:
    body = wish(visit)
    visit.page.title = "Another title"
    visit.page.save_revision().publish()
    assert revision(visit) != body["revision"]
    assert sign_up(visit, body).status_code == 202
    assert AccessRequest.objects.get().details["revision"] == body["revision"]


@pytest.mark.parametrize(
    ("choices", "where"),
    [
        ({"fax": {"email": True}}, "choices.fax"),
        ({"news": {"fax": True}}, "choices.news.fax"),
        ({"news": {"email": "yes"}}, "choices.news.email"),
        ({"news": {"email": 1}}, "choices.news.email"),
        ({"orders": {"email": True}}, "choices.orders"),
    ],
    ids=str,
)
def test_what_the_page_does_not_offer_is_named(visit: Visit, choices: dict[str, Any], where: str) -> None:
    answer = sign_up(visit, wish(visit, **choices))
    assert answer.status_code == 422
    (errors,) = answer.json()["errors"].values()
    assert errors.keys() == {where}


def test_a_private_topic_is_answered_like_one_that_there_is_not(asked: Visit) -> None:
    """security.md AB-08: who is not invited does not even learn that there is something to be invited to."""

    def refusal(topic: str, given: Any) -> bytes:
        body = {"topics": {"choices": {"news": {"email": True}, topic: given}}}
        answer = answered(asked, body)
        assert answer.status_code == 422
        content: bytes = answer.content
        return content.replace(topic.encode(), b"?")

    for said in ({"email": True}, {"email": False}, {"fax": True}, {}, True, None, 7, {"email": 7}):
        assert refusal("vip", said) == refusal("xyz", said), said
    assert not AccessRequest.objects.exists()


@pytest.mark.parametrize(
    "answers",
    [
        {"topics": {"choices": {"news": {"email": False}}}},
        {"topics": {"choices": {"news": {}}}},
        {"topics": {"choices": {}}},
        {"topics": {}},
        {"profile": {"given_name": "", "country": None}},
        {"question": {"answer": []}},
        {"question": {"answer": ["red"]}, "profile": {"given_name": "A."}},
        {"role": {"role": "press"}},
        {"leave": {}},
    ],
    ids=str,
)
def test_a_sign_up_for_nothing_is_none(asked: Visit, answers: dict[str, Any]) -> None:
    answer = answered(asked, answers)
    assert answer.status_code == 422
    assert answer.json()["errors"] == {"": {"answers": ["Choose what you would like to get."]}}


@pytest.mark.parametrize(
    ("answers", "block", "field"),
    [
        ({"leave": {"opted_out": True}}, "leave", "opted_out"),
        ({"leave": {"opted_out": False}}, "leave", "opted_out"),
        ({"profile": {"email": "new@mail.example.org"}}, "profile", "email"),
        ({"role": {"role": "admin"}}, "role", "role"),
    ],
    ids=str,
)
def test_nobody_leaves_or_moves_without_being_somebody(
    asked: Visit, answers: dict[str, Any], block: str, field: str
) -> None:
    answers = {"question": {"answer": ["red"]}, **answers}
    answer = answered(asked, answers)
    assert answer.status_code == 422
    assert answer.json()["errors"].keys() == {block}
    assert answer.json()["errors"][block].keys() == {field}
    assert "mail.example.org" not in answer.content.decode()
    assert not AccessRequest.objects.exists()


def test_personal_fields_are_taken_from_somebody_new(asked: Visit) -> None:
    """It is her own words that wait, and her own mailbox confirms them."""
    answers = {
        "topics": {"choices": {"news": {"email": True}}},
        "profile": {"given_name": "A.", "country": "AT"},
    }
    assert answered(asked, answers).status_code == 202
    assert AccessRequest.objects.get().details["answers"] == answers


def test_answers_are_judged_without_the_database(asked: Visit, django_assert_num_queries: Any) -> None:
    snapshot = get_snapshot(current(asked.page.translation_key).digest)
    answers = {
        "topics": {"choices": {"news": {"email": True}, "offers": {"sms": True}}},
        "profile": {"given_name": "A."},
        "question": {"answer": ["red"]},
    }
    with django_assert_num_queries(0):
        check_answers(snapshot, answers)


# --- limits, and a check of the site's own ---------------------------------------------------------------------------


def test_beyond_the_limit_of_a_network_nothing_is_noted_and_nobody_told(visit: Visit, settings: Any) -> None:
    settings.WAGTAIL_PREFS = {**settings.WAGTAIL_PREFS, "LIMITS": {"sign_up_network": [(2, 3600)]}}
    body = wish(visit)
    answers = [plain(sign_up(visit, {**body, "email": f"p{n}@mail.example.org"}, f"k{n}")) for n in range(4)]
    assert len(set(answers)) == 1
    assert AccessRequest.objects.count() == 2


def picky(request: HttpRequest) -> str:
    return "" if request.GET.get("check") == "seven" else "Solve the riddle, please."


def test_a_site_may_ask_for_more(visit: Visit, settings: Any) -> None:
    settings.WAGTAIL_PREFS = {
        **settings.WAGTAIL_PREFS,
        "SIGN_UP_CHECK": "tests.api.test_signups.picky",
    }
    body = wish(visit)
    refused = sign_up(visit, body)
    assert refused.status_code == 422
    assert refused.json()["errors"] == {"": {"__all__": ["Solve the riddle, please."]}}
    assert not AccessRequest.objects.exists()
    assert visit.post("signups/?check=seven", body, **{"Idempotency-Key": "k"}).status_code == 202
    assert AccessRequest.objects.count() == 1


@pytest.mark.parametrize(
    ("origin", "host", "source"),
    [(SHOP, 0, SHOP), (BLOG, None, BLOG), (None, None, "http://localhost")],
    ids=str,
)
def test_the_row_says_where_it_was_asked_for(
    db: None, origin: str | None, host: int | None, source: str
) -> None:
    pages = "" if origin == BLOG else f"{SHOP}/mail"
    site = factories.make_site(origins=[SHOP, BLOG])
    visit = Visit(factories.make_center(site=site, host_pages=pages), factories.make_contact(), origin=origin)
    assert sign_up(visit, wish(visit)).status_code == 202
    row = AccessRequest.objects.get()
    assert (row.host, row.details["source_url"]) == (host, source)


def test_another_website_signs_nobody_up(visit: Visit) -> None:
    for origin in ("https://evil.example", "null", "https://shop.example.evil.example"):
        assert sign_up(visit, wish(visit), Origin=origin).status_code == 403
    form = visit.client.post(visit.url("signups/"), {"email": EMAIL}, headers=visit.headers())
    assert form.status_code in {400, 415}
    assert not AccessRequest.objects.exists()


def test_the_guide_shows_what_goes_over_the_wire(visit: Visit) -> None:
    guide = (Path(__file__).resolve().parents[2] / "docs/how-to/sign-up-on-any-page.md").read_text()
    sent, told = (json.loads(part) for part in re.findall(r"```json\n(.*?)```", guide, re.DOTALL))
    body = wish(visit)
    ((_block, answers),) = sent["answers"].items()
    (block,) = body["answers"]
    answer = sign_up(visit, {**sent, "revision": body["revision"], "answers": {block: answers}})
    assert (answer.status_code, answer.json()) == (202, told)


def test_addresses_and_links_in_every_field_are_kept_as_words(asked: Visit) -> None:
    """What strangers type goes into no mail, header or page: the answer holds words of ours only (AB-05)."""
    evil = "https://evil.example/?x=<script>"
    answers = {"topics": {"choices": {"news": {"email": True}}}, "profile": {"given_name": evil}}
    answer = sign_up(
        asked,
        {"email": f"{evil}@mail.example.org", "revision": revision(asked), "answers": answers},
        evil[:18],
    )
    assert answer.status_code == 202
    said = answer.content.decode() + str(dict(answer.headers))
    assert "evil" not in said


# --- time ------------------------------------------------------------------------------------------------------------

PAIRS = 10_000


def auc(known: list[float], unknown: list[float]) -> float:
    """Mann-Whitney: how likely a known address takes longer than an unknown one; 0.5 tells nothing. Ties count half."""
    marked = sorted([(value, 1) for value in known] + [(value, 0) for value in unknown])
    ranks, at = 0.0, 0
    while at < len(marked):
        end = at
        while end < len(marked) and marked[end][0] == marked[at][0]:
            end += 1
        ranks += sum(mark for _value, mark in marked[at:end]) * (at + 1 + end) / 2
        at = end
    return (ranks - len(known) * (len(known) + 1) / 2) / (len(known) * len(unknown))


def test_the_measure_itself_is_right() -> None:
    assert auc([1, 2, 3], [1, 2, 3]) == 0.5
    assert auc([4, 5], [1, 2, 3]) == 1
    assert auc([1, 1], [2, 2]) == 0
    assert auc([1, 3], [2, 2]) == 0.5
    known = [float(n % 100) for n in range(PAIRS)]
    assert auc([value + 5 for value in known], known) > 0.52


@pytest.fixture
def rounds(visit: Visit, settings: Any) -> tuple[Visit, list[tuple[str, str]]]:
    """Addresses that were never asked about, half of them known: each is used once, as nobody's count may help."""
    settings.WAGTAIL_PREFS = {
        **settings.WAGTAIL_PREFS,
        "LIMITS": {"link_network": [(10**9, 3600)], "sign_up_network": [(10**9, 3600)]},
        "CENTER_CACHE_SECONDS": 3600,
    }
    audience = visit.contact.audience
    pairs = [(f"k{n:06}@mail.example.org", f"u{n:06}@mail.example.org") for n in range(PAIRS + 200)]
    Contact.objects.bulk_create(
        [
            Contact(audience=audience, email=known, address_key=address_key(audience.key, known))
            for known, _unknown in pairs
        ],
        batch_size=500,
    )
    if connection.vendor == "postgresql":
        with connection.cursor() as cursor:
            cursor.execute("ANALYZE")
    return visit, pairs


@pytest.mark.soak
@pytest.mark.parametrize("route", ["access-links/", "signups/"])
def test_no_clock_tells_whose_address_it_is(rounds: Any, route: str, tell: Any) -> None:
    """security.md AB-01: 10,000 interleaved pairs, the order within each by turns."""
    visit, pairs = rounds
    body = {"email": ""} if route == "access-links/" else wish(visit)
    url, headers = visit.url(route), visit.headers(**{"Idempotency-Key": "key"})

    def spent(email: str) -> float:
        data = json.dumps({**body, "email": email})
        began = time.perf_counter_ns()
        answer = visit.client.post(url, data, content_type="application/json", headers=headers)
        took = time.perf_counter_ns() - began
        assert answer.status_code == 202
        return took

    took: dict[bool, list[float]] = {True: [], False: []}
    for number, (known, unknown) in enumerate(pairs):
        for is_known in (True, False) if number % 2 else (False, True):
            took[is_known].append(spent(known if is_known else unknown))
    found = auc(took[True][200:], took[False][200:])
    tell(f"{route} {connection.vendor}: AUC {found:.4f} over {PAIRS} pairs")
    assert 0.48 <= found <= 0.52
    assert AccessRequest.objects.count() == 2 * len(pairs)
