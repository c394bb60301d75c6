"""What the demo CRM takes, and what it makes of repeats, latecomers and forgeries."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from email.message import Message
from pathlib import Path

import pytest
from standardwebhooks import Webhook

from example_site.crm.events import BadEvent, Erased, read
from example_site.crm.signature import BadSignature, verify
from example_site.crm.store import Contact, Store

SECRET = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"
NOW = 1_790_000_000
BODY = b'{"a":1}'


def headers(delivery: str = "msg_1", at: int = NOW, body: bytes = BODY, **changed: str) -> Message:
    signature = Webhook(SECRET).sign(delivery, datetime.fromtimestamp(at, UTC), body.decode())
    message = Message()
    for name, value in {
        "Webhook-Id": delivery,
        "webhook-timestamp": str(at),
        "webhook-signature": signature,
        **changed,
    }.items():
        message[name] = value
    return message


def contact(version: int, **known: object) -> Contact:
    return Contact(**{"id": "c1", "version": version, "email": "bell-04@customer.example", **known})  # type: ignore[arg-type]


class TestSignature:
    def test_what_the_reference_library_signed_is_taken(self) -> None:
        assert verify(SECRET, headers(), BODY, now=NOW) == "msg_1"

    def test_one_good_signature_of_several_is_enough(self) -> None:
        good = headers()["webhook-signature"]
        signed = headers()
        signed.replace_header("webhook-signature", f"v1,AAAA v1a,{good[3:]} {good}")
        assert verify(SECRET, signed, BODY, now=NOW) == "msg_1"

    @pytest.mark.parametrize(
        ("name", "value"),
        [
            ("Webhook-Id", "msg_2"),
            ("Webhook-Id", ""),
            ("webhook-timestamp", str(NOW + 1)),
            ("webhook-timestamp", "now"),
            ("webhook-signature", ""),
            ("webhook-signature", "v1,!!!"),
            ("webhook-signature", "v2,AAAA"),
        ],
    )
    def test_anything_changed_is_refused(self, name: str, value: str) -> None:
        signed = headers()
        signed.replace_header(name, value)
        with pytest.raises(BadSignature):
            verify(SECRET, signed, BODY, now=NOW)

    def test_another_body_is_refused(self) -> None:
        with pytest.raises(BadSignature):
            verify(SECRET, headers(), BODY + b" ", now=NOW)

    @pytest.mark.parametrize("drift", [-301, 301])
    def test_old_and_future_ones_are_refused(self, drift: int) -> None:
        with pytest.raises(BadSignature):
            verify(SECRET, headers(), BODY, now=NOW + drift)


class TestEvents:
    def test_an_event_becomes_a_contact(self) -> None:
        event = {
            "type": "contact.preferences",
            "contact": {"id": "c1", "email": "bell-04@customer.example", "language": "de"},
            "version": 3,
            "opted_out": False,
            "choices": {"rides": {"email": "subscribed"}},
            "channels": {"sms": "unsubscribed"},
            "frequencies": {"all": "weekly"},
            "pauses": {"topic:rides": "2027-03-03T00:00:00.000000Z"},
            "attributes": {"size": "M", "colours": ["red", "blue"]},
            "at": "2026-11-22T12:00:00.000000Z",
        }
        assert read(json.dumps(event).encode(), "today") == contact(
            3,
            language="de",
            choices={"rides": {"email": "subscribed"}},
            channels={"sms": "unsubscribed"},
            frequencies={"all": "weekly"},
            pauses={"topic:rides": "2027-03-03T00:00:00.000000Z"},
            attributes={"size": "M", "colours": "red, blue"},
            updated_at="today",
            wished_at="2026-11-22T12:00:00+00:00",
        )

    def test_an_erasure_names_whom_to_forget(self) -> None:
        event = {"type": "contact.erased", "contact": {"email": "bell-04@customer.example"}}
        assert read(json.dumps(event).encode(), "today") == Erased("", "bell-04@customer.example")

    @pytest.mark.parametrize(
        "body",
        [
            b'{"type":"contact.preferences","contact":{"id":1},"version":1,"opted_out":false,"choices":{},"frequencies":{},"at":"soon"}',
            b"",
            b"[]",
            b"{}",
            b'{"type":"other","contact":{}}',
            b"\xff",
            b'{"contact":1}',
        ],
    )
    def test_anything_else_is_refused(self, body: bytes) -> None:
        with pytest.raises(BadEvent):
            read(body, "today")


class TestStore:
    def test_a_repeat_changes_nothing(self, tmp_path: Path) -> None:
        store = Store(tmp_path / "crm.json")
        assert store.take("d1", contact(1)) == "taken"
        assert store.take("d1", contact(2)) == "repeat"
        assert [known.version for known in store.contacts()] == [1]

    def test_the_log_says_how_long_it_was_on_its_way(self, tmp_path: Path) -> None:
        store = Store(tmp_path / "crm.json")
        wished = "2026-11-22T12:00:00+00:00"
        for delivery, received in (("d1", "12:00:00.420"), ("d2", "12:12:00.000"), ("d3", "11:59:59.900")):
            store.take(delivery, contact(1, wished_at=wished, updated_at=f"2026-11-22T{received}+00:00"))
        assert [line.late for line in store.log()] == ["0.0 s", "12 min", "0.4 s"]

    def test_what_is_overtaken_is_dropped(self, tmp_path: Path) -> None:
        store = Store(tmp_path / "crm.json")
        store.take("d2", contact(2, opted_out=True))
        assert store.take("d1", contact(1)) == "older"
        assert [(known.version, known.opted_out) for known in store.contacts()] == [(2, True)]

    def test_it_knows_the_same_after_a_restart(self, tmp_path: Path) -> None:
        first = Store(tmp_path / "crm.json")
        first.take("d1", contact(1))
        second = Store(tmp_path / "crm.json")
        assert second.contacts() == first.contacts()
        assert second.take("d1", contact(5)) == "repeat"

    def test_the_forgotten_are_gone_from_page_and_disk(self, tmp_path: Path) -> None:
        store = Store(tmp_path / "crm.json")
        store.take("d1", contact(1))
        store.forget("c1", "")
        assert store.contacts() == []
        assert store.log() == []
        assert "bell-04" not in (tmp_path / "crm.json").read_text()
