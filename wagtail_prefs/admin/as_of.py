"""A person as she stood at a moment: what held, which record made it so, which law was applied, and the page she saw."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any
from uuid import UUID

from django import forms
from django.http import Http404, HttpRequest, HttpResponse
from django.http.response import HttpResponseBase
from django.shortcuts import render
from django.utils import timezone
from django.utils.decorators import method_decorator
from django.utils.functional import cached_property
from django.utils.translation import gettext as _, gettext_lazy, ngettext
from wagtail.log_actions import log
from wagtail.utils.decorators import xframe_options_sameorigin_override

from ..centers.drawing import draw
from ..centers.texts import texts
from ..law import services as law
from ..ledger.as_of import Held, Then, as_of
from ..ledger.fold import Broken, Gone
from ..ledger.models import Record
from ..ledger.services import is_personal, read_body
from ..ledger.standing import chain
from ..rights.evidence import evidence, page_of
from ..rights.services import EXPORTED
from ..topics.models import Topic
from ..values import Actor, ActorType, Json, Key
from . import people, permissions as may, staff_log, staff_words as words
from .person_rights import RightView
from .staff import PersonView

#: The old page can do nothing: no script, no form, and nobody else may frame it.
PAGE_POLICY = "sandbox; script-src 'none'; form-action 'none'; base-uri 'none'; frame-ancestors 'self'"

REASONS = {
    "known": gettext_lazy("her country was known"),
    "unknown": gettext_lazy("her country was unknown, so the strictest"),
    "uncertain": gettext_lazy("nothing sure is known of her country, so the strictest"),
}


MODELS = {
    "opt_in": gettext_lazy("Advertising took a yes."),
    "opt_in_soft": gettext_lazy("Advertising took a yes, or a purchase for what is alike."),
    "opt_out": gettext_lazy("Advertising was allowed until she said no."),
}
BASES: Mapping[str, Any] = dict(Topic.Basis.choices)


class MomentForm(forms.Form):
    """When; in the time zone of whoever asks."""

    date = forms.DateField(
        label=gettext_lazy("Date"), widget=forms.DateInput(format="%Y-%m-%d", attrs={"type": "date"})
    )
    time = forms.TimeField(
        label=gettext_lazy("Time"), widget=forms.TimeInput(format="%H:%M", attrs={"type": "time"})
    )

    def clean(self) -> dict[str, Any]:
        given: dict[str, Any] = super().clean() or {}
        if "date" in given and "time" in given:
            try:
                given["at"] = timezone.make_aware(datetime.combine(given["date"], given["time"]))
            except (ValueError, OverflowError) as never:
                raise forms.ValidationError(_("There is no such moment.")) from never
        return given


@dataclass(frozen=True, slots=True)
class Line:
    """One thing that held, in words; `number` is that of the record behind it."""

    label: str
    value: str
    until: datetime | None
    number: int


@dataclass(frozen=True, slots=True)
class Square:
    """A topic by a channel; `number` is that of the record behind it, None where there was none."""

    cell: people.Cell
    number: int | None


@dataclass(frozen=True, slots=True)
class Behind:
    """A record, and what held by it then."""

    record: Record
    by: str
    lines: tuple[Line, ...]
    law: str
    rules: tuple[str, ...]  # those of the file of that date; none where the file is another one by now
    version: str
    bases: tuple[str, ...]
    evidence: str
    language: str
    has_page: bool


class TitledView(PersonView):
    """What it is stands in its head, and not her id."""

    def get_page_subtitle(self) -> str:
        return ""

    def get_breadcrumbs_items(self) -> list[dict[str, Any]]:
        return self.below_her(self.page_title)


class ThenView(TitledView):
    """Her state at a moment. By GET: it can be linked to, and changes nothing."""

    page_title = gettext_lazy("As of a date")
    header_icon = "history"
    template_name = "wagtail_prefs/admin/contacts/then.html"

    def get(self, request: HttpRequest, pk: UUID) -> HttpResponse:
        staff_log.looked(self.contact, request.user)
        now = timezone.localtime()
        asked = "date" in request.GET
        form = MomentForm(request.GET if asked else None, initial={"date": now.date(), "time": now.time()})
        at = form.cleaned_data["at"] if asked and form.is_valid() else None if asked else now
        context: dict[str, Any] = {"then": None, "broken": False}
        if at is not None:
            try:
                context = self._then(at)
            except (ValueError, KeyError, TypeError):
                context["broken"] = True
        return self.page(
            form=form, at=at, zone=timezone.get_current_timezone_name(), may_export=self.allowed(may.EXPORT),
            contact=self.contact, **context,
        )  # fmt: skip

    def _then(self, at: datetime) -> dict[str, Any]:
        then, person = as_of(self.contact.pk, at), self.person()
        bodies = {held.record.pk: read_body(held.record) for held in then.held.values()}
        staff = people.names(
            str(body["actor"]["id"])
            for body in bodies.values()
            if body["actor"]["type"] == ActorType.ADMIN.value
        )
        lines = {path: _line(held, person) for path, held in sorted(then.held.items())}
        by_record: dict[int, list[str]] = {}
        for path, line in lines.items():
            by_record.setdefault(line.number, []).append(path)
        return {
            "then": then,
            "chain": chain(self.contact.pk, then.version) if then.version else None,
            "person": person,
            "rows": _grid(then, person),
            "others": [line for path, line in lines.items() if not path.startswith(("choice:", "pending:"))],
            "behind": [
                _behind(then.held[paths[0]].record, bodies, [lines[path] for path in paths], paths, staff)
                for _number, paths in sorted(by_record.items(), reverse=True)
            ],
        }


def _grid(then: Then, person: people.Person) -> list[tuple[people.Row, list[Square]]]:
    """What she had chosen, topics by channels, as her page shows what she chooses now."""
    choices, pending, until = dict[Key, str](), set[Key](), dict[Key, datetime]()
    numbers: dict[Key, int] = {}
    for path, held in then.held.items():
        kind, _colon, rest = path.partition(":")
        if kind in {"choice", "pending"}:
            topic, _colon, channel = rest.rpartition(":")
            key = topic, channel
            if kind == "choice" and isinstance(held.value, str):
                choices[key] = held.value
            elif kind == "pending" and held.value:
                pending.add(key)
            if held.until:
                until[key] = held.until
            numbers[key] = max(numbers.get(key, 0), held.record.seq)
    state = replace(person.state, choices=choices, pending=frozenset(pending), until=until)
    was = replace(person, target=replace(person.target, state=state), at=then.at)
    return [
        (
            row,
            [
                Square(cell, numbers.get((row.key, channel)))
                for channel, cell in zip(was.channels, row.cells, strict=True)
            ],
        )
        for row in was.rows
    ]


def _line(held: Held, person: people.Person) -> Line:
    return Line(
        label=words.path_words(held.path, person.labels),
        value=_value(held, person),
        until=held.until,
        number=held.record.seq,
    )


def _behind(
    record: Record,
    bodies: Mapping[UUID, Json],
    lines: Sequence[Line],
    paths: Sequence[str],
    staff: Mapping[str, str],
) -> Behind:
    body = bodies[record.pk]
    actor = Actor(ActorType(body["actor"]["type"]), body["actor"]["id"])
    applied = body.get("law") or {}
    bases = [one["lawful_basis"] for one in body["effects"] if one["path"] in paths]
    return Behind(
        record=record,
        by=words.actor_words(actor, body["method"], staff),
        lines=tuple(lines),
        law=_law(body),
        rules=tuple(_rules(body["jurisdiction"] or "", applied.get("version", ""))),
        version=applied.get("version", ""),
        bases=tuple(dict.fromkeys(str(BASES.get(basis, basis)) for basis in bases if basis)),
        evidence=body["evidence_ref"] or "",
        language=body["language"] or "",
        has_page=bool(body["form_version"]),
    )


def _value(held: Held, person: people.Person) -> str:
    """Never what is personal: that there was something, or that it is erased."""
    if isinstance(held.value, Broken):
        return _("Not as it was written: somebody has changed it.")
    if isinstance(held.value, Gone):
        return _("Erased since")
    if held.ended:
        return _("Ended by itself")
    kind = held.path.partition(":")[0]
    if is_personal(held.path):
        return _("There was one")
    if kind == "notice":
        return _("Read (%(hash)s)") % {"hash": held.value}
    if kind in {"merged_into", "erased"}:
        return _("yes")
    return words.became(held.path, held.value, person.zone)


def _law(body: Json) -> str:
    """Which rules were applied and why, as the record itself says."""
    place = body["jurisdiction"] or _("no country")
    applied = body.get("law")
    if not applied:
        return place
    return _("%(place)s: %(reason)s (rules of %(version)s)") % {
        "place": place,
        "reason": REASONS.get(applied["reason"], applied["reason"]),
        "version": applied["version"],
    }


def _rules(jurisdiction: str, version: str) -> Iterator[str]:
    """What the law asked for, in full; nothing where the file of that date is not the one that is here."""
    current = law.current()
    if not version or current.version != version:
        return
    entry = current.jurisdictions.get(jurisdiction)
    codes = [jurisdiction, *(entry.applies_to if entry else ())]
    rules = next((one for one in map(current.rules_for, codes) if one.jurisdiction == jurisdiction), None)
    if rules is None:
        return
    yield str(MODELS[rules.model])
    yield (
        _("A yes had to be confirmed by mail.")
        if rules.double_opt_in
        else _("A yes needed no confirmation by law.")
    )
    yield (
        _("A box could be ticked beforehand.")
        if rules.preticked_allowed
        else _("No box could be ticked beforehand.")
    )
    if rules.honour_hours:
        yield ngettext(
            "A no had to have reached every sender within %(hours)s hour.",
            "A no had to have reached every sender within %(hours)s hours.",
            rules.honour_hours,
        ) % {"hours": rules.honour_hours}
    else:
        yield _("A no had to reach every sender at once.")
    soft = rules.model == "opt_in_soft"  # nowhere else is a purchase worth anything
    for months, text in (
        (
            rules.sale_months if soft else None,
            gettext_lazy("After a purchase she could be written to for %(months)s months."),
        ),
        (
            rules.inquiry_months if soft else None,
            gettext_lazy("After an inquiry she could be written to for %(months)s months."),
        ),
        (
            rules.reask_months or None,
            gettext_lazy("After a no she could not be asked again for %(months)s months."),
        ),
    ):
        if months is not None:
            yield text % {"months": months}


class RecordView(TitledView):
    """About one record of hers."""

    record_id: UUID

    def dispatch(self, request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponseBase:
        self.record_id = kwargs.pop("record")
        return super().dispatch(request, *args, **kwargs)

    @cached_property
    def record(self) -> Record:
        """404 for a record of somebody else, as for one that is not there."""
        found = Record.objects.filter(pk=self.record_id, contact_ref=self.contact.pk).first()
        if found is None:
            raise Http404
        return found


class SeenView(RecordView):
    """The page that a record was made on: how it looked, and every text with its hash."""

    page_title = gettext_lazy("What she saw")
    header_icon = "view"
    template_name = "wagtail_prefs/admin/contacts/seen.html"

    def get(self, request: HttpRequest, pk: UUID) -> HttpResponse:
        snapshot, body = page_of(self.record), read_body(self.record)
        staff_log.looked(self.contact, request.user)
        actor = Actor(ActorType(body["actor"]["type"]), body["actor"]["id"])
        staff = people.names([str(actor.id)]) if actor.type is ActorType.ADMIN else {}
        return self.page(
            contact=self.contact,
            record=self.record,
            snapshot=snapshot,
            texts=texts(snapshot) if snapshot else (),
            notice=body["notice_sha256"],
            evidence=body["evidence_ref"],
            by=words.actor_words(actor, body["method"], staff),
        )


@method_decorator(xframe_options_sameorigin_override, name="dispatch")
class SeenPageView(RecordView):
    """The old page itself, to be read in a frame."""

    def get(self, request: HttpRequest, pk: UUID) -> HttpResponse:
        staff_log.looked(self.contact, request.user)
        context: dict[str, Any] = {"form": None}
        if snapshot := page_of(self.record):
            # She had her link; whoever reads this has none, and is not told to get one.
            labels = {**snapshot.document["labels"], "open_link": ""}
            context = {
                "form": draw({**snapshot.document, "labels": labels}, None),
                "lang": snapshot.locale,
                "dir": snapshot.direction,
            }
        answer = render(request, "wagtail_prefs/seen_page.html", context)
        answer["Content-Security-Policy"] = PAGE_POLICY
        return answer


class EvidenceView(RecordView, RightView):
    """A record with everything that proves it, as a file. Of those who are erased, too: that is when it is asked for."""

    action = may.EXPORT
    page_title = gettext_lazy("Evidence of a record")

    def _there(self) -> None:
        self.record  # noqa: B018 - 404 before anything else

    @property
    def words(self) -> str:
        return _(
            "The record to the letter, its seal and its receipt, the personal values that are still there, and every text of the "
            "page that she saw."
        )

    @property
    def button(self) -> str:
        return _("Download the file")

    def act(self, reason: str) -> HttpResponse:
        data = json.dumps(evidence(self.record), ensure_ascii=False, indent=2, sort_keys=True)
        log(
            self.contact,
            EXPORTED,
            user=self.request.user,
            data={"by": "staff", "reason": reason, "record": str(self.record.pk)},
        )
        response = HttpResponse(data + "\n", content_type="application/json")
        response["Content-Disposition"] = 'attachment; filename="evidence.json"'
        response["Cache-Control"] = "no-store, private"
        return response
