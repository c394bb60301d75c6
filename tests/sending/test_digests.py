"""When a period is over: whose digest, of what; once at most; and what comes where nobody composes one."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from django.core.mail import EmailMessage

from tests.mail import smtp
from tests.sending.waiting import DAY, HOUR, START, give, paused, person, press, record, row, subjects, weekly
from wagtail_prefs.changes import SetChoice
from wagtail_prefs.contacts.models import Contact
from wagtail_prefs.decisions import services as decisions
from wagtail_prefs.decisions.models import Send
from wagtail_prefs.sending import queue
from wagtail_prefs.sending.digests import Digest
from wagtail_prefs.sending.drain import drain
from wagtail_prefs.sending.models import Waiting
from wagtail_prefs.sending.signals import digest_due
from wagtail_prefs.values import UNSUBSCRIBED

pytestmark = pytest.mark.django_db(transaction=True)

MONDAY = START.replace(hour=0) + 7 * DAY
Receiver = Callable[[Digest], Any]


@contextmanager
def composing(receiver: Receiver) -> Iterator[list[Digest]]:
    """With this receiver of digests; what it was offered."""
    offered: list[Digest] = []

    def receive(sender: Any, digest: Digest, **_: Any) -> Any:
        offered.append(digest)
        return receiver(digest)

    digest_due.connect(receive)
    try:
        yield offered
    finally:
        digest_due.disconnect(receive)


def compose(digest: Digest) -> EmailMessage:
    words = " + ".join(item.message.subject for item in digest.items)
    return EmailMessage(words, "All of it.", "news@brand.example", [digest.contact.email])


def of_two_topics(*changes: Any) -> Contact:
    """She has had her mail of the week, and three wait."""
    anna = person("anna", *(changes or (weekly(),)))
    for name, topic in (("m0", "news"), ("m1", "news"), ("m2", "offers"), ("m3", "news")):
        give(anna, topic, name)
        if name == "m0" and changes:
            give(anna, "offers", "o0")
    return anna


def test_one_message_for_all_that_waited(clock: Any, sink: smtp.Sink) -> None:
    anna = of_two_topics()
    clock.move_to(MONDAY)
    with composing(lambda digest: digest.send(compose(digest))) as offered:
        tally = drain()
    assert (tally.claimed, tally.sent) == (3, 3)
    (digest,) = offered
    assert (digest.contact.pk, digest.channel, set(digest.topics)) == (anna.pk, "email", {"news", "offers"})
    assert {(item.topic, item.message_id, item.created_at, item.sender) for item in digest.items} == {
        ("news", "m1", START, "django"),
        ("offers", "m2", START, "django"),
        ("news", "m3", START, "django"),
    }
    assert len(sink.got) == 2
    got = sink.got[1]
    assert got.recipients == [anna.email]
    assert set(str(got.message["Subject"]).split(" + ")) == {"m1", "m2", "m3"}
    assert set(Waiting.objects.values_list("outcome", "packed")) == {("in_digest", "")}
    places = Send.objects.exclude(message_id="m0").order_by("message_id")
    first, further = places
    assert further.message_id == f"{first.message_id}#{further.topic}"
    assert {first.topic, further.topic} == {"news", "offers"}
    assert {(place.verdict, place.sender, place.waited_since) for place in places} == {
        ("send", "django", START)
    }
    assert give(anna, message_id="m4").status == "digest"  # the week has its message
    press(got)
    assert decisions.decide(anna.pk, digest.topics[0], "email").reason == "unsubscribed"
    assert decisions.decide(anna.pk, digest.topics[1], "email").verdict == "digest"


def test_it_goes_out_as_the_topic_that_its_composer_names(clock: Any, sink: smtp.Sink) -> None:
    of_two_topics()
    clock.move_to(MONDAY)
    with composing(
        lambda digest: digest.send(compose(digest), topic="offers", mailto="mailto:a@brand.example")
    ):
        drain()
    assert "<offers." in str(sink.got[1].message["List-Id"])
    assert "<mailto:a@brand.example>" in str(sink.got[1].message["List-Unsubscribe"])


def test_the_end_of_each_cap_decides_what_is_in_it(clock: Any, sink: smtp.Sink) -> None:
    """News once a week, everything once a day."""
    of_two_topics(weekly("news"), weekly(frequency="daily"))
    with composing(lambda digest: digest.send(compose(digest))) as offered:
        clock.move_to(START.replace(hour=0) + DAY)
        drain()
        clock.move_to(START.replace(hour=0) + 2 * DAY)
        drain()
        clock.move_to(MONDAY)
        drain()
    assert [sorted(item.message_id for item in digest.items) for digest in offered] == [
        ["m2", "o0"],
        ["m1", "m3"],
    ]
    assert len(sink.got) == 3


def test_what_is_not_wanted_any_more_is_left_out(clock: Any, sink: smtp.Sink) -> None:
    anna = of_two_topics()
    record(anna, SetChoice("offers", "email", UNSUBSCRIBED))
    clock.move_to(MONDAY)
    with composing(lambda digest: digest.send(compose(digest))) as offered:
        drain()
    assert [item.topic for item in offered[0].items] == ["news", "news"]
    assert (row("m2").outcome, row("m2").code) == ("refused", "unsubscribed")
    record(anna, SetChoice("news", "email", UNSUBSCRIBED))
    with composing(lambda digest: digest.send(compose(digest))) as offered:
        clock.shift(30 * DAY)
        drain()
    assert offered == []


def test_a_topic_that_she_leaves_while_it_is_composed_is_left_out(clock: Any, sink: smtp.Sink) -> None:
    anna = of_two_topics()

    def leave_and_send(digest: Digest) -> None:
        if "offers" in digest.topics:
            record(anna, SetChoice("offers", "email", UNSUBSCRIBED))
        digest.send(compose(digest), topic="news")

    clock.move_to(MONDAY)
    with composing(leave_and_send) as offered:
        drain()
    assert [len(digest.items) for digest in offered] == [3, 2]
    assert offered[0].decision is None
    assert sorted(str(sink.got[1].message["Subject"]).split(" + ")) == ["m1", "m3"]


def test_where_nobody_composes_the_oldest_goes_alone(clock: Any, sink: smtp.Sink) -> None:
    anna = person("anna", weekly())
    for number in range(4):
        give(anna, message_id=f"m{number}", expires=START + 20 * DAY)
        clock.shift(HOUR)
    clock.move_to(MONDAY)
    with composing(lambda digest: None) as offered:  # somebody listens, and takes none
        drain()
    assert len(offered[0].items) == 3
    assert subjects(sink) == ["m0", "m1"]
    clock.shift(7 * DAY)
    drain()  # nobody listens
    clock.shift(7 * DAY)
    drain()
    assert subjects(sink) == ["m0", "m1", "m2"]
    assert row("m3").outcome == "expired"


def test_a_composer_that_fails_is_asked_again_later(clock: Any, sink: smtp.Sink, caplog: Any) -> None:
    of_two_topics()

    def broken(digest: Digest) -> None:
        raise RuntimeError(f"a secret of {digest.contact.email}")

    clock.move_to(MONDAY)
    with composing(broken) as offered:
        drain()
        drain()
        assert len(offered) == 1
    assert set(Waiting.objects.values_list("outcome", "attempts", "code")) == {
        ("", 1, "receiver-RuntimeError")
    }
    assert "RuntimeError" in caplog.text
    assert "anna" not in caplog.text
    assert len(sink.got) == 1
    clock.shift(HOUR)
    with composing(lambda digest: digest.send(compose(digest))):
        drain()
    assert len(sink.got) == 2


def test_one_that_fails_after_it_has_sent_has_sent(clock: Any, sink: smtp.Sink) -> None:
    of_two_topics()

    def sends_and_fails(digest: Digest) -> None:
        digest.send(compose(digest))
        raise RuntimeError

    clock.move_to(MONDAY)
    with composing(sends_and_fails):
        drain()
        clock.shift(DAY)
        drain()
    assert len(sink.got) == 2
    assert set(Waiting.objects.values_list("outcome", flat=True)) == {"in_digest"}


def test_it_is_sent_once(clock: Any, sink: smtp.Sink) -> None:
    of_two_topics()
    errors = []

    def twice(digest: Digest) -> None:
        message = compose(digest)
        digest.send(message)
        with pytest.raises(RuntimeError, match="once") as error:
            digest.send(message)
        errors.append(error)

    clock.move_to(MONDAY)
    with composing(twice):
        drain()
    assert len(errors) == 1
    assert len(sink.got) == 2


def test_mistakes_of_composers_send_nothing(clock: Any, sink: smtp.Sink) -> None:
    of_two_topics()
    told: list[str] = []

    def wrong(digest: Digest) -> None:
        for mistake in (
            lambda: digest.send(compose(digest), topic="events"),
            lambda: digest.hand_off(""),
            lambda: digest.hand_off("x" * 200),
            lambda: digest.send(EmailMessage("s", "b", "news@brand.example", ["ben@mail.example.org"])),
        ):
            with pytest.raises(ValueError, match=" ") as error:
                mistake()
            told.append(str(error.value))

    clock.move_to(MONDAY)
    with composing(wrong):
        drain()
    assert set(Waiting.objects.values_list("outcome", "code")) == {("", "receiver-ValueError")}
    assert told[0] == "a digest goes out as one of the topics of its items"
    assert len(told) == 4
    assert len(sink.got) == 1
    assert Send.objects.count() == 1


@pytest.mark.parametrize(
    ("fault", "outcome"), [("550 5.1.1 No", "failed"), ("451 Later", ""), (smtp.DROP, "uncertain")]
)
def test_what_the_server_says_holds_for_all_items(
    clock: Any, sink: smtp.Sink, fault: str, outcome: str
) -> None:
    anna = of_two_topics()
    sink.refuse(anna.email, fault, "text")
    clock.move_to(MONDAY)
    with composing(lambda digest: digest.send(compose(digest))):
        drain()
    assert set(Waiting.objects.values_list("outcome", flat=True)) == {outcome}
    assert Send.objects.exclude(message_id="m0").count() == (1 if outcome == "uncertain" else 0)
    sink.fault = lambda *_: None
    clock.shift(HOUR)
    with composing(lambda digest: digest.send(compose(digest))):
        drain()
    assert len(sink.got) == (1 if outcome else 2)


def test_one_that_was_interrupted_while_it_was_sent_is_uncertain(clock: Any, sink: smtp.Sink) -> None:
    of_two_topics()
    clock.move_to(MONDAY)
    assert queue.hand_all(queue.claim(MONDAY))
    clock.shift(queue.LEASE)
    with composing(lambda digest: digest.send(compose(digest))) as offered:
        assert drain().uncertain == 3
    assert (offered, len(sink.got)) == ([], 1)


def test_the_place_of_one_that_was_interrupted_before_is_given_back(clock: Any, sink: smtp.Sink) -> None:
    anna = of_two_topics()
    clock.move_to(MONDAY)
    oldest = queue.claim(MONDAY)[0]
    assert decisions.decide(anna.pk, "news", "email", record=f"digest-{oldest.pk.hex}").verdict == "send"
    clock.shift(queue.LEASE)
    with composing(lambda digest: digest.send(compose(digest))):
        assert drain().sent == 3
    assert len(sink.got) == 2


def test_a_digest_that_goes_out_elsewhere(clock: Any, sink: smtp.Sink) -> None:
    anna = of_two_topics()
    taken: list[Any] = []
    clock.move_to(MONDAY)
    with composing(lambda digest: taken.append(digest.hand_off("weekly-13", topic="offers"))):
        drain()
    assert taken[0].verdict == "send"
    assert len(sink.got) == 1
    assert set(Waiting.objects.values_list("outcome", flat=True)) == {"in_digest"}
    assert set(Send.objects.exclude(message_id="m0").values_list("message_id", "topic")) == {
        ("weekly-13", "offers"),
        ("weekly-13#news", "news"),
    }
    assert give(anna, message_id="m4").status == "digest"


def test_something_that_comes_in_between_puts_it_off(clock: Any, sink: smtp.Sink) -> None:
    anna = of_two_topics()

    def late(digest: Digest) -> None:
        record(anna, paused(MONDAY + 3 * DAY))
        assert digest.send(compose(digest), topic="news").verdict == "defer"

    clock.move_to(MONDAY)
    with composing(late):
        drain()
    assert len(sink.got) == 1
    assert {row("m1").due_at, row("m3").due_at} == {MONDAY + 3 * DAY}
    clock.move_to(MONDAY + 3 * DAY)
    with composing(lambda digest: digest.send(compose(digest))):
        drain()
        clock.shift(HOUR)
        drain()
    assert len(sink.got) >= 2


def test_the_receivers_of_the_guide_work(clock: Any, sink: smtp.Sink, tmp_path: Path, settings: Any) -> None:
    """Each as it stands there, with templates of two lines."""
    guide = (Path(__file__).resolve().parents[2] / "docs/how-to/compose-digests.md").read_text()
    ten_lines, elsewhere = re.findall(r"```python\n(.*?)```", guide, re.DOTALL)
    for name in ("digest.txt", "digest.html"):
        (tmp_path / name).write_text(
            "{% for mail in mails %}{{ mail.subject }}: {{ mail.body }}\n{% endfor %}"
        )
    settings.TEMPLATES = [{**settings.TEMPLATES[0], "DIRS": [tmp_path]}, *settings.TEMPLATES[1:]]
    handed: list[Any] = []

    class Platform:
        def send_digest(self, who: str, items: list[str]) -> None:
            handed.append((who, sorted(items)))

    known: dict[str, Any] = {"platform": Platform()}
    exec(compile(ten_lines, "compose-digests.md", "exec"), known)
    try:
        anna = of_two_topics()
        # Of mails of one moment any is the oldest, whose topic she is about to leave.
        Waiting.objects.filter(message_id="m2").update(created_at=START + HOUR)
        clock.move_to(MONDAY)
        drain()
        got = sink.got[1]
        assert got.message["Subject"] == "Your week"
        assert sorted(got.part("text/plain").split("\n"))[-3:] == ["m1: Hello!", "m2: Hello!", "m3: Hello!"]
        press(got)
    finally:
        digest_due.disconnect(known["compose"])
    exec(compile(elsewhere, "compose-digests.md", "exec"), known)
    give(anna, "offers", "m9")
    clock.shift(7 * DAY)
    with composing(lambda digest: known["hand_to_the_platform"](Digest, digest)):
        drain()
    assert handed == [("", ["m9"])]
    assert len(sink.got) == 2
