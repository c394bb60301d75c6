"""One person: to look at, to see the address of, to verify, and to have a delivery tried again for."""

from __future__ import annotations

from typing import Any
from uuid import UUID

from django.http import Http404, HttpRequest, HttpResponse
from django.urls import URLPattern, path, reverse
from django.utils import timezone
from django.utils.functional import cached_property
from django.utils.translation import gettext as _, gettext_lazy
from wagtail.admin import messages
from wagtail.admin.menu import MenuItem
from wagtail.admin.viewsets.base import ViewSet
from wagtail.admin.widgets.button import HeaderButton

from ..delivery import services as delivery
from ..delivery.models import Delivery
from ..errors import UnknownContact
from ..ledger import services as ledger
from ..submissions import audit
from . import permissions as may, staff_log
from .as_of import EvidenceView, SeenPageView, SeenView, ThenView
from .finding import FindView
from .menu import SUBMENU_HOOK
from .on_behalf import ChangeView
from .outcomes import can_retry
from .person_rights import EraseView, ExportView
from .staff import NAME, PersonView
from .why import FindMessageView, MessagesView, messages_url


class LookView(PersonView):
    """Everything there is about her, her address masked."""

    page_title = gettext_lazy("Person")
    template_name = "wagtail_prefs/admin/contacts/person.html"

    def get(self, request: HttpRequest, pk: UUID) -> HttpResponse:
        staff_log.looked(self.contact, request.user)
        return self.page(revealed=False)

    @cached_property
    def header_buttons(self) -> list[HeaderButton]:
        messages_ = HeaderButton(_("Messages"), url=messages_url(self.contact.pk), icon_name="mail")
        then = HeaderButton(
            _("As of a date"), url=reverse(f"{NAME}:then", args=[self.contact.pk]), icon_name="history"
        )
        if self.contact.merged_into_id or self.contact.erased_at:
            return [messages_, then]
        offered = [
            (may.CHANGE, "change", _("Change on her behalf"), "edit"),
            (may.EXPORT, "export", _("Export her data"), "download"),
            (may.ERASE, "erase", _("Erase her data"), "bin"),
        ]
        found = [
            HeaderButton(label, url=reverse(f"{NAME}:{name}", args=[self.contact.pk]), icon_name=icon)
            for action, name, label, icon in offered
            if self.allowed(action)
        ]
        return [*found[:1], messages_, then, *found[1:]]

    def get_context_data(self, **kwargs: Any) -> dict[str, Any]:
        given = self.request.GET.get("before", "")
        before = int(given) if given.isascii() and given.isdigit() and len(given) < 19 else None
        return {
            **super().get_context_data(**kwargs),
            "person": self.person(before=before),
            "may_reveal": self.allowed(may.REVEAL),
            "may_retry": self.allowed(may.RETRY),
            "may_verify": self.allowed(may.VERIFY),
        }


class RevealView(LookView):
    """The same with her address, her external id and her answers. By a button, so that no link and no prefetch does it."""

    action = may.REVEAL
    http_method_names = ["post"]

    def post(self, request: HttpRequest, pk: UUID) -> HttpResponse:
        staff_log.revealed(self.contact, request.user)
        return self.page(revealed=True)


class RetryView(PersonView):
    """Have a delivery that failed tried again now."""

    action = may.RETRY
    http_method_names = ["post"]

    def post(self, request: HttpRequest, pk: UUID, delivery_id: int) -> HttpResponse:
        row = Delivery.objects.filter(pk=delivery_id, contact=self.contact.pk).first()
        if row is None:
            raise Http404
        if can_retry(row, timezone.now()) and delivery.retry(row.pk):
            staff_log.retried(self.contact, request.user, row.backend)
            messages.success(
                request, _("The delivery to %(backend)s is tried again now.") % {"backend": row.backend}
            )
        else:
            messages.warning(
                request,
                _(
                    "There is nothing to try again: the delivery to %(backend)s did not fail, or is on its way."
                )
                % {"backend": row.backend},
            )
        return self.back()


class VerifyView(PersonView):
    """Hold her records against each other, and her state against them."""

    action = may.VERIFY
    http_method_names = ["post"]

    def post(self, request: HttpRequest, pk: UUID) -> HttpResponse:
        broken = ledger.first_broken(self.contact.pk)
        differing: list[str] = []
        if broken is None:
            try:
                differing = audit.differences(self.contact.pk)
            except UnknownContact as gone:
                raise Http404 from gone
            except ValueError:  # whole, and yet no chain that says anything
                broken = self.contact.version
        staff_log.verified(self.contact, request.user, sound=broken is None and not differing)
        if broken is not None:
            messages.error(
                request,
                _("The chain of her records is broken at number %(number)s. Run prefs_verify_ledger.")
                % {"number": broken},
            )
        elif differing:
            messages.error(
                request,
                _("Her records say something else than her state does: %(paths)s.")
                % {"paths": ", ".join(differing)},
            )
        else:
            messages.success(request, _("Her records are whole, and her state is what they say."))
        return self.back()


class FindMenuItem(MenuItem):
    def is_shown(self, request: HttpRequest) -> bool:
        return bool(may.policy().user_has_permission(request.user, may.VIEW))


class ContactViewSet(ViewSet):
    """The screens about one person."""

    name = NAME
    icon = "search"
    menu_label = gettext_lazy("Find a person")
    menu_order = 700
    menu_hook = SUBMENU_HOOK

    menu_item_class = FindMenuItem

    def get_urlpatterns(self) -> list[URLPattern]:
        return [
            path("", self.construct_view(FindView), name="index"),
            path("messages/", self.construct_view(FindMessageView), name="find-message"),
            path("<uuid:pk>/", self.construct_view(LookView), name="person"),
            path("<uuid:pk>/messages/", self.construct_view(MessagesView), name="messages"),
            path("<uuid:pk>/reveal/", self.construct_view(RevealView), name="reveal"),
            path("<uuid:pk>/change/", self.construct_view(ChangeView), name="change"),
            path("<uuid:pk>/export/", self.construct_view(ExportView), name="export"),
            path("<uuid:pk>/erase/", self.construct_view(EraseView), name="erase"),
            path("<uuid:pk>/then/", self.construct_view(ThenView), name="then"),
            path("<uuid:pk>/seen/<uuid:record>/", self.construct_view(SeenView), name="seen"),
            path("<uuid:pk>/seen/<uuid:record>/page/", self.construct_view(SeenPageView), name="seen-page"),
            path("<uuid:pk>/evidence/<uuid:record>/", self.construct_view(EvidenceView), name="evidence"),
            path("<uuid:pk>/verify/", self.construct_view(VerifyView), name="verify"),
            path(
                "<uuid:pk>/deliveries/<int:delivery_id>/retry/", self.construct_view(RetryView), name="retry"
            ),
        ]


def contact_viewsets() -> list[ViewSet]:
    """For the hook."""
    return [ContactViewSet()]
