"""Who guesses links, codes and sessions is stopped for a while, by network (security.md AB-07).

Only what failed is counted, and only what failed is refused for it: a token whose MAC holds is answered as ever,
whatever came from its network before. So providers may post as many valid unsubscriptions as they like (EM-12).
"""

from __future__ import annotations

from django.http import HttpRequest

from ..errors import BadToken, PrefsError, TooMany
from . import limits
from .networks import network_of

LIMIT = "bad_token_network"
#: Of a token that was never one of ours. One that is too old, used up or called back is no guess.
INVALID = BadToken().reason


def refusal(request: HttpRequest, error: PrefsError) -> PrefsError:
    """What to answer to a request that raised `error`: that, or TooMany where its network guesses. Asks no database."""
    if not isinstance(error, BadToken) or error.reason != INVALID:
        return error
    verdict = limits.hit(LIMIT, network_of(request))
    return error if verdict.allowed else TooMany(verdict.retry_after)
