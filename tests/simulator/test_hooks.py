"""Actions that run exactly when the gateway has received a certain request, before its answer."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any

import pytest

from ibkr.simulator import Gateway


async def test_a_request_is_met_before_its_answer_and_once(
    gateway: Gateway, connect: Callable[..., Awaitable[Any]]
) -> None:
    client = await connect(gateway.port, 1)
    seen: list[int] = []
    gateway.on_received("reqCurrentTime", lambda gateway: seen.append(len(gateway.seen.received("reqCurrentTime"))))
    gateway.on_received("reqCurrentTime", lambda gateway: gateway.faults.call("close"))
    client.send(49, 1)
    assert (await client.receive())[0] == "49"
    client.send(49, 1)
    with pytest.raises(EOFError):
        await client.receive()
    assert seen == [1]


@pytest.mark.parametrize("moment", ["connection", "hello"])
async def test_what_is_closed_before_the_version_never_hears_it(
    moment: str, gateway: Gateway, connect: Callable[..., Awaitable[Any]]
) -> None:
    gateway.on_received(moment, lambda gateway: gateway.faults.call("close"))
    client = await connect(gateway.port)
    with pytest.raises((EOFError, ConnectionResetError)):
        await client.hello()


@pytest.mark.parametrize("moment", ["version", "startApi"])
async def test_what_is_closed_after_the_version_gets_no_session(
    moment: str, gateway: Gateway, connect: Callable[..., Awaitable[Any]]
) -> None:
    gateway.on_received(moment, lambda gateway: gateway.faults.call("close"))
    client = await connect(gateway.port)
    await client.hello()
    await client.start_api(1)
    with pytest.raises((EOFError, ConnectionResetError)):
        await client.receive()
    assert not gateway.seen.sessions


def test_an_unknown_moment_is_refused() -> None:
    with pytest.raises(TypeError, match=r"on_received\(\) needs a function .*, not None"):
        Gateway().on_received("reqPositions", None)  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="reqPositions"):
        Gateway().on_received("reqPosition", print)
