"""A text and a picture, which is found from every site that the center stands on."""

from __future__ import annotations

import gc
from collections.abc import Iterator
from typing import Any

import pytest
from wagtail.blocks import StructBlockValidationError

from tests import factories
from tests.blocks.conftest import compiled
from wagtail_prefs.blocks.rich_text import RichTextBlock
from wagtail_prefs.centers import services

# Wagtail leaves the file of a rendition open until it is collected, which should not happen in another test.
pytestmark = pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")


@pytest.fixture
def picture(db: None) -> Iterator[Any]:
    yield factories.make_image("Harbour", width=2400, height=1200)
    gc.collect()


def published(**value: Any) -> dict[str, Any]:
    page = factories.make_center(
        [factories.block("rich_text", {"heading": "Hello", "text": "<p>Good <b>day</b>.</p>", **value}, "b1")]
    )
    block: dict[str, Any] = services.get_snapshot(services.current(page.translation_key).digest).document[
        "blocks"
    ][0]
    return block


def test_a_text_needs_no_picture() -> None:
    spec = compiled("rich_text", picture=None)
    assert spec.document["controls"] == []
    assert spec.document["text"] == [["p", {}, "Good to see you."]]
    assert RichTextBlock.fields(spec) == {}


def test_the_picture_has_a_full_address_a_size_and_its_words(picture: Any) -> None:
    [control] = published(picture={"image": picture.pk, "alt_text": "A harbour", "decorative": False})[
        "controls"
    ]
    assert control["type"] == "image"
    media = control["media"]
    assert media["src"].startswith("http://localhost/media/")
    assert (media["width"], media["height"], media["alt"]) == (1600, 800, "A harbour")


def test_a_decorative_picture_says_nothing(picture: Any) -> None:
    [control] = published(picture={"image": picture.pk, "alt_text": "A harbour", "decorative": True})[
        "controls"
    ]
    assert control["media"]["alt"] == ""


def test_a_picture_whose_file_is_gone_does_not_stop_the_page(picture: Any) -> None:
    picture.file.storage.delete(picture.file.name)
    assert (
        published(picture={"image": picture.pk, "alt_text": "A harbour", "decorative": False})["controls"]
        == []
    )


def test_a_picture_without_words_is_not_published(picture: Any) -> None:
    block = RichTextBlock()
    value = {
        "heading": "Hello",
        "text": "",
        "picture": {"image": picture.pk, "alt_text": "", "decorative": False},
    }
    with pytest.raises(StructBlockValidationError) as refused:
        block.clean(block.to_python(value))
    assert set(refused.value.block_errors) == {"picture"}


def test_an_empty_block_is_not_published() -> None:
    block = RichTextBlock()
    assert set(block.problems({"heading": "", "text": None, "picture": None})) == {"text"}
    assert block.problems({"heading": "Hello"}) == {}
