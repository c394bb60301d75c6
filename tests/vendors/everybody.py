"""Every vendor's stand-in and harness: what is tried with each, or with all at once."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from importlib import import_module
from typing import Any

from example_site.platforms.contract import names
from example_site.platforms.demo import PLATFORMS
from example_site.platforms.server import Platform
from tests.vendors.harness import VendorHarness

VENDORS = names()


def stand_in(vendor: str, **options: Any) -> Platform:
    """A stand-in that is not open yet."""
    module, _, cls = PLATFORMS[vendor].stand_in.rpartition(".")
    made: Platform = getattr(import_module(module), cls)(**options)
    return made


def harness_of(vendor: str, platform: Platform) -> VendorHarness:
    """The harness of the vendor's conformance tests, under the vendor's own name."""
    module = import_module(f"tests.vendors.test_{vendor}_conformance")
    (cls,) = (
        each
        for each in vars(module).values()
        if isinstance(each, type) and issubclass(each, VendorHarness) and each is not VendorHarness
    )
    made: VendorHarness = cls(platform)
    made.alias = vendor
    return made


@contextmanager
def opened(*vendors: str, **options: Any) -> Iterator[dict[str, VendorHarness]]:
    """Harnesses with their stand-ins and the proxies between, open."""
    with ExitStack() as stack:
        found = {}
        for vendor in vendors:
            platform = stack.enter_context(stand_in(vendor, **options))
            found[vendor] = harness = harness_of(vendor, platform)
            harness.open()
            stack.callback(harness.close)
            harness.reset()
        yield found
