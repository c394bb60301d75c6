"""The named points at which a process is killed: of the worker, of the web process, and of PostgreSQL.

The code that is killed knows nothing of them: `points_worker` wraps what stands in `target`, in a child.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

DELIVERY = "wagtail_prefs.delivery"
HOOK = "wagtail_prefs.backends.webhook:WebhookBackend"
TABLES = "wagtail_prefs.backends.database.backend:DatabaseBackend"
SAVES = "wagtail_prefs.submissions.services"


@dataclass(frozen=True, slots=True)
class Point:
    """Where `who` dies: before or after `target` is carried out, or `within` a transaction that holds what it did.

    `most` is how often every run comes by there at least; the run dies at one of these times. `given` is what else must
    have happened: "slow" (the platform takes its time), "stopped" (the worker is asked to end), "lost" (another worker has taken the rows over), "erased",
    "moved" (one of the people, after the platforms have heard of her), "arrival" (the platform told us of her opt-out), "sealing" (of whatever is new).
    """

    name: str
    target: str  # "module:name" or "module:Class.name"
    when: Literal["before", "after", "within"]
    who: Literal["worker", "web"]
    most: int = 1
    given: str = ""
    victim: Literal["itself", "server"] = "itself"


#: How many people a run is about, and how many saves it makes before anybody may be killed in the worker.
PEOPLE, SAVES_A_RUN = 3, 5

WORKER = (
    Point("worker: with its heartbeat left", f"{DELIVERY}.lanes:enter", "after", "worker", 2),
    Point("worker: before a claim", f"{DELIVERY}.rows:claim", "before", "worker", 2),
    Point("worker: in a claim, before its commit", f"{DELIVERY}.rows:claim", "within", "worker", 2),
    Point("worker: after a claim", f"{DELIVERY}.rows:claim", "after", "worker", 2),
    Point("worker: before the plan", f"{HOOK}.plan", "before", "worker", PEOPLE),
    Point("worker: after the plan", f"{HOOK}.plan", "after", "worker", PEOPLE),
    Point("worker: after it looked at its rows again", f"{DELIVERY}.rows:held", "after", "worker", PEOPLE),
    Point("worker: before the call", f"{HOOK}.execute", "before", "worker", PEOPLE),
    Point("worker: after the platform answered", f"{HOOK}.execute", "after", "worker", PEOPLE),
    Point("worker: in the transaction of the backend `database`", f"{TABLES}._write", "after", "worker"),
    Point("worker: after the backend `database` wrote", f"{TABLES}.execute", "after", "worker"),
    Point("worker: before it settles", f"{DELIVERY}.rows:settle", "before", "worker", PEOPLE),
    Point("worker: in settling, before its commit", f"{DELIVERY}.rows:settle", "within", "worker", PEOPLE),
    Point("worker: after it settled", f"{DELIVERY}.rows:settle", "after", "worker", PEOPLE),
    Point("worker: when it renews its leases", f"{DELIVERY}.rows:renew", "before", "worker", given="slow"),
    Point("worker: before it undoes what a lost lease did", f"{DELIVERY}.rows:rewind", "before", "worker", given="lost"),
    Point("worker: before it gives rows back", f"{DELIVERY}.rows:release", "before", "worker", given="stopped"),
    Point("worker: before a platform forgets her", f"{HOOK}.erase", "before", "worker", given="erased"),
    Point("worker: after a platform forgot her", f"{HOOK}.erase", "after", "worker", given="erased"),
    Point("worker: after a platform heard of her new address", f"{HOOK}.execute", "after", "worker", given="moved"),
    Point("worker: with an event of a platform in its hands", "wagtail_prefs.sync.inbound:_claim", "after", "worker", given="arrival"),
    Point("worker: in recording an event, before its commit", f"{SAVES}:record", "within", "worker", given="arrival"),
    Point("worker: when it makes a seal", "wagtail_prefs.ledger.seals:_make", "after", "worker", given="sealing"),
)  # fmt: skip
WEB = (
    Point("web: before the lock", f"{SAVES}:_lock", "before", "web", SAVES_A_RUN),
    Point("web: after the lock", f"{SAVES}:_lock", "after", "web", SAVES_A_RUN),
    Point("web: after it has read", f"{SAVES}:_read", "after", "web", SAVES_A_RUN),
    Point("web: before the writes", "wagtail_prefs.writes:carry_out", "before", "web", SAVES_A_RUN),
    Point("web: after the writes, before the commit", "wagtail_prefs.writes:carry_out", "after", "web", SAVES_A_RUN),
    Point("web: after the commit, in the nudge", f"{DELIVERY}.tasks:nudge", "before", "web", SAVES_A_RUN),
    Point("web: after the commit, before the answer", f"{SAVES}:record", "after", "web", SAVES_A_RUN),
    Point("web: when it notes what to forget of one erased", f"{DELIVERY}.retiring:write", "after", "web", given="erased"),
    Point("web: when it notes a former address", f"{DELIVERY}.retiring:write", "after", "web", given="moved"),
)  # fmt: skip
POSTGRES = (
    Point("postgres: before a claim", f"{DELIVERY}.rows:claim", "before", "worker", victim="server"),
    Point("postgres: in a claim, before its commit", f"{DELIVERY}.rows:claim", "within", "worker", victim="server"),
    Point("postgres: before rows are settled", f"{DELIVERY}.rows:settle", "before", "worker", PEOPLE, victim="server"),
    Point("postgres: after rows were settled", f"{DELIVERY}.rows:settle", "after", "worker", PEOPLE, victim="server"),
    Point("postgres: after the lock of a save", f"{SAVES}:_lock", "after", "web", SAVES_A_RUN, victim="server"),
    Point("postgres: before a save commits", "wagtail_prefs.writes:carry_out", "after", "web", SAVES_A_RUN, victim="server"),
    Point("postgres: after a save committed", f"{SAVES}:record", "after", "web", SAVES_A_RUN, victim="server"),
)  # fmt: skip
