"""What holds for a recipient's country: the site's one policy, tightened by what the country's law asks for. Pure.

A fact decides only where it is certain: its confidence is high or medium, and neither it nor its country's whole entry
is marked `uncertain`. All others inform. No fact makes anything looser than the policy (security.md LW-01, LW-02).
Where no `model` decides, be it that there is no entry or that nobody is sure of it, the strictest of all that is known
of any country holds.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from types import MappingProxyType
from typing import Any, Literal

from .countries import COUNTRIES, EEA, country_of, normal

Model = Literal["opt_in", "opt_in_soft", "opt_out"]
Confidence = Literal["high", "medium", "low"]
#: Why these rules apply: the entry's model is certain; there is no entry; there is one that nobody is sure of.
Reason = Literal["known", "unknown", "uncertain"]

#: From the loosest to the strictest. `opt_in_soft` is opt-in with an exception for customers.
MODELS: tuple[Model, ...] = ("opt_out", "opt_in_soft", "opt_in")
CONFIDENCES: tuple[Confidence, ...] = ("high", "medium", "low")
#: Units of `honour` in hours. A business day counts as one calendar day: always the stricter reading (LW-16). The last
#: two set no number.
UNIT_HOURS: Mapping[str, int | None] = {
    "hours": 1,
    "calendar_days": 24,
    "business_days": 24,
    "immediate": 0,
    "undue_delay": None,
    "reasonable": None,
}
#: The facts that can decide something; the others inform.
DECIDED = (
    "model",
    "preticked_allowed",
    "honour",
    "double_opt_in",
    "soft_opt_in_months",
    "reask_wait_months",
)
UNKNOWN = "unknown"


@dataclass(frozen=True, slots=True)
class Source:
    """Where facts come from. `seen`: a stored copy was read by whoever wrote the file."""

    id: str
    title: str
    seen: bool
    url: str = ""
    note: str = ""


@dataclass(frozen=True, slots=True)
class Fact:
    """What one jurisdiction's law says about one thing; `value` is JSON, `decides` whether it is acted upon."""

    name: str
    value: Any
    sources: tuple[str, ...]
    confidence: Confidence
    uncertain: bool
    note: str
    jurisdiction: str
    decides: bool


@dataclass(frozen=True, slots=True)
class Jurisdiction:
    """One entry of the file. `applies_to` are the countries of a group such as the EU, `inherits` the entry it adds to."""

    key: str
    name: str
    applies_to: tuple[str, ...]
    inherits: str
    uncertain: bool
    facts: Mapping[str, Fact]


@dataclass(frozen=True, slots=True)
class Policy:
    """The product policy: what holds everywhere, however loose a country's law is."""

    model: Model
    preticked_allowed: bool
    honour_hours: int


@dataclass(frozen=True, slots=True)
class Rules:
    """What holds for one country. `jurisdiction` is the entry applied: "DE", "EU" (for FR), "US-CA", or "unknown".

    `honour_hours`: within how many hours an opt-out must have reached every sender, 0: at once. Most countries have 0,
    as nothing certain is known of them: it means that nothing may wait, and no alarm may sound for a delivery that is
    merely under way. Whoever alarms gives each some minutes. `facts` holds all that the file says of the country, also
    what decides nothing; `version` is the file's `as_of`, and `reason` says why it is these rules.

    `sale_months` and `inquiry_months`: for how long a purchase, or an inquiry, lets a customer be written to without a
    yes. For a purchase, None: the law names no number. For an inquiry, None: it allows nothing. `reask_months`: for how
    long who said no may not be asked again, 0 where the law names no number.
    """

    jurisdiction: str
    country: str
    model: Model
    double_opt_in: bool
    preticked_allowed: bool
    honour_hours: int
    facts: Mapping[str, Fact]
    version: str
    reason: Reason
    sale_months: int | None
    inquiry_months: int | None
    reask_months: int


@dataclass(frozen=True, slots=True)
class Law:
    """A file that was read and found sound."""

    version: str
    policy: Policy
    sources: Mapping[str, Source]
    jurisdictions: Mapping[str, Jurisdiction]
    _rules: Mapping[str, Rules] = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        regions = [key for key in self.jurisdictions if "-" in key]
        table = {code: self._resolve(code) for code in ("", *sorted(COUNTRIES), *regions)}
        object.__setattr__(self, "_rules", MappingProxyType(table))

    def rules_for(self, country: str) -> Rules:
        """The rules of a country or region code, in any case. Unknown, uncertain, empty or garbage: the strictest."""
        code = normal(country)
        rules = self._rules.get(code)
        return rules if rules is not None else replace(self._rules[country_of(code)], country=code)

    def entry_of(self, country: str) -> Jurisdiction | None:
        """The entry a country's or region's code leads to, most special first: its own, or its group's."""
        own = self.jurisdictions.get(country)
        if own is not None or not country:
            return own
        return next((entry for entry in self.jurisdictions.values() if country in entry.applies_to), None)

    def chain_of(self, code: str) -> list[Jurisdiction]:
        """All entries that hold there, the most special first: the region, what it inherits, its country, ..."""
        chain: list[Jurisdiction] = []
        for start in dict.fromkeys((code, country_of(code))):
            entry = self.entry_of(start)
            while entry is not None and entry not in chain:
                chain.append(entry)
                entry = self.jurisdictions.get(entry.inherits)
        return chain

    def _resolve(self, code: str) -> Rules:
        chain = self.chain_of(code)
        found = _deciding(chain)
        known = bool(_values(found, "model"))
        if not known:  # where nobody knows what holds, all of it does
            found = _deciding(self.jurisdictions.values())
        return Rules(
            jurisdiction=chain[0].key if chain else UNKNOWN,
            country=code,
            model=strictest_model([self.policy.model, *_values(found, "model")]),
            double_opt_in=not known
            or country_of(code) in EEA
            or any(entry.key == "EU" for entry in chain)
            or any(value is not False for value in _values(found, "double_opt_in")),
            preticked_allowed=self.policy.preticked_allowed
            and all(value is not False for value in _values(found, "preticked_allowed")),
            honour_hours=min([self.policy.honour_hours, *_hours(_values(found, "honour"))]),
            facts=MappingProxyType(_shown(chain)),
            version=self.version,
            reason="known" if known else "uncertain" if chain else "unknown",
            sale_months=_least_months(found, "sale"),
            inquiry_months=_least_months(found, "inquiry") if known else None,
            reask_months=max([0, *_values(found, "reask_wait_months")]),
        )


def strictest_model(models: Sequence[Model]) -> Model:
    return max(models, key=MODELS.index)


def hours_of(honour: Mapping[str, Any]) -> int | None:
    """{"value": 10, "unit": "business_days"} -> 240, {"value": 0, "unit": "immediate"} -> 0; None where no number is set."""
    hours = UNIT_HOURS[honour["unit"]]
    return None if hours is None else int(hours * (honour["value"] or 0))


def needs_consent(rules: Rules, basis: str) -> bool:
    """Whether a message on this legal basis may go only to who said yes. An unknown basis: yes."""
    match basis:
        case "contract":
            return False
        case "soft_opt_in" | "legitimate_interest":
            # A customer was made one by a sale, and that is written down as a yes of its own kind: silence is none.
            return rules.model != "opt_out"
    return True


def _deciding(entries: Iterable[Jurisdiction]) -> list[Fact]:
    return [fact for entry in entries for fact in entry.facts.values() if fact.decides]


def _values(facts: Iterable[Fact], name: str) -> list[Any]:
    return [fact.value for fact in facts if fact.name == name and fact.value is not None]


def _least_months(facts: Iterable[Fact], after: str) -> int | None:
    """The shortest time for which a sale or an inquiry is good; None where nothing certain names one."""
    named = [value[after] for value in _values(facts, "soft_opt_in_months") if value.get(after) is not None]
    return min(named, default=None)


def _shown(chain: Sequence[Jurisdiction]) -> dict[str, Fact]:
    """Per name the most special fact - but one that decides before one that only informs."""
    shown: dict[str, Fact] = {}
    for entry in chain:
        for name, fact in entry.facts.items():
            if name not in shown or (fact.decides and not shown[name].decides):
                shown[name] = fact
    return shown


def _hours(honours: Iterable[Mapping[str, Any]]) -> list[int]:
    return [hours for honour in honours if (hours := hours_of(honour)) is not None]
