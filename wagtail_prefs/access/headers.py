"""Headers that stand on the wire as they are written.

From Django 6.1 on, messages are made by Python's newer `email`, which takes a header that it does not know for plain words:
what does not fit on a line it writes as encoded words (RFC 2047). Those are not allowed between the brackets of
List-Unsubscribe and List-Id, and mail programs that find them there offer their reader no way out.
"""

from __future__ import annotations

from email.policy import Policy
from typing import Any

#: Where a line may be broken (RFC 5322 s2.2.3); after 998 characters it must be (s2.1.1).
LINE, LONGEST = 78, 998


class WholeHeader(str):
    """A value that is neither encoded nor broken anywhere but before a bracket. Python's `email` asks `name` and `fold`."""

    __slots__ = ()
    name = ""

    def __new__(cls, value: str) -> WholeHeader:
        """Raises ValueError for what must be encoded, or broken."""
        if not value.isascii() or not value.isprintable() or len(value) > LONGEST - len(cls.name) - 2:
            raise ValueError(f"{cls.name} is one line of printable ASCII")
        return super().__new__(cls, value)

    def fold(self, *, policy: Policy[Any]) -> str:
        line = f"{self.name}: {self}"
        if len(line) > LINE:
            line = line.replace(" <", f"{policy.linesep} <").replace(f":{policy.linesep} <", ": <", 1)
        return line + policy.linesep


class ListUnsubscribe(WholeHeader):
    __slots__ = ()
    name = "List-Unsubscribe"


class ListId(WholeHeader):
    __slots__ = ()
    name = "List-Id"
