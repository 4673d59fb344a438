"""Hostile visitors: no status 500, no growing memory, no delay for others."""

import asyncio
import contextlib
import gc
import itertools
import logging
import socket
import tracemalloc

from ibkr.web import event_stream

HARMLESS = [
    b"GET / HTTP/9.9\r\nHost: 127.0.0.1\r\n\r\n",
    b"GET /api/events HTTP/1.1\r\nHost: 127.0.0.1\r\nUpgrade: websocket\r\nConnection: Upgrade, close\r\n"
    b"Last-Event-ID: \xff\xfe-\xb2\r\n\r\n",
]
HOSTILE = [
    *HARMLESS,
    b"GET " + b"/" * 20_000 + b" HTTP/1.1\r\n\r\n",
    b"GET / HTTP/1.1\r\nHost: 127.0.0.1\r\nX: " + b"x" * 40_000,
    b"GET / HTTP/1.1\r\nHost: 127.0.0.1\r\n" + b"X: y\r\n" * 20_000,
    b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + bytes(500),
    b"\r\n\r\n\r\n",
    b"GET /%00%ff HTTP/1.1\r\nHost: 127.0.0.1\r\nConnection: close\r\n\r\n",
    b"GET /static/..%2f..%2fapi.py HTTP/1.1\r\nHost: 127.0.0.1\r\nConnection: close\r\n\r\n",
    b"GET /static/../../api.py HTTP/1.1\r\nHost: 127.0.0.1\r\nConnection: close\r\n\r\n",
    b"GET /static/%2e%2e/api.py HTTP/1.1\r\nHost: 127.0.0.1\r\nConnection: close\r\n\r\n",
    b"GET //evil.example/%2f HTTP/1.1\r\nHost: 127.0.0.1\r\nConnection: close\r\n\r\n",
    b"GET http://evil.example/ HTTP/1.1\r\nHost: 127.0.0.1\r\nConnection: close\r\n\r\n",
    b"DELETE /api/status HTTP/1.1\r\nHost: 127.0.0.1\r\nConnection: close\r\n\r\n",
    b"TRACE / HTTP/1.1\r\nHost: 127.0.0.1\r\nConnection: close\r\n\r\n",
    b"CONNECT evil.example:443 HTTP/1.1\r\nHost: 127.0.0.1\r\nConnection: close\r\n\r\n",
    b"OPTIONS * HTTP/1.1\r\nHost: 127.0.0.1\r\nConnection: close\r\n\r\n",
    b"BREW /api/reconnect HTTP/1.1\r\nHost: 127.0.0.1\r\nConnection: close\r\n\r\n",
    b"POST /api/token HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Length: 9\r\nContent-Length: 8\r\n\r\n",
    b"POST /api/token HTTP/1.1\r\nHost: 127.0.0.1\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n",
    b"POST /api/token HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Length: 99999999999999999999\r\n\r\n",
    b"GET / HTTP/1.1\r\nHost: 127.0.0.1\r\nHost: evil.example\r\n\r\n",
    b"GET /api/outages?limit=%b2 HTTP/1.1\r\nHost: 127.0.0.1\r\nConnection: close\r\n\r\n",
    b"GET /api/outages?limit=" + b"9" * 5000 + b" HTTP/1.1\r\nHost: 127.0.0.1\r\nConnection: close\r\n\r\n",
]


async def attack(visitor, request: bytes) -> bytes:
    """The beginning of the answer."""
    async with visitor.connection() as (reader, writer):
        writer.write(request)
        with contextlib.suppress(ConnectionError):
            async with asyncio.timeout(10):
                return await reader.read(15)
        return b""


SERVER = [tracemalloc.Filter(True, f"*/{name}/*") for name in ("ibkr", "starlette", "uvicorn", "h11", "httptools")]


async def test_hostile_requests_get_no_500_and_leave_nothing(served, caplog):
    one = await served(request_time=1)
    for request in HOSTILE:
        answer = await attack(one.visitor, request)
        assert not answer or answer.startswith(b"HTTP/1.1 4") or request in HARMLESS, (request[:80], answer)
    for request in HOSTILE * 2:
        await attack(one.visitor, request)
    tracemalloc.start()
    kept = []
    for _ in range(4):
        for request in HOSTILE * 2:
            await attack(one.visitor, request)
        gc.collect()
        snapshot = tracemalloc.take_snapshot().filter_traces(SERVER)
        kept.append(sum(line.size for line in snapshot.statistics("filename")))
    tracemalloc.stop()
    told = [record for record in caplog.records if record.levelno >= logging.WARNING]
    assert not [record for record in told if "event loop was blocked" not in record.message], "an error of ours"
    grown = [after - before for before, after in itertools.pairwise(kept)]
    # A round sends 350 kB. A leak makes the memory grow in every round, a cache only in one round.
    assert min(grown) < 5_000, grown
    assert (await one.visitor.ask("/readyz")).status == 200


async def test_half_open_connections_are_cut(served):
    one = await served(request_time=0.3)
    halves = (b"", b"GET /healthz HT", b"GET /healthz HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\nGET /healthz HTTP/1.1\r\n")
    answers = await asyncio.gather(*(one.visitor.raw(half) for half in halves))
    assert [answer[:12] for answer in answers] == [b"", b"", b"HTTP/1.1 200"]
    body = b"POST /api/token HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Length: 50\r\n\r\n{"
    assert b" 408 " in (await one.visitor.raw(body))[:20]


async def test_of_more_connections_than_allowed_the_longest_idle_ones_are_closed(served):
    one = await served(connections=3)
    async with contextlib.AsyncExitStack() as stack:
        idle = [await stack.enter_async_context(one.visitor.connection()) for _ in range(2)]
        stream = await stack.enter_async_context(one.visitor.events())
        await anext(stream)
        for number in range(2):
            assert (await one.visitor.ask("/healthz")).status == 200
            assert await idle[number][0].read() == b"" if number == 0 else not idle[number][0].at_eof()
        assert (await anext(stream))["event"] == "stats", "a visitor that reads events stays connected"


async def test_where_all_places_are_taken_by_streams_no_more_are_let_in(served):
    one = await served(connections=3)
    async with contextlib.AsyncExitStack() as stack:
        for _ in range(3):
            await anext(await stack.enter_async_context(one.visitor.events()))
        assert await one.visitor.raw(b"GET /healthz HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n") == b""


async def test_a_reader_that_never_reads_costs_bounded_memory_and_delays_nobody(served):
    one = await served(request_time=0.3, connections=3)
    with socket.socket() as deaf:
        deaf.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        deaf.setblocking(False)
        loop = asyncio.get_running_loop()
        await loop.sock_connect(deaf, ("127.0.0.1", one.visitor.port))
        await loop.sock_sendall(deaf, b"GET /api/events HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n")
        async with one.visitor.events() as reading:
            await anext(reading)
            while one.view.publisher.readers < 2:
                await one.visitor.ask("/healthz")
            filler = "x" * 50_000
            for number in range(2 * event_stream._MAX_QUEUED):
                one.view.publisher.publish("filler", [number, filler])
                async for event in reading:
                    if event["event"] == "filler":
                        assert event["data"][0] == number
                        break
            assert one.view.publisher.readers == 1, "who is too far behind is let go"
            async with one.visitor.events():  # with this connection, all allowed connections are in use
                ask = b"GET /healthz HTTP/1.1\r\nHost: 127.0.0.1\r\nConnection: close\r\n\r\n"
                while not await one.visitor.raw(ask):
                    pass  # wait until the connection that does not read is closed
