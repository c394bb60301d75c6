"""All models of the app, for Django to find. Nothing imports this module."""

from .access.models import UsedCode
from .backends.database.models import Subscriber, Subscription
from .centers import page as page  # a page type, unless the site has its own base page model
from .centers.embedding import EmbedSettings
from .centers.models import CenterSnapshot, PublishedCenter
from .contacts.models import Contact, State
from .delivery.models import Delivery, Lane
from .ledger.models import Record, SideValue
from .topics.models import Audience, Topic, TopicGroup, TopicGroupText, TopicText

__all__ = [
    "Audience",
    "CenterSnapshot",
    "Contact",
    "Delivery",
    "EmbedSettings",
    "Lane",
    "PublishedCenter",
    "Record",
    "SideValue",
    "State",
    "Subscriber",
    "Subscription",
    "Topic",
    "TopicGroup",
    "TopicGroupText",
    "TopicText",
    "UsedCode",
]
