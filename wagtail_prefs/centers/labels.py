"""All words that a renderer needs, in the active language. Element and page hold no text of their own."""

from __future__ import annotations

from django.utils.translation import gettext as _


def labels() -> dict[str, str]:
    """The `labels` of a center document (docs/reference/center-document.md)."""
    return {
        "save": _("Save my choices"),
        "saving": _("Saving …"),
        "saved": _("Your choices are saved."),
        "nothing_changed": _("Nothing has changed since your last save."),
        "discard": _("Discard changes"),
        "unsaved": _("You have changes that are not saved yet."),
        "loading": _("Loading your choices …"),
        "load_failed": _("Your choices could not be loaded."),
        "retry": _("Try again"),
        "offline": _("You are offline. Nothing is lost: save again when you are back."),
        "expired_title": _("This page was open for too long"),
        "expired_text": _("To protect your choices, please open the link in one of our mails again."),
        "open_link": _("To see and change your choices, open the link in one of our mails."),
        # Where these are there, `page_url` leads on to what they say.
        "request_link": _("Send me my link"),
        "sign_up": _("Sign up"),
        "your_email": _("E-mail address"),
        # While the session can be carried on no more.
        "ends_soon": _("This page locks in two minutes. Save your changes now, or open the link again."),
        "error_title": _("Some of it could not be saved"),
        "server_error": _("Something went wrong on our side. Nothing was changed; please try again."),
        "too_many": _("That was too often in a short time. Please wait a minute and try again."),
        "merged_title": _("Something was changed in the meantime"),
        "pending": _("Not confirmed yet"),
        "locked": _("Cannot be changed here"),
        "not_chosen": _("Not chosen yet"),
        "required": _("required"),
        "own_page": _("Open this on our own page"),
        "outlook_title": _("What to expect"),
        # The renderer puts the masked address in place of {email}; it is no format string.
        "signed_in_as": _("These are the choices of {email}."),
    }
