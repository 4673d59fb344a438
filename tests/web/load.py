"""Many kinds of visitors together, in a separate process: ``python load.py PORT SECONDS VISITORS``.

Prints one line of JSON: how long health checks took, how many had no answer, and the errors of the other visitors.
"""

from __future__ import annotations

import asyncio
import json
import random
import socket
import sys
import time
from collections import Counter

HOST = "Host: 127.0.0.1\r\n"


class Load:
    """All visitors of one server, until ``ends``."""

    def __init__(self, port: int, seconds: float) -> None:
        self.port = port
        self.ends = time.monotonic() + seconds
        self.health: list[float] = []
        self.lost = 0
        self.told: Counter[str] = Counter()

    @property
    def goes_on(self) -> bool:
        return time.monotonic() < self.ends

    async def run(self, visitors: int) -> None:
        """Run this many visitors, and two that check health every quarter of a second."""
        kinds = (self.idle, self.slow, self.deaf, self.reader, self.poller, self.large, self.half, self.hurried)
        crowd = [asyncio.create_task(self._again(kinds[number % len(kinds)])) for number in range(visitors)]
        await asyncio.gather(self.checks(), self.checks())
        for task in crowd:
            task.cancel()
        await asyncio.gather(*crowd, return_exceptions=True)

    async def _again(self, kind) -> None:
        await asyncio.sleep(random.random())
        while self.goes_on:
            try:
                await kind()
            except (OSError, asyncio.IncompleteReadError, TimeoutError) as error:
                self.told[type(error).__name__] += 1
            await asyncio.sleep(0.2 + random.random())

    async def checks(self) -> None:
        """Check health as a service manager does: each check has its own connection, and a timeout of 5 s."""
        while self.goes_on:
            began = time.monotonic()
            try:
                async with asyncio.timeout(5):
                    answer = await self.ask("/healthz", "Connection: close\r\n")
                    assert answer.endswith(b"ok\n"), answer
                self.health.append(time.monotonic() - began)
            except (OSError, AssertionError, TimeoutError):
                self.lost += 1
            await asyncio.sleep(0.25)

    async def ask(self, path: str, more: str = "") -> bytes:
        """The answer, to the end of the connection."""
        reader, writer = await asyncio.open_connection("127.0.0.1", self.port)
        try:
            writer.write(f"GET {path} HTTP/1.1\r\n{HOST}{more}\r\n".encode())
            answer = await reader.read()
            self.told[answer[9:12].decode("latin-1") or "cut"] += 1
            return answer
        finally:
            writer.close()

    async def idle(self) -> None:
        """Connects and sends nothing."""
        reader, writer = await asyncio.open_connection("127.0.0.1", self.port)
        try:
            async with asyncio.timeout(max(0.1, self.ends - time.monotonic())):
                await reader.read()
        finally:
            writer.close()

    async def slow(self) -> None:
        """Sends the head of a request, byte by byte."""
        _, writer = await asyncio.open_connection("127.0.0.1", self.port)
        try:
            for byte in f"GET /api/status HTTP/1.1\r\n{HOST}\r\n":
                writer.write(byte.encode())
                await writer.drain()
                await asyncio.sleep(0.3)
        finally:
            writer.close()

    async def deaf(self) -> None:
        """Requests events and never reads an event."""
        loop = asyncio.get_running_loop()
        with socket.socket() as connection:
            connection.setblocking(False)
            await loop.sock_connect(connection, ("127.0.0.1", self.port))
            await loop.sock_sendall(connection, f"GET /api/events HTTP/1.1\r\n{HOST}\r\n".encode())
            await asyncio.sleep(max(0.1, self.ends - time.monotonic()))

    async def reader(self) -> None:
        """Reads events."""
        reader, writer = await asyncio.open_connection("127.0.0.1", self.port)
        try:
            writer.write(f"GET /api/events HTTP/1.1\r\n{HOST}\r\n".encode())
            while self.goes_on and (await reader.read(65536)):
                self.told["event"] += 1
        finally:
            writer.close()

    async def poller(self) -> None:
        """Sends many requests on one connection."""
        reader, writer = await asyncio.open_connection("127.0.0.1", self.port)
        try:
            for path in ("/api/status", "/metrics", "/", "/healthz", "/api/round-trips") * 4:
                writer.write(f"GET {path} HTTP/1.1\r\n{HOST}\r\n".encode())
                head = await reader.readuntil(b"\r\n\r\n")
                length = int(head.lower().partition(b"content-length: ")[2].partition(b"\r")[0])
                await reader.readexactly(length)
                self.told[head[9:12].decode()] += 1
                await asyncio.sleep(0.5)
        finally:
            writer.close()

    async def large(self) -> None:
        """Requests the longest answers."""
        await self.ask(
            random.choice(["/api/outages?limit=1000", "/api/timeline", "/api/outages?limit=1000&before=500"]),
            "Connection: close\r\n",
        )

    async def half(self) -> None:
        """Sends a body that never ends."""
        reader, writer = await asyncio.open_connection("127.0.0.1", self.port)
        try:
            writer.write(f"POST /api/token HTTP/1.1\r\n{HOST}Content-Length: 50\r\n\r\n{{".encode())
            await reader.read()
        finally:
            writer.close()

    async def hurried(self) -> None:
        """Connects and disconnects, and sends wrong requests."""
        for path in ("/nothing", "/api/outages?limit=9999", "/static/../x", "/readyz"):
            await self.ask(path, "Connection: close\r\n")


async def main() -> None:
    port, seconds, visitors = int(sys.argv[1]), float(sys.argv[2]), int(sys.argv[3])
    load = Load(port, seconds)
    await load.run(visitors)
    print(json.dumps({"health": load.health, "lost": load.lost, "told": load.told}))


if __name__ == "__main__":
    asyncio.run(main())
