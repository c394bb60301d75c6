"""Why did she get this? What was sent to one person, each with the decision that let it out, and what would be said now.

Messages are looked up by their id, or by the person: there is no list of what everybody got. An id may name a mailing to a
million people, so it leads to one of them only together with who that is. What was typed stands in no URL and no log.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from functools import cached_property
from typing import TYPE_CHECKING, Any
from urllib.parse import urlencode
from uuid import UUID

from django import forms
from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import redirect
from django.urls import reverse
from django.utils.decorators import method_decorator
from django.utils.translation import gettext as _, gettext_lazy
from django.views.decorators.debug import sensitive_post_parameters
from wagtail.admin.widgets.button import HeaderButton

from ..blocks.words import CHANNEL_LABELS
from ..contacts.models import Contact
from ..decisions.glance import glance
from ..decisions.models import Send
from ..decisions.rules import RULES, YES
from ..decisions.values import Decision, Verdict
from ..ledger import services as ledger
from ..ledger.models import Record
from ..values import SUBSCRIBED, UNSUBSCRIBED, key_to_scope
from . import people, permissions as may, staff_log, staff_words as words
from .finding import FindForm, look_up
from .staff import NAME, PersonView, StaffView, person_url

if TYPE_CHECKING:
    from django.utils.functional import _StrPromise

#: Messages on one page.
PAGE = 25
#: Pages of one person's messages that can be turned.
PAGES = 400

#: What the rules say, by their codes. A site's own have only a code here.
RULE_WORDS: Mapping[str, str | _StrPromise] = {rule.code: rule.words for rule in RULES} | YES


@dataclass(frozen=True, slots=True)
class Behind:
    """The ledger record that a decision went by."""

    receipt: UUID
    at: datetime
    by: str
    lines: tuple[str, ...]
    url: str


@dataclass(frozen=True)
class Message:
    """A message that was sent to a person, in words for staff."""

    row: Send
    person: people.Person

    @property
    def label(self) -> str:
        return words.choice_words(self.row.topic, self.row.channel, self.person.labels)

    @property
    def topic(self) -> str:
        return self.person.labels.get(self.row.topic, self.row.topic)

    @property
    def channel(self) -> str:
        return str(CHANNEL_LABELS.get(self.row.channel, self.row.channel))

    @property
    def url(self) -> str:
        return f"{messages_url(self.person.contact.pk)}?{urlencode({'send': self.row.pk})}"

    @property
    def named(self) -> str:
        """Its id; "" for one that holds her address, which is not for everybody who may look here."""
        message, email = self.row.message_id, self.person.target.identifiers.email.casefold()
        said, local = message.casefold(), email.partition("@")[0]
        tells = f"{local}@" in said or (len(local) > 2 and local in said) if local else "@" in said
        return "" if tells else message

    @property
    def broken(self) -> bool:
        return self.row.verdict not in {"", Verdict.SEND}

    @property
    def verdict(self) -> str:
        if self.broken:
            return _("Sent against a rule")
        return _("Sent as the rules say") if self.row.verdict else _("Sent, and not judged")

    @property
    def rule(self) -> str:
        """Why, in words; of a rule of the site's own its code."""
        return str(RULE_WORDS.get(self.row.reason, self.row.reason))

    @cached_property
    def behind(self) -> Behind | None:
        """The record behind the decision, if it is there still."""
        found = self.row.record and Record.objects.filter(pk=self.row.record).first()
        if not found:
            return None
        contact = self.person.contact.pk
        history = f"{person_url(found.contact_ref)}?before={found.seq + 1}#history-section"
        try:
            body = ledger.read_body(found)
            actor = people._actor(body)
            return Behind(
                found.pk,
                found.at,
                words.actor_words(actor, body["method"], people.names([actor.id])),
                tuple(
                    words.effect_words(effect, self.person.labels, self.person.zone)
                    for effect in ledger.effects_of(body)
                ),
                history if found.contact_ref == contact else "",
            )
        except (ValueError, KeyError, TypeError, AttributeError):
            told = _("This record cannot be read. Verify her records.")
            return Behind(found.pk, found.at, told, (), "")

    # --- now ---------------------------------------------------------------------------------------------------------

    @property
    def chosen(self) -> str:
        """What she says about this topic on this channel today."""
        return self.person.words_now.get(f"choice:{self.row.topic}:{self.row.channel}") or _("Never asked")

    @property
    def limits(self) -> list[people.Limit]:
        """Frequencies and pauses that are about it."""
        keys = (("", ""), ("", self.row.channel), (self.row.topic, ""))
        scopes = {key_to_scope(key) for key in keys}
        return [limit for limit in self.person.limits if limit.scope in scopes]

    @cached_property
    def now(self) -> Decision:
        """What a sender that asked now would be told. Nobody asks, so nothing is counted."""
        return glance([self.person.contact.pk], self.row.topic, self.row.channel)[0]

    @property
    def now_words(self) -> str:
        return str(people.VERDICTS[self.now.verdict])

    @property
    def stop_url(self) -> str:
        """Where it is ended on her behalf; "" where there is nothing to end."""
        topic = next((one for one in self.person.topics if one.key == self.row.topic), None)
        key, state = (self.row.topic, self.row.channel), self.person.now
        said = state.choices.get(key) or ("" if key not in state.pending else SUBSCRIBED)
        if topic is None or topic.transactional or topic.archived or said == UNSUBSCRIBED or state.opted_out:
            return ""
        query = urlencode({"stop": ":".join(key)})
        return f"{reverse(f'{NAME}:change', args=[self.person.contact.pk])}?{query}"


def messages_url(contact: UUID) -> str:
    return reverse(f"{NAME}:messages", args=[contact])


class MessagesView(PersonView):
    """What was sent to her, the newest first; one of them from near with `?send=`."""

    page_title = gettext_lazy("Messages")
    template_name = "wagtail_prefs/admin/why/messages.html"
    header_icon = "mail"

    def get(self, request: HttpRequest, pk: UUID) -> HttpResponse:
        person = self.person()
        one = self._one(person)
        staff_log.looked(self.contact, request.user)
        number = _number(request.GET.get("p", ""), 1, PAGES)
        start = (number - 1) * PAGE
        rows = list(
            Send.objects.filter(contact=self.contact.pk).order_by("-at", "-pk")[start : start + PAGE + 1]
        )
        return self.page(
            person=person,
            one=one,
            may_change=self.allowed(may.CHANGE) and person.live,
            sent=[Message(row, person) for row in rows[:PAGE]],
            newer=number - 1,
            older=number + 1 if len(rows) > PAGE and number < PAGES else 0,
        )

    def _one(self, person: people.Person) -> Message | None:
        given = self.request.GET.get("send")
        if given is None:
            return None
        row = Send.objects.filter(contact=self.contact.pk, pk=_number(given, 0, 2**63 - 1)).first()
        if row is None:
            raise Http404
        return Message(row, person)

    @cached_property
    def header_buttons(self) -> list[HeaderButton]:
        return [HeaderButton(_("Her preferences"), url=person_url(self.contact.pk), icon_name="user")]


def _number(text: str, least: int, most: int) -> int:
    number = int(text) if text.isascii() and text.isdigit() and len(text) < 20 else least
    return min(max(number, least), most)


class FindMessageForm(FindForm):
    """The id of a message; and who got it, where more than one did."""

    field_order = ("message", "term", "audience")

    message = forms.CharField(
        label=gettext_lazy("Id of the message"),
        max_length=200,
        help_text=gettext_lazy(
            "As the sender named it when it asked. It stands in the sender's own log, and often in the mail itself as "
            "Message-ID."
        ),
        widget=forms.TextInput(attrs={"autocomplete": "off", "spellcheck": "false", "autocapitalize": "off"}),
    )

    def __init__(self, data: Any = None, *, user: Any) -> None:
        super().__init__(data, user=user)
        self.fields["term"].required = False
        self.fields["term"].help_text = _(
            "Who got it. You can leave this empty where the message went to one person only."
        )


@method_decorator(sensitive_post_parameters("message", "term"), name="dispatch")
class FindMessageView(StaffView):
    """Which message is it? A POST, because ids of messages often hold addresses."""

    page_title = gettext_lazy("Why did she get this?")
    template_name = "wagtail_prefs/admin/why/find.html"
    header_icon = "mail"

    def get(self, request: HttpRequest) -> HttpResponse:
        return self.page(form=FindMessageForm(user=request.user))

    def post(self, request: HttpRequest) -> HttpResponse:
        form = FindMessageForm(request.POST, user=request.user)
        if not form.is_valid():
            return self.page(form=form)
        if not form.audiences:
            return self.page(form=form, problem="missing")
        found = self._rows(form)
        if len(found) == 1:
            return redirect(f"{messages_url(found[0].contact)}?{urlencode({'send': found[0].pk})}")
        if found:
            return self.page(form=form, problem="many")
        staff_log.missed(form.chosen, request.user)
        return self.page(form=form, problem="missing", of_somebody=bool(form.cleaned_data["term"]))

    def _rows(self, form: FindMessageForm) -> list[Send]:
        """Two at most, and of people only whom the user may see."""
        rows = Send.objects.filter(message_id__in=_spellings(form.cleaned_data["message"])).order_by("pk")
        term = form.cleaned_data["term"]
        if term:
            who = look_up(form.chosen, term)
            allowed = who and may.policy().user_has_permission_for_instance(self.request.user, may.VIEW, who)
            return list(rows.filter(contact=who.merged_into_id or who.pk)[:2]) if who and allowed else []
        seen = Contact.objects.filter(audience__in=form.audiences)
        return list(rows.filter(contact__in=seen.values("pk"))[:2])


def _spellings(message: str) -> set[str]:
    """As it was typed, and without the brackets that a header has around it, or with them."""
    bare = message.strip().removeprefix("<").removesuffix(">")
    return {message, bare, f"<{bare}>"}
