"""What somebody of the staff does for a person who wrote: hand out her data, and forget her. And how far that is."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID

from django import forms
from django.core.exceptions import PermissionDenied
from django.core.paginator import Paginator
from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import redirect
from django.urls import URLPattern, path, reverse
from django.utils import timezone
from django.utils.translation import gettext as _, gettext_lazy, pgettext
from wagtail.admin import messages
from wagtail.admin.menu import MenuItem
from wagtail.admin.viewsets.base import ViewSet

from ..delivery import services as delivery
from ..errors import UnknownContact
from ..rights import erasure, services as rights
from ..rights.erasure import Step
from ..rights.models import Erasure
from ..values import Actor, ActorType, Source
from . import permissions as may
from .menu import SUBMENU_HOOK
from .on_behalf_form import refuse_address
from .staff import NAME, PersonView, StaffView, person_url

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
            "word": wanted_word()
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


@dataclass(frozen=True, slots=True)
class Line:
    """One platform of one account."""

    alias: str
    words: str
    at: datetime
    stuck: bool
    over: bool


class ErasuresView(StaffView):
    """Who was erased, and which platforms have followed. By ids only."""

    action = may.ERASE
    page_title = gettext_lazy("Erasures")
    header_icon = "bin"
    template_name = "wagtail_prefs/admin/erasures/index.html"

    def get(self, request: HttpRequest) -> HttpResponse:
        return self.page()

    def get_context_data(self, **kwargs: Any) -> dict[str, Any]:
        everybodys = self.request.GET.get("show") == "all"
        found = Erasure.objects.filter(audience__in=may.audiences(self.request.user, may.ERASE))
        if not everybodys:
            found = found.filter(done_at=None)
        page = Paginator(found.select_related("audience").order_by("-at"), PAGE).get_page(
            self.request.GET.get("p")
        )
        now = timezone.now()
        accounts = [
            {"account": one, "lines": _lines(one), "late": one.done_at is None and one.due_at <= now}
            for one in page.object_list
        ]
        return {**super().get_context_data(**kwargs), "accounts": accounts, "listed": page, "all": everybodys}

    def get_breadcrumbs_items(self) -> list[dict[str, Any]]:
        return [*self.breadcrumbs_items, {"url": "", "label": _("Erasures")}]


class ByHandView(StaffView):
    """Note that she was deleted at a platform by other means."""

    action = may.ERASE
    http_method_names = ["post"]

    def post(self, request: HttpRequest, pk: UUID, alias: str) -> HttpResponse:
        account = Erasure.objects.select_related("audience").filter(pk=pk).first()
        if account is None or account.audience not in may.audiences(request.user, may.ERASE):
            raise Http404
        if not may.policy().user_has_permission(request.user, may.ERASE):
            raise PermissionDenied
        if erasure.settle_by_hand(account, alias, f"admin:{request.user.pk}"):
            messages.success(
                request, _("Noted: she was deleted at %(platform)s by hand.") % {"platform": alias}
            )
        else:
            messages.warning(request, _("There is nothing to note for %(platform)s.") % {"platform": alias})
        return redirect("prefs_erasures:index")


def _lines(account: Erasure) -> list[Line]:
    return [
        Line(
            alias,
            str(STEPS[Step(entry["state"])]),
            datetime.fromisoformat(entry["at"]),
            entry["state"] in erasure.STUCK,
            entry["state"] in erasure.OVER,
        )
        for alias, entry in sorted(account.backends.items())
    ]


class ErasuresMenuItem(MenuItem):
    def is_shown(self, request: HttpRequest) -> bool:
        return all(may.policy().user_has_permission(request.user, action) for action in (may.VIEW, may.ERASE))


class ErasuresViewSet(ViewSet):
    """The accounts of erasures."""

    name = "prefs_erasures"
    icon = "bin"
    menu_label = gettext_lazy("Erasures")
    menu_order = 705
    menu_hook = SUBMENU_HOOK
    menu_item_class = ErasuresMenuItem

    def get_urlpatterns(self) -> list[URLPattern]:
        return [
            path("", self.construct_view(ErasuresView), name="index"),
            path("<uuid:pk>/<slug:alias>/", self.construct_view(ByHandView), name="by-hand"),
        ]


def urls_of(contact: UUID) -> dict[str, str]:
    """The two forms about one person."""
    return {name: reverse(f"{NAME}:{name}", args=[contact]) for name in ("export", "erase")}
