"""The addresses of a site that follows the README: the admin, the plugin below `prefs/`, Wagtail last."""

from __future__ import annotations

from django.contrib import admin
from django.urls import include, path
from wagtail import urls as wagtail_urls
from wagtail.admin import urls as wagtailadmin_urls
from wagtail.documents import urls as wagtaildocs_urls

urlpatterns = [
    path("django-admin/", admin.site.urls),
    path("admin/", include(wagtailadmin_urls)),
    path("documents/", include(wagtaildocs_urls)),
    path("prefs/", include("wagtail_prefs.urls")),
    path("", include(wagtail_urls)),
]
