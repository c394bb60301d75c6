"""How many random examples a property tries: its number, and ten times as many in `make soak`.

    @pytest.mark.property
    @examples(200)
    @given(...)
    def test_...

A state machine takes the same: `TestRules = pytest.mark.property(Machine.TestCase)`, `TestRules.settings =
examples(40)`. What bears the mark runs in both, tells its count in the summary, and can be tried again with the seed
that the summary names: `pytest --hypothesis-seed=...`.
"""

from __future__ import annotations

from hypothesis import settings

SOAK = "prefs-soak"


def examples(count: int, *, steps: int = 50) -> settings:
    """Settings for `count` examples, in a soak ten times as many; `steps` is how far a state machine goes in each.

    New examples at every run, also in CI: the seed is printed.
    """
    factor = 10 if settings.get_current_profile_name() == SOAK else 1
    return settings(max_examples=count * factor, stateful_step_count=steps, derandomize=False)
