"""What an answer may be: taken as it is meant, or refused."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given, strategies as st
from rest_framework.serializers import ValidationError

from tests.properties import examples
from wagtail_prefs.blocks.fields import (
    AddressField,
    AnyField,
    DayField,
    KeysField,
    PhoneField,
    TextField,
    WholeNumberField,
)
from wagtail_prefs.values import plain

anything = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(st.characters(), max_size=40),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(), inner, max_size=3),
)
FIELDS = [
    TextField(20),
    TextField(20, lines=True),
    PhoneField(),
    AddressField(),
    DayField("2000-01-01", "2026-12-31"),
    WholeNumberField(0, 10),
    KeysField(["a", "b"]),
]


def told(field: AnyField, given: Any) -> str:
    with pytest.raises(ValidationError) as refused:
        field.run_validation(given)
    return str(refused.value.detail[0])  # type: ignore[index]  # a list here


@pytest.mark.parametrize(
    ("written", "number"),
    [
        ("+4930123456", "+4930123456"),
        ("+49 30 / 123-456", "+4930123456"),
        ("0049 30 123456", "+4930123456"),
        ("+49 (0)30 123456", "+4930123456"),
        ("(+49) 30.123.456", "+4930123456"),
        ("+٩٦٦ ٥٠ ١٢٣ ٤٥٦٧", "+966501234567"),
        (
            "\N{FULLWIDTH PLUS SIGN}81\N{NO-BREAK SPACE}3\N{NON-BREAKING HYPHEN}1234\N{EN DASH}5678",
            "+81312345678",
        ),
        ("  ", ""),
        ("", ""),
    ],
)
def test_a_phone_number_is_read_however_it_is_written(written: str, number: str) -> None:
    assert PhoneField().run_validation(written) == number


@pytest.mark.parametrize(
    "written",
    [
        "030 123456",
        "+49",
        "+0301234567",
        "+4930123456789012",
        "+49 30 call me",
        "++4930123456",
        "+49²30123456",
        "+",
    ],
)
def test_what_nobody_can_dial_from_anywhere_is_no_phone_number(written: str) -> None:
    assert "+49 30 123456" in told(PhoneField(), written)


@pytest.mark.parametrize(
    "given",
    ["2026-02-29", "26-01-01", "20260101", "2026-1-1", "2026-W01-1", "2026-01-01T00:00", "٢٠٢٦-٠١-٠١"],
)
def test_a_day_is_a_day_of_the_calendar(given: str) -> None:
    assert "2026-03-31" in told(DayField(), given)


def test_a_day_stands_within_its_limits() -> None:
    field = DayField("2000-02-29", "2026-12-31")
    assert [field.run_validation(day) for day in ("2000-02-29", "2026-12-31")] == ["2000-02-29", "2026-12-31"]
    assert told(field, "2000-02-28") == "Choose a date from 2000-02-29 on."
    assert told(field, "2027-01-01") == "Choose a date up to 2026-12-31."
    assert DayField().run_validation("0001-01-01") == "0001-01-01"


@pytest.mark.parametrize("given", ["7", 7.0, True, -1, 11, [7]])
def test_a_number_is_a_whole_one_of_the_scale(given: Any) -> None:
    assert told(WholeNumberField(0, 10), given) == "Choose a number from 0 to 10."


@pytest.mark.parametrize("given", ["a", ["a", "a"], ["c"], [1], {"a": True}, [["a"]]])
def test_only_offered_keys_are_taken_and_each_once(given: Any) -> None:
    assert told(KeysField(["a", "b"]), given) == "This is not a list of the choices."


def test_keys_stand_in_the_order_in_which_they_are_offered() -> None:
    assert KeysField(["b", "a", "c"]).run_validation(["a", "b"]) == ["b", "a"]


def test_words_lose_the_blanks_around_them_and_nothing_else() -> None:
    assert TextField(20).run_validation("  <b>A & B</b>\N{NO-BREAK SPACE} ") == "<b>A & B</b>"
    assert TextField(20, lines=True).run_validation(" a\r\nb\rc\n") == "a\nb\nc"
    # Joiners are part of the spelling of many languages, and of families of people.
    assert (
        TextField(20).run_validation("می\N{ZERO WIDTH NON-JOINER}خواهم") == "می\N{ZERO WIDTH NON-JOINER}خواهم"
    )


@pytest.mark.parametrize(
    "hidden", ["a\x00b", "a\nb", "a\u202eb", "a\u2066b", "a\u2028b", "a\ud800b", "a\x1b[2Jb", "a\x85b"]
)
def test_words_hold_nothing_that_cannot_be_seen(hidden: str) -> None:
    assert told(TextField(20), hidden).startswith("This holds characters that cannot be printed.")


def test_words_are_as_long_as_they_may_be() -> None:
    assert TextField(3).run_validation(" äöü ") == "äöü"
    assert told(TextField(3), "äöüß") == "This is too long. Use at most 3 characters."


@pytest.mark.parametrize(
    "given", ["no address", "a@b", "a@b.example\nBcc: c@d.example", "<a@b.example>", "a" * 250 + "@b.example"]
)
def test_an_address_is_one_address(given: str) -> None:
    assert told(AddressField(), given)


@pytest.mark.property
@examples(300)
@given(field=st.sampled_from(FIELDS), given=anything)
def test_what_is_taken_can_be_an_attribute_and_is_taken_again_as_it_is(field: AnyField, given: Any) -> None:
    try:
        value = field.run_validation(given)
    except ValidationError:
        return
    assert plain(value)
    json.dumps(value, ensure_ascii=False).encode()
    assert field.run_validation(value) == value
    if isinstance(value, str):
        assert "\x00" not in value and value == value.strip()
