"""`python -m example_site.platforms mailchimp`: the stand-in on PORT+5, and a page of what it believes on PORT+4."""

from __future__ import annotations

import sys
from importlib import import_module

from .. import passwords, place
from ..loopback import serve
from .demo import PLATFORMS, names
from .page import Page


def main(name: str) -> None:
    here = place.current()
    module, _, cls = PLATFORMS[name].stand_in.rpartition(".")
    platform = getattr(import_module(module), cls)()
    platform.set_up(names(name))
    platform.open(here.platform_api_port)
    try:
        inbound = f"{here.site}/prefs/api/v1/inbound/{name}/{passwords.load().inbound}/"
        serve(Page(platform, PLATFORMS[name], inbound, here), here.platform_port)
    finally:
        platform.close()


if __name__ == "__main__":
    main(sys.argv[1])
