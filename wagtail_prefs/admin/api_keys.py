"""Keys for programs: listed, made, and revoked. A new one is shown on one page, once.

Whoever makes a key gives away what it may do with everybody of an audience, so that each of the three has a permission
of its own, for all sites or for one. The audit log names who made and revoked which, and holds nothing of a key.
"""

from __future__ import annotations

from datetime import date, datetime, timedelta
from typing import Any

from django import forms
from django.contrib.admin.utils import quote
from django.core.exceptions import PermissionDenied
from django.db import transaction
from django.db.models import QuerySet
from django.http import Http404, HttpRequest
from django.http.response import HttpResponseBase
from django.shortcuts import redirect
from django.urls import URLPattern, path, reverse
from django.utils import timezone
from django.utils.functional import cached_property
from django.utils.translation import gettext as _, gettext_lazy
from django.views.decorators.debug import sensitive_variables
from django.views.generic import View
from wagtail.admin import messages
from wagtail.admin.menu import MenuItem
from wagtail.admin.ui.tables import Column, DateColumn
from wagtail.admin.views.generic.base import WagtailAdminTemplateMixin
from wagtail.admin.viewsets.model import ModelViewSet
from wagtail.admin.widgets import AdminDateInput
from wagtail.admin.widgets.button import Button
from wagtail.log_actions import LogActionRegistry, LogFormatter, log

from ..access import api_keys
from ..access.api_keys import KeyState, Scope
from ..access.models import ApiKey
from ..topics.models import Audience
from . import permissions as may
from .deliveries import ReadOnlyIndexView
from .menu import SUBMENU_HOOK

NAME = "prefs_api_keys"
MADE = "wagtail_prefs.apikey.make"
REVOKED = "wagtail_prefs.apikey.revoke"
#: How long a key works that nobody gave another end.
DAYS = 365


class KeyForm(forms.Form):
    """What a key is for, and how long it works."""

    name = forms.CharField(
        label=gettext_lazy("Name"),
        help_text=gettext_lazy("What uses it: the name of the program."),
        max_length=255,
    )
    audience = forms.ModelChoiceField(
        Audience.objects.none(), label=gettext_lazy("Audience"), empty_label=None
    )
    scopes = forms.MultipleChoiceField(
        label=gettext_lazy("What it may do"),
        choices=Scope.choices,
        widget=forms.CheckboxSelectMultiple,
        help_text=gettext_lazy(
            "No more than it needs: whoever has the key may do this with everybody of the audience."
        ),
    )
    expires = forms.DateField(
        label=gettext_lazy("Works until"),
        required=False,
        widget=AdminDateInput,
        help_text=gettext_lazy("The day on which it ends. Without one it works until it is revoked."),
    )

    def __init__(self, data: Any = None, *, audiences: QuerySet[Audience]) -> None:
        super().__init__(data, initial={"expires": timezone.localdate() + timedelta(days=DAYS)})
        field: Any = self.fields["audience"]
        field.queryset = audiences
        if len(audiences) == 1:
            field.initial = audiences[0].pk
            field.widget = forms.HiddenInput()

    def clean_expires(self) -> datetime | None:
        """The beginning of that day, where the user is."""
        day: date | None = self.cleaned_data["expires"]
        if day is None:
            return None
        if day <= timezone.localdate():
            raise forms.ValidationError(_("Choose a day that is to come."))
        return timezone.make_aware(datetime(day.year, day.month, day.day))  # noqa: DTZ001 - made aware


class KeyView(WagtailAdminTemplateMixin, View):
    """What the pages share: who may see keys, and that no page is kept by a browser."""

    action = "view"
    header_icon = "key"
    http_method_names = ["get", "head", "post"]

    def dispatch(self, request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponseBase:
        policy = may.key_policy()
        if not all(policy.user_has_permission(request.user, action) for action in ("view", self.action)):
            raise PermissionDenied
        response: HttpResponseBase = super().dispatch(request, *args, **kwargs)
        response["Cache-Control"] = "private, no-store"
        return response

    def page(self, **context: Any) -> HttpResponseBase:
        found: HttpResponseBase = self.render_to_response(self.get_context_data(**context))
        return found

    def get_breadcrumbs_items(self) -> list[dict[str, Any]]:
        return [
            *self.breadcrumbs_items,
            {"url": reverse(f"{NAME}:index"), "label": _("API keys")},
            {"url": "", "label": self.get_page_title()},
        ]


class MakeView(KeyView):
    """A form; and behind it the one page that has the key."""

    action = "add"
    page_title = gettext_lazy("New API key")

    def get(self, request: HttpRequest) -> HttpResponseBase:
        return self._draw(self._form())

    @sensitive_variables("key", "shown")
    def post(self, request: HttpRequest) -> HttpResponseBase:
        form = self._form(request.POST)
        if not form.is_valid():
            return self._draw(form)
        given = form.cleaned_data
        with transaction.atomic():
            row, key = api_keys.make(
                given["name"], given["audience"], given["scopes"], given["expires"], request.user
            )
            log(row, MADE, user=request.user, data={"scopes": row.scopes})
        # In this answer and nowhere else: a session or a message would keep it in a table.
        self.template_name = "wagtail_prefs/admin/api_keys/made.html"
        return self.page(key=key, row=row, scopes=api_keys.scope_labels(row))

    def _form(self, data: Any = None) -> KeyForm:
        policy = may.key_policy()
        seen = may.audiences(self.request.user, "view", policy).values("pk")
        return KeyForm(data, audiences=may.audiences(self.request.user, "add", policy).filter(pk__in=seen))

    def _draw(self, form: KeyForm) -> HttpResponseBase:
        self.template_name = "wagtail_prefs/admin/api_keys/make.html"
        return self.page(form=form if form.fields["audience"].queryset else None)  # type: ignore[attr-defined]


class RevokeView(KeyView):
    """What ends, and the button."""

    action = "change"
    page_title = gettext_lazy("Revoke API key")
    template_name = "wagtail_prefs/admin/api_keys/revoke.html"
    row: ApiKey

    def dispatch(self, request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponseBase:
        policy = may.key_policy()
        if policy.user_has_permission(request.user, "view"):
            row = ApiKey.objects.select_related("audience", "made_by").filter(pk=kwargs["pk"]).first()
            if row is None or not policy.user_has_permission_for_instance(request.user, "view", row):
                raise Http404
            if not policy.user_has_permission_for_instance(request.user, self.action, row):
                raise PermissionDenied
            self.row = row
        return super().dispatch(request, *args, **kwargs)

    def get(self, request: HttpRequest, pk: str) -> HttpResponseBase:
        if api_keys.state_of(self.row) is KeyState.REVOKED:
            return redirect(f"{NAME}:index")
        return self.page(row=self.row, scopes=api_keys.scope_labels(self.row))

    def post(self, request: HttpRequest, pk: str) -> HttpResponseBase:
        with transaction.atomic():
            if api_keys.revoke(self.row):
                log(self.row, REVOKED, user=request.user)
        messages.success(request, _("The key “%(name)s” is revoked.") % {"name": self.row.name})
        return redirect(f"{NAME}:index")


class KeyIndexView(ReadOnlyIndexView):
    """The keys of one's audiences, without their secrets."""

    def get_base_queryset(self) -> QuerySet[ApiKey]:
        return super().get_base_queryset().select_related("audience", "made_by")

    def get_list_more_buttons(self, instance: ApiKey) -> list[Button]:
        policy = may.key_policy()
        if api_keys.state_of(instance) is KeyState.REVOKED or not policy.user_has_permission_for_instance(
            self.request.user, "change", instance
        ):
            return []
        url = reverse(f"{NAME}:revoke", args=[quote(instance.pk)])
        return [Button(_("Revoke"), url=url, icon_name="circle-xmark", priority=10)]

    @cached_property
    def add_item_label(self) -> str:
        return _("Make a key")


def _scopes(row: ApiKey) -> str:
    return ", ".join(api_keys.scope_labels(row))


def _made_by(row: ApiKey) -> str:
    return str(row.made_by) if row.made_by else "-"


def _state(row: ApiKey) -> str:
    return str(api_keys.state_of(row).label)


class KeyMenuItem(MenuItem):
    def is_shown(self, request: HttpRequest) -> bool:
        return bool(may.key_policy().user_has_permission(request.user, "view"))


class ApiKeyViewSet(ModelViewSet):
    """The screens of keys. Nobody edits or deletes one: it is revoked, and its row says so."""

    model = ApiKey
    name = NAME
    icon = "key"
    menu_label = gettext_lazy("API keys")
    menu_order = 850
    menu_hook = SUBMENU_HOOK
    menu_item_class = KeyMenuItem
    form_fields: list[str] = []
    index_view_class = KeyIndexView
    copy_view_enabled = False
    add_to_reference_index = False
    ordering = ["-made_at", "pk"]
    list_filter = None
    list_display = [
        "name",
        Column("pk", label=gettext_lazy("Id")),
        Column(_scopes, label=gettext_lazy("What it may do")),
        Column("audience", label=gettext_lazy("Audience")),
        Column(_made_by, label=gettext_lazy("Made by")),
        DateColumn("last_used_at", label=gettext_lazy("Last used"), sort_key="last_used_at"),
        DateColumn("expires_at", label=gettext_lazy("Expires"), sort_key="expires_at"),
        Column(_state, label=gettext_lazy("State")),
    ]

    def get_urlpatterns(self) -> list[URLPattern]:
        lists = [
            pattern for pattern in super().get_urlpatterns() if pattern.name in {"index", "index_results"}
        ]
        return [
            *lists,
            path("make/", self.construct_view(MakeView), name="add"),
            path("<str:pk>/revoke/", self.construct_view(RevokeView), name="revoke"),
        ]


def register_actions(actions: LogActionRegistry) -> None:
    """For the hook `register_log_actions`."""

    @actions.register_action(MADE)
    class MadeFormatter(LogFormatter):
        label = gettext_lazy("Make an API key")

        def format_message(self, log_entry: Any) -> str:
            return _("Made an API key that may: %(scopes)s") % {
                "scopes": ", ".join(log_entry.data.get("scopes", []))
            }

    actions.register_action(REVOKED, gettext_lazy("Revoke an API key"), gettext_lazy("Revoked the API key"))
