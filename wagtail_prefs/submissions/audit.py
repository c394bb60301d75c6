"""Whether a contact's state is what her records say became of it (design.md s12, 3): the two are computed apart."""

from __future__ import annotations

from typing import Any
from uuid import UUID

from django.db import transaction

from ..contacts import store
from ..contacts.models import Contact
from ..contacts.rules import OPTED_OUT, recorded
from ..errors import UnknownContact
from ..ledger import fold, tombstones

#: The kind of difference that is about no path: the newest record is not that of the contact's version.
VERSION = "version"


def differences(contact_id: UUID) -> list[str]:
    """The paths where state and records differ in value, end or version, sorted; no values. Empty where all is well.

    `version` stands for records that are missing or too many. Raises UnknownContact, and ValueError where the chain
    has a hole, so that nothing can be said.
    """
    if not _differences(contact_id) or tombstones.buried([contact_id]):
        return []  # of a chain that was removed, her empty row is all that is left
    # Somebody may have saved between our two looks: now nobody can.
    with transaction.atomic():
        Contact.objects.select_for_update().filter(pk=contact_id).first()
        return _differences(contact_id)


def _differences(contact_id: UUID) -> list[str]:
    found = store.load(contact_id)
    if found is None:
        raise UnknownContact
    folded = fold.of(contact_id)
    said = {path: (value.after, value.until) for path, value in folded.items() if _present(path, value)}
    if "merged_into" in said:
        said["merged_into"] = (_last(UUID(said["merged_into"][0])), None)
    held: dict[str, tuple[Any, Any]] = dict(recorded(found.state))
    if "address:email" in folded and found.email:  # else no record knows it: she came with it
        held["address:email"] = (found.email, None)
    if "suppressed" not in folded:  # as above
        held.pop("suppressed", None)
    differing = {path for path in said.keys() | held.keys() if said.get(path) != held.get(path)}
    differing |= {
        path
        for path, version in found.state.versions.items()
        if path not in folded or folded[path].seq != version
    }
    if found.state.version != max((value.seq for value in folded.values()), default=0):
        differing.add(VERSION)
    return sorted(differing)


def _present(path: str, value: fold.Value) -> bool:
    return value.after is not None and not (path == OPTED_OUT and value.after is False)


def _last(contact_id: UUID) -> str:
    """Who somebody is after all merges: a state names the last one, a record the next."""
    met = set[UUID]()
    while contact_id not in met:
        met.add(contact_id)
        further = fold.of(contact_id).get("merged_into")
        if further is None or further.after is None:
            break
        contact_id = UUID(further.after)
    return str(contact_id)
