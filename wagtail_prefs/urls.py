"""What a site mounts: `path("prefs/", include("wagtail_prefs.urls"))`."""

from __future__ import annotations

from django.urls import include, path

from .api.urls import urlpatterns as api

app_name = "wagtail_prefs"

urlpatterns = [
    # Side by side and not included: a level more is a third of what Django needs to find a view.
    *(path(f"api/v1/{one.pattern}", one.callback, one.default_args, one.name) for one in api),
    path("", include("wagtail_prefs.web.urls")),
]
