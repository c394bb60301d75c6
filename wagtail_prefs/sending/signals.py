"""Signals of mails that wait, and of digests: for whoever composes them, and whoever watches over a site.

A receiver of any of them runs in the worker, must be quick, and stops nothing by raising.
"""

from __future__ import annotations

from django.dispatch import Signal

#: A period is over, and what waited for it may go out as one message. Sent once per contact and channel, with
#:
#: - `sender`: `digests.Digest`;
#: - `digest`: one of those. A receiver composes one message of its items and calls `digest.send(message)`; where none
#:   does, the oldest item goes out alone, and the others wait for the next period.
#:
#: Where a receiver raises before it has sent anything, all of it is tried again later.
digest_due = Signal()

#: A mail was put off, with
#:
#: - `sender`: `models.Waiting`;
#: - `waiting`: its row: `message_id`, `contact`, `topic`, `channel`, `kind`, `reason`, `due_at`.
mail_waiting = Signal()

#: A mail waits no more, with
#:
#: - `sender`: `models.Waiting`;
#: - `waiting`: its row, as it is now;
#: - `outcome`: one of `Waiting.Outcome`.
mail_settled = Signal()
