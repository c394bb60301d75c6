"""Wagtail's preview of a center as a person would meet it: the manage page of an invented contact (`personas`).

What she would do there is sent to the admin, which says what it would come to and writes nothing (admin/preview.py).
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any
from urllib.parse import urlencode
from uuid import UUID

from django.conf import settings
from django.http import HttpRequest, QueryDict
from django.template.response import TemplateResponse
from django.urls import reverse
from django.utils import timezone, translation
from django.utils.translation import get_language_info, gettext as _, ngettext
from wagtail.coreutils import get_content_languages

from ..decisions.periods import zone
from ..errors import InvalidAnswers
from ..law import services as law
from ..topics.models import Audience
from ..values import ContactState, Json
from . import personas
from .drawing import draw
from .models import PublishedCenter
from .personas import LABELS, Circumstances, Persona
from .preferences import preferences
from .publishing import draft_snapshot
from .serving import get_snapshot
from .values import Snapshot, make_snapshot
from .visibility import hidden

if TYPE_CHECKING:
    from .mixins import PreferenceCenterMixin

#: What her link shows is drawn under this key; a dry run remembers nothing that it could be a repeat of.
IDEMPOTENCY_KEY = "preview"
#: Stands for the audience of a site that has none yet: publishing makes it.
NO_AUDIENCE = "default"


@dataclass(frozen=True, slots=True)
class Preview:
    """A persona, what her link would show her, and what an editor should know about that."""

    persona: Persona
    snapshot: Snapshot
    notes: tuple[str, ...] = ()


def modes() -> list[tuple[str, str]]:
    """Wagtail's preview modes; the first is the page as a visitor meets it who has no link."""
    named = [(name, str(label)) for name, label in LABELS.items()]
    return [("", _("A visitor without a link")), *named]


def serve(page: PreferenceCenterMixin, request: HttpRequest, mode: str) -> TemplateResponse:
    """Answer Wagtail's request for a preview. Raises KeyError for a mode that is no persona."""
    with translation.override(editor_language(request)):
        in_panel = bool(getattr(request, "in_preview_panel", False))
        return person_page(request, page, preview_of(page, mode), in_panel=in_panel)


def preview_of(page: PreferenceCenterMixin, mode: str) -> Preview:
    """What the persona of a mode gets to see of the page in memory, with notes in the active language.

    Raises KeyError for a mode that is no persona.
    """
    draft = snapshot_of(page)
    home = personas.home_of(draft.locale)
    given = Circumstances(
        audience=_audience_key(page),
        now=timezone.now(),
        zone=zone("", settings.TIME_ZONE),
        home=home,
        language="",
        country="",
    )
    match mode:
        case "language":
            return _in_another_language(page, draft, given)
        case "country":
            given = replace(given, country=personas.other_country(draft, home, law.current()))
            persona = personas.persona(mode, draft, given)
            return Preview(persona, draft, tuple(_in_another_country(draft, persona, home)))
    persona = personas.persona(mode, draft, given)
    notes: tuple[str, ...] = ()
    if mode == "invited" and not personas.offered(draft)[1]:
        notes = (_("No topic on this page is private, so she sees what everybody sees."),)
    return Preview(persona, draft, notes)


def snapshot_of(page: PreferenceCenterMixin) -> Snapshot:
    """The page in memory compiled, with the same name each time that its content is the same.

    Of a page that was never saved each form makes another one, with another key and another address.
    """
    for number, child in enumerate(page.body):
        child.id = child.id or f"new-{number}"
    draft = draft_snapshot(page)
    if page.pk is not None:
        return draft
    document = {name: value for name, value in draft.document.items() if name != "revision"}
    return make_snapshot({**document, "center": str(UUID(int=0)), "page_url": ""}, draft.specs)


def person_page(
    request: HttpRequest,
    page: PreferenceCenterMixin,
    preview: Preview,
    *,
    posted: QueryDict | None = None,
    refused: InvalidAnswers | None = None,
    in_panel: bool = False,
) -> TemplateResponse:
    """Her manage page, with what is said to the editor above it; rendered. 422 where a form of hers was `refused`."""
    snapshot, persona = preview.snapshot, preview.persona
    seen = preferences(snapshot, persona.state, persona.email)
    form = draw(snapshot.document, seen, posted=posted, errors=refused.errors if refused else None)
    context: dict[str, Any] = page.get_context(request)  # type: ignore[attr-defined]
    context |= {
        "form": form,
        "action": address_of(page, persona.name, in_panel=in_panel),
        "idempotency_key": IDEMPOTENCY_KEY,
        "in_preview": True,
        "lang": snapshot.locale,
        "dir": snapshot.direction,
        "editor": words(preview),
    }
    response = TemplateResponse(
        request, "wagtail_prefs/preview_person.html", context, status=422 if refused else 200
    )
    with translation.override(snapshot.locale):
        response.render()
    return response


def words(preview: Preview) -> Json:
    """What the editor is told about a preview, in the active language."""
    return {
        "lang": translation.get_language(),
        "dir": "rtl" if translation.get_language_bidi() else "ltr",
        "title": str(LABELS[preview.persona.name]),
        "text": _("This contact is invented. Press what you like: nothing is saved, and nothing is sent."),
        "notes": preview.notes,
    }


def _audience_key(page: PreferenceCenterMixin) -> str:
    site = page.get_site()
    key = Audience.objects.filter(site=site).values_list("key", flat=True).first() if site else None
    return key or NO_AUDIENCE


def editor_language(request: HttpRequest) -> str:
    """The language of the editor's admin; a preview is rendered as a request to the site, in that of the site."""
    profile = getattr(getattr(request, "user", None), "wagtail_userprofile", None)
    language: str = profile.get_preferred_language() if profile else translation.get_language()
    return language or settings.LANGUAGE_CODE


def address_of(page: PreferenceCenterMixin, mode: str, *, in_panel: bool = False) -> str:
    """Where a persona's form goes: the admin's dry run, of this page or of the one that is being made."""
    if page.pk is not None:
        address = reverse("wagtail_prefs_dry_run", args=[page.pk, mode])
    else:
        meta = page._meta
        parent = page.get_parent()  # type: ignore[attr-defined]
        address = reverse(
            "wagtail_prefs_dry_run_add", args=[meta.app_label, meta.model_name, parent.pk, mode]
        )
    return f"{address}?{urlencode({'in_preview_panel': 'true'})}" if in_panel else address


# --- who differs -----------------------------------------------------------------------------------------------------


def _in_another_language(page: PreferenceCenterMixin, draft: Snapshot, given: Circumstances) -> Preview:
    found = PublishedCenter.objects.filter(center=page.translation_key).exclude(locale=draft.locale)
    published = dict(found.values_list("locale", "digest"))
    code = personas.other_language(draft.locale, published, get_content_languages())
    given = replace(given, language=code)
    name = {"language": _language_name(code)}
    if code in published:
        snapshot = get_snapshot(published[code])
        note = _("Her language is %(language)s: her link shows the page that is published in it.") % name
    else:
        snapshot = draft
        note = _("Her language is %(language)s, and no page is published in it: she gets this one.") % name
    return Preview(personas.persona("language", snapshot, given), snapshot, (note,))


def _language_name(code: str) -> str:
    try:
        return str(get_language_info(code)["name_translated"])
    except KeyError:
        return str(get_content_languages().get(code, code))


def _in_another_country(draft: Snapshot, persona: Persona, home: str) -> Iterator[str]:
    there = persona.state.country
    yield _("She lives in %(there)s. Held against %(here)s, this differs:") % {
        "there": there,
        "here": home or _("somebody whose country is not known"),
    }
    told = [*_other_blocks(draft, persona.state, home), *_other_law(home, there)]
    yield from told or [_("Nothing, neither on the page nor in the law.")]


def _other_blocks(draft: Snapshot, state: ContactState, home: str) -> Iterator[str]:
    gone, gone_at_home = hidden(draft, state), hidden(draft, replace(state, country=home))
    for text, blocks in (
        (_("Not shown to her: %(blocks)s."), [block for block in gone if block not in gone_at_home]),
        (_("Shown to her alone: %(blocks)s."), [block for block in gone_at_home if block not in gone]),
    ):
        if blocks:
            yield text % {"blocks": ", ".join(_heading(draft, block) for block in blocks)}


def _heading(draft: Snapshot, block_id: str) -> str:
    spec = draft.spec(block_id)
    return (spec.document.get("heading") or spec.type) if spec else block_id


def _other_law(home: str, there: str) -> Iterator[str]:
    for found in personas.differences(law.current(), home, there):
        match found.what:
            case "jurisdiction":
                text = _("Law: %(there)s instead of %(here)s.")
                words = {
                    name: getattr(found, name) or _("the strictest of all") for name in ("here", "there")
                }
            case "model":
                text = _("Marketing: %(there)s instead of %(here)s.")
                words = {"here": _model(found.here), "there": _model(found.there)}
            case "double_opt_in":
                text = _("A sign-up: %(there)s.")
                words = {
                    "there": _("counts when the address is confirmed") if found.there else _("counts at once")
                }
            case _:
                text = _("An opt-out is kept everywhere %(there)s instead of %(here)s.")
                words = {"here": _within(found.here), "there": _within(found.there)}
        yield text % words


def _model(model: law.Model) -> str:
    return {
        "opt_in": _("only after a yes"),
        "opt_in_soft": _("only after a yes, but for customers"),
        "opt_out": _("until a no"),
    }[model]


def _within(hours: int) -> str:
    if not hours:
        return _("at once")
    return ngettext("within %(hours)s hour", "within %(hours)s hours", hours) % {"hours": hours}
