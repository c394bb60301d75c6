"""What a platform takes, as OpenAPI in our own words: every request is held against it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from functools import cache, cached_property
from pathlib import Path
from typing import Any
from urllib.parse import parse_qsl

import yaml
from openapi_core import OpenAPI
from openapi_core.datatypes import RequestParameters
from werkzeug.datastructures import Headers, ImmutableMultiDict

CONTRACTS = Path(__file__).resolve().parent / "contracts"


class Contract:
    """The contract of one platform. Thread-safe."""

    def __init__(self, name: str) -> None:
        self.name = name
        self.document: dict[str, Any] = yaml.safe_load((CONTRACTS / f"{name}.yaml").read_text())

    @cached_property
    def _api(self) -> OpenAPI:
        return OpenAPI.from_dict(self.document)

    def problems(
        self, method: str, path: str, query: str, headers: Mapping[str, str], body: bytes
    ) -> list[str]:
        """What is wrong with a request: the places, and not the values, which may be somebody's."""
        request = _Request(method, path, query, headers, body)
        return [text for error in self._api.iter_request_errors(request) for text in _told(error)]


@cache
def contract(name: str) -> Contract:
    """The contract of a platform, read once."""
    return Contract(name)


def names() -> list[str]:
    """The platforms that have a contract."""
    return sorted(path.stem for path in CONTRACTS.glob("*.yaml"))


def _told(error: BaseException) -> Iterator[str]:
    """An error of openapi-core in words without a value: its kind, and where in the body."""
    cause: BaseException | None = error
    while cause is not None:
        for inner in getattr(cause, "schema_errors", ()) or ():
            yield from _leaves(inner)
            cause = None
        if cause is None:
            return
        if cause.__cause__ is None:
            name = getattr(cause, "name", "")
            yield " ".join(filter(None, [type(cause).__name__, str(name)]))
        cause = cause.__cause__


def _leaves(error: Any) -> Iterator[str]:
    for inner in error.context or ():
        yield from _leaves(inner)
    where = "/".join(str(part) for part in error.absolute_path)
    if error.validator == "additionalProperties" and isinstance(error.instance, dict):
        unknown = sorted(set(error.instance) - set(error.schema.get("properties", {})))
        yield f"{where or 'body'}: unknown {', '.join(unknown)}"
    elif error.validator == "required":
        yield f"{where or 'body'}: {error.message}"
    else:
        yield f"{where or 'body'}: not as {error.validator} asks"


class _Request:
    """A request as openapi-core wants it."""

    def __init__(self, method: str, path: str, query: str, headers: Mapping[str, str], body: bytes) -> None:
        self.host_url = "http://platform.invalid"
        self.path = path
        self.method = method.lower()
        self.body = body or None
        self.content_type = headers.get("Content-Type", "").partition(";")[0].strip()
        self.parameters = RequestParameters(
            query=ImmutableMultiDict(parse_qsl(query, keep_blank_values=True)),
            header=Headers(list(headers.items())),
            cookie=ImmutableMultiDict(),
        )
