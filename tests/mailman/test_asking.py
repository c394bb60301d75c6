"""What the backend asks GNU Mailman for: `read`, `erase` and `check`."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import pytest

from tests.backends.states import target
from tests.mailman.server import Mailman
from wagtail_prefs.backends.base import PlatformError
from wagtail_prefs.backends.mailman import MailmanBackend
from wagtail_prefs.values import Identifiers, Outcome, RemoteState, Result, Target

EMAIL = "reader@mail.example.org"
NEWS, OFFERS = ("news", "email"), ("offers", "email")
AT_ONCE = {"pre_verified": True, "pre_confirmed": True, "pre_approved": True}


def somebody(email: str = EMAIL, **state: object) -> Target:
    return target(email=email, frequencies={}, pauses={}, **state)


@pytest.fixture(autouse=True)
def _nobody(mailman: Mailman) -> None:
    mailman.forget_everybody()


# --- read ----------------------------------------------------------------------------------------------------------------


def test_it_reads_the_mapped_lists_and_no_others(
    mailman: Mailman, backend: MailmanBackend, news: str, offers: str
) -> None:
    assert backend.read(somebody()) is None
    assert backend.read(somebody(email="")) is None
    for list_id in (news, mailman.make_list()):
        mailman.join(list_id, EMAIL, **AT_ONCE)
    mailman.join(offers, "somebody-else@mail.example.org", **AT_ONCE)
    assert backend.read(somebody()) == RemoteState(
        choices={NEWS: "subscribed"}, frequencies={("news", ""): "as_it_happens"}
    )
    mailman.call("DELETE", f"/lists/{news}/roster/member", {"emails": [EMAIL]})
    assert backend.read(somebody()) == RemoteState(), (
        "it knows her, and does not say why she is on none of ours"
    )


def test_it_reads_settings_in_her_own_words(
    mailman: Mailman, backend: MailmanBackend, news: str, offers: str
) -> None:
    """A digest is what she asked for if she asked for any; a halt is her pause if she pauses."""
    for list_id in (news, offers):
        mailman.join(list_id, EMAIL, **AT_ONCE, delivery_mode="mime_digests", delivery_status="by_user")
    hers = replace(
        target(email=EMAIL, frequencies={("", ""): "weekly"}, pauses={}), paused=frozenset({("", "email")})
    )
    said = backend.read(hers)
    assert said is not None
    assert said.frequencies == {("", ""): "weekly"}
    assert said.pauses == {("", "email"): None}
    said = backend.read(somebody())
    assert said is not None
    assert said.frequencies == {("news", ""): "quarterly", ("offers", ""): "quarterly"}
    assert said.pauses == {("news", ""): None, ("offers", ""): None}
    mailman.set(news, EMAIL, delivery_mode="regular", delivery_status="by_bounces")
    said = backend.read(hers)
    assert said is not None
    assert said.frequencies == {("news", ""): "as_it_happens", ("", ""): "weekly"}
    assert said.pauses == {("", "email"): None}, "of the other list"


def test_an_asterisk_in_an_address_is_no_wildcard(
    mailman: Mailman, backend: MailmanBackend, news: str
) -> None:
    """To Mailman's search it is one."""
    for number in range(3):
        mailman.join(news, f"reader-{number}@mail.example.org", **AT_ONCE)
    assert backend.read(somebody(email="*@mail.example.org")) is None
    mailman.join(news, "*@mail.example.org", **AT_ONCE)
    said = backend.read(somebody(email="*@mail.example.org"))
    assert said is not None
    assert said.choices == {NEWS: "subscribed"}


def test_no_answer_is_an_error_without_a_name(
    mailman: Mailman, configure: Callable[..., MailmanBackend], unused_tcp_port: int
) -> None:
    away = configure(URL=f"http://127.0.0.1:{unused_tcp_port}")
    with pytest.raises(PlatformError) as error:
        away.read(somebody())
    assert (error.value.outcome, error.value.code) == (Outcome.RETRY, "connection")
    assert away.erase(Identifiers(email=EMAIL)) == Result("mailman-erase", Outcome.RETRY, "connection")


# --- erase ---------------------------------------------------------------------------------------------------------------


def test_it_forgets_the_account(mailman: Mailman, backend: MailmanBackend, news: str, offers: str) -> None:
    for list_id in (news, offers):
        mailman.join(list_id, EMAIL, **AT_ONCE)
    mailman.join(news, "other@mail.example.org", **AT_ONCE)
    users = mailman.call("GET", "/users")["total_size"]
    for identifiers in (
        Identifiers(email="READER@mail.example.org"),
        Identifiers(email=EMAIL),
        Identifiers(external_id="42"),
    ):
        assert backend.erase(identifiers) == Result("mailman-erase", Outcome.DONE)
    assert mailman.addresses() == {"other@mail.example.org"}
    assert mailman.call("GET", "/users")["total_size"] == users - 1
    assert set(mailman.members(news)) == {"other@mail.example.org"}


def test_it_withdraws_what_she_asked_for(mailman: Mailman, backend: MailmanBackend, news: str) -> None:
    assert mailman.join(news, EMAIL) == 202
    assert backend.erase(Identifiers(email=EMAIL)).outcome is Outcome.DONE
    assert mailman.waiting(news) == []
    assert mailman.addresses() == set()


def test_another_list_keeps_the_account(mailman: Mailman, backend: MailmanBackend, news: str) -> None:
    """Lists that TOPICS does not name are somebody else's; who has written to one of ours is forgotten."""
    theirs = mailman.make_list()
    for list_id in (news, theirs):
        mailman.join(list_id, EMAIL, **AT_ONCE)
    mailman.join(news, "writer@mail.example.org", role="nonmember")
    mailman.join(news, "owner@mail.example.org", role="owner")
    assert backend.erase(Identifiers(email=EMAIL)).code == "kept-for-other-lists"
    assert backend.erase(Identifiers(email="owner@mail.example.org")).code == "kept-for-other-lists"
    assert backend.erase(Identifiers(email="writer@mail.example.org")).code == ""
    assert mailman.addresses() == {EMAIL, "owner@mail.example.org"}
    assert mailman.members(news) == {}
    assert set(mailman.members(theirs)) == {EMAIL}


def test_another_address_of_the_account_stays(mailman: Mailman, backend: MailmanBackend, news: str) -> None:
    """She may have several: only the one that is to be forgotten goes, and not what she has by the others."""
    theirs = mailman.make_list()
    mailman.join(news, EMAIL, **AT_ONCE)
    user = mailman.call("GET", f"/addresses/{EMAIL}/user")["user_id"]
    mailman.call("POST", f"/users/{user}/addresses", {"email": "second@mail.example.org"})
    mailman.join(theirs, "second@mail.example.org", **AT_ONCE)
    assert backend.erase(Identifiers(email=EMAIL)) == Result("mailman-erase", Outcome.DONE)
    assert mailman.addresses() == {"second@mail.example.org"}
    assert set(mailman.members(theirs)) == {"second@mail.example.org"}


def test_who_runs_the_server_keeps_the_account(mailman: Mailman, backend: MailmanBackend, news: str) -> None:
    mailman.join(news, EMAIL, **AT_ONCE)
    mailman.call("PATCH", f"/users/{EMAIL}", {"is_server_owner": True})
    assert backend.erase(Identifiers(email=EMAIL)).code == "kept-for-its-office"
    assert mailman.members(news) == {}
    assert mailman.addresses() == {EMAIL}
    mailman.call("PATCH", f"/users/{EMAIL}", {"is_server_owner": False})


def test_a_slash_in_an_address_needs_a_person(mailman: Mailman, backend: MailmanBackend, news: str) -> None:
    """Mailman cannot be asked for such an account; she leaves the lists all the same."""
    mailman.join(news, "a/b@mail.example.org", **AT_ONCE)
    result = backend.erase(Identifiers(email="a/b@mail.example.org"))
    assert (result.outcome, result.code) == (Outcome.REFUSED, "slash-in-address")
    assert mailman.members(news) == {}


# --- check ---------------------------------------------------------------------------------------------------------------


def texts(backend: MailmanBackend) -> list[tuple[str, str]]:
    return [(problem.level, problem.text) for problem in backend.check()]


def test_a_mailman_that_is_set_up_has_no_problems(backend: MailmanBackend) -> None:
    assert backend.check() == []


def test_it_says_what_to_mend(
    mailman: Mailman, configure: Callable[..., MailmanBackend], unused_tcp_port: int
) -> None:
    noisy = mailman.make_list(admin_notify_mchanges=True, digests_enabled=False)
    ((level, text),) = texts(configure(TOPICS={"news": "nowhere.lists.example.org"}))
    assert level == "error"
    assert 'no list nowhere.lists.example.org, which TOPICS names for "news"' in text
    said = texts(configure(TOPICS={"news": noisy}))
    assert {level for level, _text in said} == {"warning"}
    assert [word for _level, text in said for word in text.split() if "_" in word] == [
        "(admin_notify_mchanges).",
        "(digests_enabled),",
    ]
    assert texts(configure(TOPICS={"news": noisy}, FREQUENCIES={"weekly": "regular"})) == said[:1]
    ((level, text),) = texts(configure(ASK_MODERATORS=True, TOPICS={"news": mailman.make_list()}))
    assert level == "warning"
    assert "ASK_MODERATORS asks nobody" in text
    ((level, text),) = texts(configure(PASSWORD="tulips"))
    assert level == "error"
    assert "admin_pass of [webservice]" in text
    ((level, text),) = texts(configure(URL=f"{mailman.root}/mailman3"))
    assert level == "error"
    assert "not what answers at URL" in text
    ((level, text),) = texts(configure(URL=f"http://127.0.0.1:{unused_tcp_port}"))
    assert level == "error"
    assert "cannot be reached" in text
    ((level, text),) = texts(configure(OWN_NETWORK=False))
    assert level == "error"


@pytest.mark.parametrize("suffix", ["", "/", "/3.1", "/3.1/", "/3.0"])
def test_the_address_may_end_with_the_version(
    mailman: Mailman, configure: Callable[..., MailmanBackend], suffix: str
) -> None:
    assert configure(URL=f"{mailman.root}{suffix}").check() == []
