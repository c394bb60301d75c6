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
from .endpoints import ENDPOINTS
from .goals import GOALS, TOLERANCE, Figures

HEAD = ("", "req/s", "p50 ms", "p99 ms", "web CPU µs", "PG CPU µs", "SQL", "bytes")
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
            *_table(("", "measured", "goal", ""), ratios),
        ]
    )


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
