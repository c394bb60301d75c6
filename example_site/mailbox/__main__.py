"""`python -m example_site.mailbox`: SMTP on PORT+25, the web page on PORT+3."""

from __future__ import annotations

import asyncio

from aiosmtpd.controller import Controller
from aiosmtpd.smtp import SMTP, Envelope, Session

from .. import place
from ..loopback import serve
from .store import Store
from .web import Mailbox


class Sink:
    """Keeps every mail and sends none on."""

    def __init__(self, store: Store) -> None:
        self._store = store

    async def handle_DATA(self, server: SMTP, session: Session, envelope: Envelope) -> str:  # noqa: N802
        await asyncio.to_thread(self._store.add, envelope.original_content or b"")
        return "250 Kept for reading"


def main() -> None:
    here = place.current()
    store = Store(place.var() / "mail")
    smtp = Controller(Sink(store), hostname=place.HOST, port=here.smtp_port)
    smtp.start()
    try:
        serve(Mailbox(store, here), here.mailbox_port)
    finally:
        smtp.stop()


if __name__ == "__main__":
    main()
