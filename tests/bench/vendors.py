"""Deliveries to the stand-ins of vendors: our backend, and a hand-written loop that leases, maps, calls and marks.

    python -m tests.bench.vendors VENDOR

is a stand-in without a limit, which holds no call against its contract: it prints its port. Both sides call the same one,
so that what it costs is the same for both.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Mapping, Sequence
from importlib import import_module
from typing import Any

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


CALLS: Mapping[str, Callable[[Sequence[Json], Mapping[str, str], Json], list[HttpCall]]] = {
    "mailchimp": mailchimp,
}
#: Contacts that the hand-written loop puts into a call, as many as the platform takes.
BATCHES = {"mailchimp": 500}


def main(vendor: str) -> None:
    from example_site.platforms.demo import PLATFORMS

    module, _, cls = PLATFORMS[vendor].stand_in.rpartition(".")
    platform = getattr(import_module(module), cls)(strict=False)
    platform.set_up({remote: topic for topic, remote in ids(vendor).items()})
    platform.open()
    print(platform.origin.rpartition(":")[2], flush=True)
    sys.stdin.read()  # ends with whoever started it
    os._exit(0)


if __name__ == "__main__":
    main(sys.argv[1])
