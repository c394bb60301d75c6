"""Whether HubSpot has what the options name, and lets us do what we must: what `prefs_check` says of it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

from ..values import Json, Outcome, Problem
from .base import PlatformError
from .hubspot_answers import items, object_of

if TYPE_CHECKING:
    from .hubspot import HubspotBackend

#: Properties that are asked for in one call.
BATCH = 100
#: What the token must be allowed to do.
SCOPES = (
    "communication_preferences.read_write",
    "communication_preferences.statuses.batch.read",
    "communication_preferences.statuses.batch.write",
    "crm.objects.contacts.read",
    "crm.objects.contacts.write",
    "crm.schemas.contacts.read",
)
#: The types that a property may have, by the type that ATTRIBUTES names.
_ANY = ("string", "enumeration", "number", "bool", "date", "datetime", "phone_number")
_TYPES: Mapping[str | None, tuple[str, ...]] = {
    "text": ("string", "enumeration", "phone_number"),
    "number": ("number", "string"),
    "boolean": ("bool", "enumeration", "string"),
    "date": ("date", "string"),
    "list": ("enumeration", "string"),
}
#: What `check` says of an error.
_TROUBLE = {
    **dict.fromkeys(
        ("invalid_authentication", "expired_authentication", "http-401"),
        "does not take ACCESS_TOKEN: make a private app (Settings > Integrations > Private apps), and take its token.",
    ),
    "missing_scopes": f"does not let ACCESS_TOKEN do what it must. It needs the scopes {', '.join(SCOPES)}.",
    "connection": "cannot be reached.",
}


@dataclass(frozen=True, slots=True)
class Wanted:
    """What a property must be: what it is for, the types it may have, the options that a list of choices must have."""

    what: str
    types: tuple[str, ...]
    codes: tuple[str, ...] = ()

    @classmethod
    def attribute(cls, name: str, kind: str | None) -> Wanted:
        return cls(f'the attribute "{name}"', _TYPES.get(kind, _ANY))

    @classmethod
    def frequency(cls, codes: tuple[str, ...]) -> Wanted:
        return cls("how often people want mail", ("string", "enumeration"), codes)

    @classmethod
    def pause(cls) -> Wanted:
        return cls("the day a pause ends", ("date", "string"))


def problems_of(backend: HubspotBackend) -> list[Problem]:
    problems = []
    try:
        problems += _check_token(backend)
        problems += _check_types(backend)
        problems += _check_properties(backend)
    except PlatformError as error:
        problems.append(_error(backend, _TROUBLE.get(error.code, f"gives no answer ({error.code}).")))
    if not backend.options["CLIENT_SECRETS"]:
        problems.append(
            _warning(
                backend,
                "sends no webhooks that we could believe: who leaves by the link in a mail is only noticed at night. "
                "Make a webhook there, and set CLIENT_SECRETS.",
            )
        )
    return problems


def _check_token(backend: HubspotBackend) -> list[Problem]:
    """What the token may do, which HubSpot says of private apps."""
    token = backend.options["ACCESS_TOKEN"]
    if not token.startswith("pat-"):
        return []
    path = "/oauth/v2/private-apps/get/access-token-info"
    said = object_of(backend.call("POST", path, json={"tokenKey": token}))
    scopes = said.get("scopes")
    problems = []
    if isinstance(scopes, list) and (missing := [scope for scope in SCOPES if scope not in scopes]):
        problems.append(
            _error(
                backend,
                f"does not let the private app do all it must: add the scopes {', '.join(missing)} "
                "(Settings > Integrations > Private apps > the app > Scopes).",
            )
        )
    portal = str(backend.options["PORTAL"])
    if portal and str(said.get("hubId") or portal) != portal:
        problems.append(
            _error(
                backend, f"says that ACCESS_TOKEN is of the account {said['hubId']}, and PORTAL is {portal}."
            )
        )
    return problems


def _check_types(backend: HubspotBackend) -> list[Problem]:
    said = object_of(backend.call("GET", backend.preferences("definitions")))
    if not isinstance(said.get("results"), list):
        raise PlatformError(Outcome.RETRY, "unexpected-answer")
    known = {str(each.get("id")): each for each in items(said, "results")}
    problems = []
    for (topic, _channel), remote in backend.mapping.pairs().items():
        found = known.get(remote)
        if found is None:
            problems.append(
                _error(
                    backend,
                    f'has no subscription type {remote}, which TOPICS names for "{topic}". Make one there '
                    "(Settings > Marketing > Email > Subscription types), and take its id.",
                )
            )
        elif found.get("isActive") is False:
            problems.append(
                _error(
                    backend, f'has archived the subscription type {remote} of "{topic}": restore it there.'
                )
            )
        elif found.get("isInternal") is True or str(found.get("communicationMethod") or "Email") != "Email":
            problems.append(
                _error(
                    backend,
                    f'has the subscription type {remote} of "{topic}" for its own use, or not for e-mail: no mail '
                    "of yours goes by it. Make another one.",
                )
            )
    return problems


def _check_properties(backend: HubspotBackend) -> list[Problem]:
    wanted = backend.properties()
    known: dict[str, Json] = {}
    names = sorted(wanted)
    for start in range(0, len(names), BATCH):
        body = {"archived": False, "inputs": [{"name": name} for name in names[start : start + BATCH]]}
        said = object_of(backend.call("POST", "/crm/v3/properties/contacts/batch/read", json=body))
        if not isinstance(said.get("results"), list):
            raise PlatformError(Outcome.RETRY, "unexpected-answer")
        known |= {str(each.get("name")): each for each in items(said, "results")}
    problems = []
    for name, property_ in wanted.items():
        what, types, codes = property_.what, property_.types, property_.codes
        found = known.get(name)
        if found is None:
            problems.append(
                _error(
                    backend,
                    f"has no contact property {name}: {what}. Make it there (Settings > Properties > Contact "
                    f"properties), of the type {types[0]}.",
                )
            )
            continue
        kind = str(found.get("type"))
        if kind not in types:
            problems.append(
                _error(
                    backend, f"has the property {name} as {kind}; make it one of the type {types[0]}: {what}."
                )
            )
        elif kind == "enumeration" and codes:
            choices = {str(option.get("value")) for option in items(found, "options")}
            missing = [code for code in codes if code not in choices]
            if missing:
                problems.append(
                    _warning(
                        backend,
                        f"has the property {name} without the options {', '.join(missing)}, by their internal "
                        "names: whoever chooses one would be refused. Add those that your pages offer.",
                    )
                )
    return problems


def _error(backend: HubspotBackend, text: str) -> Problem:
    return Problem("error", f'HubSpot ("{backend.alias}") {text}')


def _warning(backend: HubspotBackend, text: str) -> Problem:
    return Problem("warning", f'HubSpot ("{backend.alias}") {text}')
