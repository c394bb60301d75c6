"""What every test stands on: which tests run, no network but loopback, and Debian's Chromium for the browser tests.

Properties over random examples bear `@pytest.mark.property` and take their number from `tests.properties.examples`:
they run in every suite, and in `make soak` with ten times as many examples. The summary tells counts and the seed.
"""

from __future__ import annotations

import os
import random
import re
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import hypothesis
import hypothesis.core
import pytest
from django.core.cache import cache
from django.db import connection
from django.utils import translation
from hypothesis.vendor.pretty import RepresentationPrinter
from pytest_django import DjangoDbBlocker
from pytest_django.live_server_helper import LiveServer

from tests.leaks import Leaks
from tests.properties import SOAK
from tests.settings import SCRATCH

TESTS = Path(__file__).resolve().parent
# Real servers, builds and kills; `make check` leaves them out. A slow test elsewhere says so by itself.
SLOW_FOLDERS = (
    "bench",
    "browser",
    "docs",
    "engines",
    "example_site",
    "faults",
    "mailman",
    "other_browsers",
    "package",
)
# Of the other folders: what races, tampers or tries by the thousand.
SLOW_FILES = (
    "access/test_mutations.py",
    "centers/test_localize.py",
    "centers/test_own_page_model.py",
    "conformance/test_naive.py",
    "conformance/test_write_a_backend.py",
    "decisions/test_headers.py",
    "decisions/test_together.py",
    "ledger/test_tampering.py",
    "sending/test_kill.py",
    "sending/test_month.py",
    "submissions/test_erase.py",
    "submissions/test_machine.py",
    "submissions/test_together.py",
    "sync/test_inbound_model.py",
    "web/test_safe_methods.py",
)
ON_REQUEST = ("soak", "screenshots")  # run only when `-m` names them

# A deadline for one example would measure the machine.
hypothesis.settings.register_profile("prefs", deadline=None, print_blob=True)
hypothesis.settings.register_profile(SOAK, hypothesis.settings.get_profile("prefs"))
hypothesis.settings.load_profile("prefs")

# Playwright's synchronous API runs a loop in the test's thread, where Django would refuse the database.
os.environ.setdefault("DJANGO_ALLOW_ASYNC_UNSAFE", "1")


@pytest.hookimpl(tryfirst=True)
def pytest_configure(config: pytest.Config) -> None:
    # schemathesis takes the printer of examples away for the whole process: a failure would name none.
    hypothesis.core.RepresentationPrinter = RepresentationPrinter  # type: ignore[attr-defined]  # no public name
    config.addinivalue_line("markers", "property: random examples; `make soak` tries ten times as many")
    config.addinivalue_line("markers", "sqlite: what only SQLite would do; left out elsewhere")
    if "soak" in config.option.markexpr:
        hypothesis.settings.load_profile(SOAK)
    config.pluginmanager.register(Leaks(), "prefs-leaks")
    if config.option.hypothesis_seed is None:  # one for the whole run, also of the workers of pytest-xdist
        of_the_run = getattr(config, "workerinput", {}).get("hypothesis_seed")
        config.option.hypothesis_seed = of_the_run or str(random.SystemRandom().randrange(2**32))


@pytest.hookimpl(optionalhook=True)
def pytest_configure_node(node: Any) -> None:
    node.workerinput["hypothesis_seed"] = node.config.option.hypothesis_seed


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    for item in items:
        path = item.path.relative_to(TESTS) if item.path.is_relative_to(TESTS) else item.path
        if path.parts[0] in SLOW_FOLDERS or path.as_posix() in SLOW_FILES:
            item.add_marker("slow")
    asked = config.option.markexpr
    if "soak" in asked:
        for item in items:
            if item.get_closest_marker("property"):
                item.add_marker("soak")
    unasked = {name for name in ON_REQUEST if name not in asked}
    # What only the other database would do runs in the suite that has it.
    unasked.add("sqlite" if connection.vendor == "postgresql" else "postgres")
    left_out = [item for item in items if unasked & {mark.name for mark in item.iter_markers()}]
    if left_out:
        config.hook.pytest_deselected(items=left_out)
        items[:] = [item for item in items if item not in left_out]


def pytest_unconfigure() -> None:
    for left in SCRATCH.glob(f"{os.getpid()}-test.sqlite3*"):  # where a thread kept it open
        left.unlink(missing_ok=True)


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """What tests were told to tell: how much they tried, and with which seed."""
    told = [
        value
        for reports in terminalreporter.stats.values()
        for report in reports
        for name, value in getattr(report, "user_properties", ())
        if name == "told" and getattr(report, "when", "") == "teardown"
    ]
    for line in sorted(set(told)):
        terminalreporter.write_line(f"tried: {line}")


@pytest.fixture
def tell(record_property: Callable[[str, object], None]) -> Callable[[str], None]:
    """Adds a line to the summary of the run: counts and seeds that a reader of CI should see."""
    return lambda line: record_property("told", line)


@pytest.fixture(autouse=True)
def _told_examples(request: pytest.FixtureRequest, tell: Callable[[str], None]) -> Iterator[None]:
    """Tells how many examples a property tried, and of which seed."""
    yield
    if request.node.get_closest_marker("property"):
        said = getattr(request.node, "hypothesis_statistics", None)
        if said is not None:  # None for one that was skipped
            counts = re.findall(r"(\d+) passing", said)
            assert counts, "hypothesis words its statistics in another way now"
            seed = request.config.option.hypothesis_seed
            name = request.node.nodeid.removesuffix("::runTest").removeprefix("tests/")
            tell(f"{name}, {sum(map(int, counts))} examples, --hypothesis-seed={seed}")


@pytest.fixture(scope="session")
def django_db_setup(django_db_setup: None, django_db_blocker: DjangoDbBlocker) -> Iterator[None]:
    """A live server's last thread may still hold a connection, and then PostgreSQL would not drop the database."""
    yield
    if connection.vendor == "postgresql":
        with django_db_blocker.unblock(), connection.cursor() as cursor:
            cursor.execute(
                "SELECT pg_terminate_backend(pid) FROM pg_stat_activity"
                " WHERE datname = current_database() AND pid <> pg_backend_pid()"
            )


@pytest.fixture(autouse=True)
def _no_language() -> None:
    """The language of a request stays that of its thread: one test must not speak it to the next."""
    translation.deactivate()


@pytest.fixture(autouse=True)
def _empty_cache() -> Iterator[None]:
    """The cache is one for the process, and so is what a process counts: one test must not limit the next."""
    from wagtail_prefs.access.limits import forget_process
    from wagtail_prefs.decisions import counting, promises

    cache.clear()
    forget_process()
    counting.by_itself(False)
    counting.forget()
    promises.forget_process()
    yield
    cache.clear()
    counting.forget()  # the end of the process would look for a database that is gone


@pytest.fixture(scope="session")
def live_server(django_db_setup: None, live_server: LiveServer) -> LiveServer:
    """pytest-django's, begun when there is a database: before, its name says "in memory", and then the server's threads
    would share the connection of the tests, and close it under them.
    """
    return live_server


@pytest.fixture(scope="session")
def redis_url() -> Iterator[str]:
    """A Redis server on loopback."""
    from tests.redis_server import serving

    with serving() as url:
        yield url


@pytest.fixture(scope="session")
def chromium() -> str:
    """The installed Chromium. Playwright's own build is not downloaded."""
    named = os.environ.get("PREFS_CHROMIUM")
    path = named or next(
        filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None
    )
    if not path:
        pytest.fail("No Chromium is installed: run `make install`, or name one in PREFS_CHROMIUM.")
    return path


@pytest.fixture(scope="session")
def browser_type_launch_args(browser_type_launch_args: dict[str, Any], chromium: str) -> dict[str, Any]:
    return {
        **browser_type_launch_args,
        "executable_path": chromium,
        "args": [
            *(["--no-sandbox"] if os.geteuid() == 0 else []),
            "--disable-dev-shm-usage",
            "--disable-gpu",
            "--disable-quic",
            "--no-first-run",
            # A test's browser asks nobody but the test's server.
            "--disable-background-networking",
            "--disable-component-update",
            "--disable-domain-reliability",
            "--disable-sync",
            "--host-resolver-rules=MAP * ~NOTFOUND, EXCLUDE localhost, EXCLUDE *.localhost, EXCLUDE 127.0.0.1",
        ],
    }
