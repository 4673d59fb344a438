"""The control port: faults by HTTP and JSON, on the loopback interface only.

A small HTTP server for tools on the same machine. Each connection serves one request.
"""

import asyncio
import json
import logging
import re
from collections.abc import Mapping
from email.parser import BytesHeaderParser
from http import HTTPStatus
from typing import Any, Protocol, cast

from ibkr.simulator.faults.fault_registry import FAULTS, Fault, FaultError, find_fault

log = logging.getLogger("ibkr.simulator")

HOST = "127.0.0.1"
MAX_REQUEST = 64 * 1024
"""Bytes of one request, with head and body."""

MAX_CONNECTIONS = 32
"""Connections at the same time. A further connection closes the oldest, so that nobody can block the port."""

TIMEOUT = 5.0
"""Seconds that a connection may last."""

_ROUTES = {
    "GET /": "this list",
    "GET /faults": "every fault, with its usage",
    "POST /faults/NAME": 'run one; for arguments, send {"args": [2]} or {"args": {"seconds": 2}}',
    "GET /seen": "what the gateway received: connections, requests, subscriptions, faults",
}


class RequestRefused(Exception):
    """A request that is refused, with its HTTP status and the reason."""

    def __init__(self, status: HTTPStatus, text: str) -> None:
        super().__init__(text)
        self.status = status


class FaultCaller(Protocol):
    """What the control port needs from the faults."""

    def call(self, name: str, /, *args: object, **named: object) -> None:
        """Run the fault of this name. Raises `FaultError` if the name or an argument is wrong."""


class HasJson(Protocol):
    """What the control port needs from `Seen`."""

    def to_dict(self) -> dict[str, object]:
        """Return a dictionary for JSON."""


class ControlledGateway(Protocol):
    """What the control port needs from a gateway."""

    @property
    def faults(self) -> FaultCaller: ...
    @property
    def port(self) -> int: ...
    @property
    def is_listening(self) -> bool: ...
    @property
    def client_ids(self) -> list[int]: ...
    @property
    def seen(self) -> HasJson: ...


class ControlPort:
    """The HTTP server of the control port.

    After `start`, `port` is the actual port. `timeout` is how long one connection may last, in seconds. `registry`
    has the known faults.
    """

    def __init__(
        self,
        gateway: ControlledGateway,
        port: int,
        timeout: float = TIMEOUT,
        registry: Mapping[str, Fault] = FAULTS,
    ) -> None:
        self.gateway = gateway
        self.port = port
        self.timeout = timeout
        self.registry = registry
        self.connections: dict[asyncio.Transport, None] = {}
        self._server: asyncio.Server | None = None

    async def start(self) -> None:
        """Start to listen. Raises `OSError` if the port cannot be bound."""
        loop = asyncio.get_running_loop()
        self._server = await loop.create_server(lambda: _Connection(self), HOST, self.port)
        self.port = self._server.sockets[0].getsockname()[1]
        log.debug("control port on %s:%s", HOST, self.port)

    async def stop(self) -> None:
        """Stop listening, and close all connections."""
        if self._server is None:
            return
        self._server.close()
        for transport in list(self.connections):
            transport.abort()
        await self._server.wait_closed()
        self._server = None

    def add(self, transport: asyncio.Transport) -> None:
        """Register a new connection. If there are too many, close the oldest."""
        self.connections[transport] = None
        if len(self.connections) > MAX_CONNECTIONS:
            oldest = next(iter(self.connections))
            del self.connections[oldest]
            oldest.abort()

    def answer(self, method: str, path: str, headers: Mapping[str, str], body: bytes) -> dict[str, object]:
        """Carry out a request and return its answer. Raises `RequestRefused` if the request is refused."""
        self._check_sender(headers)
        match method, path.strip("/").split("/"):
            case "GET", [""]:
                return {"ok": True, "port": self.gateway.port, "routes": _ROUTES}
            case "GET", ["faults"]:
                return {"ok": True, "faults": [_describe(self.registry[name]) for name in sorted(self.registry)]}
            case "POST", ["faults", name]:
                return self._run_fault(name, body)
            case "GET", ["seen"]:
                return {"ok": True, **self._seen()}
        raise RequestRefused(HTTPStatus.NOT_FOUND, f"unknown request {method} {path}; known: {', '.join(_ROUTES)}")

    def _check_sender(self, headers: Mapping[str, str]) -> None:
        # Web pages must not control the gateway. A browser sends the origin of the page, and the host that the page
        # asked for.
        if "Origin" in headers:
            raise RequestRefused(
                HTTPStatus.FORBIDDEN, "requests of web pages (with an Origin header) are refused: use a program"
            )
        host = headers.get("Host", "")
        if host not in {f"{name}:{self.port}" for name in (HOST, "localhost")}:
            raise RequestRefused(HTTPStatus.FORBIDDEN, f"Host is {host!r}: write http://{HOST}:{self.port}")

    def _run_fault(self, name: str, body: bytes) -> dict[str, object]:
        args = _arguments(body)
        try:
            found = find_fault(name, self.registry)
        except FaultError as error:
            raise RequestRefused(HTTPStatus.NOT_FOUND, str(error)) from None
        try:
            if isinstance(args, dict):
                self.gateway.faults.call(name, **args)
            else:
                self.gateway.faults.call(name, *args)
        except FaultError as error:
            raise RequestRefused(HTTPStatus.BAD_REQUEST, str(error)) from None
        return {"ok": True, "done": found.name}

    def _seen(self) -> dict[str, object]:
        gateway = self.gateway
        return {
            "port": gateway.port,
            "listening": gateway.is_listening,
            "connected_client_ids": gateway.client_ids,
            **gateway.seen.to_dict(),
        }


def _describe(item: Fault) -> dict[str, object]:
    return {"name": item.name, "usage": item.usage, "doc": item.doc, "aliases": list(item.aliases)}


def _arguments(body: bytes) -> list[object] | dict[str, object]:
    try:
        value = json.loads(body) if body.strip() else {}
    except (ValueError, RecursionError) as error:
        raise RequestRefused(HTTPStatus.BAD_REQUEST, f"the body is not JSON: {error}") from None
    if not isinstance(value, dict) or set(value) - {"args"}:
        raise RequestRefused(
            HTTPStatus.BAD_REQUEST, f'write {{"args": [2]}} or {{"args": {{"seconds": 2}}}}, not {value!r}'
        )
    args = value.get("args", [])
    if not isinstance(args, list | dict):
        raise RequestRefused(HTTPStatus.BAD_REQUEST, f"args: a list or an object is needed, not {args!r}")
    return args


class _Connection(asyncio.Protocol):
    def __init__(self, control: ControlPort) -> None:
        self._control = control
        self._data = bytearray()
        self._is_answered = False

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.Transport, transport)  # uvloop's transport is not a subclass
        self._control.add(self._transport)
        self._timer = asyncio.get_running_loop().call_later(self._control.timeout, self._on_timeout)

    def connection_lost(self, exc: Exception | None) -> None:
        self._timer.cancel()
        self._control.connections.pop(self._transport, None)

    def data_received(self, data: bytes) -> None:
        if self._is_answered:
            return
        self._data += data
        try:
            answer = self._answer()
        except RequestRefused as error:
            self._refuse(error)
        else:
            if answer is not None:
                self._send(HTTPStatus.OK, answer)

    def _on_timeout(self) -> None:
        if self._is_answered:  # the answer was sent, but the peer has not read it
            self._transport.abort()
            return
        text = f"no complete request within {self._control.timeout:g} s"
        self._refuse(RequestRefused(HTTPStatus.REQUEST_TIMEOUT, text))

    def _answer(self) -> dict[str, object] | None:
        """Return the answer to the received request, or `None` while the request is incomplete."""
        if len(self._data) > MAX_REQUEST:
            raise RequestRefused(HTTPStatus.REQUEST_ENTITY_TOO_LARGE, f"a request of more than {MAX_REQUEST} bytes")
        head, end, body = bytes(self._data).partition(b"\r\n\r\n")
        line, _, rest = head.partition(b"\r\n")
        if line.count(b" ") != 2 and (end or b"\r\n" in self._data):
            raise RequestRefused(HTTPStatus.BAD_REQUEST, "not an HTTP request; write: GET / HTTP/1.1")
        if not end:
            return None
        method, path, _ = line.decode("latin-1").split(" ")
        headers: Any = BytesHeaderParser().parsebytes(rest)  # it ignores the case of header names
        length = headers.get("Content-Length", "0")
        if not re.fullmatch("[0-9]{1,5}", length) or "Transfer-Encoding" in headers:
            raise RequestRefused(
                HTTPStatus.LENGTH_REQUIRED, f"a Content-Length below 100000 is required, not {length!r}"
            )
        if len(body) < int(length):
            return None
        return self._control.answer(method, path, headers, body[: int(length)])

    def _refuse(self, error: RequestRefused) -> None:
        self._send(error.status, {"ok": False, "error": str(error)})

    def _send(self, status: HTTPStatus, answer: dict[str, object]) -> None:
        self._is_answered = True
        self._data.clear()
        body = json.dumps(answer).encode() + b"\n"
        head = (
            f"HTTP/1.1 {status.value} {status.phrase}\r\nContent-Type: application/json\r\n"
            f"Content-Length: {len(body)}\r\nConnection: close\r\n\r\n"
        )
        self._transport.write(head.encode() + body)
        self._transport.close()
