"""The plugin below `prefs/`, the peers below `peer/`, Wagtail last."""

from __future__ import annotations

from django.urls import include, path
from wagtail import urls as wagtail_urls
from wagtail.admin import urls as wagtailadmin_urls

from . import peers

urlpatterns = [
    path("admin/", include(wagtailadmin_urls)),
    path("prefs/", include("wagtail_prefs.urls")),
    path("peer/hello/", peers.hello),
    path("peer/drf/", peers.DrfHello.as_view()),
    path("peer/state/<uuid:contact>/", peers.DrfState.as_view()),
    path("peer/api/v2/", peers.api.urls),
    path("", include(wagtail_urls)),
]
