"""The demo's API key: made once, and kept in its folder, because nobody can read one again."""

from __future__ import annotations

import os

from wagtail_prefs.access import api_keys
from wagtail_prefs.access.api_keys import Scope
from wagtail_prefs.errors import BadToken, NotAllowed
from wagtail_prefs.topics.models import Audience

from .. import place

NAME = "Demo"


def load(audience: Audience) -> str:
    """The key of this folder, with all scopes; another one where the database does not know it (any more)."""
    path = place.var() / "api-key"
    if path.exists():
        key = path.read_text().strip()
        try:
            for scope in Scope:
                api_keys.open_key(key, scope)
        except (BadToken, NotAllowed):
            pass
        else:
            return key
    _row, key = api_keys.make(NAME, audience, Scope.values, None)
    draft = path.with_name(f"api-key.{os.getpid()}")
    draft.touch(mode=0o600)
    draft.write_text(key)
    draft.replace(path)
    return key
