"""Visitors that take all connections: health checks and people still get an answer."""

import asyncio
import contextlib
import time

HEALTH = b"GET /healthz HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n"
EVENTS = b"GET /api/events HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n"


@contextlib.asynccontextmanager
async def crowd(one, size, request):
    """Open this many connections that send a request and never read. Gives their writers."""
    async with contextlib.AsyncExitStack() as stack:
        pairs = await asyncio.gather(
            *(stack.enter_async_context(one.visitor.connection()) for _ in range(size)), return_exceptions=True
        )
        for reader, writer in pairs:
            reader._transport.pause_reading()
            writer.write(request)
        yield [writer for _, writer in pairs]


async def test_kept_alive_connections_leave_room_for_health_checks(served):
    one = await served(connections=16)
    async with crowd(one, 16, HEALTH) as writers:
        for _ in range(5):
            assert (await one.visitor.ask("/healthz")).status == 200
            for writer in writers:
                writer.write(HEALTH)  # a connection may send this as often as it wants


async def test_requests_that_never_end_leave_room_for_health_checks(served):
    one = await served(connections=16)
    half = b"POST /api/token HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Length: 50\r\n\r\n{"
    async with crowd(one, 8, half), crowd(one, 8, b"GET /heal"):
        for _ in range(5):
            assert (await one.visitor.ask("/healthz")).status == 200


async def test_readers_that_never_read_lose_their_places(served):
    """A reader's system accepts what fits into its buffers. The server notices that a larger piece is not accepted."""
    one = await served(readers=32, request_time=0.5)
    async with crowd(one, 32, EVENTS):
        async with asyncio.timeout(10):
            while one.view.publisher.readers < 32:
                await one.visitor.ask("/healthz")
            assert (await one.visitor.ask("/api/events")).status == 503
            while one.view.publisher.readers:
                await one.visitor.ask("/healthz")
        async with one.visitor.events() as events:
            assert (await anext(events))["event"] == "status"


async def test_readers_that_read_keep_their_places_in_a_crowd(served):
    one = await served(readers=8, request_time=0.5)
    async with contextlib.AsyncExitStack() as stack:
        streams = [await stack.enter_async_context(one.visitor.events()) for _ in range(8)]
        for stream in streams:
            assert (await anext(stream))["event"] == "status"
        assert (await one.visitor.ask("/api/events")).status == 503
        ends = asyncio.get_running_loop().time() + 1.5
        while asyncio.get_running_loop().time() < ends:
            for stream in streams:
                await anext(stream)
        assert one.view.publisher.readers == 8


async def test_an_answer_on_a_kept_connection_comes_at_once(served):
    one = await served()
    async with one.visitor.connection() as (reader, writer):
        took = []
        for _ in range(40):
            began = time.perf_counter()
            writer.write(HEALTH)
            await reader.readuntil(b"ok\n")
            took.append(time.perf_counter() - began)
    assert sorted(took)[20] < 0.035, took  # with two writes and Nagle's algorithm, each answer would take 40 ms
