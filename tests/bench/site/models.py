"""The peer of a save: a form page of Wagtail's own."""

from __future__ import annotations

from modelcluster.fields import ParentalKey
from wagtail.admin.panels import InlinePanel
from wagtail.contrib.forms.models import AbstractForm, AbstractFormField


class FormPage(AbstractForm):
    """A page whose form asks what a small preference center asks."""

    template = "bench/form_page.html"
    landing_page_template = "bench/form_page_landing.html"
    content_panels = [*AbstractForm.content_panels, InlinePanel("form_fields")]


class FormField(AbstractFormField):
    page = ParentalKey(FormPage, related_name="form_fields")
