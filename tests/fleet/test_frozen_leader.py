"""A leader whose process is frozen: the gateway keeps its client id, so no successor can trade."""

from __future__ import annotations

import os
import signal
import subprocess
import sys

import pytest

from ibkr import Fleet, IBConnector, Policy
from ibkr.fleet.nats_server import NatsServer
from ibkr.simulator import Gateway
from tests.fixture_types import StateOf, Stopwatch

from .test_leadership import leads, stands_by

PROGRAM = """
import asyncio, sys
from ibkr import Fleet, IBConnector, Policy

async def main():
    fleet = Fleet(sys.argv[1], name="alpha", lease=1.0)
    connector = IBConnector("127.0.0.1", int(sys.argv[2]), None, policy=Policy(region="none"), fleet=fleet)
    connector.on_lead(lambda status: print("leads", flush=True))
    connector.on_standby(lambda status: print("stands by", flush=True))
    await connector.connect_async()
    await asyncio.Event().wait()

asyncio.run(main())
"""


@pytest.fixture
def leader(server: NatsServer, gateway: Gateway):  # type: ignore[no-untyped-def]
    """A program that connects, in a separate process."""
    command = [sys.executable, "-c", PROGRAM, server.url, str(gateway.port)]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
    yield process
    process.kill()
    process.communicate()


async def second_of(server: NatsServer, gateway: Gateway, state_of: StateOf) -> IBConnector:
    policy = Policy(region="none", client_id_later_after=0.5, restore_grace=0.05, upstream_grace=0.05)
    fleet = Fleet(server.url, name="alpha", lease=1.0)
    second = IBConnector("127.0.0.1", gateway.port, None, policy=policy, fleet=fleet)
    await second.connect_async()
    await state_of(second, stands_by)
    return second


async def said(process: subprocess.Popen[str]) -> str:
    import asyncio

    assert process.stdout is not None
    return await asyncio.to_thread(process.stdout.readline)


@pytest.mark.skipif(sys.platform == "win32", reason="a process cannot be stopped there")
async def test_until_it_goes_on_nobody_trades(
    server: NatsServer, gateway: Gateway, state_of: StateOf, leader: subprocess.Popen[str]
) -> None:
    assert await said(leader) == "leads\n"
    second = await second_of(server, gateway, state_of)
    os.kill(leader.pid, signal.SIGSTOP)
    status = await state_of(second, lambda status: "waiting for client id 100" in status.reason)
    assert not status.may_trade
    status = await state_of(second, lambda status: bool(status.alert))
    assert "client id 100" in status.alert
    os.kill(leader.pid, signal.SIGCONT)
    assert (await state_of(second, leads)).client_id == 100
    assert await said(leader) == "stands by\n"
    await second.disconnect_async()


async def test_a_leader_that_is_killed_is_replaced_in_time(
    server: NatsServer, gateway: Gateway, state_of: StateOf, leader: subprocess.Popen[str], stopwatch: Stopwatch
) -> None:
    assert await said(leader) == "leads\n"
    second = await second_of(server, gateway, state_of)
    seconds = stopwatch()
    leader.kill()
    await state_of(second, leads)
    assert seconds() < 1.0 + 2.0
    await second.disconnect_async()
