"""Finding one person. There is no list of people, and what is typed to find one stands in no URL and no log."""

from __future__ import annotations

from typing import Any
from uuid import UUID

from django import forms
from django.core.exceptions import ValidationError
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect
from django.utils.decorators import method_decorator
from django.utils.translation import gettext_lazy
from django.views.decorators.debug import sensitive_post_parameters

from ..contacts import services as contacts
from ..contacts.models import Contact
from ..ledger.models import Record
from ..topics.models import Audience
from . import permissions as may, staff_log
from .staff import StaffView, person_url


class FindForm(forms.Form):
    """One field for whatever staff were told. Browsers are asked not to remember it."""

    term = forms.CharField(
        label=gettext_lazy("E-mail address, external id, contact id or receipt"),
        max_length=320,
        widget=forms.TextInput(attrs={"autocomplete": "off", "spellcheck": "false", "autocapitalize": "off"}),
    )
    audience = forms.ModelChoiceField(
        Audience.objects.none(), label=gettext_lazy("Audience"), empty_label=None
    )

    def __init__(self, data: Any = None, *, user: Any) -> None:
        super().__init__(data)
        self.audiences = list(may.audiences(user, may.VIEW).select_related("site"))
        field = self.fields["audience"]
        field.queryset = may.audiences(user, may.VIEW)  # type: ignore[attr-defined]
        if len(self.audiences) < 2:
            del self.fields["audience"]

    @property
    def chosen(self) -> Audience:
        """The audience to look in."""
        found: Audience = self.cleaned_data["audience"] if "audience" in self.fields else self.audiences[0]
        return found


@method_decorator(sensitive_post_parameters("term"), name="dispatch")
class FindView(StaffView):
    """Who is it? A POST, so that an address gets into no log of any server, and into no browser's history."""

    page_title = gettext_lazy("Find a person")
    template_name = "wagtail_prefs/admin/contacts/find.html"
    header_icon = "search"

    def get(self, request: HttpRequest) -> HttpResponse:
        return self.page(form=FindForm(user=request.user))

    def post(self, request: HttpRequest) -> HttpResponse:
        form = FindForm(request.POST, user=request.user)
        if not form.is_valid():
            return self.page(form=form)
        if not form.audiences:
            return self.page(form=form, missing=True)
        found = look_up(form.chosen, form.cleaned_data["term"])
        if found is not None and may.policy().user_has_permission_for_instance(request.user, may.VIEW, found):
            return redirect(person_url(found.pk))
        staff_log.missed(form.chosen, request.user)
        return self.page(
            form=form,
            missing=True,
            audience=form.chosen,
            is_address="@" in form.cleaned_data["term"],
            suppressed=_is_suppressed(form.chosen, form.cleaned_data["term"]),
        )


def look_up(audience: Audience, term: str) -> Contact | None:
    """The person that an address, an external id, her own id or one of her receipts names.

    By an id she is found wherever she belongs; whether the user may see her there is for the caller to ask.
    """
    people_ = Contact.objects.select_related("audience")
    if "@" in term:
        try:
            found = contacts.find(audience.pk, term)
        except (ValidationError, UnicodeError):  # no address: perhaps an external id
            found = None
        if found is not None:
            return found
    try:
        given = UUID(term)
    except ValueError:
        pass
    else:
        owner = Record.objects.filter(pk=given).values_list("contact_ref", flat=True).first()
        by_id = people_.filter(pk=owner or given).first()
        if by_id is not None:
            return by_id
    if len(term) > 255:
        return None
    return people_.filter(audience=audience, external_id=term).first()


def _is_suppressed(audience: Audience, term: str) -> bool:
    try:
        return "@" in term and contacts.is_suppressed(audience.pk, term)
    except (ValidationError, UnicodeError):
        return False
