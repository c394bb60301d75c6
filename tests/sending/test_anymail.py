"""django-anymail behind it: the backend of a platform, against a server on loopback that speaks its API."""

from __future__ import annotations

import json
from typing import Any

import pytest
from anymail.exceptions import AnymailError, AnymailRequestsAPIError
from anymail.message import AnymailMessage
from django.core.mail import EmailMessage
from pytest_httpserver import HTTPServer
from werkzeug import Request, Response

from tests import factories
from tests.mail import smtp
from tests.sending.letters import NO, ROSA, WRAPPER, choose, mail_to, places, reader
from wagtail_prefs import send
from wagtail_prefs.contacts.models import Contact
from wagtail_prefs.sending.values import Status

POSTMARK = "anymail.backends.postmark.EmailBackend"
pytestmark = pytest.mark.filterwarnings("ignore::anymail.exceptions.AnymailNotSupportedWarning")


class Postmark:
    """Takes mails, or answers with `status`."""

    def __init__(self, server: HTTPServer) -> None:
        self.got: list[dict[str, Any]] = []
        self.status = 200
        server.expect_request("/email").respond_with_handler(self.take)
        server.expect_request("/email/batchWithTemplates").respond_with_handler(self.take)

    def take(self, request: Request) -> Response:
        if self.status != 200:
            return Response("{}", status=self.status, content_type="application/json")
        mail = json.loads(request.data)
        self.got.append(mail)
        answer = {"ErrorCode": 0, "Message": "OK", "MessageID": f"id-{len(self.got)}", "To": mail["To"]}
        return Response(json.dumps(answer), content_type="application/json")

    @property
    def headers(self) -> dict[str, str]:
        return {header["Name"]: header["Value"] for header in self.got[-1].get("Headers", [])}


@pytest.fixture
def rosa(db: None) -> Contact:
    factories.make_topics()
    return reader()


@pytest.fixture
def postmark(httpserver: HTTPServer, mailer: Any, settings: Any) -> Postmark:
    settings.ANYMAIL = {"POSTMARK_SERVER_TOKEN": "a-token", "POSTMARK_API_URL": httpserver.url_for("/")}
    settings.WAGTAIL_PREFS = {**settings.WAGTAIL_PREFS, "SENDING_BACKEND": POSTMARK}
    mailer(WRAPPER)
    return Postmark(httpserver)


@pytest.mark.parametrize("kind", [EmailMessage, AnymailMessage])
@pytest.mark.parametrize("wrapped", [False, True])
def test_what_it_knows_of_a_mail_survives(
    rosa: Contact, postmark: Postmark, kind: type[EmailMessage], wrapped: bool
) -> None:
    message: Any = mail_to(ROSA, kind=kind, headers={"X-A": "a"})
    message.tags = ["news-48"]
    message.metadata = {"issue": "48"}
    if wrapped:
        message.extra_headers["X-Prefs-Topic"] = "news"
        assert message.send() == 1
    else:
        assert send(message, "news").status is Status.SENT
    (got,) = postmark.got
    assert (got["To"], got["Tag"], got["Metadata"]) == (ROSA, "news-48", {"issue": "48"})
    assert postmark.headers["X-A"] == "a"
    assert postmark.headers["List-Unsubscribe"].startswith("<http://localhost/prefs/u/v1.")
    assert postmark.headers["List-Unsubscribe-Post"] == "List-Unsubscribe=One-Click"
    assert "X-Prefs-Topic" not in postmark.headers
    assert "Message-ID" not in postmark.headers  # the platform makes its own
    assert message.anymail_status.message_id == "id-1"  # what its events are matched by
    choose(rosa, NO)
    assert send(message, "news").status is Status.REFUSED
    assert len(postmark.got) == 1


@pytest.mark.parametrize(
    "more",
    [
        {"merge_headers": {ROSA: {"List-Unsubscribe": "<https://a.example>"}}},
        {"merge_data": {ROSA: {"name": "Rosa"}, "b@c.example": {"name": "B"}}, "to": [ROSA, "b@c.example"]},
    ],
)
def test_one_mail_for_many_readers_is_none(rosa: Contact, postmark: Postmark, more: dict[str, Any]) -> None:
    message: Any = mail_to(*more.pop("to", [ROSA]), kind=AnymailMessage)
    for name, value in more.items():
        setattr(message, name, value)
    with pytest.raises(ValueError, match=r"one reader|already"):
        send(message, "news")
    assert (postmark.got, places()) == ([], [])


@pytest.mark.parametrize(
    ("status", "kept"), [(401, False), (429, False), (503, False), (500, True), (504, True)]
)
def test_what_the_platform_answers_says_whether_it_went(
    rosa: Contact, postmark: Postmark, status: int, kept: bool
) -> None:
    postmark.status = status
    with pytest.raises(AnymailRequestsAPIError):
        send(mail_to(ROSA), "news", message_id="m")
    assert len(places()) == kept


def test_a_platform_that_is_not_reached_has_nothing(rosa: Contact, postmark: Postmark, settings: Any) -> None:
    settings.ANYMAIL = {**settings.ANYMAIL, "POSTMARK_API_URL": f"http://127.0.0.1:{smtp.free_port()}/"}
    with pytest.raises(AnymailError):
        send(mail_to(ROSA), "news", message_id="m")
    assert places() == []
