"""All rules in the order in which an editor reads what they find."""

from __future__ import annotations

from ..values import Snapshot
from . import consent, leaving, links, missing, promises, questions, size, wording
from .values import Facts, Finding, Rule

RULES: tuple[Rule, ...] = (
    missing.no_way_out,
    missing.no_privacy_notice,
    missing.no_transactional_statement,
    consent.pre_ticked,
    promises.promises,
    promises.unmapped,
    wording.untranslated,
    wording.foreign_notices,
    wording.wordless,
    links.insecure_links,
    leaving.hidden_from_some,
    leaving.more_presses,
    leaving.weaker_button,
    leaving.far_down,
    size.many_topics,
    size.many_fields,
    wording.operational_names,
    questions.without_purpose,
    questions.asked_twice,
    questions.reason_alone,
    questions.role_without_topics,
)


def check(snapshot: Snapshot, facts: Facts) -> list[Finding]:
    """Everything there is to mend, errors first, in the active language. Pure."""
    found = [finding for rule in RULES for finding in rule(snapshot, facts)]
    return sorted(found, key=lambda finding: finding.level != "error")
