"""A process that saves, as a web process does: `python -m tests.engines.web`.

Takes one JSON list a line on its standard input and answers with one line:

["prepare"]            the table of the queue that keeps its tasks in the database; nothing for the others
["save", name, wish]   the contact and her version now
["sweep"]              what cron does: `prefs_deliver --once`; its exit code
["queued"]             what waits in the queue of the database, as text
["clear"]              the table goes
"""

from __future__ import annotations

import io
import json
import sys
from typing import Any

import django


def prepare() -> None:
    from django.db import connection

    for model in _tables():
        with connection.schema_editor() as editor:
            editor.create_model(model)


def clear() -> None:
    from django.db import connection

    for model in _tables():
        with connection.schema_editor() as editor:
            editor.delete_model(model)


def save(name: str, wish: str) -> dict[str, Any]:
    from tests.delivery import people

    contact = people.person(name)
    return {"contact": str(contact), "version": people.save(contact, getattr(people, wish))}


def sweep() -> int:
    from django.core.management import call_command

    try:
        call_command("prefs_deliver", "--once", stdout=io.StringIO())
    except SystemExit as ended:
        return int(ended.code or 0)
    return 0


def queued() -> list[str]:
    return [json.dumps(row, default=str) for model in _tables() for row in model.objects.values()]


def _tables() -> list[Any]:
    from django.apps import apps

    if not apps.is_installed("django_tasks_db"):
        return []
    return list(apps.get_app_config("django_tasks_database").get_models())


if __name__ == "__main__":
    django.setup()
    commands = {"prepare": prepare, "save": save, "sweep": sweep, "queued": queued, "clear": clear}
    print(json.dumps("ready"), flush=True)
    for line in sys.stdin:
        command, *arguments = json.loads(line)
        print(json.dumps(commands[command](*arguments)), flush=True)
