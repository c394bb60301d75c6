"""How records are written in Salesforce: what is looked up before a yes, who is gone, and who is made anew.

A payload is `{"object", "records", "person"}`, and more where it matters:

- `said` {key of a record: when she said that yes, "" unknown}: an OptOut over there that is no older stands. It is looked
  up before each yes, not only before an old one: any call may be the second try of one whose answer was lost.
- `ours`: what our own sources begin with. A no that we wrote is no news, however late it got there.
- `address`: she has moved, so a yes counts only where her contact point has that address.
- `met`: Salesforce has answered with her key before. If she is not there now, she was deleted there.
- `anew` {"person", "point", "noes", "fields"}: what makes her again. Only a yes of hers has it.
- `block`: what is written for everything by e-mail when her new address is refused, so that the old one gets nothing.

A date that is "" is known to nobody: it is left as it stands over there, and is of today on a new record. NOW is of today.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any

from django.utils import timezone

from ..values import Json, Operation, Outcome, Result
from .answers import Verdict, parse_moment
from .base import PlatformError
from .salesforce_answers import (
    CHANNEL,
    CONSENT,
    INDIVIDUAL,
    POINT,
    is_block,
    iso,
    listed,
    verdict_of,
    worst,
)

if TYPE_CHECKING:
    from .salesforce import SalesforceBackend

#: Records of a call; keys of a question, which is part of an address of 16 KiB.
RECORDS, KEYS = 200, 120
NOW = "now"
#: Errors of a record that refers to one which is not there.
_NOBODY = {"invalid_field", "invalid_cross_reference_key", "entity_is_deleted"}
_REFERS = {CONSENT: POINT, CHANNEL: INDIVIDUAL, POINT: INDIVIDUAL}
#: Of a record that is not there, and was given a part of what a new one needs.
_NOT_THERE = "required_field_missing"
_MOMENTS, _DAYS = {"ConsentCapturedDateTime", "CaptureDate", "EffectiveFrom"}, {"EffectiveFromDate"}
#: A moment over there is a whole second.
_SECOND = timedelta(seconds=1)
_SOURCES = {CONSENT: "ConsentCapturedSource", CHANNEL: "CaptureSource"}

Groups = Sequence[Sequence[Json]]


def write(backend: SalesforceBackend, batch: Sequence[Operation]) -> list[Result]:
    """Write the records of operations of one kind."""
    sobject: str = batch[0].payload["object"]
    held = {**_left_since(backend, batch), **_elsewhere(backend, batch)}
    field = backend.options["ID_FIELD"]
    groups = [
        [record for record in operation.payload["records"] if record[field] not in held]
        for operation in batch
    ]
    said = _say(backend, sobject, batch, groups)
    stays = [
        [held[record[field]] for record in operation.payload["records"] if record[field] in held]
        for operation in batch
    ]
    verdicts = [worst([*verdicts, *kept]) for verdicts, kept in zip(said, stays, strict=True)]
    if batch[0].kind == "point":
        verdicts = _blocked(backend, batch, verdicts)
    return [
        # With her contact point there is all that a consent refers to.
        Result(
            operation.key,
            verdict.outcome,
            verdict.code,
            remote_id=operation.payload["person"]
            if operation.kind == "point" and verdict.outcome is Outcome.DONE
            else "",
        )
        for operation, verdict in zip(batch, verdicts, strict=True)
    ]


# --- before a yes -----------------------------------------------------------------------------------------------------


def _left_since(backend: SalesforceBackend, batch: Sequence[Operation]) -> dict[str, Verdict]:
    """{key of a record: why it is not written} where a no over there is no older than the yes."""
    sobject: str = batch[0].payload["object"]
    yeses = {
        key: (said, operation.payload["ours"])
        for operation in batch
        for key, said in operation.payload.get("said", {}).items()
    }
    if not yeses:
        return {}
    field, source = backend.options["ID_FIELD"], _SOURCES[sobject]
    no = "PrivacyConsentStatus = 'OptOut'"
    if sobject == CONSENT:  # a consent can also be given an end
        no = f"({no} OR EffectiveToDate < TODAY)"
    found = ask(backend, f"{field}, {source}, SystemModstamp", sobject, yeses, f" AND {no}")
    left = {}
    for record in found:
        said, ours = yeses.get(str(record.get(field)), ("", ""))
        written_by = str(record.get(source))
        if ours and written_by.startswith(ours) and written_by.endswith(" OptOut"):
            continue
        at = parse_moment(record.get("SystemModstamp"))
        if not said or at is None or iso(at + _SECOND) > said:
            left[str(record.get(field))] = Verdict(Outcome.REFUSED, "left-over-there")
    return left


def _elsewhere(backend: SalesforceBackend, batch: Sequence[Operation]) -> dict[str, Verdict]:
    """The same of who has moved, where her contact point still has the address that she left."""
    moved = {
        operation.payload["person"]: operation for operation in batch if operation.payload.get("address")
    }
    if not moved:
        return {}
    field = backend.options["ID_FIELD"]
    there = {
        str(each.get(field)): str(each.get("EmailAddress")).casefold()
        for each in ask(backend, f"{field}, EmailAddress", POINT, moved)
    }
    return {
        record[field]: Verdict(Outcome.REFUSED, "address-refused")
        for person, operation in moved.items()
        if there.get(person, wanted := operation.payload["address"].casefold()) != wanted
        for record in operation.payload["records"]
    }


# --- writing, and who is gone -----------------------------------------------------------------------------------------


def _say(
    backend: SalesforceBackend, sobject: str, batch: Sequence[Operation], groups: Groups
) -> list[list[Verdict]]:
    """Write records, and those of people who were deleted over there: what is said of each."""
    said = upsert(backend, sobject, groups, fill=[not operation.payload.get("met") for operation in batch])
    if batch[0].kind in {"profile", "window"}:  # what changes a record of hers makes none
        return [
            [each for each in verdicts if each.code != _NOT_THERE or not operation.payload.get("met")]
            for operation, verdicts in zip(batch, said, strict=True)
        ]
    new = [
        number for number, verdicts in enumerate(said) if any(each.code == _NOT_THERE for each in verdicts)
    ]
    if new:
        again = upsert(backend, sobject, [groups[number] for number in new], fill=[True] * len(new))
        for number, verdicts in zip(new, again, strict=True):
            said[number] = verdicts
    gone = _gone(backend, batch, said)
    back = [number for number in gone if "anew" in batch[number].payload and groups[number]]
    for number in gone:
        # Nobody is there, and nothing but a yes makes her anew.
        said[number] = [each for each in said[number] if each.code not in _NOBODY]
    if back:
        made = _make_anew(backend, [batch[number].payload["anew"] for number in back])
        again = upsert(backend, sobject, [groups[number] for number in back], fill=[True] * len(back))
        for number, verdicts, before in zip(back, again, made, strict=True):
            said[number] = [before, *verdicts]
    return said


def _gone(
    backend: SalesforceBackend, batch: Sequence[Operation], said: Sequence[Sequence[Verdict]]
) -> list[int]:
    """The places of those who were met, and have been deleted over there since. It is looked up: a field that is hidden
    from us gives the same error, and a no to somebody who is there must be said.
    """
    asked = [
        number
        for number, (operation, verdicts) in enumerate(zip(batch, said, strict=True))
        if operation.payload.get("met") and any(each.code in _NOBODY for each in verdicts)
    ]
    refers = _REFERS.get(batch[0].payload["object"])
    if not asked or refers is None:
        return []
    there = _there(backend, refers, [batch[number].payload["person"] for number in asked])
    return [number for number in asked if batch[number].payload["person"] not in there]


def _make_anew(backend: SalesforceBackend, people: Sequence[Json]) -> list[Verdict]:
    """The person, her address, what she refused, her fields: what is said of each, the worst."""
    field = backend.options["ID_FIELD"]
    there = _there(backend, INDIVIDUAL, [each["person"][field] for each in people])
    steps: list[tuple[str, Groups]] = [
        (INDIVIDUAL, [[] if each["person"][field] in there else [each["person"]] for each in people]),
        (POINT, [[each["point"]] for each in people]),
        (CONSENT, [each["noes"] for each in people]),
        (INDIVIDUAL, [[each["fields"]] if each["fields"] else [] for each in people]),
    ]
    said = [upsert(backend, sobject, groups, fill=[True] * len(people)) for sobject, groups in steps]
    return [worst(each for verdicts in whole for each in verdicts) for whole in zip(*said, strict=True)]


# --- an address that is refused ---------------------------------------------------------------------------------------


def _blocked(
    backend: SalesforceBackend, batch: Sequence[Operation], verdicts: Sequence[Verdict]
) -> list[Verdict]:
    """Of who has moved: where her new address was refused the old one must get nothing, and where it was taken no more of
    that.
    """
    moved = {
        operation.payload["block"][backend.options["ID_FIELD"]]: number
        for number, operation in enumerate(batch)
        if "block" in operation.payload
    }
    result = list(verdicts)
    taken = [key for key, number in moved.items() if verdicts[number].outcome is Outcome.DONE]
    refused = {key: number for key, number in moved.items() if verdicts[number].outcome is Outcome.REFUSED}
    field = backend.options["ID_FIELD"]
    if refused:
        out = {
            str(each.get(field))
            for each in ask(backend, field, CHANNEL, refused, " AND PrivacyConsentStatus = 'OptOut'")
        }
        numbers = [number for key, number in refused.items() if key not in out]
        groups = [[batch[number].payload["block"]] for number in numbers]
        said = upsert(backend, CHANNEL, groups, fill=[True] * len(groups))
        for number, (verdict,) in zip(numbers, said, strict=True):
            if verdict.outcome is Outcome.RETRY:
                result[number] = verdict
    if taken:
        blocks = [
            each
            for each in ask(backend, f"Id, {field}, CaptureSource", CHANNEL, taken)
            if is_block(each.get("CaptureSource"))
        ]
        backend.delete(str(each.get("Id")) for each in blocks)
    return result


# --- calls ------------------------------------------------------------------------------------------------------------


def upsert(
    backend: SalesforceBackend, sobject: str, groups: Groups, *, fill: Sequence[bool]
) -> list[list[Verdict]]:
    """Write records by their keys; what is said of each. `fill`: whether dates that nobody knows are of today."""
    now = timezone.now()
    records = [
        {"attributes": {"type": sobject}, **_dated(record, now, fill=filled)}
        for group, filled in zip(groups, fill, strict=True)
        for record in group
    ]
    verdicts: list[Verdict] = []
    for some in _parts(records, RECORDS):
        path = f"{backend.data}/composite/sobjects{backend.path(sobject, backend.options['ID_FIELD'])}"
        said = backend.call("PATCH", path, json={"allOrNone": False, "records": some}).json()
        if not isinstance(said, list) or len(said) != len(some):
            raise PlatformError(Outcome.RETRY, "unexpected-answer")
        verdicts += map(verdict_of, said)
    answers = iter(verdicts)
    return [[next(answers) for _ in group] for group in groups]


def ask(
    backend: SalesforceBackend, fields: str, sobject: str, keys: Iterable[str], more: str = ""
) -> list[Json]:
    """The records with these keys, asked for in parts."""
    field = backend.options["ID_FIELD"]
    return [
        each
        for some in _parts(sorted(set(keys)), KEYS)
        for each in backend.query(f"SELECT {fields} FROM {sobject} WHERE {field} IN ({listed(some)}){more}")
    ]


def _there(backend: SalesforceBackend, sobject: str, people: Sequence[str]) -> set[str]:
    field = backend.options["ID_FIELD"]
    return {str(each.get(field)) for each in ask(backend, field, sobject, people)}


def _parts(items: Sequence[Any], size: int) -> Iterator[Sequence[Any]]:
    for start in range(0, len(items), size):
        yield items[start : start + size]


def _dated(record: Mapping[str, Any], now: datetime, *, fill: bool) -> Json:
    found: Json = {}
    for name, value in record.items():
        if isinstance(value, list):
            found[name] = ";".join(map(str, value))
        elif name not in _MOMENTS | _DAYS or value not in {"", NOW}:
            found[name] = value
        elif fill or value == NOW:
            found[name] = iso(now) if name in _MOMENTS else timezone.localdate(now).isoformat()
    return found
