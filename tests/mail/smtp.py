"""A mail server on loopback that keeps what it gets, and can be told to fail at any command."""

from __future__ import annotations

import asyncio
import email.policy
import logging
import socket
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from email.message import EmailMessage
from typing import Any

from aiosmtpd.controller import Controller
from aiosmtpd.smtp import SMTP, Envelope, Session

HOST = "127.0.0.1"
#: What a fault may be beside an answer: the connection ends, or nothing is ever said.
DROP, HANG = "drop", "hang"


@dataclass
class Got:
    """One mail as it came in."""

    sender: str
    recipients: list[str]
    message: EmailMessage

    @property
    def header_names(self) -> list[str]:
        return sorted(self.message.keys())

    def part(self, kind: str) -> str:
        (found,) = [part for part in self.message.iter_parts() if part.get_content_type() == kind]
        text: str = found.get_content()
        return text.replace("\r\n", "\n")


@dataclass
class Sink:
    """`fault(command, address)` is asked at `rcpt`, `data` (before the text) and `text` (after it), and at `mail`."""

    port: int = 0
    got: list[Got] = field(default_factory=list)
    connections: int = 0
    fault: Callable[[str, str], str | None] = lambda _command, _address: None

    def refuse(self, address: str, answer: str, command: str = "rcpt") -> None:
        """Answer so whenever it is about this address."""
        self.fault = lambda at, about: answer if (at, about) == (command, address) else None

    @property
    def to(self) -> list[str]:
        return [address for got in self.got for address in got.recipients]

    async def handle_MAIL(  # noqa: N802
        self, server: SMTP, session: Session, envelope: Envelope, address: str, options: list[str]
    ) -> str:
        envelope.mail_from = address
        return await self._answer(server, "mail", address) or "250 OK"

    async def handle_RCPT(  # noqa: N802
        self, server: SMTP, session: Session, envelope: Envelope, address: str, options: list[str]
    ) -> str:
        answer = await self._answer(server, "rcpt", address)
        if answer is None:
            envelope.rcpt_tos.append(address)
        return answer or "250 OK"

    async def handle_DATA(self, server: SMTP, session: Session, envelope: Envelope) -> str:  # noqa: N802
        answer = await self._answer(server, "text", envelope.rcpt_tos[0])
        if answer is not None:
            return answer
        message = email.message_from_bytes(envelope.original_content or b"", policy=email.policy.SMTP)
        assert isinstance(message, EmailMessage)
        self.got.append(Got(envelope.mail_from or "", list(envelope.rcpt_tos), message))
        return "250 Kept"

    async def _answer(self, server: SMTP, command: str, address: str) -> str | None:
        answer = self.fault(command, address)
        if answer == DROP:
            server.transport.close()
            return "451 Nobody hears this"
        if answer == HANG:
            await asyncio.Event().wait()
        return answer


class _Server(SMTP):
    """One that can also go away between DATA and its text."""

    async def smtp_DATA(self, arg: str) -> None:  # noqa: N802
        sink: Any = self.event_handler
        if self.envelope.rcpt_tos and sink.fault("data", self.envelope.rcpt_tos[0]) == DROP:
            await self.push("354 Go on")
            self.transport.close()
            return
        await super().smtp_DATA(arg)


class _Controller(Controller):
    def factory(self) -> SMTP:
        self.handler.connections += 1
        return _Server(self.handler, **self.SMTP_kwargs)


def free_port() -> int:
    with socket.socket() as taken:
        taken.bind((HOST, 0))
        port: int = taken.getsockname()[1]
        return port


@contextmanager
def running(sink: Sink) -> Iterator[Sink]:
    logging.getLogger("mail.log").setLevel(logging.ERROR)  # its log holds each command: addresses, and links
    controller = _Controller(sink, hostname=HOST, port=sink.port)
    controller.start()
    sink.connections = 0  # the controller has looked whether it is there
    try:
        yield sink
    finally:
        controller.stop()
