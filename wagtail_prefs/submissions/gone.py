"""What a screen offered and nobody can get any more: topics deleted or archived since, and blocks no longer installed.

A screen may be old: a tab, a mail on a page that was published again. What still exists is saved, the rest is named. A
no is taken of anything, also of what is gone.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from django.db.models import QuerySet

from ..blocks.registry import block_classes
from ..centers import services as centers
from ..centers.services import Snapshot
from ..changes import Change, SetChoice, SetFrequency
from ..contacts import rules
from ..errors import NotPublished
from ..topics.models import Topic
from ..values import UNSUBSCRIBED, Answers, ContactState, Merged


def gone_topics(snapshot: Snapshot, changes: Iterable[Change]) -> frozenset[str]:
    """The topics that are asked for here and gone. No statement where the screen is the one that is published."""
    wanted = {change.key[0] for change in changes if _asks(change)}
    if not wanted:
        return frozenset()
    try:
        center = centers.lately(snapshot.center, snapshot.locale)
    except NotPublished:  # then nobody knows of which site it was
        return frozenset(wanted - set(_there(wanted).values_list("key", flat=True)))
    if center.digest == snapshot.digest:
        return frozenset()
    # A block of the site's own may offer what is not in our library.
    offered = {path for spec in centers.get_snapshot(center.digest).specs for path in spec.paths}
    wanted -= {path.split(":")[1] for path in offered if path.startswith("choice:")}
    if wanted:
        wanted -= set(_there(wanted).filter(audience_id=center.audience_id).values_list("key", flat=True))
    return frozenset(wanted)


def _there(wanted: set[str]) -> QuerySet[Topic]:
    """Made where it is asked for: every save comes by, and nearly none has to ask."""
    found: QuerySet[Topic] = Topic.objects.filter(key__in=wanted, archived=False)
    return found


def gone_answers(snapshot: Snapshot, answers: Answers) -> tuple[str, ...]:
    """The paths of answers to blocks that the site no longer has."""
    known = block_classes()
    return tuple(
        path
        for spec in snapshot.specs
        if spec.block_id in answers and spec.type not in known
        for path, (dotted, _label) in spec.paths.items()
        if _holds(answers[spec.block_id], dotted.split("."))
    )


def without(
    changes: Sequence[Change], topics: frozenset[str], paths: Sequence[str], state: ContactState
) -> tuple[tuple[Change, ...], tuple[Merged, ...]]:
    """The changes that can still be made, and what is named instead of the others."""
    lost = [change for change in changes if _asks(change) and change.key[0] in topics]
    if not lost and not paths:
        return tuple(changes), ()
    said = {path: value for path, (value, _until) in rules.recorded(state).items()}
    named = [(change.path, rules.wanted(change)) for change in lost] + [(path, None) for path in paths]
    return (
        tuple(change for change in changes if change not in lost),
        tuple(Merged(path, wanted, said.get(path), "gone") for path, wanted in named),
    )


def _asks(change: Change) -> bool:
    """Whether it is about getting something of a topic."""
    if isinstance(change, SetChoice) and change.value == UNSUBSCRIBED:
        return False
    return isinstance(change, SetChoice | SetFrequency) and bool(change.key[0])


def _holds(answers: Any, dotted: Sequence[str]) -> bool:
    if not dotted:
        return True
    return isinstance(answers, Mapping) and dotted[0] in answers and _holds(answers[dotted[0]], dotted[1:])
