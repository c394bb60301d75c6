"""The element's script as it is served, and the code that puts a center into another website."""

from __future__ import annotations

import base64
import hashlib
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from urllib.parse import urlencode

from django.urls import reverse
from django.utils import translation
from django.utils.html import format_html
from django.utils.safestring import SafeString
from django.utils.translation import gettext as _

from ..errors import PrefsError
from .origins import origin_of
from .values import Center

SCRIPT = Path(__file__).resolve().parents[1] / "static" / "wagtail_prefs" / "dist" / "preference-center.js"


class NotBuilt(PrefsError):
    """The element's script is missing: the front end was not built."""


@dataclass(frozen=True, slots=True)
class Element:
    """The built script: its bytes, a version that names exactly them, and their hash for `integrity`."""

    body: bytes
    version: str
    integrity: str


def element() -> Element:
    """The script of this installation, read once; a new build is noticed. Raises NotBuilt."""
    try:
        return _read(SCRIPT, SCRIPT.stat().st_mtime_ns)
    except FileNotFoundError as missing:
        raise NotBuilt(
            "The element is not built. Run `make install` in a checkout; an installed wheel carries it."
        ) from missing


def embed_snippet(center: Center) -> SafeString:
    """The code for a host page: the script, pinned by version and hash, and the element with a link for the rest."""
    root, script = origin_of(center.page_url), element()
    with translation.override(center.locale):
        link = _("Manage your preferences")
    return format_html(
        '<script type="module" src="{}" integrity="{}" crossorigin></script>\n'
        '<preference-center src="{}" locale="{}">\n'
        '  <a href="{}">{}</a>\n'
        "</preference-center>",
        root + reverse("wagtail_prefs:embed-version", args=[script.version]),
        script.integrity,
        root + reverse("wagtail_prefs:center", args=[center.center]),
        center.locale,
        center.page_url,
        link,
    )


def frame_snippet(center: Center) -> SafeString:
    """The code for hosts that run no script of others: a frame that shows the center, and no person's choices.

    The sandbox lets it open links in a new tab and send a form, and nothing else. Without a style attribute, which a
    strict host would ignore.
    """
    address = origin_of(center.page_url) + reverse("wagtail_prefs:embed-frame", args=[center.center])
    with translation.override(center.locale):
        title = _("Manage your preferences")
    return format_html(
        '<iframe src="{}?{}" title="{}" width="100%" height="900" loading="lazy" referrerpolicy="no-referrer"\n'
        '  sandbox="allow-forms allow-popups allow-popups-to-escape-sandbox"></iframe>',
        address,
        urlencode({"locale": center.locale}),
        title,
    )


@lru_cache(maxsize=1)
def _read(path: Path, _changed: int) -> Element:
    body = path.read_bytes()
    digest = hashlib.sha384(body).digest()
    return Element(body, digest.hex()[:16], f"sha384-{base64.b64encode(digest).decode()}")
