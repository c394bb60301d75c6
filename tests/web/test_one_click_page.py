"""What the page behind an unsubscribe link offers besides its button: to leave more, and to take a press back.

It only ever ends something, but for taking back what such a button did (security.md EM-08, EM-13, TK-05, LW-03).
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest
import time_machine
from django.db.models import F
from django.test import Client
from django.utils import timezone

from tests import factories, pages
from tests.web.conftest import choose, path_of
from tests.web.test_one_click import buttons, page_of, press, press_on
from wagtail_prefs import decide
from wagtail_prefs.access.models import Revocation
from wagtail_prefs.access.services import Purpose, make_token, one_click_url
from wagtail_prefs.centers.page import PreferenceCenterPage
from wagtail_prefs.centers.services import unpublish
from wagtail_prefs.changes import OptOut, SetAttribute, SetChoice
from wagtail_prefs.contacts.models import Contact
from wagtail_prefs.contacts.services import load_state
from wagtail_prefs.ledger.models import Record
from wagtail_prefs.ledger.services import read_body
from wagtail_prefs.submissions import services as submissions
from wagtail_prefs.submissions.audit import differences
from wagtail_prefs.topics.models import Topic, TopicText
from wagtail_prefs.values import PENDING, SUBSCRIBED, UNSUBSCRIBED, Actor, ActorType, Key, Source

BACK = "Take it back"
STOP = "Stop what is ticked"
NEWS: Key = ("news", "email")


def link(contact: Contact, center: PreferenceCenterPage | None, days: int = 0, **more: Any) -> str:
    """The path of an unsubscribe link from a mail of some days ago."""
    token = make_token(
        Purpose.UNSUBSCRIBE,
        contact,
        center=center.translation_key if center else None,
        issued=timezone.now() - timedelta(days=days),
        **{"topic": "news", "channel": "email", **more},
    )
    return f"/prefs/u/{token}/"


def call_back(why: str, contact: Contact, center: PreferenceCenterPage) -> None:
    """Revoke every manage link of a contact, center or key."""
    if why == "contact":
        Contact.objects.filter(pk=contact.pk).update(epoch=F("epoch") + 1)
    elif why == "center":
        soon = timezone.now() + timedelta(seconds=1)
        Revocation.objects.create(center=center.translation_key, before=soon)
    else:
        Revocation.objects.create(kid="t1", before=timezone.now())


# --- leaving more ----------------------------------------------------------------------------------------------------


@pytest.fixture
def busy(contact: Contact) -> Contact:
    """Who gets more than the one topic."""
    choose(
        contact,
        SetChoice("events", "email", SUBSCRIBED),
        SetChoice("news", "sms", SUBSCRIBED),
        SetChoice("offers", "sms", PENDING, until=timezone.now() + timedelta(days=7)),
    )
    return Contact.objects.get(pk=contact.pk)


def test_em_08_the_page_names_what_else_she_gets(strict: Client, one_click: str, busy: Contact) -> None:
    page = page_of(strict.get(one_click))
    labels = [box.parent.words for box in page.all("input", type="checkbox") if box.parent]
    assert sorted(labels) == ["Events by e-mail", "News by text message", "Offers by text message"]
    assert not [box for box in page.all("input") if "checked" in box]
    assert buttons(page) == ["Unsubscribe", "Unsubscribe from everything", STOP]
    assert page.one("fieldset").one("legend").words == "You get these as well. Tick what to stop."


def test_em_08_it_stops_what_is_ticked_and_nothing_else(
    strict: Client, one_click: str, busy: Contact
) -> None:
    before = load_state(busy.pk)
    response = press_on(
        strict, page_of(strict.get(one_click)), STOP, "Events by e-mail", "Offers by text message"
    )
    page = page_of(response)
    assert page.one("div", role="status").words.startswith("You do not get these any more Events by e-mail")
    after = load_state(busy.pk)
    assert after.version == before.version + 1
    assert {key for key in after.choices if after.choices[key] != before.choices.get(key)} == {
        ("events", "email"),
        ("offers", "sms"),
    }
    assert after.pending == frozenset()
    assert after.choices[NEWS] == SUBSCRIBED
    assert buttons(page) == ["Unsubscribe", BACK, "Unsubscribe from everything", STOP]


def test_em_08_nothing_ticked_changes_nothing(strict: Client, one_click: str, busy: Contact) -> None:
    page_of(press_on(strict, page_of(strict.get(one_click)), STOP))
    assert load_state(busy.pk).version == busy.version


@pytest.mark.parametrize(
    "leave",
    [
        "offers:email",
        "orders:email",
        "nothing:email",
        "news:post",
        ":email",
        "events",
        "",
        "é:email",
        "a:b:c",
    ],
)
def test_em_08_only_what_was_offered_is_left(
    strict: Client, one_click: str, busy: Contact, leave: str
) -> None:
    data = {"List-Unsubscribe": "One-Click", "page": "1", "others": "1", "leave": leave}
    assert strict.post(one_click, data).status_code == 200
    assert load_state(busy.pk).version == busy.version


def test_em_02_a_mail_client_leaves_its_topic_only(strict: Client, one_click: str, busy: Contact) -> None:
    data = {"List-Unsubscribe": "One-Click", "others": "1", "leave": "events:email"}
    assert strict.post(one_click, data).content == b"Unsubscribed.\n"
    choices = load_state(busy.pk).choices
    assert (choices[NEWS], choices[("events", "email")]) == (UNSUBSCRIBED, SUBSCRIBED)


@pytest.mark.parametrize("why", ["old", "contact", "center", "key"])
def test_tk_05_an_old_link_names_nothing_and_still_ends_it_all(
    strict: Client, busy: Contact, center: PreferenceCenterPage, why: str
) -> None:
    path = link(busy, center, days=61 if why == "old" else 1)
    if why != "old":
        call_back(why, busy, center)
    page = page_of(strict.get(path))
    assert buttons(page) == ["Unsubscribe", "Unsubscribe from everything"]
    assert not list(page.all("a"))
    assert "Events" not in page.words
    data = {"List-Unsubscribe": "One-Click", "page": "1", "others": "1", "leave": "events:email"}
    assert strict.post(path, data).status_code == 200
    assert load_state(busy.pk).version == busy.version
    # Nor does it tell what became of her since.
    choose(busy, SetChoice("news", "email", UNSUBSCRIBED))
    assert page_of(strict.get(path)).words == page.words


def test_without_a_center_the_library_names_them(strict: Client, busy: Contact) -> None:
    page = page_of(strict.get(link(busy, None)))
    assert len(list(page.all("input", type="checkbox"))) == 3
    page_of(press_on(strict, page, STOP, "Events by e-mail"))
    assert load_state(busy.pk).choices[("events", "email")] == UNSUBSCRIBED


def test_a_link_of_everything_offers_single_topics_too(
    strict: Client, busy: Contact, center: PreferenceCenterPage
) -> None:
    path = link(busy, center, topic="", channel="")
    page = page_of(strict.get(path))
    assert page.one("h1").words == "Unsubscribe from everything?"
    assert buttons(page) == ["Unsubscribe", STOP]
    page_of(press_on(strict, page, STOP, "News by e-mail"))
    state = load_state(busy.pk)
    assert (state.choices[NEWS], state.choices[("events", "email")], state.opted_out) == (
        UNSUBSCRIBED,
        SUBSCRIBED,
        False,
    )


# --- taking a press back ---------------------------------------------------------------------------------------------


def unsubscribed(client: Client, path: str) -> pages.Element:
    return page_of(press_on(client, page_of(client.get(path)), "Unsubscribe"))


def test_em_13_a_press_is_taken_back(strict: Client, one_click: str, contact: Contact) -> None:
    before = load_state(contact.pk)
    page = unsubscribed(strict, one_click)
    assert decide(contact.pk, "news", "email").verdict == "refuse"
    back = page_of(press_on(strict, page, BACK))
    assert back.one("h1").words == "Taken back"
    state = load_state(contact.pk)
    assert state.choices == before.choices
    assert decide(contact.pk, "news", "email").reason == "subscribed"
    record = Record.objects.get(contact_ref=contact.pk, seq=state.version)
    assert record.actor == ActorType.SUBJECT_LINK
    assert read_body(record)["changes"][0]["change"] == "Undo"
    assert differences(contact.pk) == []
    assert buttons(back) == ["Unsubscribe", "Unsubscribe from everything"]


def test_em_13_twice_takes_back_once(strict: Client, one_click: str, contact: Contact) -> None:
    page = unsubscribed(strict, one_click)
    for _ in range(3):
        assert page_of(press_on(strict, page, BACK)).one("h1").words == "Taken back"
    assert load_state(contact.pk).version == contact.version + 2


def test_em_13_what_the_mail_program_did_is_taken_back_for_thirty_days(
    strict: Client, one_click: str, contact: Contact
) -> None:
    press(strict, one_click)
    with time_machine.travel(timezone.now() + timedelta(days=29)):
        page = page_of(strict.get(one_click))
        assert page.one("h1").words == "You are unsubscribed"
        assert buttons(page) == [BACK, "Unsubscribe from everything"]
        page_of(press_on(strict, page, BACK))
    assert load_state(contact.pk).choices[NEWS] == SUBSCRIBED


def test_em_13_and_no_longer(strict: Client, one_click: str, contact: Contact) -> None:
    press(strict, one_click)
    page = page_of(strict.get(one_click))
    with time_machine.travel(timezone.now() + timedelta(days=31)):
        assert BACK not in buttons(page_of(strict.get(one_click)))
        late = page_of(press_on(strict, page, BACK))
        assert late.one("h1").words == "This can no longer be taken back"
    assert load_state(contact.pk).choices[NEWS] == UNSUBSCRIBED


def test_em_13_everything_is_taken_back(strict: Client, one_click: str, contact: Contact) -> None:
    choose(contact, SetChoice("events", "email", SUBSCRIBED))
    before = load_state(contact.pk)
    page = page_of(press_on(strict, page_of(strict.get(one_click)), "Unsubscribe from everything"))
    assert load_state(contact.pk).opted_out
    assert buttons(page) == [BACK]
    assert buttons(page_of(strict.get(one_click))) == [BACK]
    page_of(press_on(strict, page, BACK))
    after = load_state(contact.pk)
    assert (after.choices, after.opted_out) == (before.choices, False)


@pytest.mark.parametrize("how", ["opt out", "a no to the channel", "at the desk"])
def test_tk_05_a_later_no_stays(strict: Client, one_click: str, contact: Contact, how: str) -> None:
    """Whatever the receipt says: an opt-out is never resurrected."""
    page = unsubscribed(strict, one_click)
    if how == "opt out":
        choose(contact, OptOut())
    elif how == "a no to the channel":
        choose(contact, SetChoice("", "email", UNSUBSCRIBED))
    else:
        submissions.record(
            contact.pk, [OptOut()], actor=Actor(ActorType.ADMIN, "staff"), source=Source(method="admin")
        )
    version = load_state(contact.pk).version
    assert page_of(press_on(strict, page, BACK)).one("h1").words == "This can no longer be taken back"
    assert load_state(contact.pk).version == version
    assert decide(contact.pk, "news", "email").verdict == "refuse"


def test_tk_05_part_of_it_stays(strict: Client, one_click: str, contact: Contact) -> None:
    choose(contact, SetChoice("events", "email", SUBSCRIBED))
    page = page_of(press_on(strict, page_of(strict.get(one_click)), "Unsubscribe from everything"))
    choose(contact, SetChoice("events", "email", SUBSCRIBED))
    choose(contact, SetChoice("events", "email", UNSUBSCRIBED))
    page = page_of(press_on(strict, page, BACK))
    choices = load_state(contact.pk).choices
    assert (choices[NEWS], choices[("events", "email")]) == (SUBSCRIBED, UNSUBSCRIBED)
    assert "but for what you have changed" in page.one("div", role="status").words


def test_tk_05_a_no_said_elsewhere_is_not_taken_back(
    strict: Client, one_click: str, contact: Contact
) -> None:
    choose(contact, SetChoice("news", "email", UNSUBSCRIBED))
    page = page_of(strict.get(one_click))
    assert page.one("h1").words == "You are unsubscribed"
    assert buttons(page) == ["Unsubscribe from everything"]
    assert BACK not in buttons(page_of(press_on_again(strict, one_click)))


def press_on_again(client: Client, path: str) -> Any:
    return client.post(path, {"List-Unsubscribe": "One-Click", "page": "1"})


def test_tk_05_a_never_asked_topic_is_never_subscribed(
    strict: Client, contact: Contact, center: PreferenceCenterPage
) -> None:
    """Taking back a no where nothing was said leaves nothing said: the page makes no yes that there was not."""
    path = path_of(one_click_url(contact, "events", "email", center.translation_key))
    page = unsubscribed(strict, path)
    page_of(press_on(strict, page, BACK))
    assert ("events", "email") not in load_state(contact.pk).choices
    assert decide(contact.pk, "events", "email").verdict == "refuse"


def test_tk_05_an_old_link_takes_back_what_it_just_did(
    strict: Client, contact: Contact, center: PreferenceCenterPage
) -> None:
    path = link(contact, center, days=400)
    page = unsubscribed(strict, path)
    assert buttons(page) == [BACK, "Unsubscribe from everything"]
    page_of(press_on(strict, page, BACK))
    assert load_state(contact.pk).choices[NEWS] == SUBSCRIBED


def test_tk_05_an_old_link_takes_back_nothing_else(
    strict: Client, contact: Contact, center: PreferenceCenterPage
) -> None:
    path = link(contact, center, days=400)
    press(strict, path)
    assert BACK not in buttons(page_of(strict.get(path)))
    assert BACK not in buttons(
        page_of(press_on_again(strict, path))
    )  # nothing was recorded, so nothing is hers


def test_tk_05_an_old_link_takes_back_within_the_time_of_a_session(
    strict: Client, contact: Contact, center: PreferenceCenterPage
) -> None:
    page = unsubscribed(strict, link(contact, center, days=400))
    with time_machine.travel(timezone.now() + timedelta(minutes=31)):
        late = page_of(press_on(strict, page, BACK))
    assert late.one("h1").words == "This can no longer be taken back"
    assert load_state(contact.pk).choices[NEWS] == UNSUBSCRIBED


@pytest.mark.parametrize("why", ["contact", "center", "key"])
def test_tk_05_a_link_that_was_called_back_brings_nothing_back(
    strict: Client, contact: Contact, center: PreferenceCenterPage, why: str
) -> None:
    path = link(contact, center)
    page = unsubscribed(strict, path)
    call_back(why, contact, center)
    assert page_of(press_on(strict, page, BACK)).one("h1").words == "This can no longer be taken back"
    assert load_state(contact.pk).choices[NEWS] == UNSUBSCRIBED
    assert BACK not in buttons(page_of(strict.get(path)))


def test_tk_02_a_receipt_is_for_its_own_contact(
    strict: Client, one_click: str, contact: Contact, center: PreferenceCenterPage
) -> None:
    other = factories.make_contact("emil@mail.example.org")
    choose(other, SetChoice("news", "email", SUBSCRIBED))
    hers = unsubscribed(strict, one_click)
    theirs = path_of(one_click_url(other, "news", "email", center.translation_key))
    unsubscribed(strict, theirs)
    receipt = str(hers.one("button", name="back").get("value"))
    response = strict.post(theirs, {"page": "1", "back": receipt})
    assert page_of(response).one("h1").words == "This can no longer be taken back"
    for who in (contact, other):
        assert load_state(who.pk).choices[NEWS] == UNSUBSCRIBED


def _mutations(token: str) -> list[str]:
    middle = token.replace("b1.", "v1.", 1)
    return [
        "",
        "x",
        token[:-1],
        token[1:],
        middle,
        token + "A",
        token.replace(".", "!"),
        "b1.t1.e30.AAAA",
        "é" * 600,
    ]


def test_tk_01_a_forged_receipt_brings_nothing_back(strict: Client, one_click: str, contact: Contact) -> None:
    page = unsubscribed(strict, one_click)
    token = str(page.one("button", name="back").get("value"))
    for forged in _mutations(token):
        response = strict.post(one_click, {"page": "1", "back": forged})
        assert page_of(response).one("h1").words == "This can no longer be taken back"
    # A receipt is no link, and a link is no receipt.
    assert strict.get(f"/prefs/u/{token}/").status_code == 404
    assert strict.get(f"/prefs/l/{token}/").status_code == 404
    strict.post(one_click, {"page": "1", "back": one_click.split("/")[-2]})
    assert load_state(contact.pk).choices[NEWS] == UNSUBSCRIBED


@pytest.mark.parametrize(
    "headers",
    [{"Origin": "https://evil.example"}, {"Sec-Fetch-Site": "cross-site"}],
)
def test_tk_05_another_website_takes_nothing_back(
    strict: Client, one_click: str, contact: Contact, headers: dict[str, str]
) -> None:
    page = unsubscribed(strict, one_click)
    assert press_on(strict, page, BACK, **headers).status_code == 403
    assert load_state(contact.pk).choices[NEWS] == UNSUBSCRIBED


def test_em_04_looking_takes_nothing_back(strict: Client, one_click: str, contact: Contact) -> None:
    page = unsubscribed(strict, one_click)
    token = str(page.one("button", name="back").get("value"))
    version = load_state(contact.pk).version
    for method in (strict.get, strict.head, strict.options):
        method(one_click, {"page": "1", "back": token})
    assert load_state(contact.pk).version == version


def test_a_mail_client_takes_nothing_back(strict: Client, one_click: str, contact: Contact) -> None:
    token = str(unsubscribed(strict, one_click).one("button", name="back").get("value"))
    strict.post(one_click, {"List-Unsubscribe": "One-Click", "back": token})
    assert load_state(contact.pk).choices[NEWS] == UNSUBSCRIBED


def test_lw_09_the_browser_s_signal_keeps_it_off(strict: Client, one_click: str, contact: Contact) -> None:
    Topic.objects.filter(key="news").update(shares_data=True)
    page = unsubscribed(strict, one_click)
    late = page_of(press_on(strict, page, BACK, **{"Sec-GPC": "1"}))
    assert late.one("h1").words == "This can no longer be taken back"
    assert load_state(contact.pk).choices[NEWS] == UNSUBSCRIBED
    page_of(press_on(strict, page, BACK))  # in a browser without it
    assert load_state(contact.pk).choices[NEWS] == SUBSCRIBED


def test_tk_08_answers_of_hers_take_more_than_this_link(
    strict: Client, one_click: str, contact: Contact
) -> None:
    """Code of a site may have recorded more than a no in the name of the button."""
    changes = [SetChoice("news", "email", UNSUBSCRIBED), SetAttribute("note", "mine")]
    submissions.record(contact.pk, changes, actor=Actor(ActorType.ONE_CLICK), source=Source(method="python"))
    page = page_of(strict.get(one_click))
    late = page_of(press_on(strict, page, BACK))
    assert late.one("h1").words == "This can no longer be taken back"
    assert load_state(contact.pk).attributes == {"note": "mine"}


def test_who_is_gone_is_not_brought_back(strict: Client, one_click: str, contact: Contact) -> None:
    page = unsubscribed(strict, one_click)
    submissions.erase(contact.pk, actor=Actor(ActorType.ADMIN, "staff"), source=Source(method="admin"))
    response = page_of(press_on(strict, page, BACK))
    assert response.one("h1").words == "You are unsubscribed"
    assert not list(response.all("button"))
    assert Contact.objects.get(pk=contact.pk).erased_at


def test_who_was_merged_takes_it_back_as_whom_she_is(
    strict: Client, one_click: str, contact: Contact
) -> None:
    winner = factories.make_contact("emil@mail.example.org")
    choose(winner, SetChoice("news", "email", SUBSCRIBED))
    submissions.merge_contacts(
        contact.pk, winner.pk, actor=Actor(ActorType.ADMIN, "staff"), source=Source(method="admin")
    )
    page = unsubscribed(strict, one_click)
    assert load_state(winner.pk).choices[NEWS] == UNSUBSCRIBED
    page_of(press_on(strict, page, BACK))
    assert load_state(winner.pk).choices[NEWS] == SUBSCRIBED


def test_a_closed_center_takes_it_back_as_well(
    strict: Client, one_click: str, contact: Contact, center: PreferenceCenterPage
) -> None:
    unpublish(center)
    page = unsubscribed(strict, one_click)
    page_of(press_on(strict, page, BACK))
    assert load_state(contact.pk).choices[NEWS] == SUBSCRIBED


# --- what it costs, and how it is drawn ------------------------------------------------------------------------------


def test_the_page_costs_four_statements(
    strict: Client, one_click: str, busy: Contact, statements: Callable[[], Any]
) -> None:
    strict.get(one_click)
    with statements() as asked:
        page_of(strict.get(one_click))
    assert len(asked) <= 4  # the link, whether it was called back, her state, her manage link
    press(strict, one_click)
    with statements() as asked:
        page_of(strict.get(one_click))
    assert len(asked) <= 5  # and the record


def test_a_press_on_the_page_costs_the_save_and_the_page(
    strict: Client, one_click: str, contact: Contact, statements: Callable[[], Any]
) -> None:
    page = page_of(strict.get(one_click))
    with statements() as asked:
        press_on(strict, page, "Unsubscribe")
    assert len(asked) <= 4 + 7


def test_lw_03_one_page_one_button_and_nothing_to_fill_in(
    strict: Client, one_click: str, busy: Contact
) -> None:
    page = page_of(strict.get(one_click))
    first = next(page.all("form"))
    assert [element.get("type") for element in first.all("input", "select", "textarea")] == ["hidden"]
    assert len(list(first.all("button"))) == 1
    assert not [field for field in page.all("input", "select", "textarea") if "required" in field]
    assert {form.get("method") for form in page.all("form")} == {"post"}
    assert not list(page.all("script")) and not list(page.all("meta", http_equiv="refresh"))
    done = page_of(press_on(strict, page, "Unsubscribe"))
    assert done.one("h1").words == "You are unsubscribed"
    assert len(list(done.all("h1"))) == 1


def test_hostile_labels_are_text(strict: Client, contact: Contact, center: PreferenceCenterPage) -> None:
    choose(contact, SetChoice("events", "email", SUBSCRIBED))
    TopicText.objects.filter(topic__key="events").update(label='<img src=x onerror="x">')
    page = page_of(strict.get(link(contact, None)))
    assert not list(page.all("img"))
    assert "<img src=x" in page.words
