"""The demo's site: two home pages, two center pages, where the center may be embedded, and who may edit it."""

from __future__ import annotations

import json
from dataclasses import dataclass
from urllib.parse import urlsplit

from django.contrib.auth import get_user_model
from django.db import transaction
from wagtail.models import Locale, Page, Site

from example_site import passwords
from example_site.home.models import HomePage
from example_site.place import Place
from wagtail_prefs.centers.embedding import EmbedSettings
from wagtail_prefs.centers.page import PreferenceCenterPage
from wagtail_prefs.centers.services import publish
from wagtail_prefs.topics.models import Audience

from . import content
from .center import body, make_topics

EDITOR = "editor"


@dataclass(frozen=True, slots=True)
class Scene:
    """What stands on the stage: the audience, and the center's page in each language."""

    site: Site
    audience: Audience
    centers: dict[str, PreferenceCenterPage]


@transaction.atomic
def prepare(place: Place) -> Scene:
    """Make what is missing, and move all addresses to today's ports. What editors changed stays."""
    english, german = (Locale.objects.get_or_create(language_code=code)[0] for code in ("en", "de"))
    Locale.objects.get_or_create(language_code="ar")  # for whoever translates
    homes = _homes(english, german)
    site = _site(homes["en"], place)
    audience, _ = Audience.objects.get_or_create(
        site=site, defaults={"key": "copperlane", "name": content.BRAND, **content.CONTROLLER}
    )
    _embedding(site, place)
    topics = make_topics(audience, [english, german])
    centers = {"en": _center(homes["en"], body(topics, "en"), place)}
    centers["de"] = _translated(centers["en"], german, body(topics, "de"), place)
    # Last, because saving it compiles the centers anew with the addresses that then hold.
    site.save()
    return Scene(site, audience, {code: _addressed(page, code, place) for code, page in centers.items()})


def host_page(place: Place, locale: str) -> str:
    """The customer's page that embeds the center in a language."""
    return f"{place.customer}/de/" if locale == "de" else f"{place.customer}/"


def make_editor() -> str:
    """The login for the admin; returns its password."""
    password = passwords.load().editor
    users = get_user_model()
    editor = users.objects.filter(username=EDITOR).first()
    if editor is None:
        users.objects.create_superuser(EDITOR, "editor@copperlane.example", password)
    elif not editor.check_password(password):
        editor.set_password(password)
        editor.save()
    return password


def _homes(english: Locale, german: Locale) -> dict[str, HomePage]:
    home = HomePage.objects.filter(locale=english).first()
    if home is None:
        root = Page.get_first_root_node()
        home = root.add_child(instance=HomePage(slug="copperlane", locale=english, **_home_texts("en")))
    translated = home.get_translation_or_none(german)
    if translated is None:
        translated = home.copy_for_translation(german)
        for name, value in {"slug": "copperlane-de", **_home_texts("de")}.items():
            setattr(translated, name, value)
        translated.save_revision().publish()
    return {"en": home, "de": translated}


def _home_texts(locale: str) -> dict[str, str]:
    cards = [
        {"type": "card", "value": {"title": title.get(locale), "text": text.get(locale)}}
        for title, text in content.HOME_CARDS
    ]
    return {
        "title": content.HOME_TITLE.get(locale),
        "tagline": content.HOME_TAGLINE.get(locale),
        "intro": content.HOME_INTRO.get(locale),
        "cards": json.dumps(cards),
    }


def _site(home: HomePage, place: Place) -> Site:
    """The default site, led to our home page. Wagtail's first migration made one, with a page to say welcome."""
    site = Site.objects.filter(is_default_site=True).first() or Site(is_default_site=True)
    welcome = site.root_page if site.root_page_id not in (None, home.pk) else None
    address = urlsplit(place.site)
    site.hostname, site.port = address.hostname, address.port or 80
    site.site_name = content.BRAND
    site.root_page = home
    site.save()
    if welcome is not None and welcome.slug == "home" and not isinstance(welcome.specific, HomePage):
        welcome.delete()
    return site


def _embedding(site: Site, place: Place) -> None:
    settings, _ = EmbedSettings.objects.get_or_create(site=site)
    kept = [origin for origin in settings.origin_list if not _is_ours(origin)]
    settings.origins = "\n".join([place.customer, *kept])
    settings.save()


def _center(home: HomePage, blocks: list[dict[str, object]], place: Place) -> PreferenceCenterPage:
    page = PreferenceCenterPage.objects.descendant_of(home).first()
    if page is None:
        page = PreferenceCenterPage(
            title=content.CENTER_TITLE.en,
            slug=content.CENTER_SLUG.en,
            locale=home.locale,
            show_in_menus=True,
            live=False,
            body=json.dumps(blocks),
            host_pages=host_page(place, "en"),
        )
        home.add_child(instance=page)
        page.save_revision().publish()
    return page


def _translated(
    original: PreferenceCenterPage, locale: Locale, blocks: list[dict[str, object]], place: Place
) -> PreferenceCenterPage:
    found = original.get_translation_or_none(locale)
    page: PreferenceCenterPage = found or original.copy_for_translation(locale)
    if found is None:
        page.title = content.CENTER_TITLE.de
        page.slug = content.CENTER_SLUG.de
        page.body = json.dumps(blocks)
        page.host_pages = host_page(place, "de")
        page.save_revision().publish()
    return page


def _addressed(page: PreferenceCenterPage, locale: str, place: Place) -> PreferenceCenterPage:
    """Lead a center to the customer's site where it now stands; a draft stays a draft."""
    page = PreferenceCenterPage.objects.get(pk=page.pk)
    wanted = _with_host_page(page, locale, place)
    if page.host_pages == wanted:
        return page
    draft = page.get_latest_revision_as_object()
    draft.host_pages = _with_host_page(draft, locale, place)
    revision = draft.save_revision()
    if not page.has_unpublished_changes:
        revision.publish()
    else:
        page.host_pages = wanted
        page.save(update_fields=["host_pages"])
        publish(page)
    page.refresh_from_db()
    return page


def _with_host_page(page: PreferenceCenterPage, locale: str, place: Place) -> str:
    kept = [url for url in page.host_page_list if not _is_ours(url)]
    return "\n".join([host_page(place, locale), *kept])


def _is_ours(url: str) -> bool:
    """Whether an address is the demo's own, on today's port or on an earlier one."""
    return urlsplit(url).hostname == urlsplit(Place(80).site).hostname
