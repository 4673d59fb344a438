"""Networks that change: a gateway that moves, a NAT that forgets, a VPN that returns with another address."""

from __future__ import annotations

import asyncio
import socket

import pytest

from ibkr import ConnectionState
from ibkr.simulator import ThreadedGateway
from tests.fixture_types import StateOf, Stopwatch

from .conftest import NewGateway, Watch, Watched
from .lab import CLIENT, CLIENT_LATER, GATEWAY, MOVED, Lab

pytestmark = [pytest.mark.network, pytest.mark.timeout(120)]

CUT = 15.0
SLACK = 0.5
RECONNECTING = ConnectionState.RECONNECTING


async def test_a_gateway_that_moves_to_another_address_behind_its_name(
    lab: Lab,
    new_gateway: NewGateway,
    watch: Watch,
    stopwatch: Stopwatch,
    state_of: StateOf,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    resolve, place = socket.getaddrinfo, [GATEWAY]

    def named(host: str, *args: object, **options: object) -> object:
        is_name = host == "gateway.test" and not options.get("flags")
        return resolve(place[0] if is_name else host, *args, **options)  # type: ignore[arg-type]

    monkeypatch.setattr(socket, "getaddrinfo", named)
    new_gateway(GATEWAY)
    new_gateway(MOVED)
    watched = watch("gateway.test")
    await watched.connect()
    lab.drop("-d", GATEWAY)
    lab.drop("-s", GATEWAY)
    place[0] = MOVED
    await state_of(watched.connector, lambda status: status.state is RECONNECTING, 20)
    elapsed = stopwatch()
    await watched.back()
    assert elapsed() < 1.5
    assert watched.connector.ib.client.conn.transport.get_extra_info("peername")[0] == MOVED


async def id_is_refused(watched: Watched, state_of: StateOf) -> None:
    """The network is back, and the gateway still holds the old session."""
    await state_of(watched.connector, lambda status: "in use" in status.last_error, 20)


async def test_a_nat_that_forgets(
    lab: Lab, gateway: ThreadedGateway, watch: Watch, stopwatch: Stopwatch, state_of: StateOf
) -> None:
    lab.translate("20000-29999")
    watched = watch()
    await watched.connect()
    lab.drop()
    await asyncio.sleep(CUT)
    lab.translate("30000-39999")
    lab.forget_translations()
    lab.mend()
    await id_is_refused(watched, state_of)
    assert lab.sessions() >= 1, "the peer never sees the address of before"
    await asyncio.sleep(3)
    gateway.fault("reset")
    elapsed = stopwatch()
    await watched.back()
    assert elapsed() < 0.25 + SLACK


async def test_a_nat_that_forgets_and_says_so(
    lab: Lab, gateway: ThreadedGateway, watch: Watch, stopwatch: Stopwatch, state_of: StateOf
) -> None:
    """Like some NATs, this NAT resets connections that it has no entry for. It drops no packets."""
    lab.translate("20000-29999")
    lab.router.run("iptables", "-w", "-F", "INPUT")
    watched = watch()
    await watched.connect()
    lab.translate("30000-39999")
    lab.router.run("iptables", "-w", "-F", "INPUT")
    lab.forget_translations()
    elapsed = stopwatch()
    await state_of(watched.connector, lambda status: status.outages == 1, 30)
    await watched.back()
    assert elapsed() < 15


async def test_a_vpn_that_returns_with_another_address(
    lab: Lab, gateway: ThreadedGateway, watch: Watch, stopwatch: Stopwatch, state_of: StateOf
) -> None:
    watched = watch()
    await watched.connect()
    lab.take_address(CLIENT)
    await asyncio.sleep(CUT)
    lab.give_address(CLIENT_LATER)
    await id_is_refused(watched, state_of)
    await asyncio.sleep(6)
    gateway.fault("reset")
    elapsed = stopwatch()
    await watched.back()
    assert elapsed() < 1.0 + SLACK, "refused for 5 s, it asks once a second"
    assert watched.connector.ib.client.conn.transport.get_extra_info("sockname")[0] == CLIENT_LATER


async def test_a_vpn_that_returns_with_the_same_address(
    lab: Lab, gateway: ThreadedGateway, watch: Watch, stopwatch: Stopwatch
) -> None:
    watched = watch()
    await watched.connect()
    lab.take_address(CLIENT)
    await asyncio.sleep(CUT)
    assert watched.connector.status.state is RECONNECTING
    lab.give_address(CLIENT)
    elapsed = stopwatch()
    await watched.back()
    assert elapsed() < 1.5
