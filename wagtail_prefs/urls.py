"""What a site mounts: `path("prefs/", include("wagtail_prefs.urls"))`."""

from __future__ import annotations

from django.urls import include, path

app_name = "wagtail_prefs"

urlpatterns = [
    path("api/v1/", include("wagtail_prefs.api.urls")),
    path("", include("wagtail_prefs.web.urls")),
]
