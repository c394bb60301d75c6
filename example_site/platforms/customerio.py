"""A stand-in for Customer.io: the Track API that is written by and the App API that is read by, on one host.

Its traps are those of the platform: an object in place of dot notation replaces all that she chose, what is wrong with one
person of a batch stands in a 207, what it reads are texts, and it tells of our own writes as well.
"""

from __future__ import annotations

import hashlib
import hmac
import json
from base64 import b64decode
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any
from uuid import uuid4

from .server import REFUSED, Answer, Believed, Call, Json, Platform, route

SITE_ID, API_KEY, APP_KEY = "site-0123456789", "track-key-0123456789abcdef", "app-key-fedcba9876543210"
SIGNING_KEY = "customerio-signing-key-of-the-demo"
HAS_WEBHOOKS = True
TOPICS = {"topic_1": "News", "topic_2": "Offers", "topic_3": "Events"}
PREFERENCES = "cio_subscription_preferences"
#: Bytes of a batch, and of a person in it.
MOST, MOST_EACH, MOST_TEXT = 500_000, 32_000, 1000


class Customerio(Platform):
    name = "customerio"

    def forget_everybody(self) -> None:
        self.people: dict[str, Json] = {}  # by cio_id: identifiers, attributes, when each was last written
        self._index: dict[tuple[str, str], str] = {}  # (kind, value) -> cio_id
        self.topics = {key: {"name": name, "default": False} for key, name in TOPICS.items()}
        self.webhooks: list[Json] = []
        self.now = 0  # what it takes for the moment of a write that names none: seconds since 1970; 0 is now
        #: What it would tell: (metric, e-mail), of our own writes as well.
        self.told: list[tuple[str, str]] = []

    def allowed(self, call: Call) -> Answer | None:
        kind, _, given = call.headers.get("Authorization", "").partition(" ")
        if call.path.startswith("/api/"):
            good = kind == "Basic" and b64decode(given).decode() == f"{SITE_ID}:{API_KEY}"
        else:
            good = kind == "Bearer" and given == APP_KEY
        return None if good else self.problem(401, "unauthorized")

    def problem(self, status: int, code: str, call: Call | None = None) -> Answer:
        return Answer(status, {"meta": {"error": code}})

    def too_many(self, seconds: float) -> Answer:
        return Answer(429, {"meta": {"error": "too many requests"}})  # it does not say for how long

    # --- Track -------------------------------------------------------------------------------------------------------

    @route("POST", "/api/v2/batch")
    def batch(self, call: Call) -> Answer:
        if len(call.body) >= MOST:
            return self.problem(400, "batch too large")
        items = call.json()["batch"]
        failing = self.faults.failing(len(items))
        errors = []
        for position, item in enumerate(items):
            trouble = ("internal", "", "an error") if position in failing else self._take(item)
            if trouble is not None:
                reason, field, message = trouble
                errors.append({"batch_index": position, "reason": reason, "field": field, "message": message})
        return Answer(207, {"errors": errors}) if errors else Answer(200, {})

    @route("GET", "/api/v1/accounts/region")
    def region(self, call: Call) -> Answer:
        return Answer(200, {"url": "track.customer.io", "data_center": "us", "environment_id": 1})

    @route("PUT", "/api/v1/customers/{identifier}")
    def one(self, call: Call, identifier: str) -> Answer:
        """The older call, for whoever walks into its trap: a plus sign that is not encoded is a space, and finds nobody."""
        kind = "email" if "@" in identifier else "id"
        attributes = {name: value for name, value in call.json().items() if name != "_update"}
        person = self._find({kind: identifier.replace("+", " ") if "+" in call.path else identifier})
        if person is None and call.json().get("_update"):
            return Answer(200, {})
        self._take(
            {
                "type": "person",
                "action": "identify",
                "identifiers": {kind: identifier.replace("+", " ") if "+" in call.path else identifier},
                "attributes": attributes,
            }
        )
        return Answer(200, {})

    # --- App ---------------------------------------------------------------------------------------------------------

    @route("GET", "/v1/customers/{identifier}/attributes")
    def attributes(self, call: Call, identifier: str) -> Answer:
        person = self._find({call.one("id_type", "id"): identifier})
        if person is None:
            return Answer(404, {"errors": [{"detail": "not found", "status": "404"}]})
        shown = {name: _text(value) for name, value in person["attributes"].items()}
        explicit = person["attributes"].get(PREFERENCES, {}).get("topics", {})
        computed = {key: explicit.get(key, topic["default"]) for key, topic in self.topics.items()}
        shown[f"_{PREFERENCES}_computed"] = json.dumps({"topics": computed})
        return Answer(200, {"customer": {"id": person["identifiers"].get("id", ""), "attributes": shown}})

    @route("GET", "/v1/subscription_topics")
    def subscription_topics(self, call: Call) -> Answer:
        found = [
            {
                "id": number,
                "identifier": key,
                "name": topic["name"],
                "subscribed_by_default": topic["default"],
            }
            for number, (key, topic) in enumerate(self.topics.items(), start=1)
        ]
        return Answer(200, {"topics": found})

    @route("GET", "/v1/reporting_webhooks")
    def reporting_webhooks(self, call: Call) -> Answer:
        return Answer(200, {"reporting_webhooks": self.webhooks})

    # --- what people do over there -----------------------------------------------------------------------------------

    def person(self, email: str) -> Json | None:
        return self._find({"email": email})

    def leave(self, email: str) -> None:
        self._say(email, {"unsubscribed": True})

    def choose(self, email: str, topic: str, *, wanted: bool) -> None:
        """She changes a topic in the subscription center."""
        self._say(email, {f"{PREFERENCES}.topics.{topic}": wanted})

    def _say(self, email: str, attributes: Json) -> None:
        with self.lock:
            person = self._find({"email": email})
            if person is not None:
                self._write(person, attributes)

    def hook(self, email: str) -> tuple[bytes, dict[str, str]]:
        now = int(datetime.now(UTC).timestamp())
        event = {
            "event_id": uuid4().hex,
            "object_type": "customer",
            "metric": "unsubscribed",
            "timestamp": now,
            "data": {"customer_id": "", "email_address": email, "identifiers": {"email": email}},
        }
        return self.signed(json.dumps(event).encode(), now)

    def signed(self, body: bytes, stamp: int, key: str = SIGNING_KEY) -> tuple[bytes, dict[str, str]]:
        mac = hmac.new(key.encode(), f"v0:{stamp}:".encode() + body, hashlib.sha256).hexdigest()
        return body, {
            "Content-Type": "application/json",
            "X-CIO-Timestamp": str(stamp),
            "X-CIO-Signature": mac,
        }

    def set_up(self, names: Mapping[str, str]) -> None:
        self.topics = {key: {"name": name, "default": False} for key, name in names.items()}

    def believes(self) -> list[Believed]:
        with self.lock:
            return [_believed(person, self.topics) for person in self.people.values()]

    # --- how ---------------------------------------------------------------------------------------------------------

    def _find(self, identifiers: Mapping[str, str]) -> Json | None:
        ((kind, value),) = identifiers.items()
        wanted = value.lower() if kind == "email" else value
        person = self.people.get(self._index.get((kind, wanted), ""))
        # An address that moved on is still in the index.
        return person if person is not None and person["identifiers"].get(kind) == wanted else None

    def _take(self, item: Json) -> tuple[str, str, str] | None:
        """Do one thing of a batch, whole or not at all; what is wrong."""
        if len(json.dumps(item).encode()) > MOST_EACH:
            return "too_large", "attributes", "the item is too large"
        ((kind, value),) = item["identifiers"].items()
        if value in self.refused or value.startswith(REFUSED) or (kind == "email" and "@" not in value):
            return "invalid", "email", f"{value} is not valid"
        person = self._find(item["identifiers"])
        if item["action"] == "delete":
            if person is not None:
                del self.people[person["identifiers"]["cio_id"]]
            return None
        attributes = dict(item["attributes"])
        for name, given in attributes.items():
            if isinstance(given, str) and len(given.encode()) > MOST_TEXT:
                return "invalid", name, "the value is too long"
        other = self._find({"email": attributes["email"]}) if attributes.get("email") else None
        if other is not None and other is not person:
            return None  # it says 200, and "Attribute Update Failure" in its pages only
        if person is None:
            cio_id = uuid4().hex[:12]
            value = value.lower() if kind == "email" else value
            person = {"identifiers": {"cio_id": cio_id, kind: value}, "attributes": {}, "written": {}}
            if kind == "email":
                person["attributes"]["email"] = value
            self.people[cio_id] = person
            self._index[kind, value] = self._index["cio_id", cio_id] = cio_id
        self._write(person, attributes)
        return None

    def _write(self, person: Json, attributes: Json) -> None:
        at = attributes.pop("_timestamp", 0) or self.now or int(datetime.now(UTC).timestamp())
        held, written = person["attributes"], person["written"]
        for name, value in attributes.items():
            if written.get(name, 0) > at:
                continue  # an older word that came late
            written[name] = at
            if name.startswith(f"{PREFERENCES}.topics."):
                topics = {**held.get(PREFERENCES, {}).get("topics", {}), name.rpartition(".")[2]: value}
                held[PREFERENCES] = {"topics": topics}
                self.told.append(("cio_subscription_preferences_changed", held.get("email", "")))
            elif value in ("", None):
                held.pop(name, None)
            else:
                held[name] = value
                if name == "email":
                    person["identifiers"]["email"] = value.lower()
                    self._index["email", value.lower()] = person["identifiers"]["cio_id"]
                if name == "unsubscribed":
                    self.told.append(("unsubscribed" if value else "subscribed", held.get("email", "")))


def demo_options(url: str, topics: Mapping[str, Mapping[str, str]]) -> Json:
    """The backend's options in the demo, where both APIs stand at `url`."""
    return {
        "URL": url,
        "SITE_ID": SITE_ID,
        "API_KEY": API_KEY,
        "APP_KEY": APP_KEY,
        "SIGNING_KEYS": [SIGNING_KEY],
        "TOPICS": {topic: channels["email"] for topic, channels in topics.items()},
        "ATTRIBUTES": {"given_name": "first_name"},
        "FREQUENCY_FIELDS": {"all": "pref_freq"},
        "PAUSE_FIELDS": {"all": "pref_paused_until"},
    }


def _believed(person: Json, topics: Mapping[str, Json]) -> Believed:
    attributes = person["attributes"]
    chosen = attributes.get(PREFERENCES, {}).get("topics", {})
    out = attributes.get("unsubscribed") is True
    hidden = {"email", "unsubscribed", PREFERENCES}
    return Believed(
        attributes.get("email", ""),
        "unsubscribed" if out else "subscribed",
        {topic["name"]: "yes" if chosen[key] else "no" for key, topic in topics.items() if key in chosen},
        {name: str(value) for name, value in attributes.items() if name not in hidden},
        out=out,
    )


def _text(value: Any) -> str:
    """What it reads is a text, whatever was written."""
    if isinstance(value, bool):
        return "true" if value else "false"
    return json.dumps(value) if isinstance(value, dict | list) else str(value)
