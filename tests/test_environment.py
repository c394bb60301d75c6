"""The rules of the test environment itself."""

from __future__ import annotations

import importlib
import socket

import pytest
from pytest_django.live_server_helper import LiveServer
from pytest_socket import SocketConnectBlockedError


def test_no_test_reaches_another_machine() -> None:
    with socket.socket() as outside, pytest.raises(SocketConnectBlockedError):
        outside.connect(("192.0.2.1", 80))  # RFC 5737: an address for documentation


def test_loopback_is_open() -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        socket.create_connection(server.getsockname(), timeout=5).close()


def test_the_blocks_have_one_name() -> None:
    importlib.import_module("wagtail_prefs.blocks")
    with pytest.raises(ImportError):
        importlib.import_module("blocks")


def test_a_live_server_has_connections_of_its_own(live_server: LiveServer) -> None:
    assert live_server.thread.connections_override == {}
