"""What Wagtail's audit log says about staff and people: who looked at whom, saw what, changed what, and why.

Entries name the contact by her id. They hold no address and no answer (wagtail8.md D.20): a form refuses a reason that
holds an address.
"""

from __future__ import annotations

from typing import Any

from django.utils.translation import gettext as _, gettext_lazy
from wagtail.log_actions import LogActionRegistry, LogFormatter, log
from wagtail.models import ModelLogEntry

from ..contacts.models import Contact
from ..topics.models import Audience

VIEWED = "wagtail_prefs.contact.view"
REVEALED = "wagtail_prefs.contact.reveal"
CHANGED = "wagtail_prefs.contact.change"
RETRIED = "wagtail_prefs.contact.retry"
VERIFIED = "wagtail_prefs.contact.verify"
MISSED = "wagtail_prefs.contact.search"
TRACED = "wagtail_prefs.contact.trace"
BY_HAND = "wagtail_prefs.contact.by_hand"
MERGED = "wagtail_prefs.contact.merge"
APART = "wagtail_prefs.contact.apart"


def looked(contact: Contact, user: Any) -> None:
    log(contact, VIEWED, user=user)


def revealed(contact: Contact, user: Any) -> None:
    log(contact, REVEALED, user=user)


def changed(contact: Contact, user: Any, *, act: str, receipt: str, reason: str) -> None:
    """`act` names the form that was sent, as the record does; `receipt` names the record."""
    log(contact, CHANGED, user=user, data={"act": act, "receipt": receipt, "reason": reason})


def retried(contact: Contact, user: Any, backend: str) -> None:
    log(contact, RETRIED, user=user, data={"backend": backend})


def verified(contact: Contact, user: Any, *, sound: bool) -> None:
    log(contact, VERIFIED, user=user, data={"sound": sound})


def missed(audience: Audience, user: Any) -> None:
    """Somebody was looked for who is not there. What was typed is not kept."""
    log(audience, MISSED, user=user)


def traced(contact: Contact, user: Any) -> None:
    """Somebody saw by what platforms know one who was erased."""
    log(contact, TRACED, user=user)


def deleted_by_hand(contact: Contact, user: Any, backend: str) -> None:
    """Somebody says that one who was erased is deleted on a platform."""
    log(contact, BY_HAND, user=user, data={"backend": backend})


def merged(contact: Contact, user: Any, *, into: str, receipt: str, reason: str) -> None:
    """Somebody made one of two; `receipt` names the record of the one she became."""
    log(contact, MERGED, user=user, data={"into": into, "receipt": receipt, "reason": reason})


def told_apart(contact: Contact, user: Any, *, other: str, reason: str) -> None:
    """Somebody says that two who share something are two people."""
    log(contact, APART, user=user, data={"other": other, "reason": reason})


def was_saved(contact: Contact, act: str) -> bool:
    """Whether a form of staff was saved already: the button was pressed twice."""
    entries = ModelLogEntry.objects.for_instance(contact)
    return bool(entries.filter(action=CHANGED, data__act=act).exists())


def reasons(contact: Contact) -> dict[str, str]:
    """The reasons that staff gave, by receipt."""
    entries = ModelLogEntry.objects.for_instance(contact).filter(action=CHANGED)
    found = entries.order_by("-timestamp").values_list("data", flat=True)[:200]
    return {data.get("receipt", ""): data.get("reason", "") for data in found}


def register_actions(actions: LogActionRegistry) -> None:
    """For the hook `register_log_actions`."""
    actions.register_action(
        VIEWED, gettext_lazy("Look at a person"), gettext_lazy("Looked at her preferences")
    )
    actions.register_action(
        REVEALED, gettext_lazy("See an address"), gettext_lazy("Saw her address and her answers")
    )
    actions.register_action(
        MISSED, gettext_lazy("Look for a person"), gettext_lazy("Looked for somebody who is not there")
    )

    actions.register_action(
        TRACED,
        gettext_lazy("See ids of an erased person"),
        gettext_lazy("Saw by what platforms know the erased person"),
    )

    @actions.register_action(BY_HAND)
    class ByHandFormatter(LogFormatter):
        label = gettext_lazy("Delete on a platform by hand")

        def format_message(self, log_entry: Any) -> str:
            return _("Had the person deleted at %(backend)s by hand") % {
                "backend": log_entry.data.get("backend", "")
            }

    @actions.register_action(MERGED)
    class MergedFormatter(LogFormatter):
        label = gettext_lazy("Merge two contacts")

        def format_message(self, log_entry: Any) -> str:
            return _("Merged into another contact: %(reason)s") % {"reason": log_entry.data.get("reason", "")}

    @actions.register_action(APART)
    class ApartFormatter(LogFormatter):
        label = gettext_lazy("Tell two contacts apart")

        def format_message(self, log_entry: Any) -> str:
            return _("Is not the same person as another contact: %(reason)s") % {
                "reason": log_entry.data.get("reason", "")
            }

    @actions.register_action(CHANGED)
    class ChangedFormatter(LogFormatter):
        label = gettext_lazy("Change on behalf")

        def format_message(self, log_entry: Any) -> str:
            return _("Changed on her behalf: %(reason)s") % {"reason": log_entry.data.get("reason", "")}

    @actions.register_action(RETRIED)
    class RetriedFormatter(LogFormatter):
        label = gettext_lazy("Retry a delivery")

        def format_message(self, log_entry: Any) -> str:
            return _("Had a delivery to %(backend)s tried again") % {
                "backend": log_entry.data.get("backend", "")
            }

    @actions.register_action(VERIFIED)
    class VerifiedFormatter(LogFormatter):
        label = gettext_lazy("Verify records")

        def format_message(self, log_entry: Any) -> str:
            if log_entry.data.get("sound"):
                return _("Verified her records: all is sound")
            return _("Verified her records: something is wrong")
