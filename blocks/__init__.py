"""The blocks an editor composes a preference center from; one module each, imported where it is used.

The folder stands at the top of the repository and is packaged as `wagtail_prefs.blocks` (docs/decisions). Under any
other name every class would exist twice, and nothing an editor saved would be an instance of the other copy.
"""

from __future__ import annotations

if __name__ != "wagtail_prefs.blocks":
    raise ImportError(f"import these blocks as wagtail_prefs.blocks, not as {__name__}")
