"""Routes beside the API: what stands in mails, and the element's script."""

from __future__ import annotations

from django.urls import path

from .confirm import ConfirmView
from .element import newest_element, versioned_element
from .frame import frame
from .longer_pause import LongerPauseView
from .manage import ManageView
from .member import MemberView
from .one_click import OneClickView
from .receipt_page import ReceiptView
from .request_link import RequestLinkView
from .sign_up import SignUpView
from .why import WhyView

urlpatterns = [
    path("l/<str:token>/", ManageView.as_view(), name="manage"),
    path("u/<str:token>/", OneClickView.as_view(), name="one-click"),
    path("c/<str:token>/", ConfirmView.as_view(), name="confirm"),
    path("w/<str:token>/", WhyView.as_view(), name="why"),
    path("r/", ReceiptView.as_view(), name="receipts"),
    path("r/<str:token>/", ReceiptView.as_view(), name="receipt"),
    path("p/<str:token>/", LongerPauseView.as_view(), name="longer-pause"),
    path("me/<uuid:center>/", MemberView.as_view(), name="member"),
    path("request-link/<uuid:center>/", RequestLinkView.as_view(), name="request-link"),
    path("sign-up/<uuid:center>/", SignUpView.as_view(), name="sign-up"),
    path("embed.js", newest_element, name="embed"),
    path("embed/<uuid:center>/", frame, name="embed-frame"),
    path("embed/<str:version>.js", versioned_element, name="embed-version"),
]
