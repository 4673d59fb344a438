"""One name, several programs: who leads, who is standby, and what the gateway sees."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from contextlib import suppress

import pytest
from ib_async import LimitOrder, Stock, Trade

from ibkr import ConfigError, Fleet, FleetError, GapReport, IBConnector, LeaseRole, NotReady, Status
from ibkr.fleet.nats_server import NatsServer
from ibkr.simulator import Gateway
from tests import internals
from tests.fixture_types import StateOf, Stopwatch

from .conftest import LEASE, NewMember

AAPL = Stock("AAPL", "SMART", "USD", conId=265598)


def leads(status: Status) -> bool:
    return status.may_trade and status.lease is not None and status.lease.is_leader


def stands_by(status: Status) -> bool:
    return status.is_connected and status.lease is not None and status.lease.role is LeaseRole.STANDBY


async def hand_over_with_order(first: IBConnector, second: IBConnector, state_of: StateOf) -> tuple[Trade, GapReport]:
    """Let the first program lead, place an order and disconnect.

    Returns its trade and the gap report of the second program.
    """
    reports: asyncio.Queue[GapReport] = asyncio.Queue()
    second.on_gap(reports.put_nowait)
    await first.connect_async()
    await state_of(first, leads)
    await second.connect_async()
    await state_of(second, stands_by)
    trade = first.ib.placeOrder(AAPL, LimitOrder("BUY", 1, 1.0, orderRef="of the first"))
    async with asyncio.timeout(5):
        while trade.orderStatus.status != "Submitted":
            await first.ib.updateEvent
    await first.disconnect_async()
    await state_of(second, leads)
    async with asyncio.timeout(5):
        return trade, await reports.get()


async def test_the_first_leads_and_the_second_stands_by(new_member: NewMember, state_of: StateOf) -> None:
    first, second = new_member(), new_member()
    await first.connect_async()
    assert (await state_of(first, leads)).client_id == first.client_id == 100
    await second.connect_async()
    status = await state_of(second, stands_by)
    assert status.may_trade_reason.startswith("standby: ")
    assert "leads since" in status.may_trade_reason
    assert status.client_id == 101
    with pytest.raises(NotReady, match="standby"):
        second.ib.placeOrder(AAPL, LimitOrder("BUY", 1, 1.0))
    first.ib.placeOrder(AAPL, LimitOrder("BUY", 1, 1.0))


async def test_when_the_leader_ends_in_good_order_the_standby_leads_within_a_second(
    new_member: NewMember, state_of: StateOf, stopwatch: Stopwatch
) -> None:
    first, second = new_member(), new_member()
    told: list[str] = []
    second.on_standby(lambda status: told.append(f"standby {status.client_id}"))
    second.on_lead(lambda status: told.append(f"lead {status.client_id}"))
    await first.connect_async()
    client_id = (await state_of(first, leads)).client_id
    await second.connect_async()
    standby_id = (await state_of(second, stands_by)).client_id
    seconds = stopwatch()
    await first.disconnect_async()
    status = await state_of(second, leads)
    assert seconds() < 1
    assert status.client_id == client_id != standby_id
    assert told == [f"standby {standby_id}", f"lead {client_id}"]


async def test_names_have_ids_of_their_own_and_keep_them(new_member: NewMember, state_of: StateOf) -> None:
    for _ in range(2):
        members = [new_member(name) for name in ("alpha", "beta")]
        for member in members:
            await member.connect_async()
        assert [(await state_of(member, leads)).client_id for member in members] == [100, 101]
        for member in reversed(members):
            await member.disconnect_async()


async def test_at_another_gateway_the_ids_begin_again(new_member: NewMember, state_of: StateOf) -> None:
    async with Gateway(id_hold=0) as other:
        first, second = new_member("alpha"), new_member("beta", to=other)
        await first.connect_async()
        await second.connect_async()
        assert [(await state_of(member, leads)).client_id for member in (first, second)] == [100, 100]
        await second.disconnect_async()


async def test_the_gap_report_says_that_the_former_leader_s_journal_is_not_here(
    new_member: NewMember, state_of: StateOf
) -> None:
    _, report = await hand_over_with_order(new_member(), new_member(), state_of)
    assert [order.order_ref for order in report.orders_appeared] == ["of the first"]
    assert not report.complete
    assert "former leader" in str(report)


async def test_a_member_that_is_frozen_out_stands_by(
    new_member: NewMember, state_of: StateOf, server: NatsServer
) -> None:
    """Its lease was given to another program while it could not renew it."""
    first = new_member()
    await first.connect_async()
    await state_of(first, leads)
    import nats

    client = await nats.connect(server.url)
    bucket = await client.jetstream().key_value("ibkr_leases")
    key = f"{internals.fleet_member(first).gateway}.alpha.0"
    value = b'{"instance": "another", "host": "elsewhere", "pid": 1, "since": "2026-03-02T14:30:00+00:00"}'
    has_stood_by = asyncio.Event()

    async def renew() -> None:
        while not has_stood_by.is_set():
            await bucket.put(key, value)
            with suppress(TimeoutError):
                await asyncio.wait_for(has_stood_by.wait(), LEASE / 5)

    renewals = asyncio.create_task(renew())
    status = await state_of(first, stands_by)
    assert "elsewhere" in status.may_trade_reason
    assert status.client_id == 101
    has_stood_by.set()
    await renewals
    await client.close()
    assert (await state_of(first, leads, 10)).client_id == 100, "the other no longer renews it"


async def test_servers_that_are_not_there(gateway: Gateway) -> None:
    fleet = Fleet("nats://me:secret@127.0.0.1:9", name="alpha")
    connector = IBConnector("127.0.0.1", gateway.port, None, 0.5, fleet=fleet)
    with pytest.raises(FleetError) as failed:
        await connector.connect_async()
    assert "127.0.0.1:9" in str(failed.value)
    assert "secret" not in str(failed.value)
    assert connector.status.may_trade is False
    await connector.disconnect_async()


@pytest.mark.parametrize(("client_id", "fleet"), [(None, None), (1, Fleet("nats://h", name="a"))])
def test_either_a_client_id_or_a_fleet(client_id: int | None, fleet: Fleet | None) -> None:
    with pytest.raises(ConfigError, match="client_id"):
        IBConnector("127.0.0.1", 4002, client_id, fleet=fleet)


def test_a_plain_script_leads_while_its_loop_rests(
    server: NatsServer, script_loop: asyncio.AbstractEventLoop, start_gateway: Callable[[], int]
) -> None:
    connector = IBConnector("127.0.0.1", start_gateway(), None, fleet=Fleet(server.url, name="alpha", lease=1.0))
    assert connector.connect()
    connector.wait_ready(5)
    for _ in range(3):
        internals.fleet_member(connector).wait_ended(0.5)  # the loop does not run during this wait
        import time

        time.sleep(0.5)
        assert connector.may_trade
    connector.disconnect()


def test_in_a_thread_of_its_own(server: NatsServer, start_gateway: Callable[[], int]) -> None:
    connector = IBConnector("127.0.0.1", start_gateway(), None, fleet=Fleet(server.url, name="alpha", lease=LEASE))
    connector.start_in_thread(background=True)
    connector.on_lead(lambda status: None)
    deadline = 100
    while not connector.may_trade and deadline:
        connector.sleep(0.05)
        deadline -= 1
    assert connector.may_trade
    connector.stop()
