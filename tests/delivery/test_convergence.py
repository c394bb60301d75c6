"""Whatever a platform answers and whatever a person does meanwhile: in the end it knows her newest state."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from uuid import uuid4

import pytest
import time_machine
from hypothesis import HealthCheck, given, settings as hypothesis_settings, strategies as st

from tests.delivery.conftest import START
from tests.delivery.crm import Crm
from tests.delivery.people import BACK, JOIN, JOIN_OFFERS, LEAVE, OUT, WEEKLY, person, row, save
from wagtail_prefs.backends.desired import desired_state
from wagtail_prefs.contacts.services import load_target
from wagtail_prefs.delivery import drain
from wagtail_prefs.delivery.models import Delivery, Lane
from wagtail_prefs.delivery.services import run_once
from wagtail_prefs.values import Operation, Outcome, Result

pytestmark = pytest.mark.django_db

WISHES = st.sampled_from([JOIN, LEAVE, JOIN_OFFERS, OUT, BACK, WEEKLY])
ANSWERS = st.one_of(
    st.sampled_from(
        [Outcome.DONE, Outcome.RETRY, Outcome.REFUSED, Outcome.MISCONFIGURED, Outcome.ACCEPTED_UNKNOWN]
    ),
    st.builds(
        lambda wait: Result("", Outcome.RATE_LIMITED, "http-429", wait), st.sampled_from([None, 5.0, 900.0])
    ),
    st.builds(RuntimeError),
)
STEPS = st.lists(
    st.one_of(
        st.tuples(st.just("wish"), st.integers(0, 2), WISHES),
        st.tuples(st.just("run"), st.lists(ANSWERS, max_size=3), st.booleans()),
        st.tuples(st.just("wait"), st.integers(0, 100_000), st.none()),
    ),
    max_size=12,
)


@given(STEPS)
@hypothesis_settings(
    max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
def test_in_the_end_the_platform_knows_the_newest_state(
    crm: Crm, steps: list[tuple[str, object, object]]
) -> None:
    crm.reset()
    Delivery.objects.all().delete()
    Lane.objects.all().delete()
    with time_machine.travel(START, tick=False) as clock:
        people = [person(uuid4().hex) for _ in range(3)]  # nobody from an example before
        for step, first, second in steps:
            clock.shift(1)
            if step == "wish":
                save(people[first], second)  # type: ignore[call-overload,arg-type]
            elif step == "wait":
                clock.shift(first)  # type: ignore[arg-type]
            else:
                crm.script.clear()
                crm.script.extend(first)  # type: ignore[arg-type]
                if second:
                    crm.during = partial(_change_of_mind, crm)
                run_once()
                crm.during = None
            _no_opt_in_is_older_than_an_opt_out(crm)
        # The platform heals, and somebody looks into what it refused.
        crm.script.clear()
        for _ in range(2):
            drain.retry_now(["crm"])
            run_once()
        for contact in people:
            state = desired_state(load_target(contact))
            if state["version"]:
                known = crm.contacts[str(contact)]
                assert {name: known[name] for name in state} == state
                assert row(contact).due_at is None
                assert row(contact).parked == []


def _change_of_mind(crm: Crm, operations: Sequence[Operation]) -> None:
    """Somebody leaves while the call about her is under way."""
    crm.during = None
    save(operations[0].contact, OUT)


def _no_opt_in_is_older_than_an_opt_out(crm: Crm) -> None:
    """Versions told about a contact never go back, so no yes can come after a newer no."""
    told: dict[object, int] = {}
    for call in crm.calls:
        for operation in call:
            assert told.get(operation.contact, 0) <= operation.version
            told[operation.contact] = operation.version
