"""Deliveries to the stand-ins of vendors: our backend, and a hand-written loop that leases, maps, calls and marks.

    python -m tests.bench.vendors VENDOR

is a stand-in without a limit, which holds no call against its contract: it prints its port. Both sides call the same one,
so that what it costs is the same for both.
"""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Callable, Mapping, Sequence
from importlib import import_module
from typing import Any
from uuid import UUID

Json = dict[str, Any]
#: (method, path under the API's address, body)
HttpCall = tuple[str, str, Json]

#: As in `chains`, which cannot be imported by settings.
TOPICS = ("events", "news", "offers", "stories", "surveys")
#: The vendor, and where its worker finds the stand-in, for worker processes.
VENDOR, URL = "BENCH_VENDOR", "BENCH_VENDOR_URL"


def entry(vendor: str, url: str) -> Json:
    """The backend in the bench's settings: the topics of the bench, and a field for how often."""
    from example_site.platforms.demo import PLATFORMS

    module = import_module(PLATFORMS[vendor].stand_in.rpartition(".")[0])
    options = module.demo_options(url, {topic: {"email": remote} for topic, remote in ids(vendor).items()})
    return {"BACKEND": PLATFORMS[vendor].backend, "OPTIONS": {**options, "ATTRIBUTES": {}}}


def ids(vendor: str) -> dict[str, str]:
    """{topic of the bench: its id over there}."""
    from example_site.platforms.demo import _ID

    return {topic: _ID[vendor](number) for number, topic in enumerate(TOPICS, start=1)}


# What a developer would write who knows the platform: payloads of contacts, as `deliveries.map_states` gives them -> calls


def mailchimp(people: Sequence[Json], remote: Mapping[str, str], options: Json) -> list[HttpCall]:
    members = [
        {
            "email_address": person["contact"]["email"],
            "status": "unsubscribed" if person["opted_out"] else "subscribed",
            "interests": {
                remote[topic]: channels["email"] == "subscribed"
                for topic, channels in person["choices"].items()
                if topic in remote and "email" in channels
            },
            "merge_fields": {"PFREQ": person["frequencies"].get("all", "")},
        }
        for person in people
    ]
    return [("POST", f"/lists/{options['AUDIENCE']}", {"members": members, "update_existing": True})]


def hubspot(people: Sequence[Json], remote: Mapping[str, str], options: Json) -> list[HttpCall]:
    statuses = [
        {
            "subscriberIdString": person["contact"]["email"],
            "subscriptionId": int(remote[topic]),
            "channel": "EMAIL",
            "statusState": channels["email"].upper(),
            "legalBasis": "CONSENT_WITH_NOTICE",
            "legalBasisExplanation": "chosen on our page",
        }
        for person in people
        for topic, channels in person["choices"].items()
        if topic in remote and "email" in channels
    ]
    contacts = [
        {
            "idProperty": "email",
            "id": person["contact"]["email"],
            "properties": {"pref_freq": person["frequencies"].get("all", "")},
            "objectWriteTraceId": person["contact"]["id"],
        }
        for person in people
    ]
    return [
        *(
            (
                "POST",
                "/communication-preferences/v4/statuses/batch/write",
                {"inputs": statuses[start : start + 100]},
            )
            for start in range(0, len(statuses), 100)
        ),
        ("POST", "/crm/v3/objects/contacts/batch/upsert", {"inputs": contacts}),
    ]


def salesforce(people: Sequence[Json], remote: Mapping[str, str], options: Json) -> list[HttpCall]:
    from wagtail_prefs.backends.salesforce import person_key

    now, key = "2026-11-23T12:00:00.000Z", "Prefs_Key__c"
    individuals, points, consents = [], [], []
    for person in people:
        name = person_key(UUID(person["contact"]["id"]))
        frequency = person["frequencies"].get("all")
        individuals.append({"LastName": "Reader", key: name, "Pref_Freq__c": frequency})
        parent = {"attributes": {"type": "Individual"}, key: name}
        points.append({key: name, "EmailAddress": person["contact"]["email"], "Parent": parent})
        point = {"attributes": {"type": "ContactPointEmail"}, key: name}
        consents += [
            {
                key: f"{name}.{topic}.email",
                "CommSubscriptionChannelTypeId": remote[topic],
                "ContactPoint": point,
                "PrivacyConsentStatus": "OptIn" if channels["email"] == "subscribed" else "OptOut",
                "ConsentCapturedDateTime": now,
                "ConsentCapturedSource": f"prefs:{person['contact']['id']}#1",
                "EffectiveFromDate": now[:10],
            }
            for topic, channels in person["choices"].items()
            if topic in remote and "email" in channels
        ]
    calls: list[HttpCall] = []
    for sobject, records in (
        ("Individual", individuals),
        ("ContactPointEmail", points),
        ("CommSubscriptionConsent", consents),
    ):
        path = f"/services/data/v62.0/composite/sobjects/{sobject}/{key}"
        typed = [{"attributes": {"type": sobject}, **record} for record in records]
        calls += [
            ("PATCH", path, {"allOrNone": False, "records": typed[start : start + 200]})
            for start in range(0, len(typed), 200)
        ]
    return calls


def braze(people: Sequence[Json], remote: Mapping[str, str], options: Json) -> list[HttpCall]:
    users = [
        {
            "email": person["contact"]["email"],
            "_update_existing_only": False,
            "pref_freq": person["frequencies"].get("all"),
            "email_subscribe": "unsubscribed" if person["opted_out"] else "opted_in",
            "subscription_groups": [
                {"subscription_group_id": remote[topic], "subscription_state": channels["email"]}
                for topic, channels in person["choices"].items()
                if topic in remote and "email" in channels
            ],
        }
        for person in people
    ]
    return [("POST", "/users/track", {"attributes": users})]


def customerio(people: Sequence[Json], remote: Mapping[str, str], options: Json) -> list[HttpCall]:
    batch = [
        {
            "type": "person",
            "action": "identify",
            "identifiers": {"email": person["contact"]["email"]},
            "attributes": {
                "unsubscribed": person["opted_out"],
                "pref_freq": person["frequencies"].get("all", ""),
                **{
                    f"cio_subscription_preferences.topics.{remote[topic]}": channels["email"] == "subscribed"
                    for topic, channels in person["choices"].items()
                    if topic in remote and "email" in channels
                },
            },
        }
        for person in people
    ]
    return [("POST", "/api/v2/batch", {"batch": batch})]


CALLS: Mapping[str, Callable[[Sequence[Json], Mapping[str, str], Json], list[HttpCall]]] = {
    "mailchimp": mailchimp,
    "hubspot": hubspot,
    "salesforce": salesforce,
    "braze": braze,
    "customerio": customerio,
}
#: The limits that are documented, in calls and seconds, of platforms whose limit a worker can reach.
LIMITS = {"customerio": (100, 1.0), "hubspot": (100, 10.0)}
#: Contacts that the hand-written loop takes at a time: as many as go into a call.
BATCHES = {"mailchimp": 500, "hubspot": 100, "salesforce": 200, "braze": 75, "customerio": 500}


def main(vendor: str, limited: str = "") -> None:
    from example_site.platforms.demo import PLATFORMS
    from example_site.platforms.server import Limit

    module, _, cls = PLATFORMS[vendor].stand_in.rpartition(".")
    limit = Limit(*LIMITS[vendor]) if limited else None
    platform = getattr(import_module(module), cls)(strict=False, limit=limit)
    platform.set_up({remote: topic for topic, remote in ids(vendor).items()})
    platform.open()
    print(platform.origin.rpartition(":")[2], flush=True)
    sys.stdin.read()  # ends with whoever started it
    print(json.dumps({"calls": len(platform.calls), "refused": limit.refused if limit else 0}), flush=True)
    os._exit(0)


if __name__ == "__main__":
    main(*sys.argv[1:])
