"""The one way out: `Transport` sends a request and gives a bounded answer, or an error that is already classified.

Imported by the worker only (it loads `requests`). No redirects, no proxies or credentials from the environment, no
cookies, TLS verified, the body capped, the whole exchange bounded in time, and every connection made to an address
that was checked: the name is resolved once, so it cannot point elsewhere between the check and the connection.
"""

from __future__ import annotations

import logging
import socket
from collections.abc import Callable, Mapping
from http.cookiejar import DefaultCookiePolicy
from importlib.metadata import version
from urllib.parse import urlsplit

import requests
from urllib3.exceptions import HTTPError

from ..conf import conf
from ..values import Outcome
from .answers import Answer, TransportError
from .connections import Deadline, GuardedAdapter, Refused, deadline, hide_from_logs

CONNECT_SECONDS = 3.0
TOTAL_SECONDS = 10.0
MAX_BODY = 64 * 1024
USER_AGENT = f"wagtail-prefs/{version('wagtail-prefs')}"


class Transport:
    """One per backend and thread; it keeps connections open between calls.

    `own_network` is for a platform beside the site, on its machine or in its private network: those addresses, plain
    http and any port.
    """

    def __init__(
        self, *, timeout: float = TOTAL_SECONDS, own_network: bool = False, max_body: int = MAX_BODY
    ) -> None:
        self.timeout = timeout
        self.own_network = own_network
        self.max_body = max_body
        self.session = requests.Session()
        self.session.trust_env = False
        self.session.cookies.set_policy(DefaultCookiePolicy(allowed_domains=[]))
        for prefix in ("http://", "https://"):
            self.session.mount(prefix, GuardedAdapter(own_network=own_network))
        logging.getLogger("urllib3.connectionpool").addFilter(hide_from_logs)

    def send(
        self, method: str, url: str, *, body: bytes = b"", headers: Mapping[str, str] | None = None
    ) -> Answer:
        """Send one request. Raises TransportError when there is no complete answer; any status is an answer."""
        check_url(url, own_network=self.own_network)
        try:
            with deadline(self.timeout) as limit:
                answer = self.session.request(
                    method,
                    url,
                    data=body,
                    headers={
                        "User-Agent": USER_AGENT,
                        # A compressed body could grow without bound after the cap.
                        "Accept-Encoding": "identity",
                        **(headers or {}),
                    },
                    timeout=(min(CONNECT_SECONDS, self.timeout), self.timeout),
                    allow_redirects=False,
                    stream=True,
                )
                try:
                    content = _read(answer, limit, self.max_body)
                finally:
                    answer.close()
        # The texts of these errors hold host and path; ours says what kind it was and nothing else.
        except (requests.RequestException, HTTPError, OSError, ValueError) as error:
            code = "timeout" if limit.passed else _code(error)
            outcome = Outcome.MISCONFIGURED if code in _CONFIGURATION else Outcome.RETRY
            raise TransportError(outcome, code) from None
        names = {name.lower(): value for name, value in answer.headers.items()}
        return Answer(answer.status_code, names, content)

    def close(self) -> None:
        self.session.close()


def check_url(url: str, *, own_network: bool = False) -> None:
    """Refuse what is not plainly an https address; raises TransportError."""
    try:
        parts = urlsplit(url)
        port = parts.port
    except ValueError:
        raise TransportError(Outcome.MISCONFIGURED, "bad-url") from None
    relaxed = own_network or conf.allow_private_hosts
    wrong = (
        parts.scheme not in ({"https", "http"} if relaxed else {"https"})
        or not parts.hostname
        or parts.username is not None
        or parts.password is not None
        or any(character <= " " or character == "\\" for character in url)
        or not (relaxed or port in (None, 443))
    )
    if wrong:
        raise TransportError(Outcome.MISCONFIGURED, "bad-url")


class _TooLarge(OSError):
    """The body is larger than the cap."""


_CODES: tuple[tuple[type[BaseException], str], ...] = (
    (Refused, "refused-address"),
    (_TooLarge, "body-too-large"),
    (requests.exceptions.InvalidURL, "bad-url"),
    (requests.exceptions.SSLError, "tls"),
    (requests.exceptions.Timeout, "timeout"),
    (TimeoutError, "timeout"),
    (socket.gaierror, "dns"),
)
_CONFIGURATION = {"refused-address", "bad-url", "tls"}


def _code(error: BaseException) -> str:
    """The word for an error: the first we know in its chain of causes."""
    chain: list[BaseException] = [error]
    while (cause := chain[-1].__cause__ or chain[-1].__context__) is not None and cause not in chain:
        chain.append(cause)
    for cls, code in _CODES:
        if any(isinstance(link, cls) for link in chain):
            return code
    return "connection"


def _read(answer: requests.Response, limit: Deadline, most: int) -> bytes:
    content = bytearray()
    read: Callable[..., bytes] = answer.raw.read
    while chunk := read(most + 1 - len(content), decode_content=False):
        content += chunk
        if len(content) > most:
            raise _TooLarge
    if limit.passed:
        raise TimeoutError
    return bytes(content)
