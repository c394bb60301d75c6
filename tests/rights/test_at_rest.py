"""Peppers that must not get lost, columns that hold no plain text, and both moved to new keys while people save."""

from __future__ import annotations

import json
from datetime import timedelta
from io import StringIO
from typing import Any

import pytest
import time_machine
from django.conf import settings as django_settings
from django.core.management import CommandError, call_command
from django.db import connection
from django.test.utils import CaptureQueriesContext
from django.urls import reverse
from django.utils import timezone

from tests import factories
from wagtail_prefs import ciphers, decide
from wagtail_prefs.access import services as access
from wagtail_prefs.access.models import AccessRequest, OneTimeLink
from wagtail_prefs.access.services import Purpose
from wagtail_prefs.backends.database.models import Subscriber
from wagtail_prefs.changes import OptOut, SetAttribute, SetChoice
from wagtail_prefs.contacts import keys_in_use, services as contacts, store
from wagtail_prefs.contacts.models import Contact, KeyInUse, Suppression
from wagtail_prefs.decisions import suppressions
from wagtail_prefs.decisions.values import Verdict
from wagtail_prefs.delivery import services as delivery
from wagtail_prefs.delivery.models import Delivery
from wagtail_prefs.ledger import fold, verify
from wagtail_prefs.ledger.models import Record, SideValue
from wagtail_prefs.mail.models import Mail
from wagtail_prefs.rights import at_rest
from wagtail_prefs.rights.evidence import evidence
from wagtail_prefs.submissions import audit, services as submissions
from wagtail_prefs.values import Actor, ActorType, Source

pytestmark = pytest.mark.django_db

ADDRESS = "qzxwvq-anna@mail.example.org"
SHE = Actor(ActorType.SUBJECT_SESSION)
KEY = "0123456789abcdef0123456789abcde"


def ring(*names: str) -> list[dict[str, str]]:
    return [{"kid": name, "key": f"{name}{KEY}"} for name in names]


@pytest.fixture
def rings(settings: Any) -> Any:
    """Sets PEPPERS and ENCRYPTION_KEYS by the names of their keys, the newest first."""
    before = settings.WAGTAIL_PREFS

    def set_(peppers: str = "", encryption: str = "") -> None:
        settings.WAGTAIL_PREFS = {
            **before,
            "PEPPERS": ring(*peppers.split()),
            "ENCRYPTION_KEYS": ring(*encryption.split()),
        }

    return set_


def make_person(address: str = ADDRESS) -> Contact:
    factories.make_topics()
    contact = factories.make_contact(address)
    told = [SetAttribute("given_name", "qzxwvq Anna"), SetChoice("news", "email", "subscribed")]
    submissions.record(contact.pk, told, actor=SHE, source=Source(method="python", ip="203.0.113.77"))
    return contact


def plain_columns(word: str = "qzxwvq") -> set[str]:
    found = set()
    with connection.cursor() as cursor:
        for table in connection.introspection.table_names(cursor):
            cursor.execute(f"SELECT * FROM {connection.ops.quote_name(table)}")
            names = [column[0] for column in cursor.description]
            found |= {
                f"{table.removeprefix('wagtail_prefs_')}.{name}"
                for row in cursor.fetchall()
                for name, value in zip(names, row, strict=True)
                if word
                in (
                    bytes(value).decode(errors="replace")
                    if isinstance(value, bytes | memoryview)
                    else str(value)
                )
            }
    return found


def rekey(*, write: bool = True, **options: Any) -> at_rest.Tally:
    *_others, last = at_rest.rekey(write=write, **options)
    return last


def run(*arguments: str) -> tuple[str, str]:
    out, err = StringIO(), StringIO()
    call_command("prefs_rekey", *arguments, stdout=out, stderr=err)
    return out.getvalue(), err.getvalue()


# --- peppers ---------------------------------------------------------------------------------------------------------


def test_a_pepper_that_is_taken_out_of_the_settings_is_an_error_of_the_deployment(rings: Any) -> None:
    contact = make_person()
    KeyInUse.objects.all().delete()
    rings(peppers="p1")
    submissions.erase(
        contact.pk, actor=SHE, source=Source(method="python")
    )  # remembers, with the suppression
    assert KeyInUse.objects.get().kid == "p1"
    assert keys_in_use.check_keys_in_use() == []
    rings(peppers="p2 p1")
    assert contacts.is_suppressed(contact.audience_id, ADDRESS)
    assert keys_in_use.check_keys_in_use() == []
    rings(peppers="p2")
    assert not contacts.is_suppressed(contact.audience_id, ADDRESS)  # which is why
    (problem,) = keys_in_use.check_keys_in_use()
    assert problem.id == "wagtail_prefs.E063"
    assert problem.is_serious()


def test_without_peppers_the_signing_keys_are_peppers_and_cannot_be_dropped_either(settings: Any) -> None:
    KeyInUse.objects.all().delete()
    before = settings.WAGTAIL_PREFS
    settings.WAGTAIL_PREFS = {**before, "SIGNING_KEYS": ring("s1")}
    contact = make_person()
    keys_in_use.remember()
    settings.WAGTAIL_PREFS = {**before, "SIGNING_KEYS": ring("s2")}
    assert [problem.id for problem in keys_in_use.check_keys_in_use()] == ["wagtail_prefs.E063"]
    # The same key as a pepper, by whatever name: nothing is lost.
    old = {"kid": "old", "key": ring("s1")[0]["key"]}
    settings.WAGTAIL_PREFS = {**before, "SIGNING_KEYS": ring("s2"), "PEPPERS": [*ring("p1"), old]}
    assert keys_in_use.check_keys_in_use() == []
    found = contacts.find(contact.audience_id, ADDRESS)
    assert found is not None
    assert found.pk == contact.pk


def test_the_fingerprint_tells_nothing_of_a_key_and_is_noted_once(rings: Any) -> None:
    rings(peppers="p1", encryption="e1")
    KeyInUse.objects.all().delete()
    keys_in_use.remember()
    with CaptureQueriesContext(connection) as seen:
        keys_in_use.remember()
    assert len(seen) == 1
    rows = KeyInUse.objects.values_list("ring", "kid")
    assert set(rows) == {("PEPPERS", "p1"), ("ENCRYPTION_KEYS", "e1")}
    assert not {key["key"] for key in ring("p1", "e1")} & set(
        KeyInUse.objects.values_list("fingerprint", flat=True)
    )
    assert len(set(KeyInUse.objects.values_list("fingerprint", flat=True))) == 2


# --- encryption ------------------------------------------------------------------------------------------------------


def test_with_encryption_no_column_holds_her_in_plain_and_everything_reads_her(rings: Any) -> None:
    rings(encryption="e1")
    contact = make_person()
    assert plain_columns() == set()
    fresh = Contact.objects.get(pk=contact.pk)
    assert fresh.email == ADDRESS
    loaded = store.load(contact.pk)
    assert loaded is not None
    assert loaded.email == loaded.target.identifiers.email == ADDRESS
    assert loaded.state.attributes == {"given_name": "qzxwvq Anna"}
    assert fold.of(contact.pk)["attribute:given_name"].after == "qzxwvq Anna"
    assert verify.verify().problems == []
    record = Record.objects.filter(contact_ref=contact.pk).get(seq=1)
    told = evidence(record)["values"]["attribute:given_name"]["value"]
    assert told["after"] == "qzxwvq Anna"
    fresh.language = "de"
    fresh.save()
    assert plain_columns() == set()
    assert Contact.objects.get(pk=contact.pk).email == ADDRESS


def test_rows_of_before_and_after_stand_beside_each_other(rings: Any) -> None:
    plain = make_person()
    rings(encryption="e1")
    other = make_person("qzxwvq-berta@mail.example.org")
    assert {row.email for row in Contact.objects.all()} == {ADDRESS, "qzxwvq-berta@mail.example.org"}
    assert {one.email for one in store.load_many([plain.pk, other.pk])} == {
        ADDRESS,
        "qzxwvq-berta@mail.example.org",
    }
    submissions.record(
        plain.pk, [SetAttribute("city", "qzxwvq Ulm")], actor=SHE, source=Source(method="python")
    )
    assert contacts.load_state(plain.pk).attributes == {"given_name": "qzxwvq Anna", "city": "qzxwvq Ulm"}
    assert verify.verify().problems == []
    assert "state.attributes" not in plain_columns()  # a save takes her earlier answers along


def test_a_value_is_read_at_its_own_place_only(rings: Any) -> None:
    rings(encryption="e1")
    one, other = make_person(), make_person("qzxwvq-berta@mail.example.org")
    with connection.cursor() as cursor:
        cursor.execute(
            "UPDATE wagtail_prefs_contact SET email = (SELECT email FROM wagtail_prefs_contact WHERE id = %s) WHERE id = %s",
            [store.db_uuid(one.pk), store.db_uuid(other.pk)],
        )
    with pytest.raises(ciphers.Unreadable):
        _ = Contact.objects.get(pk=other.pk).email


def test_what_somebody_types_is_never_taken_for_a_concealed_value(rings: Any) -> None:
    typed = "enc1.k1.AAAA"
    for encryption in ("", "e1"):
        rings(encryption=encryption)
        contact = make_person(f"qzxwvq-{encryption}@mail.example.org")
        changes = [SetAttribute("city", typed)]
        submissions.record(contact.pk, changes, actor=SHE, source=Source(method="python"))
        assert contacts.load_state(contact.pk).attributes["city"] == typed
        assert fold.of(contact.pk)["attribute:city"].after == typed


def test_links_requests_and_mails_are_concealed_while_they_wait(rings: Any) -> None:
    rings(encryption="e1")
    contact = make_person()
    moment = contact.created_at
    link = OneTimeLink.objects.create(
        purpose="confirm", contact=contact, epoch=0, address=ADDRESS, answers={"answers": "qzxwvq"},
        issued_at=moment, expires_at=moment,
    )  # fmt: skip
    request = AccessRequest(
        kind="link", audience=contact.audience, center=contact.pk, address=ADDRESS, locale="en",
        details={"answers": "qzxwvq"}, asked_at=moment, due_at=moment,
    )  # fmt: skip
    AccessRequest.objects.bulk_create([request])
    Mail.objects.create(
        kind="confirm", audience_id=contact.audience_id, to=ADDRESS, locale="en", context={"url": "qzxwvq"}
    )
    assert plain_columns() == set()
    assert OneTimeLink.objects.get(pk=link.pk).answers == {"answers": "qzxwvq"}
    assert OneTimeLink.objects.get(pk=link.pk).address == ADDRESS
    assert AccessRequest.objects.get(pk=request.pk).details == {"answers": "qzxwvq"}
    assert AccessRequest.objects.get(pk=request.pk).address == ADDRESS
    (read,) = Mail.objects.raw("SELECT * FROM wagtail_prefs_mail")
    assert (read.to, read.context) == (ADDRESS, {"url": "qzxwvq"})
    OneTimeLink.objects.filter(pk=link.pk).update(address="", answers={})
    assert not OneTimeLink.objects.exclude(address="", answers={}).exists()


def test_erasure_knows_the_addresses_that_are_encrypted(rings: Any) -> None:
    rings(encryption="e1")
    contact = make_person()
    submissions.erase(contact.pk, actor=SHE, source=Source(method="python"))
    assert contacts.is_suppressed(contact.audience_id, ADDRESS)
    assert not SideValue.objects.exists()
    assert verify.verify().problems == []


def test_a_lost_encryption_key_is_an_error_and_no_empty_address(rings: Any) -> None:
    rings(encryption="e1")
    contact = make_person()
    keys_in_use.remember()
    rings(encryption="e2")
    assert "wagtail_prefs.E064" in [problem.id for problem in keys_in_use.check_keys_in_use()]
    with pytest.raises(ciphers.Unreadable):
        _ = Contact.objects.get(pk=contact.pk).email
    problems = verify.verify().problems
    assert [problem.code for problem in problems] == ["value"]
    assert "qzxwvq" not in str(problems)


# --- new keys --------------------------------------------------------------------------------------------------------


def test_rekey_moves_everything_once_and_nothing_in_a_dry_run(rings: Any) -> None:
    people = [make_person(f"qzxwvq-{name}@mail.example.org") for name in ("anna", "berta", "carla")]
    gone = make_person("qzxwvq-gone@mail.example.org")
    submissions.erase(gone.pk, actor=SHE, source=Source(method="python"))
    old_keys, suppressed = keys_of(), list(Suppression.objects.values_list("address_key", flat=True))
    signing = [{"kid": "old", "key": key["key"]} for key in signing_keys()]
    rings(encryption="e1")
    set_peppers(*ring("p1"), *signing)

    would = rekey(write=False)
    assert (would.people, would.addresses, would.digests, would.attributes) == (4, 3, 3, 3)
    assert would.values >= 3
    assert keys_of() == old_keys
    assert "contact.email" in plain_columns()

    did = rekey(batch=2)
    assert did.to_json() == {**would.to_json(), "last": did.to_json()["last"]}
    assert plain_columns() == set()
    assert not set(keys_of()) & set(old_keys)
    assert list(Suppression.objects.values_list("address_key", flat=True)) == suppressed
    assert contacts.is_suppressed(gone.audience_id, "qzxwvq-gone@mail.example.org")
    for contact in people:
        state = contacts.load_state(contact.pk)
        assert state.attributes == {"given_name": "qzxwvq Anna"}
        assert contacts.find(contact.audience_id, contact.email) == contact
    assert verify.verify().problems == []
    assert rekey().moved == 0


def test_an_encryption_key_may_go_some_time_after_nothing_is_under_it(rings: Any, monkeypatch: Any) -> None:
    rings(encryption="e1")
    contact = make_person()
    keys_in_use.remember()
    rings(encryption="e2 e1")
    assert rekey().moved == 2 + SideValue.objects.count()
    rings(encryption="e2")
    assert contacts.load_target(contact.pk).identifiers.email == ADDRESS
    assert [problem.id for problem in keys_in_use.check_keys_in_use()] == ["wagtail_prefs.E064"]
    monkeypatch.setattr(keys_in_use, "now", lambda: contact.created_at + 2 * keys_in_use.SHORT_LIVED)
    assert keys_in_use.check_keys_in_use() == []


def test_what_cannot_be_read_is_left_and_said(rings: Any) -> None:
    rings(encryption="e1")
    make_person()
    before = list(Contact.objects.values_list("email"))
    rings(encryption="e2")
    with pytest.raises(CommandError, match="cannot be read"):
        run("--apply")
    assert list(Contact.objects.values_list("email")) == before
    assert KeyInUse.objects.filter(left_at=None).count() == KeyInUse.objects.count()


def test_rekey_goes_on_behind_somebody(rings: Any) -> None:
    one, other = make_person(), make_person("qzxwvq-berta@mail.example.org")
    rings(encryption="e1")
    out, err = run("--apply", "--json", "--after", str(one.pk))
    assert json.loads(out)["people"] == 1
    assert json.loads(out)["last"] == str(other.pk)
    assert err == ""
    assert not KeyInUse.objects.exclude(left_at=None).exists()
    out, err = run()
    assert "1 addresses" in out
    assert "dry run" in err


@pytest.mark.parametrize("arguments", [("--after", "nobody"), ("--batch", "0")])
def test_rekey_wants_sense(arguments: tuple[str, ...]) -> None:
    with pytest.raises(CommandError):
        run(*arguments)


def test_a_save_of_one_who_told_nothing_personal_needs_no_key_for_what_is_concealed(
    rings: Any, monkeypatch: Any
) -> None:
    rings(encryption="e1")
    factories.make_topics()
    contact = factories.make_contact(ADDRESS)
    monkeypatch.setattr(ciphers, "_decrypt", lambda *_given: pytest.fail("decrypted"))
    loaded = store.load(contact.pk)
    assert loaded is not None
    assert loaded.state.attributes == {}


def keys_of() -> list[str]:
    return [key for key in Contact.objects.values_list("address_key", flat=True) if key]


def signing_keys() -> list[dict[str, str]]:
    keys: list[dict[str, str]] = django_settings.WAGTAIL_PREFS["SIGNING_KEYS"]
    return keys


def set_peppers(*keys: dict[str, str]) -> None:
    django_settings.WAGTAIL_PREFS = {**django_settings.WAGTAIL_PREFS, "PEPPERS": list(keys)}


# --- a key that is lost ----------------------------------------------------------------------------------------------


def test_who_may_leave_does_not_hang_on_a_key(client: Any, rings: Any) -> None:
    """Her address and answers are unreadable: she still unsubscribes, and nothing that was kept is lost by that."""
    rings(encryption="e1")
    contact = make_person()
    center = factories.make_center()
    unsubscribe = reverse("wagtail_prefs:one-click", args=[access.make_token(Purpose.UNSUBSCRIBE, contact)])
    manage = reverse(
        "wagtail_prefs:manage",
        args=[access.make_token(Purpose.MANAGE, contact, center=center.translation_key)],
    )
    rings(encryption="e2")

    page = client.get(manage)
    assert page.status_code == 200
    assert "qzxwvq" not in page.content.decode()
    assert client.post(unsubscribe, {"List-Unsubscribe": "One-Click"}).status_code == 200
    assert contacts.load_state(contact.pk).opted_out
    (decision,) = decide([contact.pk], "news", "email")
    assert (decision.verdict, decision.reason) == (Verdict.REFUSE, "opted_out")

    rings(encryption="e2 e1")  # it was found again
    state = contacts.load_state(contact.pk)
    assert (state.opted_out, state.attributes) == (True, {"given_name": "qzxwvq Anna"})
    assert contacts.load_target(contact.pk).identifiers.email == ADDRESS
    assert verify.verify().problems == []
    assert audit.differences(contact.pk) == []


def test_what_she_tells_anew_replaces_what_nobody_can_read(rings: Any) -> None:
    rings(encryption="e1")
    contact = make_person()
    told = [SetAttribute("city", "qzxwvq Ulm")]
    submissions.record(contact.pk, told, actor=SHE, source=Source(method="python"))
    rings(encryption="e2")
    told = [SetAttribute("city", "qzxwvq Bern")]
    submissions.record(contact.pk, told, actor=SHE, source=Source(method="python"))
    assert contacts.load_state(contact.pk).attributes == {"city": "qzxwvq Bern"}
    rings(encryption="e2 e1")
    assert contacts.load_state(contact.pk).attributes == {"given_name": "qzxwvq Anna", "city": "qzxwvq Bern"}


def test_no_platform_is_told_of_an_address_that_nobody_can_read(rings: Any) -> None:
    rings(encryption="e1")
    contact = make_person()
    rings(encryption="e2")
    other = make_person("qzxwvq-berta@mail.example.org")
    delivery.run_once()
    told = dict(Subscriber.objects.values_list("contact", "email"))
    assert told == {other.pk: "qzxwvq-berta@mail.example.org"}  # she waits, and others do not wait for her
    row = Delivery.objects.get(contact=contact.pk)
    assert (row.delivered, row.last_code) == (0, "unreadable")
    with pytest.raises(ciphers.Unreadable):
        submissions.erase(contact.pk, actor=SHE, source=Source(method="python"))
    assert contacts.load_state(contact.pk).erased is False

    rings(encryption="e2 e1")
    with time_machine.travel(timezone.now() + timedelta(hours=1)):
        delivery.run_once()
    assert Subscriber.objects.get(contact=contact.pk).email == ADDRESS


@pytest.mark.parametrize("form", suppressions.FORMATS)
def test_files_of_suppressions_name_the_addresses_that_are_encrypted(rings: Any, form: Any) -> None:
    plain = make_person()
    rings(encryption="e1")
    other = make_person("qzxwvq-berta@mail.example.org")
    for contact in (plain, other):
        submissions.record(contact.pk, [OptOut()], actor=SHE, source=Source(method="python"))
    asked = suppressions.question(plain.audience_id, "news", "email")

    def file() -> str:
        return b"".join(suppressions.File(asked, form, address=True)).decode()

    text = file()
    assert ciphers.MARK not in text
    assert ADDRESS in text
    assert "qzxwvq-berta@mail.example.org" in text
    rings(encryption="e2")
    assert ADDRESS in file()
    assert "berta" not in file()
    assert ciphers.MARK not in file()
