"""System checks: mails must really leave, from an address that other servers believe (security.md EM-16)."""

from __future__ import annotations

from email.utils import parseaddr
from typing import Any

from django.conf import settings
from django.core import mail
from django.core.checks import CheckMessage, Warning as CheckWarning
from django.core.mail.backends.base import BaseEmailBackend
from django.utils.module_loading import import_string

from ..conf import conf

_DJANGOS = "django.core.mail.backends"
#: They take every mail, and hand it to nobody.
GO_NOWHERE = frozenset(f"{_DJANGOS}.{name}.EmailBackend" for name in ("console", "dummy", "filebased"))
#: Ours, which asks first: behind it stands another.
ASKING = "wagtail_prefs.sending.backend.EmailBackend"
_HINT = (
    "Name a mail server, and have your domain sign for it: SPF and DKIM that match the domain of the sender, and a "
    "DMARC record (p=none at least). See docs/how-to/change-our-mails.md."
)


def check_mail(**_kwargs: Any) -> list[CheckMessage]:
    """W045, W046: in production, a backend that sends nothing or that there is not, and a sender nobody believes."""
    if settings.DEBUG:
        return []
    found: list[CheckMessage] = []
    path = backend_path()
    if path == ASKING:
        path = conf.sending_backend
    if path in GO_NOWHERE:
        found.append(CheckWarning(f"Mails go nowhere: {path}.", hint=_HINT, id="wagtail_prefs.W045"))
    elif not _is_backend(path):
        found.append(CheckWarning(f"There is no mail backend {path!r}.", hint=_HINT, id="wagtail_prefs.W045"))
    sender = conf.mail_from or settings.DEFAULT_FROM_EMAIL
    domain = parseaddr(sender)[1].rpartition("@")[2]
    if "." not in domain:
        found.append(
            CheckWarning(
                f"Mails would come from {sender!r}, which no other server believes.",
                hint='Set WAGTAIL_PREFS["MAIL_FROM"], or DEFAULT_FROM_EMAIL, to an address of your domain. '
                + _HINT,
                id="wagtail_prefs.W046",
            )
        )
    return found


def backend_path() -> str:
    """The dotted path of the mail backend that the settings name, in Django's old way or in that of 6.1; "" for none."""
    mailers: dict[str, Any] | None = getattr(settings, "MAILERS", None)
    if mailers is None or not hasattr(mail, "mailers"):
        return settings.EMAIL_BACKEND
    if "default" not in mailers:
        return ""
    return str(mailers["default"].get("BACKEND", f"{_DJANGOS}.smtp.EmailBackend"))


def _is_backend(path: str) -> bool:
    try:
        found = import_string(path)
    except ImportError:
        return False
    return isinstance(found, type) and issubclass(found, BaseEmailBackend)
