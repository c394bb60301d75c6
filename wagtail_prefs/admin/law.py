"""The rules by the recipient's country, as staff read them: what holds where, what decided it, and what merely informs.

Research with its sources, and no legal advice. For those who may see results or change topics. Nothing here is about a
person, and nothing can be changed: another file of the site replaces the shipped one.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

from django.core.exceptions import PermissionDenied
from django.http import Http404, HttpRequest, HttpResponse
from django.http.response import HttpResponseBase
from django.urls import URLPattern, path, reverse
from django.utils import timezone
from django.utils.functional import cached_property
from django.utils.translation import gettext as _, gettext_lazy, ngettext
from django.views.generic import View
from wagtail.admin.menu import MenuItem
from wagtail.admin.views.generic.base import WagtailAdminTemplateMixin
from wagtail.admin.viewsets.base import ViewSet

from ..conf import conf
from ..law import services as law
from ..law.countries import country_of, normal
from ..law.rules import MODELS, hours_of
from ..law.services import BadLaw, Fact, Jurisdiction, Law, Rules
from .mails import may_look
from .menu import SUBMENU_HOOK

NAME = "prefs_law"
_WEB = re.compile(r"https?://[^\s<>\"']+")
#: Stands for every place of which the file says nothing.
ELSEWHERE = "unknown"

MODEL_WORDS = {
    "opt_in": gettext_lazy("Only with a yes"),
    "opt_in_soft": gettext_lazy("Only with a yes, but for customers"),
    "opt_out": gettext_lazy("Until a no"),
}
CONFIDENCE_WORDS = {
    "high": gettext_lazy("high"),
    "medium": gettext_lazy("medium"),
    "low": gettext_lazy("low"),
}
#: Facts that can decide; what the others are called stands in the file.
FACT_WORDS = {
    "model": gettext_lazy("Who may be written to"),
    "honour": gettext_lazy("Opt-out within"),
    "double_opt_in": gettext_lazy("Confirmation of the address"),
    "preticked_allowed": gettext_lazy("Boxes that are ticked already"),
    "soft_opt_in_months": gettext_lazy("Customers without a yes"),
    "reask_wait_months": gettext_lazy("Asking again after a no"),
}
REASONS = {
    "unknown": gettext_lazy(
        "The file says nothing of this place, so the strictest of everything in it holds."
    ),
    "uncertain": gettext_lazy(
        "Nobody is sure of what the file says of this place, so the strictest of everything in it holds."
    ),
}


@dataclass(frozen=True, slots=True)
class Row:
    """A place in the list."""

    code: str
    name: str
    says: str
    sure: bool
    model: str
    double_opt_in: str
    within: str
    url: str


@dataclass(frozen=True, slots=True)
class Applied:
    """A rule that holds for a place, and what decided it."""

    label: str
    words: str
    by: str


@dataclass(frozen=True, slots=True)
class Cited:
    """Where a fact comes from; `url` only where it is an address that a browser may follow."""

    words: str
    url: str


@dataclass(frozen=True, slots=True)
class Line:
    """A fact of the file."""

    label: str
    words: str
    decides: bool
    confidence: str
    sources: tuple[Cited, ...]
    note: str


def yes_no(value: object) -> str:
    return _("yes") if value else _("no")


def within(hours: int | None) -> str:
    """How soon an opt-out must hold; None where the law names no number."""
    if hours is None:
        return _("without a number")
    if hours == 0:
        return _("at once")
    return ngettext("%(number)d hour", "%(number)d hours", hours) % {"number": hours}


def months(number: int | None) -> str:
    return ngettext("%(number)d month", "%(number)d months", number or 0) % {"number": number or 0}


def fact_words(fact: Fact) -> str:
    """The value of a fact; what is none of ours stands as in the file."""
    value = fact.value
    if fact.name == "model" and value in MODEL_WORDS:
        return str(MODEL_WORDS[value])
    if fact.name == "honour" and isinstance(value, dict):
        return within(hours_of(value))
    if fact.name == "soft_opt_in_months" and isinstance(value, dict) and any(value.values()):
        after = {"sale": _("Customers after a purchase"), "inquiry": _("Customers after an inquiry")}
        return "; ".join(f"{words}: {months(value[key])}" for key, words in after.items() if value.get(key))
    if isinstance(value, bool):
        return yes_no(value)
    if isinstance(value, list) and all(isinstance(one, str) for one in value):
        return ", ".join(value)
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)


def rows(current: Law, asked: str, model: str) -> list[Row]:
    """The places of the file that a search leaves, and all others as one. A country that is in a group finds its group."""
    code, word = normal(asked), asked.strip().casefold()
    own = current.entry_of(code) or current.entry_of(country_of(code)) if code else None
    found = []
    for entry in current.jurisdictions.values():
        rules = current.rules_for(_code_of(entry))
        is_asked = entry is own if code else word in entry.name.casefold() or word == entry.key.casefold()
        if is_asked and model in ("", rules.model):
            found.append(_row(entry.key, entry.name, entry, rules))
    rest = current.rules_for("")
    if (not word or (code and own is None)) and model in ("", rest.model):
        found.append(_row(code or ELSEWHERE, code or _("any other place"), None, rest))
    return found


def _code_of(entry: Jurisdiction) -> str:
    """A country that gets the rules of an entry: of a group such as the EU the first."""
    return entry.key if normal(entry.key) else next(iter(entry.applies_to), "")


def _row(code: str, name: str, entry: Jurisdiction | None, rules: Rules) -> Row:
    fact = entry.facts.get("model") if entry else None
    return Row(
        code,
        name,
        fact_words(fact) if fact else _("not known"),
        sure=bool(fact and fact.decides),
        model=str(MODEL_WORDS[rules.model]),
        double_opt_in=yes_no(rules.double_opt_in),
        within=within(rules.honour_hours),
        url=reverse(f"{NAME}:one", args=[code]),
    )


def applied(current: Law, rules: Rules) -> list[Applied]:
    """Every rule that holds, and what decided it."""
    policy = current.policy
    known = rules.reason == "known"
    chain = current.chain_of(rules.country)

    def by(name: str, *, policy_holds: bool = False) -> str:
        if policy_holds:
            return _("the policy of the site")
        if not known:
            return _("the strictest of all")
        names = [
            entry.name
            for entry in chain
            for fact in entry.facts.values()
            if fact.name == name and fact.decides
        ]
        if not names and name == "double_opt_in" and rules.double_opt_in:
            names = [current.jurisdictions["EU"].name] if "EU" in current.jurisdictions else ["EU"]
        return "; ".join(names) or _("the policy of the site")

    now, days = timezone.now(), conf.reask_days
    # As `decisions.asking` counts: whichever is later.
    longer = law.months_after(now, rules.reask_months) > now + timedelta(days=days)
    sale = _("%(months)s, by the settings of the site") % {"months": months(conf.soft_opt_in_months)}
    return [
        Applied(
            str(FACT_WORDS["model"]),
            str(MODEL_WORDS[rules.model]),
            by("model", policy_holds=rules.model == policy.model),
        ),
        Applied(
            str(FACT_WORDS["honour"]),
            within(rules.honour_hours),
            by("honour", policy_holds=rules.honour_hours == policy.honour_hours),
        ),
        Applied(_("Confirmation asked for by law"), yes_no(rules.double_opt_in), by("double_opt_in")),
        Applied(
            str(FACT_WORDS["preticked_allowed"]), yes_no(rules.preticked_allowed), by("", policy_holds=True)
        ),
        Applied(
            _("Customers after a purchase"),
            _("only with a yes")
            if rules.model == "opt_in"
            else months(rules.sale_months)
            if rules.sale_months
            else sale,
            by("soft_opt_in_months", policy_holds=rules.model == policy.model == "opt_in"),
        ),
        Applied(
            _("Customers after an inquiry"),
            months(rules.inquiry_months)
            if rules.inquiry_months and rules.model != "opt_in"
            else _("only with a yes"),
            by("soft_opt_in_months", policy_holds=rules.model == policy.model == "opt_in"),
        ),
        Applied(
            str(FACT_WORDS["reask_wait_months"]),
            months(rules.reask_months)
            if longer
            else _("after %(days)d days at the earliest") % {"days": days},
            by("reask_wait_months", policy_holds=not longer),
        ),
    ]


def lines(current: Law, facts: Iterable[Fact]) -> list[Line]:
    """Facts with their sources; those that decide first."""
    found = [
        Line(
            str(FACT_WORDS.get(fact.name, fact.name.replace("_", " "))),
            fact_words(fact),
            fact.decides,
            str(CONFIDENCE_WORDS[fact.confidence]),
            tuple(_source(current, source) for source in fact.sources),
            fact.note,
        )
        for fact in facts
    ]
    return sorted(found, key=lambda line: not line.decides)


def _source(current: Law, name: str) -> Cited:
    source = current.sources.get(name)
    if source is None:
        return Cited(name, "")
    unseen = "" if source.seen else " " + _("(not read by whoever wrote the file)")
    # A file may say where it was read in words of its own ("eCFR, quoted"), and a site's file anything at all.
    url = source.url if _WEB.fullmatch(source.url) else ""
    shown = (source.title, "" if url else source.url, source.note)
    return Cited(" – ".join(filter(None, shown)) + unseen, url)


class LawView(WagtailAdminTemplateMixin, View):
    """What the two pages share: who may look, and a file that may be unusable."""

    header_icon = "globe"
    http_method_names = ["get", "head"]

    def dispatch(self, request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponseBase:
        if not may_look(request.user):
            raise PermissionDenied
        return super().dispatch(request, *args, **kwargs)

    @cached_property
    def current(self) -> Law | None:
        """The law that holds; None where the site's file cannot be used, for which `problems` says why."""
        self.problems: list[str] = []
        try:
            return law.current()
        except BadLaw as bad:
            self.problems = list(bad.problems)
            return None

    def shared(self) -> Mapping[str, Any]:
        current = self.current
        return {
            "problems": self.problems,
            "version": current.version if current else "",
            "own": bool(conf.jurisdictions),
        }


class IndexView(LawView):
    """All places."""

    page_title = gettext_lazy("Rules by country")
    template_name = "wagtail_prefs/admin/law/index.html"

    def get(self, request: HttpRequest) -> HttpResponse:
        asked, model = request.GET.get("q", "")[:100], request.GET.get("model", "")
        model = model if model in MODELS else ""
        found: HttpResponse = self.render_to_response(
            self.get_context_data(
                **self.shared(),
                rows=rows(self.current, asked, model) if self.current else [],
                asked=asked,
                model=model,
                models=[(name, MODEL_WORDS[name]) for name in MODELS],
            )
        )
        return found

    def get_breadcrumbs_items(self) -> list[dict[str, Any]]:
        return [*self.breadcrumbs_items, {"url": "", "label": _("Rules by country")}]


class OneView(LawView):
    """One place: what holds there, and all that the file says."""

    template_name = "wagtail_prefs/admin/law/one.html"
    name = ""

    def get(self, request: HttpRequest, code: str) -> HttpResponse:
        current = self.current
        if current is None:
            self.name = code
            return self._page(chain=[])
        entry = current.jurisdictions.get(code)
        if entry is None and not normal(code) and code != ELSEWHERE:
            raise Http404
        place = _code_of(entry) if entry else normal(code)
        rules = current.rules_for(place)
        self.name = entry.name if entry else _("any other place") if code == ELSEWHERE else normal(code)
        return self._page(
            reason=REASONS.get(rules.reason, ""),
            applied=applied(current, rules),
            chain=[
                {"name": one.name, "key": one.key, "lines": lines(current, one.facts.values())}
                for one in current.chain_of(place)
            ],
            countries=", ".join(entry.applies_to) if entry else "",
        )

    def _page(self, **context: Any) -> HttpResponse:
        found: HttpResponse = self.render_to_response(self.get_context_data(**self.shared(), **context))
        return found

    def get_page_title(self) -> str:
        return self.name

    def get_breadcrumbs_items(self) -> list[dict[str, Any]]:
        index = {"url": reverse(f"{NAME}:index"), "label": _("Rules by country")}
        return [*self.breadcrumbs_items, index, {"url": "", "label": self.name}]


class LawMenuItem(MenuItem):
    def is_shown(self, request: HttpRequest) -> bool:
        return may_look(request.user)


class LawViewSet(ViewSet):
    """The list, and one place."""

    name = NAME
    icon = "globe"
    menu_label = gettext_lazy("Rules by country")
    menu_order = 770
    menu_hook = SUBMENU_HOOK
    menu_item_class = LawMenuItem

    def get_urlpatterns(self) -> list[URLPattern]:
        return [
            path("", self.construct_view(IndexView), name="index"),
            path("<str:code>/", self.construct_view(OneView), name="one"),
        ]
