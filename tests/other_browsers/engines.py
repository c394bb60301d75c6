"""Two browsers beside Chromium, each driven through its own door: Firefox by puppeteer, WebKitGTK by selenium.

Both do what `Browser` says, so that a flow is written once. Clicks and keys are the browser's own events (`isTrusted`).
"""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, Protocol, TypeVar

import pytest
from selenium.common.exceptions import WebDriverException
from selenium.webdriver import Remote
from selenium.webdriver.common.action_chains import ActionChains
from selenium.webdriver.common.actions.action_builder import ActionBuilder
from selenium.webdriver.common.keys import Keys
from selenium.webdriver.remote.client_config import ClientConfig
from selenium.webdriver.remote.remote_connection import RemoteConnection
from selenium.webdriver.webkitgtk.options import Options
from selenium.webdriver.webkitgtk.service import Service
from urllib3.exceptions import HTTPError

ROOT = Path(__file__).resolve().parents[2]
FRONTEND = ROOT / "frontend"
#: A start, or one step, on two busy cores; `scripts/firefox.ts` knows it, too.
SECONDS = 60
NODE = FRONTEND / "node_modules" / ".bin" / "node"

T = TypeVar("T")


class Failed(Exception):
    """The browser did not do it; often, because the page was just going away."""


class Browser(Protocol):
    """One window that knows nothing of those before it."""

    def open(self, url: str) -> None:
        """Goes there, and waits until all of it is loaded."""

    def run(self, body: str, *values: Any) -> Any:
        """What a function's body returns in the page; it reads the values, which JSON must hold, as `arguments`."""

    def click(self, x: float, y: float) -> None:
        """With the mouse, in pixels of the window."""

    def press(self, key: str) -> None:
        """`Tab`, `Enter`, or what the key writes."""


def program(setting: str, *names: str) -> str:
    found = os.environ.get(setting) or next(filter(None, map(shutil.which, names)), None)
    if not found:
        pytest.fail(f"No {names[0]} is installed: run `make install`, or name one in {setting}.")
    return found


def twice(start: Callable[[], T]) -> T:
    """A browser's start may take too long on a busy machine: then once more."""
    try:
        return start()
    except Failed:
        return start()


# --- Firefox ---------------------------------------------------------------------------------------------------------


class Firefox:
    """It starts in seconds, so it stays, and each test gets a fresh window: `fresh`."""

    def __init__(self, scripts: bool) -> None:
        options = [] if scripts else ["--no-scripts"]
        self._process = subprocess.Popen(
            [NODE, "scripts/firefox.ts", program("PREFS_FIREFOX", "firefox-esr", "firefox"), *options],
            cwd=FRONTEND,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        try:
            self.version: str = self._ask("version")
        except Failed:
            self.close()
            raise

    def fresh(self) -> None:
        self._ask("fresh")

    def open(self, url: str) -> None:
        self._ask("open", url)

    def run(self, body: str, *values: Any) -> Any:
        return self._ask("run", body, *values)

    def click(self, x: float, y: float) -> None:
        self._ask("click", x, y)

    def press(self, key: str) -> None:
        self._ask("press", key)

    def close(self) -> None:
        assert self._process.stdin and self._process.stdout
        with contextlib.suppress(BrokenPipeError):
            self._process.stdin.close()
        try:
            self._process.wait(timeout=20)
        except subprocess.TimeoutExpired:
            self._process.terminate()  # which ends Firefox, too
            self._process.wait(timeout=20)
        self._process.stdout.close()

    def _ask(self, name: str, *values: Any) -> Any:
        assert self._process.stdin and self._process.stdout
        try:
            self._process.stdin.write(json.dumps([name, *values]) + "\n")
            self._process.stdin.flush()
        except BrokenPipeError:
            raise Failed("Firefox has ended") from None
        line = self._process.stdout.readline()
        if not line:
            raise Failed("Firefox has ended")
        answer = json.loads(line)
        if "error" in answer:
            raise Failed(answer["error"])
        return answer["value"]


# --- WebKitGTK -------------------------------------------------------------------------------------------------------


class WebKit:
    """It starts in half a second, so each test gets a new one; it needs a display."""

    def __init__(self, scripts: bool, display: str, folder: Path) -> None:
        options = Options()  # which take MiniBrowser, WebKit's own, unless one is named
        options.binary_location = os.environ.get("PREFS_WEBKIT", "")
        options.add_argument("--automation")
        options.add_argument(f"--enable-javascript={str(scripts).lower()}")
        env = {
            **os.environ,
            "DISPLAY": display,
            "GDK_BACKEND": "x11",
            "LANG": "en_GB.UTF-8",
            "NO_AT_BRIDGE": "1",  # no bus to look for
            "XDG_CACHE_HOME": str(folder),
            "XDG_CONFIG_HOME": str(folder),
            "XDG_DATA_HOME": str(folder),
        }
        driver = program("PREFS_WEBKIT_DRIVER", "WebKitWebDriver")
        self._service = Service(driver, log_output=subprocess.DEVNULL, env=env)
        try:
            self._service.start()
            where = ClientConfig(self._service.service_url, timeout=SECONDS)
            self._driver = Remote(RemoteConnection(client_config=where), options=options)
        except (WebDriverException, HTTPError) as error:
            self._service.stop()
            raise Failed(str(error)) from None
        self._driver.set_window_size(1100, 800)
        self.version: str = self._driver.capabilities["browserVersion"]

    def open(self, url: str) -> None:
        with _failing():
            self._driver.get(url)

    def run(self, body: str, *values: Any) -> Any:
        with _failing():
            return self._driver.execute_script(body, *values)

    def click(self, x: float, y: float) -> None:
        actions = ActionBuilder(self._driver)
        actions.pointer_action.move_to_location(int(x), int(y)).click()
        with _failing():
            actions.perform()

    def press(self, key: str) -> None:
        with _failing():
            ActionChains(self._driver).send_keys(getattr(Keys, key.upper(), key)).perform()

    def close(self) -> None:
        try:
            self._driver.quit()
        finally:
            self._service.stop()


@contextlib.contextmanager
def _failing() -> Iterator[None]:
    try:
        yield
    except WebDriverException as error:
        raise Failed(error.msg) from None
    except HTTPError as error:  # of urllib3: it took too long
        raise Failed(str(error)) from None


@contextlib.contextmanager
def a_display() -> Iterator[str]:
    """A screen in memory; X chooses a number that is free."""
    read, write = os.pipe()
    process = subprocess.Popen(
        [
            program("PREFS_XVFB", "Xvfb"),
            "-displayfd",
            str(write),
            "-nolisten",
            "tcp",
            "-screen",
            "0",
            "1280x1024x24",
        ],
        pass_fds=[write],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    os.close(write)
    try:
        with os.fdopen(read) as said:
            number = said.readline().strip()
        assert number, "Xvfb did not start"
        yield f":{number}"
    finally:
        process.terminate()
        process.wait(timeout=20)
