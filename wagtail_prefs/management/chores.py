"""What the worker does beside delivering, at every look: each cheap where there is nothing to do."""

from __future__ import annotations

from collections.abc import Callable

from ..access.retention import forget_now_and_then
from ..contacts.keys_in_use import remember
from ..decisions.alarm import watch_unsubscriptions
from ..decisions.promises import count_now_and_then
from ..delivery.alarms import watch
from ..delivery.backfill import feed
from ..delivery.retiring import forget_retired
from ..ledger.counts import count_new
from ..mail.retention import forget_old_mails
from ..rights.duplicates import go_on
from ..rights.erasure import follow_now_and_then
from ..rights.retention import answer_asked, forget_daily
from ..sending.pause_notice import announce_ended_pauses
from ..sending.retention import forget_settled
from ..submissions.requests import work_off
from ..submissions.services import expire_due
from ..sync.arrivals import forget_arrivals
from ..sync.comparing import compare_backends
from ..sync.inbound import work_off_arrivals
from ..sync.polling import poll_backends
from ..sync.uploads import forget_old

CHORES: list[Callable[[], object]] = [
    remember,
    work_off,
    work_off_arrivals,
    poll_backends,
    feed,
    compare_backends,
    expire_due,
    announce_ended_pauses,
    count_new,
    watch_unsubscriptions,
    count_now_and_then,
    forget_old,
    forget_now_and_then,
    forget_old_mails,
    forget_settled,
    follow_now_and_then,
    forget_retired,
    watch,
    forget_arrivals,
    forget_daily,
    answer_asked,
    go_on,
]
