"""Runs the test suites one after the other, and says how long each took: `python -m tests.run [suite ...]`.

All suites run, also after a failure. Each must stay below SUITE_BUDGET_MINUTES, where that is set; what repeats by the
hundred in the largest goes to `make soak` first.
`make test` prepares what the suites need and then runs this.
"""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from xml.etree import ElementTree as ET

ROOT = Path(__file__).resolve().parent.parent
REPORTS = ROOT / ".make" / "reports"
SUITE_MINUTES = 30  # a suite that hangs is ended

PYTHON = ROOT / ".venv" / "bin" / "python"
PYTHON_313 = ROOT / ".venv-313" / "bin" / "python"
# What depends neither on the database nor on the Python: a suite of its own.
ONCE = ("bench", "docs", "package")
REST = [f"--ignore=tests/{folder}" for folder in ONCE]
LIGHT = [
    *REST,
    *(
        f"--ignore=tests/{place}"
        for place in (
            "browser",
            "conformance",
            "engines",
            "example_site",
            "faults",
            "mailman",
            "other_browsers",
            "test_translations.py",
        )
    ),
]
# What knows no database, or would do the same on each, and tries much: once on each Python is enough.
PURE = (
    "backends/test_addresses.py",
    "backends/test_deadlines.py",
    "backends/test_http.py",
    "backends/test_mailman.py",
    "backends/test_mapping.py",
    "backends/test_transport.py",
    "conformance/test_console.py",
    "conformance/test_memory.py",
    "conformance/test_naive.py",
    "conformance/test_proxy.py",
    "conformance/test_write_a_backend.py",
    "blocks",
    "centers/test_localize.py",
    "centers/test_own_page_model.py",
    "contacts/test_merging.py",
    "contacts/test_moments.py",
    "contacts/test_rules.py",
    "contacts/test_undoing.py",
    "contacts/test_uniting.py",
    "decisions/test_headers.py",
    "decisions/test_periods.py",
    "law",
    "ledger/test_tampering.py",
    "mailman",
    "sync/test_drift.py",
    "sync/test_inbound_rules.py",
    "test_canonical.py",
    "test_changes.py",
    "test_html.py",
    "test_html_corpus.py",
    "test_leaks.py",
    "test_translations.py",
)
# What looks at pages in a browser, and the demo, which writes as the tests of the packages do; what writes by a browser stays.
SEEN = (
    "browser/test_accessibility.py",
    "browser/test_attacks.py",
    "browser/test_composing.py",
    "browser/test_editor.py",
    "browser/test_embedded.py",
    "browser/test_getting_in.py",
    "browser/test_own_element.py",
    "browser/test_scanner.py",
    "browser/test_states.py",
    "example_site",
    "other_browsers",
)
# What kills processes, or has them meet: where a site runs several. `faults/test_points.py` kills on SQLite, too.
SEVERAL = (
    "engines",
    "faults/test_delivery_kill.py",
    "faults/test_limits_parallel.py",
    "faults/test_save_kill.py",
)
STORED = [*REST, *(f"--ignore=tests/{place}" for place in (*PURE, *SEEN))]


def pytest(name: str, *arguments: str, python: Path = PYTHON) -> list[str]:
    report = f"--junitxml={REPORTS / name}.xml"
    return [str(python), "-m", "pytest", "-q", "-n", "2", "--dist", "loadfile", report, *arguments]


SUITES: dict[str, Sequence[Sequence[str]]] = {
    "sqlite": [pytest("sqlite", *REST, *(f"--ignore=tests/{place}" for place in SEVERAL))],
    "postgres": [[str(PYTHON), "-m", "tests.postgres", "--", *pytest("postgres", *STORED)]],
    "py313": [pytest("py313", *LIGHT, "-m", "not slow", python=PYTHON_313)],
    "frontend": [
        [
            *("npm", "--prefix", "frontend", "run", "--silent", "test", "--"),
            *("--reporter=default", "--reporter=junit", f"--outputFile.junit={REPORTS / 'frontend.xml'}"),
        ],
        ["npm", "--prefix", "frontend", "run", "--silent", "size"],
    ],
    "once": [pytest("once", *(f"tests/{folder}" for folder in ONCE if (ROOT / "tests" / folder).is_dir()))],
}


@dataclass(slots=True)
class Outcome:
    name: str
    ok: bool
    seconds: float
    tests: int = 0
    failed: int = 0
    skipped: int = 0

    @property
    def passed(self) -> int:
        return self.tests - self.failed - self.skipped


def run(name: str) -> Outcome:
    print(f"\n=== {name}", flush=True)
    report = REPORTS / f"{name}.xml"
    report.unlink(missing_ok=True)
    start = time.monotonic()
    results = [_command(command) for command in SUITES[name]]  # all of them, also after a failure
    ok = all(results)
    outcome = Outcome(name, ok, time.monotonic() - start)
    if report.exists():
        for suite in ET.parse(report).iter("testsuite"):
            outcome.tests += int(suite.get("tests", 0))
            outcome.failed += int(suite.get("failures", 0)) + int(suite.get("errors", 0))
            outcome.skipped += int(suite.get("skipped", 0))
    return outcome


def _command(command: Sequence[str]) -> bool:
    # A session of its own, so that servers and browsers that a hanging suite started end with it.
    process = subprocess.Popen(command, cwd=ROOT, stdin=subprocess.DEVNULL, start_new_session=True)
    try:
        return process.wait(timeout=SUITE_MINUTES * 60) == 0
    except subprocess.TimeoutExpired:
        print(f"Ended after {SUITE_MINUTES} minutes: {' '.join(command)}", file=sys.stderr)
        return False
    finally:
        if process.poll() is None:
            os.killpg(process.pid, signal.SIGTERM)
            process.wait(timeout=30)


def main(names: Sequence[str]) -> int:
    unknown = set(names) - set(SUITES)
    if unknown:
        print(
            f"No such suite: {', '.join(sorted(unknown))}. There are: {', '.join(SUITES)}.", file=sys.stderr
        )
        return 2
    REPORTS.mkdir(parents=True, exist_ok=True)
    chosen = list(names or SUITES)
    if not names and not PYTHON_313.exists() and not os.environ.get("CI"):
        print("Left out: py313, for want of Python 3.13.")
        chosen.remove("py313")
    outcomes = [run(name) for name in chosen]

    seconds = sum(outcome.seconds for outcome in outcomes)
    budget = float(os.environ.get("SUITE_BUDGET_MINUTES") or 0) * 60
    print(f"\n{'suite':<10} {'result':<7} {'time':>6} {'passed':>7} {'failed':>7} {'skipped':>8}")
    for outcome in outcomes:
        print(
            f"{outcome.name:<10} {'ok' if outcome.ok else 'FAILED':<7} {_clock(outcome.seconds):>6} "
            f"{outcome.passed:>7} {outcome.failed:>7} {outcome.skipped:>8}"
        )
    print(f"{'total':<18} {_clock(seconds):>6}")
    late = [outcome.name for outcome in outcomes if 0 < budget < outcome.seconds]
    for name in late:
        print(f"{name} took longer than the {_clock(budget)} that a suite may.")
    passed, failed, skipped = (
        sum(getattr(each, key) for each in outcomes) for key in ("passed", "failed", "skipped")
    )
    # A suite may fail beyond its tests: the element grows too large, a worker dies.
    failed = max(failed, sum(not outcome.ok for outcome in outcomes))
    print(f"{passed} passed, {failed} failed, {skipped} skipped")
    return 1 if failed or late else 0


def _clock(seconds: float) -> str:
    return f"{int(seconds) // 60}:{int(seconds) % 60:02}"


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
