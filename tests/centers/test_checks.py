"""What stands against publishing: for each finding a page that has it, and the mended page that has not."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import Any

import pytest
from django.test import override_settings
from hypothesis import given, strategies as st

from tests import factories
from tests.properties import examples
from wagtail_prefs.backends.base import Backend
from wagtail_prefs.blocks.base import PreferenceBlock, control
from wagtail_prefs.blocks.registry import BUILT_IN
from wagtail_prefs.centers.checks.gather import check_page
from wagtail_prefs.centers.checks.promises import reach, sender_of, verdict
from wagtail_prefs.centers.checks.rules import RULES, check
from wagtail_prefs.centers.checks.values import Facts, Finding
from wagtail_prefs.centers.models import PublishedCenter
from wagtail_prefs.centers.page import PreferenceCenterPage
from wagtail_prefs.centers.values import Snapshot, make_snapshot
from wagtail_prefs.topics.models import Topic, TopicGroupText, TopicText
from wagtail_prefs.values import (
    CHANNELS,
    Capabilities,
    ContactState,
    Json,
    Need,
    Spec,
    Support,
    TopicInfo,
)

Blocks = list[dict[str, Any]]


class Deaf(Backend):
    """Sends, and keeps nothing."""

    capabilities = Capabilities(channels=("email",))


class Obedient(Backend):
    """Sends e-mail, and keeps everything."""

    capabilities = Capabilities(
        choice=Support.ENFORCES,
        opt_out=Support.ENFORCES,
        frequency=Support.ENFORCES,
        pause=Support.ENFORCES,
        attributes=Support.ENFORCES,
        channels=("email",),
    )


class Breaking(Obedient):
    """Keeps everything, and breaks when it is asked what it maps."""

    def maps(self, topic: str, channel: str) -> bool:
        raise KeyError(topic)


class Mapped(Obedient):
    """Knows e-mail and text messages, and has a list for one topic's e-mail only."""

    capabilities = replace(Obedient.capabilities, channels=("email", "sms"))

    def maps(self, topic: str, channel: str) -> bool:
        return (topic, channel) == ("news", "email")


class Eager(PreferenceBlock):
    """A third party's block that ticks for everybody."""

    @classmethod
    def initial(cls, spec: Spec, state: ContactState) -> Json:
        return {"card": True}


class Fair(PreferenceBlock):
    """The same, as it should be."""

    @classmethod
    def initial(cls, spec: Spec, state: ContactState) -> Json:
        return {"card": False}


def good() -> Blocks:
    """A center that has everything, in English and German."""
    topics = factories.make_topics()
    return [
        factories.topics_block(topics.values()),
        factories.frequency_block(),
        factories.privacy_block(),
        factories.transactional_block(),
        factories.unsubscribe_all_block(),
    ]


def without(kind: str) -> Blocks:
    return [block for block in good() if block["type"] != kind]


def changed(kind: str, **value: Any) -> Blocks:
    """The good page with other values in its blocks of a kind."""
    return [
        {**block, "value": {**block["value"], **(value if block["type"] == kind else {})}} for block in good()
    ]


def with_block(kind: str, **value: Any) -> Blocks:
    return [*good(), factories.block(kind, {"heading": "", "text": "", **value})]


def first(*kinds: str) -> Blocks:
    """The good page with blocks of these kinds at the top."""
    blocks = good()
    return sorted(blocks, key=lambda block: block["type"] not in kinds)


def found(blocks: Blocks, **settings: Any) -> list[Finding]:
    from django.conf import settings as django_settings

    with override_settings(WAGTAIL_PREFS={**django_settings.WAGTAIL_PREFS, **settings}):
        return check_page(factories.make_center(blocks, publish=False))


def codes(findings: Sequence[Finding]) -> set[str]:
    return {finding.code for finding in findings}


def sent_by(backend: str, **options: Any) -> dict[str, Any]:
    """Settings in which a backend sends the mail, and the rest is asked for."""
    path = backend if "." in backend else f"{__name__}.{backend}"
    entry = {"BACKEND": path, "OPTIONS": options} if options else {"BACKEND": path}
    return {
        "BACKENDS": {"crm": entry},
        "SENDERS": {"email": {"default": "crm"}, "sms": {"default": "decide"}, "post": {"default": "decide"}},
    }


DATABASE = "wagtail_prefs.backends.database.DatabaseBackend"
STORES = sent_by(DATABASE)
ENFORCES = sent_by(DATABASE, ENFORCES=["choice", "opt_out", "frequency", "pause"])
PAUSE = {"lengths": ["P1M"], "overall": True, "dates": True, "channels": [], "topics": []}


def question(**value: Any) -> dict[str, Any]:
    return {
        "question": "Which bike do you ride?",
        "key": "bike",
        "purpose": "to write about your kind of bike",
        "help": "",
        "answer": [{"type": "text", "value": {"personal": False}}],
        **value,
    }


def more_topics(count: int) -> Blocks:
    """A page with so many topics to choose, all of them named in English."""
    audience = factories.make_audience()
    factories.make_topics(audience)
    made = []
    for number in range(count):
        topic = Topic.objects.create(audience=audience, key=f"topic-{number}", channels=["email"])
        TopicText.objects.create(topic=topic, locale=factories.make_locale("en"), label=f"About {number}")
        made.append(topic)
    return [factories.topics_block(made), *without("topics")]


def wordless_topic() -> Blocks:
    blocks = good()
    TopicText.objects.filter(topic__key="news", locale__language_code="en").delete()
    return blocks


def wordless_group() -> Blocks:
    blocks = good()
    TopicGroupText.objects.filter(group__key="brand", locale__language_code="en").delete()
    return blocks


def renamed_topic(label: str) -> Blocks:
    blocks = good()
    TopicText.objects.filter(topic__key="news", locale__language_code="en").update(label=label)
    return blocks


def archived() -> Blocks:
    blocks = good()
    Topic.objects.update(archived=True)
    return blocks


def nothing_always_comes() -> Blocks:
    blocks = changed("transactional", heading="", text="")
    Topic.objects.filter(transactional=True).delete()
    return blocks


def heading_only() -> Blocks:
    blocks = changed("transactional", text="")
    Topic.objects.filter(transactional=True).delete()
    return blocks


def roles(*topics: str) -> Blocks:
    keyed = factories.make_topics()
    chosen = [keyed[key].pk for key in topics]
    one = {"key": "rider", "label": "I ride", "help": "", "topics": chosen}
    other = {"key": "walker", "label": "I walk", "help": "", "topics": []}
    value = {
        "question": "Who are you?",
        "purpose": "to show what is for you",
        "roles": [one, other],
        "all_until_answered": True,
    }
    blocks = with_block("role", **value)
    blocks[0]["value"]["topics"] = [keyed["news"].pk]
    return blocks


def reason() -> dict[str, Any]:
    option = {"key": "too-much", "label": "Too much mail", "help": ""}
    return {
        "question": "Why do you leave?",
        "purpose": "to do better",
        "options": [option],
        "own_words": False,
    }


#: code, the page that has it, the mended page; each made when its test runs. Settings where they differ.
CASES: list[tuple[str, Callable[[], Blocks], Callable[[], Blocks], Mapping[str, Any], Mapping[str, Any]]] = [
    ("unsubscribe-missing", lambda: without("unsubscribe_all"), good, {}, {}),
    ("notice-missing", lambda: without("privacy_notice"), good, {}, {}),
    ("transactional-missing", lambda: without("transactional"), good, {}, {}),
    ("promise-unsent", good, good, {"SENDERS": {"email": {"default": "decide"}}}, {}),
    (
        "promise-unsent",
        good,
        good,
        {"SENDERS": {"email": {"news": "decide"}, "sms": {"default": "decide"}}},
        {},
    ),
    ("promise-broken", good, good, sent_by("Deaf"), sent_by("Obedient")),
    ("promise-stored", good, good, STORES, ENFORCES),
    ("sender-unmapped", good, good, sent_by("Mapped"), sent_by("Obedient")),
    (
        "pause-stored",
        lambda: with_block("pause", **PAUSE),
        lambda: with_block("pause", **PAUSE),
        STORES,
        ENFORCES,
    ),
    ("topic-untranslated", wordless_topic, good, {}, {}),
    ("group-untranslated", wordless_group, good, {}, {}),
    ("text-missing", lambda: changed("privacy_notice", content=""), good, {}, {}),
    ("text-missing", nothing_always_comes, lambda: changed("transactional", heading=""), {}, {}),
    ("text-missing", archived, good, {}, {}),
    ("text-missing", lambda: [*good(), factories.topics_block([])], good, {}, {}),
    ("text-missing", heading_only, good, {}, {}),
    (
        "link-insecure",
        lambda: changed("transactional", text='<p><a href="http://brand.example/">more</a></p>'),
        lambda: changed("transactional", text='<p><a href="https://brand.example/">more</a></p>'),
        {},
        {},
    ),
    (
        "link-insecure",
        lambda: changed("privacy_notice", policy_url="http://brand.example/privacy"),
        good,
        {},
        {},
    ),
    ("topics-many", lambda: more_topics(7), lambda: more_topics(6), {}, {}),
    (
        "fields-many",
        lambda: [
            *good(),
            *(factories.block("question", {"heading": "", **question(key=f"q{n}")}) for n in range(9)),
        ],
        lambda: [
            *good(),
            *(factories.block("question", {"heading": "", **question(key=f"q{n}")}) for n in range(7)),
        ],
        {},
        {},
    ),
    ("name-operational", lambda: changed("topics", heading="2024_NL_v2"), good, {}, {}),
    (
        "name-operational",
        lambda: renamed_topic("NL2024"),
        lambda: renamed_topic("COVID-19 and B2B in 2026"),
        {},
        {},
    ),
    (
        "question-purpose",
        lambda: with_block("question", **question(purpose="")),
        lambda: with_block("question", **question()),
        {},
        {},
    ),
    (
        "attribute-twice",
        lambda: [*with_block("question", **question()), factories.block("question", question())],
        lambda: [*with_block("question", **question()), factories.block("question", question(key="other"))],
        {},
        {},
    ),
    (
        "reason-alone",
        lambda: [*without("unsubscribe_all"), factories.block("reason", reason())],
        lambda: with_block("reason", **reason()),
        {},
        {},
    ),
    ("role-topics", lambda: roles("news", "events"), lambda: roles("news"), {}, {}),
    (
        "leaving-hidden",
        lambda: changed(
            "unsubscribe_all",
            conditions=[{"type": "country", "value": {"rule": "in", "values": "DE"}}],
        ),
        lambda: changed("unsubscribe_all", conditions=[{"type": "opted_out", "value": {"opted_out": False}}]),
        {},
        {},
    ),
    (
        "leaving-far",
        lambda: [*(factories.block("question", question(key=f"q{n}")) for n in range(5)), *good()],
        lambda: [
            *(factories.block("question", question(key=f"q{n}")) for n in range(5)),
            *first("unsubscribe_all"),
        ],
        {},
        {},
    ),
]
#: What no block of ours can come to: told of compiled blocks, below.
BY_OTHERS = {"consent-preset", "leaving-longer", "leaving-weaker", "not-compiled", "notice-untranslated"}


@pytest.mark.django_db
@pytest.mark.parametrize(("code", "broken", "mended", "before", "after"), CASES)
def test_a_finding_is_there_until_it_is_mended(
    code: str,
    broken: Callable[[], Blocks],
    mended: Callable[[], Blocks],
    before: Mapping[str, Any],
    after: Mapping[str, Any],
) -> None:
    told = [finding for finding in found(broken(), **before) if finding.code == code]
    assert told
    for finding in told:
        assert finding.text
        assert "%(" not in finding.text
    TopicText.objects.all().delete()
    TopicGroupText.objects.all().delete()
    Topic.objects.all().delete()
    assert code not in codes(found(mended(), **after))


@pytest.mark.django_db
def test_nothing_stands_against_a_good_page() -> None:
    assert found(good()) == []


@pytest.mark.django_db
def test_a_finding_leads_to_the_block_and_to_the_field() -> None:
    blocks = changed("privacy_notice", policy_url="http://brand.example/privacy")
    finding = next(finding for finding in found(blocks) if finding.code == "link-insecure")
    assert finding.block_id == next(block["id"] for block in blocks if block["type"] == "privacy_notice")
    assert finding.field == "policy_url"


@pytest.mark.django_db
def test_words_in_another_language_are_no_words_in_this_one() -> None:
    """TopicInfo falls back to German, so the page has words; they are the wrong ones."""
    told = [finding for finding in found(wordless_topic()) if finding.code == "topic-untranslated"]
    assert ["Neues" in finding.text for finding in told] == [True]


def in_german(english: PreferenceCenterPage, **values: Any) -> PreferenceCenterPage:
    """The German page, not published, with these words in place of the English ones."""
    blocks = [
        {**block, "value": {**block["value"], **values.get(block["type"], {})}}
        for block in english.body.raw_data
    ]
    page = PreferenceCenterPage.objects.filter(locale__language_code="de").first()
    if page is None:
        return factories.make_center(blocks, locale="de", publish=False, translation_of=english)
    page.body = page.body.stream_block.to_python(blocks)
    return page


@pytest.mark.django_db
def test_a_notice_in_another_language_was_told_to_nobody() -> None:
    """LW-17: the page is not published in that language until it is translated."""
    always = {"text": "<p>Some messages come whatever you choose.</p>"}
    english = factories.make_center(changed("transactional", **always))
    told = [finding for finding in check_page(in_german(english)) if finding.code == "notice-untranslated"]
    assert [(finding.level, finding.field) for finding in told] == [("error", "content"), ("error", "text")]
    assert all("English" in finding.text and "German" in finding.text for finding in told)
    german = {
        "privacy_notice": {"content": "<p>Wir nutzen Ihre Adresse nur <b>hierfür</b>.</p>"},
        "transactional": {"text": "<p>Manche Nachrichten kommen immer.</p>"},
    }
    assert "notice-untranslated" not in codes(check_page(in_german(english, **german)))
    # Nobody whose own words were copied has anything to mend, and neither has she who has said it already.
    in_german(english).save_revision().publish()
    assert PublishedCenter.objects.filter(center=english.translation_key).count() == 2
    assert "notice-untranslated" not in codes(check_page(english))
    assert "notice-untranslated" in codes(check_page(in_german(english)))


@pytest.mark.django_db
def test_a_notice_without_words_is_none() -> None:
    told = found(changed("privacy_notice", content=""))
    assert [finding.level for finding in told if finding.code == "text-missing"] == ["error"]


@pytest.mark.django_db
def test_two_countries_of_one_language_may_say_the_same() -> None:
    english = factories.make_center(good())
    factories.make_locale("en-gb")
    page = factories.make_center(english.body.raw_data, locale="en-gb", publish=False, translation_of=english)
    assert "notice-untranslated" not in codes(check_page(page))


@pytest.mark.django_db
def test_always_sent_topics_need_words_too() -> None:
    blocks = [block for block in good() if block["type"] != "topics"]
    TopicText.objects.filter(topic__key="orders", locale__language_code="en").delete()
    assert "topic-untranslated" in codes(found(blocks))


@pytest.mark.django_db
@pytest.mark.parametrize(
    "href",
    [
        "http://brand.example/",
        "ftp://brand.example/",
        "//brand.example/",
        "HTTP://brand.example",
        "javascript:1",
    ],
)
def test_a_link_is_found_where_the_cleaner_has_taken_it_away(href: str) -> None:
    blocks = changed("unsubscribe_all", still_comes=f'<p>See <a href="{href}">this</a>.</p>')
    told = [finding for finding in found(blocks) if finding.code == "link-insecure"]
    assert [finding.field for finding in told] == ["still_comes"]


@pytest.mark.django_db
@pytest.mark.parametrize(
    "href", ["https://brand.example/", "mailto:us@brand.example", "tel:+49301234", "/privacy/"]
)
def test_a_safe_link_is_none_to_mend(href: str) -> None:
    assert "link-insecure" not in codes(
        found(changed("unsubscribe_all", still_comes=f'<p>See <a href="{href}">this</a>.</p>'))
    )


@pytest.mark.django_db
def test_this_machine_may_be_linked_to_under_debug_only(settings: Any) -> None:
    def page() -> Blocks:
        return changed("transactional", text='<p><a href="http://localhost:8000/">more</a></p>')

    assert "link-insecure" in codes(found(page()))
    settings.DEBUG = True
    assert "link-insecure" not in codes(found(page()))


@pytest.mark.django_db
def test_a_sender_that_nobody_set_up_is_no_sender() -> None:
    told = found(good(), SENDERS={channel: {"default": "gone"} for channel in CHANNELS})
    assert "promise-unsent" in codes(told)


@pytest.mark.django_db
def test_a_page_outside_every_site_can_be_checked() -> None:
    page = factories.make_center(good(), publish=False)
    page.url_path = "/nowhere/else/"
    assert codes(check_page(page)) >= {"text-missing"}


@pytest.mark.django_db
def test_a_page_that_cannot_be_compiled_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    page = factories.make_center(good(), publish=False)

    def broken(*_args: Any) -> Spec:
        raise RuntimeError("a block of somebody else's")

    monkeypatch.setattr(type(page.body[1].block), "compile", broken)
    assert [(finding.level, finding.code) for finding in check_page(page)] == [("error", "not-compiled")]


@pytest.mark.django_db
def test_a_draft_with_nothing_in_it_can_be_checked() -> None:
    from wagtail_prefs.blocks.registry import block_classes

    empty = [factories.block(name, {}) for name in block_classes()]
    assert "not-compiled" not in codes(found(empty))


@pytest.mark.django_db
def test_a_page_costs_the_same_whatever_the_library_holds(django_assert_num_queries: Any) -> None:
    page = factories.make_center(good(), publish=False)
    page = PreferenceCenterPage.objects.get(pk=page.pk)
    check_page(page)  # site root paths and locales are known from here on

    def count() -> int:
        from django.db import connection
        from django.test.utils import CaptureQueriesContext

        fresh = PreferenceCenterPage.objects.select_related("locale").get(pk=page.pk)
        with CaptureQueriesContext(
            connection,
        ) as asked:
            check_page(fresh)
        return len(asked)

    before = count()
    audience = factories.make_audience()
    for number in range(20):
        topic = Topic.objects.create(audience=audience, key=f"more-{number}", channels=["email"])
        TopicText.objects.create(topic=topic, locale=factories.make_locale("en"), label=f"More {number}")
    assert count() == before
    assert before <= 10


# --- compiled blocks, also of others ---------------------------------------------------------------------------------


def spec(kind: str = "loyalty", controls: Sequence[Json] = (), block_id: str = "b1", **own: Any) -> Spec:
    document = {
        "id": block_id,
        "type": kind,
        "heading": "Loyalty",
        "text": [],
        "layout": None,
        "controls": list(controls),
    }
    return Spec(block_id=block_id, type=kind, document=document, **own)


def snapshot(*specs: Spec) -> Snapshot:
    document = {
        "center": "00000000-0000-4000-8000-000000000000",
        "locale": "en",
        "direction": "ltr",
        "title": "Choices",
        "blocks": [one.document for one in specs],
    }
    return make_snapshot(document, specs)


@pytest.fixture
def eager(settings: Any) -> None:
    added = {"eager": f"{__name__}.Eager", "fair": f"{__name__}.Fair"}
    settings.WAGTAIL_PREFS = {**settings.WAGTAIL_PREFS, "BLOCKS": added}


TICK = control("toggle", "card", "Send me a card")


def test_a_block_that_ticks_for_everybody_is_found_and_a_fair_one_is_not(eager: None) -> None:
    told = check(snapshot(spec("eager", [TICK])), Facts())
    preset = [finding for finding in told if finding.code == "consent-preset"]
    assert [(finding.level, finding.block_id) for finding in preset] == [("error", "b1")]
    assert "Send me a card" in preset[0].text
    assert "consent-preset" not in codes(check(snapshot(spec("fair", [TICK])), Facts()))


@pytest.mark.parametrize(
    "preset",
    [
        {**TICK, "default": True},
        {**TICK, "checked": "checked"},
        control("one_of", "card", "Card", options=[{"key": "a", "label": "A", "selected": True}]),
        control(
            "matrix",
            "card",
            "Card",
            cell="toggle",
            single=True,
            columns=[],
            rows=[{"key": "a", "label": "A", "value": 1}],
        ),
    ],
)
def test_a_control_with_a_default_is_found(preset: Json) -> None:
    assert "consent-preset" in codes(check(snapshot(spec("gone", [preset])), Facts()))


@pytest.mark.parametrize("name", sorted(BUILT_IN))
def test_our_own_blocks_preset_nothing_and_speak_plainly(name: str) -> None:
    """As the block picker shows them."""
    block = PreferenceCenterPage._meta.get_field("body").stream_block.child_blocks[name]
    shown = block.preview_spec(block.get_preview_value())
    assert not codes(check(snapshot(shown), Facts())) & {
        "consent-preset",
        "name-operational",
        "question-purpose",
    }


def test_a_block_whose_class_is_gone_does_not_stop_the_check() -> None:
    assert "consent-preset" not in codes(check(snapshot(spec("gone", [TICK])), Facts()))


def leave(style: str = "danger", when: Json | None = None, **own: Any) -> Spec:
    button = control("action", "go", "Leave", style=style, do={"answers": {"opted_out": True}}, when=when)
    return spec("exit", [button], paths={"opted_out": ("opted_out", "Everything")}, **own)


def test_a_way_out_by_tick_and_save_is_longer_than_staying() -> None:
    ticked = spec(
        "exit", [control("toggle", "opted_out", "Leave")], paths={"opted_out": ("opted_out", "Everything")}
    )
    assert "leaving-longer" in codes(check(snapshot(ticked), Facts()))
    assert not codes(check(snapshot(leave()), Facts())) & {
        "leaving-longer",
        "leaving-weaker",
        "leaving-hidden",
    }


def test_a_weaker_button_is_found() -> None:
    assert "leaving-weaker" in codes(check(snapshot(leave("secondary")), Facts()))
    assert "leaving-weaker" not in codes(check(snapshot(leave("primary")), Facts()))


def test_a_button_that_another_answer_hides_is_hidden_and_one_that_swaps_is_not() -> None:
    other = {"block": "b9", "control": "role", "in": ["rider"]}
    own = {"block": "b1", "control": "opted_out", "not_in": [True]}
    assert "leaving-hidden" in codes(check(snapshot(leave(when=other)), Facts()))
    assert "leaving-hidden" not in codes(check(snapshot(leave(when=own)), Facts()))


def test_a_second_way_out_for_everybody_makes_up_for_a_hidden_one() -> None:
    hidden = leave(conditions=({"fact": "country", "in": ["DE"]},))
    open_one = replace(leave(), block_id="b2")
    assert "leaving-hidden" in codes(check(snapshot(hidden), Facts()))
    assert "leaving-hidden" not in codes(check(snapshot(hidden, open_one), Facts()))


def test_errors_come_first() -> None:
    levels = [finding.level for finding in check(snapshot(leave("secondary")), Facts())]
    assert levels == sorted(levels)  # "error" < "warning"
    assert set(levels) == {"error", "warning"}


def test_every_finding_of_the_rules_has_a_case_and_a_page() -> None:
    import inspect
    import re
    from pathlib import Path

    source = "".join(inspect.getsource(inspect.getmodule(rule)) for rule in RULES)  # type: ignore[arg-type]  # each has one
    told = set(re.findall(r'"(?:error|warning)",\s*"([a-z-]+)"', source)) | set(
        re.findall(r'_finding\(\s*"([a-z-]+)"', source)
    )
    assert {"promise-unsent", "leaving-far", "link-insecure", "name-operational"} <= told
    assert told | {"not-compiled"} == {case[0] for case in CASES} | BY_OTHERS
    page = (Path(__file__).resolve().parents[2] / "docs" / "how-to" / "publish-checks.md").read_text()
    assert {code for code in told | {"not-compiled"} if f"`{code}`" not in page} == set()


# --- promises ---------------------------------------------------------------------------------------------------------

TOPICS = {key: TopicInfo(key, key, channels=("email", "sms")) for key in ("news", "offers")}
PAIRS = [("news", "email"), ("news", "sms"), ("offers", "email")]


@pytest.mark.parametrize(
    ("need", "pairs"),
    [
        (Need("opt_out"), PAIRS),
        (Need("pause", "news"), [("news", "email"), ("news", "sms")]),
        (Need("frequency", "", "email"), [("news", "email"), ("offers", "email")]),
        (Need("choice", "offers", "email"), [("offers", "email")]),
        (Need("frequency", "", "post"), [("", "post")]),
        (Need("choice", "", "email"), [("news", "email"), ("offers", "email")]),
        (Need("choice", "", "phone"), [("", "phone")]),
    ],
)
def test_a_need_without_a_topic_or_channel_is_for_all_of_the_pages(
    need: Need, pairs: list[tuple[str, str]]
) -> None:
    assert reach(need, PAIRS, Facts(topics=TOPICS)) == pairs


@pytest.mark.django_db
def test_a_no_to_a_channel_is_a_promise_of_whoever_sends_by_it() -> None:
    page = [*good(), factories.channels_block(channels=["email", "phone"])]
    senders = {channel: {"default": "decide"} for channel in CHANNELS}
    assert found(page, SENDERS=senders) == []
    nobody = found(page, SENDERS={**senders, "phone": {}})
    assert [(finding.code, finding.block_id) for finding in nobody] == [("promise-unsent", page[-1]["id"])]
    deaf = found(page, **sent_by("Deaf"))
    assert page[-1]["id"] in {finding.block_id for finding in deaf if finding.code == "promise-broken"}


@pytest.mark.django_db
def test_a_sender_that_is_not_told_of_a_topic_is_named() -> None:
    page = good()
    findings = found(page, **sent_by("Mapped"))
    assert [(one.code, one.level, one.block_id, one.field) for one in findings] == [
        ("sender-unmapped", "error", page[0]["id"], "channels")
    ]
    assert "“crm”" in findings[0].text and "Offers" in findings[0].text and "News" not in findings[0].text
    # Whoever is asked before each message needs no list, and a channel it cannot do is told as a broken promise.
    senders = {channel: {"default": "decide"} for channel in CHANNELS}
    assert found(page, **{**sent_by("Mapped"), "SENDERS": senders}) == []
    assert "sender-unmapped" not in codes(found(page, **sent_by("Deaf")))
    assert found(page, **sent_by("Breaking")) == []


def test_a_topic_that_is_only_paused_here_still_has_its_channels() -> None:
    facts = Facts(topics={"calls": TopicInfo("calls", "Calls", channels=("phone",))})
    assert reach(Need("pause", "calls"), PAIRS, facts) == [("calls", "phone")]


def test_a_page_without_topics_promises_for_all_there_are() -> None:
    facts = Facts(topics={**TOPICS, "bills": TopicInfo("bills", "Bills", transactional=True)})
    assert reach(Need("opt_out"), [], facts) == [
        ("news", "email"), ("news", "sms"), ("offers", "email"), ("offers", "sms"),
    ]  # fmt: skip


support = st.sampled_from(Support)
capabilities = st.builds(
    Capabilities,
    choice=support,
    opt_out=support,
    frequency=support,
    pause=support,
    attributes=support,
    channels=st.lists(st.sampled_from(CHANNELS), unique=True).map(tuple),
)
senders = st.dictionaries(
    st.sampled_from(CHANNELS),
    st.dictionaries(
        st.sampled_from(["default", "news", "offers"]), st.sampled_from(["decide", "crm", "gone"])
    ),
)


@pytest.mark.property
@examples(300)
@given(
    senders,
    capabilities,
    st.sampled_from(["choice", "opt_out", "frequency", "pause", "attributes", "loyalty"]),
    st.sampled_from(["news", "offers", "events"]),
    st.sampled_from(CHANNELS),
)
def test_a_promise_is_kept_by_who_asks_and_by_who_enforces_and_by_nobody_else(
    senders: Mapping[str, Mapping[str, str]], crm: Capabilities, capability: str, topic: str, channel: str
) -> None:
    facts = Facts(senders=senders, capabilities={"crm": crm})
    sender = sender_of(topic, channel, facts)
    said = verdict(Need(capability), topic, channel, sender, facts)
    named = senders.get(channel, {}).get(topic) or senders.get(channel, {}).get("default")
    obeys = channel in crm.channels and getattr(crm, capability, Support.NONE) == Support.ENFORCES
    assert (said == "kept") == (named == "decide" or (named == "crm" and obeys))
    assert (said == "unsent") == (named not in {"decide", "crm"})


MAILCHIMP = "wagtail_prefs.backends.mailchimp.MailchimpBackend"


def sent_by_mailchimp(**options: Any) -> dict[str, Any]:
    keys = ("news", "offers", "events")
    topics = {topic: f"{number}a2b3c4d5e" for number, topic in enumerate(keys)}
    account = {"API_KEY": "0123456789abcdef-us21", "AUDIENCE": "abc123"}
    return sent_by(MAILCHIMP, **account, TOPICS=topics, **options)


@pytest.mark.django_db
def test_what_a_platform_keeps_in_a_field_is_named_with_the_field() -> None:
    """The words that whoever builds the segments needs; and what has no field is a promise that nobody keeps."""
    pause = {**PAUSE, "topics": [factories.make_topics()["news"].pk]}
    page = with_block("pause", **pause)
    all_fields = {"all": "PPAUSE", "topic:news": "PPNEWS"}
    settings = sent_by_mailchimp(FREQUENCY_FIELDS={"all": "PFREQ"}, PAUSE_FIELDS=all_fields)
    told = {finding.code: finding.text for finding in found(page, **settings) if "PP" in finding.text}
    assert set(told) == {"pause-stored"}
    assert "PPNEWS" in told["pause-stored"]
    assert any("in PFREQ:" in finding.text for finding in found(page, **settings))
    assert "promise-broken" not in codes(found(page, **settings))
    # Only a pause of everything has a field: that of one topic is kept by nobody.
    fewer = sent_by_mailchimp(FREQUENCY_FIELDS={"all": "PFREQ"}, PAUSE_FIELDS={"all": "PPAUSE"})
    broken = [finding for finding in found(page, **fewer) if finding.code == "promise-broken"]
    assert [(finding.level, finding.block_id) for finding in broken] == [("error", page[-1]["id"])]
    # No field at all.
    bare = [finding.code for finding in found(page, **sent_by_mailchimp())]
    assert bare.count("promise-broken") >= 2
    obeyed = sent_by_mailchimp(
        FREQUENCY_FIELDS={"all": "PFREQ"},
        PAUSE_FIELDS=all_fields,
        ENFORCES=["choice", "frequency", "pause"],
    )
    assert not {"promise-stored", "pause-stored", "promise-broken"} & set(codes(found(page, **obeyed)))
