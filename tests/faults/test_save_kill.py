"""What was acknowledged to a visitor survives `kill -9` of the web server and of the database, and is there once."""

from __future__ import annotations

import contextlib
import os
import random
import signal
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from django.db import connection

from tests.faults.saving import PEOPLE, People, Server, run
from tests.postgres import cluster

ROUNDS = 3


@pytest.fixture
def database_url(tmp_path: Path) -> Iterator[str]:
    """A database that nothing else uses. PostgreSQL syncs here, as in production: commits are what is tested."""
    if connection.vendor == "sqlite":
        yield f"sqlite:///{tmp_path / 'db.sqlite3'}"
        return
    with cluster(fsync="on", synchronous_commit="on", full_page_writes="on") as url:
        yield url


def saving_while(database_url: str, kill: Callable[[Server], None], rounds: int = ROUNDS) -> None:
    seed = random.SystemRandom().randrange(2**32)
    dice = random.Random(seed)
    facts = run(database_url, "prepare")
    server = Server(database_url)
    server.start()
    people = People(facts, server)
    threads = people.begin()
    try:
        for _ in range(rounds):
            people.wait_for(people.count + dice.randint(3, 40))
            kill(server)
        people.wait_for(people.count + PEOPLE)
    finally:
        people.stop.set()
        for thread in threads:
            thread.join(60)
        server.kill()
    print(f"{rounds} kills, seed {seed}: {people.count} saves acknowledged, {people.resent} sent again")
    assert people.strange == []
    stored = run(database_url, "verify")
    assert set(people.acknowledged) == set(stored)
    for contact, found in stored.items():
        assert found["whole"], (seed, found)
        assert found["folds"], (seed, found)
        # Each key was acknowledged in the end: nothing lost, and nothing doubled by sending again.
        assert people.acknowledged[contact] == set(found["records"]), (seed, found)
        assert found["wanted"] == found["delivered"] == found["version"] == len(found["records"]), (
            seed,
            found,
        )


def test_the_web_server_is_killed_while_people_save(database_url: str) -> None:
    def kill(server: Server) -> None:
        server.kill()
        server.start()

    saving_while(database_url, kill)


@pytest.mark.postgres
def test_the_database_is_killed_while_people_save(database_url: str) -> None:
    """SIGKILL to one of its processes makes PostgreSQL drop all connections and memory, and recover from its log."""

    port = database_url.rpartition(":")[2].partition("/")[0]

    def kill(_server: Server) -> None:
        os.kill(_process_of_cluster(port), signal.SIGKILL)

    saving_while(database_url, kill)


def _process_of_cluster(port: str) -> int:
    """One of the processes that the server on that port has started: its checkpointer, or one that serves somebody."""
    for folder in Path("/proc").glob("[0-9]*"):
        with contextlib.suppress(OSError):
            if f"\0-p\0{port}\0" in (folder / "cmdline").read_text():
                children = (folder / "task" / folder.name / "children").read_text().split()
                return int(children[-1])
    raise AssertionError("the database does not run")


@pytest.mark.soak
def test_the_web_server_is_killed_very_often(database_url: str) -> None:
    def kill(server: Server) -> None:
        server.kill()
        server.start()

    saving_while(database_url, kill, rounds=100)
