"""What the platform now believes, for people to look at, and what can be done over there."""

from __future__ import annotations

import json
from collections import Counter
from dataclasses import asdict
from pathlib import Path
from urllib.request import Request as HttpRequest, urlopen

from ..loopback import Request, Response, Templates, last_values, problem, see_other, static
from ..place import Place
from .demo import OnDemand
from .server import Platform

HERE = Path(__file__).resolve().parent
STATIC = HERE.parent / "crm" / "static"
FILES = {"style.css": "text/css; charset=utf-8", "live.js": "text/javascript; charset=utf-8"}
#: Calls that the page lists.
SHOWN = 12


class Page:
    """Routes requests of the page; the platform's own API stands on another port."""

    def __init__(self, platform: Platform, about: OnDemand, inbound: str, place: Place) -> None:
        self._platform = platform
        self._about = about
        self._inbound = inbound
        self._place = place
        self._templates = Templates(HERE / "templates")

    def __call__(self, request: Request) -> Response:
        match request.method, request.path.strip("/"):
            case "GET", "":
                return self._page()
            case "GET", "people.json":
                body = json.dumps([asdict(person) for person in self._platform.believes()])
                return Response(body.encode(), content_type="application/json")
            case "GET", name if name in FILES:
                return static(STATIC / name, FILES[name])
            case "POST", ("leave" | "confirm" | "outage") as act:
                if request.is_cross_site:
                    return problem(403, "Only this page may send that.")
                return self._act(act, last_values(request.body.decode(errors="replace")))
        return problem(404, "There is no such page.")

    def _act(self, act: str, form: dict[str, str]) -> Response:
        if act == "outage":
            self._platform.is_away = form.get("state") == "broken"
            return see_other("/")
        who = form.get("who", "")
        if who not in {person.who for person in self._platform.believes()}:
            return problem(404, "Nobody of that address is known here.")
        if act == "confirm":
            self._platform.confirm(who)
            return see_other("/")
        self._platform.leave(who)
        hook = self._platform.hook(who)
        if hook is not None:
            try:
                with urlopen(HttpRequest(self._inbound, *hook), timeout=10):  # noqa: S310 - our own address
                    pass
            except OSError:
                return problem(502, "The site did not take the webhook. Is it running?")
        return see_other("/")

    def _page(self) -> Response:
        people = self._platform.believes()
        topics = Counter(
            topic
            for person in people
            if not (person.out or person.waits)  # whom it would write to
            for topic, said in person.topics.items()
            if said == "yes"
        )
        return self._templates.render(
            "believes.html",
            platform=self._about,
            people=people,
            topics=sorted(topics.items()),
            calls=list(reversed(self._platform.calls[-SHOWN:])),
            violations=self._platform.violations,
            away=self._platform.is_away,
            polled=self._platform.hook("") is None,
            place=self._place,
        )
