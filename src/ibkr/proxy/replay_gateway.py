"""`ReplayGateway`: a gateway that uses a recording to answer any client."""

import asyncio
from collections import deque
from typing import Self

from ibkr.proxy.recording_reader import Recording
from ibkr.proxy.replay_connection import ReplayConnection
from ibkr.proxy.response_script import ResponseScript

_MAX_MISSING = 10_000
_STOP_TIMEOUT = 5.0


class ReplayGateway:
    """Uses a recording to answer every client that connects. Use it with `async with`, or call `start` and `stop`.

    A client's request is matched with a recorded request that has the same name and content. The client gets the
    recorded answers with the recorded delays, and with the ids of its own request. The answers of a recorded request
    are used for one request. The answers of the last recorded request of a kind are also used for all further requests
    of this kind. This is not done for requests that change orders. A request that is not in the recording is answered
    with an error that reports this, and is kept in `missing`.

    Args:
        recording: The recording to replay.
        host: The address to listen on.
        port: The API port. 0 chooses a free port.
        speed: How many times as fast as recorded. `math.inf` does not wait at all.

    Raises:
        ValueError: The speed is not greater than 0.
        OSError: The address cannot be bound. `start` raises it.
    """

    def __init__(self, recording: Recording, host: str = "127.0.0.1", port: int = 0, *, speed: float = 1.0) -> None:
        if not speed > 0:
            raise ValueError(f"speed must be greater than 0 (1 is as recorded), not {speed}")
        self.recording = recording
        self.script = ResponseScript(recording)
        self.host = host
        self.port = port
        self.speed = speed
        self.missing: deque[str] = deque(maxlen=_MAX_MISSING)
        self.connections: set[ReplayConnection] = set()
        self._server: asyncio.Server | None = None
        self._all_closed = asyncio.Event()
        self._all_closed.set()

    def __repr__(self) -> str:
        return f"<ReplayGateway {self.host}:{self.port} of {self.recording.path.name}>"

    async def start(self) -> None:
        """Listen. Raises `OSError` if the address cannot be bound."""
        self._server = await asyncio.get_running_loop().create_server(
            lambda: ReplayConnection(self), self.host, self.port
        )
        self.port = self._server.sockets[0].getsockname()[1]

    async def stop(self) -> None:
        """End all connections, and stop listening."""
        if self._server is None:
            return
        self._server.close()
        for connection in list(self.connections):
            connection.end()
        await self._server.wait_closed()
        async with asyncio.timeout(_STOP_TIMEOUT):
            await self._all_closed.wait()
        self._server = None

    def connection_opened(self, connection: "ReplayConnection") -> None:
        """Register the connection of a client."""
        self.connections.add(connection)
        self._all_closed.clear()

    def connection_closed(self, connection: "ReplayConnection") -> None:
        """Remove a connection that has ended."""
        self.connections.discard(connection)
        if not self.connections:
            self._all_closed.set()

    async def __aenter__(self) -> Self:
        await self.start()
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.stop()
