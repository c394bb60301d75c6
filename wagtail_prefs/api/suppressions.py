"""`GET suppressions/`: whom not to write to, as a file, for a platform that asks before it sends."""

from __future__ import annotations

import threading
import weakref
from collections import Counter
from collections.abc import AsyncIterator, Iterator, Mapping
from uuid import UUID

from asgiref.sync import sync_to_async
from django.core.handlers.asgi import ASGIRequest
from django.http import HttpRequest, HttpResponse, StreamingHttpResponse
from django.http.response import HttpResponseBase
from django.utils.translation import gettext as _
from drf_spectacular.utils import OpenApiParameter
from wagtail.log_actions import log

from ..access import limits
from ..access.api_keys import Scope
from ..decisions import suppressions
from ..decisions.suppressed import Format
from ..decisions.suppressions import File, FullFileNeeded, NoFile, Question
from ..errors import TooMany
from ..values import iso
from .clients import ClientCall, Refused, client_view
from .problems import problem
from .shapes import CHANNEL, CLIENT, CONTACT, STRING, describe, problems, refused

#: Files that one key may read at once from one process: a slow reader holds a worker for as long as she reads.
AT_ONCE = 2
RETRY_AFTER = 5
MEDIA: Mapping[str, Format] = {"text/csv": "csv", "application/x-ndjson": "ndjson"}
_TYPES: Mapping[Format, str] = {"csv": "text/csv; charset=utf-8", "ndjson": "application/x-ndjson"}
_KNOWN = frozenset({"topic", "channel", "since", "cursor", "paused", "format"})

_reading: Counter[str] = Counter()
_lock = threading.Lock()


def _parameter(name: str, schema: object, description: str, *, required: bool = False) -> OpenApiParameter:
    return OpenApiParameter(name, schema, description=description, required=required)  # type: ignore[arg-type]


PARAMETERS = [
    _parameter("topic", STRING, "its key", required=True),
    _parameter("channel", CHANNEL, "one that the topic comes by", required=True),
    _parameter("since", STRING, "Prefs-Next-Since of the file before: only who may have changed since"),
    _parameter(
        "cursor", CONTACT, "the last contact of a file that was cut: goes on behind her, without a head"
    ),
    _parameter("paused", {"type": "string", "enum": ["0", "1"]}, "1: also whose pause holds, with its end"),
    _parameter("format", {"type": "string", "enum": [*suppressions.FORMATS]}, "else by Accept, else CSV"),
]


@describe(
    operation_id="read_suppressions",
    summary="Whom not to write to",
    parameters=PARAMETERS,
    responses={**{(200, media): STRING for media in MEDIA}, **refused(), **problems(401, 403, 429)},
    auth=CLIENT,
)
def read(call: ClientCall) -> HttpResponseBase:
    """Everybody whom a message of this topic must not go to on this channel, by our own rules, as CSV or NDJSON of any size.

    The last line says that the file is whole (`#end`, `{"end": true}`): one without it was cut, and goes on with
    `cursor`. `Prefs-Rules-Not-Held` names what such a file cannot hold. Scope: `suppressions:read`.
    """
    given = _given(call.request)
    asked = _question(call.audience_id, given)
    if isinstance(asked, HttpResponse):
        return asked
    form, after = _form(call.request, given), _cursor(given)
    if call.request.method == "HEAD":
        return _with_headers(HttpResponse(content_type=_TYPES[form]), asked, form, begins=after is None)
    verdict = limits.hit("key_files", call.key.pk)
    if not verdict.allowed:
        raise TooMany(verdict.retry_after)
    slot = _Slot(call.key.pk)
    try:
        if asked.since is None:  # a file of changes tells what its reader has been told of before
            log(
                call.key.audience,
                suppressions.FETCHED,
                data={"topic": asked.topic.key, "channel": asked.channel, "key": call.key.pk},
            )
        download = _Download(File(asked, form, after=after), slot)
        content = _Asynchronous(download) if isinstance(call.request, ASGIRequest) else download
        response = StreamingHttpResponse(content, content_type=_TYPES[form])
        return _with_headers(response, asked, form, begins=after is None)
    except BaseException:
        slot.free()
        raise


class _Slot:
    """A place among the files that a key may read at once. Raises TooMany where there is none."""

    def __init__(self, key: str) -> None:
        self._key: str | None = key
        with _lock:
            if _reading[key] >= AT_ONCE:
                raise TooMany(RETRY_AFTER)
            _reading[key] += 1

    def free(self) -> None:
        with _lock:
            if self._key is not None:
                _reading[self._key] -= 1
                if not _reading[self._key]:
                    del _reading[self._key]
                self._key = None


class _Download:
    """A file on its way out; closed by the server, whether it was read to its end, cut, or never begun."""

    def __init__(self, file: File, slot: _Slot) -> None:
        self._file = file
        self._slot = slot
        weakref.finalize(self, slot.free)  # where a server forgets to close

    def __iter__(self) -> Iterator[bytes]:
        return self

    def __next__(self) -> bytes:
        return next(self._file)

    def close(self) -> None:
        try:
            self._file.close()
        finally:
            self._slot.free()


class _Asynchronous:
    """The same for a server that is: Django would read all of a file into memory first."""

    def __init__(self, download: _Download) -> None:
        self._download = download
        self.close = download.close

    async def __aiter__(self) -> AsyncIterator[bytes]:
        following = sync_to_async(self._following)
        while (piece := await following()) is not None:
            yield piece

    def _following(self) -> bytes | None:
        return next(self._download, None)


def _given(request: HttpRequest) -> dict[str, str]:
    """The parameters, each once and known: a filter that is not understood must not be left out."""
    errors = {}
    for name, values in request.GET.lists():
        if name not in _KNOWN:
            errors["parameters"] = [
                _("There are these parameters: %(names)s.") % {"names": ", ".join(sorted(_KNOWN))}
            ]
        elif len(values) > 1:
            errors[name] = [_("Say this once.")]
    for name in ("topic", "channel"):
        if not request.GET.get(name):
            errors[name] = [_("Say which.")]
    if request.GET.get("paused", "0") not in {"0", "1"}:
        errors["paused"] = [_("This is 0 or 1.")]
    if request.GET.get("format", "csv") not in suppressions.FORMATS:
        errors["format"] = [_("This is csv or ndjson.")]
    if errors:
        raise Refused(errors)
    return request.GET.dict()


def _question(audience_id: int, given: Mapping[str, str]) -> Question | HttpResponse:
    try:
        return suppressions.question(
            audience_id,
            given["topic"],
            given["channel"],
            paused=given.get("paused") == "1",
            since=given.get("since", ""),
        )
    except FullFileNeeded as error:
        return problem(422, "full-file-needed", error.text, errors={error.field: [error.text]})
    except NoFile as error:
        raise Refused({error.field: [error.text]}) from error


def _form(request: HttpRequest, given: Mapping[str, str]) -> Format:
    if "format" in given:
        return "ndjson" if given["format"] == "ndjson" else "csv"
    return MEDIA[request.get_preferred_type([*MEDIA]) or "text/csv"]


def _cursor(given: Mapping[str, str]) -> UUID | None:
    if "cursor" not in given:
        return None
    try:
        found = UUID(given["cursor"]) if len(given["cursor"]) == 36 else None
    except ValueError:
        found = None
    if found is None:
        raise Refused({"cursor": [_("A cursor is the UUID of a contact.")]})
    return found


def _with_headers(
    response: HttpResponseBase, asked: Question, form: Format, *, begins: bool
) -> HttpResponseBase:
    response["Content-Disposition"] = f'attachment; filename="suppressions.{form}"'
    response["Prefs-Topic"] = asked.topic.key
    response["Prefs-Channel"] = asked.channel
    response["Prefs-As-Of"] = iso(asked.at)
    if (
        begins
    ):  # what goes on behind a cursor is of a later moment, which would pass over changes to the first part
        response["Prefs-Next-Since"] = asked.next_since()
    response["Prefs-Rules-Not-Held"] = ", ".join(asked.not_held).encode("ascii", "replace").decode() or "none"
    return response


suppressions_view = client_view(get=(Scope.SUPPRESSIONS_READ, read))
