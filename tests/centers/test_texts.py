"""Every word that was on a page can be had by its hash, whatever became of the page."""

from __future__ import annotations

from collections.abc import Iterator
from importlib import import_module
from types import SimpleNamespace
from typing import Any

import pytest
from django.apps import apps
from django.db import connection
from django.test.utils import CaptureQueriesContext

from tests.factories import all_blocks, make_audience, make_center, make_topics, topics_block
from wagtail_prefs.canonical import sha256_hex
from wagtail_prefs.centers import services as centers
from wagtail_prefs.centers.models import ShownText
from wagtail_prefs.centers.services import Snapshot
from wagtail_prefs.centers.texts import RULES, TREES, WORDS, find, texts
from wagtail_prefs.html import tree_to_text
from wagtail_prefs.topics.models import Topic, TopicText

pytestmark = pytest.mark.django_db

#: What is in a document and is no text that somebody reads.
STRUCTURE = frozenset(
    "center revision locale direction page_url id type layout name key cell style format href src columns".split()
)


def published(page: Any) -> Snapshot:
    return centers.get_snapshot(centers.current(page.translation_key).digest)


def strings(value: Any, name: str = "", above: str = "") -> Iterator[tuple[str, str]]:
    """Every string of a document with the name of its field, by other means than the code."""
    if name in RULES:
        return
    if name in TREES and isinstance(value, list):
        if value:
            yield name, tree_to_text(value)
    elif isinstance(value, dict):
        for key, inner in value.items():
            yield from strings(inner, key, name)
    elif isinstance(value, list):
        for inner in value:
            yield from strings(inner, name, above)
    elif isinstance(value, str) and value:
        yield ("label" if above == "labels" else name), value


def test_every_string_of_a_page_is_a_text_or_known_to_be_none() -> None:
    snapshot = published(make_center())
    found = {text.text for text in texts(snapshot)}
    seen = set()
    for name, value in strings(snapshot.document):
        assert name in WORDS | TREES | STRUCTURE, f"{name}: is it read? Say so in centers/texts.py"
        if name not in STRUCTURE:
            seen.add(value)
            assert value in found, name
    assert {"News", "From us", "Your choices"} <= seen


def test_a_text_is_named_by_its_place_and_its_hash() -> None:
    page = make_center(title="Your choices")
    found = {text.path: text for text in texts(published(page))}
    assert found["title"].text == "Your choices"
    assert found["title"].sha256 == sha256_hex("Your choices")
    block = next(str(child.id) for child in page.body if child.block_type == "topics")
    assert found[f"blocks.{block}.controls.choices.rows.news.label"].text == "News"
    assert len(found) == len(texts(published(page)))


def test_a_notice_has_the_hash_that_records_name() -> None:
    snapshot = published(make_center())
    named = {spec.rules["notice"]["sha256"] for spec in snapshot.specs if "notice" in spec.rules}
    assert len(named) == 1
    ((where, text),) = find(*named)
    assert where.digest == snapshot.digest and text.text


def test_what_was_shown_outlives_the_page_and_the_topic() -> None:
    audience = make_audience()
    topics = make_topics(audience)
    page = make_center([topics_block([topics["news"]])], title="As it was")
    first = published(page)
    was = {text.sha256 for text in texts(first)}
    TopicText.objects.filter(topic=topics["news"], locale__language_code="en").update(label="Renamed")
    page.title = "Edited"
    page.save_revision().publish()
    assert published(page).digest != first.digest
    page.unpublish()
    page.delete()
    Topic.objects.filter(pk=topics["news"].pk).delete()
    centers.get_snapshot.cache_clear()
    kept = centers.get_snapshot(first.digest)
    assert {text.sha256 for text in texts(kept)} == was
    assert [(where.digest, text.text) for where, text in find(sha256_hex("As it was"))] == [
        (first.digest, "As it was")
    ]
    assert [text.text for where, text in find(sha256_hex("News")) if where.digest == first.digest]
    assert list(find("0" * 64)) == []


def test_only_pages_that_showed_a_text_are_read_and_the_newest_so_many_are_told_of() -> None:
    page = make_center(title="As it was")
    for number in range(4):
        page.title = f"Edition {number}"
        page.save_revision().publish()
    news = sha256_hex("News")
    assert len({where.digest for where, _text in find(news)}) == 5
    (newest,) = {where.digest for where, _text in find(news, limit=1)}
    assert newest == published(page).digest
    centers.get_snapshot.cache_clear()
    with CaptureQueriesContext(connection) as asked:
        ((where, _text),) = find(sha256_hex("Edition 2"))
    assert len(asked) == 2 and where.document["title"] == "Edition 2"
    # What was published before there was an index.
    ShownText.objects.all().delete()
    assert list(find(news)) == []
    migration = import_module("wagtail_prefs.migrations.0027_shown_texts")
    migration.fill(apps, SimpleNamespace(connection=connection))
    assert len({where.digest for where, _text in find(news)}) == 5


def test_nothing_of_the_rules_is_taken_for_a_text() -> None:
    snapshot = published(make_center(all_blocks(make_topics().values())))
    assert not [text.path for text in texts(snapshot) if RULES & set(text.path.split("."))]
