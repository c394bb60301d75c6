"""Charts: their bars are as long as their numbers, and stay on the paper."""

from __future__ import annotations

from itertools import pairwise

import pytest
from hypothesis import given, strategies as st

from tests.properties import examples
from wagtail_prefs.admin import charts

LEGEND = ("Opt-ins", "Opt-outs")
PAIRS = st.lists(
    st.builds(charts.Pair, st.text(max_size=40), st.integers(0, 10**9), st.integers(0, 10**9)), max_size=124
)


@pytest.mark.property
@examples(200)
@given(pairs=PAIRS)
def test_columns_are_as_high_as_their_numbers(pairs: list[charts.Pair]) -> None:
    chart = charts.columns("c", "t", "d", LEGEND, pairs)
    assert len(chart.groups) == len(pairs)
    _hold(chart, pairs, [("up", "height"), ("down", "height")])


@pytest.mark.property
@examples(200)
@given(pairs=PAIRS)
def test_rows_are_as_wide_as_their_numbers(pairs: list[charts.Pair]) -> None:
    chart = charts.rows("c", "t", "d", LEGEND, pairs)
    assert chart.height >= charts.ROW * len(pairs)
    _hold(chart, pairs, [("up", "width"), ("down", "width")])


def _hold(chart: charts.Chart, pairs: list[charts.Pair], lengths: list[tuple[str, str]]) -> None:
    most = max((max(pair.up, pair.down) for pair in pairs), default=0)
    drawn = {}
    for number, (group, pair) in enumerate(zip(chart.groups, pairs, strict=True)):
        assert group.words.startswith(pair.label)
        for bar in group.bars:
            assert 0 <= bar.x <= bar.x + bar.width <= chart.width + 0.05
            assert 0 <= bar.y <= bar.y + bar.height <= chart.height + 0.05
            (length,) = (getattr(bar, name) for kind, name in lengths if kind == bar.kind)
            drawn[number, bar.kind] = length
    unit = None
    for (number, kind), length in drawn.items():
        value = getattr(pairs[number], kind)
        assert value > 0
        if value == most:
            unit = length / value
    for (number, kind), length in drawn.items():
        assert unit is not None
        assert length == pytest.approx(getattr(pairs[number], kind) * unit, abs=0.03)
    for mark in chart.marks:
        assert 0 <= mark.x <= chart.width
        assert 0 <= mark.y <= chart.height


@pytest.mark.parametrize(
    ("most", "step"),
    [(0, 1), (1, 1), (5, 1), (6, 2), (10, 2), (11, 5), (25, 5), (26, 10), (51, 20), (1000, 200)],
)
def test_the_steps_are_round(most: int, step: int) -> None:
    chart = charts.columns("c", "t", "d", LEGEND, [charts.Pair("x", most, 0)])
    labels = [mark.text for mark in chart.marks if mark.anchor == "end"]
    assert labels[1] == str(step)


def test_dates_do_not_stand_on_each_other() -> None:
    chart = charts.columns("c", "t", "d", LEGEND, [charts.Pair(str(n), 1, 1) for n in range(124)])
    places = sorted(mark.x for mark in chart.marks if mark.anchor == "middle")
    assert 5 <= len(places) <= charts.DATES
    assert min(b - a for a, b in pairwise(places)) > 60


def test_the_widest_numbers_stand_on_the_paper() -> None:
    pairs = [charts.Pair("x", 999_999_999, 999_999_999)]
    for chart in (charts.columns("c", "t", "d", LEGEND, pairs), charts.rows("c", "t", "d", LEGEND, pairs)):
        for mark in chart.marks:
            width = 6 * len(mark.text)  # of digits 12 high, about
            if mark.anchor == "middle":
                assert mark.x + width / 2 <= chart.width


def test_long_names_are_cut() -> None:
    chart = charts.rows("c", "t", "d", LEGEND, [charts.Pair("x" * 200, 1, 0)])
    assert max(len(mark.text) for mark in chart.marks) == charts.NAME
    assert "x" * 200 in chart.groups[0].words
