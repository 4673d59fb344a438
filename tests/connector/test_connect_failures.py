"""connect() fails: the error names the cause, and comes as soon as the cause shows."""

from __future__ import annotations

import asyncio
import socket
import time
import tracemalloc
from dataclasses import dataclass

import pytest

import ibkr
from ibkr import ConnectionState, IBConnector
from ibkr.observe.connection_log import cure
from ibkr.simulator import Gateway
from ibkr.wire.fields import encode_fields
from ibkr.wire.frame import frame
from ibkr.wire.handshake import version_frame
from tests.fixture_types import Make, Stopwatch


@dataclass(frozen=True)
class Case:
    """A fault of the gateway, and the error that connect() must raise."""

    fault: str
    error: type[ibkr.ConnectError]
    kind: str
    advice: str
    arguments: tuple[object, ...] = ()
    looks_like: str = ""


CASES = [
    Case("http", ibkr.NotAGateway, "not_a_gateway", "Another program listens", looks_like="http"),
    Case("ssh", ibkr.NotAGateway, "not_a_gateway", "Another program listens", looks_like="ssh"),
    Case("garbage", ibkr.NotAGateway, "not_a_gateway", "Another program listens", looks_like="unknown"),
    Case("close_on_accept", ibkr.GatewayClosed, "closed", "still be starting"),
    Case("close_after_handshake", ibkr.GatewayClosed, "closed", "client id 7 may still be held"),
    Case("occupy_client_id", ibkr.ClientIdInUse, "client_id_in_use", "IBKR_CLIENT_ID", (7,)),
    Case("old_version", ibkr.UnsupportedVersion, "unsupported_version", "Update TWS"),
]


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.fault)
async def test_each_attempt_ends_when_its_cause_shows(
    case: Case, gateway: Gateway, make: Make, stopwatch: Stopwatch
) -> None:
    await gateway.fault(case.fault, *case.arguments)
    connector = make(connect_attempts=1)
    tracemalloc.start()
    elapsed = stopwatch()
    with pytest.raises(case.error) as raised:
        await connector.connect_async()
    took = elapsed()
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()

    assert took < 1
    assert peak < 32 * 2**20
    error = raised.value
    assert error.kind == case.kind
    assert error.looks_like == case.looks_like
    assert error.endpoint == f"127.0.0.1:{gateway.port}"
    assert error.attempts == 1
    assert case.advice in error.advice
    assert str(error).startswith(error.endpoint)
    assert connector.status.state is ConnectionState.FAILED
    assert not connector.is_connected()


async def test_refused(make: Make, stopwatch: Stopwatch) -> None:
    with socket.socket() as unused:  # the bind keeps other programs from using this port
        unused.bind(("127.0.0.1", 0))
        connector = make(port=unused.getsockname()[1], connect_attempts=1)
        elapsed = stopwatch()
        with pytest.raises(ibkr.GatewayUnreachable, match="connection refused") as raised:
            await connector.connect_async()
        assert elapsed() < 0.5
    assert raised.value.kind == "unreachable"
    assert "7497 paper" in raised.value.advice


async def test_a_name_that_does_not_resolve_is_unreachable() -> None:
    connector = IBConnector("no-such-host.invalid", 7497, 1, policy=ibkr.Policy(connect_attempts=1))
    with pytest.raises(ibkr.GatewayUnreachable, match=r"no-such-host\.invalid:7497.*check ibkr\.host") as raised:
        await connector.connect_async()
    assert "typing error in ibkr.host" in raised.value.advice
    assert "Start TWS" not in f"{raised.value} {cure(connector.status)}"


async def test_silent_lasts_its_timeout(gateway: Gateway, make: Make, stopwatch: Stopwatch) -> None:
    await gateway.fault("silent")
    connector = make(timeout=0.3, connect_attempts=1)
    began, elapsed = time.monotonic(), stopwatch()
    with pytest.raises(ibkr.GatewaySilent, match=r"sent nothing for 0\.3 s") as raised:
        await connector.connect_async()
    assert time.monotonic() - began >= 0.6, "0.3 s for the attempt, and 0.3 s to find out what the server is"
    assert elapsed() < 1.1
    assert isinstance(raised.value, TimeoutError)
    assert raised.value.kind == "silent"


@pytest.mark.parametrize(
    ("fault", "attempts", "looks"), [("close_on_accept", 3, 2), ("http", 1, 0), ("old_version", 1, 0)]
)
async def test_what_a_retry_may_cure_is_tried_three_times(
    fault: str, attempts: int, looks: int, gateway: Gateway, make: Make
) -> None:
    """An attempt that gets no data leads to one look at the port, in HTTP and in TLS."""
    await gateway.fault(fault)
    connector = make(connect_pause=0.01)
    with pytest.raises(ibkr.ConnectError) as raised:
        await connector.connect_async()
    assert raised.value.attempts == attempts
    assert gateway.seen.connects == attempts + looks


async def test_a_frame_without_end_after_the_handshake_ends_the_session(make: Make) -> None:
    """After a length of 2 GiB, the connector does not buffer 2 GiB. The session ends, and a new one begins."""
    sessions = 0

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        nonlocal sessions
        sessions += 1
        await reader.read(1024)
        writer.write(version_frame(176, "20261122 18:00:00 US/Eastern"))
        await reader.read(1024)
        writer.write(frame(encode_fields(15, 1, "DU1234567")) + frame(encode_fields(9, 1, 100)))
        writer.write(b"\x7f\xff\xff\xff" + b"junk" * 1000)
        await reader.read()
        writer.close()
        await writer.wait_closed()

    async with await asyncio.start_server(serve, "127.0.0.1", 0) as server:
        connector = make(port=server.sockets[0].getsockname()[1], connect_attempts=2, connect_pause=0.01)
        with pytest.raises(ibkr.GatewayClosed, match="2,147,483,647 bytes was announced"):
            await connector.connect_async()
    assert sessions == 2


async def test_a_first_frame_that_is_no_version_is_no_gateway(make: Make) -> None:
    async def serve(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(frame(b"178\0"))
        writer.close()
        await writer.wait_closed()

    async with await asyncio.start_server(serve, "127.0.0.1", 0) as server:
        connector = make(port=server.sockets[0].getsockname()[1], connect_attempts=1)
        with pytest.raises(ibkr.NotAGateway):
            await connector.connect_async()


async def test_cancelled_connect_leaves_nothing(gateway: Gateway, make: Make) -> None:
    await gateway.fault("silent")
    connector = make()
    connecting = asyncio.create_task(connector.connect_async())
    await gateway.wait_for(lambda gateway: gateway.seen.connects == 1)
    connecting.cancel()
    with pytest.raises(asyncio.CancelledError):
        await connecting
    assert connector.status.state is ConnectionState.DISCONNECTED


async def test_disconnect_during_connect_wins(gateway: Gateway, make: Make) -> None:
    await gateway.fault("silent")
    connector = make()
    connecting = asyncio.create_task(connector.connect_async())
    await gateway.wait_for(lambda gateway: gateway.seen.connects == 1)
    await connector.disconnect_async()
    assert await connecting is False


async def test_wait_never_gives_up(gateway: Gateway, make: Make) -> None:
    """A service may start before its gateway, even while another server uses the port."""
    await gateway.fault("http")
    connector = make(backoff_first=0.01, backoff_cap=0.02)
    connecting = asyncio.create_task(connector.connect_async(wait=True))
    await gateway.wait_for(lambda gateway: gateway.seen.connects >= 5)
    await gateway.fault("clear")
    assert await connecting is True
