"""A site with topics, a published center and people: what nearly every test begins with."""

from __future__ import annotations

import uuid
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from django.conf import settings
from django.contrib.auth import get_user_model
from django.contrib.contenttypes.models import ContentType
from wagtail.images import get_image_model
from wagtail.images.tests.utils import get_test_image_file
from wagtail.models import Collection, Locale, Page, Site
from wagtail.signal_handlers import disable_reference_index_auto_update

from wagtail_prefs.centers.embedding import EmbedSettings
from wagtail_prefs.centers.page import PreferenceCenterPage
from wagtail_prefs.contacts.models import Contact
from wagtail_prefs.topics.models import Audience, Topic, TopicGroup, TopicGroupText, TopicText
from wagtail_prefs.topics.services import audience_for_site

#: key, group, channels, always sent, {language: (label, text, cadence)}
TOPICS: Sequence[tuple[str, str, Sequence[str], bool, Mapping[str, tuple[str, str, str]]]] = (
    (
        "news",
        "brand",
        ["email", "sms"],
        False,
        {
            "en": ("News", "What is new.", "about once a month"),
            "de": ("Neues", "Was es Neues gibt.", "etwa einmal im Monat"),
        },
    ),
    (
        "offers",
        "brand",
        ["email", "sms"],
        False,
        {"en": ("Offers", "Sales and vouchers.", ""), "de": ("Angebote", "Aktionen und Gutscheine.", "")},
    ),
    (
        "events",
        "community",
        ["email", "post"],
        False,
        {"en": ("Events", "Meet us.", ""), "de": ("Termine", "Treffen Sie uns.", "")},
    ),
    (
        "orders",
        "",
        ["email"],
        True,
        {"en": ("Your orders", "Confirmations.", ""), "de": ("Ihre Bestellungen", "Bestätigungen.", "")},
    ),
)
GROUPS: Mapping[str, Mapping[str, str]] = {
    "brand": {"en": "From us", "de": "Von uns"},
    "community": {"en": "Near you", "de": "In Ihrer Nähe"},
}


def make_locale(code: str) -> Locale:
    return Locale.objects.get_or_create(language_code=code)[0]


def make_site(
    hostname: str = "localhost", *, origins: Iterable[str] = (), port: int = 80, default: bool | None = None
) -> Site:
    """The site of that host with a home page, made anew where a transactional test has emptied the tables."""
    default = hostname == "localhost" if default is None else default
    locale = make_locale(settings.LANGUAGE_CODE)
    root = Page.objects.filter(depth=1).first() or Page.add_root(title="Root", slug="root", locale=locale)
    site = Site.objects.filter(hostname=hostname, port=port).first()
    if site is None:
        home = root.add_child(
            instance=Page(title=hostname, slug=f"home-{uuid.uuid4().hex[:8]}", locale=locale)
        )
        site = Site.objects.create(
            hostname=hostname,
            port=port,
            root_page=home,
            is_default_site=default and not Site.objects.filter(is_default_site=True).exists(),
            site_name=hostname,
        )
    origins = list(origins)
    if origins:
        EmbedSettings.objects.update_or_create(site=site, defaults={"origins": "\n".join(origins)})
    return site


def make_image(title: str, *, width: int = 400, height: int = 300, **fields: Any) -> Any:
    """A picture, and the collection that it stands in where a transactional test has emptied the tables."""
    if not Collection.objects.exists():
        Collection.add_root(name="Root")
    file = get_test_image_file(size=(width, height))
    return get_image_model().objects.create(title=title, file=file, **fields)


def make_audience(site: Site | None = None) -> Audience:
    return audience_for_site(site or make_site())


def make_topics(audience: Audience | None = None) -> dict[str, Topic]:
    """news and offers (email, sms), events (email, post), orders (always sent), in English and German."""
    audience = audience or make_audience()
    # A process keeps these: whoever counts queries must not be the first to ask.
    ContentType.objects.get_for_models(
        TopicGroup, TopicGroupText, Topic, TopicText, Page, PreferenceCenterPage
    )
    keys = [key for key, *_ in TOPICS]
    if len(found := _topics(audience, keys)) < len(TOPICS):
        _make_topics(audience, set(keys) - set(found))
        found = _topics(audience, keys)
    return {key: found[key] for key in keys}


def _topics(audience: Audience, keys: Iterable[str]) -> dict[str, Topic]:
    return {topic.key: topic for topic in Topic.objects.filter(audience=audience, key__in=keys)}


def _make_topics(audience: Audience, wanted: set[str]) -> None:
    """In a few statements: nearly every test begins with this."""
    locales = {code: make_locale(code) for code in ("en", "de")}
    TopicGroup.objects.bulk_create(
        [TopicGroup(audience=audience, key=key, sort_order=order) for order, key in enumerate(GROUPS)],
        ignore_conflicts=True,
    )
    groups = {group.key: group for group in TopicGroup.objects.filter(audience=audience)}
    TopicGroupText.objects.bulk_create(
        [
            TopicGroupText(group=groups[key], locale=locales[code], label=label)
            for key, headings in GROUPS.items()
            for code, label in headings.items()
        ],
        ignore_conflicts=True,
    )
    Topic.objects.bulk_create(
        Topic(
            audience=audience,
            key=key,
            group=groups.get(group_key),
            sort_order=order,
            channels=list(channels),
            transactional=transactional,
        )
        for order, (key, group_key, channels, transactional, _) in enumerate(TOPICS)
        if key in wanted
    )
    topics = _topics(audience, wanted)
    TopicText.objects.bulk_create(
        TopicText(topic=topics[key], locale=locales[code], label=label, text=text, cadence=cadence)
        for key, _group, _channels, _transactional, texts in TOPICS
        if key in wanted
        for code, (label, text, cadence) in texts.items()
    )


def block(kind: str, value: Mapping[str, Any], block_id: str | None = None) -> dict[str, Any]:
    """One block of a body as it is stored."""
    return {"type": kind, "value": dict(value), "id": block_id or str(uuid.uuid4())}


def topics_block(topics: Iterable[Topic] | None = None, **value: Any) -> dict[str, Any]:
    chosen = list(make_topics().values()) if topics is None else list(topics)
    return block(
        "topics",
        {
            "heading": "Topics",
            "text": "",
            "topics": [topic.pk for topic in chosen],
            "channels": ["email", "sms"],
            **value,
        },
    )


def frequency_block(**value: Any) -> dict[str, Any]:
    codes = ["as_it_happens", "weekly", "monthly"]
    return block(
        "frequency",
        {
            "heading": "How often",
            "text": "",
            "frequencies": codes,
            "overall": True,
            "channels": ["email"],
            **value,
        },
    )


def privacy_block(**value: Any) -> dict[str, Any]:
    return block(
        "privacy_notice",
        {
            "heading": "Your data",
            "text": "",
            "notice": "privacy",
            "content": "<p>We use your address for <b>this</b> only.</p>",
            "policy_url": "https://brand.example/privacy",
            "ask": True,
            **value,
        },
    )


def transactional_block(**value: Any) -> dict[str, Any]:
    return block(
        "transactional", {"heading": "What always comes", "text": "<p>These always come.</p>", **value}
    )


def unsubscribe_all_block(**value: Any) -> dict[str, Any]:
    return block(
        "unsubscribe_all", {"heading": "Leave", "text": "", "still_comes": "", "button": "", **value}
    )


def channels_block(**value: Any) -> dict[str, Any]:
    return block(
        "channels",
        {
            "heading": "How may we reach you?",
            "text": "",
            "channels": ["email", "sms"],
            "words": [],
            "ask_number": True,
            **value,
        },
    )


def all_blocks(topics: Iterable[Topic] | None = None) -> list[dict[str, Any]]:
    """One of each, in the order of the demo."""
    return [
        topics_block(topics),
        frequency_block(),
        privacy_block(),
        transactional_block(),
        unsubscribe_all_block(),
    ]


def make_center(
    blocks: Sequence[Mapping[str, Any]] | None = None,
    *,
    locale: str = "en",
    publish: bool = True,
    site: Site | None = None,
    title: str = "Your choices",
    translation_of: PreferenceCenterPage | None = None,
    **fields: Any,
) -> PreferenceCenterPage:
    """A center of all five blocks (or of those given, as stored JSON) below the site's home page."""
    site = site or make_site()
    audience = make_audience(site)
    if blocks is None:
        blocks = (
            translation_of.body.raw_data if translation_of else all_blocks(make_topics(audience).values())
        )
    if translation_of is not None:
        fields.setdefault("translation_key", translation_of.translation_key)
        fields.setdefault("host_pages", translation_of.host_pages)
    page = PreferenceCenterPage(
        title=title,
        slug=f"choices-{locale}-{uuid.uuid4().hex[:8]}",
        locale=make_locale(locale),
        body=[dict(item) for item in blocks],
        live=False,
        **fields,
    )
    parent = Page.objects.get(pk=site.root_page_id)
    # Which page names which topic is Wagtail's own book-keeping, and takes a third of the time.
    with disable_reference_index_auto_update():
        parent.add_child(instance=page)
        if publish:
            page.save_revision().publish()
            page.refresh_from_db()
    return page


def block_id(page: PreferenceCenterPage, kind: str) -> str:
    """The id of the first block of a kind: what answers are keyed by."""
    return next(str(child.id) for child in page.body if child.block_type == kind)


def make_contact(
    email: str = "anna@mail.example.org", *, audience: Audience | None = None, **fields: Any
) -> Contact:
    """The contact of that address in the default site's audience."""
    from wagtail_prefs.contacts import services

    return services.get_or_create((audience or make_audience()).pk, email, **fields)


def make_editor(username: str = "editor") -> Any:
    """A superuser, for the admin's screens; those need a page tree, which a transactional test may have emptied."""
    make_site()
    user = get_user_model().objects.filter(username=username).first()
    return user or get_user_model().objects.create_superuser(
        username, f"{username}@brand.example", "password"
    )
