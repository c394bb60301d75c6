"""What is called in this process, without HTTP: the ledger and decisions, each beside the least that could do it."""

from __future__ import annotations

import gc
import random
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from statistics import median, quantiles

from . import cpu
from .endpoints import Figure

SLICE_SECONDS = 0.5

#: Calls of one kind without an end. Each is prepared before it is handed out, does its work, and says how many it did.
Calls = Iterator[Callable[[], int]]


@dataclass(frozen=True, slots=True)
class Call:
    """`name` is the function of `chains` or `decisions` that makes its calls; `statements` where they go past Django."""

    name: str
    label: str
    statements: int | None = None


CALLS = (
    Call("append", "ledger: append a record"),
    Call("bare_append", "bare chain: append a body", statements=1),
    Call("verify", "ledger: verify a record"),
    Call("bare_verify", "bare chain: verify a body", statements=1),
    Call("decide", "decide, 1,000 contacts"),
    Call("bare_decide", "one SQL statement, 1,000 contacts", statements=1),
    Call("decide_json", "decide from JSON to JSON, 1,000"),
    Call("drf_decide", "DRF + one ORM query, 1,000"),
    Call("decide_record", "decide and record, 1,000 contacts"),
    Call("decide_one", "decide, one contact"),
    Call("bare_decide_one", "one SQL statement, one contact", statements=1),
)


@dataclass(frozen=True, slots=True)
class Spell:
    """One kind of call for a while, in seconds: each unit, CPU of this process and of PostgreSQL."""

    units: int
    seconds: list[float]
    client: float
    postgres: float


def source(name: str) -> Calls:
    """The calls of one kind; the population is the same in each run, and so is what is drawn from it."""
    from . import chains, decisions

    makers = {**chains.MAKERS, **decisions.MAKERS}
    return makers[name](random.Random(1))


def measure(rounds: int, seconds: float) -> dict[str, Figure]:
    """The medians of all rounds. In each, the kinds take turns: what else the machine does meets all of them alike."""
    from . import chains, statements

    chains.wait_for_no_disk()
    sources = {one.name: source(one.name) for one in CALLS}
    counted = {name: len(statements.of_call(calls)) for name, calls in sources.items()}
    counts = {one.name: counted[one.name] if one.statements is None else one.statements for one in CALLS}
    found: dict[str, list[Spell]] = {name: [] for name in sources}
    slices = max(1, round(seconds / SLICE_SECONDS))
    gc.collect()
    gc.freeze()  # what was made before is not looked through in each call
    for _ in range(rounds):
        parts: dict[str, list[Spell]] = {name: [] for name in sources}
        for _ in range(slices):
            for name, calls in sources.items():
                parts[name].append(spell(calls, seconds / slices))
        for name, some in parts.items():
            found[name].append(_together(some))
    gc.unfreeze()
    return {name: _figure(some, counts[name]) for name, some in found.items()}


def spell(calls: Calls, seconds: float) -> Spell:
    """Call for so long, and once at least."""
    from .chains import backends

    pids = backends()
    units, client, spent = 0, 0.0, 0.0
    each: list[float] = []
    before = cpu.exact_seconds(pids)
    while spent < seconds:
        call = next(calls)
        start, start_cpu = time.perf_counter(), time.process_time()
        done = call()
        client += time.process_time() - start_cpu
        took = time.perf_counter() - start
        spent += took
        units += done
        each.append(took / done)
    return Spell(units, each, client, cpu.exact_seconds(pids) - before)


def _together(parts: list[Spell]) -> Spell:
    return Spell(
        units=sum(part.units for part in parts),
        seconds=[one for part in parts for one in part.seconds],
        client=sum(part.client for part in parts),
        postgres=sum(part.postgres for part in parts),
    )


def _figure(rounds: list[Spell], statements: int) -> Figure:
    cuts = [quantiles(one.seconds * 2, n=100) for one in rounds]  # twice: there may be one only
    p50 = median(cut[49] for cut in cuts)
    return Figure(
        rate=1 / p50,
        p50=p50 * 1e3,
        p99=median(cut[98] for cut in cuts) * 1e3,
        web=median(one.client / one.units for one in rounds) * 1e6,
        postgres=median(one.postgres / one.units for one in rounds) * 1e6,
        statements=statements,
        body_bytes=0,
    )
