"""What was delivered, and what could not be: for looking, not for changing. The engine alone writes these rows."""

from __future__ import annotations

from typing import Any

from django.utils.translation import gettext_lazy as _
from wagtail.admin.filters import WagtailFilterSet, django_filters  # Wagtail's dependency, not ours
from wagtail.admin.ui.tables import BooleanColumn, Column, DateColumn, TitleColumn
from wagtail.admin.views.generic import IndexView, InspectView
from wagtail.admin.viewsets.model import ModelViewSet

from ..backends.database.models import Subscriber
from ..backends.registry import backends
from ..delivery.models import Delivery
from ..values import Outcome
from .menu import SUBMENU_HOOK

OUTCOME_LABELS = {
    Outcome.DONE: _("Delivered"),
    Outcome.RATE_LIMITED: _("Asked to wait"),
    Outcome.RETRY: _("Failed, will be tried again"),
    Outcome.MISCONFIGURED: _("Settings must be mended"),
    Outcome.REFUSED: _("Refused"),
    Outcome.NEEDS_CONFIRMATION: _("Waits for a confirmation there"),
    Outcome.ACCEPTED_UNKNOWN: _("Accepted, not yet confirmed"),
}


def outcome_in_words(delivery: Delivery) -> str:
    """What became of the last try."""
    if not delivery.last_outcome:
        return ""
    return str(OUTCOME_LABELS[Outcome(delivery.last_outcome)])


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

    def get_edit_url(self, instance: Any) -> None:
        """There is nothing to edit."""


class DeliveryInspectView(InspectView):
    def get_last_outcome_display_value(self) -> str:
        return outcome_in_words(self.object)

    def get_parked_display_value(self) -> str:
        return ", ".join(f"{entry['kind']}: {entry['code']}" for entry in self.object.parked) or "-"


class DeliveryViewSet(ModelViewSet):
    """One row per backend and contact."""

    model = Delivery
    name = "prefs_deliveries"
    icon = "upload"
    menu_label = _("Deliveries")
    menu_order = 800
    menu_hook = SUBMENU_HOOK
    form_fields: list[str] = []
    index_view_class = ReadOnlyIndexView
    inspect_view_class = DeliveryInspectView
    inspect_view_enabled = True
    copy_view_enabled = False
    add_to_reference_index = False
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
        "failing_since", "last_outcome", "last_code", "parked", "remote_id",
    ]  # fmt: skip


class SubscriberInspectView(InspectView):
    def get_subscriptions_display_value(self) -> str:
        rows = self.object.subscriptions.order_by("topic", "channel")
        return ", ".join(_sentence(row) for row in rows) or "-"

    def get_field_label(self, field_name: str, field: Any) -> Any:
        if field_name == "subscriptions":
            return _("Choices")
        return super().get_field_label(field_name, field)


def _sentence(row: Any) -> str:
    words = _("subscribed") if row.subscribed else _("unsubscribed")
    return f"{row.topic} / {row.channel}: {words}"


class SubscriberViewSet(ModelViewSet):
    """What the database backend holds. Without a search: an address must not end up in a URL."""

    model = Subscriber
    name = "prefs_subscribers"
    icon = "group"
    menu_label = _("Subscribers")
    menu_order = 810
    menu_hook = SUBMENU_HOOK
    form_fields: list[str] = []
    index_view_class = ReadOnlyIndexView
    inspect_view_class = SubscriberInspectView
    inspect_view_enabled = True
    copy_view_enabled = False
    add_to_reference_index = False
    ordering = ["-delivered_at", "pk"]
    list_filter = ["opted_out", "language", "country"]
    list_display = [
        TitleColumn(
            "email", label=_("E-mail address"), url_name="prefs_subscribers:inspect", sort_key="email"
        ),
        Column("language", label=_("Language"), sort_key="language"),
        BooleanColumn("opted_out", label=_("Unsubscribed from all"), sort_key="opted_out"),
        Column("version", label=_("Version")),
        DateColumn("delivered_at", label=_("Delivered at"), sort_key="delivered_at"),
    ]
    inspect_view_fields = [
        "contact", "email", "phone", "external_id", "language", "country", "timezone", "opted_out", "subscriptions",
        "frequencies", "pauses", "attributes", "version", "delivered_at",
    ]  # fmt: skip


def delivery_listings() -> list[ModelViewSet]:
    """The lists of this module, for the hook."""
    return [DeliveryViewSet(), SubscriberViewSet()]
