"""`wagtail_prefs.record` and `wagtail_prefs.contact_for`: the way in for checkouts, forms and jobs of the site."""

from __future__ import annotations

from collections.abc import Iterable
from uuid import UUID

from django.core.exceptions import ImproperlyConfigured
from django.db.models import Model
from wagtail.models import Site

from ..changes import Change, Confirm, SetChoice
from ..contacts import services as contacts
from ..contacts.models import Contact
from ..errors import UnknownContact
from ..topics.models import Topic
from ..topics.services import audience_for_site, default_audience
from ..values import CHANNELS, UNSUBSCRIBED, Actor, ActorType, Evidence, Source
from . import services
from .services import Saved


def contact_for(
    email: str,
    *,
    site: Site | None = None,
    language: str = "",
    country: str = "",
    timezone: str = "",
    source: str = "site",
) -> Contact:
    """The contact behind an address, made if it is new, in the audience of a site (the default one without).

    `language` (BCP 47), `country` (ISO 3166) and `timezone` (IANA) are noted for one who is new; `source` says where
    they come from. Making a contact allows nothing yet. Raises ValidationError for what is no address.
    """
    audience = default_audience() if site is None else audience_for_site(site)
    if audience is None:
        raise ImproperlyConfigured("There is no Wagtail site, and so no audience for contacts to belong to.")
    return contacts.get_or_create(
        audience.pk, email, language=language, country=country, timezone=timezone, source=source
    )


def record(
    contact: Contact | UUID,
    changes: Change | Iterable[Change],
    *,
    by: Actor | str,
    source: Source | str = "python",
    evidence: Evidence | None = None,
    idempotency_key: str | None = None,
) -> Saved:
    """Save what somebody wants, with proof, and have it delivered: one transaction, no call to any other system.

    `by` is who acts: an `Actor`, or the name of the job or form that does it for her. `evidence` says where her own
    act can be looked up and when it was; without it nobody but she says yes. The same `idempotency_key` twice gives
    the first answer, so a job may be run again. Raises NotAllowed for a yes that nothing shows, UnknownContact,
    KeyReused, and ValueError for changes that contradict each other or say yes to a topic there is not.
    """
    changes = (changes,) if isinstance(changes, Change) else tuple(changes)
    contact_id = contact.pk if isinstance(contact, Model) else contact
    actor = by if isinstance(by, Actor) else Actor(ActorType.API, by)
    if not actor.is_subject and not actor.id:
        raise ValueError("say who acts: by=Actor(type, id), or the name of the job or form")
    if isinstance(source, str):
        source = Source(method=source, evidence=evidence)
    elif evidence is not None:
        raise ValueError("give the evidence in the Source, or give the source by name")
    _check_topics(contact_id, changes)
    return services.record(contact_id, changes, actor=actor, source=source, idempotency_key=idempotency_key)


def _check_topics(contact_id: UUID, changes: Iterable[Change]) -> None:
    """A typing error must not become a choice that no sender ever asks about. A no is taken for whatever it names."""
    asked = {
        change.key
        for change in changes
        if isinstance(change, Confirm) or (isinstance(change, SetChoice) and change.value != UNSUBSCRIBED)
    }
    for channel in sorted(channel for topic, channel in asked if not topic):
        if channel not in CHANNELS:
            raise ValueError(f"there is no channel {channel!r}; there are: {', '.join(CHANNELS)}")
    asked = {key for key in asked if key[0]}
    if not asked:
        return
    audience = Contact.objects.filter(pk=contact_id).values_list("audience_id", flat=True).first()
    if audience is None:
        raise UnknownContact
    known = dict(Topic.objects.filter(audience_id=audience).values_list("key", "channels"))
    for topic, channel in sorted(asked):
        if topic not in known:
            raise ValueError(f"there is no topic {topic!r}; there are: {', '.join(sorted(known)) or 'none'}")
        if channel not in CHANNELS or channel not in known[topic]:
            raise ValueError(f"the topic {topic!r} does not come by {channel!r}")
