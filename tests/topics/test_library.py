"""What editors say of a topic reaches the centers that show it: words, samples, frequencies, pictures, privacy."""

from __future__ import annotations

import gc
import json
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from typing import Any

import pytest
from django.core.exceptions import ValidationError
from django.core.files.storage import default_storage
from django.core.files.uploadedfile import SimpleUploadedFile
from django.test import Client
from django.urls import reverse
from wagtail.images import get_image_model
from wagtail.images.tests.utils import get_test_image_file
from wagtail.test.utils.form_data import inline_formset, nested_form_data

from tests import factories
from tests.blocks.conftest import state
from wagtail_prefs.centers import services
from wagtail_prefs.centers.models import PublishedCenter
from wagtail_prefs.centers.page import PreferenceCenterPage
from wagtail_prefs.topics.models import Topic, TopicGroupText, TopicText, validate_sample
from wagtail_prefs.topics.pictures import SIZE
from wagtail_prefs.topics.services import topics_for
from wagtail_prefs.values import SUBSCRIBED, Json

pytestmark = [
    pytest.mark.django_db,
    # Wagtail leaves the file that it makes a rendition in open until that is collected.
    pytest.mark.filterwarnings("ignore:Unclosed file:ResourceWarning"),
]

TOPIC = "wagtailsnippets_wagtail_prefs_topic"
Committed = Callable[[], AbstractContextManager[None]]


@pytest.fixture(autouse=True)
def _collected() -> Iterator[None]:
    yield
    gc.collect()


@pytest.fixture
def committed(django_capture_on_commit_callbacks: Any) -> Committed:
    @contextmanager
    def run() -> Iterator[None]:
        with django_capture_on_commit_callbacks(execute=True):
            yield

    return run


@pytest.fixture
def topics() -> dict[str, Topic]:
    return factories.make_topics()


@pytest.fixture
def center(topics: dict[str, Topic]) -> PreferenceCenterPage:
    return factories.make_center()


def document(page: PreferenceCenterPage) -> Json:
    served: Json = json.loads(services.current(page.translation_key).body)
    return served


def row(page: PreferenceCenterPage, key: str, control: str = "choices") -> Json:
    (found,) = [
        row
        for block in document(page)["blocks"]
        for item in block["controls"]
        if item["name"] == control and item["type"] == "matrix"
        for row in item["rows"]
        if row["key"] == key
    ]
    return dict(found)


def make_image(title: str = "letter.png", description: str = "An open letter") -> Any:
    return factories.make_image(title, description=description)


def show(topic: Topic, image: Any, committed: Committed) -> None:
    topic.picture = image
    with committed():
        topic.save()


def test_all_that_is_said_of_a_topic_reaches_the_blocks(topics: dict[str, Topic]) -> None:
    news = topics["news"]
    Topic.objects.filter(pk=news.pk).update(frequencies=["weekly", "monthly"], private=True)
    TopicText.objects.filter(topic=news, locale__language_code="de").update(
        benefit="Sie erfahren es zuerst.", sample="https://brand.example/de/muster/"
    )
    info = topics_for(news.audience_id, "de")[news.pk]
    assert (info.benefit, info.sample) == ("Sie erfahren es zuerst.", "https://brand.example/de/muster/")
    assert (info.frequencies, info.private, info.media) == (("weekly", "monthly"), True, None)
    assert topics_for(news.audience_id, "en")[news.pk].sample == ""


def test_changed_words_and_rules_are_served(
    center: Any, topics: dict[str, Topic], committed: Committed
) -> None:
    text = TopicText.objects.get(topic=topics["news"], locale__language_code="en")
    with committed():
        text.benefit, text.sample = "You hear of it first.", "https://brand.example/sample/"
        text.save()
    assert row(center, "news")["help"] == "What is new. You hear of it first. · about once a month"
    assert '"https://brand.example/sample/"' in json.dumps(document(center))
    heading = TopicGroupText.objects.get(group__key="brand", locale__language_code="en")
    with committed():
        heading.label = "From our house"
        heading.save()
    assert row(center, "news")["group"] == "From our house"
    topics["news"].frequencies = ["weekly", "monthly"]
    with committed():
        topics["news"].save()
    assert row(center, "news", "frequency")["label"] == "News"


def test_a_private_topic_is_served_to_nobody_and_told_to_whoever_has_it(
    center: Any, topics: dict[str, Topic], committed: Committed
) -> None:
    topics["offers"].private = True
    with committed():
        topics["offers"].save()
    assert "offers" not in json.dumps(document(center))
    assert "Offers" not in json.dumps(document(center))
    snapshot = services.get_snapshot(services.current(center.translation_key).digest)
    block = factories.block_id(center, "topics")
    has_it = services.preferences(snapshot, state(choices={("offers", "email"): SUBSCRIBED}), "")
    assert [found["key"] for found in has_it["private"][block]["choices"]] == ["offers"]
    assert has_it["answers"][block] == {"choices": {"offers": {"email": True}}}
    invited = services.preferences(snapshot, state(attributes={"invited": ["offers"]}), "")
    assert [found["key"] for found in invited["private"][block]["choices"]] == ["offers"]
    nobody = services.preferences(snapshot, state(choices={("news", "email"): SUBSCRIBED}), "")
    assert nobody["private"] == {}
    assert "offers" not in json.dumps(nobody).lower()


def test_a_table_of_private_topics_alone_is_not_drawn_for_strangers(client: Client) -> None:
    topics = factories.make_topics()
    Topic.objects.filter(pk=topics["offers"].pk).update(private=True)
    page = factories.make_center([factories.topics_block([topics["offers"]]), factories.privacy_block()])
    html = client.get(page.url).content.decode()
    assert "Your data" in html
    assert "<table" not in html
    assert "offers" not in html.lower()


def test_a_picture_stands_beside_its_topic(
    center: Any, topics: dict[str, Topic], committed: Committed
) -> None:
    show(topics["news"], make_image(), committed)
    media = row(center, "news")["media"]
    assert media["src"].startswith("http://localhost/media/images/")
    assert (media["alt"], media["width"], media["height"]) == ("An open letter", 192, 192)
    assert row(center, "offers")["media"] is None
    # The title is mostly the name of a file: no words are better.
    with committed():
        image = topics["news"].picture
        image.description = ""
        image.save()
    assert row(center, "news")["media"]["alt"] == ""


def test_pictures_cost_two_statements_however_many(
    topics: dict[str, Topic], django_assert_num_queries: Any
) -> None:
    audience = topics["news"].audience_id
    for number, key in enumerate(("news", "offers", "events")):
        Topic.objects.filter(key=key).update(picture=make_image(f"{number}.png"))
        topics_for(audience, "en")  # makes it in this size
        with django_assert_num_queries(5):
            found = topics_for(audience, "en", "https://brand.example/choices/")
        pictures = [info.media for info in found.values() if info.media]
        assert len(pictures) == number + 1
        assert all(media.src.startswith("https://brand.example/media/") for media in pictures)


def test_a_replaced_file_is_served_under_its_new_address(
    center: Any, topics: dict[str, Topic], committed: Committed, client: Client
) -> None:
    image = make_image()
    show(topics["news"], image, committed)
    old = row(center, "news")["media"]["src"].removeprefix("http://localhost/media/")
    assert default_storage.exists(old)
    client.force_login(factories.make_editor())
    form = {
        "title": "letter.png",
        "description": "A closed one",
        "tags": "",
        "collection": image.collection_id,
    }
    with committed():
        answer = client.post(
            reverse("wagtailimages:edit", args=[image.pk]),
            {
                **form,
                "file": SimpleUploadedFile("other.png", get_test_image_file(size=(300, 300)).file.getvalue()),
            },
        )
    assert answer.status_code == 302, answer.context["form"].errors
    media = row(center, "news")["media"]
    new = media["src"].removeprefix("http://localhost/media/")
    assert media["alt"] == "A closed one"
    assert default_storage.exists(new)
    assert new != old
    renditions = get_image_model().get_rendition_model().objects.filter(filter_spec=SIZE)
    assert [rendition.file.name for rendition in renditions] == [new]


def test_a_deleted_picture_leaves_the_topic_without_one(
    center: Any, topics: dict[str, Topic], committed: Committed
) -> None:
    image = make_image()
    show(topics["news"], image, committed)
    with committed():
        image.delete()
    assert row(center, "news")["media"] is None
    assert Topic.objects.get(key="news").picture is None


def test_a_picture_whose_file_is_gone_stops_nothing(topics: dict[str, Topic]) -> None:
    image = make_image()
    Topic.objects.filter(key="news").update(picture=image)
    default_storage.delete(image.file.name)
    assert topics_for(topics["news"].audience_id, "en")[topics["news"].pk].media is None


def test_a_picture_of_something_else_touches_nothing(
    center: Any, topics: dict[str, Topic], committed: Committed
) -> None:
    show(topics["news"], make_image(), committed)
    before = PublishedCenter.objects.get().updated_at
    with committed():
        other = make_image("other.png")
        other.get_rendition(SIZE)
        other.renditions.all().delete()
        other.delete()
    assert PublishedCenter.objects.get().updated_at == before


@pytest.mark.parametrize(
    "address",
    [
        "http://brand.example/",
        "javascript:alert(1)",
        "//brand.example/",
        "mailto:a@brand.example",
        "tel:+491",
        "https://a@b.example/",
    ],
)
def test_a_sample_has_a_full_address_that_everybody_may_open(address: str) -> None:
    with pytest.raises(ValidationError):
        validate_sample(address)
    validate_sample("https://brand.example/sample/?a=1")


def topic_form(**values: Any) -> dict[str, Any]:
    texts = inline_formset(
        [
            {
                "locale": factories.make_locale("en").pk,
                "label": "Recipes",
                "text": "",
                "benefit": "You cook better.",
                "cadence": "",
                "sample": values.pop("sample", ""),
            }
        ],
        min=1,
    )
    lists = {
        name: values.pop(name, default) for name, default in (("channels", ["email"]), ("frequencies", []))
    }
    fields = {
        "key": "recipes",
        "sort_order": "0",
        "group": "",
        "audience": "",
        "basis": "consent",
        "picture": "",
        "planned": "",
        "planned_per": "month",
        "texts": texts,
    }
    return {**nested_form_data({**fields, **values}), **lists}


def test_a_topic_is_made_with_all_that_there_is_to_say(client: Client) -> None:
    client.force_login(factories.make_editor())
    image = make_image()
    form = topic_form(
        picture=image.pk,
        planned="3",
        planned_per="week",
        frequencies=["monthly", "as_it_happens"],
        private="on",
        sample="https://brand.example/sample/",
    )
    answer = client.post(reverse(f"{TOPIC}:add"), form)
    assert answer.status_code == 302, answer.context["form"].errors
    topic = Topic.objects.get()
    assert topic.frequencies == ["as_it_happens", "monthly"]  # in the order of all
    assert (topic.picture, topic.planned, topic.planned_per, topic.private) == (image, 3, "week", True)
    assert str(topic.status_words) == "Private"
    assert topic.texts.get().benefit == "You cook better."
    html = client.get(reverse(f"{TOPIC}:edit", args=[topic.pk])).content.decode()
    assert "https://brand.example/sample/" in html


@pytest.mark.parametrize(
    ("values", "field"),
    [
        ({"frequencies": ["weekly"]}, "frequencies"),
        ({"frequencies": ["hourly", "weekly"]}, "frequencies"),
        ({"planned": "0"}, "planned"),
        ({"planned": "2.5"}, "planned"),
        ({"planned": "100000"}, "planned"),
        ({"planned_per": "decade"}, "planned_per"),
        ({"transactional": "on", "private": "on"}, "private"),
        ({"transactional": "on", "frequencies": ["weekly", "monthly"]}, "frequencies"),
        ({"sample": "http://brand.example/"}, None),
        ({"sample": "javascript:alert(1)"}, None),
    ],
)
def test_what_makes_no_sense_is_refused_at_its_field(client: Client, values: Any, field: str | None) -> None:
    client.force_login(factories.make_editor())
    answer = client.post(reverse(f"{TOPIC}:add"), topic_form(**values))
    assert answer.status_code == 200
    form = answer.context["form"]
    assert form.errors.keys() == ({field} if field else set())
    assert bool(form.formsets["texts"].errors[0].keys() == {"sample"}) == (field is None)
    assert not Topic.objects.exists()
