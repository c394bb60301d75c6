"""Debian's redis-server on loopback for as long as tests need it: nothing is written to the disk."""

from __future__ import annotations

import contextlib
import shutil
import socket
import subprocess
import time
from collections.abc import Iterator
from typing import Any

import pytest
import redis

SECONDS = 20


def cache_of(url: str) -> dict[str, Any]:
    """Django's setting CACHES for it."""
    return {"default": {"BACKEND": "django.core.cache.backends.redis.RedisCache", "LOCATION": url}}


@contextlib.contextmanager
def serving(port: int | None = None) -> Iterator[str]:
    """Runs one, on a port that is free or on this one; gives its address."""
    program = shutil.which("redis-server")
    if not program:
        pytest.fail("No redis-server is installed: run `make install`.")
    if port is None:
        with socket.create_server(("127.0.0.1", 0)) as probe:
            port = probe.getsockname()[1]
    command = [program, "--bind", "127.0.0.1", "--port", str(port), "--save", "", "--appendonly", "no"]
    with subprocess.Popen([*command, "--loglevel", "warning"], stdout=subprocess.PIPE, text=True) as process:
        try:
            until = time.monotonic() + SECONDS
            with redis.Redis("127.0.0.1", port) as client:
                while True:
                    try:
                        client.ping()
                        break
                    except redis.ConnectionError:
                        assert process.poll() is None, process.stdout and process.stdout.read()
                        assert time.monotonic() < until, "redis-server took too long"
                        time.sleep(0.02)
            yield f"redis://127.0.0.1:{port}"
        finally:
            process.terminate()
            process.wait(timeout=SECONDS)
