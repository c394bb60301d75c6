"""What the doors call: her data, forgetting her, and the words for it."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any
from uuid import UUID

from django.db import transaction
from django.utils import translation
from django.utils.translation import gettext as _, gettext_lazy
from wagtail.log_actions import LogActionRegistry, LogFormatter, log
from wagtail.models import ModelLogEntry

from ..contacts.models import Contact
from ..topics.models import Audience
from ..values import Actor, Json, Source
from .erasure import erase_person
from .export import as_zip, export
from .models import Erasure
from .portability import everybody

__all__ = [
    "ERASED",
    "EXPORTED",
    "MOVED",
    "as_zip",
    "erase_for_staff",
    "erase_person",
    "erased_told",
    "everybody_for_command",
    "export",
    "export_for_command",
    "export_for_herself",
    "export_for_staff",
    "register_actions",
]

#: That somebody's data was handed out: to her, or to staff.
EXPORTED = "wagtail_prefs.contact.export"
#: That everybody of an audience was written to a file, to be moved.
MOVED = "wagtail_prefs.audience.export"
#: That somebody of the staff had a person forgotten.
ERASED = "wagtail_prefs.contact.erase"


def export_for_herself(contact_id: UUID) -> Json:
    """Her data, and an entry in the log that she has had it. Raises UnknownContact."""
    data = export(contact_id)
    log(Contact.objects.get(pk=contact_id), EXPORTED, data={"by": "herself"})
    return data


def export_for_staff(contact_id: UUID, user: Any, reason: str) -> Json:
    """Her data for somebody of the staff, and an entry in the log with who had it, and why. Raises UnknownContact."""
    data = export(contact_id)
    log(Contact.objects.get(pk=contact_id), EXPORTED, user=user, data={"by": "staff", "reason": reason})
    return data


def export_for_command(contact_id: UUID, reason: str) -> Json:
    """Her data for whoever may run commands here, and an entry in the log. Raises UnknownContact."""
    data = export(contact_id)
    log(Contact.objects.get(pk=contact_id), EXPORTED, data={"by": "command", "reason": reason})
    return data


def everybody_for_command(audience: Audience, reason: str) -> Iterator[Json]:
    """Everybody of an audience, line by line, and first an entry in the log. Raises ciphers.Unreadable."""
    log(audience, MOVED, data={"reason": reason})
    return everybody(audience)


def erase_for_staff(contact_id: UUID, user: Any, actor: Actor, source: Source, reason: str) -> Erasure:
    """Forget a person for somebody of the staff, and an entry in the log. Raises UnknownContact."""
    with transaction.atomic():
        found = erase_person(contact_id, actor=actor, source=source, reason=reason)
        log(Contact.objects.get(pk=contact_id), ERASED, user=user, data={"reason": reason})
    return found


def erased_told(locale: str) -> str:
    """What she reads when it is done."""
    with translation.override(locale):
        return _(
            "Your data is erased. Every system that had it from us is told to erase it as well. Nothing is sent to you any "
            "more."
        )


def register_actions(actions: LogActionRegistry) -> None:
    """For the hook `register_log_actions`."""

    @actions.register_action(ERASED)
    class ErasedFormatter(LogFormatter):
        label = gettext_lazy("Erase a person")

        def format_message(self, log_entry: ModelLogEntry) -> str:
            return _("Erased the person: %(reason)s") % {"reason": log_entry.data.get("reason", "")}

    @actions.register_action(MOVED)
    class MovedFormatter(LogFormatter):
        label = gettext_lazy("Export everybody")

        def format_message(self, log_entry: ModelLogEntry) -> str:
            return _("Exported everybody of the audience: %(reason)s") % {
                "reason": log_entry.data.get("reason", "")
            }

    @actions.register_action(EXPORTED)
    class ExportedFormatter(LogFormatter):
        label = gettext_lazy("Hand out a person's data")

        def format_message(self, log_entry: ModelLogEntry) -> str:
            if log_entry.data.get("by") == "herself":
                return _("The person downloaded her data")
            return _("Exported the person's data: %(reason)s") % {"reason": log_entry.data.get("reason", "")}
