"""`r/{token}/` and `r/`: whether a receipt is genuine, for anybody who is shown one (security.md CR-05).

The link names a record and nobody. The page says when it was made, by what kind of act, and that it stands in the ledger
as it was written: nothing that was chosen. Whoever has the receipt itself, as it was downloaded, can paste it or send the
file, also by `r/`, which needs no link. Nothing here changes anything, whatever is sent.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from django.core.exceptions import BadRequest, RequestDataTooBig, SuspiciousOperation
from django.http import HttpRequest, HttpResponse
from django.http.multipartparser import MultiPartParserError
from django.urls import reverse
from django.utils import timezone, translation
from django.utils.translation import gettext as _, gettext_lazy

from ..access import limits
from ..access.services import network_of, open_receipt
from ..errors import BodyRefused
from ..ledger.models import Record
from ..ledger.standing import Standing, standing
from ..rights import receipts
from ..rights.receipts import Checked, Verdict
from ..values import ActorType
from .responses import asked_locale, message, page
from .tokens import FORM, TokenView, content_length

if TYPE_CHECKING:
    from django.utils.functional import _StrPromise

UPLOAD = "multipart/form-data"
#: Percent-encoded, a receipt is up to three times as long.
_MAX_FORM = 3 * receipts.MAX_BYTES
#: What kind of act it was, of nobody in particular.
ACTS: dict[str, _StrPromise] = {
    ActorType.SUBJECT_LINK.value: gettext_lazy("The person herself, by a link in a mail"),
    ActorType.SUBJECT_SESSION.value: gettext_lazy("The person herself, on a page"),
    ActorType.ONE_CLICK.value: gettext_lazy(
        "The person herself, with the unsubscribe button of a mail program"
    ),
    ActorType.GPC.value: gettext_lazy("The privacy signal of the person's browser"),
    ActorType.ADMIN.value: gettext_lazy("Staff of the site"),
    ActorType.IMPORT.value: gettext_lazy("Data that the site was given"),
    ActorType.API.value: gettext_lazy("A system of the site"),
    ActorType.BACKEND.value: gettext_lazy("A platform that the site works with"),
    ActorType.SYSTEM.value: gettext_lazy("The site itself: something had ended"),
}
VERDICTS: dict[Verdict, tuple[_StrPromise, _StrPromise]] = {
    Verdict.GENUINE: (
        gettext_lazy("This receipt is genuine"),
        gettext_lazy("Every word of it is what was recorded."),
    ),
    Verdict.CHANGED: (
        gettext_lazy("This receipt was changed"),
        gettext_lazy("There is a record of this number, and it says something else than this receipt."),
    ),
    Verdict.DISPUTED: (
        gettext_lazy("The receipt is right, and our record of it was changed"),
        gettext_lazy(
            "We signed this receipt, and what we keep says something else by now. Keep the receipt: it proves what was "
            "recorded. Please tell whoever runs this site."
        ),
    ),
    Verdict.UNKNOWN: (
        gettext_lazy("We do not know this receipt"),
        gettext_lazy("We have not signed it, and nothing that we keep says the same."),
    ),
    Verdict.UNREADABLE: (
        gettext_lazy("This is no receipt of ours"),
        gettext_lazy("Send the whole file as you downloaded it, or paste all that stands in it."),
    ),
}


class ReceiptView(TokenView):
    """GET tells of the record that the link names; POST tells of the receipt that is shown. Neither changes anything."""

    def get(self, request: HttpRequest, token: str = "") -> HttpResponse:
        if not token:
            return draw(request)
        record = Record.objects.filter(pk=open_receipt(token)).first()
        if record is None:
            return draw(request, gone=True)
        return draw(request, record=record, stands=standing(record))

    def post(self, request: HttpRequest, token: str = "") -> HttpResponse:
        if token:
            open_receipt(token)
        verdict = limits.hit_lightly("receipt_check", network_of(request))
        if not verdict.allowed:
            response = message(
                request, 429, _("Too many at once"), _("Please wait a minute, and try it again.")
            )
            response["Retry-After"] = str(verdict.retry_after)
            return response
        checked = receipts.check(shown_receipt(request))
        return draw(request, record=checked.record, stands=checked.standing, checked=checked)


def shown_receipt(request: HttpRequest) -> bytes:
    """The file that was sent, or what was pasted; raises BodyRefused (413, 415) for what is no such form."""
    too_large = BodyRefused(_("That is too large for a receipt."), 413)
    if request.content_type not in {FORM, UPLOAD} or request.headers.get("Content-Encoding"):
        raise BodyRefused(_("Please use the form on the page."), 415)
    if content_length(request) > _MAX_FORM:
        raise too_large
    try:
        file = request.FILES.get("file")
        if file and file.size:
            return bytes(file.read(receipts.MAX_BYTES + 1))
        return str(request.POST.get("receipt", "")).encode(errors="replace")
    except (RequestDataTooBig, SuspiciousOperation) as error:
        raise too_large from error
    except (BadRequest, MultiPartParserError, OSError) as error:
        raise BodyRefused(_("Please use the form on the page."), 415) from error


def draw(
    request: HttpRequest,
    *,
    record: Record | None = None,
    stands: Standing | None = None,
    checked: Checked | None = None,
    gone: bool = False,
) -> HttpResponse:
    """The page. Of a record that a receipt does not match it tells nothing."""
    locale = asked_locale(request)
    told = checked is None or checked.verdict is Verdict.GENUINE
    with translation.override(locale):
        title, text = VERDICTS[checked.verdict] if checked else ("", "")
        context: dict[str, Any] = {
            "title": title,
            "text": text,
            "good": checked is not None and checked.verdict is Verdict.GENUINE,
            "signed": checked.signed if checked else None,
            "record": record if told else None,
            "act": ACTS.get(record.actor, "") if record else "",
            "standing": stands if told else None,
            "gone": gone or (checked is not None and checked.verdict is Verdict.GENUINE and record is None),
            "action": reverse("wagtail_prefs:receipts"),
            "upload": UPLOAD,
        }
        # In UTC and said so: nobody knows where whoever is shown a receipt lives.
        with timezone.override(timezone.get_fixed_timezone(0)):
            return page("wagtail_prefs/receipt.html", context, locale=locale)
