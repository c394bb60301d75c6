"""Signatures, held against the `standardwebhooks` library and a published vector."""

from __future__ import annotations

import base64
import time

import pytest
from hypothesis import given, strategies as st
from standardwebhooks.webhooks import Webhook, WebhookVerificationError

from wagtail_prefs.backends.signature import secret_bytes, sign, signed_headers

SECRET = "whsec_d2FndGFpbC1wcmVmcy10ZXN0LWtleS0wMA=="
OTHER = "whsec_" + base64.b64encode(b"another key of thirty-two bytes!").decode()


def test_the_published_vector() -> None:
    signature = sign([secret_bytes(SECRET)], "msg_1", 1790000000, b'{"a":1}')
    assert signature == "v1,IDlXFa6ZWLu7t+hUGR8hnK2tYd6qjOIyfxkfhLTwaZ4="


@given(st.text(alphabet="abcdefghijklmnopqrstuvwxyz0123456789_-", min_size=1), st.text())
def test_the_library_accepts_what_we_sign(message_id: str, text: str) -> None:
    body = text.encode("utf-8", "replace")
    headers = signed_headers([secret_bytes(SECRET)], message_id, int(time.time()), body)
    Webhook(SECRET).verify(body, headers, json_parse=False)


def test_while_a_secret_is_rotated_both_are_good() -> None:
    headers = signed_headers([secret_bytes(OTHER), secret_bytes(SECRET)], "m", int(time.time()), b"{}")
    for secret in (SECRET, OTHER):
        Webhook(secret).verify(b"{}", headers)


def test_another_body_id_or_time_is_refused() -> None:
    now = int(time.time())
    headers = signed_headers([secret_bytes(SECRET)], "m", now, b"{}")
    for body, changed in (
        (b'{"a":1}', {}),
        (b"{}", {"webhook-id": "n"}),
        (b"{}", {"webhook-timestamp": str(now - 1)}),
    ):
        with pytest.raises(WebhookVerificationError):
            Webhook(SECRET).verify(body, {**headers, **changed})


@pytest.mark.parametrize(
    "secret",
    ["", "d2FndGFpbC1wcmVmcy10ZXN0LWtleS0wMA==", "whsec_", "whsec_c2hvcnQ=", "whsec_!!!!", "whsec_ü"],
)
def test_what_is_no_secret_is_refused_and_not_repeated(secret: str) -> None:
    with pytest.raises(ValueError, match=r"must|is not") as caught:
        secret_bytes(secret)
    assert len(secret) < 7 or secret not in str(caught.value)
