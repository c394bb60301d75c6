"""The law's requirements (security.md LW-01 to LW-17), each with the tests that hold it."""

from __future__ import annotations

import ast
from functools import cache
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).resolve().parents[1]

#: requirement -> the tests that hold it, as file::function under tests/
HELD: dict[str, list[str]] = {
    "LW-01": [
        "law/test_rules.py::test_no_country_of_any_sound_file_is_looser_than_its_policy",
        "law/test_rules.py::test_a_country_of_which_nothing_is_certain_gets_the_strictest",
        "law/test_requirements.py::test_lw_01_nothing_but_the_country_says_where_she_is",
        "law/test_requirements.py::test_lw_01_of_two_countries_neither_holds",
        "law/test_requirements.py::test_lw_01_what_she_said_no_program_disputes",
        "law/test_requirements.py::test_lw_01_two_who_become_one_live_in_one_country_or_in_none",
    ],
    "LW-02": [
        "law/test_mutations.py::test_a_mistake_is_refused_by_name_or_harmless",
        "law/test_mutations.py::test_no_fact_goes_without_value_source_or_confidence",
        "law/test_mutations.py::test_no_confidence_can_be_lowered_to_loosen_or_raised_to_enforce_beyond_its_own_places",
    ],
    "LW-03": [
        "web/test_one_click_page.py::test_lw_03_one_page_one_button_and_nothing_to_fill_in",
        "browser/test_leaving.py::test_nothing_that_is_missing_or_wrong_holds_the_way_out_up",
    ],
    "LW-04": [
        "browser/test_leaving.py::test_one_press_ends_everything_and_one_brings_back",
        "centers/test_checks.py::test_a_weaker_button_is_found",
    ],
    "LW-05": [
        "web/test_manage.py::test_no_query_and_no_header_ticks_a_box",
        "centers/test_checks.py::test_a_block_that_ticks_for_everybody_is_found_and_a_fair_one_is_not",
        "sync/test_importing.py::test_a_yes_needs_evidence",
        "blocks/test_topics.py::test_a_pending_choice_is_not_ticked",
    ],
    "LW-06": [
        "centers/test_checks.py::test_our_own_blocks_preset_nothing_and_speak_plainly",
        "centers/test_checks.py::test_a_control_with_a_default_is_found",
    ],
    "LW-07": [
        "submissions/test_sales.py::test_lw_07_silence_is_no_sale",
        "submissions/test_sales.py::test_lw_07_it_ends_by_the_law_or_the_setting_whichever_is_earlier",
        "submissions/test_sales.py::test_lw_07_it_is_not_taken_where_the_law_asks_for_a_yes",
        "submissions/test_sales.py::test_every_record_says_which_law_was_applied_and_why",
        "sync/test_importing.py::test_lw_07_a_sale_is_a_sale",
        "api/test_contacts.py::test_lw_07_a_sale_is_taken_with_its_end_or_named",
        "admin/test_contacts_on_behalf.py::test_lw_07_a_purchase_is_no_yes",
    ],
    "LW-08": [
        "blocks/test_topics.py::test_a_transactional_topic_is_shown_with_the_reason_and_cannot_be_answered",
        "sending/test_send.py::test_nothing_becomes_transactional_by_accident",
        "admin/test_topics.py::test_what_people_were_asked_about_does_not_become_what_is_always_sent",
    ],
    "LW-09": [
        "api/test_gpc.py::test_opening_a_session_records_it_once",
        "api/test_gpc.py::test_anything_else_is_no_signal",
        "api/test_gpc.py::test_the_page_says_so_and_writes_nothing",
        "browser/test_signal.py::test_the_page_and_the_element_say_that_the_signal_is_honoured",
        "web/test_one_click_page.py::test_lw_09_the_browser_s_signal_keeps_it_off",
    ],
    "LW-10": [
        "decisions/test_asking.py::test_a_no_holds_for_a_year",
        "decisions/test_asking.py::test_a_country_only_makes_it_longer",
        "law/test_checks.py::test_a_shorter_time_is_not_followed_whatever_checks_are_silenced",
    ],
    "LW-11": [
        "submissions/test_requests.py::test_a_sign_up_waits_for_the_owner_of_the_address",
        "submissions/test_requests.py::test_what_nobody_confirms_is_gone_after_seven_days",
        "submissions/test_requests.py::test_a_sign_up_is_confirmed_by_mail_once_a_day_and_twice_in_all",
    ],
    "LW-12": [
        "rights/test_export.py::test_everything_of_hers_is_there",
        "rights/test_export.py::test_both_forms_say_the_same",
        "submissions/test_erase.py::test_an_erased_address_comes_back_suppressed_and_only_its_owner_lifts_that",
        "sync/test_importing.py::test_an_erased_address_stays_out",
    ],
    "LW-13": [
        "access/test_links_command.py::test_addresses_are_asked_for_and_are_no_list_of_who_left",
        "rights/test_portability.py::test_whoever_has_left_is_in_no_line_but_her_suppression",
        "rights/test_portability.py::test_who_left_is_a_suppression_and_nothing_else",
    ],
    "LW-14": [
        "submissions/test_evidence.py::test_evidence_is_younger_than_every_no_it_lifts",
        "submissions/test_evidence.py::test_without_a_name_it_shows_nothing",
        "submissions/test_sales.py::test_lw_14_no_sale_lifts_a_no",
        "admin/test_contacts_on_behalf.py::test_a_no_is_not_overruled_by_older_evidence",
        "sync/test_importing.py::test_a_yes_older_than_her_no_or_of_tomorrow_is_not",
    ],
    "LW-15": ["law/test_checks.py::test_lw_15_where_data_of_people_in_russia_is"],
    "LW-16": [
        "delivery/test_alarms_by_law.py::test_lw_16_the_hours_of_her_country_ring_between_a_quarter_of_an_hour_and_a_day",
        "delivery/test_alarms_by_law.py::test_lw_16_no_clock_change_and_no_holiday_makes_it_longer",
        "law/test_rules.py::test_deadlines_are_counted_in_calendar_hours",
    ],
    "LW-17": [
        "ledger/test_format1.py::test_the_body_has_every_proof_field_of_the_law",
        "centers/test_checks.py::test_words_in_another_language_are_no_words_in_this_one",
        "centers/test_checks.py::test_a_notice_in_another_language_was_told_to_nobody",
        "centers/test_checks.py::test_a_notice_without_words_is_none",
        "centers/test_admin.py::test_a_notice_that_is_not_translated_keeps_the_page_from_being_published",
    ],
}


@cache
def functions(path: str) -> frozenset[str]:
    tree = ast.parse((ROOT / path).read_text())
    return frozenset(node.name for node in ast.walk(tree) if isinstance(node, ast.FunctionDef))


def test_all_seventeen_are_there() -> None:
    assert list(HELD) == [f"LW-{number:02}" for number in range(1, 18)]


@pytest.mark.parametrize("requirement", HELD)
def test_it_names_tests_that_exist(requirement: str) -> None:
    assert HELD[requirement]
    for named in HELD[requirement]:
        path, _, name = named.partition("::")
        assert name in functions(path), f"tests/{path} has no {name}"


@pytest.mark.django_db
def test_lw_01_nothing_but_the_country_says_where_she_is(settings: Any, tmp_path: Path) -> None:
    """A language, a time zone or a platform's guess makes nobody an American, whose law is looser."""
    from tests.decisions.cases import law_files
    from tests.factories import make_contact, make_topics
    from wagtail_prefs import contact_for, decide

    settings.WAGTAIL_PREFS = {
        **settings.WAGTAIL_PREFS,
        "JURISDICTIONS": str(law_files(tmp_path)["opt_out"]),
    }
    make_topics()["news"].__class__.objects.filter(key="news").update(basis="legitimate_interest")
    american = make_contact("ann@mail.example.org", country="US")
    looks_it = make_contact("ben@mail.example.org", language="en-US", timezone="America/New_York")
    german = make_contact("eve@mail.example.org", country="DE", language="en-US", timezone="America/New_York")
    reasons = [decide(one.pk, "news", "email").reason for one in (american, looks_it, german)]
    assert reasons == ["allowed", "no_consent", "no_consent"]
    # Nor does whoever names another country for somebody who has one.
    contact_for("eve@mail.example.org", country="US")
    assert decide(german.pk, "news", "email").reason == "no_consent"


@pytest.fixture
def loose(settings: Any, tmp_path: Path) -> None:
    """A site whose policy is opt-out, and a topic that needs no yes there."""
    from tests.decisions.cases import law_files
    from tests.factories import make_topics

    settings.WAGTAIL_PREFS = {
        **settings.WAGTAIL_PREFS,
        "JURISDICTIONS": str(law_files(tmp_path)["opt_out"]),
    }
    make_topics()["news"].__class__.objects.filter(key="news").update(basis="legitimate_interest")


@pytest.mark.django_db
@pytest.mark.parametrize(
    ("first", "then", "held"),
    [
        ("US", "DE", "ZZ"),
        ("DE", "US", "ZZ"),
        ("US", "us", "US"),
        ("US", "US-CA", "US"),
        ("US", "", "US"),
        ("", "DE", ""),
    ],
)
def test_lw_01_of_two_countries_neither_holds(loose: None, first: str, then: str, held: str) -> None:
    from wagtail_prefs import contact_for, decide
    from wagtail_prefs.backends.desired import desired_state
    from wagtail_prefs.contacts.services import load_state, load_target

    ann = contact_for("ann@mail.example.org", country=first)
    contact_for("ANN@mail.example.org", country=then)
    assert load_state(ann.pk).country == held
    assert decide(ann.pk, "news", "email").reason == ("allowed" if held == "US" else "no_consent")
    contact_for("ann@mail.example.org", country=first)  # who is right is not settled by saying it again
    assert load_state(ann.pk).country == held
    if held == "ZZ":
        assert "ZZ" not in str(desired_state(load_target(ann.pk)))


@pytest.mark.django_db
def test_lw_01_what_she_said_no_program_disputes(loose: None) -> None:
    from wagtail_prefs import contact_for, decide
    from wagtail_prefs.changes import SetAttribute
    from wagtail_prefs.contacts.services import load_state
    from wagtail_prefs.submissions.services import record
    from wagtail_prefs.values import Actor, ActorType, Source

    ann = contact_for("ann@mail.example.org", country="US")
    contact_for("ann@mail.example.org", country="DE")
    said = [SetAttribute("country", "US")]
    record(ann.pk, said, actor=Actor(ActorType.SUBJECT_SESSION), source=Source(method="python"))
    contact_for("ann@mail.example.org", country="DE")
    assert load_state(ann.pk).country == "US"
    assert decide(ann.pk, "news", "email").reason == "allowed"


@pytest.mark.django_db
@pytest.mark.parametrize(
    ("hers", "other", "held"), [("US", "DE", "ZZ"), ("US", "US-CA", "US"), ("US", "", "US")]
)
def test_lw_01_two_who_become_one_live_in_one_country_or_in_none(
    loose: None, hers: str, other: str, held: str
) -> None:
    from tests.factories import make_contact
    from wagtail_prefs.contacts.services import load_state
    from wagtail_prefs.submissions.services import merge_contacts
    from wagtail_prefs.values import Actor, ActorType, Source

    ann, old = (
        make_contact("ann@mail.example.org", country=hers),
        make_contact("a@else.example.org", country=other),
    )
    saved = merge_contacts(old.pk, ann.pk, actor=Actor(ActorType.ADMIN, "7"), source=Source(method="staff"))
    assert saved.state.country == load_state(ann.pk).country == held
