"""What the staff's screens about people share: who may open one, and how it looks.

Every view asks the policy of contacts, for the site of just this person: whoever may not see her is told that there is
no such page, as if there were no such person.
"""

from __future__ import annotations

from typing import Any
from uuid import UUID

from django.core.exceptions import PermissionDenied
from django.http import Http404, HttpRequest, HttpResponse
from django.http.response import HttpResponseBase
from django.shortcuts import redirect
from django.urls import reverse
from django.utils.translation import gettext as _
from django.views.generic import View
from wagtail.admin.utils import get_valid_next_url_from_request
from wagtail.admin.views.generic.base import WagtailAdminTemplateMixin

from ..contacts.models import Contact
from ..errors import UnknownContact
from . import people, permissions as may

#: The namespace of the URLs.
NAME = "prefs_contacts"


def person_url(contact: UUID) -> str:
    return reverse(f"{NAME}:person", args=[contact])


class StaffView(WagtailAdminTemplateMixin, View):
    """A page of these screens, for those who may `action` with anybody at all."""

    action = may.VIEW
    header_icon = "user"

    def dispatch(self, request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponseBase:
        if not all(may.policy().user_has_permission(request.user, action) for action in self._actions):
            raise PermissionDenied
        return super().dispatch(request, *args, **kwargs)

    @property
    def _actions(self) -> set[str]:
        return {may.VIEW, self.action}

    def page(self, *, status: int = 200, **context: Any) -> HttpResponse:
        response: HttpResponse = self.render_to_response(self.get_context_data(**context), status=status)
        return response

    def get_breadcrumbs_items(self) -> list[dict[str, Any]]:
        return [*self.breadcrumbs_items, {"url": reverse(f"{NAME}:index"), "label": _("Find a person")}]


class PersonView(StaffView):
    """One person, for those who may `action` with her. What is elsewhere is not there."""

    contact: Contact

    def dispatch(self, request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponseBase:
        policy = may.policy()
        if all(policy.user_has_permission(request.user, action) for action in self._actions):
            found = Contact.objects.select_related("audience__site").filter(pk=kwargs["pk"]).first()
            if found is None or not policy.user_has_permission_for_instance(request.user, may.VIEW, found):
                raise Http404
            if not policy.user_has_permission_for_instance(request.user, self.action, found):
                raise PermissionDenied
            self.contact = found
        return super().dispatch(request, *args, **kwargs)

    def allowed(self, action: str) -> bool:
        return bool(may.policy().user_has_permission_for_instance(self.request.user, action, self.contact))

    def person(self, *, before: int | None = None) -> people.Person:
        try:
            return people.load(self.contact, before=before)
        except UnknownContact as gone:
            raise Http404 from gone

    def get_page_subtitle(self) -> str:
        return str(self.contact.pk)

    def get_breadcrumbs_items(self) -> list[dict[str, Any]]:
        return [*super().get_breadcrumbs_items(), {"url": "", "label": str(self.contact.pk)}]

    def below_her(self, title: Any) -> list[dict[str, Any]]:
        """Breadcrumbs of a page of its own, below that of the person: what it is stands in the head, and not her id."""
        items = PersonView.get_breadcrumbs_items(self)
        return [*items[:-1], {**items[-1], "url": person_url(self.contact.pk)}, {"url": "", "label": title}]

    def back(self) -> HttpResponse:
        return redirect(get_valid_next_url_from_request(self.request) or person_url(self.contact.pk))
