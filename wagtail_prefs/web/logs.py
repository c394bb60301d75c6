"""Keeps links, codes and addresses out of logs (security.md TK-11).

    LOGGING = {
        "filters": {"prefs": {"()": "wagtail_prefs.web.logs.RedactTokens"}},
        "handlers": {"console": {"class": "logging.StreamHandler", "filters": ["prefs"]}},
        ...
    }

Put it on handlers, not on loggers: a logger's filter does not see what its children log. gunicorn takes the same
dictionary as `logconfig_dict`. For payloads of error trackers there is `redact`.
"""

from __future__ import annotations

import copy
import logging
import re
import traceback
from collections.abc import Mapping
from typing import Any

REDACTED = "[redacted]"

_RULES = (
    # what follows l/ u/ c/ r/ w/ in a path, forged and cut off ones too
    (re.compile(r"(?<=/)([lucrw]/)[^/\s\"'?#<>]{8,}"), rf"\1{REDACTED}"),
    (re.compile(r"(?<=/)(inbound/[^/\s\"'?#<>]+/)[^/\s\"'?#<>]+"), rf"\1{REDACTED}"),
    # the code in a redirect's fragment
    (re.compile(r"([#&?]pc=)[^&\s\"'<>]+"), rf"\1{REDACTED}"),
    # tokens, codes and sessions wherever else they stand, in a header or a traceback
    (re.compile(r"\b[a-z]\d\.[\w-]{1,16}\.[\w-]{8,}\.[\w-]{20,}"), REDACTED),
    # API keys; the public part stays, so that it is known which one it was
    (re.compile(r"(wpk_\w{12})\w+"), rf"\1{REDACTED}"),
    (re.compile(r"[\w.+-]+(?:@|%40)[\w-]+(?:\.[\w-]+)+"), REDACTED),
)


def redact(value: Any) -> Any:
    """The value without tokens, codes and addresses; dicts, lists and tuples are gone through and copied."""
    if isinstance(value, str):
        for pattern, instead in _RULES:
            value = pattern.sub(instead, value)
        return value
    if isinstance(value, bytes):
        return redact(value.decode("utf-8", "replace")).encode()
    if isinstance(value, Mapping):
        return {redact(name): redact(item) for name, item in value.items()}
    if isinstance(value, list):
        return [redact(item) for item in value]
    if isinstance(value, tuple):
        return tuple(redact(item) for item in value)
    return value


class RedactTokens(logging.Filter):
    """Rewrites records before they are formatted; drops none."""

    def filter(self, record: logging.LogRecord) -> bool:
        record.msg = redact(record.msg)
        if isinstance(record.args, Mapping):
            # gunicorn's atoms answer for names they do not have, so the mapping must stay the kind it is.
            atoms = copy.copy(record.args) if isinstance(record.args, dict) else dict(record.args)
            atoms.update({name: redact(item) for name, item in record.args.items()})
            record.args = atoms
        elif record.args:
            record.args = tuple(_plain(item) for item in record.args)
        if record.exc_info and record.exc_info[0]:
            # A formatter takes this text where it stands, and formats the exception only where it does not.
            record.exc_text = redact("".join(traceback.format_exception(*record.exc_info)).rstrip())
        if record.stack_info:
            record.stack_info = redact(record.stack_info)
        return True


def _plain(item: Any) -> Any:
    """Numbers stay, for %d; anything else is formatted now, while it can still be redacted."""
    if item is None or isinstance(item, bool | int | float):
        return item
    return redact(item if isinstance(item, str | bytes | Mapping | list | tuple) else str(item))
