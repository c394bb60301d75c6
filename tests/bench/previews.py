"""What the editor's preview panel asks for after every few keys: a center of 30 blocks, and a form page of 30 fields."""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator, Mapping
from itertools import cycle, islice
from typing import Any

from django.test import Client
from django.urls import reverse
from wagtail.models import Page
from wagtail.test.utils.form_data import inline_formset, nested_form_data

from tests import factories
from tests.bench.site.models import FormField, FormPage
from tests.editing import form_of
from wagtail_prefs.centers.page import PreferenceCenterPage
from wagtail_prefs.topics.models import Topic

from .calls import Calls

SIZE = 30
#: Kinds of fields, and what those are asked for that have a choice.
KINDS = ("singleline", "email", "checkbox", "radio", "dropdown", "multiline", "date", "checkboxes")
CHOICES = dict.fromkeys(("radio", "dropdown", "checkboxes"), "Never\nSometimes\nOften")


def preview_center(_random: random.Random) -> Calls:
    """The draft of a center as a visitor sees it who has no link."""
    page = _center()
    return _refreshed(page, form_of(page), {"mode": ""}, '<section class="pc-section')


def preview_person(_random: random.Random) -> Calls:
    """The same as somebody sees it who chose."""
    page = _center()
    return _refreshed(page, form_of(page), {"mode": "subscribed"}, '<section class="pc-section')


def preview_form(_random: random.Random) -> Calls:
    """The draft of Wagtail's own form page."""
    page = FormPage(title="A long form", slug="a-long-form", live=False)
    Page.objects.get(pk=factories.make_site().root_page_id).add_child(instance=page)
    for order, kind in enumerate(islice(cycle(KINDS), SIZE)):
        FormField.objects.create(
            page=page,
            sort_order=order,
            label=f"Question {order}",
            help_text="What we use the answer for, in one sentence.",
            field_type=kind,
            required=False,
            choices=CHOICES.get(kind, ""),
        )
    page = FormPage.objects.get(pk=page.pk)
    page.save_revision()
    names = ("id", "label", "help_text", "field_type", "choices", "default_value")
    rows = [{name: str(getattr(field, name)) for name in names} for field in page.form_fields.all()]
    comments = inline_formset([])
    form = nested_form_data(
        {
            "title": page.title,
            "slug": page.slug,
            "form_fields": inline_formset(rows, initial=SIZE),
            "comments": comments,
        }
    )
    return _refreshed(page, form, {}, "What we use the answer for")


def _center() -> PreferenceCenterPage:
    """Every kind of block twice, as its own example has it, with the topics of the bench."""
    blocks = PreferenceCenterPage._meta.get_field("body").stream_block.child_blocks
    topics = [topic.pk for topic in Topic.objects.order_by("sort_order")]
    body = []
    for name in islice(cycle(blocks), SIZE):
        value = blocks[name].get_prep_value(blocks[name].get_preview_value())
        body.append(factories.block(name, {**value, "topics": topics} if name == "topics" else value))
    page = factories.make_center(body, publish=False, title="A long center")
    page.save_revision()
    return page


def _refreshed(
    page: Page, form: Mapping[str, Any], asked: Mapping[str, str], part: str
) -> Iterator[Callable[[], int]]:
    """Refreshes of a page's preview after its editor has typed; `part` stands in it once for each block or field."""
    client = Client(headers={"Host": "localhost"})
    client.force_login(factories.make_editor())
    address = reverse("wagtailadmin_pages:preview_on_edit", args=[page.pk])
    told = client.post(address, form).json()
    assert told == {"is_valid": True, "is_available": True}, told

    def call() -> int:
        response = client.get(address, {**asked, "in_preview_panel": "true"})
        assert response.status_code == 200
        found = response.content.count(part.encode())
        assert SIZE - 5 <= found <= SIZE, found
        return 1

    while True:
        yield call


MAKERS: Mapping[str, Callable[[random.Random], Calls]] = {
    "preview_center": preview_center,
    "preview_person": preview_person,
    "preview_form": preview_form,
}
