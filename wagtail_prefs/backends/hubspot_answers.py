"""What HubSpot's answers say: errors of single inputs inside a good answer, and words for them.

Every field of an error is optional. Its sentences hold addresses and values, and are not looked at.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from typing import Any

from ..values import Json, Operation, Outcome, Result
from .answers import Answer, Verdict, word
from .base import PlatformError
from .http import NOTHING_SAID

#: What a category of an item's error means where it is no fault of the item.
_NOT_HERS = {
    "rate_limits": Outcome.RATE_LIMITED,
    "internal_error": Outcome.RETRY,
    "missing_scopes": Outcome.MISCONFIGURED,
}


def settled(
    batch: Sequence[Operation],
    verdicts: Mapping[str, Verdict | None],
    errors: Sequence[Json],
    about: Callable[[Json, Operation], bool],
) -> list[Result]:
    """Results of what was done, and of errors that name an input. What nothing was said of is not done.

    Where an error names none of them it may be about each of those that were not done: they go again in smaller calls.
    """
    unclaimed = [error for error in errors if not any(about(error, each) for each in batch)]
    results = []
    for operation in batch:
        verdict = verdicts.get(operation.key)
        mine = next((error for error in errors if about(error, operation)), None)
        if mine is not None:
            verdict = verdict_of(mine)
        elif verdict is None and unclaimed:
            verdict = (
                verdict_of(unclaimed[0]) if len(batch) == 1 else Verdict(Outcome.SPLIT, "unmatched-error")
            )
        verdict = verdict or NOTHING_SAID
        results.append(
            Result(operation.key, verdict.outcome, verdict.code, verdict.retry_after, verdict.remote_id)
        )
    return results


def folded(email: object) -> str:
    return str(email or "").strip().lower()


def address(operation: Operation) -> str:
    return folded(operation.payload["email"])


def names_her(error: Json, operation: Operation) -> bool:
    """Whether an error is about the address of an operation."""
    return address(operation) in {folded(each) for each in context(error, "subscriberIdString")}


def context(error: Json, name: str) -> set[str]:
    """What an error names: a list of texts, or one."""
    held = error.get("context")
    found = held.get(name) if isinstance(held, dict) else None
    values: Collection[Any] = found if isinstance(found, list) else () if found is None else (found,)
    return {str(value) for value in values}


def verdict_of(error: Json) -> Verdict:
    code = code_of(error)
    return Verdict(_NOT_HERS.get(word(error.get("category")), Outcome.REFUSED), code or "refused")


def code_of(error: Json) -> str:
    """The narrowest word of an error. Its sentences hold addresses and values, and are not looked at."""
    return next((found for found in map(word, _words(error)) if found), "")


def _words(error: Json) -> Iterator[object]:
    if word(error.get("category")) in {"validation_error", ""}:
        for inner in items(error, "errors"):
            yield inner.get("code")
    yield error.get("subCategory")
    yield error.get("category")


def error_of(answer: Answer) -> Json:
    """What an error says, if it says something."""
    if answer.status < 400:
        return {}
    try:
        said = answer.json()
    except PlatformError:
        return {}
    return said if isinstance(said, dict) else {}


def object_of(answer: Answer) -> Json:
    found = answer.json()
    if not isinstance(found, dict):
        raise PlatformError(Outcome.RETRY, "unexpected-answer")
    return found


def items(of: Json, name: str) -> list[Json]:
    found = of.get(name)
    return [item for item in found if isinstance(item, dict)] if isinstance(found, list) else []
