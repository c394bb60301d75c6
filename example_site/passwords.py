"""The demo's secrets: made at the first start, kept in its folder, so that none stands in the repository."""

from __future__ import annotations

import base64
import hashlib
import json
import os
import secrets
import tempfile
from dataclasses import asdict, dataclass
from pathlib import Path

from . import place


@dataclass(frozen=True, slots=True)
class Passwords:
    """All that a real site would keep in its environment."""

    django: str
    signing: str
    webhook: str  # "whsec_" and base64, as Standard Webhooks spells it
    editor: str

    @property
    def inbound(self) -> str:
        """The secret word in the address that the CRM sends its own news to."""
        return hashlib.sha256(f"inbound {self.signing}".encode()).hexdigest()[:32]


def load() -> Passwords:
    """The secrets of this folder, made if it has none. Processes that start side by side agree on one set."""
    path = place.var() / "secrets.json"
    if not path.exists():
        _write_once(path)
    return Passwords(**json.loads(path.read_text()))


def _write_once(path: Path) -> None:
    made = Passwords(
        django=secrets.token_urlsafe(48),
        signing=secrets.token_urlsafe(48),
        webhook="whsec_" + base64.b64encode(secrets.token_bytes(32)).decode(),
        editor=f"demo-{secrets.token_hex(4)}",
    )
    handle, draft = tempfile.mkstemp(dir=path.parent)  # mode 600
    with os.fdopen(handle, "w") as file:
        json.dump(asdict(made), file, indent=2)
    try:
        os.link(draft, path)  # fails where another process was first, whose secrets then count
    except FileExistsError:
        pass
    finally:
        Path(draft).unlink()
