"""What the worker does beside delivering, at every look: each cheap where there is nothing to do."""

from __future__ import annotations

from collections.abc import Callable

from ..access.retention import forget_now_and_then
from ..decisions.alarm import watch_unsubscriptions
from ..ledger.counts import count_new
from ..mail.retention import forget_old_mails
from ..submissions.requests import work_off
from ..submissions.services import expire_due
from ..sync.uploads import forget_old

CHORES: list[Callable[[], object]] = [
    work_off,
    expire_due,
    count_new,
    watch_unsubscriptions,
    forget_old,
    forget_now_and_then,
    forget_old_mails,
]
