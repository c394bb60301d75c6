"""The buttons of "Your data" on the page without JavaScript: a file, and a second page before anything is erased."""

from __future__ import annotations

from django.http import HttpRequest, HttpResponse, QueryDict
from django.utils import translation
from django.utils.translation import gettext as _

from ..access.services import Link
from ..centers.form import EXPORT, HIDDEN, Submitted, one
from ..centers.services import Center, Snapshot
from ..errors import StepUpRequired
from ..rights import services as rights
from ..values import Actor, ActorType, Source
from .personal import address
from .responses import page, seal

#: Stands in the second form.
SURE = "sure"


def answer(
    request: HttpRequest,
    link: Link,
    center: Center,
    snapshot: Snapshot,
    submitted: Submitted,
    data: QueryDict,
    *,
    by: ActorType,
    is_known: bool,
    member: str = "",
) -> HttpResponse:
    """What the button comes to. `is_known`: she came by a fresh link, or is signed in to the site; else StepUpRequired."""
    if not is_known:
        raise StepUpRequired
    if submitted.right == EXPORT:
        response = HttpResponse(
            rights.as_zip(rights.export_for_herself(link.contact_id)), content_type="application/zip"
        )
        response["Content-Disposition"] = 'attachment; filename="my-data.zip"'
        return seal(response)
    if one(data, SURE) != "1":
        return _ask(request, snapshot, data, member)
    source = Source(
        method="page",
        form_id=str(center.center),
        form_version=snapshot.digest,
        language=snapshot.locale,
        source_url=center.page_url,
    )
    rights.erase_person(link.contact_id, actor=Actor(by), source=source)
    with translation.override(snapshot.locale):
        context = {"title": _("Your data is erased"), "text": rights.erased_told(snapshot.locale)}
    return page("wagtail_prefs/message.html", context, locale=snapshot.locale)


def _ask(request: HttpRequest, snapshot: Snapshot, data: QueryDict, member: str) -> HttpResponse:
    """Whether she is sure, in a form that says the same again."""
    context = {
        "action": address(request),
        "hidden": [(name, one(data, name)) for name in HIDDEN if one(data, name)],
        "button": one(data, "do"),
        "sure": SURE,
        "title": snapshot.document["title"],
        "csrf_token": member,
    }
    return page("wagtail_prefs/erase.html", context, locale=snapshot.locale)
