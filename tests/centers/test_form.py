"""A form without JavaScript says what the person changed, and nothing else."""

from __future__ import annotations

import uuid
from typing import Any

import pytest
from django.http import QueryDict
from hypothesis import given, strategies as st

from tests import pages
from wagtail_prefs.centers.drawing import draw, holds
from wagtail_prefs.centers.form import form_bytes, form_to_answers
from wagtail_prefs.centers.leaves import read, write
from wagtail_prefs.centers.screen import Form, fields_of
from wagtail_prefs.centers.values import Snapshot, make_snapshot
from wagtail_prefs.errors import InvalidAnswers
from wagtail_prefs.values import Json, Spec

BLOCK = "5f1c8e1e-7a55-4b56-9a5e-0d8f7d0a1b11"
OTHER = "0c0ffee0-7a55-4b56-9a5e-0d8f7d0a1b22"
OPTIONS = [{"key": key, "label": key.title(), "help": ""} for key in ("one", "two", "three")]


def control(kind: str, name: str, **own: Any) -> Json:
    common = {"label": name.title(), "help": "", "required": False, "constraints": {}, "locked": None}
    return {"type": kind, "name": name, **common, "personal": False, "media": None, "when": None, **own}


def row(key: str, **own: Any) -> Json:
    common = {"label": key.title(), "help": "", "media": None, "group": "", "locked": None, "when": None}
    return {"key": key, **common, "columns": None, **own}


def snapshot(
    *blocks: tuple[str, list[Json]], paths: dict[str, dict[str, tuple[str, str]]] | None = None
) -> Snapshot:
    documents = [
        {"id": block_id, "type": "test", "heading": "", "text": [], "layout": None, "controls": controls}
        for block_id, controls in blocks
    ]
    labels = {"save": "Save", "pending": "Please confirm", "not_chosen": "Not chosen", "own_page": "Own page"}
    document = {
        "format": 1,
        "center": str(uuid.UUID(int=1)),
        "locale": "en",
        "direction": "ltr",
        "title": "Choices",
        "page_url": "https://brand.example/choices/",
        "blocks": documents,
        "labels": labels,
    }
    specs = [
        Spec(block_id, "test", block, paths=(paths or {}).get(block_id, {}))
        for (block_id, _controls), block in zip(blocks, documents, strict=True)
    ]
    return make_snapshot(document, specs)


def preferences(answers: Json, **own: Any) -> Json:
    return {
        "version": 7,
        "assurance": "link",
        "contact": {"email": "a***@e***.org"},
        "answers": answers,
        **own,
    }


def sent(shown: Form, digest: str) -> dict[str, list[str]]:
    """What a browser sends when the drawn form is submitted as it stands: read from its HTML."""
    return pages.submitted(pages.center(shown), {"idempotency_key": "k1"})


def parse(where: Snapshot, data: dict[str, list[str]]) -> Any:
    query = QueryDict(mutable=True)
    for name, values in data.items():
        query.setlist(name, values)
    return form_to_answers(where, query)


# --- the round trip --------------------------------------------------------------------------------------------------

TOGGLES = ("news", "offers", "events")
CHANNELS = ("email", "sms")
EVERYTHING = snapshot(
    (
        BLOCK,
        [
            control("toggle", "agree"),
            control("one_of", "one", options=OPTIONS),
            control("many_of", "many", options=OPTIONS),
            control("select", "pick", options=OPTIONS),
            control("scale", "scale", constraints={"min": 1, "max": 5}),
            control("text", "name", format="plain", constraints={"max_length": 200}),
            control("text", "story", format="long", constraints={}),
            control("date", "day"),
            control(
                "matrix",
                "choices",
                cell="toggle",
                single=False,
                rows=[row("news"), row("offers", columns=["email"]), row("events")],
                columns=[{"key": key, "label": key.title()} for key in CHANNELS],
            ),
            control(
                "matrix", "flat", cell="toggle", single=True, rows=[row(key) for key in TOGGLES], columns=[]
            ),
            control(
                "matrix",
                "often",
                cell="one_of",
                single=True,
                rows=[row("all"), row("channel:email")],
                columns=OPTIONS,
            ),
            control("rich_text", "note", content=[["p", {}, "Words"]]),
            control("action", "leave", style="danger", do={"answers": {"agree": False}}),
        ],
    ),
    (OTHER, [control("toggle", "agree")]),
)

words = st.text(
    st.characters(exclude_categories=["Cs", "Cc"], include_characters="\n") | st.sampled_from("<>&\"'\n"),
    max_size=12,
)
keys = st.sampled_from([option["key"] for option in OPTIONS])
LEAVES: dict[tuple[str, ...], st.SearchStrategy[Any]] = {
    (BLOCK, "agree"): st.booleans(),
    (BLOCK, "one"): keys,
    (BLOCK, "many"): st.lists(keys, unique=True).map(
        lambda some: sorted(some, key=["one", "two", "three"].index)
    ),
    (BLOCK, "pick"): keys,
    (BLOCK, "scale"): st.integers(1, 5),
    (BLOCK, "name"): words.map(lambda text: text.replace("\n", " ")),
    (BLOCK, "story"): words,
    (BLOCK, "day"): st.dates().map(str),
    **{
        (BLOCK, "choices", topic, channel): st.booleans()
        for topic in TOGGLES
        for channel in CHANNELS
        if (topic, channel) != ("offers", "sms")
    },
    **{(BLOCK, "flat", topic): st.booleans() for topic in TOGGLES},
    **{(BLOCK, "often", scope): keys for scope in ("all", "channel:email")},
    (OTHER, "agree"): st.booleans(),
}
some_answers = st.fixed_dictionaries({}, optional=LEAVES)


def nested(flat: dict[tuple[str, ...], Any]) -> Json:
    answers: Json = {}
    for (block, *place), value in flat.items():
        write(answers.setdefault(block, {}), place, value)
    return answers


def crlf(text: str) -> str:
    """Line ends as a browser sends them."""
    return text.replace("\r\n", "\n").replace("\n", "\r\n")


def empty(value: Any) -> bool:
    return value in (None, False, "", [])


@given(stored=some_answers, edits=some_answers)
def test_what_a_form_says_is_the_difference_between_what_was_drawn_and_what_came_back(
    stored: dict[tuple[str, ...], Any], edits: dict[tuple[str, ...], Any]
) -> None:
    drawn = draw(EVERYTHING.document, preferences(nested(stored)))
    data = sent(drawn, EVERYTHING.digest)
    for place, value in edits.items():
        name = ".".join(place)
        if isinstance(value, bool):
            data[name] = ["1"] if value else []
        elif isinstance(value, list):
            data[name] = value
        else:
            data[name] = [crlf(str(value))]
    submitted = parse(EVERYTHING, {name: values for name, values in data.items() if values})

    changed = {
        place: value
        for place, value in edits.items()
        # "Not asked" and "not ticked", "empty" and "nothing picked" look the same on paper.
        if not (value == stored.get(place) or (empty(value) and empty(stored.get(place))))
    }
    assert submitted.answers == nested(changed)
    assert (submitted.base_version, submitted.revision) == (7, EVERYTHING.digest)


@given(stored=some_answers)
def test_a_form_sent_as_it_was_drawn_says_nothing(stored: dict[tuple[str, ...], Any]) -> None:
    drawn = draw(EVERYTHING.document, preferences(nested(stored)))
    assert parse(EVERYTHING, sent(drawn, EVERYTHING.digest)).answers == {}


@given(stored=some_answers, edits=some_answers)
def test_a_refused_form_is_drawn_again_as_it_was_sent(
    stored: dict[tuple[str, ...], Any], edits: dict[tuple[str, ...], Any]
) -> None:
    data = sent(draw(EVERYTHING.document, preferences(nested(stored))), EVERYTHING.digest)
    for place, value in edits.items():
        values = value if isinstance(value, list) else [crlf(str(value))]
        data[".".join(place)] = (["1"] if value else []) if isinstance(value, bool) else values
    data = {name: values for name, values in data.items() if values}
    query = QueryDict(mutable=True)
    for name, values in data.items():
        query.setlist(name, values)
    # Meanwhile something else was saved; what was on the paper stays on the paper.
    again = draw(EVERYTHING.document, preferences({}, version=9), posted=query)
    assert pages.submitted(pages.center(again), {"idempotency_key": "k1"}) == data


# --- single rules ----------------------------------------------------------------------------------------------------

CHOICES = control(
    "matrix",
    "choices",
    cell="toggle",
    single=False,
    rows=[row("news"), row("orders", locked="Always sent.")],
    columns=[{"key": "email", "label": "E-mail"}],
)
SMALL = snapshot(
    (
        BLOCK,
        [
            CHOICES,
            control("scale", "scale", constraints={"min": 0, "max": 10}),
            control("toggle", "fixed", locked="Because."),
            control("action", "leave", do={"answers": {"opted_out": True}}),
            control("action", "undo", do="undo"),
            control("action", "barred", do={"answers": {"x": 1}}, locked="Not now."),
        ],
    ),
    paths={BLOCK: {"choice:secret:email": ("choices.secret.email", "Secret by e-mail")}},
)


def filled(**fields: str | list[str]) -> dict[str, list[str]]:
    base = {"base_version": "3", "revision": SMALL.digest, "idempotency_key": "abc"}
    return {name: value if isinstance(value, list) else [value] for name, value in {**base, **fields}.items()}


@pytest.mark.parametrize(
    ("was", "ticked", "answer"),
    [
        ("1", False, False),
        ("1", True, None),
        ("0", False, None),
        ("0", True, True),
        ("", False, None),  # never asked, and still not said
        ("", True, True),
    ],
)
def test_a_box(was: str, ticked: bool, answer: bool | None) -> None:
    name = f"{BLOCK}.choices.news.email"
    data = filled(**{f"was.{name}": was, **({name: "1"} if ticked else {})})
    assert read(parse(SMALL, data).answers, (BLOCK, "choices", "news", "email")) is answer


def test_a_row_that_only_some_people_see_is_known_by_its_path() -> None:
    name = f"{BLOCK}.choices.secret.email"
    assert parse(SMALL, filled(**{f"was.{name}": "", name: "1"})).answers == {
        BLOCK: {"choices": {"secret": {"email": True}}}
    }


def test_a_pressed_action_sends_its_own_answers_and_ignores_the_rest() -> None:
    name = f"{BLOCK}.choices.news.email"
    submitted = parse(SMALL, filled(do=f"{BLOCK}.leave", nonsense="1", **{f"was.{name}": "0", name: "1"}))
    assert submitted.answers == {BLOCK: {"opted_out": True}}


@pytest.mark.parametrize(
    "name",
    [
        "nonsense",
        "csrfmiddlewaretoken",
        "was.nonsense",
        f"{OTHER}.choices.news.email",
        f"{BLOCK}.other",
        f"{BLOCK}.choices",
        f"{BLOCK}.choices.news",
        f"{BLOCK}.choices.news.sms",
        f"{BLOCK}.choices.news.email.more",
        f"{BLOCK}.choices.orders.email",
        f"{BLOCK}.choices.unknown.email",
        f"{BLOCK}.fixed",
        f"was.{BLOCK}.fixed",
        f"{BLOCK}.leave",
        "",
    ],
)
def test_a_name_that_the_snapshot_does_not_offer_is_refused(name: str) -> None:
    with pytest.raises(InvalidAnswers) as refused:
        parse(SMALL, filled(**{name: "1"}))
    block, _dot, field = name.removeprefix("was.").partition(".")
    assert list(refused.value.errors) == [block]
    assert list(refused.value.errors[block]) == [field]


@pytest.mark.parametrize(
    "pressed",
    [
        [f"{BLOCK}.undo"],
        [f"{BLOCK}.barred"],
        [f"{BLOCK}.news"],
        ["leave"],
        [""],
        [f"{BLOCK}.leave", f"{BLOCK}.leave"],
    ],
)
def test_a_button_that_is_not_on_the_page_is_refused(pressed: list[str]) -> None:
    with pytest.raises(InvalidAnswers):
        parse(SMALL, filled(do=pressed))


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("base_version", "-1"),
        ("base_version", "1.0"),
        ("base_version", "٣"),
        ("base_version", "9" * 16),
        ("base_version", ["1", "2"]),
        ("base_version", []),
        ("revision", "f" * 64),
        ("revision", "x"),
        ("revision", []),
        ("idempotency_key", ""),
        ("idempotency_key", "k" * 65),
        ("idempotency_key", "white space"),
    ],
)
def test_what_stands_in_the_form_once_must_be_right(field: str, value: str | list[str]) -> None:
    with pytest.raises(InvalidAnswers) as refused:
        parse(SMALL, {name: values for name, values in filled(**{field: value}).items() if values})
    assert list(refused.value.errors[""]) == [field]


@pytest.mark.parametrize("value", [["2"], ["on"], ["1", "1"], [""]])
def test_a_box_sends_a_tick_or_nothing(value: list[str]) -> None:
    name = f"{BLOCK}.choices.news.email"
    with pytest.raises(InvalidAnswers) as refused:
        parse(SMALL, filled(**{name: value, f"was.{name}": "0"}))
    assert list(refused.value.errors[BLOCK]) == ["choices.news.email"]


@pytest.mark.parametrize("value", ["three", "1e1", "1.5", "９", "0x1", "9" * 16])
def test_a_scale_takes_whole_numbers(value: str) -> None:
    with pytest.raises(InvalidAnswers):
        parse(SMALL, filled(**{f"{BLOCK}.scale": value, f"was.{BLOCK}.scale": ""}))


def test_no_form_of_a_center_is_larger_than_its_bound() -> None:
    many = snapshot(
        (
            BLOCK,
            [
                control(
                    "matrix",
                    "choices",
                    cell="toggle",
                    single=False,
                    rows=[row(f"topic-{number:03}") for number in range(100)],
                    columns=[{"key": channel, "label": channel} for channel in ("email", "sms", "in_app")],
                ),
                control("many_of", "many", options=[{**OPTIONS[0], "key": f"option-{n}"} for n in range(50)]),
                control("text", "story", format="long", constraints={"max_length": 1000}),
            ],
        )
    )
    data = sent(draw(many.document, preferences({BLOCK: {"story": "\U0001f600" * 1000}})), many.digest)
    data |= {name.removeprefix("was."): ["1"] for name in data if "choices" in name}
    data[f"{BLOCK}.many"] = [f"option-{n}" for n in range(50)]
    data[f"{BLOCK}.story"] = ["\U0001f600" * 1000]
    query = QueryDict(mutable=True)
    for name, values in data.items():
        query.setlist(name, values)
    size = len(query.urlencode())
    assert 16 * 1024 < size < form_bytes(many) < 4 * size


# --- what is drawn ---------------------------------------------------------------------------------------------------


def fields(form: Form) -> dict[str, Any]:
    return {
        field.name: field
        for section in form.sections
        for drawn in section.controls
        for field in fields_of(drawn)
    }


def test_nothing_is_ticked_that_was_not_chosen_and_what_waits_is_told() -> None:
    form = draw(SMALL.document, preferences({}, pending=[f"{BLOCK}.choices.news.email"]))
    cell = fields(form)[f"{BLOCK}.choices.news.email"]
    assert not cell.ticked
    assert fields(form)[f"{BLOCK}.choices.news"].pending == "E-mail: Please confirm"


def test_what_is_locked_is_disabled_with_its_reason_and_not_part_of_the_form() -> None:
    found = fields(draw(SMALL.document, preferences({})))
    cell, own_row, toggle = (
        found[f"{BLOCK}.{name}"] for name in ("choices.orders.email", "choices.orders", "fixed")
    )
    assert cell.disabled
    assert cell.was is None
    assert own_row.locked == "Always sent."
    assert (toggle.disabled, toggle.was, toggle.locked) == (True, None, "Because.")


def test_without_preferences_everything_is_there_and_nothing_can_be_changed() -> None:
    form = draw(SMALL.document, None)
    assert not form.enabled
    assert not form.can_save
    assert all(
        field.disabled and field.was is None for name, field in fields(form).items() if "choices." in name
    )


@pytest.mark.parametrize(
    ("hidden", "gone"),
    [
        ([BLOCK], ["choices", "choices.news", "choices.news.email", "scale"]),
        ([f"{BLOCK}.scale"], ["scale"]),
        ([f"{BLOCK}.choices.news"], ["choices.news", "choices.news.email"]),
    ],
)
def test_what_is_hidden_from_a_contact_is_not_drawn(hidden: list[str], gone: list[str]) -> None:
    names = set(fields(draw(SMALL.document, preferences({}))))
    left = set(fields(draw(SMALL.document, preferences({}, hidden=hidden))))
    assert names - left >= {f"{BLOCK}.{name}" for name in gone if f"{BLOCK}.{name}" in names}
    assert names - left


def test_private_rows_are_added_for_those_who_may_see_them() -> None:
    seen = preferences({}, private={BLOCK: {"choices": [row("secret")]}})
    assert f"{BLOCK}.choices.secret.email" in fields(draw(SMALL.document, seen))
    assert f"{BLOCK}.choices.secret.email" not in fields(draw(SMALL.document, preferences({})))


def test_a_condition_holds_against_the_stored_answers() -> None:
    when = {"block": BLOCK, "control": "agree", "in": [True]}
    where = snapshot((BLOCK, [control("toggle", "agree"), control("toggle", "more", when=when)]))
    assert f"{BLOCK}.more" in fields(draw(where.document, preferences({BLOCK: {"agree": True}})))
    assert f"{BLOCK}.more" not in fields(draw(where.document, preferences({BLOCK: {"agree": False}})))
    assert f"{BLOCK}.more" not in fields(draw(where.document, preferences({})))


@pytest.mark.parametrize(
    ("when", "answer", "expected"),
    [
        ({"in": [True]}, True, True),
        ({"in": [True]}, 1, False),
        ({"in": [None]}, None, True),
        ({"in": ["a"]}, ["b", "a"], True),
        ({"in": ["a"]}, [], False),
        ({"not_in": [True]}, None, True),
        ({"not_in": ["a"]}, ["b", "a"], False),
        ({"not_in": ["a"]}, "b", True),
    ],
)
def test_conditions(when: Json, answer: Any, expected: bool) -> None:
    assert holds(when, answer) is expected


def test_a_personal_answer_is_shown_masked_until_the_link_is_fresh() -> None:
    where = snapshot((BLOCK, [control("text", "phone", format="tel", personal=True)]))
    answers = {BLOCK: {"phone": "+4*** 99"}}
    masked = fields(draw(where.document, preferences(answers)))[f"{BLOCK}.phone"]
    assert (masked.masked, masked.was, masked.value) == (True, None, "+4*** 99")
    fresh = fields(draw(where.document, preferences(answers, assurance="fresh")))[f"{BLOCK}.phone"]
    assert (fresh.masked, fresh.was) == (False, "+4*** 99")


def test_the_save_button_stands_only_where_it_would_do_something() -> None:
    only_buttons = snapshot(
        (BLOCK, [control("action", "leave", style="danger", do={"answers": {"opted_out": True}})])
    )
    assert not draw(only_buttons.document, preferences({})).can_save
    assert draw(SMALL.document, preferences({})).can_save


def test_the_summary_names_the_field_and_leads_to_it() -> None:
    errors = {BLOCK: {"choices.news.email": ["Not now."], "__all__": ["Odd."]}, "": {"revision": ["Old."]}}
    form = draw(SMALL.document, preferences({}), errors=errors)
    assert [(problem.name, problem.text) for problem in form.problems] == [
        (f"{BLOCK}.choices.news.email", "News, E-mail: Not now."),
        ("", "Odd."),
        ("", "Old."),
    ]
    assert fields(form)[f"{BLOCK}.choices.news"].errors == ("Not now.",)
