"""Where the demo lives: the folder of its data, and the addresses of its servers on loopback."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path

HOST = "127.0.0.1"
DEFAULT_PORT = 8000
#: Where the SMTP port stands from PORT, as 8025 stands from 8000.
SMTP_OFFSET = 25

ROOT = Path(__file__).resolve().parent


def var() -> Path:
    """The folder of everything that the demo writes; `EXAMPLE_SITE_VAR` moves it."""
    folder = Path(os.environ.get("EXAMPLE_SITE_VAR") or ROOT / "var").resolve()
    folder.mkdir(parents=True, exist_ok=True)
    return folder


@dataclass(frozen=True, slots=True)
class Place:
    """The addresses, all told by one port. Each server is an origin of its own."""

    port: int

    @property
    def site(self) -> str:
        return self._origin(self.port)

    @property
    def customer_port(self) -> int:
        return self.port + 1

    @property
    def customer(self) -> str:
        return self._origin(self.customer_port)

    @property
    def crm_port(self) -> int:
        return self.port + 2

    @property
    def crm(self) -> str:
        return self._origin(self.crm_port)

    @property
    def mailbox_port(self) -> int:
        return self.port + 3

    @property
    def mailbox(self) -> str:
        return self._origin(self.mailbox_port)

    @property
    def platform_port(self) -> int:
        """The page of the stand-in for a marketing platform (`CRM=`); its API stands on the port after it."""
        return self.port + 4

    @property
    def platform(self) -> str:
        return self._origin(self.platform_port)

    @property
    def platform_api_port(self) -> int:
        return self.port + 5

    @property
    def platform_api(self) -> str:
        return self._origin(self.platform_api_port)

    @property
    def smtp_port(self) -> int:
        return self.port + SMTP_OFFSET

    def _origin(self, port: int) -> str:
        return f"http://{HOST}" if port == 80 else f"http://{HOST}:{port}"


def wanted() -> Place:
    """The addresses that `PORT` asks for, 8000 without it. Raises ValueError for what is no port."""
    text = os.environ.get("PORT") or str(DEFAULT_PORT)
    port = int(text)
    if not 0 < port <= 65535 - SMTP_OFFSET:
        raise ValueError(f"PORT={text} leaves no room for the ports up to PORT+{SMTP_OFFSET}")
    return Place(port)


def current() -> Place:
    """The addresses of the demo in this folder: `PORT`, else where it was served last.

    So `manage.py` in a second terminal speaks of the demo that runs in the first.
    """
    if not os.environ.get("PORT"):
        try:
            return Place(int(_memory().read_text()))
        except (FileNotFoundError, ValueError):
            pass
    return wanted()


def remember(place: Place) -> None:
    """Note where the demo is served; see `current`."""
    _memory().write_text(f"{place.port}\n")


def _memory() -> Path:
    return var() / "port"
