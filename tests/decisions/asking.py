"""A process of its own that does what it is told, a line at a time, and answers with a line each.

    ask CONTACT                     -> verdict and reason
    opt-out | leave | pause CONTACT -> "done", once it is committed
    race CONTACT THREADS TIMES      -> "ready"; after the next line, "sends others": what so many messages at once got

It lives at the moment that DECIDING_AT names, so that no week ends while it runs.
"""

from __future__ import annotations

import os
import sys
import threading
import uuid
from collections import Counter
from datetime import datetime, timedelta
from uuid import UUID

import django
import time_machine


def ask(contact: UUID) -> str:
    from wagtail_prefs import decide

    decision = decide(contact, "news", "email")
    return f"{decision.verdict} {decision.reason}"


def choose(what: str, contact: UUID) -> str:
    from django.utils import timezone

    from wagtail_prefs import record
    from wagtail_prefs.changes import OptOut, Pause, SetChoice
    from wagtail_prefs.values import Actor, ActorType

    change = {
        "opt-out": OptOut(),
        "leave": SetChoice("news", "email", "unsubscribed"),
        "pause": Pause("", "", timezone.now() + timedelta(days=7)),
    }[what]
    record(contact, change, by=Actor(ActorType.SUBJECT_SESSION))
    return "done"


def race(contact: UUID, threads: int, times: int) -> str:
    from django.db import connection

    from wagtail_prefs import decide

    answers: Counter[str] = Counter()
    lock, begin = threading.Lock(), threading.Barrier(threads + 1)

    def work() -> None:
        connection.ensure_connection()
        begin.wait()
        try:
            for _ in range(times):
                verdict = decide(contact, "news", "email", record=uuid.uuid4().hex).verdict
                with lock:
                    answers[verdict] += 1
        finally:
            connection.close()

    workers = [threading.Thread(target=work) for _ in range(threads)]
    for worker in workers:
        worker.start()
    print("ready", flush=True)
    sys.stdin.readline()
    begin.wait()
    for worker in workers:
        worker.join()
    return f"{answers.pop('send', 0)} {answers.pop('digest', 0)} {sum(answers.values())}"


def main() -> None:
    for line in sys.stdin:
        what, contact, *numbers = line.split()
        who = UUID(contact)
        if what == "ask":
            said = ask(who)
        elif what == "race":
            said = race(who, *map(int, numbers))
        else:
            said = choose(what, who)
        print(said, flush=True)


if __name__ == "__main__":
    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "tests.settings")
    django.setup()
    with time_machine.travel(datetime.fromisoformat(os.environ["DECIDING_AT"])):
        main()
