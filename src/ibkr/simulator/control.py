"""The control port: HTTP and JSON, on loopback alone.

A small server of its own, for one machine's tools: one request for each connection, then it is closed.
"""

import asyncio
import json
import logging
import re
from collections.abc import Mapping
from email.parser import BytesHeaderParser
from http import HTTPStatus
from typing import Any, Protocol, cast

from ibkr.simulator.faults.faults import Faults
from ibkr.simulator.faults.registry import FAULTS, FaultError, find_fault
from ibkr.simulator.seen import Seen

log = logging.getLogger("ibkr.simulator")

HOST = "127.0.0.1"
MAX_REQUEST = 64 * 1024
"""Bytes of one request, head and body."""

MAX_CONNECTIONS = 32
"""Connections at one time. One more ends the oldest, so that nobody can keep others out."""

PATIENCE = 5.0
"""Seconds that a connection may take, from its first byte to its end."""

_ROUTES = {
    "GET /": "this",
    "GET /faults": "every fault, with its usage",
    "POST /faults/NAME": 'carry one out; {"args": [2]} or {"args": {"seconds": 2}} where it takes any',
    "GET /seen": "what the gateway saw: connections, requests, subscriptions, faults",
}


class Refused(Exception):
    """A request that is not carried out: status, and in words why."""

    def __init__(self, status: HTTPStatus, text: str) -> None:
        super().__init__(text)
        self.status = status


class Controlled(Protocol):
    """The gateway, as the control port sees it."""

    faults: Faults

    @property
    def port(self) -> int: ...
    @property
    def is_listening(self) -> bool: ...
    @property
    def client_ids(self) -> list[int]: ...
    @property
    def seen(self) -> Seen: ...


class Control:
    """Serves the control port of one gateway.

    `port` is the chosen one once it was started; `patience` is the number of seconds that one connection may take.
    """

    def __init__(self, gateway: Controlled, port: int, patience: float = PATIENCE) -> None:
        self.gateway = gateway
        self.port = port
        self.patience = patience
        self.connections: dict[asyncio.Transport, None] = {}
        self._server: asyncio.Server | None = None

    async def start(self) -> None:
        """Listen. Raises `OSError` if the port cannot be bound."""
        loop = asyncio.get_running_loop()
        self._server = await loop.create_server(lambda: _Connection(self), HOST, self.port)
        self.port = self._server.sockets[0].getsockname()[1]
        log.debug("control port on %s:%s", HOST, self.port)

    async def stop(self) -> None:
        """End the listening and all connections."""
        if self._server is None:
            return
        self._server.close()
        for transport in list(self.connections):
            transport.abort()
        await self._server.wait_closed()
        self._server = None

    def add(self, transport: asyncio.Transport) -> None:
        """Count a new connection; the oldest ends if there are too many."""
        self.connections[transport] = None
        if len(self.connections) > MAX_CONNECTIONS:
            oldest = next(iter(self.connections))
            del self.connections[oldest]
            oldest.abort()

    def answer(self, method: str, path: str, headers: Mapping[str, str], body: bytes) -> dict[str, object]:
        """What a request answers; the fault it names has been carried out then. Raises `Refused`."""
        self._check_sender(headers)
        match method, path.strip("/").split("/"):
            case "GET", [""]:
                return {"ok": True, "port": self.gateway.port, "routes": _ROUTES}
            case "GET", ["faults"]:
                return {"ok": True, "faults": [_row(name) for name in sorted(FAULTS)]}
            case "POST", ["faults", name]:
                return self._carry_out(name, body)
            case "GET", ["seen"]:
                return {"ok": True, **self._state()}
        raise Refused(HTTPStatus.NOT_FOUND, f"no {method} {path} here; there is: {', '.join(_ROUTES)}")

    def _check_sender(self, headers: Mapping[str, str]) -> None:
        # A web page must not drive it: browsers name the page's origin, and the host that the page thinks it speaks to.
        if "Origin" in headers:
            raise Refused(HTTPStatus.FORBIDDEN, "requests of web pages (with an Origin) are refused: use a program")
        host = headers.get("Host", "")
        if host not in {f"{name}:{self.port}" for name in (HOST, "localhost")}:
            raise Refused(HTTPStatus.FORBIDDEN, f"Host is {host!r}: write http://{HOST}:{self.port}")

    def _carry_out(self, name: str, body: bytes) -> dict[str, object]:
        args = _arguments(body)
        try:
            found = find_fault(name)
        except FaultError as error:
            raise Refused(HTTPStatus.NOT_FOUND, str(error)) from None
        try:
            if isinstance(args, dict):
                self.gateway.faults.call(name, **args)
            else:
                self.gateway.faults.call(name, *args)
        except FaultError as error:
            raise Refused(HTTPStatus.BAD_REQUEST, str(error)) from None
        return {"ok": True, "done": found.name}

    def _state(self) -> dict[str, object]:
        gateway = self.gateway
        return {
            "port": gateway.port,
            "listening": gateway.is_listening,
            "connected_client_ids": gateway.client_ids,
            **gateway.seen.to_dict(),
        }


def _row(name: str) -> dict[str, object]:
    item = FAULTS[name]
    return {"name": item.name, "usage": item.usage, "doc": item.doc, "aliases": list(item.aliases)}


def _arguments(body: bytes) -> list[object] | dict[str, object]:
    try:
        given = json.loads(body) if body.strip() else {}
    except (ValueError, RecursionError) as error:
        raise Refused(HTTPStatus.BAD_REQUEST, f"the body is not JSON: {error}") from None
    if not isinstance(given, dict) or set(given) - {"args"}:
        raise Refused(HTTPStatus.BAD_REQUEST, f'write {{"args": [2]}} or {{"args": {{"seconds": 2}}}}, not {given!r}')
    args = given.get("args", [])
    if not isinstance(args, list | dict):
        raise Refused(HTTPStatus.BAD_REQUEST, f"args: a list or an object is needed, not {args!r}")
    return args


class _Connection(asyncio.Protocol):
    def __init__(self, control: Control) -> None:
        self._control = control
        self._data = bytearray()
        self._is_answered = False

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.Transport, transport)  # uvloop's is none by class
        self._control.add(self._transport)
        self._timer = asyncio.get_running_loop().call_later(self._control.patience, self._out_of_time)

    def connection_lost(self, exc: Exception | None) -> None:
        self._timer.cancel()
        self._control.connections.pop(self._transport, None)

    def data_received(self, data: bytes) -> None:
        if self._is_answered:
            return
        self._data += data
        try:
            answer = self._answer()
        except Refused as error:
            self._refuse(error)
        else:
            if answer is not None:
                self._send(HTTPStatus.OK, answer)

    def _out_of_time(self) -> None:
        if self._is_answered:  # and the answer is not read
            self._transport.abort()
            return
        text = f"no complete request within {self._control.patience:g} s"
        self._refuse(Refused(HTTPStatus.REQUEST_TIMEOUT, text))

    def _answer(self) -> dict[str, object] | None:
        """The answer to the request that has come; None while it is incomplete."""
        if len(self._data) > MAX_REQUEST:
            raise Refused(HTTPStatus.REQUEST_ENTITY_TOO_LARGE, f"a request of more than {MAX_REQUEST} bytes")
        head, end, body = bytes(self._data).partition(b"\r\n\r\n")
        line, _, rest = head.partition(b"\r\n")
        if line.count(b" ") != 2 and (end or b"\r\n" in self._data):
            raise Refused(HTTPStatus.BAD_REQUEST, "not an HTTP request; write: GET / HTTP/1.1")
        if not end:
            return None
        method, path, _ = line.decode("latin-1").split(" ")
        headers: Any = BytesHeaderParser().parsebytes(rest)  # its keys know no case
        length = headers.get("Content-Length", "0")
        if not re.fullmatch("[0-9]{1,5}", length) or "Transfer-Encoding" in headers:
            raise Refused(HTTPStatus.LENGTH_REQUIRED, f"a body needs its Content-Length, below 100000, not {length!r}")
        if len(body) < int(length):
            return None
        return self._control.answer(method, path, headers, body[: int(length)])

    def _refuse(self, error: Refused) -> None:
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
