"""Contacts who may be one person: staff look at both side by side, see what a merge would come to, and say what they are.

For whoever may change people on their behalf, and of those people only. Addresses are masked, as everywhere; who has to
see one goes to the person's page.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from http import HTTPStatus
from typing import Any
from uuid import UUID
from zoneinfo import ZoneInfo

from django import forms
from django.conf import settings
from django.core.exceptions import PermissionDenied
from django.core.paginator import Paginator
from django.db import transaction
from django.db.models import Max, QuerySet
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

from ..concealed import readable
from ..contacts import rules, store
from ..contacts.addresses import masked
from ..contacts.models import Contact
from ..decisions import periods
from ..errors import UnknownContact
from ..rights import duplicates
from ..rights.duplicates import KINDS, Moved, Running, Settled
from ..rights.models import Duplicate, DuplicateScan
from ..submissions.rehearsal import Merging
from ..topics.models import Audience
from ..values import DISPUTED, ContactState, Source
from . import people, permissions as may, staff_log, staff_words as words
from .menu import SUBMENU_HOOK
from .on_behalf import actor_of
from .person_rights import ReasonForm
from .staff import StaffView, person_url

NAME = "prefs_duplicates"
PAGE = 25
#: Kinds of paths whose values are hers alone: only that there is one is shown.
_PERSONAL = {"attribute", "address", "notice"}
#: The kinds of paths, in the order in which they are listed.
_KINDS = (
    "erased", "merged_into", "suppressed", "opted_out", "choice", "pending", "frequency", "pause", "notice", "address",
    "attribute",
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class Line:
    """One thing that either of the two has said, or that becomes so: what stands with each, and after the merge."""

    label: str
    cells: tuple[str, str]
    after: str
    changes: bool  # for the one who stays


@dataclass(frozen=True, slots=True)
class Side:
    """One of the two."""

    contact: Contact
    state: ContactState
    address: str
    url: str
    stays: bool


def share(kinds: list[str]) -> str:
    """What two share, in words."""
    return "; ".join(str(KINDS[kind]) for kind in kinds if kind in KINDS)


def lines(
    sides: tuple[Side, Side], merging: Merging, labels: Mapping[str, str], zone: ZoneInfo
) -> list[Line]:
    """Everything that either says, as it holds now: what is about all first, then topics, limits, and what is hers alone."""
    now = timezone.now()
    first, second, after = (
        rules.recorded(rules.effective(state, now))
        for state in (sides[0].state, sides[1].state, merging.after)
    )
    before = first if sides[0].stays else second
    found = []
    order = {kind: number for number, kind in enumerate(_KINDS)}
    paths = first.keys() | second.keys() | after.keys()
    for path_ in sorted(
        paths,
        key=lambda one: (order.get(one.partition(":")[0], len(order)), words.path_words(one, labels), one),
    ):
        if path_.partition(":")[0] == "merged_into":
            continue
        cells = [_words(path_, held.get(path_), zone) for held in (first, second, after)]
        if _is_personal(path_) and path_ in first and path_ in second:
            same = first[path_] == second[path_]
            cells[1] = _("the same") if same else _("told in other words")
        found.append(
            Line(
                words.path_words(path_, labels),
                (cells[0], cells[1]),
                cells[2],
                changes=before.get(path_) != after.get(path_),
            )
        )
    return found


def _is_personal(path_: str) -> bool:
    return path_.partition(":")[0] in _PERSONAL


def _words(path_: str, held: tuple[Any, Any] | None, zone: ZoneInfo) -> str:
    if held is None:
        return "–"
    if _is_personal(path_):
        return _("told")
    value, until = held
    text = words.became(path_, value, zone)
    return f"{text}, {words.became('pause:', until.isoformat(), zone)}" if until else text


class DecideForm(ReasonForm):
    """What they are, on what was on the screen; `first` and `second` are the versions of both."""

    keep = forms.UUIDField(widget=forms.HiddenInput)
    first = forms.IntegerField(min_value=0, widget=forms.HiddenInput)
    second = forms.IntegerField(min_value=0, widget=forms.HiddenInput)


class DuplicatesView(StaffView):
    """What was found, and looking for more."""

    action = may.CHANGE
    page_title = gettext_lazy("Duplicates")
    header_icon = "copy"
    template_name = "wagtail_prefs/admin/duplicates/index.html"

    def get(self, request: HttpRequest) -> HttpResponse:
        return self.page()

    def get_context_data(self, **kwargs: Any) -> dict[str, Any]:
        audiences = list(_audiences(self.request.user))
        found = duplicates.open_pairs(audiences).select_related("audience").order_by("-found_at", "-pk")
        page = Paginator(found, PAGE).get_page(self.request.GET.get("p"))
        ids = {contact for pair in page.object_list for contact in (pair.first, pair.second)}
        people_ = Contact.objects.in_bulk(ids)
        newest = (
            DuplicateScan.objects.filter(audience__in=audiences).values("audience").annotate(last=Max("pk"))
        )
        scans = {
            scan.audience_id: scan for scan in DuplicateScan.objects.filter(pk__in=newest.values("last"))
        }
        return {
            **super().get_context_data(**kwargs),
            "pairs": [
                {
                    "url": reverse(f"{NAME}:pair", args=[pair.pk]),
                    "audience": pair.audience,
                    "people": [_masked(people_.get(pair.first)), _masked(people_.get(pair.second))],
                    "share": share(pair.kinds),
                    "found_at": pair.found_at,
                }
                for pair in page.object_list
            ],
            "listed": page,
            "audiences": [{"audience": one, "scan": scans.get(one.pk)} for one in audiences],
            "several": len(audiences) > 1,
        }

    def get_breadcrumbs_items(self) -> list[dict[str, Any]]:
        return [*self.breadcrumbs_items, {"url": "", "label": _("Duplicates")}]


def _audiences(user: Any) -> QuerySet[Audience]:
    """The audiences whose people the user may see and change."""
    return may.audiences(user, may.CHANGE).filter(pk__in=may.audiences(user, may.VIEW).values("pk"))


def _masked(contact: Contact | None) -> str:
    address = readable(contact, "email") if contact else ""
    return masked(address) if address else "–"


class ScanView(StaffView):
    """Begins or ends a scan of one audience; the worker carries it out."""

    action = may.CHANGE
    http_method_names = ["post"]

    def post(self, request: HttpRequest, pk: int) -> HttpResponse:
        audience = _audiences(request.user).filter(pk=pk).first()
        if audience is None:
            raise Http404
        if request.POST.get("do") == "stop":
            if duplicates.stop(audience):
                messages.success(request, _("Stopped. What was found stays."))
            return redirect(f"{NAME}:index")
        try:
            duplicates.start(audience, f"admin:{request.user.pk}")
        except Running:
            messages.warning(request, _("One is under way already."))
        else:
            messages.success(request, _("Begun. The worker goes on with it by itself."))
        return redirect(f"{NAME}:index")


class PairView(StaffView):
    """Two contacts side by side, and what is to become of them. What is of another site is not there."""

    action = may.CHANGE
    page_title = gettext_lazy("One person or two?")
    header_icon = "copy"
    template_name = "wagtail_prefs/admin/duplicates/pair.html"
    pair: Duplicate

    def dispatch(self, request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponseBase:
        policy = may.policy()
        if all(policy.user_has_permission(request.user, action) for action in self._actions):
            found = Duplicate.objects.select_related("audience").filter(pk=kwargs["pk"]).first()
            if found is None or not self._may(policy, found):
                raise Http404
            self.pair = found
        return super().dispatch(request, *args, **kwargs)

    def _may(self, policy: may.PeoplePolicy, pair: Duplicate) -> bool:
        self.contacts = Contact.objects.select_related("audience__site").in_bulk([pair.first, pair.second])
        allowed = [
            policy.user_has_permission_for_instance(self.request.user, action, contact)
            for contact in self.contacts.values()
            for action in (may.VIEW, may.CHANGE)
        ]
        return len(self.contacts) == 2 and all(allowed)

    def get(self, request: HttpRequest, pk: int) -> HttpResponse:
        if not self._is_open:
            return self._gone()
        answer = self._drawn()
        if answer.status_code == HTTPStatus.OK:
            for contact in self.contacts.values():
                staff_log.looked(contact, request.user)
        return answer

    def post(self, request: HttpRequest, pk: int) -> HttpResponse:
        if not self._is_open:
            return self._gone()
        form = DecideForm(request.POST)
        if not form.is_valid():
            return self._drawn(form, status=422)
        reason = form.cleaned_data["reason"]
        try:
            if request.POST.get("do") == "merge":
                return self._merge(form, reason)
            if request.POST.get("do") == "two":
                return self._tell_apart(reason)
        except (Settled, UnknownContact):
            return self._gone()
        raise PermissionDenied

    def _merge(self, form: DecideForm, reason: str) -> HttpResponse:
        keep, data = form.cleaned_data["keep"], form.cleaned_data
        if keep not in self.contacts:
            raise PermissionDenied
        versions = {self.pair.first: data["first"], self.pair.second: data["second"]}
        other = self.contacts[duplicates.other(self.pair, keep)]
        try:
            with transaction.atomic():
                saved = duplicates.merge(
                    self.pair,
                    keep,
                    versions,
                    actor=actor_of(self.request.user),
                    source=Source(method="staff", form_id="staff-merge"),
                    reason=reason,
                )
                receipt = saved.receipt or ""
                staff_log.merged(other, self.request.user, into=str(keep), receipt=receipt, reason=reason)
        except Moved:
            form.add_error(
                None,
                _(
                    "One of the two has changed in the meantime. Below is how it is now: please look again, then decide."
                ),
            )
            return self._drawn(form, status=409)
        messages.success(self.request, _("Merged. Her old links lead here from now on."))
        return redirect(person_url(keep))

    def _tell_apart(self, reason: str) -> HttpResponse:
        with transaction.atomic():
            duplicates.tell_apart(self.pair, actor=actor_of(self.request.user), reason=reason)
            for one, other in ((self.pair.first, self.pair.second), (self.pair.second, self.pair.first)):
                staff_log.told_apart(self.contacts[one], self.request.user, other=str(other), reason=reason)
        messages.success(self.request, _("Noted: two people. Nobody is asked about them again."))
        return redirect(f"{NAME}:index")

    # --- drawing -----------------------------------------------------------------------------------------------------

    def _drawn(self, form: DecideForm | None = None, *, status: int = 200) -> HttpResponse:
        loaded = {one.state.id: one for one in store.load_many([self.pair.first, self.pair.second])}
        keep = self._keep(form)
        try:
            merging = duplicates.rehearse(self.pair, keep, actor_of(self.request.user))
        except UnknownContact:  # in just this moment
            return self._gone()
        both = (self._side(loaded[self.pair.first], keep), self._side(loaded[self.pair.second], keep))
        topics = people.offered(self.contacts[keep])
        labels = {topic.key: str(topic) for topic in topics}
        zone = periods.zone(merging.before.timezone, settings.TIME_ZONE)
        now = {"keep": str(keep), "first": both[0].state.version, "second": both[1].state.version}
        if form is None:
            form = DecideForm(initial=now)
        else:  # what was typed stays; what was decided on is what is shown now
            form.data = {
                **form.data,
                "reason": form.data.get("reason", ""),
                **{name: str(value) for name, value in now.items()},
            }
        return self.page(
            status=status,
            pair=self.pair,
            sides=both,
            other=duplicates.other(self.pair, keep),
            share=share(self.pair.kinds),
            lines=lines(both, merging, labels, zone),
            disputed=merging.after.country == DISPUTED != merging.before.country,
            stays_behind=sorted(words.path_words(one.path, labels) for one in merging.yielded),
            form=form,
            back=reverse(f"{NAME}:index"),
        )

    def _keep(self, form: DecideForm | None) -> UUID:
        """Who stays: as was asked for, else who has said more, else who is known longer."""
        asked = (form.data if form else self.request.GET).get("keep", "")
        for contact in self.contacts:
            if str(contact) == asked:
                return UUID(asked)
        found = max(self.contacts.values(), key=lambda one: (one.version, -one.created_at.timestamp()))
        return UUID(str(found.pk))

    def _side(self, loaded: store.Loaded, keep: UUID) -> Side:
        pk = loaded.state.id
        return Side(self.contacts[pk], loaded.state, _masked(self.contacts[pk]), person_url(pk), pk == keep)

    @cached_property
    def _is_open(self) -> bool:
        live = all(one.merged_into_id is None and one.erased_at is None for one in self.contacts.values())
        return live and self.pair.outcome == ""

    def _gone(self) -> HttpResponse:
        messages.warning(self.request, _("This is settled already, or one of the two is gone."))
        return redirect(f"{NAME}:index")

    def get_breadcrumbs_items(self) -> list[dict[str, Any]]:
        index = {"url": reverse(f"{NAME}:index"), "label": _("Duplicates")}
        return [*self.breadcrumbs_items, index, {"url": "", "label": self.get_page_title()}]


class DuplicatesMenuItem(MenuItem):
    def is_shown(self, request: HttpRequest) -> bool:
        return all(
            may.policy().user_has_permission(request.user, action) for action in (may.VIEW, may.CHANGE)
        )


class DuplicatesViewSet(ViewSet):
    """The list, a pair, and the scans."""

    name = NAME
    icon = "copy"
    menu_label = gettext_lazy("Duplicates")
    menu_order = 704
    menu_hook = SUBMENU_HOOK
    menu_item_class = DuplicatesMenuItem

    def get_urlpatterns(self) -> list[URLPattern]:
        return [
            path("", self.construct_view(DuplicatesView), name="index"),
            path("<int:pk>/", self.construct_view(PairView), name="pair"),
            path("scan/<int:pk>/", self.construct_view(ScanView), name="scan"),
        ]
