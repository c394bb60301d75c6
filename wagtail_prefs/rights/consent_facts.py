"""What a record of consent is made of: one chain of the ledger, its topics, and who is responsible.

What a standard demands and nobody has filled in is named, with the place where to fill it in: a record of consent with
holes would be believed.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING
from uuid import NAMESPACE_URL, UUID, uuid5

from django.utils import timezone
from django.utils.translation import gettext_lazy as _

from ..access.services import site_root
from ..centers.models import PublishedCenter
from ..conf import conf
from ..contacts.models import Contact
from ..errors import PrefsError, UnknownContact
from ..law.countries import country_of, normal
from ..ledger.models import Record
from ..ledger.services import effects_of, read_body
from ..topics.models import Audience, Topic
from ..topics.services import topics_for
from ..values import Json, Key, TopicInfo
from . import consent_states
from .consent_states import VALID, Entered, Step

if TYPE_CHECKING:
    from django.utils.functional import _StrPromise

#: Backends that keep what they are told in our own database, or nowhere: nobody else gets it.
_OWN = (
    "wagtail_prefs.backends.database.",
    "wagtail_prefs.backends.memory.",
    "wagtail_prefs.backends.console.",
)


@dataclass(frozen=True, slots=True)
class Missing:
    """A field that must not be empty, and where it is filled in."""

    field: str
    where: str | _StrPromise


class IncompleteRecord(PrefsError):
    """A record of consent would have holes; `missing` names each, and where to fill it in."""

    def __init__(self, missing: Sequence[Missing]) -> None:
        super().__init__("incomplete: " + ", ".join(one.field for one in missing))
        self.missing = tuple(missing)


@dataclass(frozen=True, slots=True)
class Facts:
    """All that the forms say in their own words. Without holes, once `holes` says so."""

    contact: UUID
    record_id: UUID  # of the record of consent: one for each person, for ever
    audience: Audience
    root: str
    head: Record | None
    bodies: Mapping[int, Json]  # by number
    states: Sequence[Entered]
    topics: Mapping[str, TopicInfo]
    kept_months: Mapping[str, int | None]
    country: str
    language: str
    notice: Json | None  # id, version, sha256, language
    withdrawal: str  # where she says no

    @property
    def keys(self) -> list[Key]:
        """Each topic and channel that there is something to say of."""
        return sorted({entered.key for entered in self.states})

    @property
    def now(self) -> Mapping[Key, Entered]:
        """The last state of each."""
        return {entered.key: entered for entered in self.states}

    @property
    def given(self) -> list[Entered]:
        """What holds today."""
        return [entered for _key, entered in sorted(self.now.items()) if entered.state in VALID]

    @property
    def places(self) -> list[str]:
        """The countries where data is stored, as far as they are ones."""
        return [code for code in map(normal, self.audience.data_locations) if code]

    @property
    def jurisdictions(self) -> list[str]:
        """Whose law it is about: of the person's country, and of where the data is where nobody knows hers."""
        return [self.country] if self.country else sorted({country_of(code) for code in self.places})


def gather(contact_id: UUID, at: datetime | None = None) -> Facts:
    """The facts of one contact's chain; a dozen statements. Raises UnknownContact, and IllegalTransition (ValueError)
    for a chain that does not fit together.
    """
    contact = Contact.objects.select_related("audience").filter(pk=contact_id).first()
    if contact is None:
        raise UnknownContact
    records = list(Record.objects.filter(contact_ref=contact_id).order_by("seq"))
    bodies = {record.seq: read_body(record) for record in records}
    steps = [Step(record.seq, record.at, effects_of(bodies[record.seq])) for record in records]
    newest = [bodies[record.seq] for record in reversed(records)]
    notice = next((_notice(body) for body in newest if body["notice_sha256"]), None)
    language = (notice or {}).get("language") or next(
        (body["language"] for body in newest if body["language"]), contact.language
    )
    audience = contact.audience
    return Facts(
        contact=contact.pk,
        record_id=uuid5(NAMESPACE_URL, f"urn:wagtail-prefs:consent-record:{contact.pk}"),
        audience=audience,
        root=site_root(audience.pk),
        head=records[-1] if records else None,
        bodies=bodies,
        states=consent_states.entered(steps, at or timezone.now()),
        topics={topic.key: topic for topic in topics_for(audience.pk, language).values()},
        kept_months=dict(Topic.objects.filter(audience=audience).values_list("key", "kept_months")),
        country=normal(contact.country)
        or next(filter(None, (normal(b["jurisdiction"]) for b in newest)), ""),
        language=language,
        notice=notice,
        withdrawal=_withdrawal(audience, [body["form_id"] for body in newest if body["form_id"]]),
    )


def _notice(body: Json) -> Json:
    return {
        "id": body["notice_id"],
        "version": body["notice_version"],
        "sha256": body["notice_sha256"],
        "language": body["language"],
    }


def _withdrawal(audience: Audience, forms: Sequence[str]) -> str:
    """The page where she says no: the center that she used last, if it is there yet, or another one of the audience."""
    published = list(PublishedCenter.objects.filter(audience=audience).order_by("pk"))
    found = next((row for form in forms for row in published if str(row.center) == form), None)
    found = found or next(iter(published), None)
    return found.page_url if found else ""


def holes(facts: Facts) -> list[Missing]:
    """What ISO/IEC TS 27560 demands and is not there."""
    audience = facts.audience
    of_audience = {
        "controller name": (audience.controller_name, _("“Legal name” of the audience.")),
        "controller address": (audience.controller_address, _("“Postal address” of the audience.")),
        "controller contact": (audience.controller_contact, _("“Contact for privacy” of the audience.")),
        "storage location": (facts.places, _("“Where data is stored” of the audience: codes of countries.")),
        "recipients": (
            audience.recipients or not _others(),
            _("“Who else gets data” of the audience: data goes to a platform (setting BACKENDS)."),
        ),
        "privacy notice": (
            facts.notice or audience.privacy_url,
            _("“Privacy notice” of the audience, or the block of that name on the preference center."),
        ),
        "language": (
            facts.language,
            _("Record the language with what people choose, or the person's language."),
        ),
        "jurisdiction": (
            facts.jurisdictions,
            _("The person's country, or “Where data is stored” of the audience."),
        ),
        "withdrawal method": (facts.withdrawal, _("Publish a preference center for the audience.")),
        "purpose": (facts.keys, _("Nothing was ever asked of this person, or said by her.")),
    }
    return [Missing(field, where) for field, (value, where) in of_audience.items() if not value]


def whole(contact_id: UUID, at: datetime | None = None) -> Facts:
    """The facts, without a hole; raises IncompleteRecord, UnknownContact and IllegalTransition."""
    facts = gather(contact_id, at)
    missing = holes(facts)
    if missing:
        raise IncompleteRecord(missing)
    return facts


def _others() -> list[str]:
    """The platforms that data goes to, beside our own database."""
    return [
        alias for alias, entry in conf.backends.items() if not str(entry.get("BACKEND", "")).startswith(_OWN)
    ]
