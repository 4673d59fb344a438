"""A real HTTP server that records requests, in place of a service for alerts or heartbeats."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any


class Receiver:
    """A receiver of requests: ``alerts`` has the JSON of each POST, and ``beats`` has each GET.

    ``answers`` has the codes of the next answers. After these, every answer is 200.
    """

    def __init__(self, port: int) -> None:
        self.port = port
        self.alerts: list[dict[str, Any]] = []
        self.beats: list[str] = []
        self.answers: list[int] = []
        self._changed = threading.Condition()

    @property
    def url(self) -> str:
        """The URL for apprise."""
        return f"json://127.0.0.1:{self.port}/a-secret-path"

    @property
    def titles(self) -> list[str]:
        """The titles of the alerts, without the connection's name."""
        return [alert["title"].partition(": ")[2] for alert in self.alerts]

    def took(self, kind: list[Any], what: Any) -> int:
        """Return the code of the answer. Record the request if the code is 200."""
        with self._changed:
            code = self.answers.pop(0) if self.answers else 200
            if code == 200:
                kind.append(what)
            self._changed.notify_all()
            return code

    def wait_for(self, holds: Any) -> None:
        """Wait until this holds for the record."""
        with self._changed:
            assert self._changed.wait_for(lambda: holds(self), 20), (self.alerts, self.beats)


@contextmanager
def receiving() -> Iterator[Receiver]:
    """A receiver on a free port."""

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self._answer(receiver.took(receiver.beats, self.path))

        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["Content-Length"]))
            self._answer(receiver.took(receiver.alerts, json.loads(body)))

        def _answer(self, code: int) -> None:
            self.send_response(code)
            self.send_header("Content-Length", "0")
            self.end_headers()

        def log_message(self, *_: object) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = False  # with this setting, server_close waits for the threads
    receiver = Receiver(server.server_address[1])
    serving = threading.Thread(target=server.serve_forever, args=(0.02,))
    serving.start()
    try:
        yield receiver
    finally:
        server.shutdown()
        serving.join()
        server.server_close()
