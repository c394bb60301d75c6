"""What the requests have to know about the database."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Person:
    contact: str
    bearer: str


@dataclass(frozen=True, slots=True)
class Places:
    """Where everything is in the database that `site.data` has filled."""

    center: str
    revision: str
    origin: str
    block: str  # the id of the topics block
    topics: list[str]
    page_id: int
    form_path: str
    form_fields: list[str]
    version: int  # of every contact; all their choices are yes
    people: list[Person]
    api_key: str  # of a sender
