"""What the harnesses of the vendors share: the stand-in behind the kit's proxy, and its contract at the end of each test."""

from __future__ import annotations

from example_site.platforms.server import Platform
from wagtail_prefs.backends.testing.harness import HttpHarness


class VendorHarness(HttpHarness):
    """Give it a platform that is open; `entry`, `seen` and `people` are left to write.

    Attributes must be mapped by `entry` (ATTRIBUTES), and a frequency and a pause of everything (FREQUENCY_FIELDS,
    PAUSE_FIELDS: `{"all": …}`), or `frequency` and `pause` say another scope.
    """

    #: Whether a test breaks the contract on purpose.
    breaks_contract = False

    def __init__(self, platform: Platform) -> None:
        super().__init__(platform.url)
        self.platform = platform

    def reset(self) -> None:
        self.platform.forget_everybody()
        self.platform.violations.clear()

    def refuse(self, email: str) -> None:
        self.platform.refused.add(email)

    def accept(self) -> None:
        self.platform.refused.clear()
        super().accept()

    def close(self) -> None:
        self.accept()
        super().close()
        assert self.platform.crashes == []
        if not self.breaks_contract:
            assert self.platform.violations == []
