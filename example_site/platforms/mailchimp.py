"""A stand-in for Mailchimp's Marketing API 3.0: one audience, as far as docs/how-to/connect-mailchimp.md needs it.

Its traps are those of the platform: whoever left by herself is "in compliance state", errors about people hide in a 200,
ten calls at the same time are the limit, and under stress it answers 403 without a word.
"""

from __future__ import annotations

import hashlib
import hmac
import re
import threading
from base64 import b64decode
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any
from urllib.parse import urlencode
from uuid import uuid4

from .server import REFUSED, Answer, Believed, Call, Json, Platform, route

API_KEY = "0123456789abcdef0123456789abcdef-us21"
AUDIENCE = "abc123def4"
#: Groups by their ids, and the merge fields, that the demo and the tests have.
GROUPS = {"1a2b3c4d5e": "News", "2b3c4d5e6f": "Offers", "3c4d5e6f7a": "Events"}
FIELDS = {
    "FNAME": "text",
    "CITY": "text",
    "CHILDREN": "number",
    "PFREQ": "text",
    "PFREQNEWS": "text",
    "PPAUSE": "date",
    "PPAUSENEWS": "date",
}
CATEGORY = "9f8e7d6c5b"
SIGNING_SECRET = "mailchimp-signing-secret-of-the-demo"
HAS_WEBHOOKS = True
STATUSES = ("subscribed", "unsubscribed", "cleaned", "pending", "transactional")
AT_ONCE = 10
_DAY = re.compile(r"\d{4}-\d{2}-\d{2}")


class Mailchimp(Platform):
    name = "mailchimp"
    prefix = "/3.0"

    def __init__(self, **options: Any) -> None:
        self._calls = 0
        self._busy = threading.Lock()
        self.most_at_once = 0
        #: Whether it says that there are too many calls as it does under stress: 403 and nothing else.
        self.stressed = False
        super().__init__(**options)

    def forget_everybody(self) -> None:
        self.members: dict[str, Json] = {}  # by md5 of the address
        self.forgotten: set[str] = set()  # md5 of whom it deleted for good
        self.mailed: list[str] = []  # whom it asked by mail, in order
        self.fields = dict(FIELDS)
        self.required: set[str] = set()
        self.groups = dict(GROUPS)
        self.webhooks: list[Json] = []
        self.stressed = False
        self.passes_over = False  # it does not change whom it knows, without a word

    def handle(self, call: Call) -> Answer:
        with self._busy:
            self._calls += 1
            self.most_at_once = max(self.most_at_once, self._calls)
            busy = self._calls > AT_ONCE
        try:
            if self.stressed:
                return Answer(403)
            return self.problem(429, "too-many-requests") if busy else super().handle(call)
        finally:
            with self._busy:
                self._calls -= 1

    def allowed(self, call: Call) -> Answer | None:
        kind, _, given = call.headers.get("Authorization", "").partition(" ")
        key = given
        if kind == "Basic":
            key = b64decode(given).decode().partition(":")[2]
        return None if key == API_KEY else _problem(401, "API Key Invalid")

    def problem(self, status: int, code: str, call: Call | None = None) -> Answer:
        titles = {
            400: "Invalid Resource",
            404: "Resource Not Found",
            429: "Too Many Requests",
            500: "Internal Server Error",
        }
        return _problem(status, titles.get(status, code))

    # --- people, one at a time ---------------------------------------------------------------------------------------

    @route("GET", "/lists/{audience}/members/{digest}")
    def member(self, call: Call, audience: str, digest: str) -> Answer:
        member = self._member(audience, digest)
        return _problem(404, "Resource Not Found") if member is None else Answer(200, _shown(member, call))

    @route("PATCH", "/lists/{audience}/members/{digest}")
    def change(self, call: Call, audience: str, digest: str) -> Answer:
        member = self._member(audience, digest)
        if member is None:
            return _problem(404, "Resource Not Found")
        return self._single(member, call.json(), call)

    @route("PUT", "/lists/{audience}/members/{digest}")
    def upsert(self, call: Call, audience: str, digest: str) -> Answer:
        if audience != AUDIENCE:
            return _problem(404, "Resource Not Found")
        body = call.json()
        member = self.members.get(digest)
        if member is None:
            said = {**body, "status": body.get("status") or body.get("status_if_new")}
            if not said["status"]:
                return _problem(400, "Invalid Resource", "status_if_new")
            member = _new(body["email_address"])
            return self._single(member, said, call, new=True)
        return self._single(member, body, call)

    @route("POST", "/lists/{audience}/members/{digest}/actions/delete-permanent")
    def delete_for_good(self, call: Call, audience: str, digest: str) -> Answer:
        member = self._member(audience, digest)
        if member is None:
            return _problem(404, "Resource Not Found")
        del self.members[member["id"]]
        self.forgotten.add(member["id"])
        return Answer(204)

    # --- many --------------------------------------------------------------------------------------------------------

    @route("POST", "/lists/{audience}")
    def batch(self, call: Call, audience: str) -> Answer:
        if audience != AUDIENCE:
            return _problem(404, "Resource Not Found")
        body = call.json()
        failing = self.faults.failing(len(body["members"]))
        errors: list[Json] = []
        new: list[Json] = []
        updated: list[Json] = []
        seen: set[str] = set()
        for position, said in enumerate(body["members"]):
            digest = digest_of(said["email_address"])
            known = self.members.get(digest)
            member = known or _new(said["email_address"])
            trouble: tuple[str, str] | None
            if position in failing:
                trouble = ("ERROR_GENERIC", "An unexpected error occurred")
            elif digest in seen:
                trouble = ("ERROR_GENERIC", "is in the request twice")
            elif known is not None and not body.get("update_existing"):
                trouble = ("ERROR_CONTACT_EXISTS", "is already a list member")
            elif known is not None and self.passes_over:
                trouble = None
            else:
                trouble = self._write(member, said, new=known is None, required=_is_required(call))
            seen.add(digest)
            if trouble:
                # The sentence names her: whoever logs it logs an address.
                errors.append(
                    {
                        "email_address": said["email_address"],
                        "error": f"{said['email_address']} {trouble[1]}",
                        # It has few codes: what is wrong is in the sentence.
                        "error_code": trouble[0] if trouble[0] == "ERROR_CONTACT_EXISTS" else "ERROR_GENERIC",
                        "field": "",
                        "field_message": "",
                    }
                )
            else:
                (updated if known else new).append(_whole(member))
        return Answer(
            200,
            {
                "new_members": new,
                "updated_members": updated,
                "errors": errors,
                "total_created": len(new),
                "total_updated": len(updated),
                "error_count": len(errors),
            },
        )

    # --- what there is -----------------------------------------------------------------------------------------------

    @route("GET", "/lists/{audience}")
    def audience(self, call: Call, audience: str) -> Answer:
        return (
            Answer(200, {"id": AUDIENCE, "name": "Everybody"})
            if audience == AUDIENCE
            else _problem(404, "Resource Not Found")
        )

    @route("GET", "/lists/{audience}/interest-categories")
    def categories(self, call: Call, audience: str) -> Answer:
        return Answer(
            200, {"categories": [{"id": CATEGORY, "title": "What we write about"}], "total_items": 1}
        )

    @route("GET", "/lists/{audience}/interest-categories/{category}/interests")
    def interests(self, call: Call, audience: str, category: str) -> Answer:
        found = [{"id": key, "name": name} for key, name in self.groups.items()]
        return Answer(200, {"interests": found, "total_items": len(found)})

    @route("GET", "/lists/{audience}/merge-fields")
    def merge_fields(self, call: Call, audience: str) -> Answer:
        found = [
            {"tag": tag, "type": kind, "required": tag in self.required} for tag, kind in self.fields.items()
        ]
        return Answer(200, {"merge_fields": found, "total_items": len(found)})

    @route("GET", "/lists/{audience}/webhooks")
    def hooks(self, call: Call, audience: str) -> Answer:
        return Answer(200, {"webhooks": self.webhooks, "total_items": len(self.webhooks)})

    # --- what people do over there -----------------------------------------------------------------------------------

    def leave(self, email: str) -> None:
        """She uses the link in a campaign: from now on no API brings her back."""
        with self.lock:
            member = self.members[digest_of(email)]
            now = datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%S+00:00")
            member |= {"status": "unsubscribed", "by_herself": True, "last_changed": now}

    def change_address(self, email: str, new: str) -> None:
        """She uses the form for her profile, which Mailchimp's mails lead to."""
        with self.lock:
            member = self.members.pop(digest_of(email))
            self.members[digest_of(new)] = member | {"id": digest_of(new), "email_address": new}

    def confirm(self, email: str) -> None:
        """She follows the mail that asked her."""
        with self.lock:
            member = self.members[digest_of(email)]
            if member["status"] == "pending":
                member |= {"status": "subscribed", "by_herself": False}

    def hook(self, email: str) -> tuple[bytes, dict[str, str]]:
        now = datetime.now(UTC)
        form = {
            "type": "unsubscribe",
            "fired_at": now.strftime("%Y-%m-%d %H:%M:%S"),
            "data[action]": "unsub",
            "data[reason]": "manual",
            "data[email]": email,
            "data[list_id]": AUDIENCE,
        }
        body = urlencode(form).encode()
        stamp = int(now.timestamp())
        mac = hmac.new(SIGNING_SECRET.encode(), f"{stamp}.".encode() + body, hashlib.sha256).hexdigest()
        return body, {
            "Content-Type": "application/x-www-form-urlencoded",
            "X-Mailchimp-Signature": f"t={stamp},v1={mac}",
        }

    def set_up(self, names: Mapping[str, str]) -> None:
        self.groups = dict(names)

    def believes(self) -> list[Believed]:
        with self.lock:
            return [
                Believed(
                    member["email_address"],
                    member["status"],
                    {
                        name: "yes" if member["interests"][key] else "no"
                        for key, name in self.groups.items()
                        if key in member["interests"]
                    },
                    {
                        tag: str(value)
                        for tag, value in member["merge_fields"].items()
                        if value not in ("", None)
                    },
                    out=member["status"] == "unsubscribed",
                    waits=member["status"] == "pending",
                )
                for member in self.members.values()
            ]

    # --- how ---------------------------------------------------------------------------------------------------------

    def _member(self, audience: str, who: str) -> Json | None:
        """By the digest of the address, or by what stays when the address changes."""
        if audience != AUDIENCE:
            return None
        return self.members.get(who) or next(
            (member for member in self.members.values() if member["contact_id"] == who), None
        )

    def _single(self, member: Json, said: Json, call: Call, *, new: bool = False) -> Answer:
        trouble = self._write(member, said, new=new, required=_is_required(call))
        if trouble is None:
            return Answer(200, _whole(member))
        titles = {"COMPLIANCE": "Member In Compliance State", "FORGOTTEN": "Forgotten Email Not Subscribed"}
        return _problem(400, titles.get(trouble[0].removeprefix("ERROR_"), "Invalid Resource"), trouble[1])

    def _write(
        self, member: Json, said: Mapping[str, Any], *, new: bool, required: bool = True
    ) -> tuple[str, str] | None:
        """Change a member, whole or not at all; what is wrong."""
        email = member["email_address"]
        digest = digest_of(email)
        if email in self.refused or email.startswith(REFUSED) or "@" not in email:
            return "ERROR_GENERIC", "looks fake or invalid, please enter a real email address."
        status = said.get("status") or member["status"]
        if digest in self.forgotten and status != "pending":
            return "ERROR_FORGOTTEN", "was permanently deleted and cannot be re-imported."
        if new and not status:
            return "ERROR_GENERIC", "needs a status"
        if status == "subscribed" and member["by_herself"] and member["status"] != "subscribed":
            return (
                "ERROR_COMPLIANCE",
                "is in a compliance state due to unsubscribe, bounce, or compliance review and cannot be subscribed.",
            )
        fields = said.get("merge_fields", {})
        for tag, value in fields.items():
            kind = self.fields.get(tag)
            if kind == "number" and not isinstance(value, int | float) and value != "":
                return "ERROR_GENERIC", f"{tag} must be a number"
            if kind == "date" and value != "" and not _DAY.fullmatch(str(value)):
                return "ERROR_GENERIC", f"{tag} must be a date"
        if required and self.required - {
            tag for tag, value in {**member["merge_fields"], **fields}.items() if value != ""
        }:
            return "ERROR_GENERIC", "needs a required field"
        if set(said.get("interests", {})) - set(self.groups):
            return "ERROR_GENERIC", "unknown interest"
        if status == "pending" and member["status"] != "pending":
            self.mailed.append(email)
        member["status"] = status
        member["interests"] = {**member["interests"], **said.get("interests", {})}
        member["merge_fields"] = {
            **member["merge_fields"],
            **{tag: value for tag, value in fields.items() if tag in self.fields},
        }
        if "timestamp_opt" in said:
            member["timestamp_opt"] = said["timestamp_opt"]
        member["last_changed"] = datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%S+00:00")
        self.members[digest] = member
        return None


def demo_options(url: str, topics: Mapping[str, Mapping[str, str]]) -> Json:
    """The backend's options in the demo, where the API stands at `url`."""
    return {
        "URL": f"{url}/3.0",
        "API_KEY": API_KEY,
        "AUDIENCE": AUDIENCE,
        "SIGNING_SECRETS": [SIGNING_SECRET],
        "TOPICS": {topic: channels["email"] for topic, channels in topics.items()},
        "ATTRIBUTES": {"given_name": "FNAME"},
        "FREQUENCY_FIELDS": {"all": "PFREQ"},
        "PAUSE_FIELDS": {"all": "PPAUSE"},
    }


def _is_required(call: Call) -> bool:
    return call.one("skip_merge_validation") != "true"


def digest_of(email: str) -> str:
    """What Mailchimp knows a person by."""
    return hashlib.md5(email.strip().lower().encode(), usedforsecurity=False).hexdigest()


def _new(email: str) -> Json:
    return {
        "id": digest_of(email),
        "contact_id": uuid4().hex,
        "email_address": email,
        "status": "",
        "by_herself": False,
        "interests": {},
        "merge_fields": {},
    }


def _whole(member: Json) -> Json:
    return {name: value for name, value in member.items() if name != "by_herself"}


def _shown(member: Json, call: Call) -> Json:
    """What was asked for: `fields` names it."""
    wanted = call.one("fields")
    whole = _whole(member)
    return {name: whole.get(name) for name in wanted.split(",")} if wanted else whole


def _problem(status: int, title: str, detail: str = "") -> Answer:
    body = {
        "type": "https://mailchimp.com/developer/marketing/docs/errors/",
        "title": title,
        "status": status,
        "detail": detail,
        "instance": "00000000-0000-0000-0000-000000000000",
    }
    return Answer(status, body, {"Content-Type": "application/problem+json; charset=utf-8"})
