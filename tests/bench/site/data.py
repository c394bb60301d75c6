"""What the bench asks for: a published center, people with sessions, a form page - and a note of where it all is."""

from __future__ import annotations

from uuid import UUID

from django.core.management import call_command
from wagtail.models import Page

from tests import factories
from tests.bench.places import Person, Places
from wagtail_prefs.access import api_keys, services as access, tokens
from wagtail_prefs.access.sessions import SESSION_PREFIX
from wagtail_prefs.centers import services as centers
from wagtail_prefs.centers.page import PreferenceCenterPage
from wagtail_prefs.contacts.models import Contact
from wagtail_prefs.submissions import services as submissions
from wagtail_prefs.topics.models import Audience, Topic, TopicText
from wagtail_prefs.values import Actor, ActorType, Source

from . import kinds, people

TOPICS = {
    "news": "News",
    "offers": "Offers",
    "events": "Events",
    "stories": "Stories",
    "surveys": "Surveys",
}
CHANNELS = list(kinds.CHANNELS)
#: More people than this do not make the load more random.
MOST_SESSIONS = 50_000


def prepare(contacts: int) -> Places:
    """Fill an empty database."""
    call_command("migrate", verbosity=0)
    site = factories.make_site()
    topics = _topics(factories.make_audience(site))
    blocks = factories.all_blocks(topics)
    page = factories.make_center(blocks, site=site)
    form = _form_page(site.root_page)
    center = centers.current(page.translation_key)
    block = factories.block_id(page, "topics")
    model = factories.make_contact("model@mail.example.org")
    version = _say_yes(model, center.digest, block)
    models = [(model, kinds.PLAIN, 1), *kinds.make(list(TOPICS))]
    people.copy_contacts(models, contacts, list(TOPICS))
    return Places(
        center=str(page.translation_key),
        revision=center.digest,
        origin=center.origins[0],
        block=block,
        topics=list(TOPICS),
        page_id=page.pk,
        form_path=form.get_url() or "",
        form_fields=[field.clean_name for field in form.form_fields.all()],
        version=version,
        people=_sessions(model, page, center.origins[0], min(contacts, MOST_SESSIONS)),
        api_key=api_keys.make("a sender", topics[0].audience, [api_keys.Scope.DECISIONS_READ], None)[1],
    )


def _topics(audience: Audience) -> list[Topic]:
    made = []
    for order, (key, label) in enumerate(TOPICS.items()):
        topic = Topic.objects.create(audience=audience, key=key, sort_order=order, channels=CHANNELS)
        TopicText.objects.create(
            topic=topic, locale=factories.make_locale("en"), label=label, text=f"{label} from us, in short."
        )
        made.append(topic)
    return made


def _form_page(parent: Page) -> Page:
    from .models import FormField, FormPage

    page = FormPage(title="Newsletter", slug="newsletter")
    Page.objects.get(pk=parent.pk).add_child(instance=page)
    labels = [("E-mail", "email"), *((label, "checkbox") for label in TOPICS.values())]
    for order, (label, kind) in enumerate(labels):
        FormField.objects.create(
            page=page, sort_order=order, label=label, field_type=kind, required=not order
        )
    page.save_revision().publish()
    return page


def _say_yes(contact: Contact, digest: str, block: str) -> int:
    """Ten choices of one contact, through the service that every save goes through."""
    choices = {topic: dict.fromkeys(CHANNELS, True) for topic in TOPICS}
    saved = submissions.submit(
        link_id=contact.link_id,
        epoch=contact.epoch,
        snapshot=centers.get_snapshot(digest),
        base_version=0,
        answers={block: {"choices": choices}},
        actor=Actor(ActorType.SUBJECT_SESSION),
        source=Source(method="element"),
        idempotency_key="bench",
    )
    return saved.version


def _sessions(model: Contact, page: PreferenceCenterPage, origin: str, size: int) -> list[Person]:
    """A bearer for each of many people: one is opened by a code, the others are signed like it."""
    link = access.open_link(access.make_token(access.Purpose.MANAGE, model), access.Purpose.MANAGE)
    code = access.make_code(link, page.translation_key, origin)
    bearer, _ = access.redeem_code(code, center=page.translation_key, origin=origin)
    payload = tokens.verify(SESSION_PREFIX, bearer)

    def of(link_id: str) -> str:
        return tokens.sign(SESSION_PREFIX, {**payload, "l": link_id})

    chosen: list[tuple[UUID, str]] = people.sample(size, like=model.pk)
    return [Person(str(contact), of(link_id)) for contact, link_id in chosen]
