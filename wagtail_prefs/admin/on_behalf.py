"""Changing choices on behalf of somebody: first what would change, then the change, with a reason and with evidence.

What is allowed is for the rules to say, not for this page: a no or silence becomes a yes by evidence of the person's own
act that is younger than her last word (design.md s6, security.md LW-14), whoever the user is.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any
from uuid import UUID, uuid4

from django.db import transaction
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect
from django.utils import timezone
from django.utils.decorators import method_decorator
from django.utils.formats import date_format
from django.utils.translation import gettext as _, gettext_lazy
from django.views.decorators.debug import sensitive_post_parameters
from wagtail.admin import messages

from ..changes import Change, OptIn, SetChoice
from ..conf import conf
from ..contacts import rules
from ..contacts.models import Contact
from ..contacts.rules import OPTED_OUT
from ..errors import InvalidAnswers, NotAllowed, UnknownContact
from ..ledger import services as ledger
from ..submissions import services as submissions
from ..submissions.sales import as_customer
from ..submissions.wishes import resolved
from ..values import SUBSCRIBED, UNSUBSCRIBED, Actor, ActorType, ContactState, Evidence, Source
from . import people, permissions as may, staff_log, staff_words as words
from .on_behalf_form import OnBehalfForm
from .staff import PersonView, person_url


@dataclass(frozen=True, slots=True)
class Step:
    """One thing that would change."""

    label: str
    before: str
    after: str


@dataclass(frozen=True, slots=True)
class Forecast:
    """What a submission would come to, or what stands against it."""

    steps: tuple[Step, ...] = ()
    problem: str = ""
    backends: tuple[str, ...] = field(default_factory=tuple)


class Moved(Exception):
    """Somebody saved in the meantime: what was on the screen is no longer so."""


def actor_of(user: Any) -> Actor:
    return Actor(ActorType.ADMIN, str(user.pk))


def foresee(
    person: people.Person, changes: Sequence[Change], actor: Actor, evidence: Evidence | None
) -> Forecast:
    """What changes would come to now. The rules are pure: nothing is written."""
    state = person.state
    paths = [OPTED_OUT, *(change.path for change in changes)]
    act = rules.Act(
        actor=actor,
        at=person.at,
        evidence=evidence,
        address=person.target.identifiers.email,
        times=ledger.times(state.id, [state.versions.get(path, 0) for path in paths]) if evidence else {},
    )
    try:
        wishes, unsold = as_customer(
            resolved(changes, state, person.at),
            state,
            act,
            country=state.country,
            bases={topic.key: topic.basis for topic in person.topics},
        )
        if unsold:
            return Forecast(problem=str(_UNSOLD[unsold[0].rule]))
        accepted, _yielded = rules.merge(state, wishes, state.version, act)
        _after, effects = rules.apply(state, accepted, act)
    except NotAllowed:
        return Forecast(problem=why_not(state, changes, act))
    except InvalidAnswers:
        return Forecast(problem=_("A pause ends in the future. Choose a later day."))
    steps = tuple(
        Step(
            words.path_words(effect.path, person.labels),
            words.became(effect.path, effect.before, person.zone),
            words.became(effect.path, effect.after, person.zone),
        )
        for effect in effects
    )
    return Forecast(steps, backends=tuple(sorted(conf.backends)))


#: Why a purchase allows nothing.
_UNSOLD = {
    "sale": gettext_lazy(
        "A purchase is no yes: it allows only topics for existing customers, and none that she said no to."
    ),
    "law": gettext_lazy("Where she lives, or as far as we know, the law asks for a yes of her own."),
    "over": gettext_lazy("That was too long ago."),
}


def why_not(state: ContactState, changes: Sequence[Change], act: rules.Act) -> str:
    """Why a yes is not taken, in words that say what would help."""
    if state.suppressed:
        return _(
            "Her address was erased once. Only she can bring it back, by a link that was mailed to it; evidence cannot."
        )
    last = _last_word(state, changes, act)
    if act.evidence is None or last is None:
        return _("Only her own act makes a yes. Say where it can be looked up, and when she did it.")
    return _(
        "Evidence must be of something that she did after her last word on the matter. That was: %(last)s"
    ) % {"last": date_format(timezone.localtime(last), "DATETIME_FORMAT")}


def _last_word(state: ContactState, changes: Sequence[Change], act: rules.Act) -> datetime | None:
    """When something was last said about what is to become a yes."""
    paths = {OPTED_OUT} | {
        change.path
        for change in changes
        if isinstance(change, OptIn) or (isinstance(change, SetChoice) and change.value == SUBSCRIBED)
    }
    said = [act.times[version] for path in paths if (version := state.versions.get(path, 0)) in act.times]
    ended = [
        until
        for key, until in state.until.items()
        if until <= act.at and f"choice:{key[0]}:{key[1]}" in paths
    ]
    return max([*said, *ended], default=None)


def save(
    contact: Contact, form: OnBehalfForm, user: Any, changes: Sequence[Change], *, base_version: int
) -> submissions.Saved:
    """Save what was confirmed, and log it, in one transaction. Raises Moved, NotAllowed, UnknownContact, ValueError."""
    act = str(form.cleaned_data["act"])
    with transaction.atomic():
        held = Contact.objects.select_for_update().filter(pk=contact.pk)
        version = held.values_list("version", flat=True).first()
        if version != base_version:
            raise Moved
        saved = submissions.record(
            contact.pk,
            changes,
            actor=actor_of(user),
            # The log entry has the reason, and names this as its act.
            source=Source(method="staff", form_id=f"staff-{act}", evidence=form.evidence),
            idempotency_key=f"staff-{act}",
        )
        if saved.receipt:
            staff_log.changed(
                contact, user, act=act, receipt=saved.receipt, reason=form.cleaned_data["reason"]
            )
    return saved


def _form(person: people.Person, data: Any = None, *, initial: Any = None) -> OnBehalfForm:
    return OnBehalfForm(data, topics=person.topics, now=person.words_now, initial=initial)


@method_decorator(sensitive_post_parameters("reason", "evidence_reference"), name="dispatch")
class ChangeView(PersonView):
    """The form; the same form with what would change; and then it is done. Nothing that was typed is ever lost."""

    action = may.CHANGE
    page_title = gettext_lazy("Change on her behalf")
    template_name = "wagtail_prefs/admin/contacts/change.html"
    header_icon = "edit"

    def get(self, request: HttpRequest, pk: UUID) -> HttpResponse:
        person = self.person()
        if not person.live:
            return self._gone()
        staff_log.looked(self.contact, request.user)
        initial: dict[str, Any] = {"base_version": person.state.version, "act": uuid4()}
        if request.GET.get(
            "stop"
        ):  # topic and channel: what staff came for is filled in, and nothing is done
            initial[f"choice:{request.GET['stop']}"] = UNSUBSCRIBED
        return self.page(person=person, form=_form(person, initial=initial))

    def post(self, request: HttpRequest, pk: UUID) -> HttpResponse:
        person = self.person()
        if not person.live:
            return self._gone()
        form = _form(person, request.POST)
        if not form.is_valid():
            return self.page(person=person, form=form)
        if form.cleaned_data["base_version"] != person.state.version:
            return self._moved(person, form)
        evidence = form.evidence
        forecast = foresee(person, form.changes(), actor_of(request.user), evidence)
        if forecast.problem:
            form.add_error(None, forecast.problem)
            return self.page(person=person, form=form)
        if not forecast.steps:
            form.add_error(None, _("This would change nothing: it is so already."))
            return self.page(person=person, form=form)
        if request.POST.get("step") == "back":
            return self.page(person=person, form=form)
        if request.POST.get("step") != "confirm":
            return self.page(person=person, form=form, forecast=forecast)
        return self._save(person, form)

    def _save(self, person: people.Person, form: OnBehalfForm) -> HttpResponse:
        try:
            changes = resolved(form.changes(), person.state, person.at)
            saved = save(
                self.contact, form, self.request.user, changes, base_version=form.cleaned_data["base_version"]
            )
        except Moved:
            return self._moved(self.person(), form)
        except UnknownContact:
            return self._gone()
        except (NotAllowed, ValueError):  # in just this moment: evidence, or the pause, came too late
            form.add_error(None, _("This is no longer possible. Please check what changed, then continue."))
            return self.page(person=self.person(), form=form)
        if saved.receipt is None:
            return self._done(_("Nothing had to be changed."))
        return self._done(_("Saved. The receipt is %(receipt)s.") % {"receipt": saved.receipt})

    def _moved(self, person: people.Person, form: OnBehalfForm) -> HttpResponse:
        """Somebody saved since the form was drawn: perhaps this user, who pressed twice; else say so, and show how it
        is now."""
        if staff_log.was_saved(self.contact, str(form.cleaned_data["act"])):
            return self._done(_("This is saved already."))
        data = self.request.POST.copy()
        data["base_version"] = str(person.state.version)
        form = _form(person, data)
        form.add_error(
            None,
            _(
                "Her choices were changed in the meantime, perhaps by herself. What is shown below is how it is now; what "
                "you chose is still there. Please check it, then continue."
            ),
        )
        return self.page(person=person, form=form, moved=True)

    def _done(self, text: str) -> HttpResponse:
        messages.success(self.request, text)
        return redirect(person_url(self.contact.pk))

    def _gone(self) -> HttpResponse:
        messages.error(
            self.request, _("Nothing can be changed: the person was erased, or merged into another.")
        )
        return redirect(person_url(self.contact.pk))

    def get_breadcrumbs_items(self) -> list[dict[str, Any]]:
        items = super().get_breadcrumbs_items()
        items[-1]["url"] = person_url(self.contact.pk)
        return [*items, {"url": "", "label": self.get_page_title()}]
