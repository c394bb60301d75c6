"""What is called in this process, without HTTP: ledger, decisions and previews, each beside what it is held against."""

from __future__ import annotations

import gc
import random
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from statistics import median, quantiles

from . import cpu
from .endpoints import Figure

#: Calls of one kind without an end. Each is prepared before it is handed out, does its work, and says how many it did.
Calls = Iterator[Callable[[], int]]


@dataclass(frozen=True, slots=True)
class Call:
    """`name` is the function of `chains`, `decisions` or `previews` that makes its calls; `statements` where they go past Django."""

    name: str
    label: str
    statements: int | None = None


#: What is held against each other takes turns. The ledger is verified before records of another kind are appended to it.
GROUPS = (
    (
        Call("verify", "ledger: verify a record"),
        Call("bare_verify", "bare chain: verify a body", statements=1),
    ),
    (
        Call("append", "ledger: append a record"),
        Call("bare_append", "bare chain: append a body", statements=1),
    ),
    (
        Call("decide", "decide, 1,000 contacts"),
        Call("bare_decide", "one SQL statement, 1,000 contacts", statements=1),
        Call("decide_json", "decide from JSON to JSON, 1,000"),
        Call("drf_decide", "DRF + one ORM query, 1,000"),
        Call("decide_record", "decide and record, 1,000 contacts"),
    ),
    (
        Call("preview_center", "preview: center of 30 blocks"),
        Call("preview_person", "preview: the same as a person"),
        Call("preview_form", "preview: FormPage of 30 fields"),
    ),
    (
        Call("decide_one", "decide, one contact"),
        Call("bare_decide_one", "one SQL statement, one contact", statements=1),
    ),
)
CALLS = tuple(one for group in GROUPS for one in group)


@dataclass(frozen=True, slots=True)
class Made:
    """One call, in seconds for each unit: how long it took, CPU of this process and of PostgreSQL."""

    elapsed: float
    own: float
    postgres: float


def source(name: str) -> Calls:
    """The calls of one kind; the population is the same in each run, and so is what is drawn from it."""
    from . import chains, decisions, previews

    makers = {**chains.MAKERS, **decisions.MAKERS, **previews.MAKERS}
    return makers[name](random.Random(1))


def measure(rounds: int, seconds: float) -> dict[str, Figure]:
    """The medians of all calls in a round, and of all rounds, each with so many seconds for a call."""
    from . import chains, statements

    chains.wait_for_no_disk()
    sources = {one.name: source(one.name) for one in CALLS}
    counted = {name: len(statements.of_call(calls)) for name, calls in sources.items()}
    counts = {one.name: counted[one.name] if one.statements is None else one.statements for one in CALLS}
    found: dict[str, list[list[Made]]] = {name: [] for name in sources}
    gc.collect()
    gc.freeze()  # what was made before is not looked through in each call
    for group in GROUPS:
        for _ in range(rounds):
            for name, made in spell({one.name: sources[one.name] for one in group}, seconds).items():
                found[name].append(made)
    gc.unfreeze()
    return {name: _figure(made, counts[name]) for name, made in found.items()}


def spell(sources: Mapping[str, Calls], seconds: float) -> dict[str, list[Made]]:
    """Call in turns, and each once at least: what the machine does, and what is in its caches, meets all of them alike."""
    from .chains import backends

    pids = backends()
    made: dict[str, list[Made]] = {name: [] for name in sources}
    spent = 0.0
    while spent < seconds * len(sources):
        for name, calls in sources.items():
            call = next(calls)
            before, start, start_cpu = cpu.exact_seconds(pids), time.perf_counter(), time.process_time()
            units = call()
            own, elapsed = time.process_time() - start_cpu, time.perf_counter() - start
            made[name].append(Made(elapsed / units, own / units, (cpu.exact_seconds(pids) - before) / units))
            spent += elapsed
    return made


def _figure(rounds: list[list[Made]], statements: int) -> Figure:
    elapsed = median(median(one.elapsed for one in made) for made in rounds)
    cuts = [quantiles([one.elapsed for one in made] * 2, n=100) for made in rounds]  # there may be one only
    return Figure(
        rate=1 / elapsed,
        p50=elapsed * 1e3,
        p99=median(cut[98] for cut in cuts) * 1e3,
        web=median(median(one.own for one in made) for made in rounds) * 1e6,
        postgres=median(median(one.postgres for one in made) for made in rounds) * 1e6,
        statements=statements,
        body_bytes=0,
    )
