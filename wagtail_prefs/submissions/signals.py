"""What happens to people, told to packages above this one, in the transaction in which it happens."""

from __future__ import annotations

from django.dispatch import Signal

#: Somebody was forgotten, by whatever way. `contact`: her id; `actor`: who did it. Sent once for her and all whom she was.
erased = Signal()
