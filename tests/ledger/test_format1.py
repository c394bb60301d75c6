"""Ledger format 1 is final: these vectors must never change, whatever the code becomes."""

from __future__ import annotations

import uuid
from datetime import UTC, datetime
from typing import Any

import pytest
from hypothesis import given, strategies as st

from wagtail_prefs.canonical import canonical
from wagtail_prefs.changes import SetChoice, change_from_json
from wagtail_prefs.ledger import format1
from wagtail_prefs.ledger.services import truncated_ip
from wagtail_prefs.values import Actor, ActorType, Effect, Evidence, Merged, Source

PROOF_FIELDS_BASE = {
    "record_id", "subject_ref", "address_as_entered", "controller_id", "event_time_utc", "actor", "method", "form_id",
    "form_version", "notice_id", "notice_version", "notice_sha256", "language", "source_url", "ip_truncated",
    "user_agent_family", "jurisdiction", "evidence_ref",
}  # fmt: skip
PROOF_FIELDS_OF_AN_EFFECT = {"purpose_id", "channel", "action", "lawful_basis", "validity_until"}


def example(**other: Any) -> dict[str, Any]:
    return format1.body(
        **{
            "record_id": uuid.UUID("019a0000-0000-7000-8000-000000000001"),
            "contact": uuid.UUID("019a0000-0000-7000-8000-000000000002"),
            "audience": "brand",
            "seq": 1,
            "at": datetime(2026, 11, 22, 8, 0, 0, 123456, tzinfo=UTC),
            "actor": Actor(ActorType.SUBJECT_LINK),
            "source": Source(method="page", form_id="c", form_version="f" * 64, language="en"),
            "base_version": 0,
            "changes": [SetChoice("news", "email", "subscribed")],
            "effects": [
                Effect(
                    *("choice:news:email", None, "subscribed", "given", "news", "email"),
                    until=datetime(2028, 11, 22, tzinfo=UTC),
                )
            ],
            "merged": [Merged("frequency:all", "daily", "weekly", "rarer")],
            "proof": format1.Proof(
                notice=format1.Notice("privacy", "f" * 64, "e" * 64),
                bases={"news": "consent"},
            ),
            "request": "d" * 64,
            "commitments": (),
            **other,
        }
    )


def test_the_body_has_every_proof_field_of_the_law() -> None:
    body = example()
    assert set(body) >= PROOF_FIELDS_BASE
    assert set(body["effects"][0]) >= PROOF_FIELDS_OF_AN_EFFECT


def test_the_bytes_and_the_hash_are_these_for_ever() -> None:
    body = canonical(example())
    assert body.startswith(
        b'{"actor":{"id":"","type":"subject-link"},"address_as_entered":null,"base_version":0,'
    )
    assert format1.record_hash(format1.GENESIS, body) == VECTOR


def test_evidence_is_named_with_its_moment_and_leaves_no_trace_where_there_is_none() -> None:
    shown = Evidence("sheet 7", datetime(2026, 11, 20, tzinfo=UTC))
    body = example(source=Source(method="import", evidence=shown))
    assert (body["evidence_ref"], body["evidence_at"]) == ("sheet 7", "2026-11-20T00:00:00.000000Z")
    body = example()
    assert body["evidence_ref"] is None
    assert "evidence_at" not in body


def test_a_sale_and_the_law_applied_are_named_and_leave_no_trace_where_there_is_nothing_to_say() -> None:
    sale = Evidence("order 7", datetime(2026, 11, 20, tzinfo=UTC), "sale")
    assert example(source=Source(method="import", evidence=sale))["evidence_kind"] == "sale"
    consent = Evidence("sheet 7", datetime(2026, 11, 20, tzinfo=UTC))
    assert "evidence_kind" not in example(source=Source(method="import", evidence=consent))
    proof = format1.Proof(jurisdiction="DE", law=format1.Applied("2026-11-21", "known"))
    assert example(proof=proof)["law"] == {"version": "2026-11-21", "reason": "known"}
    assert "law" not in example()


VECTOR = "150bb643064253ee3ed2daec7c7c1e88159977abd86ce388da4ca5ab92b147ca"


def test_a_commitment_hides_the_value_and_can_be_checked() -> None:
    known = format1.Commitment("address_as_entered", bytes(16), "ada@example.org")
    assert known.digest == COMMITMENT_VECTOR
    fresh = format1.commit("address_as_entered", "ada@example.org")
    assert fresh.digest != known.digest
    body = example(commitments=[fresh])
    assert body["address_as_entered"] == fresh.digest
    assert "ada@example.org" not in canonical(body).decode()


COMMITMENT_VECTOR = "926a644d7a713e0c5db1923ca5578a3e377c1c7444cee99e2d16a74ea1283e88"  # also by openssl


def test_a_personal_path_is_committed_to_not_written() -> None:
    secret = format1.commit("attribute:phone", {"before": None, "after": "+4930123"})
    effect = Effect("attribute:phone", None, "+4930123", "set")
    yielded = Merged("attribute:phone", "+4930123", "+4930123", "newest")
    body = example(effects=[effect], merged=[yielded], commitments=[secret])
    assert body["effects"][0]["after"] == {"committed": secret.digest}
    assert body["merged"][0]["wanted"] == {"committed": secret.digest}
    assert "+4930123" not in canonical(body).decode()


def chain(length: int) -> list[tuple[int, str, str, str]]:
    records, prev = [], format1.GENESIS
    for seq in range(1, length + 1):
        body = canonical(example(seq=seq))
        records.append((seq, prev, body.decode(), format1.record_hash(prev, body)))
        prev = records[-1][3]
    return records


def test_a_whole_chain_has_nothing_broken() -> None:
    assert format1.first_broken(chain(5)) is None
    assert format1.first_broken([]) is None


@given(st.integers(0, 7), st.sampled_from(["delete", "body", "hash", "prev", "seq", "swap", "double"]))
def test_the_first_broken_record_is_named(index: int, kind: str) -> None:
    records = chain(9)
    seq, prev, body, digest = records[index]
    match kind:
        case "delete":
            del records[index]
        case "body":
            records[index] = (seq, prev, body.replace("subscribed", "unsubscribed", 1), digest)
        case "hash":
            records[index] = (seq, prev, body, digest[:-1] + ("0" if digest[-1] != "0" else "1"))
        case "prev":
            records[index] = (seq, "1" * 64, body, digest)
        case "seq":
            records[index] = (seq + 1, prev, body, digest)
        case "swap":
            records[index], records[index + 1] = records[index + 1], records[index]
        case "double":
            records.insert(index, records[index])
            seq += 1  # the copy fits; the one after it does not
    assert format1.first_broken(records) == seq


@pytest.mark.parametrize(
    ("ip", "network"),
    [("203.0.113.77", "203.0.113.0/24"), ("2001:db8:1:2::3", "2001:db8:1::/48")],
)
def test_an_ip_is_kept_as_its_network(ip: str, network: str) -> None:
    assert truncated_ip(ip) == network


def test_changes_read_back_as_written() -> None:
    wish = SetChoice("news", "email", "subscribed")
    assert change_from_json(wish.to_json()) == wish


@pytest.mark.parametrize(
    "data",
    [
        {"change": "SetChoice", "v": 2, "topic": "a", "channel": "b", "value": "subscribed"},
        {"change": "Nope", "v": 1},
        {"v": 1},
        {"change": "SetChoice", "v": 1, "topic": "a", "channel": "b", "value": "maybe"},
    ],
)
def test_an_unknown_change_is_an_error_not_a_guess(data: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match=r"."):
        change_from_json(data)
