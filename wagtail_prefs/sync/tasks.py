"""The nudge: where events are looked at now and not at the worker's next look. The rows are the truth."""

from __future__ import annotations

from django.db import transaction
from django_tasks import task
from django_tasks.backends.immediate import ImmediateBackend


@task()
def work_off_arrivals_now() -> None:
    """Look at what came in. Without arguments: whatever waits is found in the table."""
    from .inbound import work_off_arrivals  # noqa: PLC0415 - who asks for this needs none of it

    work_off_arrivals()


def nudge() -> None:
    """Ask for it as soon as the transaction is over. The Immediate backend would do the work in the request."""
    if not isinstance(work_off_arrivals_now.get_backend(), ImmediateBackend):
        transaction.on_commit(work_off_arrivals_now.enqueue, robust=True)
