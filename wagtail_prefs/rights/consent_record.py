"""One record of consent for each person, in two forms that other programs read (security.md CR-03, CR-04).

`consent_record` is ISO/IEC TS 27560:2023 as JSON-LD, in the words of the Data Privacy Vocabulary 2.3; `kantara` is a
consent receipt of the Kantara Initiative, version 1.1. Both name the person by a number, never by her address. What each
word of DPV here is stands in `vocabulary/dpv-2.3.txt`, and JSON Schemas of both in `schemas/`.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from types import MappingProxyType
from uuid import UUID

from django.core.exceptions import ValidationError
from django.core.validators import validate_email
from django.utils.translation import gettext_lazy as _

from ..law.countries import EEA, country_of
from ..values import ActorType, Json, Key, iso
from .consent_facts import Facts, IncompleteRecord, Missing, whole
from .consent_states import VALID, Entered, State

__all__ = ["IncompleteRecord", "Missing", "consent_record", "kantara"]

CONTEXT: Mapping[str, str] = MappingProxyType(
    {
        "dpv": "https://w3id.org/dpv#",
        "eu-gdpr": "https://w3id.org/dpv/legal/eu/gdpr#",
        "pd": "https://w3id.org/dpv/pd#",
        "loc": "https://w3id.org/dpv/loc#",
        "dct": "http://purl.org/dc/terms/",
        "xsd": "http://www.w3.org/2001/XMLSchema#",
        "wp": "urn:wagtail-prefs:ns:",
    }
)
SCHEMA_VERSION = "ISO/IEC TS 27560:2023, DPV 2.3"
CONFORMS_TO = "https://w3id.org/dpv/schema/dpv-27560#record"
KANTARA_VERSION = "KI-CR-v1.1.0"

#: State -> its name in DPV
STATUS: Mapping[State, str] = {
    State.UNKNOWN: "dpv:ConsentUnknown",
    State.REQUESTED: "dpv:ConsentRequested",
    State.GIVEN: "dpv:ConsentGiven",
    State.RENEWED: "dpv:RenewedConsentGiven",
    State.REFUSED: "dpv:ConsentRefused",
    State.WITHDRAWN: "dpv:ConsentWithdrawn",
    State.EXPIRED: "dpv:ConsentExpired",
    State.INVALIDATED: "dpv:ConsentInvalidated",
}
#: What a channel needs to know of a person.
PERSONAL_DATA: Mapping[str, str] = {
    "email": "pd:EmailAddress",
    "sms": "pd:TelephoneNumber",
    "phone": "pd:TelephoneNumber",
    "post": "pd:PhysicalAddress",
    "push": "pd:UID",
    "in_app": "pd:UID",
}
#: Legal basis -> (by the GDPR, elsewhere)
BASES: Mapping[str, tuple[str, str]] = {
    "consent": ("eu-gdpr:A6-1-a", "dpv:Consent"),
    "soft_opt_in": ("eu-gdpr:A6-1-f", "dpv:LegitimateInterest"),
    "legitimate_interest": ("eu-gdpr:A6-1-f", "dpv:LegitimateInterest"),
    "contract": ("eu-gdpr:A6-1-b", "dpv:Contract"),
}
RIGHTS = ("A7-3", "A15", "A16", "A17", "A18", "A20", "A21", "A77")
_HERS = {ActorType.SUBJECT_LINK, ActorType.SUBJECT_SESSION, ActorType.ONE_CLICK, ActorType.GPC}


def consent_record(contact_id: UUID, at: datetime | None = None) -> Json:
    """The record of a person's consents, with every state they went through, as it is at a moment (now).

    Raises IncompleteRecord, which names what is not filled in; UnknownContact; and IllegalTransition (ValueError) for a
    chain that does not fit together.
    """
    facts = whole(contact_id, at)
    gdpr = _gdpr(facts)
    here = {"dpv:isExercisedAt": facts.withdrawal}
    found: Json = {
        "@context": dict(CONTEXT),
        "@id": f"urn:uuid:{facts.record_id}",
        "@type": "dpv:ConsentRecord",
        "dct:identifier": str(facts.record_id),
        "dct:conformsTo": {"@id": CONFORMS_TO},
        "dct:hasVersion": SCHEMA_VERSION,
        "dct:language": facts.language,
        "dpv:hasDataSubject": {
            "@id": f"urn:uuid:{facts.contact}",
            "@type": "dpv:DataSubject",
            "dpv:hasIdentifier": str(facts.contact),
        },
        "dpv:hasDataController": _controller(facts),
        "dpv:hasJurisdiction": [{"@id": f"loc:{country_of(code)}"} for code in facts.jurisdictions],
        "dpv:hasNotice": _notice(facts),
        "dpv:hasProcess": [_process(facts, key, gdpr=gdpr) for key in facts.keys],
        "dpv:hasConsentControl": {"@type": ["dpv:ProvideConsent", "dpv:WithdrawConsent"], **here},
        "dpv:hasRight": [
            {"@type": ["dpv:DataSubjectRight", *([f"eu-gdpr:{right}"] if right else [])], **here}
            for right in (RIGHTS if gdpr else ("",))
        ],
        "dpv:hasConsentStatus": [_status(facts, entered) for entered in facts.states],
    }
    if facts.audience.authority:
        found["dpv:hasAuthority"] = {
            "@type": "dpv:DataProtectionAuthority",
            "dpv:hasName": facts.audience.authority,
        }
    if facts.head:
        found |= {
            "dct:modified": _moment(facts.head.at),
            "wp:ledger": {"wp:number": facts.head.seq, "wp:recordHash": f"sha256:{facts.head.hash}"},
        }
    return found


def _gdpr(facts: Facts) -> bool:
    """Whether the European regulation is known to be what holds; else words are used that hold anywhere."""
    return country_of(facts.country) in EEA


def _controller(facts: Facts) -> Json:
    audience = facts.audience
    return {
        "@id": _party(facts),
        "@type": "dpv:DataController",
        "dpv:hasIdentifier": audience.key,
        "dpv:hasName": audience.controller_name,
        "dpv:hasAddress": audience.controller_address,
        "dpv:hasContact": audience.controller_contact,
    }


def _party(facts: Facts) -> str:
    return f"{facts.root}/#{facts.audience.key}"


def _notice(facts: Facts) -> Json:
    """The notice that she saw, by the hash of its text; else the page that tells of privacy."""
    url = facts.audience.privacy_url
    if facts.notice is None:
        return {"@id": url, "@type": "dpv:PrivacyNotice", "dct:language": facts.language}
    return {
        "@id": url or f"urn:wagtail-prefs:notice:{facts.notice['sha256']}",
        "@type": "dpv:ConsentNotice",
        "dct:identifier": f"{facts.notice['id']}@{facts.notice['version']}",
        "dct:language": facts.notice["language"] or facts.language,
        "wp:sha256": facts.notice["sha256"],
    }


def _process(facts: Facts, key: Key, *, gdpr: bool) -> Json:
    """What is done for one topic on one channel."""
    name, channel = key
    topic = facts.topics.get(name)
    transactional = topic is not None and topic.transactional
    return {
        "@id": _process_id(facts, key),
        "@type": "dpv:Process",
        "dct:title": topic.label if topic else name,
        "dpv:hasService": f"{name}:{channel}",
        "dpv:hasPurpose": {"@id": "dpv:ServiceProvision" if transactional else "dpv:DirectMarketing"},
        "dpv:hasLegalBasis": {"@id": BASES.get(_basis(facts, key), BASES["consent"])[0 if gdpr else 1]},
        "dpv:hasPersonalData": {"@id": PERSONAL_DATA.get(channel, "pd:Contact")},
        "dpv:hasRecipient": [
            {"@id": _party(facts)},
            *({"@type": "dpv:Recipient", "dpv:hasName": name} for name in facts.audience.recipients),
        ],
        "dpv:hasStorageCondition": [
            *(
                {"@type": "dpv:StorageLocation", "dpv:hasLocation": {"@id": f"loc:{country_of(code)}"}}
                for code in facts.places
            ),
            _kept(facts.kept_months.get(name)),
        ],
    }


def _process_id(facts: Facts, key: Key) -> str:
    return f"urn:wagtail-prefs:process:{facts.record_id}:{key[0]}:{key[1]}"


def _kept(months: int | None) -> Json:
    """For how long: so many months after she said no, or as the site keeps people."""
    if months:
        return {"@type": ["dpv:StorageDuration", "dpv:TemporalDuration"], "dpv:hasDuration": f"P{months}M"}
    return {
        "@type": ["dpv:StorageDuration", "dpv:UntilEventDuration"],
        "dpv:hasDuration": "until the data subject asks for erasure, or is forgotten by the retention rules of the site",
    }


def _basis(facts: Facts, key: Key) -> str:
    """The legal basis that stands in the newest record about it; else the topic's of today."""
    for body in reversed(list(facts.bodies.values())):
        for effect in body["effects"]:
            if (effect["purpose_id"], effect["channel"]) == key and effect.get("lawful_basis"):
                return str(effect["lawful_basis"])
    topic = facts.topics.get(key[0])
    return topic.basis if topic else "consent"


def _status(facts: Facts, entered: Entered) -> Json:
    """One state that a consent entered: who said so, how, when, for how long, and the record that proves it."""
    body = facts.bodies.get(entered.seq)
    hers = body is not None and body["actor"]["type"] in _HERS
    kind = ["dpv:ExpressedConsent"] if hers and entered.state in VALID else []
    found: Json = {
        "@type": [STATUS[entered.state], *kind],
        "dpv:isApplicableFor": {"@id": _process_id(facts, entered.key)},
        "dpv:isIndicatedBy": {"@id": f"urn:uuid:{facts.contact}" if hers else _party(facts)},
        "dpv:hasIndicationMethod": body["method"] if body else "expiry",
        "dpv:isIndicatedAtTime": _moment(entered.at),
        "dpv:hasDuration": _lasts(entered),
    }
    if body is None:
        return found
    source = "dpv:DataSubjectDataSource" if hers else "dpv:DataControllerDataSource"
    found |= {
        "dpv:hasDataSource": {"@id": source},
        "wp:record": body["record_id"],
        "wp:number": body["seq"],
        "wp:by": body["actor"]["type"],
    }
    if body["evidence_ref"]:
        found["wp:evidence"] = body["evidence_ref"]
    if body["jurisdiction"]:
        found["wp:jurisdiction"] = body["jurisdiction"]
    return found


def _lasts(entered: Entered) -> Json:
    if entered.until:
        return {"@type": "dpv:UntilTimeDuration", "dct:date": _moment(entered.until)}
    return {"@type": "dpv:UntilEventDuration", "dct:description": "until the data subject says otherwise"}


def _moment(moment: datetime) -> Json:
    return {"@type": "xsd:dateTime", "@value": iso(moment)}


def kantara(contact_id: UUID, at: datetime | None = None) -> Json:
    """A consent receipt of all that a person agrees to at a moment (now). Raises as `consent_record` does.

    Where she agrees to nothing there is no consent to give a receipt for, and IncompleteRecord says so.
    """
    facts = whole(contact_id, at)
    given = facts.given
    newest = max(given, key=lambda entered: entered.at, default=None)
    if newest is None:
        raise IncompleteRecord([Missing("services", _("She has agreed to nothing, or not any more."))])
    audience = facts.audience
    return {
        "version": KANTARA_VERSION,
        "jurisdiction": ", ".join(facts.jurisdictions),
        "consentTimestamp": int(newest.at.timestamp()),
        "collectionMethod": facts.bodies[newest.seq]["method"],
        "consentReceiptID": str(facts.record_id),
        "language": facts.language,
        "piiPrincipalId": str(facts.contact),
        "piiControllers": [_pii_controller(facts)],
        "policyUrl": audience.privacy_url or facts.withdrawal,
        "services": [_service(facts, entered) for entered in given],
        "sensitive": False,
        "spiCat": [],
    }


def _pii_controller(facts: Facts) -> Json:
    audience = facts.audience
    found: Json = {
        "piiController": audience.controller_name,
        "onBehalf": False,
        "contact": audience.controller_contact,
        "address": {"@type": "PostalAddress", "streetAddress": audience.controller_address},
    }
    try:
        validate_email(audience.controller_contact)
    except ValidationError:
        found["piiControllerUrl"] = facts.root
    else:
        found["email"] = audience.controller_contact
    return found


def _service(facts: Facts, entered: Entered) -> Json:
    name, channel = entered.key
    topic = facts.topics.get(name)
    recipients = facts.audience.recipients
    purpose: Json = {
        "purpose": (topic.text or topic.label) if topic else name,
        "purposeCategory": ["Service provision" if topic and topic.transactional else "Direct marketing"],
        "consentType": "EXPLICIT" if _is_hers(facts, entered) else "IMPLICIT",
        "piiCategory": [PERSONAL_DATA.get(channel, "pd:Contact").partition(":")[2]],
        "primaryPurpose": True,
        "termination": facts.withdrawal,
        "thirdPartyDisclosure": bool(recipients),
    }
    if recipients:
        purpose["thirdPartyName"] = ", ".join(recipients)
    return {"service": f"{topic.label if topic else name} ({channel})", "purposes": [purpose]}


def _is_hers(facts: Facts, entered: Entered) -> bool:
    return facts.bodies[entered.seq]["actor"]["type"] in _HERS
