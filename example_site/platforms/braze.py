"""A stand-in for Braze's REST API: user objects, subscription groups, and the global state of addresses.

Its traps are those of the platform: a 201 means "queued" and may hold errors of single objects, an address names every
profile that has it, the order between calls is nobody's promise, and a null takes a value away.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import UTC, datetime, timedelta
from uuid import uuid4

from .server import REFUSED, Answer, Believed, Call, Json, Platform, route

API_KEY = "braze-rest-key-0123456789abcdef"
GROUPS = {
    "11111111-1111-4111-8111-111111111111": "News",
    "22222222-2222-4222-8222-222222222222": "Offers",
    "33333333-3333-4333-8333-333333333333": "Events",
    "44444444-4444-4444-8444-444444444444": "News by text message",
}
PERMISSIONS = frozenset(
    {
        "users.track",
        "users.export.ids",
        "users.delete",
        "subscription.status.set",
        "subscription.status.get",
        "subscription.groups.get",
        "email.status",
        "email.unsubscribe",
    }
)
MOST, MOST_STATUS = 75, 50
_OWN = {
    "external_id",
    "email",
    "_update_existing_only",
    "email_subscribe",
    "push_subscribe",
    "subscription_groups",
}


class Braze(Platform):
    name = "braze"

    def forget_everybody(self) -> None:
        self.profiles: list[Json] = []
        self._index: dict[tuple[str, str], list[Json]] = {}
        self._indexed = 0  # so many profiles are in the index
        self.states: dict[str, Json] = {}  # by address: the global state of it, and since when
        self.groups = dict(GROUPS)
        self.permissions = set(PERMISSIONS)
        #: What is queued, where it is not worked off at once: `process` does it, in any order.
        self.queue: list[Callable[[], None]] = []
        self.is_slow = False

    def allowed(self, call: Call) -> Answer | None:
        if call.headers.get("Authorization") != f"Bearer {API_KEY}":
            return Answer(401, {"message": "Invalid API Key"})
        return None

    def problem(self, status: int, code: str, call: Call | None = None) -> Answer:
        return Answer(status, {"message": code})

    def too_many(self, seconds: float) -> Answer:
        reset = int((datetime.now(UTC) + timedelta(seconds=seconds + 1)).timestamp())
        return Answer(429, {"message": "rate limit"}, {"X-RateLimit-Reset": str(reset)})

    def process(self, *, backwards: bool = False) -> None:
        """Work off what is queued."""
        with self.lock:
            work, self.queue = self.queue, []
            for step in reversed(work) if backwards else work:
                step()

    # --- writing -----------------------------------------------------------------------------------------------------

    @route("POST", "/users/track")
    def track(self, call: Call) -> Answer:
        if (refusal := self._may("users.track")) is not None:
            return refusal
        objects = call.json()["attributes"]
        if len(objects) > MOST:
            return Answer(400, {"message": "The max number of objects has been exceeded"})
        failing = self.faults.failing(len(objects))
        errors = []
        for index, given in enumerate(objects):
            trouble = "an error" if index in failing else self._wrong(given)
            if trouble:
                errors.append({"type": trouble, "input_array": "attributes", "index": index})
            else:
                self._later(lambda given=given: self._write(given))  # type: ignore[misc]
        said: Json = {"message": "success", "attributes_processed": len(objects) - len(errors)}
        return Answer(201, {**said, **({"errors": errors} if errors else {})})

    @route("POST", "/v2/subscription/status/set")
    def set_groups(self, call: Call) -> Answer:
        if (refusal := self._may("subscription.status.set")) is not None:
            return refusal
        for given in call.json()["subscription_groups"]:
            if given["subscription_group_id"] not in self.groups:
                return Answer(400, {"message": "Invalid subscription_group_id"})
            if "emails" in given and "text message" in self.groups[given["subscription_group_id"]]:
                return Answer(400, {"message": "SMS groups take phones or external_ids"})
            names = [{"email": email} for email in given.get("emails", ())]
            names += [{"external_id": one} for one in given.get("external_ids", ())]
            group = {name: given[name] for name in ("subscription_group_id", "subscription_state")}
            for who in names:
                if who.get("email") in self.refused:
                    return Answer(400, {"message": "Invalid email"})
                self._later(lambda who=who, group=group: self._write({**who, "subscription_groups": [group]}))  # type: ignore[misc]
        return Answer(202, {"message": "success"})

    @route("POST", "/email/status")
    def set_email(self, call: Call) -> Answer:
        if (refusal := self._may("email.status")) is not None:
            return refusal
        body = call.json()
        emails = body["email"] if isinstance(body["email"], list) else [body["email"]]
        if set(emails) & self.refused:
            return Answer(400, {"message": "Invalid email"})
        for email in emails:
            self._later(lambda email=email: self._state(email, body["subscription_state"]))  # type: ignore[misc]
        return Answer(201, {"message": "success"})

    @route("POST", "/users/delete")
    def delete(self, call: Call) -> Answer:
        if (refusal := self._may("users.delete")) is not None:
            return refusal
        gone = set(call.json()["braze_ids"])
        kept = [profile for profile in self.profiles if profile["braze_id"] not in gone]
        deleted = len(self.profiles) - len(kept)
        self.profiles = kept
        return Answer(200, {"message": "success", "deleted": deleted})

    # --- reading -----------------------------------------------------------------------------------------------------

    @route("POST", "/users/export/ids")
    def export(self, call: Call) -> Answer:
        if (refusal := self._may("users.export.ids")) is not None:
            return refusal
        body = call.json()
        who = [{"external_id": one} for one in body.get("external_ids", ())]
        who += [{"email": body["email_address"]}] if "email_address" in body else []
        found = [profile for each in who for profile in self._find(each)]
        shown = [
            {name: value for name, value in self._shown(profile).items() if name in body["fields_to_export"]}
            for profile in found
        ]
        return Answer(200, {"message": "success", "users": shown})

    @route("GET", "/subscription/user/status")
    def user_status(self, call: Call) -> Answer:
        if (refusal := self._may("subscription.groups.get")) is not None:
            return refusal
        who = {name: call.one(name) for name in ("external_id", "email") if call.one(name)}
        users = [
            {
                "email": profile.get("email"),
                "external_id": profile.get("external_id"),
                "subscription_groups": [
                    {"id": group, "name": self.groups[group], "status": state.capitalize()}
                    for group, state in profile["groups"].items()
                ],
            }
            for profile in self._find(who)
        ]
        return Answer(200, {"message": "success", "total_count": len(users), "users": users})

    @route("GET", "/subscription/status/get")
    def group_status(self, call: Call) -> Answer:
        if (refusal := self._may("subscription.status.get")) is not None:
            return refusal
        if call.one("subscription_group_id") not in self.groups:
            return Answer(400, {"message": "Invalid subscription_group_id"})
        return Answer(200, {"message": "success", "status": {call.one("external_id"): "Unknown"}})

    @route("GET", "/email/unsubscribes")
    def unsubscribes(self, call: Call) -> Answer:
        if (refusal := self._may("email.unsubscribe")) is not None:
            return refusal
        first, last, email = call.one("start_date"), call.one("end_date"), call.one("email").lower()
        if not (first or email):
            return Answer(400, {"message": "either email or start_date is needed"})
        if first >= last:
            return Answer(400, {"message": "start_date must be before end_date"})
        found = sorted(
            (state["at"], each)
            for each, state in self.states.items()
            if state["state"] == "unsubscribed"
            and first <= state["at"][:10] < last  # until midnight
            and (not email or each == email)
        )
        start, limit = int(call.one("offset", "0")), int(call.one("limit", "100"))
        page = [{"email": email, "unsubscribed_at": at} for at, email in found[start : start + limit]]
        return Answer(200, {"message": "success", "emails": page})

    # --- what people do over there -----------------------------------------------------------------------------------

    def leave(self, email: str) -> None:
        with self.lock:
            self._state(email, "unsubscribed")

    def person(self, email: str) -> Json | None:
        """What it holds of an address, the first profile of it."""
        found = self._find({"email": email})
        return self._shown(found[0]) if found else None

    def set_up(self, names: Mapping[str, str]) -> None:
        self.groups = dict(names)

    def believes(self) -> list[Believed]:
        with self.lock:
            return [self._believed(profile) for profile in self.profiles]

    # --- how ---------------------------------------------------------------------------------------------------------

    def _may(self, permission: str) -> Answer | None:
        return None if permission in self.permissions else Answer(401, {"message": "Missing permission"})

    def _later(self, work: Callable[[], None]) -> None:
        if self.is_slow:
            self.queue.append(work)
        else:
            work()

    def _wrong(self, given: Json) -> str:
        email = given.get("email", "")
        if not given.get("external_id") and not email:
            return "A valid user identifier is required"
        if email and (email in self.refused or email.startswith(REFUSED) or "@" not in email):
            return f"{email} is not a valid email"
        groups = {group["subscription_group_id"] for group in given.get("subscription_groups", ())}
        if groups - set(self.groups):
            return "Invalid subscription_group_id"
        if any(
            isinstance(value, str) and len(value) > 255 for name, value in given.items() if name not in _OWN
        ):
            return "A value is too long"
        return ""

    def _find(self, who: Mapping[str, str]) -> list[Json]:
        name = "external_id" if "external_id" in who else "email"
        wanted = who.get(name, "").lower() if name == "email" else who[name]
        if self._indexed != len(self.profiles):  # whoever was added or taken away past us
            self._index, self._indexed = {}, len(self.profiles)
            for profile in self.profiles:
                self._note(profile)
        found = self._index.get((name, wanted), [])
        return [profile for profile in found if wanted and profile.get(name) == wanted]

    def _note(self, profile: Json) -> None:
        for name in ("external_id", "email"):
            if profile.get(name):
                held = self._index.setdefault((name, profile[name]), [])
                if not any(profile is each for each in held):
                    held.append(profile)

    def _write(self, given: Json) -> None:
        """Do what an object says, to every profile that it names; make one where it names nobody."""
        who = {"external_id": given["external_id"]} if given.get("external_id") else {"email": given["email"]}
        found = self._find(who)
        if not found:
            found = [{"braze_id": uuid4().hex, **who, "groups": {}, "attributes": {}, "push": "subscribed"}]
            if "email" in who:
                found[0]["email"] = who["email"].lower()
            self.profiles += found
            self._indexed += 1
            self._note(found[0])
        for profile in found:
            if given.get("email"):
                profile["email"] = given["email"].lower()
                self._note(profile)
            if "email_subscribe" in given and profile.get("email"):
                self._state(profile["email"], given["email_subscribe"])
            profile["push"] = given.get("push_subscribe", profile["push"])
            for group in given.get("subscription_groups", ()):
                profile["groups"][group["subscription_group_id"]] = group["subscription_state"]
            for name, value in given.items():
                if name in _OWN:
                    continue
                if value is None:
                    profile["attributes"].pop(name, None)
                else:
                    profile["attributes"][name] = value

    def _state(self, email: str, state: str) -> None:
        at = datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%S.%f+00:00")
        self.states[email.lower()] = {"state": state, "at": at}

    def _shown(self, profile: Json) -> Json:
        state = self.states.get(profile.get("email", ""), {"state": "subscribed"})["state"]
        return {
            "braze_id": profile["braze_id"],
            "external_id": profile.get("external_id"),
            "email": profile.get("email"),
            "email_subscribe": state,
            "push_subscribe": profile["push"],
            "custom_attributes": dict(profile["attributes"]),
            "groups": dict(profile["groups"]),
        }

    def _believed(self, profile: Json) -> Believed:
        shown = self._shown(profile)
        return Believed(
            profile.get("email") or profile.get("external_id") or "",
            shown["email_subscribe"],
            {
                name: "yes" if profile["groups"][group] == "subscribed" else "no"
                for group, name in self.groups.items()
                if group in profile["groups"]
            },
            {name: str(value) for name, value in profile["attributes"].items()},
            out=shown["email_subscribe"] == "unsubscribed",
        )


def demo_options(url: str, topics: Mapping[str, Mapping[str, str]]) -> Json:
    """The backend's options in the demo, where the API stands at `url`."""
    return {
        "URL": url,
        "INSTANCE": "https://rest.fra-01.braze.eu",
        "API_KEY": API_KEY,
        "TOPICS": {topic: dict(channels) for topic, channels in topics.items()},
        "ATTRIBUTES": {"given_name": "given_name"},
        "FREQUENCY_FIELDS": {"all": "pref_freq"},
        "PAUSE_FIELDS": {"all": "pref_paused_until"},
    }
