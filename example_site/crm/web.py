"""The CRM's pages, and the address that webhooks go to."""

from __future__ import annotations

import json
import time
from collections import Counter
from dataclasses import asdict
from datetime import UTC, datetime
from pathlib import Path
from urllib.request import Request as HttpRequest, urlopen
from uuid import uuid4

from ..loopback import Request, Response, Templates, last_values, problem, see_other, static
from ..place import Place
from .events import BadEvent, Erased, read
from .signature import BadSignature, signed, verify
from .store import Arrival, Store

HERE = Path(__file__).resolve().parent
FILES = {"style.css": "text/css; charset=utf-8", "live.js": "text/javascript; charset=utf-8"}


class Crm:
    """Routes requests; `broken` makes every webhook fail, to see that nothing gets lost."""

    def __init__(self, store: Store, secret: str, inbound: str, place: Place) -> None:
        self.broken = False
        self._store = store
        self._secret = secret
        self._inbound = f"{place.site}/prefs/api/v1/inbound/crm/{inbound}/"
        self._place = place
        self._templates = Templates(HERE / "templates")

    def __call__(self, request: Request) -> Response:
        match request.method, request.path.strip("/"):
            case "GET", "":
                return self._page()
            case "GET", "contacts.json":
                body = json.dumps([asdict(contact) for contact in self._store.contacts()])
                return Response(body.encode(), content_type="application/json")
            case "GET", "health":
                return problem(503, "Out of order, on purpose.") if self.broken else Response(status=204)
            case "GET", name if name in FILES:
                return static(HERE / "static" / name, FILES[name])
            case "POST", "hooks/preferences":
                return self._hook(request)
            case "POST", "outage":
                return self._outage(request)
            case "POST", "leave":
                return self._leave(request)
        return problem(404, "There is no such page.")

    def _hook(self, request: Request) -> Response:
        now = datetime.now(UTC).isoformat(timespec="milliseconds")
        try:
            delivery = verify(self._secret, request.headers, request.body, now=time.time())
        except BadSignature:
            return problem(401, "The signature does not hold.")
        try:
            event = read(request.body, now)
        except BadEvent:
            return problem(400, "That is no event that this CRM knows.")
        if self.broken:
            if not isinstance(event, Erased):
                self._store.note(Arrival(now, event.email, event.version, "refused"))
            return problem(503, "Out of order, on purpose.")
        if isinstance(event, Erased):
            self._store.forget(event.id, event.email)
        else:
            self._store.take(delivery, event)
        return Response(status=204)

    def _outage(self, request: Request) -> Response:
        if request.is_cross_site:
            return problem(403, "Only this page may send that.")
        self.broken = last_values(request.body.decode(errors="replace")).get("state") == "broken"
        return see_other("/")

    def _leave(self, request: Request) -> Response:
        """Somebody unsubscribes over here: tell the site, which then tells everybody else, and us."""
        if request.is_cross_site:
            return problem(403, "Only this page may send that.")
        contact = last_values(request.body.decode(errors="replace")).get("contact", "")
        if contact not in {known.id for known in self._store.contacts()}:
            return problem(404, "This CRM knows nobody of that id.")
        now = datetime.now(UTC)
        event = {
            "type": "contact.unsubscribed",
            "timestamp": now.isoformat(),
            "data": {"contact": {"id": contact}},
        }
        body = json.dumps(event).encode()
        headers = signed(self._secret, f"crm-{uuid4().hex}", body, now=now.timestamp())
        try:
            with urlopen(HttpRequest(self._inbound, body, headers), timeout=10):  # noqa: S310 - our own address
                return see_other("/")
        except OSError:
            return problem(502, "The site did not take it. Is it running?")

    def _page(self) -> Response:
        contacts = self._store.contacts()
        reach = Counter(
            channel
            for contact in contacts
            for channel in {
                c for channels in contact.choices.values() for c, v in channels.items() if v == "subscribed"
            }
        )
        return self._templates.render(
            "contacts.html",
            contacts=contacts,
            log=self._store.log(),
            broken=self.broken,
            opted_out=sum(contact.opted_out for contact in contacts),
            reach=sorted(reach.items()),
            place=self._place,
        )
