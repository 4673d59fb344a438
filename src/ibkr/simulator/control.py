"""The control port: a line in, a line of JSON out. Loopback only."""

import asyncio
import json
import logging
from typing import TYPE_CHECKING

from ibkr.simulator.fault import FAULTS, FaultError

if TYPE_CHECKING:
    from ibkr.simulator.gateway import Gateway

log = logging.getLogger("ibkr.simulator")

HOST = "127.0.0.1"
MAX_LINE = 4096
_HELP = "a fault with its arguments, e.g. 'restart 2'; or: faults, seen, help"


class Control:
    """Serves the control port of one gateway. `port` is the chosen one once it was started."""

    def __init__(self, gateway: "Gateway", port: int) -> None:
        self.gateway = gateway
        self.port = port
        self.connections: set[asyncio.Transport] = set()
        self._server: asyncio.Server | None = None

    async def start(self) -> None:
        """Listen. Raises `OSError` if the port cannot be bound."""
        loop = asyncio.get_running_loop()
        self._server = await loop.create_server(lambda: _Connection(self), HOST, self.port)
        self.port = self._server.sockets[0].getsockname()[1]
        log.info("control port on %s:%s", HOST, self.port)

    async def stop(self) -> None:
        """End the listening and all connections."""
        if self._server is None:
            return
        self._server.close()
        for transport in list(self.connections):
            transport.abort()
        await self._server.wait_closed()
        self._server = None

    def answer(self, line: str) -> dict[str, object]:
        """What a command answers; the fault it names has been carried out then."""
        words = line.split()
        match words:
            case []:
                return {"ok": False, "error": f"an empty line; write {_HELP}"}
            case ["help"]:
                return {"ok": True, "help": _HELP, "faults": sorted(FAULTS)}
            case ["faults"]:
                rows = [
                    {
                        "name": item.name,
                        "usage": item.usage,
                        "doc": item.doc,
                        "aliases": list(item.aliases),
                    }
                    for item in FAULTS.values()
                ]
                return {"ok": True, "faults": rows}
            case ["seen"]:
                return {"ok": True, **self._state()}
            case ["seen" | "faults" | "help" as command, *_]:
                return {"ok": False, "error": f"{command} takes no arguments"}
        args = [word for word in words[1:] if "=" not in word]
        named = dict(word.split("=", 1) for word in words[1:] if "=" in word)
        try:
            self.gateway.faults.call(words[0], *args, **named)
        except FaultError as error:
            return {"ok": False, "error": f"{error} (try: help)"}
        return {"ok": True, "done": line.strip()}

    def _state(self) -> dict[str, object]:
        gateway = self.gateway
        return {
            "port": gateway.port,
            "listening": gateway.is_listening,
            "connected_client_ids": gateway.client_ids,
            **gateway.seen.to_dict(),
        }


class _Connection(asyncio.Protocol):
    def __init__(self, control: Control) -> None:
        self._control = control
        self._data = b""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self._transport = transport
        self._control.connections.add(transport)

    def connection_lost(self, exc: Exception | None) -> None:
        self._control.connections.discard(self._transport)

    def data_received(self, data: bytes) -> None:
        *lines, self._data = (self._data + data).split(b"\n")
        for line in lines:
            self._send(self._control.answer(line.decode("utf-8", "replace")))
        if len(self._data) > MAX_LINE:
            self._send({"ok": False, "error": f"a line of more than {MAX_LINE} bytes; write {_HELP}"})
            self._transport.close()

    def _send(self, answer: dict[str, object]) -> None:
        self._transport.write(json.dumps(answer).encode() + b"\n")
