"""`python -m tests.bench`: starts PostgreSQL, makes the calls, starts gunicorn, loads every endpoint, prints figures."""

from __future__ import annotations

import argparse
import json
import os
import signal
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from tests import postgres

from . import calls, layout
from .calls import CALLS
from .endpoints import ENDPOINTS, Round, figure

if TYPE_CHECKING:
    from .goals import Figures
    from .places import Places
    from .requests import Source, Traffic
    from .server import Server

#: A save is acknowledged when it is on the disk, so that is what is measured.
DURABLE = {"fsync": "on", "synchronous_commit": "on", "full_page_writes": "on"}

SLICE_SECONDS = 1.0


def arguments(given: Sequence[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m tests.bench", description=__doc__)
    parser.add_argument("--check", action="store_true", help="exit with 1 beyond a goal + 25 %%")
    parser.add_argument("--contacts", type=int, default=10_000, help="how many there are (10000)")
    parser.add_argument("--rounds", type=int, default=3, help="of which the medians are printed (3)")
    parser.add_argument(
        "--seconds",
        type=float,
        default=4.0,
        help="for each endpoint in each round, half of it for each call (4)",
    )
    parser.add_argument(
        "--quick", action="store_true", help="one short round: shows that it runs, measures nothing"
    )
    parser.add_argument("--json", type=Path, metavar="FILE", help="write the figures there as well")
    parser.add_argument("--deliveries", action="store_true", help="nothing but the deliveries")
    parser.add_argument(
        "--profile",
        metavar="NAME",
        choices=[one.name for one in (*ENDPOINTS, *CALLS)],
        help="say where the time goes instead",
    )
    options = parser.parse_args(given)
    if options.quick:
        options.contacts, options.rounds, options.seconds = 100, 1, 0.3
    return options


def main(given: Sequence[str]) -> int:
    options = arguments(given)
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))  # servers must not outlive a run that is ended
    os.environ["DJANGO_SETTINGS_MODULE"] = "tests.bench.site.settings"
    with postgres.cluster(**DURABLE) as url:
        os.environ["DATABASE_URL"] = url
        import django

        django.setup()
        from .site import data

        say(f"Making {options.contacts:,} contacts ...")
        places = data.prepare(options.contacts)
        if options.profile:
            from . import profiling

            profiling.show(places, options.profile)
            return 0
        if options.deliveries:
            print(report_of_deliveries(options))
            return 0
        say("Calling ...")
        figures = {
            **calls.measure(options.rounds, options.seconds / 2),
            **measure(places, options),
            **suppress(options),
            **deliver(options),
        }
    say("Drawing ...")
    figures |= layout.measure(options.rounds * 7)
    from . import goals, report

    print(report.text(figures, options.contacts, options.rounds))
    if options.json:
        found = report.as_json(figures, options.contacts, options.rounds)
        options.json.write_text(json.dumps(found, indent=2) + "\n")
    return int(options.check and not all(goal.tolerable(figures) for goal in goals.GOALS))


def deliver(options: argparse.Namespace) -> Figures:
    """Last, because the rows of all deliveries are others afterwards."""
    from . import deliveries

    say("Delivering ...")
    rows = min(20_000, options.contacts * 9 // 10)
    waiting = (1_000, 10_000) if options.quick else (10_000, 1_000_000)
    return deliveries.measure(options.rounds, rows, waiting)


def suppress(options: argparse.Namespace) -> Figures:
    from . import suppressions

    say("Writing files ...")
    return suppressions.measure(options.rounds)


def report_of_deliveries(options: argparse.Namespace) -> str:
    from . import report

    return "\n".join(report.deliveries(deliver(options)))


def measure(places: Places, options: argparse.Namespace) -> Figures:
    from . import server, statements
    from .requests import Traffic

    traffic = Traffic(places, statements.in_process)
    counts = {one.name: len(statements.of(traffic.source(one.name))) for one in ENDPOINTS}
    rounds: dict[str, list[Round]] = {one.name: [] for one in ENDPOINTS}
    with server.gunicorn() as running:
        one_round(running, traffic, 0.3)  # fills what the workers remember
        for number in range(options.rounds):
            say(f"Round {number + 1} of {options.rounds} ...")
            for name, found in one_round(running, traffic, options.seconds).items():
                rounds[name].append(found)
    return {name: figure(found, counts[name]) for name, found in rounds.items()}


def one_round(running: Server, traffic: Traffic, seconds: float) -> dict[str, Round]:
    """Every endpoint for so long, in turns of a second: what else the machine does meets all of them alike."""
    slices = max(1, round(seconds / SLICE_SECONDS))
    parts: dict[str, list[Round]] = {one.name: [] for one in ENDPOINTS}
    for _ in range(slices):
        for one in ENDPOINTS:
            parts[one.name].append(one_slice(running, traffic.source(one.name), seconds / slices))
    return {name: Round.of(found) for name, found in parts.items()}


def one_slice(running: Server, requests: Source, seconds: float) -> Round:
    from . import cpu, load

    backends = database_backends()
    before = cpu.seconds(running.workers), cpu.seconds(backends)
    run = load.run(running.port, requests, seconds)
    after = cpu.seconds(running.workers), cpu.seconds(backends)
    web, database = (new - old for new, old in zip(after, before, strict=True))
    return Round(run.elapsed, web, database, run.seconds, run.body_bytes)


def database_backends() -> list[int]:
    """The processes of PostgreSQL that serve the workers."""
    from django.db import connection

    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT pid FROM pg_stat_activity WHERE backend_type = 'client backend' AND pid <> pg_backend_pid()"
        )
        return [pid for (pid,) in cursor.fetchall()]


def say(text: str) -> None:
    """Progress, beside what is printed."""
    if sys.stderr.isatty():
        print(f"\r\033[K{text}", end="", file=sys.stderr, flush=True)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
