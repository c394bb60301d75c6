"""Signals of deliveries, for whoever watches over a site."""

from __future__ import annotations

from django.dispatch import Signal

#: Opt-outs have not reached a backend in time. Sent once per outage and level, by the worker, with
#:
#: - `sender`: the alias of the backend. Look at it in the receiver: a `sender=` given to `connect` is compared by identity;
#: - `level`: "15m", "law" or "24h";
#: - `count`: how many people wait (`int`);
#: - `since`: when the oldest of them opted out (`datetime`).
#:
#: A receiver runs in the worker and must be quick; one that raises stops nothing.
opt_outs_late = Signal()
