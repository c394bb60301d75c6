"""The mails that came in, one file each."""

from __future__ import annotations

import email
import email.policy
import os
import re
import threading
from dataclasses import dataclass
from datetime import datetime
from email.message import EmailMessage
from email.utils import parsedate_to_datetime
from functools import lru_cache
from pathlib import Path

URI = re.compile(r"<(https?://[^<>\s]+)>")
LINK = re.compile(r"https?://[^\s<>\"]+")


@dataclass(frozen=True, slots=True)
class Mail:
    """One mail as the mailbox shows it."""

    number: int
    sender: str
    to: str
    subject: str
    date: datetime | None
    text: str
    html: str
    list_unsubscribe: str
    list_unsubscribe_post: str

    @property
    def one_click(self) -> str:
        """The address that a mail client may POST to, "" where RFC 8058 s3.1 does not allow it."""
        uris: list[str] = URI.findall(self.list_unsubscribe)
        return uris[0] if uris and self.list_unsubscribe_post == "List-Unsubscribe=One-Click" else ""

    @property
    def links(self) -> list[str]:
        """The addresses in the text part."""
        return LINK.findall(self.text)


class Store:
    """A folder of mails, numbered from 1."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        folder.mkdir(parents=True, exist_ok=True)
        self._lock = threading.Lock()

    def add(self, content: bytes) -> int:
        """Keep a mail; it is on the disk when this returns."""
        with self._lock:
            number = max(self.numbers(), default=0) + 1
            draft = self.folder / "draft"
            with draft.open("wb") as file:
                file.write(content)
                file.flush()
                os.fsync(file.fileno())
            draft.rename(self.path(number))
            return number

    def numbers(self) -> list[int]:
        return sorted(int(path.stem) for path in self.folder.glob("*.eml"))

    def path(self, number: int) -> Path:
        return self.folder / f"{number:06}.eml"

    def get(self, number: int) -> Mail | None:
        path = self.path(number)
        return parse(number, path.read_bytes()) if path.exists() else None

    def newest_first(self, to: str = "") -> list[Mail]:
        """All mails, or those to the addresses that contain `to`."""
        mails = [mail for number in reversed(self.numbers()) if (mail := self.get(number))]
        return [mail for mail in mails if to.casefold() in mail.to.casefold()]


@lru_cache(maxsize=2000)
def parse(number: int, content: bytes) -> Mail:
    """Read a mail the way a mail client does."""
    message = email.message_from_bytes(content, _class=EmailMessage, policy=email.policy.default)
    return Mail(
        number=number,
        sender=str(message["From"] or ""),
        to=str(message["To"] or ""),
        subject=str(message["Subject"] or "(no subject)"),
        date=parsedate_to_datetime(str(message["Date"])).astimezone() if message["Date"] else None,
        text=_part(message, "plain"),
        html=_part(message, "html"),
        list_unsubscribe=_unfolded(message, "List-Unsubscribe"),
        list_unsubscribe_post=_unfolded(message, "List-Unsubscribe-Post"),
    )


def _part(message: EmailMessage, kind: str) -> str:
    body = message.get_body(preferencelist=(kind,))
    return str(body.get_content()) if body is not None else ""


def _unfolded(message: EmailMessage, name: str) -> str:
    return " ".join(str(message[name] or "").split())
