"""All models of the app, for Django to find. Nothing imports this module."""

from .access.models import AccessRequest, ApiKey, Hits, OneTimeLink, Revocation, UsedCode
from .backends.database.models import Subscriber, Subscription
from .centers import page as page  # a page type, unless the site has its own base page model
from .centers.embedding import EmbedSettings
from .centers.models import CenterSnapshot, PublishedCenter
from .contacts.models import Contact, State, Suppression
from .decisions.models import Send
from .delivery.models import Delivery, Lane
from .ledger.models import CountMark, DayCount, Record, Seal, SealExport, SideValue
from .mail.models import Mail
from .sync.models import ImportRun, ImportUpload
from .topics.models import Audience, Topic, TopicGroup, TopicGroupText, TopicMerge, TopicText

__all__ = [
    "AccessRequest",
    "ApiKey",
    "Audience",
    "CenterSnapshot",
    "Contact",
    "CountMark",
    "DayCount",
    "Delivery",
    "EmbedSettings",
    "Hits",
    "ImportRun",
    "ImportUpload",
    "Lane",
    "Mail",
    "OneTimeLink",
    "PublishedCenter",
    "Record",
    "Revocation",
    "Seal",
    "SealExport",
    "Send",
    "SideValue",
    "State",
    "Subscriber",
    "Subscription",
    "Suppression",
    "Topic",
    "TopicGroup",
    "TopicGroupText",
    "TopicMerge",
    "TopicText",
    "UsedCode",
]
