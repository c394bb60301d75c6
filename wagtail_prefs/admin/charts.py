"""Bar charts as plain shapes, for a template to draw: pure arithmetic, no colours, no script.

What a bar means is said by its side of the line, its pattern and the legend, never by colour alone; the table beside a
chart has the same numbers. Lengths are units of the drawing, which the page scales.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from django.utils.formats import number_format

WIDTH, HEIGHT = 720, 240
#: Room for the numbers at the side, for the dates below, and above and at the right end.
LEFT, BOTTOM, TOP, RIGHT = 56, 28, 12, 12
#: Of a chart with names at its side: their room, the height of a row, and of the numbers below.
NAMES, ROW = 200, 26
#: Half of the widest number below, which stands at the very end.
HALF = 40
#: Most dates that are written below, and longest name at the side.
DATES, NAME = 9, 28


@dataclass(frozen=True, slots=True)
class Bar:
    """One bar; `kind` is `up` or `down`, as the legend has them."""

    kind: str
    x: float
    y: float
    width: float
    height: float


@dataclass(frozen=True, slots=True)
class Group:
    """The bars of one period or topic, with their numbers in words, which a pointer shows."""

    words: str
    bars: tuple[Bar, ...]


@dataclass(frozen=True, slots=True)
class Mark:
    """A text with the place that it is written at; `anchor` as SVG has it."""

    x: float
    y: float
    text: str
    anchor: str = "middle"


@dataclass(frozen=True, slots=True)
class Line:
    """From one point to another."""

    x1: float
    y1: float
    x2: float
    y2: float


@dataclass(frozen=True, slots=True)
class Chart:
    """What a template draws. `name` is unique on its page; `legend` are the words for up and down."""

    name: str
    title: str
    text: str
    legend: tuple[str, str]
    width: float
    height: float
    groups: tuple[Group, ...]
    grid: tuple[Line, ...]
    zero: Line
    marks: tuple[Mark, ...]


@dataclass(frozen=True, slots=True)
class Pair:
    """What is drawn for one period or topic: how many up, how many down, both 0 or more."""

    label: str
    up: int
    down: int


def columns(name: str, title: str, text: str, legend: tuple[str, str], pairs: Sequence[Pair]) -> Chart:
    """Bars up and down from a line, from left to right."""
    scale = _Scale.of(pairs)
    room = HEIGHT - TOP - BOTTOM
    unit = room / (scale.up + scale.down)
    zero = TOP + scale.up * unit
    step = (WIDTH - LEFT - RIGHT) / max(len(pairs), 1)
    wide = _round(step * 0.7)
    groups, marks = [], []
    every = math.ceil(len(pairs) / DATES)
    for number, pair in enumerate(pairs):
        x = _round(LEFT + step * number + (step - wide) / 2)
        bars = (
            Bar("up", x, _round(zero - pair.up * unit), wide, _round(pair.up * unit)),
            Bar("down", x, _round(zero), wide, _round(pair.down * unit)),
        )
        groups.append(Group(_words(pair, legend), tuple(bar for bar in bars if bar.height)))
        if number % every == 0:
            marks.append(Mark(_round(LEFT + step * (number + 0.5)), HEIGHT - 8, pair.label))
    grid = []
    for value in scale.ticks:
        y = _round(zero - value * unit)
        grid.append(Line(LEFT, y, WIDTH - RIGHT, y))
        marks.append(Mark(LEFT - 8, y + 4, _number(abs(value)), "end"))
    line = Line(LEFT, _round(zero), WIDTH - RIGHT, _round(zero))
    return Chart(name, title, text, legend, WIDTH, HEIGHT, tuple(groups), tuple(grid), line, tuple(marks))


def rows(name: str, title: str, text: str, legend: tuple[str, str], pairs: Sequence[Pair]) -> Chart:
    """Bars to the right (up) and to the left (down) of a line, one below the other, with their names at the side."""
    scale = _Scale.of(pairs)
    unit = (WIDTH - NAMES - 12 - HALF) / (scale.up + scale.down)
    zero = NAMES + 12 + scale.down * unit
    height = TOP + ROW * len(pairs) + BOTTOM
    thick = ROW - 10
    groups, marks = [], []
    for number, pair in enumerate(pairs):
        y = TOP + ROW * number + 5
        bars = (
            Bar("up", _round(zero), y, _round(pair.up * unit), thick),
            Bar("down", _round(zero - pair.down * unit), y, _round(pair.down * unit), thick),
        )
        groups.append(Group(_words(pair, legend), tuple(bar for bar in bars if bar.width)))
        marks.append(Mark(NAMES, y + thick - 4, _short(pair.label), "end"))
    grid = []
    for value in scale.ticks:
        x = _round(zero + value * unit)
        grid.append(Line(x, TOP, x, height - BOTTOM))
        marks.append(Mark(x, height - 8, _number(abs(value))))
    line = Line(_round(zero), TOP, _round(zero), height - BOTTOM)
    return Chart(name, title, text, legend, WIDTH, height, tuple(groups), tuple(grid), line, tuple(marks))


@dataclass(frozen=True, slots=True)
class _Scale:
    """How far it goes up and down, in whole steps of a round number; never nothing at all."""

    up: int
    down: int
    step: int

    @classmethod
    def of(cls, pairs: Iterable[Pair]) -> _Scale:
        up = down = 0
        for pair in pairs:
            up, down = max(up, pair.up), max(down, pair.down)
        step = _step(max(up, down))
        return cls(max(math.ceil(up / step), 0 if down else 1) * step, math.ceil(down / step) * step, step)

    @property
    def ticks(self) -> range:
        return range(-self.down, self.up + 1, self.step)


def _step(most: int) -> int:
    """1, 2 or 5 times a power of ten, so that there are at most five steps to the most."""
    power = 1
    while True:
        for times in (1, 2, 5):
            if most <= 5 * times * power:
                return times * power
        power *= 10


def _words(pair: Pair, legend: tuple[str, str]) -> str:
    return f"{pair.label}: {legend[0]} {_number(pair.up)}, {legend[1]} {_number(pair.down)}"


def _number(value: int) -> str:
    return str(number_format(value))


def _short(label: str) -> str:
    return label if len(label) <= NAME else f"{label[: NAME - 1]}…"


def _round(value: float) -> float:
    return round(value, 2)
