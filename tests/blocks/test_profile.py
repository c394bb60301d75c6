"""The profile block: its fields, what browsers call them, what is masked, and a new address."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
from django.test import override_settings
from django.utils import translation
from hypothesis import given, strategies as st

from tests.blocks.asking import controls, initial, objections, preview, refused, saved, valid
from tests.blocks.conftest import compiled, context, state
from tests.properties import examples
from wagtail_prefs.blocks.countries import COUNTRY_NAMES, country_choices
from wagtail_prefs.blocks.profile import FIELDS, PARTS, ProfileBlock
from wagtail_prefs.changes import ChangeAddress, ClearAttribute, SetAttribute
from wagtail_prefs.html import tree_to_text
from wagtail_prefs.law.countries import COUNTRIES
from wagtail_prefs.values import Spec

STORED: dict[str, Any] = {
    "fields_asked": ["given_name", "country"],
    "purpose": "",
    "countries": [],
    "more_countries": [],
    "own_fields": [],
    "change_address": False,
}
words = st.text(st.characters(codec="utf-8", exclude_categories=["C", "Z"]), max_size=30)
ANSWERS = st.fixed_dictionaries(
    {},
    optional={
        **dict.fromkeys(
            ["given_name", "family_name", "street", "postcode", "city", "region", "nickname"],
            words | st.none(),
        ),
        "country": st.sampled_from(["AT", "DE", "UY", None]),
        "language": st.sampled_from(["de", "en", None]),
        "phone": st.from_regex(r"(\+|00)[1-9][0-9]{1,3}[ /-]?[0-9]{6,9}", fullmatch=True) | st.just(""),
    },
)


def with_new_address() -> Spec:
    return compiled("profile", replace(context(), changes_address=True))


def test_fields_stand_in_the_order_of_an_envelope_and_own_ones_after_them() -> None:
    assert list(controls(compiled("profile"))) == [
        "given_name",
        "family_name",
        "street",
        "postcode",
        "city",
        "region",
        "country",
        "phone",
        "language",
        "nickname",
    ]
    assert list(controls(compiled("profile", fields_asked=["phone"], own_fields=[]))) == ["phone"]
    assert {name for _label, names in PARTS.values() for name in names} == set(FIELDS)


def test_what_tells_who_she_is_is_masked_and_what_her_page_goes_by_is_not() -> None:
    spec = compiled("profile")
    open_to_all = {name for name, control in controls(spec).items() if not control["personal"]}
    assert open_to_all == {"country", "language"}
    assert {name for name, one in spec.rules["attributes"].items() if not one["personal"]} == open_to_all


def test_browsers_are_told_what_each_field_is() -> None:
    tokens = {
        name: one["constraints"].get("autocomplete") for name, one in controls(compiled("profile")).items()
    }
    assert tokens == {
        "given_name": "given-name",
        "family_name": "family-name",
        "street": "address-line1",
        "postcode": "postal-code",
        "city": "address-level2",
        "region": "address-level1",
        "country": "country",
        "phone": "tel",
        "language": "language",
        "nickname": None,
    }
    assert controls(compiled("profile"))["phone"]["format"] == "tel"


def test_the_purpose_is_told_once_and_kept_for_each_field() -> None:
    spec = compiled("profile", text="<p>Hello.</p>")
    assert tree_to_text(spec.document["text"][-1:]) == "We use it for this: to write to you"
    assert controls(spec)["given_name"]["help"] == ""
    assert controls(spec)["nickname"]["help"] == "We use it for this: to be friendly"
    assert spec.rules["attributes"]["city"] == {
        "label": "City",
        "purpose": "to write to you",
        "personal": True,
    }
    assert spec.rules["attributes"]["nickname"]["purpose"] == "to be friendly"
    assert compiled("profile", purpose="").document["text"] == []


def test_countries_stand_by_name_in_the_language_of_the_page() -> None:
    options = controls(compiled("profile"))["country"]["options"]
    assert [(one["key"], one["label"]) for one in options] == [
        ("AT", "Austria"),
        ("DE", "Germany"),
        ("UY", "Uruguay"),
    ]
    everything = controls(compiled("profile", countries=[], more_countries=[]))["country"]["options"]
    assert [one["key"] for one in everything] == [code for code, _name in country_choices()]
    assert len(everything) == len(COUNTRY_NAMES)
    renamed = compiled("profile", countries=["AT"], more_countries=[{"code": "AT", "name": "Österreich"}])
    assert [one["label"] for one in controls(renamed)["country"]["options"]] == ["Österreich"]


def test_an_accent_sends_no_country_to_the_end() -> None:
    more = [
        {"code": "AX", "name": "Åland"},
        {"code": "CI", "name": "Côte d’Ivoire"},
        {"code": "CR", "name": "Costa Rica"},
    ]
    spec = compiled("profile", countries=["ZA"], more_countries=more)
    assert [one["key"] for one in controls(spec)["country"]["options"]] == ["AX", "CR", "CI", "ZA"]


def test_every_country_of_the_list_is_one() -> None:
    assert set(COUNTRY_NAMES) <= COUNTRIES
    assert len({str(name) for name in COUNTRY_NAMES.values()}) == len(COUNTRY_NAMES)


def test_languages_are_those_of_the_site_each_under_its_own_name() -> None:
    languages = [("en", "English"), ("de", "German"), ("ar", "Arabic"), ("x-own", "Our own")]
    with override_settings(LANGUAGES=languages, WAGTAIL_CONTENT_LANGUAGES=languages):
        from wagtail.coreutils import get_content_languages

        get_content_languages.cache_clear()
        try:
            for locale in ("en", "ar"):
                with translation.override(locale):
                    options = controls(compiled("profile", context(locale)))["language"]["options"]
                assert [one["label"] for one in options] == ["English", "Deutsch", "العربيّة", "Our own"]
        finally:
            get_content_languages.cache_clear()


def test_answers_become_attributes_and_empty_ones_are_forgotten() -> None:
    spec = compiled("profile")
    answers = valid(
        spec, {"given_name": " Aa ", "city": "", "phone": "0049 30 123456", "country": "DE", "language": None}
    )
    assert ProfileBlock.changes(spec, answers) == [
        SetAttribute("given_name", "Aa"),
        ClearAttribute("city"),
        SetAttribute("phone", "+4930123456"),
        SetAttribute("country", "DE"),
        ClearAttribute("language"),
    ]
    after = saved(spec, answers)
    assert after.country == "DE"  # the fact that law and words go by


@pytest.mark.parametrize(
    "answers",
    [
        {"country": "FR"},
        {"country": "de"},
        {"country": ""},
        {"language": "tlh"},
        {"phone": "12345"},
        {"given_name": "x" * 201},
        {"given_name": "a\nb"},
        {"given_name": 5},
        {"timezone": "Europe/Berlin"},
        {"role": "admin"},
        {"email": "new@person.example"},
    ],
)
def test_what_the_page_does_not_offer_is_refused(answers: dict[str, Any]) -> None:
    assert refused(compiled("profile"), answers)


def test_only_the_fields_asked_for_are_taken() -> None:
    spec = compiled("profile", fields_asked=["given_name"], own_fields=[])
    assert refused(spec, {"family_name": "Aa"})
    assert spec.paths.keys() == {"attribute:given_name"}
    assert initial(spec, state(attributes={"given_name": "Aa", "family_name": "Bb"})) == {"given_name": "Aa"}


@pytest.mark.property
@examples(100)
@given(before=ANSWERS, now=ANSWERS)
def test_what_was_answered_is_shown_after_the_save(before: dict[str, Any], now: dict[str, Any]) -> None:
    spec = compiled("profile")
    held = saved(spec, before)
    wanted = {**initial(spec, held), **valid(spec, now)}
    after = saved(spec, now, held)
    assert initial(spec, after) == {name: value for name, value in wanted.items() if value}
    assert after.attributes == initial(spec, after)
    assert (after.country, after.language) == tuple(
        after.attributes.get(f, "") for f in ("country", "language")
    )


def test_a_value_from_elsewhere_is_shown_where_it_can_be_drawn() -> None:
    held = state(
        attributes={
            "phone": "030 / 12 34",
            "given_name": "x" * 300,
            "country": "US-CA",
            "city": 7,
            "region": "",
        }
    )
    assert initial(compiled("profile"), held) == {"phone": "030 / 12 34", "given_name": "x" * 300}


def test_a_new_address_is_asked_for_where_it_can_be_confirmed() -> None:
    assert "email" not in controls(compiled("profile"))
    spec = with_new_address()
    control = controls(spec)["email"]
    assert (control["type"], control["format"], control["personal"]) == ("text", "email", True)
    assert "email" not in controls(
        compiled("profile", replace(context(), changes_address=True), change_address=False)
    )
    answers = valid(spec, {"email": " new@person.example "})
    assert ProfileBlock.changes(spec, answers) == [ChangeAddress("new@person.example")]
    assert spec.paths["address:email"] == ("email", "New e-mail address")


@pytest.mark.parametrize("nothing", ["", "  ", None])
def test_an_empty_new_address_changes_nothing(nothing: str | None) -> None:
    spec = with_new_address()
    assert ProfileBlock.changes(spec, valid(spec, {"email": nothing})) == []


@pytest.mark.parametrize(
    "address", ["person", "a@b", "a@b.example, c@d.example", "a@b.example\nBcc: x@y.example", True]
)
def test_what_is_no_address_is_refused(address: Any) -> None:
    assert refused(with_new_address(), {"email": address})


def test_no_address_stands_in_answers_or_rules() -> None:
    held = state(attributes={"email": "old@person.example"})
    assert initial(with_new_address(), held) == {}
    assert "email" not in with_new_address().rules["attributes"]


def test_a_complete_profile_can_be_published_and_an_empty_one_not() -> None:
    assert objections("profile", STORED) == []
    assert objections("profile", {**STORED, "fields_asked": []}) == [
        "fields_asked: Choose at least one field."
    ]
    assert objections("profile", {**STORED, "fields_asked": [], "change_address": True}) == []


@pytest.mark.parametrize("key", ["given_name", "phone", "email"])
def test_a_field_of_ones_own_takes_no_key_of_ours(key: str) -> None:
    own = [{"key": key, "label": "Mine", "purpose": ""}]
    assert objections("profile", {**STORED, "own_fields": own}) == [
        f"own_fields: “{key}” is the key of a field above. Choose another one."
    ]
    # Also not from a draft that was never cleaned.
    assert controls(compiled("profile", fields_asked=["region"], own_fields=own)).keys() == {"region"}


def test_keys_of_ones_own_are_free_and_differ() -> None:
    own = [{"key": "role", "label": "Mine", "purpose": ""}]
    assert objections("profile", {**STORED, "own_fields": own}) == [
        "own_fields.0.key: “role” has a meaning of its own. Choose another key."
    ]
    twice = [{"key": "size", "label": "Size", "purpose": ""}] * 2
    assert objections("profile", {**STORED, "own_fields": twice}) == [
        "own_fields: The key “size” stands here twice."
    ]


def test_a_country_has_a_code() -> None:
    (told,) = objections("profile", {**STORED, "more_countries": [{"code": "de", "name": "Germany"}]})
    assert told == "more_countries.0.code: Two capital letters, as in DE."


@pytest.mark.django_db
def test_the_picker_shows_names_countries_and_languages(admin_client: Any) -> None:
    html = preview("profile", admin_client)
    assert 'autocomplete="given-name"' in html and 'autocomplete="country"' in html
    assert '<option value="AT">Austria</option>' in html
    assert "We use it for this: to write to you by your name and in your language" in html
