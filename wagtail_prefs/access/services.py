"""The public names of `access`."""

from __future__ import annotations

from . import limits, revocations
from .fresh import mail_fresh_link, told as fresh_link_told
from .links import (
    Link,
    Purpose,
    lead_on,
    make_token,
    manage_url,
    message_digest,
    one_click_headers,
    one_click_url,
    open_link,
    pause_url,
    purpose_of,
    site_root,
    why_url,
)
from .networks import network_of
from .once import Once, consume, issue, look
from .receipt_links import open_receipt, receipt_path
from .requests import ask, forget_asked
from .sessions import Session, contact_of, make_code, open_session, redeem_code, renew_session, start_session

__all__ = [
    "Link",
    "Once",
    "Purpose",
    "Session",
    "ask",
    "consume",
    "contact_of",
    "forget_asked",
    "fresh_link_told",
    "issue",
    "lead_on",
    "limits",
    "look",
    "mail_fresh_link",
    "make_code",
    "make_token",
    "manage_url",
    "message_digest",
    "network_of",
    "one_click_headers",
    "one_click_url",
    "open_link",
    "open_receipt",
    "open_session",
    "pause_url",
    "purpose_of",
    "receipt_path",
    "redeem_code",
    "renew_session",
    "revocations",
    "site_root",
    "start_session",
    "why_url",
]
