"""Reading a request body as strictly as a border should (security.md AP-05, AB-09)."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from typing import Any, NoReturn

from django.http import HttpRequest
from django.utils.translation import gettext as _

from ..canonical import MAX_INT
from ..conf import conf
from ..errors import BodyRefused
from ..values import Json

MAX_DEPTH = 16
MAX_KEYS = 1000


def read_json(request: HttpRequest, limit: int | None = None, *, most_keys: int = MAX_KEYS) -> Json:
    """The body as a JSON object. Raises BodyRefused: 415 for another type or an encoding, 413 beyond `limit` bytes
    (`MAX_BODY_BYTES` without), 400 for what is not JSON, not an object, too deep, has a key twice or more than
    `most_keys` in all, fractions, NUL or lone surrogates.
    """
    if request.content_type != "application/json" or request.META.get("HTTP_CONTENT_ENCODING"):
        raise BodyRefused(_("Send application/json, not compressed."), 415)
    limit = conf.max_body_bytes if limit is None else limit
    raw = request.read(limit + 1)  # never more than that, whatever the request announces
    if len(raw) > limit:
        raise BodyRefused(_("The body is larger than %(limit)s bytes.") % {"limit": limit}, 413)
    return parse(raw, most_keys)


def parse(raw: bytes, most_keys: int = MAX_KEYS) -> Json:
    """Parse the bytes of a body; see `read_json`."""
    try:
        text = raw.decode("utf-8")
        _check_depth(text)
        value = json.loads(
            text,
            object_pairs_hook=_Pairs(most_keys),
            parse_float=_refuse,
            parse_constant=_refuse,
            parse_int=_whole,
        )
        if "\\u" in text:  # only an escape can spell what UTF-8 and the parser do not let through
            _check_strings(value)
    except (ValueError, RecursionError) as error:
        raise BodyRefused(_("The body is not the JSON we take.")) from error
    if not isinstance(value, dict):
        raise BodyRefused(_("The body must be a JSON object."))
    return value


def only(body: Json, **expected: type) -> None:
    """Refuse a body that has other keys than these, lacks one, or holds another type."""
    if set(body) != set(expected):
        raise BodyRefused(
            _("The body must have exactly these keys: %(keys)s") % {"keys": ", ".join(sorted(expected))}
        )
    for name, kind in expected.items():
        if type(body[name]) is not kind:  # isinstance would let true pass for 1
            raise BodyRefused(_("“%(key)s” has the wrong type.") % {"key": name})


def some(body: Json, required: Mapping[str, type], optional: Mapping[str, type]) -> None:
    """Refuse a body that lacks a required key, has one beyond these, or holds another type."""
    if not required.keys() <= body.keys() <= required.keys() | optional.keys():
        raise BodyRefused(
            _("The body must have these keys: %(keys)s. It may have these: %(more)s.")
            % {"keys": ", ".join(sorted(required)) or "-", "more": ", ".join(sorted(optional)) or "-"}
        )
    only(body, **{name: kind for name, kind in {**required, **optional}.items() if name in body})


class _Pairs:
    """Builds objects, and refuses a key that stands twice or too many keys in all."""

    def __init__(self, most: int) -> None:
        self.most = most
        self.seen = 0

    def __call__(self, pairs: list[tuple[str, Any]]) -> Json:
        self.seen += len(pairs)
        found = dict(pairs)
        if len(found) != len(pairs) or self.seen > self.most:
            raise ValueError("keys")
        return found


def _check_depth(text: str) -> None:
    if text.count("[") + text.count("{") <= MAX_DEPTH:
        return
    depth, in_string, escaped = 0, False, False
    for char in text:
        if in_string:
            if escaped:
                escaped = False
            elif char == "\\":
                escaped = True
            elif char == '"':
                in_string = False
        elif char == '"':
            in_string = True
        elif char in "[{":
            depth += 1
            if depth > MAX_DEPTH:
                raise ValueError("depth")
        elif char in "]}":
            depth -= 1


def _refuse(_text: str) -> NoReturn:
    raise ValueError("only whole numbers")


def _whole(text: str) -> int:
    if len(text) > 17 or abs(int(text)) > MAX_INT:
        raise ValueError("number too large")
    return int(text)


def _check_strings(value: Any) -> None:
    for string in _strings(value):
        if "\0" in string:
            raise ValueError("NUL")
        string.encode()  # a lone surrogate has no UTF-8


def _strings(value: Any) -> Iterator[str]:
    if isinstance(value, str):
        yield value
    elif isinstance(value, dict):
        for key, item in value.items():
            yield key
            yield from _strings(item)
    elif isinstance(value, list):
        for item in value:
            yield from _strings(item)
