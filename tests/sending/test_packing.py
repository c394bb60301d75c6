"""A mail that was put away is the same mail again, to the byte; and what could not be is refused at once."""

from __future__ import annotations

import base64
import uuid
from datetime import UTC, date, datetime
from email import policy
from email.charset import QP, Charset
from email.header import Header
from email.message import EmailMessage as Part, MIMEPart
from email.mime.application import MIMEApplication
from email.mime.base import MIMEBase
from email.mime.image import MIMEImage
from email.mime.message import MIMEMessage
from email.mime.multipart import MIMEMultipart
from email.mime.text import MIMEText
from typing import Any

import django
import pytest
from anymail.message import AnymailMessage, attach_inline_image
from django.core.mail import EmailMessage, EmailMultiAlternatives
from django.utils import translation
from django.utils.safestring import mark_safe
from django.utils.translation import gettext_lazy
from hypothesis import given, strategies as st

from tests.properties import examples
from wagtail_prefs.ciphers import Unreadable
from wagtail_prefs.sending import packing
from wagtail_prefs.sending.packing import CannotWait, flat

ROW = uuid.UUID("01890000-0000-7000-8000-000000000001")
MODERN = django.VERSION >= (6,)


def again(message: EmailMessage) -> EmailMessage:
    return packing.unpack(packing.pack(message, row=ROW), row=ROW).message


def mail(**given: Any) -> EmailMultiAlternatives:
    values = {
        "subject": "News",
        "body": "Hello",
        "from_email": "news@brand.example",
        "to": ["anna@mail.example.org"],
    }
    return EmailMultiAlternatives(**{**values, **given})


# --- what comes back --------------------------------------------------------------------------------------------------

# No surrogates: no mail can hold them. Line ends are the sender's.
texts = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\r\0"), max_size=60)
lines = st.text(st.characters(exclude_categories=["Cs", "Cc", "Zl", "Zp"]), max_size=60)
words = st.text("abcdefghijklmnopqrstuvwxyz", min_size=1, max_size=8)
addresses = st.builds("{}@{}.example".format, words, words)
named = st.one_of(
    addresses, st.builds("{} <{}>".format, words, addresses), st.builds("Ünal <{}>".format, addresses)
)
types = st.sampled_from(
    ["text/plain", "text/calendar", "image/png", "application/pdf", "application/octet-stream"]
)
json_values = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(2**40), 2**40)
    | st.floats(allow_nan=False, allow_infinity=False)
    | texts,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(words, inner, max_size=3),
    max_leaves=8,
)


@st.composite
def attachments(draw: st.DrawFn) -> Any:
    match draw(st.integers(0, 3 if MODERN else 5)):
        case 0:
            return (draw(words) + ".txt", draw(texts), "text/plain")
        case 1:
            return (draw(lines) or "a", draw(st.binary(max_size=200)), "application/pdf")
        case 2:
            inner = EmailMessage(draw(lines), draw(texts), "in@brand.example", [draw(addresses)])
            return ("mail.eml", inner, "message/rfc822")
        case 3:
            part = MIMEPart() if MODERN else MIMEImage(draw(st.binary(max_size=50)), "png")
            if isinstance(part, MIMEPart):
                part.set_content(
                    draw(st.binary(max_size=50)), maintype="image", subtype="png", filename=draw(words)
                )
            return part
        case 4:
            related = MIMEMultipart("related")
            related.attach(MIMEText(draw(texts), "html", "utf-8"))
            related.attach(MIMEApplication(draw(st.binary(max_size=50))))
            return related
        case _:
            base = MIMEBase("application", "x-thing")
            base.set_payload(base64.encodebytes(draw(st.binary(max_size=50))).decode())
            base.add_header("Content-Transfer-Encoding", "base64")
            base.add_header("Content-Disposition", "attachment", filename=draw(words))
            return base


@st.composite
def messages(draw: st.DrawFn) -> EmailMessage:
    kind = draw(st.sampled_from([EmailMessage, EmailMultiAlternatives, AnymailMessage]))
    message = kind(
        subject=draw(lines),
        body=draw(texts),
        from_email=draw(named),
        to=draw(st.lists(named, max_size=2)),
        cc=draw(st.lists(named, max_size=1)),
        bcc=draw(st.lists(named, max_size=1)),
        reply_to=draw(st.lists(named, max_size=1)),
        headers=draw(
            st.dictionaries(st.builds("X-{}".format, words), lines | st.integers(0, 99), max_size=3)
        ),
        attachments=[],
    )
    message.content_subtype = draw(st.sampled_from(["plain", "html"]))
    message.encoding = draw(st.sampled_from([None, None, "utf-8"]))
    for one in draw(st.lists(attachments(), max_size=3)):
        message.attach(*one) if isinstance(one, tuple) else message.attach(one)
    if isinstance(message, EmailMultiAlternatives):
        for kind_of, text in draw(
            st.lists(st.tuples(st.sampled_from(["text/html", "text/x-amp-html"]), texts), max_size=2)
        ):
            message.attach_alternative(text, kind_of)
    if draw(st.booleans()):
        message.metadata = draw(st.dictionaries(words, json_values, max_size=3))
        message.tags = draw(st.lists(words, max_size=2))
        message.esp_extra = draw(st.dictionaries(words, json_values, max_size=2))
        message.send_at = draw(st.none() | st.datetimes(timezones=st.just(UTC)) | st.dates())
    return message


@pytest.mark.property
@examples(150)
@given(messages())
def test_any_message_comes_back_as_it_was(message: EmailMessage) -> None:
    try:
        before = flat(message)
    except (ValueError, LookupError, TypeError, AttributeError):
        return  # Django cannot send it either
    back = again(message)
    assert flat(back) == before == flat(message)
    assert back.recipients() == message.recipients()
    for name in (
        "from_email",
        "bcc",
        "subject",
        "body",
        "metadata",
        "tags",
        "esp_extra",
        "send_at",
        "template_id",
    ):
        unset = "anymail.utils"
        given_value = getattr(message, name, None)
        if getattr(given_value, "__module__", "") != unset:
            assert getattr(back, name, None) == given_value
        else:
            assert not hasattr(back, name)


@pytest.mark.skipif(MODERN, reason="Django 6 has no charsets, and parts of another kind")
def test_charsets_and_undocumented_subtypes_are_kept() -> None:
    quoted = Charset("utf-8")
    quoted.body_encoding = QP
    message = mail(body="Grüße, " * 30)
    message.encoding = quoted
    message.mixed_subtype = "related"
    message.alternative_subtype = "related"
    message.attach_alternative("<p>Grüße</p>", "text/html")
    message.attach("a.bin", b"\0", "application/x-thing")
    back = again(message)
    assert flat(back) == flat(message)
    assert b"Gr=C3=BC" in flat(back)
    assert flat(back).count(b"multipart/related") == 2


def test_parts_of_the_modern_kind_are_kept() -> None:
    part = MIMEPart(policy=policy.SMTP.clone(max_line_length=60))
    part.set_content(
        b"123", maintype="image", subtype="png", disposition="inline", cid="<a@in>", filename="ü" * 90
    )
    message = mail()
    if MODERN:
        message.attach(part)
        attach_inline_image(message, b"\x89PNG\r\n\x1a\n", "a.png", "png")
    else:
        message.attachments.append(("part.eml", part_in_a_mail(part), "message/rfc822"))
    back = again(message)
    assert flat(back) == flat(message)
    assert back.attachments[0] is not message.attachments[0]


def part_in_a_mail(part: MIMEPart) -> Part:
    outer = Part()
    outer["Subject"] = "Größe"
    outer.set_content("Grüße\n")
    outer.make_mixed()
    outer.attach(part)
    return outer


def test_mails_in_mails_are_kept() -> None:
    inner = mail(subject="Inner", body="ä")
    inner.attach("x.txt", "deep", "text/plain")
    message = mail()
    message.attach("one.eml", inner, "message/rfc822")
    message.attach("two.eml", inner.message().as_string(), "message/rfc822")
    if not MODERN:
        message.attach(MIMEMessage(inner.message()))
    assert flat(again(message)) == flat(message)


def test_every_attribute_of_anymail_is_kept() -> None:
    given = {
        "esp_extra": {"deep": {"er": [1, 2.5, None, True]}},
        "envelope_sender": "bounces@brand.example",
        "metadata": {"order": 12},
        "send_at": datetime(2026, 11, 24, 8, tzinfo=UTC),
        "tags": ("a", "b"),
        "track_clicks": False,
        "track_opens": True,
        "template_id": "welcome",
        "merge_data": {"anna@mail.example.org": {"name": "Anna"}},
        "merge_global_data": {"year": 2026},
        "merge_headers": {"anna@mail.example.org": {"X-A": "b"}},
        "merge_metadata": {"anna@mail.example.org": {"id": 1}},
    }
    back = again(AnymailMessage("s", "b", "news@brand.example", ["anna@mail.example.org"], **given))
    assert {name: getattr(back, name) for name in given} == given
    back = again(
        AnymailMessage("s", "b", "news@brand.example", ["anna@mail.example.org"], send_at=date(2026, 11, 24))
    )
    assert back.send_at == date(2026, 11, 24)
    assert "tags" not in vars(back)


def test_lazy_words_are_those_of_the_language_in_which_it_was_put_away() -> None:
    message = mail(subject=gettext_lazy("Yes"), body=mark_safe("<b>"), headers={"X-Said": gettext_lazy("No")})
    with translation.override("de"):
        packed = packing.pack(message, row=ROW)
    back = packing.unpack(packed, row=ROW).message
    assert (back.subject, back.body, back.extra_headers) == ("Ja", "<b>", {"X-Said": "Nein"})


def test_headers_of_its_own_and_the_mailbox_of_those_who_leave_are_kept() -> None:
    headers = {
        "Message-ID": "<a@brand.example>",
        "Date": "Mon, 23 Nov 2026 08:00:00 +0000",
        "From": "b@brand.example",
    }
    packed = packing.pack(mail(headers=headers), row=ROW, mailto="mailto:leave@brand.example")
    back = packing.unpack(packed, row=ROW)
    assert back.mailto == "mailto:leave@brand.example"
    assert back.message.extra_headers == headers
    assert dict(back.message.message().items()).items() >= headers.items()


def test_packing_leaves_the_message_alone() -> None:
    message = mail(headers={"X-A": "b"})
    message.attach("a.pdf", b"%PDF", "application/pdf")
    before = {
        name: list(value) if isinstance(value, list) else value for name, value in vars(message).items()
    }
    packing.pack(message, row=ROW)
    assert vars(message) == before


# --- what is stored ---------------------------------------------------------------------------------------------------


def test_nothing_of_it_can_be_read_in_the_row_or_in_another() -> None:
    packed = packing.pack(mail(body="A secret, for Anna"), row=ROW)
    for told in (b"secret", b"anna", b"Anna", b"News"):
        assert told not in packed.encode()
        assert told not in base64.urlsafe_b64decode(packed.partition(".")[2])
    with pytest.raises(Unreadable):
        packing.unpack(packed, row=uuid.uuid4())


def test_what_repeats_itself_is_stored_small() -> None:
    message = mail(body="<td style='padding: 0'>Hello</td>" * 2_000)
    assert len(packing.pack(message, row=ROW)) < 5_000


# --- what is refused --------------------------------------------------------------------------------------------------


class Fancy(EmailMessage):
    pass


class FancyPart(MIMEText):
    pass


def _with(**attributes: Any) -> EmailMessage:
    message = mail()
    for name, value in attributes.items():
        setattr(message, name, value)
    return message


def _attached(part: Any) -> EmailMessage:
    message = mail()
    message.attachments.append(part)
    return message


def _deep() -> list[Any]:
    deep: list[Any] = []
    for _ in range(packing.MAX_DEPTH + 1):
        deep = [deep]
    return deep


def _header_object() -> MIMEText:
    part = MIMEText("a")
    part["X-A"] = Header("ü", "utf-8")  # type: ignore[assignment]
    return part


def _raw_payload() -> MIMEBase:
    part = MIMEBase("application", "x-thing")
    part._payload = b"raw"  # type: ignore[attr-defined]
    return part


@pytest.mark.parametrize(
    ("message", "says"),
    [
        (
            lambda: Fancy("s", "b", "a@brand.example", ["anna@mail.example.org"]),
            "test_packing.Fancy cannot wait",
        ),
        (lambda: _with(esp_extra={"file": object()}), "esp_extra is a builtins.object"),
        (lambda: _with(metadata={1: "a"}), "metadata is a builtins.dict"),
        (lambda: _with(track={"a": float("nan")}), "track is a builtins.float"),
        (lambda: _with(render=lambda: ""), "render is a builtins.function"),
        (lambda: _with(deep=_deep()), "deep is nested too deeply"),
        (lambda: _attached(FancyPart("a")), "test_packing.FancyPart cannot wait"),
        (lambda: _attached(_header_object()), "header X-A of a part is no text"),
        (lambda: _attached(_raw_payload()), "payload of a part is no text"),
        (lambda: mail(body="ä" * packing.MAX_SIZE), "larger than 10 MiB: link to its files"),
    ],
)
def test_what_cannot_be_kept_is_refused_with_words_that_help(message: Any, says: str) -> None:
    with pytest.raises(CannotWait, match=says) as refused:
        packing.pack(message(), row=ROW)
    assert "anna@" not in str(refused.value)
    assert isinstance(refused.value, ValueError)


def test_a_mail_that_contains_itself_is_refused() -> None:
    message = mail()
    message.attach("self.eml", message, "message/rfc822")
    with pytest.raises(CannotWait, match="too many deep"):
        packing.pack(message, row=ROW)


def test_what_says_another_thing_at_each_look_is_refused() -> None:
    """Whatever we do not know of a message is told by its bytes."""
    said = iter(range(1_000))

    class Moody(str):
        __slots__ = ()

        def __str__(self) -> str:
            return f"{next(said)}"

    with pytest.raises(CannotWait, match="would not come out as it went in"):
        packing.pack(_with(extra_headers={"X-A": Moody("a")}), row=ROW)


def test_other_encodings_are_kept() -> None:
    message = mail(body="Grüße")
    message.encoding = "latin-1"
    assert flat(again(message)) == flat(message)
    assert again(message).encoding == "latin-1"
