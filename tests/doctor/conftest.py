"""Runs ``ibkr doctor`` as a process, and the servers that it examines."""

from __future__ import annotations

import contextlib
import json
import os
import socket
import socketserver
import ssl
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import pytest

from ibkr.simulator import ThreadedGateway
from tests.stopwatch import run_delays

COMMAND = [sys.executable, "-P", "-m", "ibkr", "doctor"]
PAPER_PORTS = (4004, 4002, 7497)


@dataclass(frozen=True)
class Report:
    """The output of one run."""

    code: int
    out: str
    err: str
    seconds: float
    """Elapsed seconds, without the time in which other programs used the core."""

    @property
    def findings(self) -> list[dict[str, str]]:
        return json.loads(self.out)["findings"]

    @property
    def is_ok(self) -> bool:
        return json.loads(self.out)["ok"]

    def of(self, check: str) -> dict[str, str]:
        """The first finding of a check."""
        return next(finding for finding in self.findings if finding["check"] == check)

    @property
    def bad(self) -> list[dict[str, str]]:
        return [finding for finding in self.findings if finding["level"] in ("warn", "fail")]


Run = Callable[..., Report]


@pytest.fixture(scope="session")
def doctor(tmp_path_factory) -> Run:
    """Runs the command in an empty directory, without our settings and without maintenance windows."""
    empty = tmp_path_factory.mktemp("doctor")
    clean = {key: value for key, value in os.environ.items() if not key.startswith("IBKR_")}
    clean |= {"IBKR_REGION": "none", "COLUMNS": "100", "PYTHONIOENCODING": "utf-8", "PYTHONWARNINGS": "error"}
    for key in ("FORCE_COLOR", "CLICOLOR_FORCE", "GITHUB_ACTIONS"):
        clean.pop(key, None)

    def run(*args: object, cwd: Any = empty, **variables: str) -> Report:
        with (
            tempfile.TemporaryFile("w+", encoding="utf-8") as out,
            tempfile.TemporaryFile("w+", encoding="utf-8") as err,
        ):
            began = time.monotonic()
            process = subprocess.Popen(
                [*COMMAND, *map(str, args)],
                cwd=cwd,
                env=clean | variables,
                stdin=subprocess.DEVNULL,
                stdout=out,
                stderr=err,
            )
            try:
                waited = _waited_for_a_core(process)
                seconds = time.monotonic() - began - waited
            finally:
                process.kill()
                process.wait()
            out.seek(0)
            err.seek(0)
            return Report(process.returncode, out.read(), err.read(), seconds)

    return run


def _waited_for_a_core(process: subprocess.Popen[bytes]) -> float:
    """Wait for the end of the process. Returns the seconds that it waited for a CPU core, or 0 if they are unknown."""
    if not hasattr(os, "waitid"):
        process.wait()
        return 0.0
    os.waitid(os.P_PID, process.pid, os.WEXITED | os.WNOWAIT)
    return sum(run_delays(process.pid).values())


@contextlib.contextmanager
def nobody() -> Iterator[int]:
    """A port that nothing listens on. No other program can get this port during the test."""
    with socket.socket() as held:
        held.bind(("127.0.0.1", 0))
        yield held.getsockname()[1]


@contextlib.contextmanager
def gateway(*faults: str, **options: Any) -> Iterator[int]:
    """A simulated gateway with these faults, each written as on a command line."""
    with ThreadedGateway(id_hold=0, **options) as simulated:
        for name, *args in map(str.split, faults):
            simulated.fault(name, *args)
        yield simulated.port


@contextlib.contextmanager
def live_on_a_paper_port() -> Iterator[int]:
    """A gateway with a live account, on the first free one of the usual ports for paper trading."""
    for port in PAPER_PORTS:
        try:
            with gateway(port=port, accounts=("U7654321",)) as its_port:
                yield its_port
                return
        except OSError:
            continue
    pytest.fail(f"none of the ports {PAPER_PORTS} is free")


class _Server(socketserver.ThreadingTCPServer):
    daemon_threads = False
    allow_reuse_address = os.name == "posix"

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Do nothing: the doctor disconnects before the end, and this is not an error."""


@contextlib.contextmanager
def _serving(handle: Callable[[socket.socket], None]) -> Iterator[int]:
    class Handler(socketserver.BaseRequestHandler):
        def handle(self) -> None:
            self.request.settimeout(10)
            handle(self.request)

    with _Server(("127.0.0.1", 0), Handler) as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.05,))
        thread.start()
        try:
            yield server.server_address[1]
        finally:
            server.shutdown()
            thread.join()


def web_server() -> contextlib.AbstractContextManager[int]:
    """An HTTP server. It sends nothing until it has a complete request head."""

    def handle(connection: socket.socket) -> None:
        data = b""
        while b"\r\n\r\n" not in data:
            received = connection.recv(4096)
            if not received:
                return
            data += received
        connection.sendall(b"HTTP/1.0 200 OK\r\nContent-Length: 0\r\n\r\n")

    return _serving(handle)


def tls_server() -> contextlib.AbstractContextManager[int]:
    """A TLS server that waits silently for the client. Without a certificate, it answers with an alert."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)

    def handle(connection: socket.socket) -> None:
        head = connection.recv(1, socket.MSG_PEEK)
        if head != b"\x16":  # this is not a TLS client
            while connection.recv(4096):
                pass
            return
        with contextlib.suppress(ssl.SSLError):
            context.wrap_socket(connection, server_side=True)

    return _serving(handle)


@pytest.fixture(scope="session")
def peers() -> dict[str, Callable[..., contextlib.AbstractContextManager[int]]]:
    """The servers that the doctor examines, by name. Each gives its port."""
    return {each.__name__: each for each in (nobody, gateway, live_on_a_paper_port, web_server, tls_server)}
