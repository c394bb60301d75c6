"""The nudge: after a commit, ask a task worker to send now and not at the next look. The rows are the truth."""

from __future__ import annotations

from django_tasks import task
from django_tasks.backends.immediate import ImmediateBackend

from . import sending


@task()
def send_now() -> None:
    """Send what is due. Without arguments: whatever waits is found in the table."""
    sending.drain()


def wanted() -> bool:
    """Whether there is a worker to nudge. The Immediate backend would talk to a mail server inside the request."""
    return not isinstance(send_now.get_backend(), ImmediateBackend)


def nudge() -> None:
    """Ask for it soon. For `transaction.on_commit`: brokers know nothing of our transaction."""
    send_now.enqueue()
