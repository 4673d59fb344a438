"""A real Chromium with a real ``ibkr serve`` and a simulated gateway. Needs what ``make browser`` installs."""

from __future__ import annotations

import os
import shutil
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from ibkr.simulator.threaded_gateway import ThreadedGateway

AXE = Path(__file__).parents[2] / ".browser" / "node_modules" / "axe-core" / "axe.min.js"
_FLAGS = (
    "--no-sandbox --disable-gpu --disable-quic --no-first-run --disable-background-networking"
    " --disable-component-update --disable-sync"
)
# The times are short, so that a fault shows immediately: these tests measure only the delay of the page.
_POLICY = {
    "IBKR_PROBE_AFTER": "0.5",
    "IBKR_SUSPECT_AFTER": "0.25",
    "IBKR_BACKOFF_FIRST": "0.5",
    "IBKR_REFUSED_EVERY": "2",
}


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    for item in items:
        if Path(__file__).parent in item.path.parents:
            item.add_marker(pytest.mark.browser)


@pytest.fixture(scope="session")
def chromium() -> Iterator[Any]:
    """The browser, shared by all tests."""
    from playwright.sync_api import sync_playwright

    path = os.environ.get("CHROMIUM") or shutil.which("chromium") or shutil.which("google-chrome")
    assert path, "no Chromium: install it (apt install chromium), or name it in CHROMIUM"
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=path, args=_FLAGS.split())
        yield browser
        browser.close()


class Watched:
    """A page, with all its requests and its error messages."""

    def __init__(self, page: Any) -> None:
        self.page = page
        self.requests: list[str] = []
        self.complaints: list[str] = []
        page.on("request", lambda request: self.requests.append(request.url))
        page.on("console", self._note)
        page.on("pageerror", lambda error: self.complaints.append(str(error)))

    def _note(self, message: Any) -> None:
        # If the server has ended, the browser itself logs an error. The page cannot prevent this.
        if message.type in ("error", "warning") and "Failed to load resource" not in message.text:
            self.complaints.append(message.text)


@pytest.fixture
def visit(chromium: Any) -> Iterator[Any]:
    """Opens a page: ``visit(url, color_scheme="dark", viewport={...})``."""
    contexts = []

    def visit(url: str, **options: Any) -> Watched:
        context = chromium.new_context(**{"viewport": {"width": 1280, "height": 900}, **options})
        contexts.append(context)
        watched = Watched(context.new_page())
        watched.page.goto(url)
        return watched

    yield visit
    for context in contexts:
        context.close()


@pytest.fixture
def gateway() -> Iterator[ThreadedGateway]:
    with ThreadedGateway(id_hold=0) as gateway:
        yield gateway


class Server:
    """An ``ibkr serve`` on one port, which can be stopped and started again."""

    def __init__(self, folder: Path, gateway_port: int) -> None:
        with socket.create_server(("127.0.0.1", 0)) as free:
            self.port = free.getsockname()[1]
        self.url = f"http://127.0.0.1:{self.port}/"
        self._folder, self._gateway_port = folder, gateway_port
        self._process: subprocess.Popen[str] | None = None

    def start(self, **variables: str) -> None:
        """Start the server. Returns when it listens."""
        env = {key: value for key, value in os.environ.items() if not key.startswith("IBKR_")}
        env |= {**_POLICY, "IBKR_PORT": str(self._gateway_port), "IBKR_HISTORY": str(self._folder / "history.db")}
        self._process = subprocess.Popen(
            [sys.executable, "-P", "-m", "ibkr", "serve", "--http", str(self.port), "--client-id", "77"],
            cwd=self._folder,
            env=env | variables,
            stdout=subprocess.PIPE,
            text=True,
        )
        assert self._process.stdout is not None
        assert "Serving" in self._process.stdout.readline()

    def stop(self) -> None:
        if self._process is not None:
            self._process.terminate()
            self._process.communicate(timeout=10)
            self._process = None


@pytest.fixture
def server(gateway: ThreadedGateway, tmp_path: Path) -> Iterator[Server]:
    server = Server(tmp_path, gateway.port)
    yield server
    server.stop()
