"""What somebody of the staff does for a person who wrote: hand out her data, and forget her."""

from __future__ import annotations

from typing import Any
from uuid import UUID

from django import forms
from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import redirect
from django.utils.translation import gettext as _, gettext_lazy, pgettext
from wagtail.admin import messages

from ..delivery import services as delivery
from ..errors import UnknownContact
from ..rights import services as rights
from ..values import Actor, ActorType, Source
from . import permissions as may
from .on_behalf_form import refuse_address
from .staff import PersonView, person_url


class ReasonForm(forms.Form):
    """Why, in words that name nobody."""

    reason = forms.CharField(
        label=gettext_lazy("Reason"),
        max_length=500,
        validators=[refuse_address],
        help_text=gettext_lazy("Such as “asked by letter”. Kept in the log. No names, no addresses."),
    )


class EraseForm(ReasonForm):
    """The same, and a word that nobody types by accident."""

    word = forms.CharField(label=gettext_lazy("To be sure"), max_length=32)

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.fields["word"].help_text = _("Type %(word)s. This cannot be taken back.") % {
            "word": f"“{wanted_word()}”"
        }

    def clean_word(self) -> str:
        word: str = self.cleaned_data["word"]
        if word.strip().casefold() != wanted_word().casefold():
            raise forms.ValidationError(_("Type %(word)s.") % {"word": wanted_word()})
        return word


def wanted_word() -> str:
    """In the language of whoever types it."""
    return pgettext("to be typed", "erase")


class RightView(PersonView):
    """A form about one person who is still there; `form_class` says why."""

    form_class: type[ReasonForm] = ReasonForm
    template_name = "wagtail_prefs/admin/contacts/right.html"
    danger = False

    def get(self, request: HttpRequest, pk: UUID) -> HttpResponse:
        self._there()
        return self.page(form=self.form_class())

    def post(self, request: HttpRequest, pk: UUID) -> HttpResponse:
        self._there()
        form = self.form_class(request.POST)
        if not form.is_valid():
            return self.page(form=form, status=422)
        try:
            return self.act(form.cleaned_data["reason"])
        except UnknownContact as gone:  # in just this moment
            raise Http404 from gone

    def act(self, reason: str) -> HttpResponse:
        raise NotImplementedError

    def _there(self) -> None:
        if self.contact.merged_into_id or self.contact.erased_at:
            raise Http404

    def get_context_data(self, **kwargs: Any) -> dict[str, Any]:
        context = {
            "words": self.words,
            "button": self.button,
            "danger": self.danger,
            "back": person_url(self.contact.pk),
        }
        return {**super().get_context_data(**kwargs), **context}

    def get_page_subtitle(self) -> str:
        return ""

    def get_breadcrumbs_items(self) -> list[dict[str, Any]]:
        return self.below_her(self.page_title)

    @property
    def words(self) -> str:
        raise NotImplementedError

    @property
    def button(self) -> str:
        raise NotImplementedError


class ExportView(RightView):
    """Her data as a file."""

    action = may.EXPORT
    page_title = gettext_lazy("Export her data")

    @property
    def words(self) -> str:
        return _(
            "Everything that is held of her, as JSON and CSV: for her alone. Give it to nobody of whom you do not know that it "
            "is she."
        )

    @property
    def button(self) -> str:
        return _("Download the file")

    def act(self, reason: str) -> HttpResponse:
        data = rights.export_for_staff(self.contact.pk, self.request.user, reason)
        response = HttpResponse(rights.as_zip(data), content_type="application/zip")
        response["Content-Disposition"] = 'attachment; filename="person.zip"'
        response["Cache-Control"] = "no-store, private"
        return response


class EraseView(RightView):
    """Forgetting her."""

    action = may.ERASE
    form_class = EraseForm
    page_title = gettext_lazy("Erase her data")
    danger = True

    @property
    def words(self) -> str:
        told = ", ".join(sorted(delivery.heard_of(self.contact.pk)))
        text = _(
            "Her address, her profile and every personal value of her records go at once, and cannot be brought back. A keyed "
            "digest of her address stays, so that nobody writes to her by mistake."
        )
        return f"{text} {_('Told to forget her: %(platforms)s.') % {'platforms': told}}" if told else text

    @property
    def button(self) -> str:
        return _("Erase for good")

    def act(self, reason: str) -> HttpResponse:
        actor = Actor(ActorType.ADMIN, str(self.request.user.pk))
        rights.erase_for_staff(self.contact.pk, self.request.user, actor, Source(method="staff"), reason)
        messages.success(self.request, _("She is erased. Below is which platforms have followed."))
        return redirect("prefs_erasures:index")
