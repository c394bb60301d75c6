"""A link of one purpose is, everywhere else, the link that never was: the same bytes, the same status (security.md TK-02)."""

from __future__ import annotations

import re
from typing import Any
from uuid import UUID

import pytest
from django.test import Client

from tests import factories
from wagtail_prefs.access import services as access
from wagtail_prefs.access.models import OneTimeLink
from wagtail_prefs.access.services import Purpose
from wagtail_prefs.centers import services as centers
from wagtail_prefs.changes import OptOut
from wagtail_prefs.submissions import services as submissions
from wagtail_prefs.submissions.confirming import SignUp
from wagtail_prefs.values import Actor, ActorType, Source

pytestmark = pytest.mark.django_db
SHOP = "https://shop.example"
#: Where each kind of token opens something.
HOME = {
    Purpose.MANAGE: "l",
    Purpose.UNSUBSCRIBE: "u",
    Purpose.WHY: "w",
    Purpose.PAUSE: "p",
    Purpose.RECEIPT: "r",
    Purpose.FRESH: "l",
    Purpose.CONFIRM: "c",
    Purpose.CHANGE_ADDRESS: "c",
}


@pytest.fixture
def tokens() -> dict[str, str]:
    center = factories.make_center()
    contact = factories.make_contact("somebody@mail.example.org")
    key = center.translation_key
    made = {
        purpose.value: access.make_token(purpose, contact, center=key, topic="news", channel="email")
        for purpose in (Purpose.MANAGE, Purpose.UNSUBSCRIBE, Purpose.WHY, Purpose.PAUSE)
    }
    record = submissions.record(
        contact.pk, [OptOut()], actor=Actor(ActorType.SUBJECT_LINK), source=Source(method="page")
    )
    made[Purpose.RECEIPT.value] = access.receipt_path(UUID(record.receipt)).rstrip("/").rpartition("/")[2]
    answers = {factories.block_id(center, "topics"): {"choices": {"news": {"email": True}}}}
    asked = SignUp(centers.current(key).digest, answers, "en", "", 0, (("news", "email"),)).to_json()
    for purpose in (Purpose.FRESH, Purpose.CONFIRM, Purpose.CHANGE_ADDRESS):
        url = access.issue(purpose, contact, center=key, address="other@mail.example.org", answers=asked)
        made[purpose.value] = url.rstrip("/").rpartition("/")[2]
    link = access.open_link(made["manage"], Purpose.MANAGE)
    made["code"] = access.make_code(link, key, SHOP)
    made["session"] = access.start_session(link, key, SHOP, assurance="fresh")
    return made


def said(answer: Any) -> tuple[int, str, list[tuple[str, str]]]:
    body = re.sub(r'nonce="[^"]*"', "", answer.content.decode())
    headers = sorted((name, value) for name, value in answer.items() if name != "Content-Security-Policy")
    return answer.status_code, body, headers


@pytest.mark.parametrize("method", ["get", "post"])
@pytest.mark.parametrize("kind", ["l", "u", "c", "w", "p", "r"])
def test_elsewhere_it_is_unknown(client: Client, tokens: dict[str, str], kind: str, method: str) -> None:
    unknown = said(getattr(client, method)(f"/prefs/{kind}/v1.t1.{'A' * 80}.{'A' * 43}/"))
    assert unknown[0] == 404
    homes = {purpose.value: home for purpose, home in HOME.items()}
    opened = 0
    for name, token in tokens.items():
        answer = said(getattr(client, method)(f"/prefs/{kind}/{token}/"))
        if homes.get(name) == kind:
            assert answer[0] != 404, name
            opened += 1
        else:
            assert answer == unknown, name
    assert opened == list(homes.values()).count(kind)


@pytest.mark.parametrize(
    "path", ["manage", "unsubscribe", "why", "pause", "receipt", "fresh", "confirm", "address", "session"]
)
def test_no_link_is_a_code_and_no_token_but_a_session_is_one(
    client: Client, tokens: dict[str, str], path: str
) -> None:
    center = OneTimeLink.objects.values_list("center", flat=True)[0]
    url = f"/prefs/api/v1/centers/{center}/"
    headers = {"Origin": "http://localhost"}
    answer = client.post(
        f"{url}sessions/", {"code": tokens[path]}, content_type="application/json", headers=headers
    )
    assert answer.status_code == 401
    headers["Authorization"] = f"Bearer {tokens['code' if path == 'session' else path]}"
    assert client.get(f"{url}preferences/", headers=headers).status_code == 401
