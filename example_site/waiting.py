"""Whether ports are free, and whether servers answer."""

from __future__ import annotations

import contextlib
import socket
import time
import urllib.error
import urllib.request
from collections.abc import Callable

from . import place
from .place import HOST, Place

START_SECONDS = 90


class CannotStart(Exception):
    """The message says what to do."""


def check_ports(here: Place, *, platform: bool = False) -> None:
    """Raise CannotStart where a port of the demo is taken; with those of a marketing platform, if it has one."""
    wanted = {
        here.port: "the site",
        here.customer_port: "the customer's site",
        here.crm_port: "the CRM",
        here.mailbox_port: "the mailbox",
        here.smtp_port: "SMTP",
    }
    if platform:
        wanted |= {here.platform_port: "the platform's page", here.platform_api_port: "the platform"}
    taken = [f"  {port} ({what})" for port, what in wanted.items() if not is_free(port)]
    if taken:
        raise CannotStart(
            "These ports are taken:\n"
            + "\n".join(taken)
            + f"\nStop what uses them, or choose others: PORT={here.port + 100} make demo"
        )


def is_free(port: int) -> bool:
    with socket.socket() as probe:
        # As the servers do: a connection of before that is still closing does not count.
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((HOST, port))
        except OSError:
            return False
    return True


def read(url: str) -> bytes | None:
    """The body of a page, None when there is no good answer."""
    try:
        with urllib.request.urlopen(url, timeout=10) as answer:  # noqa: S310 - our own address
            body: bytes = answer.read()
            return body
    except urllib.error.HTTPError as error:
        error.close()
    except OSError:
        pass
    return None


def accepts(port: int) -> bool:
    with contextlib.suppress(OSError), socket.create_connection((HOST, port), timeout=5):
        return True
    return False


def until(condition: Callable[[], bool], what: str, *, meanwhile: Callable[[], None]) -> None:
    """Wait for a condition. Raises CannotStart when it takes too long."""
    deadline = time.monotonic() + START_SECONDS
    while not condition():
        meanwhile()
        if time.monotonic() > deadline:
            raise CannotStart(
                f"{what} did not answer within {START_SECONDS} seconds; see {place.var() / 'logs'}"
            )
        time.sleep(0.1)
