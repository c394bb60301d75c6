"""The goals, as ratios within one run: they say the same on a slow machine as on a fast one."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

from . import vendors
from .endpoints import Figure

#: How far beyond a goal a ratio may be before `--check` fails: what a busy machine does to it.
TOLERANCE = 1.25

Figures = Mapping[str, Figure]


@dataclass(frozen=True, slots=True)
class Goal:
    """`limit` is a floor where `at_least`, a ceiling elsewhere. Counts (`exact`) have no tolerance."""

    text: str
    measure: Callable[[Figures], float]
    limit: float
    at_least: bool = False
    exact: bool = False

    def reached(self, figures: Figures) -> bool:
        return self._within(self.measure(figures), self.limit)

    def tolerable(self, figures: Figures) -> bool:
        slack = 1.0 if self.exact else TOLERANCE
        return self._within(
            self.measure(figures), self.limit / slack if self.at_least else self.limit * slack
        )

    def _within(self, value: float, limit: float) -> bool:
        return value >= limit if self.at_least else value <= limit


def _goals() -> tuple[Goal, ...]:
    goals: list[Goal] = []
    for name, label in (("center_hit", "center 200"), ("center_304", "center 304")):
        goals += [
            Goal(
                f"{label}: API v2 ÷ it, web CPU",
                lambda f, name=name: f["api_v2"].web / f[name].web,  # type: ignore[misc]
                18,
                at_least=True,
            ),
            Goal(
                f"{label}: it ÷ Django hello, web CPU",
                lambda f, name=name: f[name].web / f["hello"].web,  # type: ignore[misc]
                1.3,
            ),
            Goal(f"{label}: SQL", lambda f, name=name: f[name].statements, 0, exact=True),  # type: ignore[misc]
        ]
    return (
        *goals,
        Goal("center 304: bytes of the body", lambda f: f["center_304"].body_bytes, 0, exact=True),
        Goal("state: it ÷ Django hello, web CPU", lambda f: f["state"].web / f["hello"].web, 2.2),
        Goal("state: SQL", lambda f: f["state"].statements, 2, exact=True),
        Goal(
            "save: FormPage POST ÷ it, all CPU",
            lambda f: f["form_page"].cpu / f["save"].cpu,
            3,
            at_least=True,
        ),
        Goal("save: SQL", lambda f: f["save"].statements, 6, exact=True),
        Goal(
            "append: bare chain ÷ it, all CPU",
            lambda f: f["bare_append"].cpu / f["append"].cpu,
            0.2,
            at_least=True,
        ),
        Goal("append: SQL", lambda f: f["append"].statements, 2, exact=True),
        Goal(
            "verify: bare chain ÷ it, all CPU",
            lambda f: f["bare_verify"].cpu / f["verify"].cpu,
            0.5,
            at_least=True,
        ),
        Goal(
            "decide 1,000: it ÷ one statement, all CPU",
            lambda f: f["decide"].cpu / f["bare_decide"].cpu,
            1.5,
        ),
        Goal(
            "decide 1,000: DRF and one query ÷ it, all CPU",
            lambda f: f["drf_decide"].cpu / f["decide_json"].cpu,
            3.5,
            at_least=True,
        ),
        Goal("decide 1,000: SQL", lambda f: f["decide"].statements, 2, exact=True),
        Goal(
            "POST decisions/, one contact: it ÷ Django hello, web CPU",
            lambda f: f["decisions_one"].web / f["hello"].web,
            2.2,
        ),
        Goal(
            "preview of 30 blocks: it ÷ FormPage of 30 fields, all CPU",
            lambda f: f["preview_center"].cpu / f["preview_form"].cpu,
            1.5,
        ),
        Goal(
            "deliver 500 a call: it ÷ hand-written, rows a second, two workers",
            lambda f: f["deliver"].rate / f["bare_deliver"].rate,
            0.4,
            at_least=True,
        ),
        Goal(
            "deliver one a call: it ÷ hand-written, rows a second, two workers",
            lambda f: f["deliver_one"].rate / f["bare_deliver_one"].rate,
            0.7,
            at_least=True,
        ),
        *(
            Goal(
                f"deliver to {vendor}: it ÷ hand-written, rows a second, two workers",
                lambda f, vendor=vendor: f[f"vendor_{vendor}"].rate / f[f"bare_vendor_{vendor}"].rate,  # type: ignore[misc]
                0.4,
                at_least=True,
            )
            for vendor in vendors.BATCHES
        ),
        *(
            goal
            for vendor, (calls, seconds) in vendors.LIMITS.items()
            for goal in (
                Goal(
                    f"{vendor}: calls a second of two workers ÷ its limit",
                    lambda f, vendor=vendor, limit=calls / seconds: f[f"limited_{vendor}"].rate / limit,  # type: ignore[misc]
                    0.9,
                    at_least=True,
                ),
                Goal(
                    f"{vendor}: calls beyond its limit",
                    lambda f, vendor=vendor: f[f"limited_{vendor}"].body_bytes,  # type: ignore[misc]
                    0,
                    exact=True,
                ),
            )
        ),
        Goal(  # COPY writes a million rows a second where nothing else is done: so 250,000
            "suppressions: it ÷ COPY of one statement, rows a second",
            lambda f: f["suppress"].rate / f["copy_suppress"].rate,
            0.25,
            at_least=True,
        ),
        Goal(
            "suppressions: it ÷ server-side cursor, rows a second",
            lambda f: f["suppress"].rate / f["cursor_suppress"].rate,
            1,
            at_least=True,
        ),
        Goal("suppressions: ms until the first row", lambda f: f["suppress"].p50, 1000),
        Goal("suppressions: MB that a worker grows by", lambda f: f["suppress"].body_bytes / 1e6, 20),
        Goal(
            "memory of a worker: very many rows wait ÷ few",
            lambda f: f["deliver_many"].body_bytes / f["deliver_few"].body_bytes,
            1.05,
        ),
        Goal(
            "element of 40 topics, 4 x slower: it ÷ hand-written, until it is laid out",
            lambda f: f["element_drawn"].p50 / f["hand_drawn"].p50,
            1.6,
        ),
        Goal(
            "element, one change, 4 x slower: it ÷ hand-written, until it is laid out",
            lambda f: f["element_changed"].p50 / f["hand_changed"].p50,
            4,
        ),
        Goal("decide and record 1,000: SQL", lambda f: f["decide_record"].statements, 3, exact=True),
    )


GOALS = _goals()
