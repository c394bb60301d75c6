"""The rules once more, from the raw file, by other code: what the resolver is held against. And the strict order."""

from __future__ import annotations

from typing import Any

from wagtail_prefs.law.services import Rules

STRICTNESS = {"opt_out": 0, "opt_in_soft": 1, "opt_in": 2}
EEA = "AT BE BG HR CY CZ DK EE FI FR DE GR HU IE IT LV LT LU MT NL PL PT RO SK SI ES SE IS LI NO".split()
#: (jurisdiction, model, double_opt_in, preticked_allowed, honour_hours)
Decided = tuple[str, str, bool, bool, int]


def decided(rules: Rules) -> Decided:
    return (
        rules.jurisdiction,
        rules.model,
        rules.double_opt_in,
        rules.preticked_allowed,
        rules.honour_hours,
    )


def looser(a: Decided, b: Decided) -> list[str]:
    """The fields in which `a` allows more than `b`; double opt-in is not of the policy and is left out."""
    return [
        name
        for name, is_looser in (
            ("model", STRICTNESS[a[1]] < STRICTNESS[b[1]]),
            ("preticked_allowed", a[3] and not b[3]),
            ("honour_hours", a[4] > b[4]),
        )
        if is_looser
    ]


def policy_of(data: dict[str, Any]) -> Decided:
    policy = data["product_policy"]
    hours = min(policy["honour_backends_hours"], policy["honour_hard_limit_hours"])
    return ("policy", policy["model"], False, policy["preticked_allowed"], hours)


def names_of(data: dict[str, Any], code: str) -> list[str]:
    """The entries that hold at a place, as names: of a region, of its country, of the groups these are in."""
    entries, names = data["jurisdictions"], []
    wanted = [code, code.split("-")[0]]
    while wanted:
        name = wanted.pop(0)
        if name in entries:
            names.append(name)
            wanted.insert(0, entries[name].get("inherits", ""))
        else:
            wanted[:0] = [key for key in entries if name in entries[key].get("applies_to", [])]
    return list(dict.fromkeys(names))


#: (reason, sale_months, inquiry_months, reask_months)
Times = tuple[str, int | None, int | None, int]


def times(rules: Rules) -> Times:
    return (rules.reason, rules.sale_months, rules.inquiry_months, rules.reask_months)


def expected_times(data: dict[str, Any], code: str) -> Times:
    names, sure_of_it = names_of(data, code), known(data, code)
    sold, asked, waits = list[int](), list[int](), [0]
    for name in names if sure_of_it else data["jurisdictions"]:
        entry = data["jurisdictions"][name]
        for key in ("soft_opt_in_months", "reask_wait_months"):
            fact = entry.get(key, {"v": None, "conf": "low"})
            if entry.get("uncertain") or fact.get("uncertain") or fact["conf"] == "low" or not fact["v"]:
                continue
            if key == "reask_wait_months":
                waits.append(fact["v"])
                continue
            sold += [fact["v"]["sale"]] if fact["v"]["sale"] else []
            asked += [fact["v"]["inquiry"]] if fact["v"].get("inquiry") else []
    reason = "known" if sure_of_it else "uncertain" if names else "unknown"
    return (
        reason,
        min(sold) if sold else None,
        min(asked) if asked and sure_of_it else None,
        max(waits),
    )


def known(data: dict[str, Any], code: str) -> bool:
    """Whether the model of one of the entries that hold at a place is certain."""
    entries = [data["jurisdictions"][name] for name in names_of(data, code)]
    models = [entry["model"] for entry in entries if "model" in entry and not entry.get("uncertain")]
    return any(model["conf"] != "low" and not model.get("uncertain") for model in models)


def expected(data: dict[str, Any], code: str) -> Decided:
    entries = data["jurisdictions"]
    names = names_of(data, code)
    _, model, _, preticked, hours = policy_of(data)
    sure_of_it = known(data, code)
    double = not sure_of_it or "EU" in names or code.split("-")[0] in EEA
    for name in names if sure_of_it else entries:
        entry = entries[name]
        if entry.get("uncertain"):
            continue
        sure = {
            key: fact["v"]
            for key, fact in entry.items()
            if isinstance(fact, dict) and fact["conf"] != "low" and not fact.get("uncertain")
        }
        model = max(model, sure.get("model", model), key=lambda word: STRICTNESS[word])
        preticked = preticked and sure.get("preticked_allowed") is not False
        double = double or bool(sure.get("double_opt_in", False))
        honour = sure.get("honour", {"unit": "reasonable"})
        if honour["unit"] == "immediate":
            hours = 0
        elif honour["unit"] == "hours":
            hours = min(hours, honour["value"])
        elif honour["unit"] in {"calendar_days", "business_days"}:
            hours = min(hours, 24 * honour["value"])
    return (names[0] if names else "unknown", model, double, preticked, hours)
