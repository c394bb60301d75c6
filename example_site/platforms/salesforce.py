"""A stand-in for Salesforce core: its REST API for records by external ids, as far as consents of people need it.

Its traps are those of the platform: what is wrong with a record stands in a 200 at its place, a token ends, locks come and
go, the day's pool of calls is used up with a 403, and an object that an admin has not switched on is not there.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping
from datetime import UTC, datetime
from operator import ge, gt
from typing import Any
from urllib.parse import parse_qs

from .server import REFUSED, Answer, Believed, Call, Json, Platform, route

CLIENT_ID, CLIENT_SECRET = "3MVG9-connected-app-of-tests", "salesforce-client-secret-0123456789"
KEY = "Prefs_Key__c"
VERSION = "v62.0"
TYPES = {"0eB000000000001AAA": "News", "0eB000000000002AAA": "Offers", "0eB000000000003AAA": "Events"}
INDIVIDUAL, POINT = "Individual", "ContactPointEmail"
CONSENT, CHANNEL, TYPE = "CommSubscriptionConsent", "ContactPointTypeConsent", "CommSubscriptionChannelType"
PREFIXES = {INDIVIDUAL: "0PK", POINT: "9Vl", CONSENT: "0eC", CHANNEL: "0ZZ"}
CUSTOM = ("City__c", "Children__c", "Member__c", "Interests__c", "Pref_Freq__c", "First_Name__c")
#: What each needs when it is made.
REQUIRED = {
    INDIVIDUAL: {"LastName"},
    POINT: {"EmailAddress"},
    CONSENT: {
        "CommSubscriptionChannelTypeId",
        "ConsentCapturedDateTime",
        "ConsentCapturedSource",
        "ContactPoint",
        "EffectiveFromDate",
    },
    CHANNEL: {
        "CaptureContactPointType",
        "CaptureDate",
        "CaptureSource",
        "ContactPointType",
        "Name",
        "Party",
        "PrivacyConsentStatus",
    },
}
#: The fields of their own that describe shows: a relation goes by its id there.
OWN = {
    sobject: {f"{name}Id" if name in {"Parent", "Party", "ContactPoint"} else name for name in names}
    | ({"ParentId"} if sobject == POINT else set())
    | ({"EffectiveToDate", "PrivacyConsentStatus"} if sobject == CONSENT else set())
    | ({"EffectiveFrom"} if sobject == CHANNEL else set())
    for sobject, names in REQUIRED.items()
}
REFERS = {"Parent": INDIVIDUAL, "Party": INDIVIDUAL, "ContactPoint": POINT}
MOST = 200


class Salesforce(Platform):
    name = "salesforce"

    def forget_everybody(self) -> None:
        self.records: dict[str, dict[str, Json]] = {sobject: {} for sobject in PREFIXES}  # by external id
        self.types = dict(TYPES)
        self.hidden: set[str] = set()
        self.custom = set(CUSTOM)
        self.unkeyed: set[str] = set()  # objects without the external id
        self.locked = 0  # so many of the next records are locked by somebody
        self.used_up = self.crowded = False  # the day's calls; calls at the same time
        self.read_only: set[str] = set()  # objects, and fields as `Individual.City__c`
        self.failing: dict[str, str] = {}  # {key of a record: the error of it}
        self.kept: set[str] = set()  # ids that somebody else's record refers to
        self.vanishing: set[str] = set()  # ids that somebody deletes while we do
        self.tokens = {"first-token"}
        self._number = 0

    @property
    def base(self) -> str:
        return f"/services/data/{VERSION}"

    def allowed(self, call: Call) -> Answer | None:
        if call.path == "/services/oauth2/token":
            return None
        kind, _, token = call.headers.get("Authorization", "").partition(" ")
        if kind != "Bearer" or token not in self.tokens:
            return _problem(401, "INVALID_SESSION_ID", "Session expired or invalid")
        if self.used_up or self.crowded:
            limit = "TotalRequests" if self.used_up else "ConcurrentRequests (Concurrent API Requests)"
            return _problem(403, "REQUEST_LIMIT_EXCEEDED", f"{limit} Limit exceeded.")
        return None

    def problem(self, status: int, code: str, call: Call | None = None) -> Answer:
        codes = {
            400: "JSON_PARSER_ERROR",
            404: "NOT_FOUND",
            500: "UNKNOWN_EXCEPTION",
            503: "SERVER_UNAVAILABLE",
        }
        return _problem(status, codes.get(status, code), code)

    # --- credentials -------------------------------------------------------------------------------------------------

    @route("POST", "/services/oauth2/token")
    def token(self, call: Call) -> Answer:
        form = {name: values[0] for name, values in parse_qs(call.body.decode()).items()}
        if form.get("client_id") != CLIENT_ID:
            return Answer(
                400, {"error": "invalid_client_id", "error_description": "client identifier invalid"}
            )
        if form.get("client_secret") != CLIENT_SECRET:
            return Answer(400, {"error": "invalid_client", "error_description": "invalid client credentials"})
        token = f"token-{len(self.tokens)}"
        self.tokens.add(token)
        return Answer(200, {"access_token": token, "token_type": "Bearer", "instance_url": self.origin})

    # --- writing -----------------------------------------------------------------------------------------------------

    @route("PATCH", "/services/data/v62.0/composite/sobjects/{sobject}/{field}")
    def upsert(self, call: Call, sobject: str, field: str) -> Answer:
        if sobject not in self.records or sobject in self.hidden:
            return _problem(404, "NOT_FOUND", "The requested resource does not exist")
        if field != KEY or sobject in self.unkeyed:
            return _problem(404, "NOT_FOUND", f"Provided external ID field does not exist: {field}")
        records = call.json()["records"]
        failing = self.faults.failing(len(records))
        results = []
        for position, record in enumerate(records):
            if self.locked:
                self.locked -= 1
                results.append(
                    _failed("UNABLE_TO_LOCK_ROW", "unable to obtain exclusive access to this record")
                )
            elif position in failing:
                results.append(_failed("FIELD_CUSTOM_VALIDATION_EXCEPTION", "an error"))
            else:
                results.append(self._upsert(sobject, record))
        return Answer(200, results, {"Sforce-Limit-Info": "api-usage=18/5000"})

    @route("DELETE", "/services/data/v62.0/composite/sobjects")
    def delete(self, call: Call) -> Answer:
        results = []
        for wanted in call.one("ids").split(","):
            found = [
                (sobject, key)
                for sobject, records in self.records.items()
                for key, record in records.items()
                if record["Id"] == wanted
            ]
            if wanted in self.kept:
                results.append(_failed("DELETE_FAILED", "it is associated with another record"))
                continue
            for sobject, key in found:
                del self.records[sobject][key]
            results.append(
                {"id": wanted, "success": True, "errors": []}
                if found and wanted not in self.vanishing
                else _failed("ENTITY_IS_DELETED", "entity is deleted")
            )
        return Answer(200, results)

    # --- reading -----------------------------------------------------------------------------------------------------

    @route("GET", "/services/data/v62.0/query")
    def query(self, call: Call) -> Answer:
        found = _SELECT.fullmatch(call.one("q"))
        if found is None:
            return _problem(400, "MALFORMED_QUERY", "unexpected token")
        fields, sobject, where, _order, limit = found.groups()
        if sobject in self.hidden:
            return _problem(400, "INVALID_TYPE", f"sObject type '{sobject}' is not supported.")
        holds = _condition(where)
        if sobject == TYPE:
            rows = [{"Id": remote} for remote in self.types]
        else:
            rows = [dict(record) for record in self._of_keys(self.records[sobject], where)]
        rows = sorted(filter(holds, rows), key=lambda row: (row.get("SystemModstamp", ""), row["Id"]))
        names = [name.strip() for name in fields.split(",")]
        shown = [
            {"attributes": {"type": sobject}, **{name: row.get(name) for name in names}}
            for row in rows[: int(limit or 2000)]
        ]
        return Answer(200, {"totalSize": len(shown), "done": True, "records": shown})

    @route("GET", "/services/data/v62.0/sobjects/{sobject}/describe")
    def describe(self, call: Call, sobject: str) -> Answer:
        if sobject not in self.records or sobject in self.hidden:
            return _problem(404, "NOT_FOUND", "The requested resource does not exist")
        fields: list[Json] = [
            {"name": "Id", "createable": False, "updateable": False},
            {"name": "SystemModstamp", "createable": False, "updateable": False},
        ]
        if sobject not in self.unkeyed:
            fields.append({"name": KEY, "externalId": True, "unique": True})
        fields += [{"name": name} for name in sorted(OWN[sobject])]
        if sobject == INDIVIDUAL:
            fields += [{"name": name} for name in sorted(self.custom)]
        for field in fields:
            may = f"{sobject}.{field['name']}" not in self.read_only
            field.setdefault("createable", may)
            field.setdefault("updateable", may)
        rights = dict.fromkeys(("createable", "updateable", "deletable"), sobject not in self.read_only)
        return Answer(200, {"name": sobject, "fields": fields, **rights})

    # --- what people do over there -----------------------------------------------------------------------------------

    def leave(self, email: str) -> None:
        """Somebody notes down that she wants no mail."""
        with self.lock:
            person = self.person(email)
            if person is None:
                return
            key = f"{person[KEY]}.all.email"
            record: Json = {KEY: key, "PrivacyConsentStatus": "OptOut"}
            if key not in self.records[CHANNEL]:  # else it is the status alone that somebody changes
                record |= {
                    "Name": "E-mail",
                    "Party": {KEY: person[KEY]},
                    "ContactPointType": "Email",
                    "CaptureContactPointType": "Phone",
                    "CaptureDate": datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%S.000Z"),
                    "CaptureSource": "told us on the phone",
                }
            self._upsert(CHANNEL, {"attributes": {"type": CHANNEL}, **record})

    def leave_topic(self, key: str) -> None:
        """Somebody sets a consent to no, and changes nothing else of it."""
        with self.lock:
            self._upsert(
                CONSENT, {"attributes": {"type": CONSENT}, KEY: key, "PrivacyConsentStatus": "OptOut"}
            )

    def person(self, email: str) -> Json | None:
        """The individual whose contact point has this address."""
        wanted = email.lower()
        for point in self.records[POINT].values():
            if point["EmailAddress"].lower() == wanted:
                return self.records[INDIVIDUAL].get(point["Parent"][KEY])
        return None

    def consents(self, person: str) -> dict[str, Json]:
        """{topic and channel: consent} of a person."""
        return {
            key.partition(".")[2]: record
            for key, record in self.records[CONSENT].items()
            if key.startswith(f"{person}.")
        }

    def has_left(self, person: str) -> bool:
        channel = self.records[CHANNEL].get(f"{person}.all.email", {})
        return channel.get("PrivacyConsentStatus") == "OptOut"

    def set_up(self, names: Mapping[str, str]) -> None:
        self.types = dict(names)

    def believes(self) -> list[Believed]:
        with self.lock:
            return [self._believed(point) for point in self.records[POINT].values()]

    # --- how ---------------------------------------------------------------------------------------------------------

    def _of_keys(self, records: dict[str, Json], where: str) -> Iterable[Json]:
        """The records that a condition can be about: an external id has an index."""
        if (found := _KEYS.match(where)) is None:
            return records.values()
        return [records[key] for key in _VALUE.findall(found[1] or found[2]) if key in records]

    def _upsert(self, sobject: str, given: Json) -> Json:
        """Make or change a record, whole or not at all."""
        key = given[KEY]
        record = self.records[sobject].get(key)
        if key in self.failing:
            return _failed(self.failing[key], "an error")
        if given["attributes"]["type"] != sobject:
            return _failed("INVALID_TYPE", "only one object type is allowed")
        email = str(given.get("EmailAddress", ""))
        if email and (email in self.refused or email.startswith(REFUSED) or "@" not in email):
            return _failed("INVALID_EMAIL_ADDRESS", f"{email}: invalid email address")
        if record is None and (missing := REQUIRED[sobject] - set(given)):
            return _failed("REQUIRED_FIELD_MISSING", f"Required fields are missing: {sorted(missing)}")
        for name, refers in REFERS.items():
            if name in given and given[name][KEY] not in self.records[refers]:
                return _failed("INVALID_FIELD", f"Foreign key external ID: {name} not found")
        custom = {name for name in given if name.endswith("__c") and name != KEY}
        if custom - self.custom:
            return _failed("INVALID_FIELD", "No such column")
        if any(isinstance(given[name], str) and len(given[name]) > 255 for name in custom):
            return _failed("STRING_TOO_LONG", "data value too large")
        if sobject == CONSENT and given.get("CommSubscriptionChannelTypeId", "x")[:15] not in {
            *(remote[:15] for remote in self.types),
            "x",
        }:
            return _failed("INVALID_CROSS_REFERENCE_KEY", "invalid cross reference id")
        created = record is None
        if record is None:
            self._number += 1
            record = self.records[sobject][key] = {"Id": f"{PREFIXES[sobject]}{self._number:012d}AAA"}
        record |= {name: value for name, value in given.items() if name != "attributes"}
        record["SystemModstamp"] = datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%S.000+0000")
        return {"id": record["Id"], "success": True, "created": created, "errors": []}

    def _believed(self, point: Json) -> Believed:
        person = point["Parent"][KEY]
        held = self.records[INDIVIDUAL].get(person, {})
        today = datetime.now(UTC).date().isoformat()
        names = {remote[:15]: name for remote, name in self.types.items()}
        topics: dict[str, str] = {}
        fields: dict[str, str] = {}
        for consent in self.consents(person).values():
            remote = str(consent["CommSubscriptionChannelTypeId"])
            name = names.get(remote[:15], remote)
            topics[name] = "yes" if consent["PrivacyConsentStatus"] == "OptIn" else "no"
            if consent["PrivacyConsentStatus"] == "OptIn" and consent["EffectiveFromDate"] > today:
                fields[f"{name}: EffectiveFromDate"] = consent["EffectiveFromDate"]
        fields |= {
            name: str(value) for name, value in held.items() if name in self.custom and value is not None
        }
        left = self.has_left(person)
        return Believed(
            point["EmailAddress"], "e-mail: OptOut" if left else "individual", topics, fields, out=left
        )


_SELECT = re.compile(
    r"SELECT ([\w, ]+) FROM (\w+) WHERE (.+?)( ORDER BY SystemModstamp, Id)?(?: LIMIT (\d+))?", re.DOTALL
)
_KEYS = re.compile(rf"{KEY} (?:IN \(([^()]*)\)|= ('[^']*'))")
_VALUE = re.compile(r"'((?:[^'\\]|\\.)*)'")
Row = Mapping[str, Any]


def _condition(where: str) -> Callable[[Row], bool]:
    """What of SOQL's conditions our questions are made of."""
    parts = re.split(r" AND (?![^()]*\))", where)
    conditions = [_single(part) for part in parts]
    return lambda row: all(condition(row) for condition in conditions)


def _single(part: str) -> Callable[[Row], bool]:
    if part.startswith("(") and part.endswith(")") and " OR " in part:
        either = [_condition(each.strip("()")) for each in part[1:-1].split(" OR ")]
        return lambda row: any(each(row) for each in either)
    field, operator, rest = part.split(" ", 2)
    match operator:
        case "IN":
            values = [_plain(found) for found in _VALUE.findall(rest)]
            return lambda row: _text(row, field, values) in values
        case "LIKE":
            start = _plain(_VALUE.findall(rest)[0]).removesuffix("%")
            return lambda row: str(row.get(field) or "").startswith(start)
        case "!=":
            return lambda row: row.get(field) is not None
        case "<":  # of a day; what is empty is before nothing
            today = datetime.now(UTC).date().isoformat()
            return lambda row: bool(row.get(field)) and str(row[field]) < (today if rest == "TODAY" else rest)
        case ">" | ">=":
            wanted = _plain(_VALUE.findall(rest)[0]) if rest.startswith("'") else _moment(rest)
            compared = gt if operator == ">" else ge
            return lambda row: bool(compared(_comparable(row, field), wanted))
    wanted = _plain(_VALUE.findall(rest)[0]) if rest.startswith("'") else _moment(rest)
    if field == "EmailAddress":
        return lambda row: str(row.get(field) or "").lower() == wanted.lower()
    return lambda row: _comparable(row, field) == wanted


def _text(row: Row, field: str, values: list[str]) -> str:
    held = str(row.get(field) or "")
    return next((value for value in values if field == "Id" and held[:15] == value[:15]), held)


def _comparable(row: Row, field: str) -> str:
    held = str(row.get(field) or "")
    return _moment(held) if field == "SystemModstamp" else held


def _moment(text: str) -> str:
    return text.replace("+0000", "Z")


def _plain(text: str) -> str:
    return text.replace("\\'", "'").replace("\\\\", "\\")


def _failed(code: str, message: str) -> Json:
    return {"success": False, "errors": [{"statusCode": code, "message": message, "fields": []}]}


def _problem(status: int, code: str, message: str) -> Answer:
    return Answer(status, [{"errorCode": code, "message": message}])


def demo_options(url: str, topics: Mapping[str, Mapping[str, str]]) -> Json:
    """The backend's options in the demo, where the API stands at `url`."""
    return {
        "URL": url,
        "INSTANCE": "https://copperlane.my.salesforce.com",
        "CLIENT_ID": CLIENT_ID,
        "CLIENT_SECRET": CLIENT_SECRET,
        "TOPICS": {topic: channels["email"] for topic, channels in topics.items()},
        "ATTRIBUTES": {"given_name": "First_Name__c"},
        "FREQUENCY_FIELDS": {"all": "Pref_Freq__c"},
    }
