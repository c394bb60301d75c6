"""No log line holds a link, a code, a session, a key, an address or a password of a backend: held while every test runs
(security.md TK-11, BK-06).

Whatever this process signs, and every address that a person, a request or a mail is made with, is remembered. All
loggers log at DEBUG. What reaches any handler, after the product's own redaction, is formatted and searched, and the
test during which something came out fails. A live server writes its access log as well. Other processes are searched
by `search_output`.
"""

from __future__ import annotations

import logging
import re
from collections.abc import Callable, Generator
from typing import Any
from urllib.parse import unquote

import pytest

#: A site's own programs, as tests play them, keep addresses: docs/reference/logs.md. aiosmtpd is the tests' mail server.
KEEP_ADDRESSES = ("any", "shop", "djangonauts", "mail.log")
#: More of them begin alike by chance once in 2**96.
BEGINNING = 16

_RUN = re.compile(rf"[A-Za-z0-9_-]{{{BEGINNING},}}")
_DOMAIN = re.compile(r"@([\w.-]*\w)")
_TOKEN = re.compile(r"\b[a-z]\d\.[\w-]{1,16}\.[\w-]{2,}\.[\w-]{43}(?![\w-])")
#: Options of backends that are passwords, by a part of their names.
_PASSWORD = re.compile(r"SECRET|PASSWORD|TOKEN|KEY")
#: `wpk_` and the public id.
_KEY_ID = 17


class Leaks:
    """The plugin; `tests/conftest.py` registers it."""

    def __init__(self) -> None:
        self.found: list[str] = []
        self.records = 0
        self._secrets: set[str] = set()
        self._addresses: dict[str, set[str]] = {}
        self._passwords: set[str] = set()
        self._formatter = logging.Formatter("%(name)s %(levelname)s %(message)s")
        self._undo: list[Callable[[], None]] = []

    # What was issued

    def token(self, token: str) -> None:
        self._secrets.add(token.rpartition(".")[2][:BEGINNING])

    def key(self, key: str) -> None:
        self._secrets.add(key[_KEY_ID : _KEY_ID + BEGINNING])

    def address(self, address: str) -> None:
        local, _at, domain = address.lower().rpartition("@")
        if local and domain:
            self._addresses.setdefault(domain, set()).add(local)

    def options(self, options: Any) -> None:
        """The passwords among the options of a backend."""
        for name, value in dict(options or {}).items():
            if _PASSWORD.search(str(name)):
                for one in value if isinstance(value, list | tuple) else [value]:
                    if isinstance(one, str) and len(one) >= 10:  # shorter ones are words
                        self._passwords.add(one)

    # What came out

    def look(self, record: logging.LogRecord) -> None:
        """Search what a handler is given, with whatever a formatter could make of its attributes."""
        self.records += 1
        try:
            text = self._formatter.format(record)
        except Exception:  # noqa: BLE001 - the handlers will say so
            text = f"{record.msg} {record.args}"
        more = [str(value) for name, value in vars(record).items() if name not in _STANDARD]
        if more:
            text = " ".join([text, *more])
        leak = self.search(text, addresses=not record.name.startswith(KEEP_ADDRESSES))
        if leak:
            self.found.append(f"{leak} in a log line of {record.name!r}: {text[:500]}")

    def search(self, text: str, *, addresses: bool = True) -> str:
        """What of all that was issued stands in a text; "" for nothing."""
        if "%" in text:
            text = unquote(unquote(text))
        for run in _RUN.findall(text):
            if run[:BEGINNING] in self._secrets:
                return "the MAC of a token"
            if run.startswith("wpk_") and run[_KEY_ID : _KEY_ID + BEGINNING] in self._secrets:
                return "an API key"
        if any(password in text for password in self._passwords):
            return "a password of a backend"
        if addresses and "@" in text:
            text = text.lower()
            for at in _DOMAIN.finditer(text):
                before = text[max(0, at.start() - 64) : at.start()]
                if before.endswith(tuple(self._addresses.get(at[1], ()))):
                    return "an address"
        return ""

    # While the tests run

    def pytest_sessionstart(self) -> None:
        from django.core.servers.basehttp import WSGIRequestHandler
        from django.db.models.signals import post_init
        from django.test.testcases import QuietWSGIRequestHandler

        from wagtail_prefs.access import api_keys, tokens
        from wagtail_prefs.access.models import AccessRequest, OneTimeLink
        from wagtail_prefs.backends.base import Backend
        from wagtail_prefs.backends.registry import BackendRegistry
        from wagtail_prefs.contacts.models import Contact
        from wagtail_prefs.mail.models import Mail

        def put(owner: Any, name: str, value: Any) -> None:
            before = getattr(owner, name)
            self._undo.append(lambda: setattr(owner, name, before))
            setattr(owner, name, value)

        sign, make, handle = tokens.sign, api_keys.make, logging.Logger.callHandlers

        def signed(*args: Any, **kwargs: Any) -> str:
            token = sign(*args, **kwargs)
            self.token(token)
            return token

        def made(*args: Any, **kwargs: Any) -> Any:
            row, key = make(*args, **kwargs)
            self.key(key)
            return row, key

        def handled(logger: logging.Logger, record: logging.LogRecord) -> None:
            self.look(record)
            handle(logger, record)

        begin, secrets = Backend.__init__, BackendRegistry.inbound_secrets

        def begun(backend: Backend, alias: str, options: Any = None) -> None:
            self.options(options)
            begin(backend, alias, options)

        def words(registry: BackendRegistry, alias: str) -> list[str]:
            found = secrets(registry, alias)
            self.options({"INBOUND_SECRETS": found})
            return found

        put(Backend, "__init__", begun)
        put(BackendRegistry, "inbound_secrets", words)
        put(tokens, "sign", signed)
        put(api_keys, "make", made)
        put(logging.Logger, "callHandlers", handled)
        put(QuietWSGIRequestHandler, "log_message", WSGIRequestHandler.log_message)

        fields = {Contact: "email", AccessRequest: "address", OneTimeLink: "address", Mail: "to"}
        for model, field in fields.items():
            model._meta.get_field(field)  # it is still called that

            def remember(instance: Any, field: str = field, **_signal: Any) -> None:
                if instance.__dict__.get(field):
                    self.address(instance.__dict__[field])

            post_init.connect(remember, sender=model, weak=False)
            self._undo.append(lambda model=model, remember=remember: post_init.disconnect(remember, model))  # type: ignore[misc]

        levels = dict.fromkeys(("", "django", "django.server"), logging.DEBUG)
        # At DEBUG it prints all that a template was given where a variable is missing, and so evaluates every query set
        # in it: statements that no site has, in tests that count them. That such records are redacted is held apart.
        levels["django.template"] = logging.INFO
        for name, level in levels.items():
            logger = logging.getLogger(name)
            put_back = logger.level
            self._undo.append(lambda logger=logger, level=put_back: logger.setLevel(level))  # type: ignore[misc]
            logger.setLevel(level)

    def pytest_sessionfinish(self) -> None:
        while self._undo:
            self._undo.pop()()

    @pytest.hookimpl(wrapper=True)
    def pytest_runtest_setup(self) -> Generator[None, Any, Any]:
        return (yield from self._watch())

    @pytest.hookimpl(wrapper=True)
    def pytest_runtest_call(self) -> Generator[None, Any, Any]:
        return (yield from self._watch())

    @pytest.hookimpl(wrapper=True)
    def pytest_runtest_teardown(self) -> Generator[None, Any, Any]:
        return (yield from self._watch())

    def _watch(self) -> Generator[None, Any, Any]:
        result = yield
        if self.found:
            found, self.found = self.found, []
            pytest.fail("Out came " + "\n".join(found[:3]), pytrace=False)
        return result


_STANDARD = frozenset(
    {*vars(logging.LogRecord("", 0, "", 0, "", (), None)), "taskName", "message", "asctime"}
)


def search_output(output: str, addresses: Any = ()) -> None:
    """Fail where the output of another process holds a token, or one of these addresses."""
    found = _TOKEN.search(unquote(output))
    assert not found, f"A token in the output: {output[max(0, found.start() - 200) : found.end()]}"
    lowered = unquote(output).lower()
    for address in addresses:
        assert not address or address.lower() not in lowered, f"{address} in the output"
