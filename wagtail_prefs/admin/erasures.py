"""Who was erased, and which platforms have followed: what is open, what is late, and what only people can do."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from urllib.parse import urlencode
from uuid import UUID

from django.core.exceptions import PermissionDenied
from django.core.paginator import Paginator
from django.db.models import QuerySet
from django.http import Http404, HttpRequest, HttpResponse
from django.http.response import HttpResponseBase
from django.shortcuts import redirect
from django.urls import URLPattern, path, reverse
from django.utils import timezone
from django.utils.functional import cached_property
from django.utils.translation import gettext as _, gettext_lazy
from wagtail.admin import messages
from wagtail.admin.menu import MenuItem
from wagtail.admin.viewsets.base import ViewSet

from ..contacts.models import Contact
from ..rights import erasure
from ..rights.erasure import Step, There
from ..rights.models import Erasure
from ..values import Actor, ActorType
from . import people, permissions as may, staff_log, staff_words as words
from .menu import SUBMENU_HOOK
from .staff import StaffView

NAME = "prefs_erasures"
#: Accounts on one page.
PAGE = 50

STEPS = {
    Step.WAITING: gettext_lazy("Told, and not confirmed yet"),
    Step.FAILING: gettext_lazy("Refuses; tried again every day"),
    Step.GIVEN_UP: gettext_lazy("Never confirmed: have her deleted there"),
    Step.GONE: gettext_lazy("Not connected any more: have her deleted there"),
    Step.KEEPS: gettext_lazy("Sends her nothing any more, but cannot delete: have her deleted there"),
    Step.DONE: gettext_lazy("Confirmed"),
    Step.BY_HAND: gettext_lazy("Done by hand"),
}

#: What can be listed, by what stands in the address.
SHOWN = {
    "open": gettext_lazy("Open"),
    "late": gettext_lazy("Late"),
    "by-hand": gettext_lazy("To be done by hand"),
    "done": gettext_lazy("Done"),
    "all": gettext_lazy("All"),
}
EMPTY = {
    "open": gettext_lazy("Nothing is open: every platform has forgotten everybody who was erased."),
    "late": gettext_lazy("Nothing is late."),
    "by-hand": gettext_lazy("Nothing has to be done by hand."),
    "done": gettext_lazy("Nothing is done yet."),
    "all": gettext_lazy("Nobody was erased yet."),
}


def _those(shown: str) -> QuerySet[Erasure]:
    every: QuerySet[Erasure] = Erasure.objects.all()
    match shown:
        case "late":
            return erasure.late()
        case "by-hand":
            return erasure.for_people()
        case "done":
            return every.exclude(done_at=None)
        case "all":
            return every
    return every.filter(done_at=None)


@dataclass(frozen=True, slots=True)
class Line:
    """One platform of one account. `there`: by what it knows her, for whoever asked and may."""

    alias: str
    words: str
    at: datetime
    stuck: bool
    over: bool
    there: There | None = None

    @property
    def is_known(self) -> bool:
        found = self.there
        return bool(found and (found.ids or found.external_ids or found.addresses))


class ErasuresView(StaffView):
    """The accounts. By ids only, until somebody who may asks by what a platform knows one."""

    action = may.ERASE
    page_title = gettext_lazy("Erasures")
    header_icon = "bin"
    template_name = "wagtail_prefs/admin/erasures/index.html"

    def dispatch(self, request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponseBase:
        answer = super().dispatch(request, *args, **kwargs)
        answer.headers.setdefault("Cache-Control", "private, no-store")
        return answer

    def get(self, request: HttpRequest) -> HttpResponse:
        return self.page()

    @cached_property
    def shown(self) -> str:
        asked = self.request.GET.get("show", "")
        return asked if asked in SHOWN else "open"

    @cached_property
    def revealing(self) -> set[int]:
        """The audiences of whose people the user may see the ids."""
        return set(may.audiences(self.request.user, may.REVEAL).values_list("pk", flat=True))

    def get_context_data(self, **kwargs: Any) -> dict[str, Any]:
        hers = may.audiences(self.request.user, may.ERASE)
        found = _those(self.shown).filter(audience__in=hers).select_related("audience")
        order = "-at" if self.shown in {"done", "all"} else "due_at"
        page = Paginator(found.order_by(order, "pk"), PAGE).get_page(self.request.GET.get("p"))
        accounts: list[Erasure] = list(page.object_list)
        staff = people.names(_actor(one.by).id for one in accounts if _actor(one.by).type is ActorType.ADMIN)
        told: Mapping[UUID, Iterable[There]] = kwargs.pop("told", {})
        now = timezone.now()
        return {
            **super().get_context_data(**kwargs),
            "filters": [
                {"label": label, "url": f"?{urlencode({'show': name})}", "active": name == self.shown}
                for name, label in SHOWN.items()
            ],
            "shown": self.shown,
            "empty": EMPTY[self.shown],
            "accounts": [
                {
                    "account": one,
                    "by": _by(one.by, staff),
                    "lines": _lines(one, told.get(one.pk, ())),
                    "late": one.done_at is None and one.due_at <= now,
                    "may_reveal": bool(erasure.stuck(one))
                    and one.audience_id in self.revealing
                    and one.pk not in told,
                }
                for one in accounts
            ],
            "listed": page,
        }

    def get_breadcrumbs_items(self) -> list[dict[str, Any]]:
        return [*self.breadcrumbs_items, {"url": "", "label": _("Erasures")}]


def _account(user: Any, pk: UUID) -> Erasure:
    account = Erasure.objects.select_related("audience").filter(pk=pk).first()
    if account is None or account.audience not in may.audiences(user, may.ERASE):
        raise Http404
    return account


class RevealView(ErasuresView):
    """By what the platforms know somebody who has to be deleted there by hand. By a button, as an address is shown."""

    http_method_names = ["post"]

    @property
    def _actions(self) -> set[str]:
        return {*super()._actions, may.REVEAL}

    def post(self, request: HttpRequest, pk: UUID) -> HttpResponse:
        account = _account(request.user, pk)
        if account.audience_id not in self.revealing:
            raise PermissionDenied
        staff_log.traced(Contact.objects.get(pk=account.contact), request.user)
        return self.page(told={account.pk: erasure.known_there(account)})


class ByHandView(StaffView):
    """Note that she was deleted at a platform by other means."""

    action = may.ERASE
    http_method_names = ["post"]

    def post(self, request: HttpRequest, pk: UUID, alias: str) -> HttpResponse:
        account = _account(request.user, pk)
        if erasure.settle_by_hand(account, alias, f"admin:{request.user.pk}"):
            staff_log.deleted_by_hand(Contact.objects.get(pk=account.contact), request.user, alias)
            messages.success(
                request, _("Noted: she was deleted at %(platform)s by hand.") % {"platform": alias}
            )
        else:
            messages.warning(request, _("There is nothing to note for %(platform)s.") % {"platform": alias})
        shown = request.POST.get("show", "")
        query = f"?{urlencode({'show': shown})}" if shown in SHOWN else ""
        return redirect(f"{reverse(f'{NAME}:index')}{query}")


def _actor(by: str) -> Actor:
    """Who it was, as the account names the actor: `admin:7`."""
    kind, _colon, name = by.partition(":")
    try:
        return Actor(ActorType(kind), name)
    except ValueError:
        return Actor(ActorType.SYSTEM, by)


def _by(by: str, staff: Mapping[str, str]) -> str:
    """Who it was, in words."""
    actor = _actor(by)
    if actor.type is ActorType.ADMIN:
        return _("Staff: %(name)s") % {"name": staff.get(actor.id, actor.id)}
    if actor.is_subject:
        return _("She herself")
    if (actor.type, actor.id) == (ActorType.SYSTEM, "expiry"):
        return _("A sign-up that nobody confirmed")
    return words.actor_words(actor, "", staff)


def _lines(account: Erasure, told: Iterable[There]) -> list[Line]:
    there = {one.alias: one for one in told}
    return [
        Line(
            alias,
            str(STEPS[Step(entry["state"])]),
            datetime.fromisoformat(entry["at"]),
            entry["state"] in erasure.STUCK,
            entry["state"] in erasure.OVER,
            there.get(alias),
        )
        for alias, entry in sorted(account.backends.items())
    ]


class ErasuresMenuItem(MenuItem):
    def is_shown(self, request: HttpRequest) -> bool:
        return all(may.policy().user_has_permission(request.user, action) for action in (may.VIEW, may.ERASE))


class ErasuresViewSet(ViewSet):
    """The accounts of erasures."""

    name = NAME
    icon = "bin"
    menu_label = gettext_lazy("Erasures")
    menu_order = 705
    menu_hook = SUBMENU_HOOK
    menu_item_class = ErasuresMenuItem

    def get_urlpatterns(self) -> list[URLPattern]:
        return [
            path("", self.construct_view(ErasuresView), name="index"),
            path("<uuid:pk>/ids/", self.construct_view(RevealView), name="ids"),
            path("<uuid:pk>/by-hand/<slug:alias>/", self.construct_view(ByHandView), name="by-hand"),
        ]
