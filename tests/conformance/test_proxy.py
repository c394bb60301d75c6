"""The proxy of the kit does what it says, and nothing else."""

from __future__ import annotations

import http.client
import json
import threading
from collections.abc import Iterator
from urllib.parse import quote, urlsplit

import pytest
import requests

from tests.conformance.acme import TOKEN, Acme
from tests.faults.delivering import eventually
from wagtail_prefs.backends.testing import FaultProxy

READER = "o'reader+news@mail.example.org"
AUTH = {"Authorization": f"Bearer {TOKEN}"}


@pytest.fixture
def acme() -> Iterator[Acme]:
    acme = Acme()
    yield acme
    acme.close()


@pytest.fixture
def proxy(acme: Acme) -> Iterator[FaultProxy]:
    proxy = FaultProxy(acme.url)
    proxy.open()
    yield proxy
    proxy.close()


def tell(proxy: FaultProxy, email: str = READER) -> requests.Response:
    return requests.post(
        f"{proxy.url}/contacts/batch", json={"contacts": [{"email": email}]}, headers=AUTH, timeout=10
    )


def test_calls_pass_as_they_are_and_are_kept(proxy: FaultProxy, acme: Acme) -> None:
    assert tell(proxy).json() == {"errors": []}
    path = f"/contacts/{quote(READER, safe='')}"
    found = requests.get(proxy.url + path, headers=AUTH, timeout=10)
    assert (found.status_code, found.json()["email"]) == (200, READER)
    assert found.headers["Content-Type"] == "application/json"
    gone = requests.delete(proxy.url + path, headers=AUTH, timeout=10)
    assert (gone.status_code, gone.content) == (204, b"")
    assert requests.get(proxy.url + path, timeout=10).status_code == 401
    calls = [(call.method, call.path, call.status) for call in proxy.calls]
    assert calls == [
        ("POST", "/api/contacts/batch", 200),
        ("GET", f"/api{path}", 200),
        ("DELETE", f"/api{path}", 204),
        ("GET", f"/api{path}", 401),
    ]
    assert json.loads(proxy.calls[0].body) == {"contacts": [{"email": READER}]}
    assert proxy.calls[0].headers["Authorization"] == f"Bearer {TOKEN}"


def test_it_is_away_as_often_as_it_is_told(proxy: FaultProxy, acme: Acme) -> None:
    proxy.away(2)
    answers = [tell(proxy) for _ in range(3)]
    assert [answer.status_code for answer in answers] == [503, 503, 200]
    assert READER in answers[0].text  # whoever logs it logs an address
    proxy.away(status=404)
    assert [tell(proxy).status_code for _ in range(3)] == [404] * 3
    proxy.heal()
    proxy.slow_down(30, times=1)
    slow = tell(proxy)
    assert (slow.status_code, slow.headers["Retry-After"]) == (429, "30")
    assert tell(proxy).status_code == 200


@pytest.mark.parametrize("heard", [False, True])
def test_a_connection_breaks_before_or_after_the_platform_heard(
    proxy: FaultProxy, acme: Acme, heard: bool
) -> None:
    (proxy.lose if heard else proxy.drop)()
    with pytest.raises(requests.ConnectionError):
        tell(proxy)
    assert (READER in acme.contacts) == heard
    assert [(call.fault, call.status) for call in proxy.calls] == [("lost" if heard else "dropped", 0)]
    assert tell(proxy).status_code == 200


@pytest.mark.parametrize("heard", [False, True])
def test_an_answer_is_spoilt(proxy: FaultProxy, acme: Acme, heard: bool) -> None:
    proxy.garble(done=heard)
    answer = tell(proxy)
    assert answer.status_code == 200
    with pytest.raises(ValueError, match="Expecting value"):
        answer.json()
    assert (READER in acme.contacts) == heard


def test_whoever_is_refused_is_refused_however_she_is_written(proxy: FaultProxy, acme: Acme) -> None:
    name = "Zoë+news@mail.example.org"
    tell(proxy, name)
    proxy.refuse(name)
    to, kind = urlsplit(proxy.url), "application/x-www-form-urlencoded"
    for method, path, body in [
        ("GET", f"/api/contacts/{quote(name, safe='')}", None),
        ("GET", f"/api/contacts/{quote(name, safe='+@')}", None),
        ("POST", "/api/contacts/batch", json.dumps({"contacts": [{"email": name}]})),
        (
            "POST",
            "/api/contacts/batch",
            json.dumps({"contacts": [{"email": name}]}, ensure_ascii=False).encode(),
        ),
        ("POST", "/api/contacts", f"email={quote(name, safe='')}"),
    ]:
        connection = http.client.HTTPConnection(to.hostname or "", to.port, timeout=10)
        connection.request(method, path, body, {**AUTH, "Content-Type": kind})
        assert connection.getresponse().status == 422
        connection.close()
    assert tell(proxy, "other@mail.example.org").status_code == 200
    proxy.heal()
    assert tell(proxy, name).status_code == 200


def test_an_answer_that_takes_its_time_is_let_go_by_heal_and_by_close(proxy: FaultProxy) -> None:
    for end in (proxy.heal, proxy.close):
        proxy.delay(3600)
        answers: list[int] = []
        asker = threading.Thread(target=lambda: answers.append(tell(proxy).status_code))  # noqa: B023 - joined below
        asker.start()
        eventually(lambda: proxy.ahead is None)
        assert answers == []
        end()
        asker.join(60)
        assert answers == [200]


def test_a_platform_that_is_not_there_is_a_bad_gateway(proxy: FaultProxy, acme: Acme) -> None:
    with FreshProxy("http://127.0.0.1:9/api") as nowhere:
        assert tell(nowhere).status_code == 502


def test_many_at_once_are_counted_once_each(proxy: FaultProxy, acme: Acme) -> None:
    proxy.away(10)
    statuses: list[int] = []
    threads = [
        threading.Thread(
            target=lambda: statuses.append(tell(proxy, f"{threading.get_ident()}@x.example").status_code)
        )
        for _ in range(30)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(statuses) == [200] * 20 + [503] * 10
    assert len(proxy.calls) == 30


class FreshProxy(FaultProxy):
    def __enter__(self) -> FreshProxy:
        self.open()
        return self

    def __exit__(self, *_: object) -> None:
        self.close()
