"""The headers of a marketing mail: how its reader leaves the list by one click (RFC 8058), and which list it is (RFC 2919).

Everything goes through `EmailMessage`, which refuses line ends in headers. A header never holds an address or a
name of the reader: the link names her by a random alias.
"""

from __future__ import annotations

import hashlib
import ipaddress
import re
from collections.abc import Iterable, Mapping
from email.header import Header
from email.utils import getaddresses, quote
from urllib.parse import urlsplit
from uuid import UUID

from django.conf import settings
from django.core.exceptions import ImproperlyConfigured, ValidationError
from django.core.mail import EmailMessage
from django.urls import Resolver404, resolve

from ..access.headers import ListId, ListUnsubscribe
from ..access.services import Link, Purpose, one_click_url, open_link, site_root
from ..contacts.addresses import canonical_email
from ..contacts.models import Contact
from ..errors import BadToken, UnknownContact
from ..topics.models import Topic, TopicText
from ..topics.services import locale_order

UNSUBSCRIBE = "List-Unsubscribe"
POST = "List-Unsubscribe-Post"
LIST_ID = "List-Id"
NAMES = (UNSUBSCRIBE, POST, LIST_ID)
#: What the POST header says, and nothing else (RFC 8058 s3.1).
PAIR = "List-Unsubscribe=One-Click"

#: The bound of RFC 2919 s2; ours holds for the whole value.
MAX_LIST_ID = 255
#: The namespace of lists whose host could not stand in one (RFC 2919 s3).
UNMANAGED = "localhost"

_KEY = re.compile(r"[a-z0-9_-]+")
_HOST = re.compile(r"[a-z0-9]([a-z0-9-]*[a-z0-9])?(\.[a-z0-9]([a-z0-9-]*[a-z0-9])?)*")
_ATOMS = re.compile(r"[A-Za-z0-9!#$%&'*+/=?^_`{|}~ -]+")
#: A URI as one may stand between the brackets of the header.
_URI = r"[\x21-\x3b\x3d\x3f-\x7e]+"
_MAILTO = re.compile(r"mailto:[!-+\--;=?-~]+")
_URIS = re.compile(rf"<{_URI}>(, ?<{_URI}>)*")


def add_headers(
    message: EmailMessage,
    contact: Contact,
    topic: str,
    channel: str = "email",
    center: UUID | None = None,
    *,
    mailto: str = "",
) -> None:
    """Give a mail about a topic the headers that marketing mail needs; `message.send()` as ever after that.

    `center` is the preference center whose page the link opens for people; `mailto`, for mail programs that know
    nothing better, is a `mailto:` URI whose mailbox is read on your side. Three statements.

    Raises ValueError for a topic that her audience does not have, that is always sent or does not come by the channel,
    for a message that goes to anybody but her, and for one that has such a header already; ImproperlyConfigured where
    her site has no https address. Then the message is as it was.
    """
    check_message(message, contact.email, mailto)
    found = (
        Topic.objects.filter(audience_id=contact.audience_id, key=topic)
        .select_related("audience__site")
        .first()
    )
    if found is None:
        raise ValueError("the contact's audience has no such topic")
    if found.transactional:
        raise ValueError("a topic that is always sent has nothing to leave, and its mails no such header")
    if channel not in found.channels:
        raise ValueError("the topic does not come by this channel")
    uri = one_click_url(contact, topic, channel, center)
    if not _is_reachable(uri):
        raise ImproperlyConfigured(
            "Mail programs call https addresses only, and the Wagtail site of this audience has none: "
            "give the site port 443, and its host name in ASCII."
        )
    headers = {
        UNSUBSCRIBE: ListUnsubscribe(f"<{uri}>, <{mailto}>" if mailto else f"<{uri}>"),
        POST: PAIR,
        LIST_ID: ListId(list_id(found, _label(found, contact.language), urlsplit(uri).hostname or "")),
    }
    message.extra_headers = {**message.extra_headers, **headers}  # a site may share one dict among its mails


def check_message(message: EmailMessage, address: str, mailto: str = "") -> None:
    """Raises ValueError for a message that could not get the headers, whatever the topic; see `add_headers`."""
    if has_one(message):
        raise ValueError(f"the message has one of {', '.join(NAMES)} already")
    if mailto and not _MAILTO.fullmatch(mailto):
        raise ValueError("give `mailto` as mailto:box@your.example, in ASCII and without commas")
    if not _goes_to(message, address):
        raise ValueError("the message must go to the contact's address, and to no other (to, cc, bcc)")


def list_id(topic: Topic, label: str, host: str) -> str:
    """The value of List-Id: the topic's name, which may change, and what identifies the list, which may not.

    `"News, and more" <news.default.brand.example>`: topic and audience keys are fixed once they are saved.
    """
    name = f"<{_identifier(topic.key, topic.audience.key, host)}>"
    words = " ".join("".join(char if char.isprintable() else " " for char in label).split())
    while words:
        value = f"{_phrase(words)} {name}"
        if len(value) <= MAX_LIST_ID:
            return value
        words = words[:-1].rstrip()
    return name


def problems(message: EmailMessage, topic: str = "") -> list[str]:
    """What is wrong with the headers of a mail about a topic, in sentences for developers; [] where all is well.

    For the tests of a site: it looks at the headers as they would be sent, opens the link, and holds it against
    recipient, topic (given, or else as List-Id has it), site and audience. It changes nothing and sends nothing.
    """
    sent: dict[str, list[str]] = {name.lower(): [] for name in NAMES}
    for name, value in message.message().items():
        if name.lower() in sent:
            sent[name.lower()].append(" ".join(str(value).split()))
    wrong = [
        f"there are {len(sent[name.lower()])} of {name}" for name in NAMES if len(sent[name.lower()]) != 1
    ]
    if _named_for_one(message):
        wrong.append("headers of single recipients say it once more")
    if wrong:
        return wrong
    ((unsubscribe,), (post,), (identifier,)) = (sent[name.lower()] for name in NAMES)
    if post != PAIR:
        wrong.append(f"{POST} is not {PAIR}")
    uris = re.findall(r"<([^<>]*)>", unsubscribe) if _URIS.fullmatch(unsubscribe) else []
    if not uris or [uri for uri in uris[1:] if not uri.startswith("mailto:")] or len(uris) > 2:
        return [*wrong, f"{UNSUBSCRIBE} is not one https URI and perhaps a mailto: after it"]
    if not _is_reachable(uris[0]):
        wrong.append(f"{UNSUBSCRIBE} does not begin with https:")
    return wrong + _held_against(message, topic, uris[0], identifier)


def _held_against(message: EmailMessage, topic: str, uri: str, identifier: str) -> list[str]:
    """What the link says, against what the mail is."""
    try:
        match = resolve(urlsplit(uri).path)
        if match.view_name != "wagtail_prefs:one-click":
            return [f"{UNSUBSCRIBE} leads to another page"]
        link = open_link(match.kwargs["token"], Purpose.UNSUBSCRIBE)
    except Resolver404:
        return [f"{UNSUBSCRIBE} leads to no page of this site"]
    except (BadToken, UnknownContact):
        return [f"{UNSUBSCRIBE} does not open: it unsubscribes nobody"]
    wrong = []
    if not uri.startswith(site_root(link.audience_id) + "/"):
        wrong.append(f"{UNSUBSCRIBE} leads to another host than that of the contact's audience")
    if not _goes_to(message, link.email):
        wrong.append("the link is that of another contact than the mail goes to")
    if topic and link.topic != topic:
        wrong.append("the link is about another topic than the mail")
    return wrong + _about(link, uri, identifier)


def _about(link: Link, uri: str, identifier: str) -> list[str]:
    found = (
        Topic.objects.filter(audience_id=link.audience_id, key=link.topic).select_related("audience").first()
    )
    if found is None:
        return ["the link is about no topic of the contact's audience"]
    wrong = []
    if found.transactional:
        wrong.append("the topic is always sent: there is nothing to leave")
    if link.channel not in found.channels:
        wrong.append("the topic does not come by the link's channel")
    expected = _identifier(found.key, found.audience.key, urlsplit(uri).hostname or "")
    if not identifier.endswith(f"<{expected}>") or len(identifier) > MAX_LIST_ID:
        wrong.append(f"{LIST_ID} is not that of the link's topic")
    return wrong


def has_one(message: EmailMessage) -> bool:
    """Whether a message has one of ours, for all of its recipients or for one."""
    return _named(message.extra_headers) or _named_for_one(message)


def _named(headers: Iterable[str]) -> bool:
    """Whether one of ours is among these names, in whatever case."""
    return not {name.lower() for name in NAMES}.isdisjoint(name.lower() for name in headers)


def _named_for_one(message: EmailMessage) -> bool:
    """Whether an ESP is told one of ours for a single recipient, as django-anymail does it."""
    single = getattr(message, "merge_headers", None)  # where nobody set it, anymail has an object of its own
    return isinstance(single, Mapping) and any(_named(headers or ()) for headers in single.values())


def _goes_to(message: EmailMessage, address: str) -> bool:
    """Whether a message has exactly one recipient, who is behind this address in whatever spelling."""
    recipients = message.recipients()
    if len(recipients) != 1 or not address:
        return False
    try:
        return canonical_recipient(recipients[0]) == canonical_email(address)
    except ValidationError:
        return False


def canonical_recipient(recipient: str) -> str:
    """The address of one recipient as `to`, `cc` and `bcc` have it, in its canonical form; "" where it is not clear."""
    parsed = [found for _name, found in getaddresses([recipient])]
    # What stands there without a parser's help as well: parsers differ about strange addresses.
    plain = recipient.rpartition("<")[2].removesuffix(">") if recipient.endswith(">") else recipient
    try:
        found = {canonical_email(address) for address in [*parsed, plain]}
    except ValidationError:
        return ""
    return found.pop() if len(parsed) == 1 and len(found) == 1 else ""


def _is_reachable(uri: str) -> bool:
    """Whether a mail program would call this address: https. In development, and on one's own machine, none has to."""
    parts = urlsplit(uri)
    if not uri.isascii():
        return False
    if parts.scheme == "https":
        return True
    return parts.scheme == "http" and (settings.DEBUG or _is_loopback(parts.hostname or ""))


def _is_loopback(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost" or host.endswith(".localhost")


def _label(topic: Topic, language: str) -> str:
    """The topic's name in the reader's language, else in the site's, else in any."""
    texts = {
        text.locale.language_code: text.label
        for text in TopicText.objects.filter(topic=topic).select_related("locale").order_by("pk")
    }
    best = next((code for code in locale_order(language) if code in texts), next(iter(texts), ""))
    return texts.get(best, topic.key)


def _identifier(topic: str, audience: str, host: str) -> str:
    """`topic.audience.host`: no key has a dot, so no two lists of a host have one identifier."""
    named = ascii_host(host) or UNMANAGED
    found = f"{topic}.{audience}.{named}"
    if len(found) <= MAX_LIST_ID - 2 and _KEY.fullmatch(topic) and _KEY.fullmatch(audience):
        return found
    short = hashlib.sha256(found.encode()).hexdigest()[:32]
    return f"{short}.{named if len(named) < 200 else UNMANAGED}"


def ascii_host(host: str) -> str:
    """A host name as headers have it; "" for what could not stand in one."""
    try:
        found = host.lower().rstrip(".").encode("idna").decode()
    except UnicodeError:
        return ""
    return found if _HOST.fullmatch(found) else ""


def _phrase(words: str) -> str:
    """Words as a header may have them before the brackets (RFC 5322 `phrase`), whatever they are."""
    if not words.isascii() or "=?" in words:
        return Header(words, "utf-8").encode(linesep="")
    return words if _ATOMS.fullmatch(words) else f'"{quote(words)}"'
