"""Bringing people in from a file: sent, looked through, confirmed, written, and deleted.

For those who may import people of an audience; whoever did not send a file gets no page of it. Nothing of its people
stands in a page, a URL or a log: rows are named by their numbers. Only a POST goes on.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any
from uuid import UUID

from django import forms
from django.http import Http404, HttpRequest
from django.http.response import HttpResponseBase
from django.shortcuts import redirect
from django.urls import URLPattern, path, reverse
from django.utils.translation import gettext as _, gettext_lazy
from wagtail.admin import messages
from wagtail.admin.menu import MenuItem
from wagtail.admin.views.generic.base import WagtailAdminTemplateMixin
from wagtail.admin.viewsets.base import ViewSet

from ..sync import importing, uploads
from ..sync.codes import COLUMN_OF, FINE, WORDS, Code
from ..sync.models import ImportRun, ImportUpload
from ..sync.reading import BadFile
from ..topics.models import Audience
from . import permissions as may
from .exports import Spreadsheet
from .menu import SUBMENU_HOOK
from .results import OfAudiences

NAME = "prefs_imports"

#: What would change something; a file without any of these has nothing to write.
CHANGES = frozenset({Code.NEW, Code.ACCEPTED, Code.STRICTER, Code.FILLED})
#: Imports that the first page lists.
EARLIER = 10


class UploadForm(forms.Form):
    """A file, and whose people they are."""

    audience = forms.ModelChoiceField(
        Audience.objects.none(), label=gettext_lazy("Audience"), empty_label=None
    )
    file = forms.FileField(
        label=gettext_lazy("File"),
        help_text=gettext_lazy("A CSV in UTF-8 of at most 5 MB, with the names of its columns in row 1."),
        widget=forms.FileInput(attrs={"accept": ".csv,.tsv,.txt,text/csv"}),
        error_messages={"empty": gettext_lazy("This file is empty.")},
    )
    mapping = forms.CharField(
        label=gettext_lazy("Other names of columns"),
        help_text=gettext_lazy(
            "One a line, as in “Kontakt=email”. A name with nothing behind it, “Shoe size=”, leaves a column out."
        ),
        required=False,
        max_length=4000,
        widget=forms.Textarea(attrs={"rows": 3}),
    )

    def __init__(self, data: Any = None, files: Any = None, *, audiences: list[Audience]) -> None:
        super().__init__(data, files)
        field: Any = self.fields["audience"]
        field.queryset = Audience.objects.filter(pk__in=[one.pk for one in audiences])
        field.choices = [(one.pk, one.name) for one in audiences]
        if len(audiences) == 1:
            field.initial = audiences[0].pk
            field.widget = forms.HiddenInput()

    def clean_file(self) -> Any:
        file = self.cleaned_data["file"]
        if file.size > uploads.LIMIT:
            raise forms.ValidationError(
                _("This file has more than 5 MB. Whoever runs the site imports it by prefs_import.")
            )
        return file

    def clean_mapping(self) -> dict[str, str]:
        found = {}
        for line in self.cleaned_data["mapping"].splitlines():
            header, equals, column = line.partition("=")
            if line.strip() and not equals:
                raise forms.ValidationError(_("Each line needs a “=” between the two names."))
            if line.strip():
                found[header.strip()] = column.strip().casefold()
        return found


class ImportsView(WagtailAdminTemplateMixin, OfAudiences):
    """What the screens share."""

    actions = (may.VIEW, may.IMPORT)
    page_title = gettext_lazy("Import people")
    header_icon = "upload"

    def get_breadcrumbs_items(self) -> list[dict[str, Any]]:
        return [*self.breadcrumbs_items, {"url": reverse(f"{NAME}:index"), "label": _("Import people")}]

    def page(self, **context: Any) -> HttpResponseBase:
        found: HttpResponseBase = self.render_to_response(self.get_context_data(**context))
        found["Cache-Control"] = "private, no-store"
        return found

    def uploads(self) -> Any:
        """The files that the user may see: her own, of these audiences."""
        found = ImportUpload.objects.filter(audience__in=self.audiences).select_related("audience")
        user: Any = self.request.user
        return found if user.is_superuser else found.filter(user=str(user.pk))

    def upload(self, pk: UUID, *, file: bool = False) -> ImportUpload:
        found = self.uploads() if file else self.uploads().defer("file")
        upload: ImportUpload | None = found.filter(pk=pk).first()
        if upload is None:
            raise Http404
        return upload

    def runs(self) -> Any:
        runs = ImportRun.objects.filter(audience__in=self.audiences).exclude(done_at=None)
        return runs.select_related("audience").order_by("-done_at", "-pk")


class IndexView(ImportsView):
    """Sending a file; those that wait to be finished; the last ones that were written."""

    template_name = "wagtail_prefs/admin/imports/index.html"
    http_method_names = ["get", "head", "post"]

    def get(self, request: HttpRequest) -> HttpResponseBase:
        return self._draw(UploadForm(audiences=self.audiences))

    def post(self, request: HttpRequest) -> HttpResponseBase:
        form = UploadForm(request.POST, request.FILES, audiences=self.audiences)
        if form.is_valid():
            given = form.cleaned_data
            try:
                upload = uploads.keep(
                    given["file"].read(), given["mapping"], given["audience"], user=request.user
                )
            except BadFile as problem:
                words = _("This file cannot be imported: %(problem)s.") % {"problem": problem}
                form.add_error("file", words)
            else:
                return redirect(f"{NAME}:upload", upload.pk)
        return self._draw(form)

    def _draw(self, form: UploadForm) -> HttpResponseBase:
        waiting = self.uploads().defer("file").order_by("-created_at") if self.audiences else []
        runs = self.runs()[:EARLIER] if self.audiences else []
        return self.page(form=form if self.audiences else None, waiting=waiting, runs=runs)


class UploadView(ImportsView):
    """One file: how far it is, what it would come to, and the buttons."""

    http_method_names = ["get", "head", "post"]
    seconds = uploads.SECONDS

    def get(self, request: HttpRequest, pk: UUID) -> HttpResponseBase:
        upload = self.upload(pk, file=True)
        # Looking a file through changes nothing, so that it begins by itself; writing goes on by the button.
        return self._draw(upload, going=upload.state == ImportUpload.CHECKING)

    def post(self, request: HttpRequest, pk: UUID) -> HttpResponseBase:
        try:
            upload = self.upload(pk)
        except Http404:
            return self._written(pk)
        step, going = request.POST.get("step"), True
        if step == "discard":
            uploads.discard(pk)
            messages.success(request, _("The file is deleted."))
            return redirect(f"{NAME}:index")
        if step == "check":
            going = uploads.check(pk, seconds=self.seconds)
        elif step == "write":
            uploads.begin(upload, user=request.user)
            going = uploads.write(pk, user=request.user, seconds=self.seconds)
        found = self.uploads().filter(pk=pk).first()
        if found is None:
            return self._written(pk)
        return self._draw(found, going=going and step in {"check", "write"})

    def _written(self, pk: UUID) -> HttpResponseBase:
        """To the sums of a file that was written to its end, also where a button was pressed twice."""
        run = self.runs().filter(upload=pk).first()
        if run is None:
            raise Http404
        return redirect(f"{NAME}:result", run.pk)

    def _draw(self, upload: ImportUpload, *, going: bool) -> HttpResponseBase:
        if upload.state == ImportUpload.CHECKED:
            self.template_name = "wagtail_prefs/admin/imports/forecast.html"
            problems = [
                {"row": row, "column": COLUMN_OF.get(Code(code), ""), "words": WORDS[Code(code)]}
                for row, code in upload.problems
            ]
            return self.page(
                upload=upload,
                sums=list(in_words(upload.sums)),
                problems=problems,
                all_problems=sum(number for code, number in upload.sums.items() if Code(code) not in FINE),
                changes=any(upload.sums.get(code) for code in CHANGES),
                written=uploads.was_written(upload),
            )
        self.template_name = "wagtail_prefs/admin/imports/progress.html"
        writes = upload.state == ImportUpload.WRITING
        return self.page(
            upload=upload,
            going=going,
            writes=writes,
            step="write" if writes else "check",
            seen=upload.row - 1,
            total=upload.rows - 1,
        )


class ReportView(ImportsView):
    """All that would be left out, as a file: numbers of rows, names of columns and words of ours."""

    http_method_names = ["get"]

    def get(self, request: HttpRequest, pk: UUID) -> HttpResponseBase:
        upload = self.upload(pk, file=True)
        headings = [_("Row"), _("Column"), _("What is wrong")]
        return Spreadsheet("import-left-out", headings).response(_left_out(upload), Spreadsheet.FORMAT_CSV)


class ResultView(ImportsView):
    """What became of a file."""

    template_name = "wagtail_prefs/admin/imports/result.html"
    http_method_names = ["get", "head"]

    def get(self, request: HttpRequest, run: int) -> HttpResponseBase:
        found = self.runs().filter(pk=run).first()
        if found is None:
            raise Http404
        return self.page(run=found, sums=list(in_words(found.sums)))


def in_words(sums: Mapping[str, int]) -> Iterator[dict[str, Any]]:
    """The sums of a file, what is as it should be first."""
    for code in Code:
        if sums.get(code):
            yield {"words": WORDS[code], "number": sums[code], "fine": code in FINE}


def _left_out(upload: ImportUpload) -> Iterator[tuple[Any, ...]]:
    for step in importing.forecast(uploads.source_of(upload), upload.audience):
        for outcome in step.outcomes:
            for code in outcome.codes:
                if code not in FINE:
                    yield outcome.row, COLUMN_OF.get(code, ""), str(WORDS[code])


class ImportsMenuItem(MenuItem):
    def is_shown(self, request: HttpRequest) -> bool:
        return all(may.policy().user_has_permission(request.user, action) for action in ImportsView.actions)


class ImportsViewSet(ViewSet):
    """The screens of imports."""

    name = NAME
    icon = "upload"
    menu_label = gettext_lazy("Import")
    menu_order = 760
    menu_hook = SUBMENU_HOOK
    menu_item_class = ImportsMenuItem

    def get_urlpatterns(self) -> list[URLPattern]:
        return [
            path("", self.construct_view(IndexView), name="index"),
            path("<uuid:pk>/", self.construct_view(UploadView), name="upload"),
            path("<uuid:pk>/report/", self.construct_view(ReportView), name="report"),
            path("done/<int:run>/", self.construct_view(ResultView), name="result"),
        ]
