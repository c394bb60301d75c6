"""Everything that is held of one person, for herself (GDPR Articles 15 and 20, security.md LW-12): as JSON, and the same as CSV.

Whoever was merged into her is she, and stands here with her. Of nobody else there is anything: staff are "staff", and what
two people share, such as a platform or a message, is told by what it is to her alone.
"""

from __future__ import annotations

import csv
import io
import json
import zipfile
from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from typing import Any
from uuid import UUID

from django.conf import settings
from django.utils import timezone
from django.utils.translation import get_supported_language_variant, override

from ..access.models import OneTimeLink
from ..blocks.words import by_channel
from ..cells import safe
from ..concealed import readable
from ..contacts import store
from ..contacts.models import Contact
from ..decisions.models import Send
from ..delivery.models import Delivery
from ..errors import UnknownContact
from ..ledger import services as ledger
from ..ledger.models import Record, SideValue
from ..mail.models import Mail
from ..sending.models import Waiting
from ..submissions.words import Words
from ..topics.models import Audience, Topic
from ..values import CHANNELS, ActorType, ContactState, Identifiers, Json, iso, key_to_scope

#: Of what `export` gives; a new field is no new number, one that is gone or means something else is.
FORMAT = 1
#: The lists of an export, each a file of the CSV form, with its columns in order.
COLUMNS: Mapping[str, Sequence[str]] = {
    "person": ("field", "value", "source"),
    "choices": ("topic", "label", "channel", "choice", "waits_for_confirmation", "until"),
    "frequencies": ("scope", "frequency"),
    "pauses": ("scope", "until"),
    "profile": ("name", "value"),
    "notices": ("notice", "sha256"),
    "history": (
        "receipt", "contact", "number", "at", "by", "method", "language", "page", "law", "path", "action", "before", "after",
        "until", "legal_basis", "evidence", "hash", "words",
    ),
    "records": ("receipt", "contact", "number", "prev", "hash", "body"),
    "values": ("receipt", "name", "value", "salt"),
    "messages": ("contact", "message", "topic", "channel", "at"),
    "waiting": ("contact", "topic", "channel", "since", "until", "outcome"),
    "mails": ("contact", "kind", "at", "sent_at"),
    "links": ("contact", "purpose", "at", "until", "used_at", "address", "answers"),
    "platforms": ("contact", "platform", "id_there", "told_at"),
}  # fmt: skip
_SOURCED = ("language", "country", "timezone")


def export(contact_id: UUID) -> Json:
    """What is held of a person and of whom she was before: `{"format", "made_at", "controller", ...}` and one list for each
    of COLUMNS, of objects with these fields. The number of statements does not depend on how much there is.

    Raises UnknownContact for nobody, for one who was erased, and for one who was merged: whom she became is asked for.
    """
    found = store.load(contact_id)
    if found is None or found.state.erased or found.state.merged_into is not None:
        raise UnknownContact
    audience = Audience.objects.get(pk=found.audience_id)
    rows = list(Contact.objects.filter(merged_into=contact_id).order_by("pk"))
    people = [Contact.objects.get(pk=contact_id), *rows]
    ids = [person.pk for person in people]
    labels = _labels(audience)
    state = found.state
    history, records, values = _history(ids, _words(labels, state))
    return {
        "format": FORMAT,
        "made_at": iso(timezone.now()),
        "controller": {
            "name": audience.controller_name or audience.name,
            "address": audience.controller_address,
            "contact": audience.controller_contact,
            "privacy_notice": audience.privacy_url,
            "authority": audience.authority,
            "recipients": list(audience.recipients),
            "data_locations": list(audience.data_locations),
        },
        "unsubscribed_from_everything": state.opted_out,
        "person": [line for person in people for line in _person(person)],
        "choices": [
            {
                "topic": topic,
                "label": labels.get(topic, ""),
                "channel": channel,
                "choice": state.choices.get((topic, channel), ""),
                "waits_for_confirmation": (topic, channel) in state.pending,
                "until": _moment(state.until.get((topic, channel))),
            }
            for topic, channel in sorted(state.choices.keys() | state.pending)
        ],
        "frequencies": [
            {"scope": key_to_scope(key), "frequency": value}
            for key, value in sorted(state.frequencies.items())
        ],
        "pauses": [
            {"scope": key_to_scope(key), "until": iso(pause.until)}
            for key, pause in sorted(state.pauses.items())
        ],
        "profile": [{"name": name, "value": value} for name, value in sorted(state.attributes.items())],
        "notices": [{"notice": name, "sha256": digest} for name, digest in sorted(state.notices.items())],
        "history": history,
        "records": records,
        "values": values,
        "messages": [
            {
                "contact": str(send.contact),
                "message": send.message_id,
                "topic": send.topic,
                "channel": send.channel,
                "at": iso(send.at),
            }
            for send in Send.objects.filter(contact__in=ids).order_by("at", "pk")
        ],
        "waiting": [
            {
                "contact": str(mail.contact),
                "topic": mail.topic,
                "channel": mail.channel,
                "since": iso(mail.created_at),
                "until": iso(mail.expires_at),
                "outcome": mail.outcome or "waits",
            }
            for mail in Waiting.objects.filter(contact__in=ids).defer("packed").order_by("pk")
        ],
        "mails": [
            {
                "contact": str(mail.contact),
                "kind": mail.kind,
                "at": iso(mail.created_at),
                "sent_at": _moment(mail.sent_at),
            }
            for mail in Mail.objects.filter(contact__in=ids).defer("context").order_by("pk")
        ],
        "links": [
            {
                "contact": str(link.contact_id),
                "purpose": link.purpose,
                "at": iso(link.issued_at),
                "until": iso(link.expires_at),
                "used_at": _moment(link.used_at),
                "address": readable(link, "address"),
                "answers": readable(link, "answers") or None,
            }
            for link in OneTimeLink.objects.filter(contact__in=ids).order_by("issued_at", "pk")
        ],
        "platforms": _platforms(ids, found.target.identifiers),
    }


def _person(person: Contact) -> list[Json]:
    who = str(person.pk)
    lines: list[Json] = [{"field": "contact", "value": who, "source": ""}]
    lines += [
        {"field": name, "value": value, "source": ""}
        for name, value in (("email", person.email), ("external_id", person.external_id))
        if value
    ]
    lines += [
        {"field": name, "value": getattr(person, name), "source": getattr(person, f"{name}_source")}
        for name in _SOURCED
        if getattr(person, name)
    ]
    lines.append({"field": "known_since", "value": iso(person.created_at), "source": ""})
    if person.email_dead_at:
        lines.append({"field": "address_found_dead", "value": iso(person.email_dead_at), "source": ""})
    if person.suppressed:
        lines.append({"field": "address_was_erased_once", "value": True, "source": ""})
    return lines


def _labels(audience: Audience) -> dict[str, str]:
    return {
        topic.key: str(topic)
        for topic in Topic.objects.filter(audience=audience).prefetch_related("texts__locale")
    }


def _words(labels: Mapping[str, str], state: ContactState) -> Words:
    """Words about what became of her choices: in her language where this site speaks it, in her time zone."""
    try:
        locale = get_supported_language_variant(state.language)
    except LookupError:
        locale = settings.LANGUAGE_CODE
    words = Words((), locale, state.timezone)
    with override(locale):
        words.where = {
            f"choice:{topic}:{channel}": ("", by_channel(label, channel))
            for topic, label in labels.items()
            for channel in CHANNELS
        }
    return words


def _history(ids: Sequence[UUID], words: Words) -> tuple[list[Json], list[Json], list[Json]]:
    """A line for each thing that became another, the records by which she can hold the chain against itself, and the
    personal values that records only commit to.

    What staff did names who of them it was, which is about them: of these records there is no body, only its hash.
    """
    hers = Record.objects.filter(contact_ref__in=ids)
    records = list(hers.order_by("at", "contact_ref", "seq"))
    lines, whole = list[Json](), list[Json]()
    for record in records:
        body = ledger.read_body(record)
        theirs = body["actor"]["type"] == ActorType.ADMIN.value and bool(body["actor"]["id"])
        whole.append(
            {
                "receipt": str(record.pk),
                "contact": str(record.contact_ref),
                "number": record.seq,
                "prev": record.prev,
                "hash": record.hash,
                "body": None if theirs else record.body,
            }
        )
        told = [" ".join(line.text for line in words.past([effect])) for effect in ledger.effects_of(body)]
        head = {
            "receipt": str(record.pk),
            "contact": str(record.contact_ref),
            "number": record.seq,
            "at": iso(record.at),
            "by": _BY.get(body["actor"]["type"], body["actor"]["type"]),
            "method": body["method"],
            "language": body["language"],
            "page": body["source_url"],
            "law": body["jurisdiction"],
        }
        lines += [
            {
                **head,
                "path": effect["path"],
                "action": effect["action"],
                "before": _plain(effect["before"]),
                "after": _plain(effect["after"]),
                "until": effect["validity_until"],
                "legal_basis": effect["lawful_basis"],
                "evidence": body["evidence_ref"],
                "hash": record.hash,
                "words": said,
            }
            for effect, said in zip(body["effects"], told, strict=True)
        ]
    kept = SideValue.objects.filter(record__in=hers.values("pk")).order_by("record", "name")
    return (
        lines,
        whole,
        [
            {
                "receipt": str(value.record),
                "name": value.name,
                "value": json.loads(SideValue.revealed(value.record, value.name, value.value)),
                "salt": bytes(value.salt).hex(),
            }
            for value in kept
        ],
    )


#: Who of the staff, and which of our programs, is about them and not about her.
_BY = {"admin": "staff", "api": "program", "import": "import", "backend": "platform", "system": "system"}


def _plain(value: Any) -> Any:
    """A value as a body holds it; of a personal one the commitment, and what it commits to stands in `values`."""
    return "in values" if isinstance(value, dict) and set(value) == {"committed"} else value


def _platforms(ids: Sequence[UUID], identifiers: Identifiers) -> list[Json]:
    return [
        {
            "contact": str(row.contact),
            "platform": row.backend,
            "id_there": row.remote_id or identifiers.remote.get(row.backend, ""),
            "told_at": _moment(row.delivered_at),
        }
        for row in Delivery.objects.filter(contact__in=ids).order_by("backend", "contact")
        if row.delivered or row.remote_id
    ]


def _moment(moment: datetime | None) -> str | None:
    return iso(moment) if moment else None


def as_zip(data: Json) -> bytes:
    """A ZIP of the JSON, and the same as CSV files, one for each list: UTF-8, and no cell is a formula."""
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("data.json", json.dumps(data, ensure_ascii=False, indent=2))
        about = [
            ("format", data["format"]),
            ("made_at", data["made_at"]),
            ("unsubscribed_from_everything", data["unsubscribed_from_everything"]),
            *((f"controller_{name}", value) for name, value in data["controller"].items()),
        ]
        archive.writestr("about.csv", _rows(("field", "value"), about))
        for name, columns in COLUMNS.items():
            lines = ([line.get(column) for column in columns] for line in data[name])
            archive.writestr(f"{name}.csv", _rows(columns, lines))
    return file.getvalue()


def _rows(columns: Sequence[str], lines: Iterable[Sequence[Any]]) -> str:
    text = io.StringIO(newline="")
    writer = csv.writer(text)
    writer.writerow(columns)
    writer.writerows([safe(_cell(value)) for value in line] for line in lines)
    return text.getvalue()


def _cell(value: Any) -> Any:
    """True and lists as JSON has them, so that a program reads them again; a text as it is."""
    return value if value is None or isinstance(value, str) else json.dumps(value, ensure_ascii=False)
