"""Workers that die at a point: `python -m tests.sending.dying PORT`, on the database that DATABASE_URL names.

Takes a task a line, `module:name before|after number`, forks a child that drains the queue and sends SIGKILL to itself at
the number-th call, and answers with what `waitpid` says.
"""

from __future__ import annotations

import os
import signal
import sys
from collections.abc import Callable
from functools import wraps
from importlib import import_module
from typing import Any

import django


def arm(target: str, when: str, nth: int) -> None:
    module, _, path = target.partition(":")
    *owners, name = path.split(".")
    owner: Any = import_module(module)
    for part in owners:
        owner = getattr(owner, part)
    setattr(owner, name, dying(getattr(owner, name), when, nth))


def dying(work: Callable[..., Any], when: str, nth: int) -> Callable[..., Any]:
    times = 0

    @wraps(work)
    def armed(*args: Any, **kwargs: Any) -> Any:
        nonlocal times
        times += 1
        if times == nth and when == "before":
            os.kill(os.getpid(), signal.SIGKILL)
        result = work(*args, **kwargs)
        if times == nth:
            os.kill(os.getpid(), signal.SIGKILL)
        return result

    return armed


def main(port: int) -> None:
    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "tests.settings")
    django.setup()
    from django.conf import settings
    from django.core import mail

    from wagtail_prefs.sending import drain

    smtp = "django.core.mail.backends.smtp.EmailBackend"
    if hasattr(mail, "mailers"):
        options = {"host": "127.0.0.1", "port": port, "timeout": 10}
        settings.MAILERS = {"default": {"BACKEND": smtp, "OPTIONS": options}}
    else:
        settings.EMAIL_BACKEND, settings.EMAIL_HOST, settings.EMAIL_PORT = smtp, "127.0.0.1", port
    for line in sys.stdin:
        target, when, nth = line.split()
        child = os.fork()
        if child == 0:
            arm(target, when, int(nth))
            drain.drain()
            os._exit(0)
        print(os.waitpid(child, 0)[1], flush=True)


if __name__ == "__main__":
    main(int(sys.argv[1]))
