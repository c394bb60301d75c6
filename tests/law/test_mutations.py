"""One mistake anywhere in the file: either it is refused, and the words name the place, or it is harmless by a rule.

The rule (`harmless`): what the mistake leaves decides nothing for a place that it does not name. In detail:
- outside of `product_policy` and `jurisdictions` it decides nothing at all;
- in `product_policy`, which is the site's own word, it decides only what that key is for;
- in an entry of `jurisdictions`, only for the places where that entry holds - and for places of which nothing is certain;
- and no place gets rules looser than the file's policy, none is stricter than an unknown place, and all rules are what
  a second resolver reads from the same file.
"""

from __future__ import annotations

import copy
import random
import re
from collections.abc import Callable, Iterator
from typing import Any

import pytest
import yaml

from tests.law.oracle import Decided, decided, expected, known, looser, names_of, policy_of
from wagtail_prefs.law.documents import Document, Unreadable, parse
from wagtail_prefs.law.rules import Law
from wagtail_prefs.law.services import SHIPPED
from wagtail_prefs.law.validation import BadLaw, law_of

TEXT = SHIPPED.read_text()
LINES = TEXT.splitlines()
DATA: dict[str, Any] = yaml.safe_load(TEXT)
ENTRIES = DATA["jurisdictions"]
#: Every place of the file, and some that are in no entry.
CODES = ["", *ENTRIES["EU"]["applies_to"], *(code for code in ENTRIES if code not in {"EU", "DE"})]
CODES += ["MX", "VA", "SS", "US-NY", "US-TX", "DE-BY", "MX-CMX"]
REMOVED = object()
#: What a place's value may become by mistake.
OTHERS = [REMOVED, None, True, False, "", "x", "NO", 0, -1, 1, 7, 10**6, 0.5, [], {}, ["x"], {"x": 1}]

Path = tuple[Any, ...]


def rules_of(law: Law) -> dict[str, Decided]:
    return {code: decided(law.rules_for(code)) for code in CODES}


SHIPPED_RULES = rules_of(law_of(Document(DATA, {})))


def places(value: Any, path: Path = ()) -> Iterator[Path]:
    """Every key and list item of the file."""
    items = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for key, inner in items:
        yield (*path, key)
        yield from places(inner, (*path, key))


ALL = list(places(DATA))


def at(data: Any, path: Path) -> Any:
    for key in path:
        data = data[key]
    return data


def changed(path: Path, value: Any) -> dict[str, Any]:
    data = copy.deepcopy(DATA)
    if value is REMOVED:
        del at(data, path[:-1])[path[-1]]
    else:
        at(data, path[:-1])[path[-1]] = value
    return data


def renamed(path: Path, name: str) -> dict[str, Any]:
    """The key of the last step gets another name, in its place."""
    data = copy.deepcopy(DATA)
    holder = at(data, path[:-1])
    items = [(name if key == path[-1] else key, value) for key, value in holder.items()]
    holder.clear()
    holder.update(items)
    return data


def names_the_place(problems: list[str], path: Path, name: str = "") -> bool:
    """Whether one of the problems is told of the place, of what it stands in, or by its name."""
    dotted = [".".join(map(str, path[:n])) for n in range(len(path), min(len(path), 2) - 1, -1)]
    words = {str(key) for key in path[:2]} | {str(path[-1]), name} - {""}
    return any(
        any(problem.startswith(place) for place in dotted)
        or any(re.search(rf"(?<!\w){re.escape(word)}(?!\w)", problem) for word in words if word)
        for problem in problems
    )


def harmless(law: Law, data: dict[str, Any], path: Path, name: str = "") -> None:
    rules = rules_of(law)
    for code, now in rules.items():
        assert now == expected(data, code), code
        assert looser(now, policy_of(data)) == [], code
        assert looser(rules[""], now) == [], code
        before = SHIPPED_RULES[code]
        if now == before:
            continue
        if path[0] == "product_policy":
            fields = {"model": 1, "honour_backends_hours": 4, "honour_hard_limit_hours": 4}
            assert path[1] in fields, code
            assert [i for i in range(5) if now[i] != before[i]] == [fields[path[1]]], code
        else:
            assert path[0] == "jurisdictions", code
            held = {*names_of(DATA, code), *names_of(data, code)}
            assert held & {path[1], name} or not known(DATA, code), code


def tried(data: dict[str, Any], path: Path, name: str = "") -> bool:
    """Whether the file was refused. Fails where a refusal names no place, or where something got through that matters."""
    where = f"{path} {name}"
    law, problems = None, []
    try:
        law = law_of(Document(data, {}))
    except BadLaw as bad:
        problems = bad.problems
    if law is None:
        assert names_the_place(problems, path, name), f"{where}: {problems}"
        return True
    try:
        harmless(law, data, path, name)
    except AssertionError as problem:
        raise AssertionError(f"{where}: {problem}") from problem
    return False


def a_mistake(dice: random.Random) -> tuple[dict[str, Any], Path, str]:
    path = dice.choice(ALL)
    value = at(DATA, path)
    kind = dice.random()
    if kind < 0.2:
        return changed(path, REMOVED), path, ""
    if kind < 0.35 and isinstance(path[-1], str):
        name = dice.choice([f"{path[-1]}x", path[-1].swapcase(), "v", "uncertian", "ZZ", "MX", "US-TX", "no"])
        if name not in at(DATA, path[:-1]):
            return renamed(path, name), path, name
    if kind < 0.6:  # another value that is allowed somewhere in the file
        other = at(DATA, dice.choice([at for at in ALL if at[-1] == path[-1]]))
        return changed(path, copy.deepcopy(other)), path, ""
    if kind < 0.7:
        words = [
            "high",
            "low",
            "opt_in",
            "opt_out",
            "hours",
            "immediate",
            "reasonable",
            "EU",
            "GB",
            "XX",
            "GDPR",
        ]
        return changed(path, dice.choice(words)), path, ""
    if kind < 0.75:
        return changed(path, [value]), path, ""
    return changed(path, copy.deepcopy(dice.choice(OTHERS))), path, ""


def many_mistakes(dice: random.Random, count: int) -> int:
    return sum(tried(*a_mistake(dice)) for _ in range(count))


def test_a_mistake_is_refused_by_name_or_harmless(tell: Callable[[str], None]) -> None:
    seed, count = random.getrandbits(32), 300
    refused = many_mistakes(random.Random(seed), count)
    assert count / 4 < refused < count
    tell(f"law: {count} mistakes, {refused} refused with their place, all others harmless (seed {seed})")


@pytest.mark.soak
def test_mistakes_at_length() -> None:
    many_mistakes(random.Random(random.getrandbits(32)), 15_000)


FACTS = [
    path for path in ALL if path[0] == "jurisdictions" and len(path) == 3 and isinstance(at(DATA, path), dict)
]


@pytest.mark.parametrize("part", ["v", "src", "conf"])
def test_no_fact_goes_without_value_source_or_confidence(part: str) -> None:
    for path in FACTS:
        with pytest.raises(BadLaw, match=re.escape(".".join(path)) + f": has no '{part}'"):
            law_of(Document(changed((*path, part), REMOVED), {}))


def test_no_confidence_can_be_lowered_to_loosen_or_raised_to_enforce_beyond_its_own_places() -> None:
    for path in [(*path, "conf") for path in random.sample(FACTS, 30)]:
        for conf in ("high", "medium", "low"):
            data = changed(path, conf)
            if conf != "low" and not at(data, path[:-1])["src"]:
                assert tried(data, path)
            else:
                assert not tried(data, path)


@pytest.mark.parametrize(
    ("path", "value", "problem"),
    [
        (("schema_version",), 2, "schema_version: must be 1"),
        (("schema_version",), True, "schema_version: must be 1"),
        (("schema_version",), "1", "schema_version: must be 1"),
        (("extra",), 1, "extra: is not known"),
        (("as_of",), "yesterday", "as_of: must be a date"),
        (("as_of",), "20261121", "as_of: must be a date"),
        (("as_of",), "2026-02-30", "as_of: must be a date"),
        (("as_of",), 2026, "as_of: must be a date"),
        (
            ("vocabulary", "model"),
            ["opt_in", "opt_out", "opt_in_soft", "opt_maybe"],
            "vocabulary.model: must be",
        ),
        (
            ("product_policy", "preticked_allowed"),
            True,
            "product_policy.preticked_allowed: this product promises",
        ),
        (
            ("product_policy", "preticked_allowed"),
            0,
            "product_policy.preticked_allowed: this product promises",
        ),
        (("product_policy", "effort", "login"), True, "product_policy.effort: this product promises"),
        (
            ("product_policy", "resolve_unknown_location"),
            "loosest",
            "product_policy.resolve_unknown_location",
        ),
        (("product_policy", "honour_backends_hours"), 49, "must be a whole number from 0 to 48"),
        (("product_policy", "honour_backends_hours"), True, "must be a whole number from 0 to 48"),
        (("product_policy", "manage_link_valid_days"), 59, "must be a whole number, 60 or more"),
        (("product_policy", "model"), "opt_maybe", "product_policy.model: must be one of"),
        (("sources", "GDPR"), REMOVED, "there is no source 'GDPR'"),
        (("sources", "GDPR", "seen"), "yes", "sources.GDPR.seen: must be true or false"),
        (("jurisdictions",), {}, "jurisdictions: is empty"),
        (("jurisdictions", "ZZ"), DATA["jurisdictions"]["GB"], "'ZZ' is neither an ISO 3166-1 country"),
        (("jurisdictions", "UK"), DATA["jurisdictions"]["GB"], "'UK' is neither"),
        (("jurisdictions", "ZZ-A"), DATA["jurisdictions"]["GB"], "'ZZ-A' is neither"),
        (("jurisdictions", "gb"), DATA["jurisdictions"]["GB"], "'gb' is neither"),
        (
            ("jurisdictions", "FR"),
            DATA["jurisdictions"]["GB"],
            "FR has an entry of its own that does not inherit EU",
        ),
        (("jurisdictions", "DE", "inherits"), REMOVED, "DE has an entry of its own that does not inherit EU"),
        (("jurisdictions", "DE", "inherits"), "EEA", "jurisdictions.DE.inherits: there is no 'EEA'"),
        (("jurisdictions", "DE", "inherits"), "DE", "jurisdictions.DE.inherits: goes round in a circle"),
        (("jurisdictions", "EU", "inherits"), "DE", "goes round in a circle"),
        (("jurisdictions", "EU", "applies_to", 0), "BE", "BE stands in the list twice"),
        (("jurisdictions", "EU", "applies_to", 0), "UK", "'UK' is no ISO 3166-1 country"),
        (("jurisdictions", "EU", "applies_to", 0), False, "jurisdictions.EU.applies_to.0: must be a text"),
        (("jurisdictions", "EU", "applies_to"), [], "jurisdictions.EU.applies_to: names no country"),
        (("jurisdictions", "EU", "applies_to"), REMOVED, "jurisdictions.EU: 'EU' is neither"),
        (("jurisdictions", "GB", "applies_to"), ["IE"], "IE stands in EU already"),
        (("jurisdictions", "GB", "model"), REMOVED, "jurisdictions.GB: has no 'model'"),
        (
            ("jurisdictions", "GB", "model", "conf"),
            "hihg",
            "jurisdictions.GB.model.conf: must be one of high",
        ),
        (("jurisdictions", "GB", "model", "v"), "soft", "jurisdictions.GB.model.v: must be one of"),
        (("jurisdictions", "GB", "model", "src"), [], "what has no source is of low confidence"),
        (("jurisdictions", "GB", "model", "src"), "PECR", "jurisdictions.GB.model.src: must be a list"),
        (("jurisdictions", "GB", "model", "src"), ["PECK"], "there is no source 'PECK'"),
        (
            ("jurisdictions", "GB", "model", "uncertian"),
            True,
            "jurisdictions.GB.model.uncertian: is not known",
        ),
        (("jurisdictions", "GB", "uncertian"), True, "jurisdictions.GB.uncertian: must be a mapping"),
        (("jurisdictions", "GB", "uncertain"), "no", "jurisdictions.GB.uncertain: must be true or false"),
        (
            ("jurisdictions", "AU", "honour", "v", "unit"),
            "days",
            "jurisdictions.AU.honour.v.unit: must be one of",
        ),
        (("jurisdictions", "AU", "honour", "v", "value"), None, "must be a number of business_days"),
        (("jurisdictions", "AU", "honour", "v", "value"), -5, "must be a number of business_days"),
        (("jurisdictions", "AU", "honour", "v", "value"), True, "must be a number of business_days"),
        (("jurisdictions", "GB", "honour", "v", "value"), 3, "undue_delay has no number"),
        (("jurisdictions", "RU", "honour", "v", "value"), 3, "immediate has no number"),
        (("jurisdictions", "GB", "preticked_allowed", "v"), "false", "must be true, false or null"),
        (("jurisdictions", "DE", "double_opt_in", "v"), 1, "must be true, false, null or a text"),
        (("jurisdictions", "CA", "soft_opt_in_months", "v"), 24, "soft_opt_in_months.v: must be a mapping"),
        (
            ("jurisdictions", "CA", "soft_opt_in_months", "v", "sale"),
            0,
            "v.sale: must be a whole number from 1",
        ),
        (
            ("jurisdictions", "CA", "soft_opt_in_months", "v", "inquiry"),
            "6",
            "v.inquiry: must be a whole number",
        ),
        (
            ("jurisdictions", "CA", "soft_opt_in_months", "v", "sale"),
            24.0,
            "v.sale: must be a whole number from 1",
        ),
        (("jurisdictions", "US-CA", "reask_wait_months", "v"), 1201, "must be a whole number from 1 to 1200"),
        (("jurisdictions", "US-CA", "reask_wait_months", "v"), True, "must be a whole number from 1 to 1200"),
    ],
)
def test_refused_with_the_place(path: Path, value: Any, problem: str) -> None:
    data = changed(path, value)
    with pytest.raises(BadLaw) as caught:
        law_of(Document(data, {}))
    assert any(problem in said for said in caught.value.problems), caught.value.problems


def test_two_groups_cannot_hold_one_country() -> None:
    data = changed(("jurisdictions", "NORDIC"), {**DATA["jurisdictions"]["GB"], "applies_to": ["SE", "IS"]})
    with pytest.raises(BadLaw) as caught:
        law_of(Document(data, {}))
    assert caught.value.problems == [
        "jurisdictions.NORDIC.applies_to: SE stands in EU already",
        "jurisdictions.NORDIC.applies_to: IS stands in EU already",
    ]


@pytest.mark.parametrize("data", [None, [], "text", 7, {}, {"schema_version": 1}], ids=repr)
def test_what_is_no_such_file_is_refused(data: Any) -> None:
    with pytest.raises(BadLaw, match="the file: "):
        law_of(Document(data, {}))


# Mistakes that only the text can have


def said_of(text: str) -> list[str]:
    try:
        law_of(parse(text.encode()))
    except (Unreadable, BadLaw) as refusal:
        return refusal.problems
    return []


def line_of(start: str) -> int:
    return next(i for i, line in enumerate(LINES) if line.startswith(start))


def test_the_shipped_text_is_fine() -> None:
    assert said_of(TEXT) == []


UNQUOTED = 'NO without quotes is read as False; write "NO", or true or false'


def test_norway_without_quotes_is_refused_in_its_group_and_as_a_key() -> None:
    (said,) = said_of(TEXT.replace('"NO"', "NO"))
    line = line_of("    applies_to:") + 1
    assert said == f"jurisdictions.EU.applies_to.29 (line {line}): {UNQUOTED}"
    (said,) = said_of(TEXT + "  NO: {name: Norway, inherits: EU}\n")
    assert said == f"jurisdictions.NO (line {len(LINES) + 1}): {UNQUOTED}"
    assert said_of(TEXT + '  "NO": {name: Norway, inherits: EU}\n') == []


def test_truths_in_words_are_refused_everywhere(tell: Callable[[str], None]) -> None:
    words = [
        match for match in re.finditer(r"(?<![\w\"'])(true|false)(?![\w\"'])", TEXT) if not commented(match)
    ]
    some = random.sample(words, 15)
    for match in some:
        word = {"true": "yes", "false": "no"}[match[0]]
        (said,) = said_of(TEXT[: match.start()] + word + TEXT[match.end() :])
        assert f"(line {TEXT.count(chr(10), 0, match.start()) + 1}): {word} without quotes" in said
    tell(f"law: {len(some)} of {len(words)} truths written as words, all refused with their line")


def commented(match: re.Match[str]) -> bool:
    """In a comment or in a text, where it is no truth."""
    before = TEXT[: match.start()].rpartition("\n")[2]
    return "#" in before or before.count('"') % 2 == 1


def test_a_line_that_comes_twice_is_refused() -> None:
    keyed = [
        i
        for i, line in enumerate(LINES)
        if re.match(r" *[\w-]+:", line) and (i + 1 == len(LINES) or indent(LINES[i + 1]) <= indent(line))
    ]
    assert len(keyed) > 150
    for i in random.sample(keyed, 15):
        key = LINES[i].split(":")[0].strip()
        (said,) = said_of("\n".join([*LINES[: i + 1], LINES[i], *LINES[i + 1 :]]))
        assert key in said and f"(line {i + 2}): stands here a second time" in said


def indent(line: str) -> int:
    return len(line) - len(line.lstrip())


def test_a_whole_entry_that_comes_twice_is_refused() -> None:
    begin, end = line_of("  GB:"), line_of("  BR:")
    said = said_of("\n".join([*LINES[:end], *LINES[begin:end], *LINES[end:]]))
    assert said == [f"jurisdictions.GB (line {end + 1}): stands here a second time"]


def test_a_cut_file_is_refused() -> None:
    """Half an upload. Cut between two entries it is still a file, and decides nothing looser than its policy."""
    for _ in range(12):
        cut = TEXT[: random.randrange(len(TEXT) - 1)]
        if said_of(cut):
            continue
        data = yaml.safe_load(cut)
        law = law_of(parse(cut.encode()))
        for code, rules in rules_of(law).items():
            assert rules == expected(data, code)
            assert looser(rules, policy_of(data)) == []


def test_a_refusal_says_the_line() -> None:
    lines = [
        line.replace("conf: high", "conf: hihg") if line.startswith("    honour") else line for line in LINES
    ]
    said = said_of("\n".join(lines))
    wrong = [i + 1 for i, (was, now) in enumerate(zip(LINES, lines, strict=True)) if was != now]
    assert len(wrong) > 5
    assert [int(re.search(r"\(line (\d+)\): must be one of", problem)[1]) for problem in said] == wrong  # type: ignore[index]
