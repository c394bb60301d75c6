"""The element's script as it is served, now and of earlier releases, and the code that puts a center elsewhere."""

from __future__ import annotations

import base64
import hashlib
import re
from contextlib import suppress
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

PACKAGE = Path(__file__).resolve().parents[1]
SCRIPT = PACKAGE / "static" / "wagtail_prefs" / "dist" / "preference-center.js"
#: The scripts of earlier releases, each under its version, because pages of others name them
#: (docs/decisions/old-builds-travel-with-the-package.md). `npm run keep` adds one with a release.
BUILDS = PACKAGE / "builds"
#: What a version looks like. Nothing else becomes part of a path.
_VERSION = re.compile(r"[0-9a-f]{16}", re.ASCII)


class NotBuilt(PrefsError):
    """The element's script is missing: the front end was not built, or never in that version."""


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


def build(version: str) -> Element:
    """The script of that version: this installation's, or one of an earlier release. Raises NotBuilt.

    A file that is not what its name says is not given out: embed codes without `integrity` would run it.
    """
    with suppress(NotBuilt):
        if (present := element()).version == version:
            return present
    if _VERSION.fullmatch(version):
        path = BUILDS / f"{version}.js"
        with suppress(FileNotFoundError):
            if (kept := _kept(path, path.stat().st_mtime_ns)).version == version:
                return kept
    raise NotBuilt("There is no such version of the element.")


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
    return _element(path)


@lru_cache(maxsize=8)  # of 40 kB each; whoever asks for more of them reads the disk
def _kept(path: Path, _changed: int) -> Element:
    return _element(path)


def _element(path: Path) -> Element:
    body = path.read_bytes()
    digest = hashlib.sha384(body).digest()
    return Element(body, digest.hex()[:16], f"sha384-{base64.b64encode(digest).decode()}")
