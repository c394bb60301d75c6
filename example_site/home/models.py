"""One page type: a landing page with a few cards."""

from __future__ import annotations

from django.db import models
from wagtail import blocks
from wagtail.admin.panels import FieldPanel
from wagtail.fields import RichTextField, StreamField
from wagtail.models import Page


class CardBlock(blocks.StructBlock):
    """A short text under a heading."""

    title = blocks.CharBlock(max_length=80)
    text = blocks.TextBlock(max_length=300)

    class Meta:
        icon = "doc-full"


class HomePage(Page):
    """The landing page."""

    tagline = models.CharField(max_length=120)
    intro = RichTextField(features=["bold", "italic", "link"])
    cards = StreamField([("card", CardBlock())], blank=True)

    content_panels = [*Page.content_panels, FieldPanel("tagline"), FieldPanel("intro"), FieldPanel("cards")]
    parent_page_types = ["wagtailcore.Page"]

    def __str__(self) -> str:
        return str(self.title)

    @property
    def menu(self) -> models.QuerySet[Page]:
        """What the header leads to."""
        pages: models.QuerySet[Page] = self.get_children().live().in_menu()
        return pages
