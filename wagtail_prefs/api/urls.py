"""Routes under `api/v1/`."""

from __future__ import annotations

from django.urls import path
from django.views.decorators.http import require_safe

from .centers import center_document
from .preferences import PreferencesView, SessionsView
from .schema import openapi_view

urlpatterns = [
    path("openapi.json", require_safe(openapi_view), name="openapi"),
    path("centers/<uuid:center>/", center_document, name="center"),
    path("centers/<uuid:center>/sessions/", SessionsView.as_view(), name="sessions"),
    path("centers/<uuid:center>/preferences/", PreferencesView.as_view(), name="preferences"),
]
