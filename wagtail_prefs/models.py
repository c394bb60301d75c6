"""All models of the app, for Django to find. Nothing imports this module."""

from .access.models import AccessRequest, ApiKey, Hits, OneTimeLink, Revocation, UsedCode
from .backends.database.models import Subscriber, Subscription
from .centers import page as page  # a page type, unless the site has its own base page model
from .centers.embedding import EmbedSettings
from .centers.models import CenterSnapshot, PublishedCenter, ShownText
from .contacts.models import Contact, KeyInUse, State, Suppression
from .decisions.models import DecisionCount, Send, SendCountMark
from .delivery.models import Backfill, Delivery, DeliveryCount, Lane
from .ledger.models import (
    CountMark,
    DayCount,
    Record,
    Seal,
    SealExport,
    SideValue,
    Tombstone,
    TombstoneExport,
)
from .mail.models import Mail
from .rights.models import Duplicate, DuplicateScan, Erasure, MatchKey, RetentionRun
from .sending.models import PauseNoticeMark, Waiting
from .sync.models import Arrival, DriftRun, ImportRun, ImportUpload, PollMark
from .topics.models import Audience, Topic, TopicGroup, TopicGroupText, TopicMerge, TopicText

__all__ = [
    "AccessRequest",
    "ApiKey",
    "Arrival",
    "Audience",
    "Backfill",
    "CenterSnapshot",
    "Contact",
    "CountMark",
    "DayCount",
    "DecisionCount",
    "Delivery",
    "DeliveryCount",
    "DriftRun",
    "Duplicate",
    "DuplicateScan",
    "EmbedSettings",
    "Erasure",
    "Hits",
    "ImportRun",
    "ImportUpload",
    "KeyInUse",
    "Lane",
    "Mail",
    "MatchKey",
    "OneTimeLink",
    "PauseNoticeMark",
    "PollMark",
    "PublishedCenter",
    "Record",
    "RetentionRun",
    "Revocation",
    "Seal",
    "SealExport",
    "Send",
    "SendCountMark",
    "ShownText",
    "SideValue",
    "State",
    "Subscriber",
    "Subscription",
    "Suppression",
    "Tombstone",
    "TombstoneExport",
    "Topic",
    "TopicGroup",
    "TopicGroupText",
    "TopicMerge",
    "TopicText",
    "UsedCode",
    "Waiting",
]
