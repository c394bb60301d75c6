"""What pressing a button in the preview of a center would come to. It writes nothing, and is not let write."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from typing import Any
from urllib.parse import urlencode

from django.db import connections
from django.http import Http404, HttpRequest, HttpResponse, QueryDict
from django.template.response import TemplateResponse
from django.urls import URLPattern, path, reverse
from django.utils import timezone
from django.utils.decorators import method_decorator
from django.utils.translation import get_language, get_language_bidi, gettext as _
from wagtail.admin.views.pages.preview import PreviewOnCreateView, PreviewOnEditView
from wagtail.utils.decorators import xframe_options_sameorigin_override

from ..centers.form import form_to_answers, revision_of
from ..centers.mixins import PreferenceCenterMixin
from ..centers.personas import LABELS
from ..centers.previewing import Preview, person_page, preview_of
from ..centers.services import outlook
from ..errors import InvalidAnswers, StepUpRequired
from ..submissions.rehearsal import Planned, Rehearsal, rehearse
from ..values import Actor, ActorType, Json, Operation, Source

#: What a statement may begin with. A savepoint writes nothing by itself.
_READING = ("SELECT", "SAVEPOINT", "RELEASE", "ROLLBACK")
_CSRF = "csrfmiddlewaretoken"


class Wrote(Exception):
    """Something wanted to write where nothing may be written."""


@contextmanager
def reading_only() -> Iterator[None]:
    """Refuse every statement that is not a question, on every database; raises Wrote."""

    def ask(execute: Any, sql: str, params: Any, many: bool, context: Any) -> Any:
        if not sql.lstrip().upper().startswith(_READING):
            raise Wrote
        return execute(sql, params, many, context)

    with ExitStack() as guards:
        for connection in connections.all():
            guards.enter_context(connection.execute_wrapper(ask))
        yield


class DryRunView(PreviewOnEditView):
    """The form of a persona's page, held against the content that its preview was made of.

    Whoever may edit the page may ask. Wagtail's view finds that content; nothing of what it stores is touched.
    """

    http_method_names = ["post"]

    def setup(self, request: HttpRequest, *args: Any, **kwargs: Any) -> None:
        if kwargs["persona"] not in LABELS:
            raise Http404
        super().setup(request, *args, **kwargs)

    def dispatch(self, request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponse:
        if not isinstance(self.object, PreferenceCenterMixin):
            raise Http404
        response: HttpResponse = super().dispatch(request, *args, **kwargs)
        return response

    @method_decorator(xframe_options_sameorigin_override)
    def post(self, request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponse:
        with reading_only():
            response: HttpResponse = self.run(request, kwargs["persona"]).render()
        return response

    def run(self, request: HttpRequest, mode: str) -> Any:
        """Read the form that she would send, and say what it would do."""
        # As Wagtail draws the preview: what its editor has typed, on top of the newest revision.
        form = self.get_form(self._get_form_data(self._get_form_state()))
        if not self.validate_form(form):
            return self.error_response()
        form.save(commit=False)
        page = self.object
        preview = preview_of(page, mode)
        data = request.POST.copy()
        data.pop(_CSRF, None)
        if revision_of(data) != preview.snapshot.digest:
            changed = _("The page has changed since this preview was drawn. Go back, and try again.")
            return self.answer(preview, problem=changed, status=409)
        try:
            found = _rehearsed(preview, data)
        except InvalidAnswers as refused:
            return person_page(request, page, preview, posted=data, refused=refused, in_panel=self.in_panel)
        except StepUpRequired:
            return self.answer(
                preview,
                problem=_(
                    "Personal fields are changed by a fresh link only; a link in a mail does not open them."
                ),
                status=403,
            )
        return self.answer(preview, **_shown(preview, found))

    def answer(self, preview: Preview, *, status: int = 200, **context: Any) -> TemplateResponse:
        """The page of the result."""
        context |= {
            "title": _("What would happen"),
            "persona": str(LABELS[preview.persona.name]),
            "back": self.preview_address(preview.persona.name),
            "lang": get_language(),
            "dir": "rtl" if get_language_bidi() else "ltr",
        }
        return TemplateResponse(self.request, "wagtail_prefs/preview_result.html", context, status=status)

    @property
    def in_panel(self) -> bool:
        given: str | None = self.request.GET.get("in_preview_panel")
        return given == "true"

    def preview_address(self, mode: str) -> str:
        """The preview that the form came from, in Wagtail."""
        panel = {"in_preview_panel": "true"} if self.in_panel else {}
        return f"{self.preview_path()}?{urlencode({'mode': mode, **panel})}"

    def preview_path(self) -> str:
        return reverse("wagtailadmin_pages:preview_on_edit", args=[self.kwargs["page_id"]])


class DryRunOnCreateView(DryRunView, PreviewOnCreateView):
    """The same of a page that is being made. Whoever may make one there may ask."""

    def preview_path(self) -> str:
        names = ("content_type_app_name", "content_type_model_name", "parent_page_id")
        return reverse("wagtailadmin_pages:preview_on_add", args=[self.kwargs[name] for name in names])


def preview_urls() -> list[URLPattern]:
    """For Wagtail's hook: below the admin, behind its door."""
    return [
        path(
            "preferences/preview/<int:page_id>/<slug:persona>/",
            DryRunView.as_view(),
            name="wagtail_prefs_dry_run",
        ),
        path(
            "preferences/preview/add/<slug:content_type_app_name>/<slug:content_type_model_name>/"
            "<int:parent_page_id>/<slug:persona>/",
            DryRunOnCreateView.as_view(),
            name="wagtail_prefs_dry_run_add",
        ),
    ]


def _rehearsed(preview: Preview, data: QueryDict) -> Rehearsal:
    snapshot = preview.snapshot
    submitted = form_to_answers(snapshot, data)
    return rehearse(
        state=preview.persona.state,
        email=preview.persona.email,
        snapshot=snapshot,
        base_version=submitted.base_version,
        answers=submitted.answers,
        actor=Actor(ActorType.SUBJECT_LINK),
        source=Source(
            method="page",
            form_id=str(snapshot.center),
            form_version=snapshot.digest,
            language=snapshot.locale,
            source_url=snapshot.document["page_url"],
        ),
        now=timezone.now(),
    )


# --- what is shown ---------------------------------------------------------------------------------------------------


def _shown(preview: Preview, found: Rehearsal) -> Json:
    snapshot = preview.snapshot
    labels = snapshot.document["labels"]
    something = found.record and (found.applied or not found.merged)
    return {
        "told": {
            "lang": snapshot.locale,
            "dir": snapshot.direction,
            "text": labels["saved" if something else "nothing_changed"],
            "applied": found.applied,
            "merged": found.merged,
            "merged_title": labels["merged_title"],
            "outlook": [sentence.text for sentence in outlook(snapshot, found.state)],
            "outlook_title": labels["outlook_title"],
        },
        "record": found.record and _record(found.record),
        "backends": [_backend(planned) for planned in found.planned],
    }


def _record(body: Json) -> Json:
    facts = [
        (_("When"), body["event_time_utc"]),
        (_("By whom"), _("the person herself, by her link")),
        (_("Where"), body["method"]),
        (_("Page"), body["source_url"]),
        (_("Version of the page"), body["form_version"]),
        (_("Language"), body["language"]),
        (_("Notice shown"), body["notice_id"]),
        (_("Jurisdiction"), body["jurisdiction"]),
        (_("Number in her chain"), body["seq"]),
    ]
    return {
        "facts": [{"name": name, "value": value} for name, value in facts if value not in {None, ""}],
        "effects": [_effect(effect) for effect in body["effects"]],
        "json": _pretty(body),
    }


def _effect(effect: Json) -> Json:
    why = (effect["action"], effect["lawful_basis"], effect["validity_until"])
    return {
        "path": effect["path"],
        "before": _value(effect["before"]),
        "after": _value(effect["after"]),
        "why": " · ".join(filter(None, why)),
    }


def _value(value: Any) -> str:
    if value is None:
        return _("nothing")
    if isinstance(value, dict) and value.keys() == {"committed"}:
        return _("a sealed value")
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)


def _backend(planned: Planned) -> Json:
    try:
        operations = [_operation(operation) for operation in planned.operations]
    except (
        TypeError,
        ValueError,
        AttributeError,
    ) as error:  # no operations, or none that can be written down
        planned, operations = Planned(planned.alias, problem=type(error).__name__), []
    problem = _("It cannot say what it would tell: %(problem)s") % {"problem": planned.problem}
    return {
        "alias": planned.alias,
        "operations": operations,
        "problem": problem if planned.problem else "",
    }


def _operation(operation: Operation) -> Json:
    return {"kind": operation.kind, "restricts": operation.restricts, "json": _pretty(operation.payload)}


def _pretty(data: Any) -> str:
    return json.dumps(data, ensure_ascii=False, indent=2)
