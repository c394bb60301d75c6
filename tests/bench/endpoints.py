"""What is measured, and the figures it comes to."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from statistics import median, quantiles


@dataclass(frozen=True, slots=True)
class Endpoint:
    """`name` is the method of `Traffic` that makes its requests."""

    name: str
    label: str
    ours: bool


ENDPOINTS = (
    Endpoint("center_hit", "center, 200", ours=True),
    Endpoint("center_304", "center, 304", ours=True),
    Endpoint("state", "state", ours=True),
    Endpoint("save", "save (5 choices)", ours=True),
    Endpoint("decisions", "POST decisions/, 1,000 contacts", ours=True),
    Endpoint("decisions_one", "POST decisions/, one contact", ours=True),
    Endpoint("hello", "Django hello", ours=False),
    Endpoint("drf_hello", "DRF hello", ours=False),
    Endpoint("api_v2", "Wagtail API v2 page", ours=False),
    Endpoint("drf_state", "DRF ModelSerializer, 10 rows", ours=False),
    Endpoint("form_page", "FormPage POST", ours=False),
)


@dataclass(frozen=True, slots=True)
class Round:
    """One endpoint in one round, in seconds: how long it lasted, CPU of web and PostgreSQL, each request."""

    elapsed: float
    web: float
    postgres: float
    seconds: Sequence[float]
    body_bytes: int

    @classmethod
    def of(cls, parts: Sequence[Round]) -> Round:
        """The parts of a round as one."""
        return cls(
            elapsed=sum(part.elapsed for part in parts),
            web=sum(part.web for part in parts),
            postgres=sum(part.postgres for part in parts),
            seconds=[one for part in parts for one in part.seconds],
            body_bytes=parts[-1].body_bytes,
        )


@dataclass(frozen=True, slots=True)
class Figure:
    """The medians of all rounds; times in milliseconds, CPU in microseconds a request."""

    rate: float
    p50: float
    p99: float
    web: float
    postgres: float
    statements: int
    body_bytes: int

    @property
    def cpu(self) -> float:
        return self.web + self.postgres


def figure(rounds: Sequence[Round], statements: int) -> Figure:
    cuts = [quantiles(one.seconds, n=100) for one in rounds]
    return Figure(
        rate=median(len(one.seconds) / one.elapsed for one in rounds),
        p50=median(cut[49] for cut in cuts) * 1e3,
        p99=median(cut[98] for cut in cuts) * 1e3,
        web=median(one.web / len(one.seconds) for one in rounds) * 1e6,
        postgres=median(one.postgres / len(one.seconds) for one in rounds) * 1e6,
        statements=statements,
        body_bytes=rounds[-1].body_bytes,
    )
