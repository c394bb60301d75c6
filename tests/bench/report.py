"""The tables that people read, and the JSON that programs do."""

from __future__ import annotations

import os
import platform
from collections.abc import Iterable
from dataclasses import asdict
from typing import Any

import django
import psycopg
import rest_framework
import wagtail

from .calls import CALLS
from .deliveries import ALL as DELIVERIES
from .endpoints import ENDPOINTS
from .goals import GOALS, TOLERANCE, Figures
from .layout import LABELS as LAYOUT
from .suppressions import ALL as SUPPRESSIONS

HEAD = ("", "req/s", "p50 ms", "p99 ms", "web CPU µs", "PG CPU µs", "SQL", "bytes")
LAYOUT_HEAD = ("in Chromium, 4 x slower", "p50 ms", "p99 ms")
DELIVERIES_HEAD = ("deliveries", "rows/s", "own CPU µs", "PG CPU µs", "peak MB")
SUPPRESSIONS_HEAD = ("suppressions", "rows/s", "first row ms", "own CPU µs", "PG CPU µs", "grown MB")
CALLS_HEAD = ("without HTTP", "a second", "p50 ms", "p99 ms", "own CPU µs", "PG CPU µs", "SQL")


def versions() -> dict[str, str]:
    return {
        "python": platform.python_version(),
        "django": django.__version__,
        "wagtail": wagtail.__version__,
        "drf": rest_framework.VERSION,
        "psycopg": psycopg.__version__,
    }


def text(figures: Figures, contacts: int, rounds: int) -> str:
    names = ", ".join(f"{name} {version}" for name, version in versions().items())
    rows = [
        (
            endpoint.label,
            f"{found.rate:,.0f}",
            f"{found.p50:.2f}",
            f"{found.p99:.2f}",
            f"{found.web:,.0f}",
            f"{found.postgres:,.0f}",
            str(found.statements),
            f"{found.body_bytes:,}",
        )
        for endpoint in ENDPOINTS
        for found in [figures[endpoint.name]]
    ]
    calls = [
        (
            call.label,
            f"{found.rate:,.0f}",
            f"{found.p50:.3f}",
            f"{found.p99:.3f}",
            f"{found.web:,.0f}",
            f"{found.postgres:,.0f}",
            str(found.statements),
        )
        for call in CALLS
        for found in [figures[call.name]]
    ]
    ratios = [
        (
            goal.text,
            f"{goal.measure(figures):.4g}",
            f"{'>=' if goal.at_least else '<='} {goal.limit:g}",
            verdict(goal.reached(figures), goal.tolerable(figures)),
        )
        for goal in GOALS
    ]
    return "\n".join(
        [
            f"{names}; {os.cpu_count()} cores; {contacts:,} contacts; median of {rounds}",
            "",
            *_table(HEAD, rows),
            "",
            *_table(CALLS_HEAD, calls),
            "",
            *deliveries(figures),
            "",
            *suppressions(figures),
            "",
            *layout(figures),
            "",
            *_table(("", "measured", "goal", ""), ratios),
        ]
    )


def deliveries(figures: Figures) -> list[str]:
    """What two workers deliver, as a table."""
    rows = [
        (
            work.label,
            f"{found.rate:,.0f}",
            f"{found.web:,.0f}",
            f"{found.postgres:,.0f}",
            f"{found.body_bytes / 1e6:,.0f}",
        )
        for work in DELIVERIES
        for found in [figures[work.name]]
    ]
    return _table(DELIVERIES_HEAD, rows)


def suppressions(figures: Figures) -> list[str]:
    """What writes files of everybody, as a table; CPU a row."""
    rows = [
        (
            work.label,
            f"{found.rate:,.0f}",
            f"{found.p50:,.0f}",
            f"{found.web:,.2f}",
            f"{found.postgres:,.2f}",
            f"{found.body_bytes / 1e6:,.0f}",
        )
        for work in SUPPRESSIONS
        for found in [figures[work.name]]
    ]
    return _table(SUPPRESSIONS_HEAD, rows)


def layout(figures: Figures) -> list[str]:
    """What a visitor's browser needs, as a table."""
    rows = [(label, f"{figures[name].p50:.2f}", f"{figures[name].p99:.2f}") for name, label in LAYOUT.items()]
    return _table(LAYOUT_HEAD, rows)


def verdict(reached: bool, tolerable: bool) -> str:
    if reached:
        return "ok"
    return "missed" if tolerable else f"beyond the goal + {TOLERANCE - 1:.0%}"


def as_json(figures: Figures, contacts: int, rounds: int) -> dict[str, Any]:
    return {
        "versions": versions(),
        "cores": os.cpu_count(),
        "contacts": contacts,
        "rounds": rounds,
        "figures": {name: asdict(found) for name, found in figures.items()},
        "ratios": [
            {
                "text": goal.text,
                "measured": goal.measure(figures),
                "goal": goal.limit,
                "at_least": goal.at_least,
                "reached": goal.reached(figures),
                "tolerable": goal.tolerable(figures),
            }
            for goal in GOALS
        ],
    }


def _table(head: Iterable[str], rows: Iterable[Iterable[str]]) -> list[str]:
    lines = [tuple(head), *map(tuple, rows)]
    widths = [max(map(len, column)) for column in zip(*lines, strict=True)]
    return [
        "  ".join(
            cell.rjust(width) if place else cell.ljust(width)
            for place, (cell, width) in enumerate(zip(line, widths, strict=True))
        ).rstrip()
        for line in lines
    ]
