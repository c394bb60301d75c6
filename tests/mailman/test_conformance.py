"""The conformance kit, with GNU Mailman on the other side."""

from __future__ import annotations

from datetime import datetime

import pytest

from tests.mailman.conftest import PATH
from tests.mailman.server import Mailman
from wagtail_prefs.backends.testing.conformance import Conformance
from wagtail_prefs.backends.testing.harness import HttpHarness, Seen
from wagtail_prefs.contacts.addresses import canonical_email
from wagtail_prefs.values import Json, Key

NEWS, OFFERS = ("news", "email"), ("offers", "email")


class MailmanHarness(HttpHarness):
    alias = "mailman"
    topics = (NEWS, OFFERS)
    unmapped = ("events", "email")
    frequency = (("", ""), "as_it_happens", "weekly")  # it has two ways to get mail, not six
    attributes = {}

    def __init__(self, mailman: Mailman) -> None:
        super().__init__(mailman.root)
        self.mailman = mailman
        self.lists: dict[Key, str] = {key: mailman.make_list() for key in self.topics}
        self._banned: list[str] = []

    def entry(self) -> Json:
        topics = {topic: list_id for (topic, _channel), list_id in self.lists.items()}
        return self._entry(TOPICS=topics, PASSWORD=self.mailman.password)

    def wrong_entry(self) -> Json:
        return self._entry(TOPICS=self.entry()["OPTIONS"]["TOPICS"], PASSWORD="tulips-and-windmills")

    def _entry(self, **options: object) -> Json:
        return {"BACKEND": PATH, "OPTIONS": {"URL": self.url, "USER": self.mailman.user, **options}}

    def seen(self, email: str) -> Seen | None:
        email = canonical_email(email)
        if not self.mailman.knows(email):
            return None
        settings = {
            key: members[email]
            for key, list_id in self.lists.items()
            if email in (members := self.mailman.members(list_id))
        }
        modes, statuses = ({each[place] for each in settings.values()} for place in (0, 1))
        pauses: dict[Key, datetime | None] = {("", ""): None} if statuses == {"by_user"} else {}
        codes = {"regular": "as_it_happens", "mime_digests": "weekly"}
        frequencies = {("", ""): codes[modes.pop()]} if len(modes) == 1 else {}
        # To Mailman somebody has opted out who is on no list.
        return Seen(frozenset(settings), opted_out=not settings, frequencies=frequencies, pauses=pauses)

    def people(self) -> int:
        return len(self.mailman.addresses())

    def reset(self) -> None:
        self.mailman.forget_everybody()

    def refuse(self, email: str) -> None:
        self.mailman.call("POST", "/bans", {"email": email})
        self._banned.append(email)

    def accept(self) -> None:
        for email in self._banned:
            self.mailman.call("DELETE", f"/bans/{email}")
        self._banned.clear()

    def close(self) -> None:
        self.accept()
        super().close()


class TestMailman(Conformance):
    @pytest.fixture
    def harness(self, mailman: Mailman) -> MailmanHarness:
        return MailmanHarness(mailman)
