"""The pages behind links: rendered without the host's context, sealed against caches, frames and scripts."""

from __future__ import annotations

import secrets
from collections.abc import Iterable, Mapping
from typing import Any
from urllib.parse import urlsplit

from django.http import HttpRequest, HttpResponse
from django.template.loader import render_to_string
from django.utils import translation
from django.utils.translation import gettext as _

from ..values import Json

_HEADERS = {
    "Cache-Control": "no-store, private",
    "Referrer-Policy": "no-referrer",
    "X-Robots-Tag": "noindex",
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
}


def page(
    template: str,
    context: Mapping[str, Any],
    *,
    locale: str,
    status: int = 200,
    media: Iterable[str] = (),
    ancestors: Iterable[str] = (),
    scripts: bool = False,
    leads_to: str = "",
) -> HttpResponse:
    """Render one of our own pages in a locale.

    Without a request on purpose: no context processor of the host project runs, so no session is touched, no cookie
    set and no query added. `media` are origins that pictures of the page come from. `ancestors` are origins that may
    put the page into a frame; never for a page that knows a person (security.md EB-06). `scripts` lets it run what bears
    its nonce, and what that loads. `leads_to` is the origin that the answer to its form redirects to, where that is not
    our own: browsers hold the policy against where a form ends up as well.
    """
    nonce = secrets.token_urlsafe(16)
    with translation.override(locale):
        body = render_to_string(
            template,
            {
                "lang": locale,
                "dir": "rtl" if translation.get_language_bidi() else "ltr",
                "csp_nonce": nonce,
                **context,
            },
        )
    response = HttpResponse(body, status=status)
    response["Content-Language"] = locale
    ancestors = list(ancestors)
    response["Content-Security-Policy"] = policy(nonce, media, ancestors, scripts, leads_to)
    seal(response)
    if ancestors:
        # The older header cannot name origins; left away, and kept away from Django's middleware.
        del response["X-Frame-Options"]
        response.xframe_options_exempt = True
        response["Cross-Origin-Resource-Policy"] = "cross-origin"
    return response


def message(request: HttpRequest, status: int, title: str, text: str) -> HttpResponse:
    """A page that only says something, in the language the browser asks for."""
    return page(
        "wagtail_prefs/message.html",
        {"title": title, "text": text},
        locale=asked_locale(request),
        status=status,
    )


def not_found(request: HttpRequest) -> HttpResponse:
    """The one answer to every link that is none: forged, cut off, revoked, of somebody gone (security.md TK-02)."""
    text = _(
        "It may have been cut off on its way, or it has been replaced. Open the link in our newest mail."
    )
    return message(request, 404, _("This link does not work"), text)


def asked_locale(request: HttpRequest) -> str:
    """The language of the browser's headers, for pages that know no person."""
    return translation.get_language_from_request(request)


def seal(response: HttpResponse) -> HttpResponse:
    """The headers that every answer to a token carries (security.md TK-09)."""
    for name, value in _HEADERS.items():
        response[name] = value
    if "Content-Security-Policy" not in response:
        response["Content-Security-Policy"] = "default-src 'none'; base-uri 'none'; frame-ancestors 'none'"
    return response


def policy(
    nonce: str,
    media: Iterable[str] = (),
    ancestors: Iterable[str] = (),
    scripts: bool = False,
    leads_to: str = "",
) -> str:
    """No script at all, or with `scripts` ours, which asks nobody but us and makes no HTML from text (EB-07, EB-08).

    The one style sheet and the script come by nonce, because static files may stand on another host.
    """
    pictures = " ".join(["'self'", "data:", *media])
    frames = " ".join(ancestors) or "'none'"
    ours = (
        f"script-src 'nonce-{nonce}' 'strict-dynamic'; connect-src 'self'; "
        "require-trusted-types-for 'script'; trusted-types 'none'; "
    )
    return (
        f"default-src 'none'; {ours if scripts else ''}style-src 'nonce-{nonce}' 'self'; img-src {pictures}; "
        f"font-src 'self'; form-action 'self'{f' {leads_to}' if leads_to else ''}; base-uri 'none'; frame-ancestors {frames}"
    )


def media_origins(document: Json) -> list[str]:
    """The foreign origins that the pictures of a document come from, for sites that keep media elsewhere."""
    found: dict[str, None] = {}
    for control in (control for block in document["blocks"] for control in block["controls"]):
        for owner in (control, *control.get("rows", ())):
            parts = urlsplit((owner.get("media") or {}).get("src") or "")
            if parts.scheme in {"https", "http"} and parts.netloc and not set(parts.netloc) & set(" ;,'\""):
                found[f"{parts.scheme}://{parts.netloc}"] = None
    return list(found)
