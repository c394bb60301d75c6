"""The errors this package raises. Each carries what a caller needs to act on; none carries an address."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

#: block id -> dotted field ("choices.news.sms") -> messages
AnswerErrors = Mapping[str, Mapping[str, Sequence[str]]]


class PrefsError(Exception):
    """Base of everything raised on purpose."""


class NotPublished(PrefsError):
    """There is no published center of that id (or none any more)."""


class UnknownContact(PrefsError):
    """No contact behind that reference: never there, erased, or of another audience."""


class UnknownReceipt(PrefsError):
    """No submission of this contact that can be taken back: never there, somebody else's, too old, or final."""


class InvalidAnswers(PrefsError):
    """Answers that the shown snapshot does not offer, of a wrong type, or contradicting each other (HTTP 422)."""

    def __init__(self, errors: AnswerErrors) -> None:
        super().__init__("answers were refused")
        self.errors = errors


class StepUpRequired(PrefsError):
    """Personal fields need a fresh link: whoever holds an old mail may not be its reader (HTTP 403)."""


class KeyReused(PrefsError):
    """An idempotency key came again with another body (HTTP 422)."""


class NotAllowed(PrefsError):
    """This actor may not make this change: only the contact's own act lifts a no (design.md s6)."""


class BadToken(PrefsError):
    """A link, code or session that is malformed, forged, for another purpose, revoked or expired."""

    def __init__(self, reason: str = "invalid") -> None:
        super().__init__(reason)
        self.reason = reason


class ForeignOrigin(PrefsError):
    """The request comes from an origin this center is not shown on (HTTP 403)."""


class TooMany(PrefsError):
    """Beyond a limit (HTTP 429); there is room again in `retry_after` seconds."""

    def __init__(self, retry_after: int) -> None:
        super().__init__("too many")
        self.retry_after = retry_after


class BodyRefused(PrefsError):
    """A request body that is not our JSON; `status` is 400, 413 or 415."""

    def __init__(self, detail: str, status: int = 400) -> None:
        super().__init__(detail)
        self.detail = detail
        self.status = status


class AddressTaken(PrefsError):
    """Another contact has that address already; perhaps the two are one person, and to be merged."""
