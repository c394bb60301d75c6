"""What changes do to a state: pure functions over values, no database, no clock (design.md s6).

`merge` decides which wishes still hold after what happened since the screen was drawn; `apply` carries them out;
`effective` says what holds at a moment, and `next_edge` when that changes by itself.
"""

from .acts import Act, Past, Step
from .conflicts import contradictions, merge
from .drafts import apply
from .moments import effective, next_edge
from .paths import OPTED_OUT, channel as channel_path, recorded
from .wishes import wanted

__all__ = [
    "OPTED_OUT",
    "Act",
    "Past",
    "Step",
    "apply",
    "channel_path",
    "contradictions",
    "effective",
    "merge",
    "next_edge",
    "recorded",
    "wanted",
]
