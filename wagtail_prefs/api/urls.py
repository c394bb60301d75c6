"""Routes under `api/v1/`."""

from __future__ import annotations

from django.urls import path
from django.views.decorators.http import require_safe

from .asking import access_links_view, sign_ups_view
from .centers import center_document
from .contacts import contact_view, contacts_view, find_view
from .decisions import asking_view, decisions_view
from .inbound import inbound_view
from .links import links_view
from .preferences import preferences_view, sessions_view
from .receipts import history_view, undo_view
from .rights import erasure_view, export_view
from .schema import openapi_view
from .sends import send_view, sends_view
from .step_up import step_up_view
from .suppressions import suppressions_view

urlpatterns = [
    path("openapi.json", require_safe(openapi_view), name="openapi"),
    path("centers/<uuid:center>/", center_document, name="center"),
    path("centers/<uuid:center>/access-links/", access_links_view, name="access-links"),
    path("centers/<uuid:center>/signups/", sign_ups_view, name="sign-ups"),
    path("centers/<uuid:center>/sessions/", sessions_view, name="sessions"),
    path("centers/<uuid:center>/preferences/", preferences_view, name="preferences"),
    path("centers/<uuid:center>/preferences/undo/", undo_view, name="undo"),
    path("centers/<uuid:center>/preferences/history/", history_view, name="history"),
    path("centers/<uuid:center>/preferences/step-up/", step_up_view, name="step-up"),
    path("centers/<uuid:center>/preferences/export/", export_view, name="export"),
    path("centers/<uuid:center>/preferences/erasure/", erasure_view, name="erasure"),
    path("contacts/", contacts_view, name="contacts"),
    path("contacts/find/", find_view, name="find-contact"),
    path("contacts/<uuid:contact>/", contact_view, name="contact"),
    path("links/", links_view, name="links"),
    path("suppressions/", suppressions_view, name="suppressions"),
    path("decisions/", decisions_view, name="decisions"),
    path("decisions/asking/", asking_view, name="asking"),
    path("sends/", sends_view, name="sends"),
    path("sends/<path:message_id>/", send_view, name="send"),  # an id may hold slashes
    path("inbound/<str:alias>/<str:secret>/", inbound_view, name="inbound"),
]
