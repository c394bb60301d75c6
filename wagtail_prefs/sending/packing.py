"""A mail as text that can wait in a row, encrypted, and be a mail again: what its reader gets is the same to the byte.

No pickle: the text is JSON of what a message is made of. What JSON cannot hold, and a class whose code we do not know,
is refused when the mail is put away, not when it is due.
"""

from __future__ import annotations

import base64
import json
import re
import zlib
from collections.abc import Callable, Mapping
from datetime import date, datetime
from email.charset import Charset
from email.message import EmailMessage as Part, Message, MIMEPart
from email.mime.base import MIMEBase
from email.policy import Compat32, EmailPolicy, Policy, compat32, default as modern
from math import isfinite
from typing import Any, NamedTuple
from uuid import UUID

from django.core.mail import EmailAttachment, EmailMessage, EmailMultiAlternatives
from django.core.mail.message import EmailAlternative
from django.utils.functional import Promise

from .. import ciphers
from ..errors import PrefsError

#: Of the JSON of one mail, in bytes; some seven of them are attachments.
MAX_SIZE = 10 * 1024 * 1024
#: How deep lists, parts and attached mails may stand in each other.
MAX_DEPTH = 20


class CannotWait(PrefsError, ValueError):
    """A mail that cannot be put away as it is; it says what to do. Never with words of the mail."""


class Unpacked(NamedTuple):
    """A message and its `mailto`."""

    message: EmailMessage
    mailto: str


def pack(message: EmailMessage, *, row: UUID, mailto: str = "") -> str:
    """The message, encrypted for this row of `Waiting`; it stays as it is. `mailto` belongs to it. Raises CannotWait."""
    text = to_json(message, mailto)
    # What is encrypted cannot be made smaller afterwards, and HTML comes to a fifth.
    small = base64.b64encode(zlib.compress(text.encode("ascii"))).decode()
    return ciphers.encrypt(small, place=_place(row))


def unpack(packed: str, *, row: UUID) -> Unpacked:
    """The message again. Raises ciphers.Unreadable."""
    small = ciphers.decrypt(packed, place=_place(row))
    return from_json(zlib.decompress(base64.b64decode(small)).decode("ascii"))


def _place(row: UUID) -> str:
    return f"waiting:{row.hex}:packed"


def to_json(message: EmailMessage, mailto: str = "") -> str:
    """What a message is made of. Raises CannotWait."""
    packed = _message(message, 0)
    text = json.dumps({"v": 1, "mailto": mailto, "message": packed}, allow_nan=False, separators=(",", ":"))
    if len(text) > MAX_SIZE:
        raise CannotWait(
            f"The mail is larger than {MAX_SIZE // 1024 // 1024} MiB: link to its files instead of attaching them."
        )
    if flat(_of_message(packed)) != flat(message):
        raise CannotWait(
            "The mail would not come out as it went in: build its attachments with EmailMessage.attach()."
        )
    return text


def from_json(text: str) -> Unpacked:
    """What `to_json` was given."""
    read = json.loads(text)
    return Unpacked(_of_message(read["message"]), read["mailto"])


_RANDOM = re.compile(rb"={15}\d{19}==(_\d+)?|boundary=\"?[^\"\r\n;]*\"?")
_STAMPS = re.compile(rb"^(date|message-id):[^\n]*\n([ \t][^\n]*\n)*", re.IGNORECASE | re.MULTILINE)


def flat(message: EmailMessage) -> bytes:
    """What goes over the wire, but for what is made anew each time: Date, Message-ID, and boundaries."""
    return _STAMPS.sub(b"", _RANDOM.sub(b"", message.message().as_bytes()))


# --- messages ---------------------------------------------------------------------------------------------------------

#: By the name of a class: what is built of it. anymail reads its own attributes from any message.
_CLASSES: dict[str, type[EmailMessage]] = {
    "django.core.mail.message.EmailMessage": EmailMessage,
    "django.core.mail.message.EmailMultiAlternatives": EmailMultiAlternatives,
    "anymail.message.AnymailMessage": EmailMultiAlternatives,
}
#: Of no interest to a mail that waits: whoever sends it brings a connection, and nothing became of it yet.
_LEFT_OUT = {"connection", "_connection", "anymail_status"}
_ENCODED = {"attachments", "alternatives", "encoding"}


def _message(message: EmailMessage, depth: int) -> dict[str, Any]:
    name = _class_of(message)
    if name not in _CLASSES:
        raise CannotWait(
            f"A mail of the class {name} cannot wait: give an EmailMessage or EmailMultiAlternatives of Django, "
            "or an AnymailMessage."
        )
    made: dict[str, Any] = {"class": name}
    for attribute, value in vars(message).items():
        if attribute not in _LEFT_OUT | _ENCODED and not _is_unset(value):
            made[attribute] = _value(value, f"its attribute {attribute}")
    made["attachments"] = [_attachment(one, depth + 1) for one in message.attachments]
    if isinstance(message, EmailMultiAlternatives):
        made["alternatives"] = [
            [_value(part, "an alternative") for part in one] for one in message.alternatives
        ]
    encoding: Any = message.encoding
    if encoding is not None:
        made["encoding"] = _charset(encoding) if isinstance(encoding, Charset) else str(encoding)
    return made


def _of_message(made: Mapping[str, Any]) -> EmailMessage:
    message = _CLASSES[made["class"]]()
    for attribute, value in made.items():
        if attribute not in {"class", *_ENCODED}:
            setattr(message, attribute, _of_value(value))
    message.attachments = [_of_attachment(one) for one in made["attachments"]]
    if isinstance(message, EmailMultiAlternatives):
        message.alternatives = [
            EmailAlternative(*(_of_value(part) for part in one)) for one in made.get("alternatives", ())
        ]
    if "encoding" in made:
        given = made["encoding"]
        message.encoding = given if isinstance(given, str) else _of_charset(given)
    return message


def _attachment(given: Any, depth: int) -> Any:
    if depth > MAX_DEPTH:
        raise CannotWait("Mails are attached to mails in it, too many deep.")
    if isinstance(given, Message):
        return {"part": _part(given, depth)}
    filename, content, mimetype = (*given, None, None)[:3]
    return {
        "name": _value(filename, "the name of an attachment"),
        "content": _content(content, depth),
        "type": _value(mimetype, "the type of an attachment"),
    }


def _content(content: Any, depth: int) -> Any:
    if isinstance(content, EmailMessage):
        return {"message": _message(content, depth)}
    if isinstance(content, Message):
        return {"part": _part(content, depth)}
    return _value(content, "the content of an attachment")


def _of_attachment(made: Mapping[str, Any]) -> Any:
    if "part" in made:
        return _of_part(made["part"])
    content = made["content"]
    if isinstance(content, dict) and "message" in content:
        content = _of_message(content["message"])
    elif isinstance(content, dict) and "part" in content:
        content = _of_part(content["part"])
    else:
        content = _of_value(content)
    return EmailAttachment(_of_value(made["name"]), content, _of_value(made["type"]))


def _class_of(value: object) -> str:
    return f"{type(value).__module__}.{type(value).__qualname__}"


def _is_unset(value: object) -> bool:
    """Whether it is what anymail has where nobody gave anything."""
    return getattr(value, "__module__", "") == "anymail.utils"


# --- parts: what Python's own email package makes ---------------------------------------------------------------------

_PARTS: dict[str, type[Any]] = {"message": Message, "base": MIMEBase, "part": MIMEPart, "email": Part}
_POLICIES: dict[str, Policy[Any]] = {"compat32": compat32, "modern": modern}
_OF_POLICY = (
    "max_line_length",
    "linesep",
    "cte_type",
    "raise_on_defect",
    "mangle_from_",
    "verify_generated_headers",
    "utf8",
    "refold_source",
)


def _part(part: Message, depth: int) -> dict[str, Any]:
    """A part as its pieces: written out and read again, headers could be folded elsewhere."""
    if depth > MAX_DEPTH:
        raise CannotWait("Its parts stand in each other too many deep.")
    if type(part).__module__.partition(".")[0] not in {"email", "django"}:
        raise CannotWait(f"A part of the class {_class_of(part)} cannot wait: build one of Python's `email`.")
    payload: Any = part._payload  # type: ignore[attr-defined]
    if isinstance(payload, list):
        payload = [_part(one, depth + 1) for one in payload]
    elif payload is not None and not isinstance(payload, str):
        raise CannotWait("The payload of a part is no text: encode it (email.encoders).")
    charset: Any = part._charset  # type: ignore[attr-defined]
    return {
        "family": _family(part),
        "policy": _policy(part.policy),
        "headers": [_header(name, value) for name, value in part._headers],  # type: ignore[attr-defined]
        "payload": payload,
        "charset": _charset(charset) if isinstance(charset, Charset) else charset,
        "preamble": part.preamble,
        "epilogue": part.epilogue,
        "default": part._default_type,  # type: ignore[attr-defined]
    }


def _of_part(made: Mapping[str, Any]) -> Any:
    family = _PARTS[made["family"]]
    part: Any = object.__new__(family)
    name, changed = made["policy"]
    policy: Any = _POLICIES[name].clone(**changed)
    Message.__init__(part, policy)
    part._headers = [
        (name, policy.header_factory(name, value) if parsed else value)
        for name, value, parsed in made["headers"]
    ]
    payload = made["payload"]
    part._payload = [_of_part(one) for one in payload] if isinstance(payload, list) else payload
    charset = made["charset"]
    part._charset = _of_charset(charset) if isinstance(charset, dict) else charset
    part.preamble, part.epilogue = made["preamble"], made["epilogue"]
    part._default_type = made["default"]
    return part


def _family(part: Message) -> str:
    for name in ("email", "part", "base"):
        if isinstance(part, _PARTS[name]):
            return name
    return "message"


def _policy(policy: Any) -> list[Any]:
    kind = type(policy)
    name = "compat32" if kind is Compat32 else "modern" if kind is EmailPolicy else ""
    if not name:
        raise CannotWait(f"A part with the policy {_class_of(policy)} cannot wait: leave Python's own.")
    base = _POLICIES[name]
    return [
        name,
        {
            key: getattr(policy, key)
            for key in _OF_POLICY
            if hasattr(base, key) and getattr(policy, key) != getattr(base, key)
        },
    ]


def _header(name: str, value: Any) -> list[Any]:
    if not isinstance(value, str):
        raise CannotWait(f"The header {name} of a part is no text: encode it.")
    return [name, str(value), hasattr(value, "name")]  # of the modern policy: what was parsed already


_OF_CHARSET = ("input_codec", "output_codec", "output_charset", "header_encoding", "body_encoding")


def _charset(charset: Charset) -> dict[str, Any]:
    return {"input_charset": charset.input_charset, **{key: getattr(charset, key) for key in _OF_CHARSET}}


def _of_charset(made: Mapping[str, Any]) -> Charset:
    charset = Charset(made["input_charset"])
    for key in _OF_CHARSET:
        setattr(charset, key, made[key])
    return charset


# --- values -----------------------------------------------------------------------------------------------------------

_READ: dict[str, Callable[[Any], Any]] = {
    "bytes": base64.b64decode,
    "tuple": lambda items: tuple(_of_value(item) for item in items),
    "dict": lambda items: {key: _of_value(value) for key, value in items},
    "datetime": datetime.fromisoformat,
    "date": date.fromisoformat,
}


def _value(value: Any, what: str, depth: int = 0) -> Any:
    """A value as JSON has it, or as `{type: text}`; lazy texts in the language that is active now."""
    if depth > MAX_DEPTH:
        raise CannotWait(f"The mail cannot wait: {what} is nested too deeply.")
    match value:
        case None | bool():
            return value
        case Promise() | str():
            return str(value)
        case int():
            return int(value)
        case float() if isfinite(value):
            return float(value)
        case bytes() | bytearray() | memoryview():
            return {"bytes": base64.b64encode(value).decode()}
        case datetime():
            return {"datetime": value.isoformat()}
        case date():
            return {"date": value.isoformat()}
        case list():
            return [_value(item, what, depth + 1) for item in value]
        case tuple():
            return {"tuple": [_value(item, what, depth + 1) for item in value]}
        case Mapping() if all(isinstance(key, str | Promise) for key in value):
            return {"dict": [[str(key), _value(item, what, depth + 1)] for key, item in value.items()]}
    raise CannotWait(
        f"The mail cannot wait: {what} is a {_class_of(value)}. Texts, numbers, bytes, dates, lists and dicts can."
    )


def _of_value(made: Any) -> Any:
    if isinstance(made, list):
        return [_of_value(item) for item in made]
    if isinstance(made, dict):
        ((kind, value),) = made.items()
        return _READ[kind](value)
    return made
