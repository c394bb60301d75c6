"""`?receipt=` of a contact's own page: what one save was, in her words, and the receipt itself to take along.

The same address with `as` is a file. Whoever holds her link reads this, as they read her history: no answer of hers, and
no address.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any
from uuid import UUID

from django.http import HttpRequest, HttpResponse
from django.utils import translation
from django.utils.translation import gettext as _, gettext_lazy

from ..access.services import Link, receipt_path
from ..centers.services import Snapshot
from ..contacts.services import load_state
from ..ledger.models import Record
from ..ledger.standing import standing
from ..rights import consent_facts, consent_record
from ..rights.consent_record import IncompleteRecord
from ..rights.receipts import as_bytes, make
from ..submissions.services import past_submission
from ..values import Json
from .personal import address
from .receipts import find
from .responses import message, page

if TYPE_CHECKING:
    from django.utils.functional import _StrPromise

JSON = "application/json"
#: `as` -> label, file name, type, what makes it of a contact. The receipt itself is made of the record.
FORMS: dict[str, tuple[_StrPromise, str, str, Callable[[UUID], Json] | None]] = {
    "receipt": (gettext_lazy("Signed receipt (JSON)"), "receipt.json", JSON, None),
    "jsonld": (
        gettext_lazy("All of your consents (ISO/IEC TS 27560, JSON-LD)"),
        "consent-record.jsonld",
        "application/ld+json",
        consent_record.consent_record,
    ),
    "kantara": (
        gettext_lazy("What you agree to today (Kantara consent receipt, JSON)"),
        "consent-receipt.json",
        JSON,
        consent_record.kantara,
    ),
}


def show(request: HttpRequest, link: Link, snapshot: Snapshot) -> HttpResponse:
    """The page of a receipt of hers, or the file that is asked for."""
    record = find(request.GET.get("receipt", ""), link.contact_id)
    if record is None:
        return _none(request)
    wanted = request.GET.get("as")
    if wanted is not None:
        return _file(request, record, wanted)
    state = load_state(link.contact_id)
    possible = _possible(link.contact_id)
    with translation.override(snapshot.locale):
        context: dict[str, Any] = {
            "past": past_submission(record, snapshot, zone=state.timezone),
            "record": record,
            "standing": standing(record),
            "files": [
                {"label": label, "href": address(request, receipt=str(record.pk), **{"as": form})}
                for form, (label, *_rest) in FORMS.items()
                if form in possible
            ],
            "public": receipt_path(record.pk),
            "back": address(request),
            "title": snapshot.document["title"],
        }
    return page("wagtail_prefs/own_receipt.html", context, locale=snapshot.locale)


def _possible(contact: UUID) -> set[str]:
    """The forms that can be made: a record of consent that would have holes is offered to nobody."""
    try:
        facts = consent_facts.gather(contact)
    except ValueError:
        return {"receipt"}
    if consent_facts.holes(facts):
        return {"receipt"}
    return {"receipt", "jsonld", *(["kantara"] if facts.given else [])}


def _file(request: HttpRequest, record: Record, wanted: str) -> HttpResponse:
    if wanted not in FORMS:
        return _none(request)
    _label, name, kind, made = FORMS[wanted]
    try:
        data = make(record) if made is None else made(record.contact_ref)
    except (IncompleteRecord, ValueError):
        return _none(request)
    response = HttpResponse(as_bytes(data), content_type=kind)
    response["Content-Disposition"] = f'attachment; filename="{name}"'
    return response


def _none(request: HttpRequest) -> HttpResponse:
    return message(
        request,
        404,
        _("There is no such receipt"),
        _("It is not one of yours, or it cannot be made any more."),
    )
