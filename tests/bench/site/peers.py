"""What a site would use without the plugin, written as their documentation says."""

from __future__ import annotations

from typing import Any

from django.db.models import Q
from django.http import HttpRequest, HttpResponse
from rest_framework import generics, serializers
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView
from wagtail.api.v2.router import WagtailAPIRouter
from wagtail.api.v2.views import PagesAPIViewSet

from wagtail_prefs.contacts.models import State
from wagtail_prefs.values import CHANNELS, SUBSCRIBED, UNSUBSCRIBED


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


class Asked(serializers.Serializer[Any]):
    topic = serializers.CharField(max_length=64)
    channel = serializers.ChoiceField(CHANNELS)
    contacts = serializers.ListField(child=serializers.UUIDField(), max_length=1000)


class Answered(serializers.Serializer[Any]):
    contact = serializers.UUIDField()
    decision = serializers.CharField()
    reason = serializers.CharField()


class DrfDecisions(APIView):
    """May I send this to them? Whether she is there, has left or has chosen: the first of our rules, as one query."""

    def post(self, request: Request) -> Response:
        asked = Asked(data=request.data)
        asked.is_valid(raise_exception=True)
        contacts, topic, channel = (asked.validated_data[name] for name in ("contacts", "topic", "channel"))
        rows = State.objects.filter(
            Q(topic="", channel="") | Q(topic=topic, channel=channel), contact__in=contacts
        ).select_related("contact")
        left, chosen = set(), {}
        for row in rows:
            if row.contact.suppressed or (not row.topic and row.choice == UNSUBSCRIBED):
                left.add(row.contact_id)
            elif row.topic:
                chosen[row.contact_id] = row.choice
        answers = [{"contact": one, **_answer(one in left, chosen.get(one))} for one in contacts]
        return Response({"decisions": Answered(answers, many=True).data})


def _answer(left: bool, choice: str | None) -> dict[str, str]:
    if not left and choice == SUBSCRIBED:
        return {"decision": "send", "reason": choice}
    return {"decision": "refuse", "reason": "opted_out" if left else choice or "never_asked"}


class Pages(PagesAPIViewSet):
    """The page detail of Wagtail's API, with the blocks of the center page."""

    body_fields = [*PagesAPIViewSet.body_fields, "body"]


api = WagtailAPIRouter("wagtailapi")
api.register_endpoint("pages", Pages)
