"""From a row to a message: rendered in its language, with headers that only `EmailMessage` writes (security.md EM-17)."""

from __future__ import annotations

import unicodedata
from dataclasses import dataclass
from email.utils import parseaddr
from typing import Any

from django.conf import settings
from django.core.exceptions import ImproperlyConfigured, ValidationError
from django.core.mail import EmailMultiAlternatives
from django.core.validators import validate_email
from django.template import Context
from django.template.loader import get_template, render_to_string
from django.utils import translation
from django.utils.encoding import punycode
from wagtail.models import Site

from ..conf import conf
from ..topics.models import Audience
from ..values import Json
from .kinds import KINDS, Kind, hold, urls_of
from .models import Mail

#: What ends a line, for any program that reads a header.
_LINE_ENDS = frozenset("\r\n\v\f\x1c\x1d\x1e\x85\u2028\u2029")


class Unsendable(Exception):
    """This mail can never be sent; `code` says why, without anything personal."""

    def __init__(self, code: str) -> None:
        super().__init__(code)
        self.code = code


class UnknownKind(Exception):
    """No kind of that name: its app is not installed, or another version of the code has posted it."""


@dataclass(frozen=True, slots=True)
class Rendered:
    """What a mail says; `lang` is the language that it is in."""

    subject: str
    text: str
    html: str
    lang: str


@dataclass(frozen=True, slots=True)
class Brand:
    """Who writes: the site's name and root, and the audience's name, as they are configured."""

    site_name: str
    brand: str
    site_root: str


def brand_of(audience_id: int) -> Brand:
    """Raises Unsendable for an audience that is no more. Two queries at most."""
    audience = Audience.objects.select_related("site").filter(pk=audience_id).first()
    if audience is None:
        raise Unsendable("no-audience")
    site = audience.site or Site.objects.get(is_default_site=True)
    return Brand(site.site_name or audience.name, audience.name, site.root_url)


def message(mail: Mail) -> EmailMultiAlternatives:
    """The message of a row: one recipient, two parts that say the same, no header of a list and nothing to count.

    The same row makes the same Message-ID at each try, so that who gets it twice sees it once. Raises Unsendable for
    what must never go out, UnknownKind, BadContext, and whatever a site's own template raises.
    """
    kind = KINDS.get(mail.kind)
    if kind is None:
        raise UnknownKind(mail.kind)
    hold(kind, mail.context)
    brand = brand_of(mail.audience_id)
    if not all(url.startswith(f"{brand.site_root}/") for url in urls_of(kind, mail.context)):
        raise Unsendable("foreign-url")
    sender = _sender()
    said = render(kind, mail.context, brand, mail.locale)
    headers = {
        "Message-ID": f"<{mail.pk.hex}@{_domain(sender)}>",
        "Auto-Submitted": "auto-generated",  # RFC 3834 s5: no robot answers it
        "Content-Language": said.lang,
    }
    if any(map(_ends_a_line, (said.subject, mail.to, *headers.values()))):
        raise Unsendable("line-end")
    try:
        validate_email(mail.to)
    except ValidationError as error:
        raise Unsendable("address") from error
    made = EmailMultiAlternatives(said.subject, said.text, sender, [mail.to], headers=headers)
    made.attach_alternative(said.html, "text/html")
    return made


def render(kind: Kind, context: Json, brand: Brand, locale: str) -> Rendered:
    """What a mail of a kind says in a language. Without a request: no context processor runs."""
    lang = language(locale)
    with translation.override(lang):
        values = {
            **{name: _on_one_line(value) for name, value in context.items()},
            "site_name": _on_one_line(brand.site_name),
            "brand": _on_one_line(brand.brand),
            "site_root": brand.site_root,
            "lang": lang,
            "dir": "rtl" if translation.get_language_bidi() else "ltr",
        }
        name = f"wagtail_prefs/mail/{kind.name}"
        subject = _on_one_line(_plain(f"{name}_subject.txt", values))
        text = _plain(f"{name}.txt", {**values, "subject": subject})
        html = render_to_string(f"{name}.html", {**values, "subject": subject})
    return Rendered(subject, _tidy(text), html, lang)


def language(locale: str) -> str:
    """The language of a mail: the asked one, the one that it is a variant of, or the site's."""
    try:
        return translation.get_supported_language_variant(locale)
    except LookupError:
        return settings.LANGUAGE_CODE


def _plain(name: str, values: dict[str, Any]) -> str:
    """A template whose output is no HTML: nothing is escaped in it, and an override need not remember that."""
    template: Any = get_template(name)
    rendered: str = template.template.render(Context(values, autoescape=False))
    return rendered


def _tidy(text: str) -> str:
    """Without the empty lines that tags leave."""
    lines = [line.rstrip() for line in text.strip().splitlines()]
    kept = [line for number, line in enumerate(lines) if line or lines[number - 1]]
    return "\n".join(kept) + "\n"


def _on_one_line(value: Any) -> Any:
    """Words without line ends and control characters, whatever an editor pasted; numbers as they are."""
    if isinstance(value, list):
        return [_on_one_line(item) for item in value]
    if not isinstance(value, str):
        return value
    joined = " ".join(value.split())
    return "".join(char for char in joined if unicodedata.category(char) != "Cc")


def _sender() -> str:
    """From whom. A setting that would make headers is no reason to give a mail up: it is mended, and the mail sent."""
    sender = conf.mail_from or settings.DEFAULT_FROM_EMAIL
    if _ends_a_line(sender):
        raise ImproperlyConfigured("MAIL_FROM, or DEFAULT_FROM_EMAIL, has more than one line")
    return sender


def _ends_a_line(value: str) -> bool:
    return not _LINE_ENDS.isdisjoint(value)


def _domain(sender: str) -> str:
    """The domain that we send from, for a Message-ID."""
    return punycode(parseaddr(sender)[1].rpartition("@")[2].strip() or "localhost")
