"""The transport: what it refuses, what it bounds, and what it makes of errors."""

from __future__ import annotations

import contextlib
import socket
import ssl
import subprocess
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from pytest_django import Settings
from pytest_httpserver import HTTPServer
from pytest_socket import SocketConnectBlockedError
from werkzeug import Request, Response as Answer

from wagtail_prefs.backends.answers import Answer as Said, TransportError, classify, parse_retry_after
from wagtail_prefs.backends.transport import MAX_BODY, Transport
from wagtail_prefs.values import Outcome

PUBLIC = "93.184.216.34"


@pytest.fixture
def _loopback(settings: Settings) -> None:
    settings.WAGTAIL_PREFS = {**settings.WAGTAIL_PREFS, "ALLOW_PRIVATE_HOSTS": True}


def refusal(url: str, **options: Any) -> TransportError:
    with pytest.raises(TransportError) as caught:
        Transport(**options).send("POST", url, body=b"{}")
    return caught.value


def resolver(monkeypatch: pytest.MonkeyPatch, *answers: list[str]) -> list[str]:
    """A name server that gives one answer after the other; returns the names it was asked for."""
    asked: list[str] = []

    def getaddrinfo(host: str, port: int, *_: Any, **__: Any) -> list[Any]:
        addresses = answers[min(len(asked), len(answers) - 1)]
        asked.append(host)
        return [
            (
                socket.AF_INET6 if ":" in address else socket.AF_INET,
                socket.SOCK_STREAM,
                6,
                "",
                (address, port),
            )
            for address in addresses
        ]

    monkeypatch.setattr(socket, "getaddrinfo", getaddrinfo)
    return asked


# --- where it goes ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "url",
    [
        "http://crm.example/",
        "ftp://crm.example/",
        "file:///etc/passwd",
        "gopher://crm.example/",
        "//crm.example/",
        "crm.example",
        "https://",
        "https:///path",
        "https://user@crm.example/",
        "https://user:password@crm.example/",
        "https://crm.example@127.0.0.1/",
        "https://crm.example:22/",
        "https://crm.example:8443/",
        "https://crm.example:99999/",
        "https://crm.example\\@127.0.0.1/",
        "https://crm.example/ path",
        "https://crm.example/\r\nHost: other",
        "https://[::1",
        "https://crm.example:0/",
        "https://crm.example:443@127.0.0.1/",
        "https://@127.0.0.1/",
        "https://:@crm.example/",
        "https://crm.example%40@127.0.0.1/",
        "https:\\\\127.0.0.1/",
        "https:/\\127.0.0.1/",
        "https://127.0.0.1\\.crm.example/",
        "https://crm.example\t/",
        "\x00https://crm.example/",
        " https://crm.example/",
        "https://crm.example:443:80/",
        "https://crm.example:+443/",
        "https://[fe80::1%25eth0]@crm.example/",
        "https://[v1.fe80]/",
        "javascript://crm.example/",
        "HTTP://crm.example/",
        "",
    ],
)
def test_only_plain_https_addresses(url: str) -> None:
    error = refusal(url)
    assert (error.outcome, error.code) == (Outcome.MISCONFIGURED, "bad-url")


@pytest.mark.parametrize(
    "host",
    [
        "127.0.0.1",
        "localhost",
        "[::1]",
        "[::ffff:127.0.0.1]",
        "[2002:7f00:1::]",
        "[64:ff9b::7f00:1]",
        "169.254.169.254",
        "10.0.0.1",
        "0.0.0.0",
        "2130706433",  # 127.0.0.1 as the C library reads it
        "0x7f000001",
        "0177.0.0.1",
        "127.1",
        "127.0.0.1.",
        "localhost.",
        "LOCALHOST",
        "0x7f.0.0.1",
        "0177.0x0.0.1",
        "0",
        "017700000001",
        "00000000000000000000000000000000177.0.0.1",
        "127.0.0.1%00.crm.example",
        "%31%32%37.0.0.1",
        "１２７.０.０.１",  # full-width digits, which IDNA makes plain ones
        "ⓛⓞⓒⓐⓛⓗⓞⓢⓣ",
        "127。0。0。1",  # ideographic full stops
        "[::]",
        "[0:0:0:0:0:ffff:7f00:1]",
        "[::127.0.0.1]",
        "[fe80::1%25lo]",
        "[fe80::1%lo]",
        "[::1%25lo]",
        "[fd00:ec2::254]",
        "[64:ff9b:1::1]",
        "[::ffff:0:127.0.0.1]",
        "100.100.100.200",
        "168.63.129.16",
        "224.0.0.1",
        "255.255.255.255",
    ],
)
def test_no_spelling_leads_into_the_machine(host: str, monkeypatch: pytest.MonkeyPatch) -> None:
    ask = socket.getaddrinfo

    def read(name: str, *rest: Any, **flags: Any) -> Any:
        """As the C library reads it, but no name server is asked."""
        known = name.rstrip(".").lower() == "localhost"
        return ask(name, *rest, **flags, flags=0 if known else socket.AI_NUMERICHOST)

    monkeypatch.setattr(socket, "getaddrinfo", read)
    error = refusal(f"https://{host}/")
    # A name that no C library takes for a number leads nowhere by itself; what a name server says is checked as well.
    assert (error.outcome, error.code) in {
        (Outcome.MISCONFIGURED, "refused-address"),
        (Outcome.MISCONFIGURED, "bad-url"),
        (Outcome.RETRY, "dns"),
    }


@pytest.mark.parametrize(
    "addresses",
    [
        ["127.0.0.1"],
        [PUBLIC, "127.0.0.1"],
        ["127.0.0.1", PUBLIC],
        [PUBLIC, "::1"],
        [PUBLIC, "::ffff:10.0.0.1"],
    ],
)
def test_one_private_address_spoils_a_name(monkeypatch: pytest.MonkeyPatch, addresses: list[str]) -> None:
    resolver(monkeypatch, addresses)
    assert refusal("https://crm.example/").code == "refused-address"


def test_a_name_is_resolved_once_and_the_checked_address_is_the_one_connected_to(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    asked = resolver(monkeypatch, [PUBLIC], ["127.0.0.1"])  # the second answer would lead inside
    with pytest.raises(
        SocketConnectBlockedError, match=PUBLIC
    ):  # the test's own guard: no test leaves the machine
        Transport().send("POST", "https://crm.example/")
    assert asked == ["crm.example"]


def test_a_name_that_turns_inside_is_refused_at_the_next_connection(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    asked = resolver(monkeypatch, [PUBLIC], ["127.0.0.1"])
    transport = Transport()
    with pytest.raises(SocketConnectBlockedError, match=PUBLIC):
        transport.send("POST", "https://crm.example/")
    with pytest.raises(TransportError) as caught:
        transport.send("POST", "https://crm.example/")
    assert (caught.value.outcome, caught.value.code) == (Outcome.MISCONFIGURED, "refused-address")
    assert asked == ["crm.example"] * 2


# --- a platform beside the site --------------------------------------------------------------------------------------


def test_the_sites_own_network_is_open_to_a_platform_that_stands_there(httpserver: HTTPServer) -> None:
    httpserver.expect_request("/").respond_with_data("here")
    url = httpserver.url_for("/")
    assert Transport(own_network=True).send("GET", url).body == b"here"
    assert refusal(url).code == "bad-url"


@pytest.mark.parametrize(
    ("addresses", "code"),
    [
        (["169.254.169.254"], "refused-address"),
        (["127.0.0.1", "169.254.169.254"], "refused-address"),
        (["100.100.100.200"], "refused-address"),
        (["fd00:ec2::254"], "refused-address"),
        (["0.0.0.0"], "refused-address"),
    ],
)
def test_credentials_of_a_cloud_stay_closed_to_it(
    monkeypatch: pytest.MonkeyPatch, addresses: list[str], code: str
) -> None:
    resolver(monkeypatch, addresses)
    for url in ("http://crm.example/", "https://crm.example:8443/"):
        assert refusal(url, own_network=True).code == code


@pytest.mark.parametrize(
    "url", ["ftp://127.0.0.1/", "http://me@127.0.0.1/", "http://127.0.0.1\\@x/", "http:///x"]
)
def test_an_address_in_the_own_network_is_plain_as_well(url: str) -> None:
    assert refusal(url, own_network=True).code == "bad-url"


@pytest.mark.usefixtures("_loopback")
def test_the_environment_has_no_say(httpserver: HTTPServer, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("HTTP_PROXY", "http_proxy", "ALL_PROXY", "all_proxy"):
        monkeypatch.setenv(name, "http://127.0.0.1:1")
    for name in ("NO_PROXY", "no_proxy", "REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE"):
        monkeypatch.delenv(name, raising=False)
    httpserver.expect_request("/").respond_with_data("here")
    assert Transport().send("GET", httpserver.url_for("/")).body == b"here"


@pytest.mark.usefixtures("_loopback")
def test_redirects_are_not_followed(httpserver: HTTPServer) -> None:
    httpserver.expect_request("/").respond_with_data(
        "", status=302, headers={"Location": httpserver.url_for("/x")}
    )
    response = Transport().send("POST", httpserver.url_for("/"))
    assert response.status == 302
    assert classify(response) == (Outcome.MISCONFIGURED, "http-302")
    assert len(httpserver.log) == 1


@pytest.mark.usefixtures("_loopback")
def test_cookies_are_not_kept(httpserver: HTTPServer) -> None:
    seen: list[str] = []

    def answer(request: Request) -> Answer:
        seen.append(request.headers.get("Cookie", ""))
        return Answer("", headers={"Set-Cookie": "a=b"})

    httpserver.expect_request("/").respond_with_handler(answer)
    transport = Transport()
    for _ in range(2):
        transport.send("POST", httpserver.url_for("/"))
    assert seen == ["", ""]


# --- TLS -------------------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """A certificate of crm.example that signs itself."""
    folder = tmp_path_factory.mktemp("tls")
    key, cert = folder / "key.pem", folder / "cert.pem"
    subprocess.run(
        [
            *(
                "openssl",
                "req",
                "-x509",
                "-newkey",
                "rsa:2048",
                "-nodes",
                "-days",
                "2",
                "-subj",
                "/CN=crm.example",
            ),
            *("-addext", "subjectAltName=DNS:crm.example", "-keyout", key, "-out", cert),
        ],
        check=True,
        capture_output=True,
    )
    return key, cert


@pytest.fixture
def tls_server(certificate: tuple[Path, Path]) -> Iterator[tuple[HTTPServer, list[str | None]]]:
    key, cert = certificate
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(cert, key)
    names: list[str | None] = []
    context.sni_callback = lambda _socket, name, _context: names.append(name)
    with HTTPServer(host="127.0.0.1", ssl_context=context) as server:
        yield server, names


@pytest.mark.usefixtures("_loopback")
def test_name_and_host_stay_while_the_address_is_pinned(
    tls_server: tuple[HTTPServer, list[str | None]],
    certificate: tuple[Path, Path],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    server, names = tls_server
    server.expect_request("/hook").respond_with_data("ok")
    resolver(monkeypatch, ["127.0.0.1"])
    transport = Transport()
    transport.session.verify = str(certificate[1])
    assert transport.send("POST", f"https://crm.example:{server.port}/hook").body == b"ok"
    assert names == ["crm.example"]
    assert server.log[0][0].headers["Host"] == f"crm.example:{server.port}"


@pytest.mark.usefixtures("_loopback")
@pytest.mark.parametrize("host", ["crm.example", "other.example"])
def test_a_certificate_nobody_vouches_for_is_refused(
    tls_server: tuple[HTTPServer, list[str | None]],
    certificate: tuple[Path, Path],
    monkeypatch: pytest.MonkeyPatch,
    host: str,
) -> None:
    server, _ = tls_server
    resolver(monkeypatch, ["127.0.0.1"])
    transport = Transport()
    if host == "other.example":  # known, but for another name
        transport.session.verify = str(certificate[1])
    with pytest.raises(TransportError) as caught:
        transport.send("POST", f"https://{host}:{server.port}/hook")
    assert (caught.value.outcome, caught.value.code) == (Outcome.MISCONFIGURED, "tls")
    assert not server.log


# --- bounds ----------------------------------------------------------------------------------------------------------


@contextlib.contextmanager
def raw_server(talk: Callable[[socket.socket], None]) -> Iterator[str]:
    """A server that says what `talk` says, byte by byte."""
    with socket.create_server(("127.0.0.1", 0)) as server:

        def serve() -> None:
            with contextlib.suppress(OSError):
                peer, _ = server.accept()
                with peer:
                    peer.recv(65536)
                    talk(peer)

        thread = threading.Thread(target=serve, daemon=True)
        thread.start()
        yield f"http://127.0.0.1:{server.getsockname()[1]}/"
    thread.join(timeout=5)


def drip(peer: socket.socket, beginning: bytes) -> None:
    stop = threading.Event()
    peer.sendall(beginning)
    while not stop.wait(0.05):
        peer.sendall(b"x")


@pytest.mark.usefixtures("_loopback")
@pytest.mark.parametrize(
    "beginning",
    [
        b"",
        b"HTTP/1.1 200 OK\r\nX: ",
        b"HTTP/1.1 200 OK\r\nContent-Length: 9999\r\n\r\n",
        b"HTTP/1.1 200 OK\r\n\r\n",
    ],
)
def test_a_peer_that_drips_is_left(beginning: bytes) -> None:
    with raw_server(lambda peer: drip(peer, beginning)) as url:
        error = refusal(url, timeout=0.5)
    assert (error.outcome, error.code) == (Outcome.RETRY, "timeout")


@pytest.mark.usefixtures("_loopback")
def test_a_peer_that_says_nothing_is_left() -> None:
    done = threading.Event()
    with raw_server(lambda peer: done.wait(10) and None) as url:
        error = refusal(url, timeout=0.3)
        done.set()
    assert (error.outcome, error.code) == (Outcome.RETRY, "timeout")


@pytest.mark.usefixtures("_loopback")
@pytest.mark.parametrize(
    "answer", [b"", b"nonsense\r\n\r\n", b"HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nabc"]
)
def test_half_an_answer_is_none(answer: bytes) -> None:
    with raw_server(lambda peer: peer.sendall(answer)) as url:
        error = refusal(url)
    assert (error.outcome, error.code) == (Outcome.RETRY, "connection")


@pytest.mark.usefixtures("_loopback")
@pytest.mark.parametrize(
    ("size", "accepted"), [(MAX_BODY, True), (MAX_BODY + 1, False), (50 * MAX_BODY, False)]
)
def test_a_body_is_read_up_to_a_cap(httpserver: HTTPServer, size: int, accepted: bool) -> None:
    httpserver.expect_request("/").respond_with_data(b"x" * size)
    if accepted:
        assert len(Transport().send("GET", httpserver.url_for("/")).body) == size
    else:
        error = refusal(httpserver.url_for("/"))
        assert (error.outcome, error.code) == (Outcome.RETRY, "body-too-large")


@pytest.mark.usefixtures("_loopback")
def test_errors_hold_no_address(httpserver: HTTPServer) -> None:
    error = refusal("http://127.0.0.1:1/secret-path?token=abc")
    assert error.__cause__ is None
    assert error.__suppress_context__
    assert str(error) == "connection"


# --- what answers mean -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("status", "outcome"),
    [
        *((status, Outcome.DONE) for status in (200, 201, 202, 204)),
        *((status, Outcome.RETRY) for status in (408, 423, 425, 500, 502, 503, 504, 524)),
        *((status, Outcome.REFUSED) for status in (400, 409, 413, 422)),
        *(
            (status, Outcome.MISCONFIGURED)
            for status in (101, 301, 302, 307, 308, 401, 403, 404, 405, 410, 426)
        ),
        (429, Outcome.RATE_LIMITED),
    ],
)
def test_statuses(status: int, outcome: Outcome) -> None:
    found, code = classify(Said(status, {}, b""))
    assert found is outcome
    assert code == ("" if outcome is Outcome.DONE else f"http-{status}")


@pytest.mark.parametrize(
    ("value", "seconds"),
    [
        (None, None),
        ("", None),
        ("0", 0),
        ("120", 120),
        (" 7 ", 7),
        ("-5", None),
        ("soon", None),
        ("1e9", None),
        ("²", None),
        ("99999999999", 86_400),
        ("Thu, 01 Jan 1970 00:10:00 GMT", 300),  # "now" is five minutes after the epoch
        ("Thu, 01 Jan 1970 00:01:00 GMT", 0),
    ],
)
def test_retry_after(value: str | None, seconds: float | None) -> None:
    assert parse_retry_after(value, now=300) == seconds
