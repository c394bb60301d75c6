"""A stand-in for HubSpot: subscription types, contacts and their properties, as far as docs/how-to/connect-hubspot.md needs them.

Its traps are those of the platform: errors hide in a 200 or a 207, an answer about leaving is empty unless one asks for
more, every property is a text, and the deletion of an unknown address blocks that address.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
import time
from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, date, datetime
from typing import Any

from .server import REFUSED, Answer, Believed, Call, Json, Platform, route

ACCESS_TOKEN = "pat-eu1-00000000-1111-2222-3333-444444444444"
CLIENT_SECRET = "client-secret-of-the-demo"
#: The address that its webhooks are signed for.
WEBHOOK_URL = "https://www.example.org/prefs/api/v1/inbound/hubspot/demo/"
PORTAL = 4711
#: Subscription types by their ids, and the properties, that the demo and the tests have.
TYPES = {"101": "News", "102": "Offers", "103": "Events"}
PROPERTIES = {
    "firstname": "string",
    "city": "string",
    "children": "number",
    "is_member": "bool",
    "interests": "string",
    "pref_freq": "string",
    "pref_freq_news": "string",
    "pref_pause": "date",
    "pref_pause_news": "date",
}
SCOPES = (
    "communication_preferences.read_write",
    "communication_preferences.statuses.batch.read",
    "communication_preferences.statuses.batch.write",
    "crm.objects.contacts.read",
    "crm.objects.contacts.write",
    "crm.schemas.contacts.read",
)
HAS_WEBHOOKS = True
SUBSCRIBED, UNSUBSCRIBED, NOT_SPECIFIED = "SUBSCRIBED", "UNSUBSCRIBED", "NOT_SPECIFIED"
_PREFERENCES = "/communication-preferences/{version}"
_CONTACTS = "/crm/v3/objects/contacts"


class Hubspot(Platform):
    name = "hubspot"

    def forget_everybody(self) -> None:
        self.contacts: dict[str, Json] = {}  # by id
        self.statuses: dict[str, dict[str, str]] = {}  # by address: {subscription type: status}
        self.out: set[str] = set()  # addresses that are unsubscribed from all
        self.changed: dict[str, str] = {}  # by address: when that was, or a status changed
        self.evidence: dict[tuple[str, str], tuple[str, str]] = {}  # basis and explanation of a status
        self.blocked: set[str] = set()  # addresses that were deleted without being known
        self.types = dict(TYPES)
        self.archived: set[str] = set()
        self.internal: set[str] = set()
        self.properties = dict(PROPERTIES)
        self.options: dict[str, list[str]] = {}  # of properties that are lists of choices
        self.scopes = list(SCOPES)
        #: Whether it names nobody in its errors, as HubSpot may: every field of an error is optional.
        self.silent = False
        #: Whether it answers a yes with what it was before, as versions without resubscribing do.
        self.keeps_noes = False
        self._last_id = 65059681000

    def allowed(self, call: Call) -> Answer | None:
        given = call.headers.get("Authorization", "")
        return None if given == f"Bearer {ACCESS_TOKEN}" else _problem(401, "INVALID_AUTHENTICATION")

    def problem(self, status: int, code: str, call: Call | None = None) -> Answer:
        categories = {400: "VALIDATION_ERROR", 404: "OBJECT_NOT_FOUND", 423: "LOCKED", 429: "RATE_LIMITS"}
        return _problem(status, categories.get(status, "INTERNAL_ERROR"))

    def too_many(self, seconds: float) -> Answer:
        """The short limit. It has no Retry-After: the window stands in a header."""
        body = {**_error("RATE_LIMITS"), "status": "error", "policyName": "TEN_SECONDLY_ROLLING"}
        return Answer(
            429,
            body,
            {
                "X-HubSpot-RateLimit-Max": "100",
                "X-HubSpot-RateLimit-Remaining": "0",
                "X-HubSpot-RateLimit-Interval-Milliseconds": "10000",
            },
        )

    # --- subscriptions -----------------------------------------------------------------------------------------------

    @route("GET", f"{_PREFERENCES}/definitions")
    def definitions(self, call: Call, version: str) -> Answer:
        found = [
            {
                "id": key,
                "name": name,
                "purpose": "Marketing",
                "communicationMethod": "Email",
                "isActive": key not in self.archived,
                "isInternal": key in self.internal,
                "isDefault": False,
                "businessUnitId": 0,
            }
            for key, name in self.types.items()
        ]
        return _done(found)

    @route("POST", f"{_PREFERENCES}/statuses/batch/write")
    def write(self, call: Call, version: str) -> Answer:
        """Errors of inputs stand in a 200."""
        inputs = call.json()["inputs"]

        def one(said: Json) -> Json | str:
            email, key = _folded(said["subscriberIdString"]), str(said["subscriptionId"])
            if key not in self.types:
                return "SUBSCRIPTION_NOT_FOUND"
            if self._is_refused(email):
                return "INVALID_EMAIL"
            held = self.statuses.setdefault(email, {})
            self.changed[email] = _now()
            before = held.get(key, NOT_SPECIFIED)
            wanted = said["statusState"]
            if wanted == SUBSCRIBED and self.keeps_noes and before == UNSUBSCRIBED:
                wanted = before
            held[key] = wanted
            if wanted == SUBSCRIBED:
                self.out.discard(email)
            self.evidence[email, key] = (said["legalBasis"], said["legalBasisExplanation"])
            reason = "NO_STATUS_CHANGE" if before == wanted else "REQUESTED_CHANGE_OCCURRED"
            if before == UNSUBSCRIBED and wanted == SUBSCRIBED:
                reason = "RESUBSCRIBE_OCCURRED"
            return {**self._status(email, key), "setStatusSuccessReason": reason}

        def named(said: Json) -> Json:
            return {
                "subscriberIdString": [said["subscriberIdString"]],
                "subscriptionId": [str(said["subscriptionId"])],
            }

        return self._each(inputs, one, named, partial=200)

    @route("POST", f"{_PREFERENCES}/statuses/batch/unsubscribe-all")
    def unsubscribe_all(self, call: Call, version: str) -> Answer:
        def one(email: str) -> Json | str:
            if self._is_refused(email):
                return "INVALID_EMAIL"
            self._leave(email)
            statuses = [self._status(_folded(email), key) for key in self.types]
            return {"subscriberIdString": _folded(email), "statuses": statuses}

        verbose = call.one("verbose") == "true"
        return self._each(
            call.json()["inputs"],
            one,
            lambda email: {"subscriberIdString": [email]},
            partial=200,
            shown=verbose,
        )

    @route("POST", f"{_PREFERENCES}/statuses/batch/unsubscribe-all/read")
    def read_unsubscribed(self, call: Call, version: str) -> Answer:
        found = []
        for email in map(_folded, call.json()["inputs"]):
            wide = {
                "channel": "EMAIL",
                "status": UNSUBSCRIBED,
                "subscriberIdString": email,
                "timestamp": self.changed.get(email, _now()),
                "wideStatusType": "PORTAL_WIDE",
            }
            found.append({"subscriberIdString": email, "wideStatuses": [wide] if email in self.out else []})
        return _done(found)

    @route("POST", f"{_PREFERENCES}/statuses/batch/read")
    def read_statuses(self, call: Call, version: str) -> Answer:
        found = [
            {"subscriberIdString": email, "statuses": [self._status(email, key) for key in self.types]}
            for email in map(_folded, call.json()["inputs"])
        ]
        return _done(found)

    # --- contacts ----------------------------------------------------------------------------------------------------

    @route("POST", f"{_CONTACTS}/batch/upsert")
    def upsert(self, call: Call) -> Answer:
        inputs = call.json()["inputs"]
        emails = [_folded(said["id"]) for said in inputs]
        if len(set(emails)) < len(emails) or len({said["objectWriteTraceId"] for said in inputs}) < len(
            inputs
        ):
            return _problem(400, "VALIDATION_ERROR", "DUPLICATE_IDS")

        def one(said: Json) -> Json | str:
            email = _folded(said["id"])
            if self._is_refused(email):
                return "INVALID_EMAIL"
            if email in self.blocked:
                return "CONTACT_BLOCKED"
            for name, value in said["properties"].items():
                if name not in self.properties:
                    return "PROPERTY_DOESNT_EXIST"
                if value != "" and not self._fits(name, value):
                    return "INVALID_PROPERTY"
            contact = self._by_email(email)
            new = contact is None
            if contact is None:
                self._last_id += 1
                contact = {"id": str(self._last_id), "properties": {"email": email}}
                self.contacts[contact["id"]] = contact
            contact["properties"] |= said["properties"]
            return {
                **contact,
                "properties": {**said["properties"], "email": email, "hs_object_id": contact["id"]},
                "new": new,
                "archived": False,
                "createdAt": _now(),
                "updatedAt": _now(),
                "objectWriteTraceId": said["objectWriteTraceId"],
            }

        return self._each(
            inputs, one, lambda said: {"objectWriteTraceId": [said["objectWriteTraceId"]]}, partial=207
        )

    @route("POST", f"{_CONTACTS}/batch/read")
    def read_contacts(self, call: Call) -> Answer:
        body = call.json()
        by_email = body.get("idProperty") == "email"

        def one(said: Json) -> Json | str:
            contact = self._by_email(_folded(said["id"])) if by_email else self.contacts.get(said["id"])
            if contact is None:
                return "OBJECT_NOT_FOUND"
            held = contact["properties"]
            return {**contact, "properties": {name: held.get(name) or None for name in body["properties"]}}

        return self._each(
            body["inputs"], one, lambda said: {"ids": [said["id"]]}, partial=207, may_fail=False
        )

    @route("POST", f"{_CONTACTS}/gdpr-delete")
    def delete_for_good(self, call: Call) -> Answer:
        body = call.json()
        if body.get("idProperty") == "email":
            email = _folded(body["objectId"])
            contact = self._by_email(email)
            if contact is None:
                self.blocked.add(email)
                return Answer(204)
        else:
            contact = self.contacts.get(body["objectId"])
            if contact is None:
                return _problem(404, "OBJECT_NOT_FOUND")
        email = contact["properties"]["email"]
        del self.contacts[contact["id"]]
        self.statuses.pop(email, None)
        self.out.discard(email)
        return Answer(204)

    # --- what there is -----------------------------------------------------------------------------------------------

    @route("POST", "/crm/v3/properties/contacts/batch/read")
    def read_properties(self, call: Call) -> Answer:
        def one(said: Json) -> Json | str:
            name = said["name"]
            if name not in self.properties:
                return "OBJECT_NOT_FOUND"
            options = [{"label": each, "value": each} for each in self.options.get(name, ())]
            return {"name": name, "type": self.properties[name], "options": options}

        return self._each(
            call.json()["inputs"], one, lambda said: {"name": [said["name"]]}, partial=207, may_fail=False
        )

    @route("POST", "/oauth/v2/private-apps/get/access-token-info")
    def token_info(self, call: Call) -> Answer:
        return Answer(200, {"userId": 1, "hubId": PORTAL, "appId": 2, "scopes": self.scopes})

    # --- what people do over there -----------------------------------------------------------------------------------

    def leave(self, email: str) -> None:
        """She uses "unsubscribe from all" in a mail."""
        with self.lock:
            self._leave(email)

    def hook(self, email: str) -> tuple[bytes, dict[str, str]]:
        contact = self._by_email(_folded(email))
        event = opted_out(int(contact["id"]) if contact else 0)
        body = json.dumps([event]).encode()
        return body, {"Content-Type": "application/json", **signed(body)}

    def set_up(self, names: Mapping[str, str]) -> None:
        self.types = dict(names)

    def believes(self) -> list[Believed]:
        with self.lock:
            by_email = {contact["properties"]["email"]: contact for contact in self.contacts.values()}
            return [
                Believed(
                    email,
                    "unsubscribed from all"
                    if email in self.out
                    else "contact"
                    if email in by_email
                    else "address",
                    {
                        self.types[key]: "yes" if status == SUBSCRIBED else "no"
                        for key, status in self.statuses.get(email, {}).items()
                        if key in self.types and status != NOT_SPECIFIED
                    },
                    {
                        name: value
                        for name, value in by_email.get(email, {"properties": {}})["properties"].items()
                        if value and name != "email"
                    },
                    out=email in self.out,
                )
                for email in sorted({*by_email, *self.statuses, *self.out})
            ]

    # --- how ---------------------------------------------------------------------------------------------------------

    def contact(self, email: str) -> Json:
        """For tests: the properties of a contact."""
        found: Json = next(
            each["properties"]
            for each in self.contacts.values()
            if each["properties"]["email"] == _folded(email)
        )
        return found

    def _by_email(self, email: str) -> Json | None:
        return next((each for each in self.contacts.values() if each["properties"]["email"] == email), None)

    def _is_refused(self, email: str) -> bool:
        email = _folded(email)
        return email in self.refused or email.startswith(REFUSED) or "@" not in email

    def _leave(self, email: str) -> None:
        email = _folded(email)
        self.out.add(email)
        self.changed[email] = _now()
        self.statuses.setdefault(email, {}).update(dict.fromkeys(self.types, UNSUBSCRIBED))

    def _status(self, email: str, key: str) -> Json:
        return {
            "channel": "EMAIL",
            "source": "",
            "status": self.statuses.get(email, {}).get(key, NOT_SPECIFIED),
            "subscriberIdString": email,
            "subscriptionId": int(key),
            "subscriptionName": self.types[key],
            "timestamp": self.changed.get(email, _now()),
        }

    def _fits(self, name: str, value: str) -> bool:
        match self.properties[name]:
            case "number":
                return value.lstrip("-").replace(".", "", 1).isdigit()
            case "bool":
                return value in {"true", "false"}
            case "date":
                try:
                    return bool(date.fromisoformat(value))
                except ValueError:
                    return False
            case "enumeration":
                return set(value.split(";")) <= set(self.options.get(name, ()))
        return True

    def _each(
        self,
        inputs: Sequence[Any],
        one: Callable[[Any], Json | str],
        named: Callable[[Any], Json],
        *,
        partial: int,
        shown: bool = True,
        may_fail: bool = True,
    ) -> Answer:
        """Answer a batch: what `one` makes of each input, a result or the code of an error."""
        failing = self.faults.failing(len(inputs)) if may_fail else set()
        results, errors = [], []
        for position, said in enumerate(inputs):
            found = "GENERIC" if position in failing else one(said)
            if isinstance(found, str):
                category = "OBJECT_NOT_FOUND" if found == "OBJECT_NOT_FOUND" else "VALIDATION_ERROR"
                # The sentence names her: whoever logs it logs an address.
                error = _error(category, found, f"Could not take {said}")
                errors.append(error if self.silent else {**error, "context": named(said)})
            elif shown:
                results.append(found)
        return _done(results, errors, partial)


def opted_out(contact: int, name: str = "hs_email_optout", **said: Any) -> Json:
    """An event as a webhook has it."""
    return {
        "eventId": 567890123,
        "subscriptionId": 234567,
        "portalId": PORTAL,
        "appId": 2,
        "occurredAt": int(time.time() * 1000),
        "subscriptionType": "contact.propertyChange",
        "attemptNumber": 0,
        "objectId": contact,
        "propertyName": name,
        "propertyValue": "true",
        "changeSource": "EMAIL",
        "isSensitive": False,
        **said,
    }


def signed(
    body: bytes, *, url: str = WEBHOOK_URL, secret: str = CLIENT_SECRET, stamp: int | None = None
) -> dict[str, str]:
    """The headers of a webhook."""
    moment = str(int(time.time() * 1000) if stamp is None else stamp)
    message = f"POST{url}".encode() + body + moment.encode()
    mac = hmac.digest(secret.encode(), message, hashlib.sha256)
    return {"X-HubSpot-Signature-v3": base64.b64encode(mac).decode(), "X-HubSpot-Request-Timestamp": moment}


def demo_options(url: str, topics: Mapping[str, Mapping[str, str]]) -> Json:
    """The backend's options in the demo, where the API stands at `url`."""
    return {
        "URL": url,
        "ACCESS_TOKEN": ACCESS_TOKEN,
        "PORTAL": PORTAL,
        "CLIENT_SECRETS": [CLIENT_SECRET],
        "WEBHOOK_URL": WEBHOOK_URL,
        "TOPICS": {topic: channels["email"] for topic, channels in topics.items()},
        "ATTRIBUTES": {"given_name": "firstname"},
        "FREQUENCY_FIELDS": {"all": "pref_freq"},
        "PAUSE_FIELDS": {"all": "pref_pause"},
    }


def _folded(email: str) -> str:
    return email.strip().lower()


def _now() -> str:
    return datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def _error(category: str, code: str = "", message: str = "") -> Json:
    inner = [{"message": message or code, "code": code}] if code else []
    return {"status": "error", "category": category, "message": message or category, "errors": inner}


def _problem(status: int, category: str, code: str = "") -> Answer:
    return Answer(status, {**_error(category, code), "correlationId": "00000000-0000-0000-0000-000000000000"})


def _done(results: Sequence[Json], errors: Sequence[Json] = (), partial: int = 200) -> Answer:
    body: Json = {"status": "COMPLETE", "results": list(results), "startedAt": _now(), "completedAt": _now()}
    if errors:
        body |= {"numErrors": len(errors), "errors": list(errors)}
    return Answer(partial if errors else 200, body)
