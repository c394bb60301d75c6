"""What was delivered, and what could not be: for looking, not for changing. The engine alone writes these rows; staff
may only ask it to try again.

The lists hold whom a user may see (`permissions`): all, or the people of some sites. Addresses are masked in them:
whoever may see one finds it on the page of the person, where looking is logged.
"""

from __future__ import annotations

from typing import Any

from django.core.exceptions import PermissionDenied
from django.db.models import QuerySet
from django.http import HttpRequest
from django.http.response import HttpResponseBase
from django.shortcuts import get_object_or_404
from django.urls import URLPattern, reverse
from django.utils import timezone
from django.utils.functional import cached_property
from django.utils.html import format_html_join
from django.utils.translation import gettext_lazy as _
from wagtail.admin.filters import WagtailFilterSet, django_filters  # Wagtail's dependency, not ours
from wagtail.admin.ui.tables import BooleanColumn, Column, DateColumn, TitleColumn
from wagtail.admin.views.generic import IndexView, InspectView
from wagtail.admin.viewsets.model import ModelViewSet
from wagtail.admin.widgets.button import HeaderButton

from ..backends.database.models import Subscriber
from ..backends.registry import backends
from ..contacts.addresses import masked
from ..contacts.models import Contact
from ..delivery.models import Delivery
from . import permissions as may, staff_log
from .menu import SUBMENU_HOOK
from .outcomes import OUTCOME_LABELS, can_retry, outcome_in_words, said
from .staff import NAME as PEOPLE, person_url


class DeliveryFilterSet(WagtailFilterSet):
    """By backend, by what became of it, and whether an opt-out waits."""

    backend = django_filters.ChoiceFilter(
        label=_("Backend"), choices=lambda: [(alias, alias) for alias in backends]
    )
    last_outcome = django_filters.ChoiceFilter(label=_("Last outcome"), choices=list(OUTCOME_LABELS.items()))

    class Meta:
        model = Delivery
        fields = ["backend", "last_outcome", "restricts"]


class ReadOnlyIndexView(IndexView):
    """A list whose rows lead to the inspect view."""

    any_permission_required = ["view"]

    def get_base_queryset(self) -> QuerySet[Any]:
        found: QuerySet[Any] = self.permission_policy.instances_user_has_permission_for(
            self.request.user, "view"
        )
        return found

    def get_edit_url(self, instance: Any) -> None:
        """There is nothing to edit."""


class OfPersonInspectView(InspectView):
    """One row about a person, with the way to her for those who may look at her."""

    any_permission_required = ["view"]

    def get_object(self, queryset: Any = None) -> Any:
        if not self.user_has_permission("view"):
            raise PermissionDenied
        rows = self.permission_policy.instances_user_has_permission_for(self.request.user, "view")
        return get_object_or_404(rows, pk=self.pk)

    @cached_property
    def person(self) -> Contact | None:
        """Whom it is about."""
        return Contact.objects.select_related("audience__site").filter(pk=self.object.contact).first()

    def allowed(self, action: str) -> bool:
        policy = may.policy()
        return self.person is not None and all(
            policy.user_has_permission_for_instance(self.request.user, needed, self.person)
            for needed in (may.VIEW, action)
        )

    @cached_property
    def header_buttons(self) -> list[HeaderButton]:
        if not self.allowed(may.VIEW):
            return []
        return [HeaderButton(_("Look at the person"), url=person_url(self.object.contact), icon_name="user")]


class DeliveryInspectView(OfPersonInspectView):
    template_name = "wagtail_prefs/admin/contacts/delivery.html"

    def get_last_outcome_display_value(self) -> str:
        return outcome_in_words(self.object)

    def get_parked_display_value(self) -> str:
        return ", ".join(f"{entry['kind']}: {entry['code']}" for entry in self.object.parked) or "-"

    def get_log_display_value(self) -> str:
        return format_html_join("", "<div>{}</div>", ((line,) for line in said(self.object))) or "-"

    def get_field_label(self, field_name: str, field: Any) -> Any:
        if field_name == "log":
            return _("Sent and answered")
        return super().get_field_label(field_name, field)

    def get_context_data(self, **kwargs: Any) -> dict[str, Any]:
        again = can_retry(self.object, timezone.now()) and self.allowed(may.RETRY)
        url = reverse(f"{PEOPLE}:retry", args=[self.object.contact, self.object.pk]) if again else ""
        return {**super().get_context_data(**kwargs), "retry_url": url}


class LookingViewSet(ModelViewSet):
    """A list and its rows. Nobody writes them by hand, so they have no history of that either, and nothing uses them."""

    menu_hook = SUBMENU_HOOK
    form_fields: list[str] = []
    index_view_class = ReadOnlyIndexView
    inspect_view_enabled = True
    copy_view_enabled = False
    add_to_reference_index = False

    def get_urlpatterns(self) -> list[URLPattern]:
        return [
            pattern
            for pattern in super().get_urlpatterns()
            if pattern.name in {"index", "index_results", "inspect"}
        ]


class DeliveryViewSet(LookingViewSet):
    """One row per backend and contact."""

    model = Delivery
    name = "prefs_deliveries"
    icon = "upload"
    menu_label = _("Deliveries")
    menu_order = 800
    inspect_view_class = DeliveryInspectView
    # Opt-outs that wait, then the rest that waits, then the newest.
    ordering = ["-restricts", "due_at", "-delivered_at", "-pk"]
    list_filter = None
    filterset_class = DeliveryFilterSet
    list_display = [
        TitleColumn("contact", label=_("Contact"), url_name="prefs_deliveries:inspect"),
        Column("backend", label=_("Backend"), sort_key="backend"),
        Column(outcome_in_words, label=_("Last outcome"), sort_key="last_outcome"),
        Column("last_code", label=_("Code")),
        Column("delivered", label=_("Version there")),
        Column("wanted", label=_("Version here")),
        BooleanColumn("restricts", label=_("Opt-out waiting"), sort_key="restricts"),
        Column("attempts", label=_("Failed tries"), sort_key="attempts"),
        DateColumn("due_at", label=_("Next try"), sort_key="due_at"),
    ]
    inspect_view_fields = [
        "backend", "contact", "wanted", "delivered", "delivered_at", "restricts", "due_at", "attempts",
        "failing_since", "last_outcome", "last_code", "log", "parked", "remote_id",
    ]  # fmt: skip


class SubscriberInspectView(OfPersonInspectView):
    def dispatch(self, request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponseBase:
        if self.person is not None:
            staff_log.looked(self.person, request.user)
        response: HttpResponseBase = super().dispatch(request, *args, **kwargs)
        return response

    def get_email_display_value(self) -> str:
        return masked_address(self.object)

    def get_subscriptions_display_value(self) -> str:
        rows = self.object.subscriptions.order_by("topic", "channel")
        return ", ".join(_sentence(row) for row in rows) or "-"

    def get_field_label(self, field_name: str, field: Any) -> Any:
        if field_name == "subscriptions":
            return _("Choices")
        return super().get_field_label(field_name, field)


def masked_address(subscriber: Subscriber) -> str:
    return masked(subscriber.email) if subscriber.email else "-"


def _sentence(row: Any) -> str:
    words = _("subscribed") if row.subscribed else _("unsubscribed")
    return f"{row.topic} / {row.channel}: {words}"


class SubscriberViewSet(LookingViewSet):
    """What the database backend holds, but for what is personal. Without a search: an address must not end up in a URL."""

    model = Subscriber
    name = "prefs_subscribers"
    icon = "group"
    menu_label = _("Subscribers")
    menu_order = 810
    inspect_view_class = SubscriberInspectView
    ordering = ["-delivered_at", "pk"]
    list_filter = ["opted_out", "language", "country"]
    list_display = [
        TitleColumn("contact", label=_("Contact"), url_name="prefs_subscribers:inspect"),
        Column(masked_address, label=_("E-mail address")),
        Column("language", label=_("Language"), sort_key="language"),
        BooleanColumn("opted_out", label=_("Unsubscribed from all"), sort_key="opted_out"),
        Column("version", label=_("Version")),
        DateColumn("delivered_at", label=_("Delivered at"), sort_key="delivered_at"),
    ]
    inspect_view_fields = [
        "contact", "email", "language", "country", "timezone", "opted_out", "subscriptions", "frequencies", "pauses",
        "version", "delivered_at",
    ]  # fmt: skip


def delivery_listings() -> list[ModelViewSet]:
    """The lists of this module, for the hook."""
    return [DeliveryViewSet(), SubscriberViewSet()]
