"""The addresses of a site that offers Wagtail's own APIs beside the plugin."""

from __future__ import annotations

from django.urls import include, path
from wagtail.api.v2.router import WagtailAPIRouter
from wagtail.api.v2.views import PagesAPIViewSet
from wagtail.api.v3.urls import api as v3
from wagtail.documents.api.v2.views import DocumentsAPIViewSet
from wagtail.images.api.v2.views import ImagesAPIViewSet

from tests.urls import urlpatterns as site

v2 = WagtailAPIRouter("wagtailapi")
v2.register_endpoint("pages", PagesAPIViewSet)
v2.register_endpoint("images", ImagesAPIViewSet)
v2.register_endpoint("documents", DocumentsAPIViewSet)

urlpatterns = [
    path("api/v2/", v2.urls),
    path("api/v3/", v3.urls),
    path("", include(site)),
]
