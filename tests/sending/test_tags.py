"""Links in the templates of a site's mails."""

from __future__ import annotations

from typing import Any

import pytest
from django.template import Context, Template
from django.test import Client

from tests import factories
from tests.sending.letters import ROSA, reader
from wagtail_prefs import decide
from wagtail_prefs.contacts.models import Contact


@pytest.fixture
def rosa(db: None) -> Contact:
    factories.make_topics()
    return reader()


def drawn(source: str, **context: Any) -> str:
    return Template("{% load prefs_links %}" + source).render(Context(context))


def test_links_lead_where_they_say(rosa: Contact) -> None:
    center = factories.make_center()
    hers = drawn("{% prefs_link contact %}", contact=rosa)
    assert hers.startswith("http://localhost/prefs/l/v1.")
    assert Client().get(hers).status_code == 200
    assert ROSA not in hers
    out = drawn('<a href="{% unsubscribe_link contact "news" center=center %}">', contact=rosa, center=center)
    uri = out.removeprefix('<a href="').removesuffix('">')
    assert b"<button" in Client().get(uri).content
    assert decide(rosa.pk, "news", "email").verdict == "send"  # to look is not to leave
    assert Client().post(uri, {"List-Unsubscribe": "One-Click"}).status_code == 200
    assert decide(rosa.pk, "news", "email").reason == "unsubscribed"
    why = drawn('{% why_link contact "news" "news 48" as url %}{{ url }}', contact=rosa)
    assert why.startswith("http://localhost/prefs/w/v1.")
    assert Client().get(why).status_code == 200


def test_the_center_is_hers_or_named(rosa: Contact) -> None:
    with pytest.raises(ValueError, match="no published center"):
        drawn("{% prefs_link contact %}", contact=rosa)
    one = factories.make_center()
    factories.make_center(locale="de", translation_of=one)
    assert drawn("{% prefs_link contact %}", contact=rosa)
    other = factories.make_center()
    with pytest.raises(ValueError, match="more than one"):
        drawn("{% prefs_link contact %}", contact=rosa)
    for given in (other, other.translation_key, str(other.translation_key)):
        assert drawn("{% prefs_link contact center=given %}", contact=rosa, given=given)


@pytest.mark.parametrize(
    "source",
    [
        "{% prefs_link nobody %}",
        "{% prefs_link contact center=nothing %}",
        "{% unsubscribe_link contact nothing %}",
        '{% unsubscribe_link nobody "news" %}',
        '{% why_link contact "news" nothing %}',
    ],
)
def test_what_is_missing_raises(rosa: Contact, source: str) -> None:
    factories.make_center()
    with pytest.raises((ValueError, TypeError)):
        drawn(source, contact=rosa)
