"""A forwarder that records every byte: it shows what passes on both sides of the proxy."""

from __future__ import annotations

import socket
import threading
from dataclasses import dataclass, field
from typing import Self


@dataclass
class Passed:
    """The bytes of one connection in both directions, and how each direction ended ("" before its end)."""

    up: bytearray = field(default_factory=bytearray)
    down: bytearray = field(default_factory=bytearray)
    ends: dict[str, str] = field(default_factory=dict)


class Tee:
    """Listens on a free port, and forwards every connection to another port. Works in any thread, in a with block."""

    def __init__(self, port: int) -> None:
        self._target = port
        self._server = socket.create_server(("127.0.0.1", 0))
        self.port = self._server.getsockname()[1]
        self.passed: list[Passed] = []
        self._threads: list[threading.Thread] = []
        self._sockets: list[socket.socket] = []
        self._accepting = threading.Thread(target=self._accept)

    def __enter__(self) -> Self:
        self._accepting.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._server.shutdown(socket.SHUT_RDWR)
        self._accepting.join()
        self._server.close()
        for each in self._sockets:
            try:
                each.shutdown(socket.SHUT_RDWR)
            except OSError:
                continue
        for thread in self._threads:
            thread.join()
        for each in self._sockets:
            each.close()

    def _accept(self) -> None:
        while True:
            try:
                client, _ = self._server.accept()
            except OSError:
                return
            gateway = socket.create_connection(("127.0.0.1", self._target))
            for each in (client, gateway):
                each.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            passed = Passed()
            self.passed.append(passed)
            self._sockets += [client, gateway]
            for source, target, kept, name in (
                (client, gateway, passed.up, "up"),
                (gateway, client, passed.down, "down"),
            ):
                self._threads.append(threading.Thread(target=_pump, args=(source, target, kept, passed.ends, name)))
                self._threads[-1].start()


def _pump(source: socket.socket, target: socket.socket, kept: bytearray, ends: dict[str, str], name: str) -> None:
    try:
        while data := source.recv(1 << 16):
            kept += data
            target.sendall(data)
        target.shutdown(socket.SHUT_WR)
        ends[name] = "closed"
    except OSError:
        ends[name] = ends.get(name) or "reset"
        return
