"""The public names of `access`."""

from .links import (
    Link,
    Purpose,
    make_token,
    manage_url,
    one_click_headers,
    one_click_url,
    open_link,
    site_root,
)
from .sessions import Session, contact_of, make_code, open_session, redeem_code

__all__ = [
    "Link",
    "Purpose",
    "Session",
    "contact_of",
    "make_code",
    "make_token",
    "manage_url",
    "one_click_headers",
    "one_click_url",
    "open_link",
    "open_session",
    "redeem_code",
    "site_root",
]
