"""Which platforms `make demo CRM=…` can stand in for, and how the demo's topics are set up on each.

Imported by the settings: it loads no stand-in and no backend, only says where they are.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from copy import deepcopy
from dataclasses import dataclass
from typing import Any

#: The topics of the demo, with the channels that they come by.
TOPICS: Mapping[str, tuple[str, ...]] = {
    "rides": ("email", "sms"),
    "routes": ("email", "post"),
    "path-crew": ("email", "sms"),
    "offers": ("email", "sms", "post"),
    "repair-evenings": ("email",),
    "service": ("email", "sms", "post"),
}


@dataclass(frozen=True, slots=True)
class OnDemand:
    """A platform that the demo can have: its name for people, its stand-in and its backend, both `module:class`."""

    label: str
    stand_in: str
    backend: str
    channels: tuple[str, ...] = ("email",)


PLATFORMS: Mapping[str, OnDemand] = {
    "hubspot": OnDemand(
        "HubSpot",
        "example_site.platforms.hubspot.Hubspot",
        "wagtail_prefs.backends.hubspot.HubspotBackend",
    ),
    "mailchimp": OnDemand(
        "Mailchimp",
        "example_site.platforms.mailchimp.Mailchimp",
        "wagtail_prefs.backends.mailchimp.MailchimpBackend",
    ),
    "braze": OnDemand(
        "Braze",
        "example_site.platforms.braze.Braze",
        "wagtail_prefs.backends.braze.BrazeBackend",
        ("email", "sms"),
    ),
    "customerio": OnDemand(
        "Customer.io",
        "example_site.platforms.customerio.Customerio",
        "wagtail_prefs.backends.customerio.CustomerioBackend",
    ),
    "salesforce": OnDemand(
        "Salesforce",
        "example_site.platforms.salesforce.Salesforce",
        "wagtail_prefs.backends.salesforce.SalesforceBackend",
    ),
}


class UnknownPlatform(ValueError):
    """CRM names none that there is; the message says which there are."""


def chosen() -> str:
    """The platform that `CRM` asks for, "" without. Raises UnknownPlatform."""
    name = os.environ.get("CRM", "").strip().lower()
    if name and name not in PLATFORMS:
        raise UnknownPlatform(f"CRM={name} is none of {', '.join(sorted(PLATFORMS))}")
    return name


def ids(platform: str) -> dict[str, dict[str, str]]:
    """{topic: {channel: its id over there}} of what the platform's channels can carry."""
    channels = PLATFORMS[platform].channels
    found: dict[str, dict[str, str]] = {}
    number = 0
    for topic, offered in TOPICS.items():
        for channel in offered:
            if channel in channels:
                number += 1
                found.setdefault(topic, {})[channel] = _ID[platform](number)
    return found


def names(platform: str) -> dict[str, str]:
    """{id over there: what it is}, for the stand-in."""
    several = len(PLATFORMS[platform].channels) > 1
    return {
        remote: f"{topic} by {channel}" if several else topic
        for topic, channels in ids(platform).items()
        for channel, remote in channels.items()
    }


def configured(settings: dict[str, Any], platform: str, url: str, secret: str) -> dict[str, Any]:
    """The plugin's settings with the platform as one more backend, and as the sender by its channels."""
    from importlib import import_module  # noqa: PLC0415

    found = deepcopy(settings)
    module, _, _name = PLATFORMS[platform].stand_in.rpartition(".")
    options = import_module(module).demo_options(url, ids(platform))
    entry: dict[str, Any] = {"BACKEND": PLATFORMS[platform].backend, "OPTIONS": options}
    if getattr(import_module(module), "HAS_WEBHOOKS", False):
        entry["INBOUND_SECRETS"] = [secret]
    found["BACKENDS"][platform] = entry
    for channel in PLATFORMS[platform].channels:
        found["SENDERS"][channel] = {"default": platform}
    return found


_ID = {
    "hubspot": lambda number: str(100 + number),
    "mailchimp": lambda number: f"{number:010x}",
    "salesforce": lambda number: f"0eB{number:012d}AAA",
    "braze": lambda number: f"{number:08x}-0000-4000-8000-000000000000",
    "customerio": lambda number: f"topic_{number}",
}
