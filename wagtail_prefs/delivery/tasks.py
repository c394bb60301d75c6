"""The nudge: after a commit, ask a task worker to deliver now and not at the next sweep. The rows are the truth."""

from __future__ import annotations

from django_tasks import task
from django_tasks.backends.immediate import ImmediateBackend

from . import drain


@task()
def deliver_now() -> None:
    """Deliver what is due. Without arguments: whatever waits is found in the table."""
    drain.run(drain.configured())


def wanted() -> bool:
    """Whether there is a worker to nudge. The Immediate backend would call the CRM inside the visitor's request."""
    return not isinstance(deliver_now.get_backend(), ImmediateBackend)


def nudge() -> None:
    """Ask for a delivery soon. For `transaction.on_commit`: brokers know nothing of our transaction."""
    deliver_now.enqueue()
