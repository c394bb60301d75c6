"""The addresses of the demo site: the plugin below `prefs/`, everything else as on any Wagtail site."""

from __future__ import annotations

from django.conf import settings
from django.conf.urls.i18n import i18n_patterns
from django.conf.urls.static import static
from django.urls import include, path
from wagtail import urls as wagtail_urls
from wagtail.admin import urls as wagtailadmin_urls
from wagtail.documents import urls as wagtaildocs_urls

urlpatterns = [
    path("admin/", include(wagtailadmin_urls)),
    path("documents/", include(wagtaildocs_urls)),
    path("prefs/", include("wagtail_prefs.urls")),
    *static(settings.MEDIA_URL, document_root=settings.MEDIA_ROOT),
    # English pages stand at "/", German ones at "/de/".
    *i18n_patterns(path("", include(wagtail_urls)), prefix_default_language=False),
]
