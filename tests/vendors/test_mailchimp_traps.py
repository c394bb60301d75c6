"""Mailchimp's traps: what somebody would write on a Friday does harm over there, visibly, and what we send does not."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from typing import Any

import pytest

from example_site.platforms.mailchimp import AUDIENCE, Mailchimp, digest_of
from tests.vendors.bringing import EMAIL, bring, just_now, said_no, said_yes, somebody, submission
from tests.vendors.test_mailchimp_conformance import OPTIONS
from wagtail_prefs.backends.mailchimp import MailchimpBackend
from wagtail_prefs.values import SUBSCRIBED, UNSUBSCRIBED, Effect, Outcome

NEWS, OFFERS, EVENTS = "1a2b3c4d5e", "2b3c4d5e6f", "3c4d5e6f7a"
YES = {("news", "email"): SUBSCRIBED}
LIST = f"/lists/{AUDIENCE}"
MEMBER = f"{LIST}/members/{digest_of(EMAIL)}"


@pytest.fixture(autouse=True)
def _loopback(settings: Any) -> None:
    settings.WAGTAIL_PREFS = {**settings.WAGTAIL_PREFS, "ALLOW_PRIVATE_HOSTS": True}


@pytest.fixture
def platform() -> Iterator[Mailchimp]:
    with Mailchimp() as platform:
        yield platform
        assert platform.crashes == []


@pytest.fixture
def ours(platform: Mailchimp) -> MailchimpBackend:
    return MailchimpBackend("mailchimp", {**OPTIONS, "URL": platform.url})


def her(platform: Mailchimp) -> dict[str, Any]:
    return platform.members[digest_of(EMAIL)]


def left_by_an_api(platform: Mailchimp) -> None:
    """A colleague's script unsubscribed her: Mailchimp lets another script take that back."""
    her(platform)["status"] = "unsubscribed"


def test_a_status_with_every_write_brings_opt_outs_back(platform: Mailchimp, ours: MailchimpBackend) -> None:
    """Naive: `status: subscribed` goes along with a frequency. Ours leaves the status alone."""
    bring(ours, somebody(choices=YES))
    left_by_an_api(platform)
    weekly = somebody(
        version=2,
        choices=YES,
        frequencies={("", ""): "weekly"},
        versions={"choice:news:email": 1, "frequency:all": 2},
    )
    bring(ours, weekly, submission(2, Effect("frequency:all", None, "weekly", "set")))
    assert her(platform)["status"] == "unsubscribed"
    assert her(platform)["merge_fields"] == {"PFREQ": "weekly"}
    naive = {
        "members": [{"email_address": EMAIL, "status": "subscribed", "merge_fields": {"PFREQ": "weekly"}}]
    }
    ours.call("POST", LIST, json={**naive, "update_existing": True})
    assert her(platform)["status"] == "subscribed"


def test_an_opt_out_that_deletes_her_loses_it(platform: Mailchimp, ours: MailchimpBackend) -> None:
    """Naive: whoever leaves is deleted for good. Nobody knows then that she left, and her yes is refused one day."""
    bring(ours, somebody(choices=YES))
    ours.call("POST", f"{MEMBER}/actions/delete-permanent")
    assert platform.members == {}
    (result,) = bring(ours, somebody(choices=YES)).values()
    assert result.outcome is Outcome.REFUSED
    platform.forget_everybody()
    bring(ours, somebody(choices=YES))
    out = somebody(version=2, opted_out=True, choices={("news", "email"): UNSUBSCRIBED})
    bring(ours, out)
    assert her(platform)["status"] == "unsubscribed"


def test_a_200_is_not_done(platform: Mailchimp, ours: MailchimpBackend) -> None:
    """Naive: the status of the answer is all that is looked at. One of two was refused."""
    platform.refused.add(EMAIL)
    members = [
        {"email_address": EMAIL, "status": "subscribed"},
        {"email_address": "b@mail.example.org", "status": "subscribed"},
    ]
    assert ours.call("POST", LIST, json={"members": members, "update_existing": True}).status == 200
    assert len(platform.members) == 1
    (result,) = ours.execute(ours.plan(somebody(choices=YES), []))
    assert result.outcome is Outcome.REFUSED


def test_silence_sent_as_a_no_takes_her_out(platform: Mailchimp, ours: MailchimpBackend) -> None:
    """Naive: every group of the mapping is sent, false where we know nothing. She had joined one over there."""
    bring(ours, somebody(choices=YES))
    her(platform)["interests"][OFFERS] = True
    bring(ours, somebody(version=2, choices=YES), submission(2, said_yes("news")))
    assert her(platform)["interests"][OFFERS] is True
    ours.call("PATCH", MEMBER, json={"interests": {NEWS: True, OFFERS: False}})
    assert her(platform)["interests"][OFFERS] is False


def test_whoever_left_by_herself_is_asked_and_not_taken(platform: Mailchimp, ours: MailchimpBackend) -> None:
    """Naive: tries `subscribed` until it gives up, and her new yes is lost. Ours has Mailchimp ask her."""
    bring(ours, somebody(choices=YES))
    platform.leave(EMAIL)
    answer = ours.call("PATCH", MEMBER, json={"status": "subscribed"}, accept={400})
    assert answer.status == 400
    assert platform.mailed == []
    again = somebody(version=3, choices=YES)
    bring(ours, again, just_now(3, said_yes("news")))
    assert platform.mailed == [EMAIL]
    # The same once more, as after an answer that was lost: one mail is enough.
    bring(ours, again, just_now(3, said_yes("news")))
    assert platform.mailed == [EMAIL]


def test_a_person_is_found_by_small_letters_only(platform: Mailchimp, ours: MailchimpBackend) -> None:
    """Naive: the md5 of the address as she wrote it. It is another person, or nobody."""
    bring(ours, somebody("Reader@Mail.example.org", choices=YES))

    wrong = hashlib.md5(b"Reader@Mail.example.org", usedforsecurity=False).hexdigest()
    assert ours.call("GET", f"{LIST}/members/{wrong}", accept={404}).status == 404
    left = somebody("Reader@Mail.example.org", version=2, choices={("news", "email"): UNSUBSCRIBED})
    bring(ours, left, submission(2, said_no("news")))
    assert her(platform)["interests"] == {NEWS: False}


def test_a_403_without_a_word_is_no_wrong_key(platform: Mailchimp, ours: MailchimpBackend) -> None:
    """Naive: 403 means that somebody must mend the credentials, and everything stands still until then."""
    platform.stressed = True
    (result,) = ours.execute(ours.plan(somebody(choices=YES), []))
    assert result.outcome is Outcome.RATE_LIMITED


def test_a_field_that_is_not_there_is_dropped_without_a_word(
    platform: Mailchimp, ours: MailchimpBackend
) -> None:
    """Naive: writes it and believes the 200. Ours finds out before, and says what to make over there."""
    del platform.fields["CITY"]
    ours.call(
        "POST",
        LIST,
        json={
            "members": [{"email_address": EMAIL, "status": "subscribed", "merge_fields": {"CITY": "Zürich"}}],
            "update_existing": True,
        },
    )
    assert her(platform)["merge_fields"] == {}
    assert any("no merge field CITY" in problem.text for problem in ours.check())


def test_an_opted_out_person_keeps_no_groups(platform: Mailchimp, ours: MailchimpBackend) -> None:
    """Naive: only the status changes, and the groups wait. The next yes, to anything, brings them all back."""
    bring(ours, somebody(choices={**YES, ("offers", "email"): SUBSCRIBED}))
    ours.call("PATCH", MEMBER, json={"status": "unsubscribed"})
    ours.call("PATCH", MEMBER, json={"status": "subscribed", "interests": {NEWS: True}})
    assert her(platform)["interests"] == {NEWS: True, OFFERS: True}
    out = somebody(
        version=2,
        opted_out=True,
        choices={("news", "email"): UNSUBSCRIBED, ("offers", "email"): UNSUBSCRIBED},
    )
    bring(ours, out)
    bring(ours, somebody(version=3, choices=YES), just_now(3, said_yes("news")))
    assert her(platform)["interests"] == {NEWS: True, OFFERS: False}


@pytest.mark.parametrize(
    ("body", "wrong"),
    [
        ({"members": [{"email_address": EMAIL, "status": "subscribed", "intrests": {}}]}, "intrests"),
        ({"members": [{"email_address": EMAIL, "interests": {NEWS: True}}]}, "status"),
        ({"members": [{"email_address": EMAIL, "status": "on"}]}, "enum"),
        (
            {"members": [{"email_address": EMAIL, "status": "subscribed", "interests": {"news": True}}]},
            "pattern",
        ),
        ({"members": [{"email_address": EMAIL, "status": "subscribed", "interests": {NEWS: None}}]}, "type"),
        (
            {"members": [{"email_address": EMAIL, "status": "subscribed", "merge_fields": {"CITY": None}}]},
            "type",
        ),
        ({"members": [{"email_address": EMAIL, "status": "subscribed"}] * 501}, "maxItems"),
    ],
)
def test_a_slip_of_the_pen_breaks_the_contract(
    platform: Mailchimp, ours: MailchimpBackend, body: dict[str, Any], wrong: str
) -> None:
    """What the platform might take without a word, the contract does not."""
    answer = ours.call("POST", LIST, json={**body, "update_existing": True}, accept={400})
    assert answer.status == 400
    assert wrong in " ".join(platform.violations)
    assert EMAIL not in " ".join(platform.violations)
