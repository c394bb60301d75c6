"""Whether Salesforce has what the options name, and shows it to us: what `prefs_check` says of it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

from ..values import Json, Problem
from .base import PlatformError
from .salesforce_answers import CHANNEL, CONSENT, INDIVIDUAL, OBJECTS, POINT

if TYPE_CHECKING:
    from .salesforce import SalesforceBackend

_RIGHTS = {"create": "createable", "edit": "updateable", "delete": "deletable"}
#: What we change of each object; what only a new record needs is refused with it.
_WRITTEN = {
    INDIVIDUAL: ("LastName",),
    POINT: ("EmailAddress",),
    CONSENT: (
        "ConsentCapturedDateTime",
        "ConsentCapturedSource",
        "EffectiveFromDate",
        "EffectiveToDate",
        "PrivacyConsentStatus",
    ),
    CHANNEL: ("CaptureDate", "CaptureSource", "EffectiveFrom", "PrivacyConsentStatus"),
}
#: What is said of an error.
_TROUBLE = {
    "invalid_client": "does not take CLIENT_ID and CLIENT_SECRET: see the connected app.",
    "invalid_client_id": "does not know CLIENT_ID: see the connected app.",
    "invalid_grant": "gives no token: let the connected app use the client credentials flow, with a user to run as.",
    "dns": "cannot be found: is INSTANCE your My Domain?",
    "connection": "cannot be reached.",
}


def problems_of(backend: SalesforceBackend) -> list[Problem]:
    problems: list[Problem] = []
    try:
        backend.headers()
        for sobject in OBJECTS:
            problems += _check_object(backend, sobject)
        if not problems:
            problems += _check_types(backend)
    except PlatformError as error:
        problems.append(_error(backend, _TROUBLE.get(error.code, f"gives no answer ({error.code}).")))
    return problems


def _check_object(backend: SalesforceBackend, sobject: str) -> list[Problem]:
    path = f"{backend.data}/sobjects{backend.path(sobject)}/describe"
    answer = backend.call("GET", path, accept={404})
    if answer.status == 404:
        return [
            _error(
                backend,
                f'does not show {sobject}. Switch on "Make data protection details available in records" (Setup > '
                "Data Protection and Privacy), and let the integration user read and edit it.",
            )
        ]
    said = answer.json()
    fields = {
        str(field.get("name")): field for field in (said.get("fields") or []) if isinstance(field, dict)
    }
    name = backend.options["ID_FIELD"]
    key = fields.get(name)
    if key is None or not (key.get("externalId") and key.get("unique")):
        return [
            _error(
                backend,
                f"has no field {name} on {sobject} that is a text of 120 letters, unique, and an external id. Make "
                "it there (Setup > Object Manager), and let the integration user edit it.",
            )
        ]
    return [*_missing_rights(backend, sobject, said, fields), *_missing_fields(backend, sobject, fields)]


def _missing_rights(
    backend: SalesforceBackend, sobject: str, said: Json, fields: Mapping[str, Json]
) -> list[Problem]:
    """What the integration user may not do: one who can only read would be seen with the first opt-out."""
    rights = [word for word, name in _RIGHTS.items() if not said.get(name)]
    if rights:
        return [
            _error(
                backend,
                f"does not let the integration user {', '.join(rights)} records of {sobject}: see its profile or a "
                "permission set of it.",
            )
        ]
    needed = [backend.options["ID_FIELD"], *_WRITTEN[sobject]]
    if sobject == INDIVIDUAL:
        needed += [name for name in _wanted(backend) if name in fields]
    closed = [
        name
        for name in needed
        if not (fields.get(name, {}).get("createable") and fields.get(name, {}).get("updateable"))
    ]
    if not closed:
        return []
    return [
        _error(
            backend,
            f"does not let the integration user edit {', '.join(closed)} of {sobject}: see the field-level security "
            "of each.",
        )
    ]


def _missing_fields(backend: SalesforceBackend, sobject: str, fields: Mapping[str, Json]) -> list[Problem]:
    if sobject != INDIVIDUAL:
        return []
    return [
        _error(
            backend,
            f"has no field {wanted} on {INDIVIDUAL}, which holds {what}. Make it there (Setup > Object Manager), and "
            "let the integration user edit it.",
        )
        for wanted, what in _wanted(backend).items()
        if wanted not in fields
    ]


def _check_types(backend: SalesforceBackend) -> list[Problem]:
    wanted = ", ".join(f"'{remote}'" for remote in backend.mapping.pairs().values())
    known = (
        {
            str(each.get("Id"))[:15]
            for each in backend.query(f"SELECT Id FROM CommSubscriptionChannelType WHERE Id IN ({wanted})")
        }
        if wanted
        else set()
    )
    return [
        _error(
            backend,
            f'has no communication subscription channel type {remote}, which TOPICS names for "{topic}". Make a '
            "Communication Subscription and a channel type of it for e-mail, and take the id from its address.",
        )
        for (topic, _channel), remote in backend.mapping.pairs().items()
        if remote[:15] not in known
    ]


def _wanted(backend: SalesforceBackend) -> dict[str, str]:
    return {
        **{remote: f'the attribute "{name}"' for name, remote in backend.mapping.attribute_names().items()},
        **dict.fromkeys(backend.frequency_fields.values(), "how often people want mail"),
    }


def _error(backend: SalesforceBackend, text: str) -> Problem:
    return Problem("error", f'Salesforce ("{backend.alias}") {text}')
