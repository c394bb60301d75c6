"""The contracts themselves: strict, and each line with what shows it."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

import pytest

from example_site.platforms import contract
from example_site.platforms.contract import Contract

_EVIDENCE = re.compile(r"\[[SDTRG]\] 20\d\d-\d\d-\d\d \S.*")
_METHODS = {"get", "put", "post", "patch", "delete"}


@pytest.fixture(params=contract.names())
def described(request: pytest.FixtureRequest) -> Contract:
    return contract.contract(request.param)


def places(node: Any, path: tuple[str, ...] = ()) -> Iterator[tuple[tuple[str, ...], dict[str, Any]]]:
    if isinstance(node, dict):
        yield path, node
        for name, inner in node.items():
            yield from places(inner, (*path, str(name)))
    elif isinstance(node, list):
        for number, inner in enumerate(node):
            yield from places(inner, (*path, str(number)))


def test_every_object_is_closed(described: Contract) -> None:
    """A misspelt name is refused, and not dropped without a word as the platforms do."""
    open_ones = [
        "/".join(path)
        for path, node in places(described.document)
        if (node.get("type") == "object" or "properties" in node)
        and "responses" not in path
        and not (
            node.get("additionalProperties") is False
            # Names that the site makes up: their form, or their values, are said.
            or isinstance(node.get("additionalProperties"), dict)
        )
        and path[-1:] != ("properties",)
    ]
    assert open_ones == []


def test_every_line_says_what_shows_it(described: Contract) -> None:
    bare = []
    for path, node in places(described.document):
        if "responses" in path:
            continue
        is_field = path[-2:-1] == ("properties",) and "$ref" not in node
        is_parameter = "in" in node and "name" in node and isinstance(node.get("in"), str)
        is_call = path[:1] == ("paths",) and len(path) == 3 and path[-1] in _METHODS
        if (is_field or is_parameter or is_call) and not _EVIDENCE.fullmatch(str(node.get("x-evidence", ""))):
            bare.append("/".join(path))
        # What is referred to says it itself.
    named = described.document.get("components", {}).get("schemas", {})
    bare += [
        name for name, schema in named.items() if not _EVIDENCE.fullmatch(str(schema.get("x-evidence", "")))
    ]
    assert bare == []


def test_it_is_what_the_stand_in_asks(described: Contract) -> None:
    """Every route of the stand-in has a place in the contract, and the other way round."""
    from importlib import import_module

    from example_site.platforms.server import Platform

    module = import_module(f"example_site.platforms.{described.name}")
    (platform,) = (
        cls
        for cls in vars(module).values()
        if isinstance(cls, type) and issubclass(cls, Platform) and cls is not Platform
    )
    routes = {
        (method.lower(), re.sub(r"\{\w+\}", "{}", path))
        for attribute in dir(platform)
        for method, path in getattr(getattr(platform, attribute), "routes", ())
    }
    paths = {
        (method, re.sub(r"\{\w+\}", "{}", path))
        for path, calls in described.document["paths"].items()
        for method in calls
        if method in _METHODS
    }
    assert routes == paths
