"""`python -m example_site.crm`: the CRM on PORT+2."""

from __future__ import annotations

from .. import passwords, place
from ..loopback import serve
from .store import Store
from .web import Crm


def main() -> None:
    here = place.current()
    secrets = passwords.load()
    serve(Crm(Store(place.var() / "crm.json"), secrets.webhook, secrets.inbound, here), here.crm_port)


if __name__ == "__main__":
    main()
