"""What platforms have told us, and what became of it: for looking. What an event said is not kept, and not shown.

Whoever may list deliveries may see it: it is the same traffic, in the other direction. Events about somebody whom nobody
knows belong to no site, and are for those who may look at all of them.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from django.db.models import Q, QuerySet
from django.utils.translation import gettext_lazy as _, pgettext_lazy
from wagtail.admin.filters import WagtailFilterSet, django_filters  # Wagtail's dependency, not ours
from wagtail.admin.ui.tables import Column, DateColumn
from wagtail.permissions import register_permission_policy

from ..contacts.models import Contact
from ..delivery.models import Delivery
from ..sync.models import Arrival
from .deliveries import LookingViewSet
from .permissions import VIEW, PeoplePolicy

STATES = {
    Arrival.WAITING: _("Not looked at yet"),
    Arrival.DONE: _("Recorded"),
    Arrival.NOTHING: _("Nothing to do"),
    Arrival.UNKNOWN: _("Nobody known"),
    Arrival.REFUSED: _("Failed for good"),
}
CODES = {
    "already": _("It was so already"),
    "older": _("She did something else later"),
    "echo": _("Our own words, come back"),
    "not-so-there": _("The platform itself says otherwise"),
    "not-stricter": _("A platform cannot give her more"),
    "not-allowed": _("The evidence is older than her own last word"),
    "unknown-topic": _("No such topic, or one that always comes"),
    "former-address": _("About an address that she had before"),
    "merged": _("About somebody who goes on as another"),
    "erased": _("About somebody who was erased"),
    "dead": _("Mail to the address cannot arrive"),
    "wait": _("The platform is asked later"),
    "unreadable": _("Kept under a key that is gone"),
    "gave-up": _("Every worker ended over it"),
}


def state_in_words(arrival: Arrival) -> str:
    """What became of it."""
    return str(STATES.get(arrival.state, arrival.state))


def code_in_words(arrival: Arrival) -> str:
    """Why, with the code where there are no words for it."""
    return str(CODES.get(arrival.code, arrival.code))


class ArrivalPolicy(PeoplePolicy):
    """That of deliveries, over events."""

    def __init__(self) -> None:
        super().__init__(
            Delivery,
            [VIEW],
            of_sites=lambda sites: Q(contact__in=_people_of(sites)),
            site_of=lambda _row: None,
        )

    def instances_user_has_any_permission_for(self, user: Any, actions: Iterable[str]) -> QuerySet[Any]:
        rows = Arrival.objects.all()
        if self.everywhere(user, actions):
            return rows
        if not self.user_has_any_permission(user, actions):
            return rows.none()
        return rows.filter(self._of_sites(self.sites_user_has_any_permission_for(user, actions)))


def register_policy() -> None:
    """Before any view asks for it: called while `wagtail_hooks` is imported."""
    register_permission_policy(Arrival, ArrivalPolicy())


def _people_of(sites: Any) -> QuerySet[Any]:
    return Contact.objects.filter(audience__site__in=sites).values("pk")


class ArrivalFilterSet(WagtailFilterSet):
    """By backend, and by what became of it."""

    backend = django_filters.CharFilter(label=_("Backend"))
    state = django_filters.ChoiceFilter(label=_("What became of it"), choices=list(STATES.items()))

    class Meta:
        model = Arrival
        fields = ["backend", "state"]


class ArrivalViewSet(LookingViewSet):
    """The newest first. Without a page for each: there is nothing more to see."""

    model = Arrival
    name = "prefs_arrivals"
    icon = "download"
    menu_label = pgettext_lazy("from a platform", "Events")
    menu_order = 805
    inspect_view_enabled = False
    ordering = ["-received_at", "-pk"]
    list_filter = None
    filterset_class = ArrivalFilterSet
    list_display = [
        DateColumn("received_at", label=_("Received"), sort_key="received_at"),
        Column("backend", label=_("Backend")),
        Column(state_in_words, label=_("What became of it")),
        Column(code_in_words, label=_("Reason")),
        Column("contact", label=_("Contact")),
        DateColumn("at", label=_("Happened there")),
        Column("attempts", label=_("Tries")),
    ]
