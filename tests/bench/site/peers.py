"""What a site would use without the plugin, written as their documentation says."""

from __future__ import annotations

from typing import Any

from django.http import HttpRequest, HttpResponse
from rest_framework import generics, serializers
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView
from wagtail.api.v2.router import WagtailAPIRouter
from wagtail.api.v2.views import PagesAPIViewSet

from wagtail_prefs.contacts.models import State


def hello(_request: HttpRequest) -> HttpResponse:
    """What Django and its middleware cost by themselves."""
    return HttpResponse("hello", content_type="text/plain")


class DrfHello(APIView):
    """What DRF adds, as it comes."""

    def get(self, _request: Request) -> Response:
        return Response({"hello": "world"})


class StateSerializer(serializers.ModelSerializer[State]):
    class Meta:
        model = State
        fields = ["topic", "channel", "choice", "pending", "frequency", "paused_until"]


class DrfState(generics.ListAPIView[State]):
    """The state of one contact: the same rows as ours, without signature, snapshot or words."""

    serializer_class = StateSerializer

    def get_queryset(self) -> Any:
        return State.objects.filter(contact_id=self.kwargs["contact"])


class Pages(PagesAPIViewSet):
    """The page detail of Wagtail's API, with the blocks of the center page."""

    body_fields = [*PagesAPIViewSet.body_fields, "body"]


api = WagtailAPIRouter("wagtailapi")
api.register_endpoint("pages", Pages)
