"""The mailbox's pages."""

from __future__ import annotations

import json
from pathlib import Path
from urllib.parse import quote

import requests

from ..loopback import CSP, Request, Response, Templates, problem, see_other, static
from ..place import Place
from .store import LINK, Mail, Store

HERE = Path(__file__).resolve().parent
#: The HTML part of a mail runs no script and loads nothing, whatever it says; its links open in a new tab.
MAIL_CSP = (
    "default-src 'none'; style-src 'unsafe-inline'; img-src data:; base-uri 'none'; form-action 'none'; "
    "frame-ancestors 'self'; sandbox allow-popups allow-popups-to-escape-sandbox"
)


class Mailbox:
    """Routes requests to pages."""

    def __init__(self, store: Store, place: Place) -> None:
        self._store = store
        self._place = place
        self._templates = Templates(HERE / "templates")

    def __call__(self, request: Request) -> Response:
        match request.method, request.path.strip("/").split("/"):
            case "GET", [""]:
                return self._list(request.query.get("to", ""))
            case "GET", ["style.css"]:
                return static(HERE / "static" / "style.css", "text/css; charset=utf-8")
            case "GET", ["mails.json"]:
                return self._json(request.query.get("to", ""))
            case method, ["mails", number, *rest]:
                mail = self._store.get(int(number)) if number.isdecimal() else None
                if mail is not None:
                    return self._mail(method, mail, rest, request)
        return problem(404, "There is no such page.")

    def _list(self, to: str) -> Response:
        return self._templates.render(
            "list.html", mails=self._store.newest_first(to), to=to, place=self._place
        )

    def _json(self, to: str) -> Response:
        body = [
            {
                "id": mail.number,
                "url": f"{self._place.mailbox}/mails/{mail.number}/",
                "from": mail.sender,
                "to": mail.to,
                "subject": mail.subject,
                "list_unsubscribe": mail.list_unsubscribe,
                "list_unsubscribe_post": mail.list_unsubscribe_post,
                "links": mail.links,
            }
            for mail in self._store.newest_first(to)
        ]
        return Response(json.dumps(body).encode(), content_type="application/json")

    def _mail(self, method: str, mail: Mail, rest: list[str], request: Request) -> Response:
        match method, rest:
            case "GET", []:
                return self._detail(mail, request.query.get("answer", ""))
            case "GET", ["html"]:
                page = f'<!doctype html><base target="_blank">{mail.html}'
                return Response(page.encode(), headers={"Content-Security-Policy": MAIL_CSP})
            case "GET", ["source"]:
                content = self._store.path(mail.number).read_bytes()
                return Response(content, content_type="text/plain; charset=utf-8")
            case "POST", ["one-click"]:
                return self._one_click(mail, request)
        return problem(404, "There is no such page.")

    def _detail(self, mail: Mail, answer: str) -> Response:
        page = self._templates.render(
            "mail.html",
            mail=mail,
            place=self._place,
            text=pieces(mail.text),
            answer=answer if answer.isdecimal() else "",
        )
        return Response(page.body, headers={"Content-Security-Policy": f"{CSP}; frame-src 'self'"})

    def _one_click(self, mail: Mail, request: Request) -> Response:
        """Do what a mail client does when somebody presses its own "Unsubscribe" (RFC 8058 s3.2)."""
        if request.is_cross_site:
            return problem(403, "Only this page may send that.")
        if not mail.one_click.startswith(f"{self._place.site}/"):
            return problem(400, "This mail has no one-click address of the demo site.")
        try:
            answer = requests.post(
                mail.one_click, data={"List-Unsubscribe": "One-Click"}, allow_redirects=False, timeout=10
            )
        except requests.RequestException:
            return problem(502, "The site does not answer. Is the demo still running?")
        return see_other(f"/mails/{mail.number}/?answer={quote(str(answer.status_code))}")


def pieces(text: str) -> list[tuple[str, str]]:
    """Cut a text into (words, address) pairs, for links in what is otherwise plain text."""
    found: list[tuple[str, str]] = []
    position = 0
    for match in LINK.finditer(text):
        found += [(text[position : match.start()], ""), (match.group(), match.group())]
        position = match.end()
    return [*found, (text[position:], "")]
