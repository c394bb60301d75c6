"""Mails of the site that wait, and what became of those that did: for looking, taking back, and sending again.

For those who may look at people; whoever may retry deliveries may act as well. Addresses are masked, and no mail is
shown: what it says is between its sender and its reader.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any
from urllib.parse import urlencode
from uuid import UUID

from django.core.exceptions import PermissionDenied
from django.core.paginator import Page, Paginator
from django.db.models import Count, Q, QuerySet
from django.http import Http404, HttpRequest, HttpResponse
from django.http.response import HttpResponseBase
from django.shortcuts import redirect
from django.urls import URLPattern, path, reverse
from django.utils import timezone
from django.utils.functional import cached_property
from django.utils.translation import gettext as _, gettext_lazy
from django.views.generic import View
from wagtail.admin import messages
from wagtail.admin.menu import MenuItem
from wagtail.admin.views.generic.base import WagtailAdminTemplateMixin
from wagtail.admin.viewsets.base import ViewSet

from ..contacts.addresses import masked
from ..contacts.models import Contact
from ..decisions.rules import RULES
from ..sending import queue
from ..sending.models import Waiting
from ..topics.models import Audience
from . import permissions as may
from .mails import reason_in_words as mail_trouble
from .menu import SUBMENU_HOOK
from .staff import person_url

NAME = "prefs_waiting"
#: Rows on a page.
PAGE = 50
#: The rules whose reasons begin otherwise than they are called.
_BEGIN = {"pause": "paused"}

#: What can be listed, by what stands in the address.
STATES = {
    "waiting": (gettext_lazy("Waiting"), Q(outcome="")),
    "failed": (gettext_lazy("Failed or uncertain"), Q(outcome__in=sorted(queue.AGAIN))),
    "settled": (gettext_lazy("Settled"), ~Q(outcome="")),
}


def may_look(user: Any) -> bool:
    return bool(may.policy().user_has_permission(user, may.VIEW))


class WaitingView(View):
    """What the screens share: who may look."""

    def dispatch(self, request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponseBase:
        if not may_look(request.user):
            raise PermissionDenied
        answer = super().dispatch(request, *args, **kwargs)
        answer.headers.setdefault("Cache-Control", "private, no-store")
        return answer

    @cached_property
    def audiences(self) -> list[Audience]:
        return list(may.audiences(self.request.user, may.VIEW))

    @cached_property
    def acting(self) -> set[int]:
        """The audiences whose mails the user may take back, and send again."""
        user = self.request.user
        may_retry = set(may.audiences(user, may.RETRY).values_list("pk", flat=True))
        return {audience.pk for audience in self.audiences} & may_retry

    def rows(self) -> QuerySet[Waiting]:
        return Waiting.objects.filter(audience_id__in=[audience.pk for audience in self.audiences])


class IndexView(WagtailAdminTemplateMixin, WaitingView):
    """How many there are of each, and a page of them."""

    page_title = gettext_lazy("Waiting mails")
    template_name = "wagtail_prefs/admin/waiting/index.html"
    header_icon = "time"
    http_method_names = ["get", "head"]

    def get(self, request: HttpRequest) -> HttpResponseBase:
        found: HttpResponseBase = self.render_to_response(self.get_context_data())
        return found

    def get_breadcrumbs_items(self) -> list[dict[str, Any]]:
        return [*self.breadcrumbs_items, {"url": "", "label": _("Waiting mails")}]

    def get_context_data(self, **kwargs: Any) -> dict[str, Any]:
        state = self.request.GET.get("state", "waiting")
        if state not in STATES:
            raise Http404
        rows = self.rows()
        counted = {
            row["outcome"]: row["count"]
            for row in rows.order_by().values("outcome").annotate(count=Count("pk"))
        }
        order = ["due_at", "pk"] if state == "waiting" else ["-settled_at", "-pk"]
        listed = rows.filter(STATES[state][1]).order_by(*order).defer("packed")
        page = Paginator(listed, PAGE).get_page(self.request.GET.get("p"))
        return {
            **super().get_context_data(**kwargs),
            "audiences": self.audiences,
            "states": [
                {"label": label, "url": f"?{urlencode({'state': name})}", "active": name == state}
                for name, (label, _rule) in STATES.items()
            ],
            "state": state,
            "counts": [
                {"label": _("Waiting"), "count": counted.get("", 0)},
                *(
                    {"label": outcome.label, "count": counted[outcome.value]}
                    for outcome in Waiting.Outcome
                    if outcome.value in counted
                ),
            ],
            "page": page,
            "listed": self._listed(page),
        }

    def _listed(self, page: Page[Waiting]) -> list[dict[str, Any]]:
        rows: Sequence[Waiting] = list(page.object_list)
        people = Contact.objects.only("email").in_bulk([row.contact for row in rows])
        now = timezone.now()
        return [
            {
                "row": row,
                "url": person_url(row.contact),
                "who": masked(people[row.contact].email) if _has_address(people.get(row.contact)) else "-",
                "why": reason_in_words(row.reason),
                "became": outcome_in_words(row),
                "can_withdraw": row.outcome == ""
                and row.handed_at is None
                and row.audience_id in self.acting,
                "can_repeat": row.outcome in queue.AGAIN
                and row.expires_at > now
                and row.audience_id in self.acting,
            }
            for row in rows
        ]


def _has_address(contact: Contact | None) -> bool:
    return contact is not None and bool(contact.email)


def reason_in_words(reason: str) -> str:
    """Why a mail was put off, as the rule says it; the code of a rule of the site."""
    begin = reason.partition(":")[0]
    wanted = _BEGIN.get(begin, begin)
    return next((str(rule.words) for rule in RULES if rule.code == wanted), reason)


def outcome_in_words(row: Waiting) -> str:
    """What became of it, and why."""
    known = {
        queue.INTERRUPTED: _("Its worker ended while it was sent: nobody knows whether it arrived."),
        "sent-already": _("Somebody sent it by another way while it waited."),
        "unreadable": _("It is kept under a key that is gone."),
        "rule_failed": _("A rule of this site could not answer."),
    }
    if row.code == "":
        return ""
    if row.outcome == Waiting.Outcome.REFUSED:
        return reason_in_words(row.code)
    if row.code.startswith("receiver-"):
        return _("Whoever composes the digest failed.")
    return known.get(row.code) or mail_trouble(row.code)


class ActView(WaitingView):
    """One press about one row."""

    http_method_names = ["post"]

    def post(self, request: HttpRequest) -> HttpResponse:
        try:
            pk = UUID(request.POST.get("row", ""))
        except ValueError:
            raise Http404 from None
        row = self.rows().filter(pk=pk).defer("packed").first()
        if row is None:
            raise Http404
        if row.audience_id not in self.acting:
            raise PermissionDenied
        self.act(row)
        state = request.POST.get("state", "")
        query = f"?{urlencode({'state': state})}" if state in STATES else ""
        return redirect(f"{reverse(f'{NAME}:index')}{query}")

    def act(self, row: Waiting) -> None:
        raise NotImplementedError


class WithdrawView(ActView):
    """Take a mail back before it goes out."""

    def act(self, row: Waiting) -> None:
        if queue.withdraw_rows([row.pk]):
            messages.success(self.request, _("The mail is taken back: it does not go out."))
        else:
            messages.error(self.request, _("The mail does not wait any more, or goes out just now."))


class AgainView(ActView):
    """Send a mail again that failed, or may have."""

    def act(self, row: Waiting) -> None:
        if queue.send_again(row):
            messages.success(self.request, _("The worker sends it again, if its reader wants it still."))
        else:
            messages.error(
                self.request, _("The mail cannot be sent again: it is pointless by now, or waits already.")
            )


class WaitingMenuItem(MenuItem):
    def is_shown(self, request: HttpRequest) -> bool:
        return may_look(request.user)


class WaitingViewSet(ViewSet):
    """The list, and the two buttons."""

    name = NAME
    icon = "time"
    menu_label = gettext_lazy("Waiting mails")
    menu_order = 765
    menu_hook = SUBMENU_HOOK
    menu_item_class = WaitingMenuItem

    def get_urlpatterns(self) -> list[URLPattern]:
        return [
            path("", self.construct_view(IndexView), name="index"),
            path("withdraw/", self.construct_view(WithdrawView), name="withdraw"),
            path("again/", self.construct_view(AgainView), name="again"),
        ]
