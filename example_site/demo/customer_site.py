"""Writes the customer's static site: what somebody would upload who was given the embed code."""

from __future__ import annotations

import shutil
from pathlib import Path

from django.template.loader import render_to_string
from django.urls import reverse

from example_site import place as places
from example_site.place import ROOT, Place
from wagtail_prefs.centers import services as centers
from wagtail_prefs.centers.embed import embed_snippet

from . import content
from .pages import Scene

ASSETS = ROOT / "customer" / "static"


def write(scene: Scene, place: Place) -> Path:
    """Write `index.html`, `de/index.html` and their assets; returns the folder."""
    folder = places.var() / "customer"
    for locale, page in (("en", folder / "index.html"), ("de", folder / "de" / "index.html")):
        page.parent.mkdir(parents=True, exist_ok=True)
        page.write_text(_page(scene, locale, place))
    for asset in ASSETS.iterdir():
        shutil.copyfile(asset, folder / asset.name)
    return folder


def _page(scene: Scene, locale: str, place: Place) -> str:
    words = {
        name.removeprefix("CUSTOMER_").lower(): text.get(locale)
        for name, text in vars(content).items()
        if name.startswith("CUSTOMER_")
    }
    center = centers.current(scene.centers["en"].translation_key, locale)
    context = {**words, "locale": locale, "place": place, "brand": content.HOME_TITLE.get(locale)}
    context["snippet"] = embed_snippet(center)
    path = reverse("wagtail_prefs:sign-up", args=[center.center])
    context["sign_up_url"] = f"{place.site}{path}?locale={locale}"
    return render_to_string("demo/customer.html", context)
