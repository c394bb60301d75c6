"""The nudge: where strangers' requests are worked off now and not at the worker's next look. The rows are the truth."""

from __future__ import annotations

from django.db import transaction
from django_tasks import task
from django_tasks.backends.immediate import ImmediateBackend


@task()
def work_off_now() -> None:
    """Work off what is due. Without arguments: whatever waits is found in the table."""
    from .requests import work_off  # noqa: PLC0415 - it is below who asks for this

    work_off()


def wanted() -> bool:
    """Whether there is a worker to nudge.

    The Immediate backend would do the work in the visitor's request, which would take longer for an address that is
    known (security.md AB-01).
    """
    return not isinstance(work_off_now.get_backend(), ImmediateBackend)


def nudge() -> None:
    """Ask for it as soon as the transaction is over: brokers know nothing of ours."""
    if wanted():
        # robust: what was saved is saved, and the next look finds it, whatever the broker says.
        transaction.on_commit(work_off_now.enqueue, robust=True)
