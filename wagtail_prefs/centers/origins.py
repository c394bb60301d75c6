"""Where a center may be embedded: origins that a site's administrators allow, and pages that editors name."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from typing import Final
from urllib.parse import urlsplit

from django.conf import settings
from django.core.exceptions import ValidationError
from django.utils.translation import gettext_lazy as _

_LOOPBACK: Final = re.compile(r"(localhost|[a-z0-9-]+\.localhost|127\.0\.0\.1|\[::1\])\Z")
_LABEL: Final = "[a-z0-9_]([a-z0-9_-]*[a-z0-9_])?"
_HOST: Final = re.compile(rf"({_LABEL}(\.{_LABEL})*|\[[0-9a-f:.]+\])\Z")
_DEFAULT_PORTS: Final = {"https": 443, "http": 80}
MAX_LINES: Final = 100


def origin_of(url: str) -> str:
    """The origin of an http(s) address as a browser would send it (RFC 6454 s6.2); raises ValueError for others."""
    parts = urlsplit(url)
    host = parts.netloc.rpartition("@")[2]
    name = re.sub(r":[0-9]*\Z", "", host).lower()
    if not name.isascii():
        name = name.encode("idna").decode()  # as browsers do; UnicodeError is a ValueError
    if parts.scheme not in _DEFAULT_PORTS or "@" in parts.netloc or not _HOST.match(name):
        raise ValueError("not an http(s) address")
    port = parts.port  # raises ValueError beyond 65535
    suffix = f":{port}" if port is not None and port != _DEFAULT_PORTS[parts.scheme] else ""
    return f"{parts.scheme}://{name}{suffix}"


def lines(text: str) -> list[str]:
    """The non-empty lines of a text field, each once."""
    return list(dict.fromkeys(stripped for line in text.splitlines() if (stripped := line.strip())))


def validate_origins(text: str) -> None:
    """Exact origins, one a line: no path, no wildcard, and encrypted unless they are this machine."""
    for line in _checked_lines(text):
        try:
            exact = origin_of(line)
        except ValueError:
            exact = ""
        if exact != line:
            raise ValidationError(
                _(
                    "“%(line)s” is not an origin. Write https://www.example.org – no path, no slash at the end, no *."
                ),
                params={"line": line},
            )
        _require_https(line)


def validate_host_pages(text: str) -> None:
    """Full addresses of pages, one a line, without a fragment: the fragment is where the one-time code goes."""
    for line in _checked_lines(text):
        try:
            origin_of(line)
        except ValueError:
            raise ValidationError(
                _("“%(line)s” is not the address of a page. Write it in full, beginning with https://"),
                params={"line": line},
            ) from None
        if "#" in line or any(character.isspace() or character == "\\" for character in line):
            raise ValidationError(
                _("“%(line)s” must not contain a #, a space or a \\."), params={"line": line}
            )
        _require_https(line)


def allowed_origins(page_url: str, site_origins: Iterable[str], host_pages: Sequence[str]) -> list[str]:
    """The page's own origin first, then the site's list - narrowed to the center's host pages where it names any."""
    own = origin_of(page_url)
    wanted = {origin_of(url) for url in host_pages}
    return list(dict.fromkeys([own, *(origin for origin in site_origins if not wanted or origin in wanted)]))


def _checked_lines(text: str) -> list[str]:
    found = lines(text)
    if len(found) > MAX_LINES:
        raise ValidationError(_("At most %(max)s lines."), params={"max": MAX_LINES})
    return found


def _require_https(url: str) -> None:
    parts = urlsplit(url)
    if parts.scheme == "https" or settings.DEBUG or _LOOPBACK.match(re.sub(r":[0-9]*\Z", "", parts.netloc)):
        return
    raise ValidationError(
        _("“%(line)s” is not encrypted. Use https://, or people's choices can be read on the way."),
        params={"line": url},
    )
