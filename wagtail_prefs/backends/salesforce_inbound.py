"""What Salesforce is asked for news: consents of ours that became a no over there.

It tells nobody by itself. What is asked for are records that changed after a moment, with a page at a time; and when all
of them were read, those of the last minutes are read again the next time: a record gets its moment when it is
written and can be seen when the work around it is done, so an older one may turn up after a newer one. What was heard
already is known by its id and its moment.
"""

from __future__ import annotations

import json
import re
from datetime import UTC, datetime, timedelta
from email.utils import parsedate_to_datetime
from typing import TYPE_CHECKING

from django.utils import timezone

from ..changes import SetChoice
from ..values import UNSUBSCRIBED, Identifiers, InboundEvent, Json, Polled
from .answers import Answer, parse_moment
from .salesforce_answers import CHANNEL, CONSENT, ID, PERSON, is_block, iso, records_of

if TYPE_CHECKING:
    from .salesforce import SalesforceBackend

#: Records of a page.
PAGE = 200
#: How far back the first question goes.
FIRST = timedelta(days=1)
#: What is read again: a transaction over there takes ten minutes at most.
AGAIN = timedelta(minutes=15)
_BEGUN = "begun"
_STAMP = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z")


def news(backend: SalesforceBackend, cursor: str) -> Polled:
    """`cursor` is how far each object was read (moment and id), and when that run of pages began."""
    reached, begun = positions(cursor)
    events: list[InboundEvent] = []
    more, now = False, timezone.now()
    for sobject in (CONSENT, CHANNEL):
        answer = backend.ask(_question(backend.options["ID_FIELD"], sobject, *reached[sobject]))
        found = records_of(answer)
        events += filter(None, (_event(backend, record) for record in found))
        last = parse_moment(found[-1].get("SystemModstamp")) if found else None
        if last is not None:
            reached[sobject] = [iso(last), str(found[-1].get("Id", ""))]
        more, now = more or len(found) >= PAGE, _earlier(now, answer)
    begun = min(begun or iso(now), iso(now))
    if more:
        return Polled(tuple(events), json.dumps({**reached, _BEGUN: begun}), more=True)
    # What is written while pages are read may turn up behind them: the next run begins before this one did.
    start = parse_moment(begun) or now
    reached = {sobject: [iso(start - AGAIN), ""] for sobject in reached}
    return Polled(tuple(events), json.dumps(reached), more=False)


def positions(cursor: str) -> tuple[dict[str, list[str]], str]:
    """{object: [moment, id]} of a cursor, and when its run began, "" where it begins; what is none begins a day ago."""
    first = [iso(timezone.now() - FIRST), ""]
    found, begun = {CONSENT: list(first), CHANNEL: list(first)}, ""
    try:
        given = json.loads(cursor)
        for sobject in found:
            stamp, last = given[sobject]
            if _STAMP.fullmatch(stamp) and (not last or ID.fullmatch(last)):
                found[sobject] = [stamp, last]
        if _STAMP.fullmatch(given.get(_BEGUN, "")):
            begun = given[_BEGUN]
    except (ValueError, TypeError, KeyError, AttributeError):
        pass
    return found, begun


def _question(field: str, sobject: str, stamp: str, last: str) -> str:
    later = f"SystemModstamp >= {stamp}"
    if last:
        later = f"(SystemModstamp > {stamp} OR (SystemModstamp = {stamp} AND Id > '{last}'))"
    no, more = "PrivacyConsentStatus = 'OptOut'", ", CaptureSource"
    if sobject == CONSENT:  # a consent can also be given an end
        no, more = f"({no} OR EffectiveToDate < TODAY)", ""
    return (
        f"SELECT Id, {field}, PrivacyConsentStatus, SystemModstamp{more} FROM {sobject} WHERE {later} "
        f"AND {field} != null AND {no} ORDER BY SystemModstamp, Id LIMIT {PAGE}"
    )


def _event(backend: SalesforceBackend, record: Json) -> InboundEvent | None:
    person, _, rest = str(record.get(backend.options["ID_FIELD"])).partition(".")
    topic, _, channel = rest.rpartition(".")
    if not PERSON.fullmatch(person) or channel not in backend.capabilities.channels or not topic:
        return None
    if is_block(record.get("CaptureSource")):
        return None  # it is an address that was refused, and no word of hers
    if topic != "all" and (topic, channel) not in backend.mapping.pairs():
        return None
    return InboundEvent(
        event_id=f"{record.get('Id')} {record.get('SystemModstamp')}",
        identifiers=Identifiers(remote={backend.alias: person}),
        changes=(SetChoice("" if topic == "all" else topic, channel, UNSUBSCRIBED),),
        at=parse_moment(record.get("SystemModstamp")),
    )


def _earlier(now: datetime, answer: Answer) -> datetime:
    """What time it is over there, where our own clock is ahead of it."""
    try:
        said = parsedate_to_datetime(answer.headers.get("date", ""))
    except ValueError:
        return now
    return min(now, said if said.tzinfo else said.replace(tzinfo=UTC))
