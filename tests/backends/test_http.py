"""What vendors' modules share, on a real HTTP server: a CRM of a few lines, and everything that can go wrong."""

from __future__ import annotations

import json
import re
import uuid
from collections.abc import Mapping, Sequence
from typing import Any, ClassVar
from urllib.parse import unquote

import pytest
from django.core.exceptions import ImproperlyConfigured
from hypothesis import given, strategies as st
from pytest_httpserver import HTTPServer
from werkzeug import Request, Response

from tests.properties import examples
from wagtail_prefs.backends.answers import Answer, TransportError, Verdict, classify, word
from wagtail_prefs.backends.base import Option, PlatformError
from wagtail_prefs.backends.http import OWN_NETWORK, HttpBackend
from wagtail_prefs.backends.mapping import ATTRIBUTES, TOPICS
from wagtail_prefs.values import Capabilities, Json, Operation, Outcome, Result, TopicModel


class CrmBackend(HttpBackend):
    """A platform with a batch call that names errors by position or by address, and a call for each."""

    capabilities = Capabilities(channels=("email",), topics=TopicModel.LIST, batch_size=10)
    known_options: ClassVar[Mapping[str, Option]] = {
        **HttpBackend.known_options,
        **OWN_NETWORK,
        **TOPICS,
        **ATTRIBUTES,
        "URL": Option(str, "where"),
        "MODE": Option(str, "how", default="index"),
    }
    token = "old"
    fresh = ""

    @property
    def base_url(self) -> str:
        return str(self.options["URL"])

    def headers(self) -> Mapping[str, str]:
        return {"Authorization": f"Bearer {self.token}"}

    def refresh(self) -> bool:
        self.token = self.fresh
        return bool(self.fresh)

    def classify(self, answer: Answer) -> tuple[Outcome, str]:
        if answer.status == 403 and not answer.body:
            return Outcome.RATE_LIMITED, "http-403"
        return classify(answer)

    def send(self, batch: Sequence[Operation]) -> Sequence[Result]:
        if self.options["MODE"] == "single":
            return self.one_by_one(batch, self._put)
        answer = self.call("POST", "/batch", json=[operation.payload for operation in batch])
        errors = answer.json()["errors"]
        fine = Verdict(Outcome.DONE)
        if self.options["MODE"] == "index":
            said = {item["index"]: Verdict(Outcome.REFUSED, word(item["code"])) for item in errors}
            return self.by_index(batch, said, unsaid=fine)
        by_address = {item["email"]: Verdict(Outcome.REFUSED, word(item["code"])) for item in errors}
        return self.by_key(batch, lambda operation: operation.payload["email"], by_address, unsaid=fine)

    def _put(self, operation: Operation) -> Result | None:
        path = self.path("lists", 17, "members", operation.payload["email"].partition("@")[0])
        answer = self.call("PUT", path, form={"tag": ["a", "b"]}, query={"q": "x y"}, accept=(409,))
        if answer.status == 409:
            return None
        return Result(operation.key, Outcome.DONE, remote_id=answer.json()["id"])


def crm(server: HTTPServer | None = None, **options: Any) -> CrmBackend:
    url = server.url_for("/api") if server else "https://crm.example/api"
    return CrmBackend("crm", {"URL": url, "TOPICS": {"news": 17}, "OWN_NETWORK": True, **options})


def operations(*emails: str, restricts: bool = False, **payload: Any) -> list[Operation]:
    return [
        Operation(f"key-{number}", uuid.UUID(int=number), 1, "put", {"email": email, **payload}, restricts)
        for number, email in enumerate(emails)
    ]


def outcomes(results: Sequence[Result]) -> list[tuple[str, str]]:
    return [(result.outcome.value, result.code) for result in results]


ANNA, BEN, CARLA = (f"{name}@mail.example.org" for name in ("anna", "ben", "carla"))


# --- one call for many -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("mode", "error"),
    [("index", {"index": 1, "code": "Invalid Address"}), ("key", {"email": BEN, "code": "Invalid Address"})],
)
def test_an_error_inside_a_200_is_one_items_own(httpserver: HTTPServer, mode: str, error: Json) -> None:
    httpserver.expect_request("/api/batch", method="POST").respond_with_json({"errors": [error]})
    results = crm(httpserver, MODE=mode).execute(operations(ANNA, BEN, CARLA))
    assert outcomes(results) == [("done", ""), ("refused", "invalid-address"), ("done", "")]
    request, _ = httpserver.log[0]
    assert json.loads(request.get_data()) == [{"email": ANNA}, {"email": BEN}, {"email": CARLA}]
    assert request.headers["Authorization"] == "Bearer old"
    assert request.headers["Content-Type"] == request.headers["Accept"] == "application/json"


@pytest.mark.parametrize(
    ("mode", "error"), [("index", {"index": 7}), ("index", {"index": "1"}), ("key", {"email": "Ben@x"})]
)
def test_an_error_that_belongs_to_nobody_makes_all_uncertain(
    httpserver: HTTPServer, mode: str, error: Json
) -> None:
    httpserver.expect_request("/api/batch").respond_with_json({"errors": [{"code": "invalid", **error}]})
    backend = crm(httpserver, MODE=mode)
    assert outcomes(backend.execute(operations(ANNA, BEN))) == [("split", "unmatched-error")] * 2
    assert outcomes(backend.execute(operations(BEN))) == [("refused", "invalid")]


@given(
    size=st.integers(1, 8),
    said=st.dictionaries(
        st.integers(-2, 10), st.sampled_from([Outcome.DONE, Outcome.REFUSED, Outcome.RETRY]), max_size=8
    ),
    optimistic=st.booleans(),
)
@pytest.mark.property
@examples(100)
def test_whatever_a_platform_says_nothing_is_done_that_it_may_have_refused(
    size: int, said: dict[int, Outcome], optimistic: bool
) -> None:
    batch = operations(*(f"c{number}@mail.example.org" for number in range(size)))
    verdicts = {index: Verdict(outcome) for index, outcome in said.items()}
    unsaid = {"unsaid": Verdict(Outcome.DONE)} if optimistic else {}
    results = crm().by_index(batch, verdicts, **unsaid)
    assert [result.key for result in results] == [operation.key for operation in batch]
    stranger = any(
        index not in range(size) and outcome is not Outcome.DONE for index, outcome in said.items()
    )
    for index, result in enumerate(results):
        if index in said:
            assert result.outcome is said[index]
        else:
            assert (result.outcome is Outcome.DONE) == (optimistic and not stranger)


@pytest.mark.parametrize(
    ("status", "many", "one"),
    [
        (400, ("split", "http-400"), ("refused", "http-400")),
        (413, ("split", "http-413"), ("refused", "http-413")),
        (422, ("split", "http-422"), ("refused", "http-422")),
        (404, ("misconfigured", "http-404"), ("misconfigured", "http-404")),
        (429, ("rate_limited", "http-429"), ("rate_limited", "http-429")),
        (403, ("rate_limited", "http-403"), ("rate_limited", "http-403")),  # as this platform means it
        (503, ("retry", "http-503"), ("retry", "http-503")),
        (302, ("misconfigured", "http-302"), ("misconfigured", "http-302")),
    ],
)
def test_a_call_that_fails_as_a_whole(
    httpserver: HTTPServer, status: int, many: tuple[str, str], one: tuple[str, str]
) -> None:
    httpserver.expect_request("/api/batch").respond_with_data("", status=status)
    backend = crm(httpserver)
    assert outcomes(backend.execute(operations(ANNA, BEN))) == [many, many]
    assert outcomes(backend.execute(operations(ANNA))) == [one]


def test_an_answer_too_long_for_us_is_asked_for_in_parts(httpserver: HTTPServer) -> None:
    httpserver.expect_request("/api/batch").respond_with_data("x" * 70_000)
    assert outcomes(crm(httpserver).execute(operations(ANNA, BEN))) == [("split", "body-too-large")] * 2
    assert outcomes(crm(httpserver).execute(operations(ANNA))) == [("retry", "body-too-large")]


def test_a_page_instead_of_json_says_nothing(httpserver: HTTPServer) -> None:
    httpserver.expect_request("/api/batch").respond_with_data("<h1>Maintenance of anna@mail.example.org</h1>")
    assert outcomes(crm(httpserver).execute(operations(ANNA, BEN))) == [("retry", "not-json")] * 2


def test_what_has_no_result_was_not_said() -> None:
    class Silent(CrmBackend):
        def send(self, batch: Sequence[Operation]) -> Sequence[Result]:
            return [Result(batch[1].key, Outcome.DONE), Result("of nobody", Outcome.DONE)]

    backend = Silent("crm", {"URL": "https://crm.example", "TOPICS": {}})
    assert outcomes(backend.execute(operations(ANNA, BEN))) == [("retry", "no-answer"), ("done", "")]


@pytest.mark.parametrize(
    ("said", "kept"),
    [
        ({"remote_id": "a\x00b"}, {"remote_id": ""}),
        ({"remote_id": "a\nb"}, {"remote_id": ""}),
        ({"remote_id": "\ud800"}, {"remote_id": ""}),
        ({"remote_id": "x" * 256}, {"remote_id": ""}),
        ({"remote_id": 17}, {"remote_id": "17"}),
        ({"remote_id": None}, {"remote_id": ""}),
        ({"code": "a\x00b"}, {"code": "unreadable"}),
        ({"code": "x" * 200}, {"code": "x" * 128}),
        ({"retry_after": float("nan")}, {"retry_after": None}),
        ({"retry_after": float("inf")}, {"retry_after": 86_400}),
        ({"retry_after": -1}, {"retry_after": 0}),
    ],
)
def test_what_no_database_takes_is_not_kept(said: dict[str, Any], kept: dict[str, Any]) -> None:
    class Odd(CrmBackend):
        def send(self, batch: Sequence[Operation]) -> Sequence[Result]:
            return [Result(operation.key, Outcome.RETRY, **said) for operation in batch]

    (result,) = Odd("crm", {"URL": "https://crm.example", "TOPICS": {}}).execute(operations(ANNA))
    assert {name: getattr(result, name) for name in kept} == kept


def test_an_answer_does_not_show_what_it_holds() -> None:
    answer = Answer(200, {"set-cookie": "secret"}, b"anna@mail.example.org")
    assert "anna" not in repr(answer)
    assert "secret" not in repr(answer)


def test_an_attribute_that_does_not_fit_is_named_and_holds_no_opt_out_back(httpserver: HTTPServer) -> None:
    httpserver.expect_request("/api/batch").respond_with_json({"errors": []})
    backend = crm(httpserver)
    refused = backend.execute(operations(ANNA, misfits=["birthday", "size"]))
    assert outcomes(refused) == [("refused", "attribute-birthday")]
    assert outcomes(backend.execute(operations(ANNA, misfits=["birthday"], restricts=True))) == [("done", "")]
    assert outcomes(backend.execute(operations(ANNA, misfits=[]))) == [("done", "")]


# --- a call for each -------------------------------------------------------------------------------------------------


def test_each_has_its_own_answer(httpserver: HTTPServer) -> None:
    httpserver.expect_request("/api/lists/17/members/anna").respond_with_json({"id": "r1"})
    httpserver.expect_request("/api/lists/17/members/ben").respond_with_data("", status=409)
    httpserver.expect_request("/api/lists/17/members/carla").respond_with_data("", status=422)
    results = crm(httpserver, MODE="single").execute(operations(ANNA, CARLA, BEN))
    assert outcomes(results) == [("done", ""), ("refused", "http-422"), ("done", "")]
    assert results[0].remote_id == "r1"
    request, _ = httpserver.log[0]
    assert request.get_data() == b"tag=a&tag=b"
    assert request.query_string == b"q=x+y"
    assert request.headers["Content-Type"] == "application/x-www-form-urlencoded"


@pytest.mark.parametrize(("status", "calls"), [(429, 1), (401, 1), (500, 3), (422, 3)])
def test_a_platform_that_wants_to_be_left_alone_is(httpserver: HTTPServer, status: int, calls: int) -> None:
    httpserver.expect_request(re.compile("/api/.*")).respond_with_data(
        "", status=status, headers={"Retry-After": "9"}
    )
    results = crm(httpserver, MODE="single").execute(operations(ANNA, BEN, CARLA))
    assert len(httpserver.log) == calls
    assert len({(result.outcome, result.retry_after) for result in results}) == 1
    assert results[0].retry_after == 9


def test_a_platform_that_is_away_is_asked_once(monkeypatch: pytest.MonkeyPatch) -> None:
    backend = crm(URL="http://127.0.0.1:1", MODE="single")
    asked: list[str] = []
    send = backend.transport.send

    def counted(method: str, url: str, **rest: Any) -> Answer:
        asked.append(url)
        return send(method, url, **rest)

    monkeypatch.setattr(backend.transport, "send", counted)
    results = backend.execute(operations(ANNA, BEN))
    assert outcomes(results) == [("retry", "connection")] * 2
    assert len(asked) == 1


# --- the call itself -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("part", ["", ".", ".."])
def test_no_part_of_a_path_leads_elsewhere(part: str) -> None:
    with pytest.raises(PlatformError) as caught:
        crm().path("lists", part)
    assert (caught.value.outcome, caught.value.code) == (Outcome.REFUSED, "bad-identifier")


@given(
    parts=st.lists(st.text(min_size=1).filter(lambda part: part not in {".", ".."}), min_size=1, max_size=4)
)
@pytest.mark.property
@examples(100)
def test_a_path_has_as_many_parts_as_were_given(parts: list[str]) -> None:
    path = HttpBackend.path(*parts)
    found = path.split("/")[1:]
    assert [unquote(part) for part in found] == [part.encode(errors="replace").decode() for part in parts]
    assert path.isascii()
    assert not set(path) & set("?#;@: \\\r\n")


def test_an_address_in_a_path_arrives_whole(httpserver: HTTPServer) -> None:
    seen: list[str] = []

    def answer(request: Request) -> Response:
        seen.append(
            request.environ["RAW_URI"] if "RAW_URI" in request.environ else request.environ["REQUEST_URI"]
        )
        return Response("{}")

    httpserver.expect_request(re.compile(".*")).respond_with_handler(answer)
    backend = crm(httpserver)
    backend.call("GET", backend.path("members", "a+b/../c?d#e%2F@x.example"))
    assert seen == ["/api/members/a%2Bb%2F..%2Fc%3Fd%23e%252F%40x.example"]


def test_credentials_are_refreshed_once(httpserver: HTTPServer) -> None:
    def answer(request: Request) -> Response:
        good = request.headers["Authorization"] == "Bearer new"
        return Response('{"errors": []}', status=200 if good else 401)

    httpserver.expect_request("/api/batch").respond_with_handler(answer)
    backend = crm(httpserver)
    assert outcomes(backend.execute(operations(ANNA))) == [("misconfigured", "http-401")]
    assert len(httpserver.log) == 1
    backend.fresh = "wrong"
    assert outcomes(backend.execute(operations(ANNA))) == [("misconfigured", "http-401")]
    assert len(httpserver.log) == 3
    backend.fresh = "new"
    assert outcomes(backend.execute(operations(ANNA))) == [("done", "")]
    assert len(httpserver.log) == 5


@pytest.mark.parametrize(
    ("headers", "status", "seconds"),
    [
        ({"Retry-After": "3", "RateLimit-Reset": "5"}, 429, 3),
        ({"x-sib-ratelimit-reset": "4", "X-RateLimit-Reset": "5"}, 429, 4),
        ({"X-RateLimit-Reset": "6", "RateLimit-Reset": "7"}, 429, 6),
        ({"RateLimit-Reset": "7"}, 429, 7),
        ({"RateLimit-Reset": "7"}, 503, None),  # the end of a window, and not of the trouble
        ({"Retry-After": "8"}, 503, 8),
        ({}, 429, None),
    ],
)
def test_how_long_to_wait(
    httpserver: HTTPServer, headers: Mapping[str, str], status: int, seconds: float | None
) -> None:
    httpserver.expect_request("/api/x").respond_with_data("", status=status, headers=headers)
    with pytest.raises(PlatformError) as caught:
        crm(httpserver).call("GET", "/x")
    assert caught.value.retry_after == seconds


def test_errors_hold_nothing_of_the_call(httpserver: HTTPServer) -> None:
    httpserver.expect_request("/api/batch").respond_with_data("anna@mail.example.org", status=422)
    backend = crm(httpserver)
    with pytest.raises(PlatformError) as caught:
        backend.call("POST", "/batch", json={"email": ANNA})
    assert str(caught.value) == "http-422"
    assert "anna" not in repr(backend.execute(operations(ANNA)))
    with pytest.raises(TransportError) as lost:
        crm(URL="http://127.0.0.1:1/secret").call("GET", "/x", query={"email": ANNA})
    assert str(lost.value) == "connection"


def test_every_text_can_be_sent(httpserver: HTTPServer) -> None:
    httpserver.expect_request("/api/batch").respond_with_json({"errors": []})
    texts = ["Zoë", "عربي", "👩‍👩‍👧", "\u2028", "\ud800", '"\\', "\x00"]
    assert outcomes(crm(httpserver).execute(operations(ANNA, names=texts))) == [("done", "")]
    sent = json.loads(httpserver.log[0][0].get_data())[0]["names"]
    assert sent == ["Zoë", "عربي", "👩‍👩‍👧", "\u2028", "?", '"\\', "\x00"]
    crm(httpserver, MODE="single").execute(operations("\ud800@mail.example.org"))


def test_an_error_is_a_result() -> None:
    def fails() -> Result:
        raise PlatformError(Outcome.RATE_LIMITED, "http-429", 5)

    backend = crm()
    assert backend.attempt("k", fails) == Result("k", Outcome.RATE_LIMITED, "http-429", 5)
    assert backend.attempt("k", lambda: None) == Result("k", Outcome.DONE)
    done = Result("k", Outcome.DONE, remote_id="1")
    assert backend.attempt("k", lambda: done) is done


@pytest.mark.parametrize("timeout", [0, -1, 31, float("nan"), float("inf")])
def test_a_call_ends_before_its_lease(timeout: float) -> None:
    with pytest.raises(ImproperlyConfigured, match='"TIMEOUT"'):
        crm(TIMEOUT=timeout)


def test_two_who_share_an_address_are_told_apart(httpserver: HTTPServer) -> None:
    httpserver.expect_request("/api/batch").respond_with_json({"errors": []})
    backend = crm(httpserver, MODE="key")
    assert outcomes(backend.execute(operations(ANNA, BEN, ANNA))) == [("split", "same-key")] * 3
    assert outcomes(backend.execute(operations(ANNA))) == [("done", "")]


def test_a_path_begins_with_a_slash() -> None:
    with pytest.raises(ValueError, match="slash"):
        crm().call("GET", "x")


def test_check_looks_at_the_address() -> None:
    assert crm().check() == []
    assert crm(URL="http://127.0.0.1:9").check() == []
    for url in ("http://127.0.0.1:9", "https://me@crm.example", ""):
        (problem,) = crm(URL=url, OWN_NETWORK=False).check()
        assert (problem.level, "crm" in problem.text) == ("error", True)


def test_an_address_that_is_the_same_for_all_is_an_attribute() -> None:
    class Hosted(HttpBackend):
        base_url = "https://api.crm.example/v2"

    assert Hosted("crm").base_url == "https://api.crm.example/v2"
    assert Hosted("crm").check() == []


def test_it_maps_what_its_options_map() -> None:
    backend = crm()
    assert backend.maps("news", "email")
    assert not backend.maps("offers", "email")
    assert not backend.maps("news", "sms")
    assert backend.describe_topic("news") == "List 17"
    assert backend.describe_topic("offers") == ""
