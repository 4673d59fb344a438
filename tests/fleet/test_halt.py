"""The halt of a fleet: it reaches every program, and its global cancel reaches every gateway once."""

from __future__ import annotations

import asyncio

from ibkr import Fleet
from ibkr.fleet.administration import halt, read_board, resume, with_store
from ibkr.fleet.nats_server import NatsServer
from ibkr.fleet.nats_store import FleetStore
from ibkr.fleet.subjects import HALT_KEY
from ibkr.simulator import Gateway
from tests.fixture_types import StateOf

from .conftest import NewMember
from .test_leadership import leads


async def test_a_halt_of_the_fleet_reaches_all_and_those_that_start_later(
    new_member: NewMember, state_of: StateOf, server: NatsServer, gateway: Gateway
) -> None:
    fleet = Fleet(server.url, name="operator")
    first = new_member("alpha")
    await first.connect_async()
    await state_of(first, leads)
    await with_store(fleet, lambda store: halt(store, "the risk limit", "me", cancel_all=True))
    status = await state_of(first, lambda status: not status.may_trade)
    assert "the risk limit (all of the fleet, by me" in status.may_trade_reason
    assert status.may_trade_reason.endswith("'ibkr resume --fleet' ends it)")
    await gateway.wait_for(lambda gateway: gateway.seen.received("reqGlobalCancel"))
    second = new_member("beta")
    await second.connect_async()
    assert not second.may_trade
    first.resume()
    assert not first.may_trade, "the fleet's halt is not this program's to end"
    assert await with_store(fleet, resume)
    for connector in (first, second):
        await state_of(connector, leads)
    assert not await with_store(fleet, resume)


async def test_a_later_halt_of_the_fleet_keeps_the_cancel_of_the_earlier_one(
    new_member: NewMember, state_of: StateOf, server: NatsServer, gateway: Gateway
) -> None:
    """The first program has received neither of the two. The second one comes later, to the same gateway."""
    fleet = Fleet(server.url, name="operator")
    await with_store(fleet, lambda store: halt(store, "stop", "me", cancel_all=True))
    await with_store(fleet, lambda store: halt(store, "look at it", "me", cancel_all=False))
    first = new_member("alpha")
    await first.connect_async()
    await gateway.wait_for(lambda gateway: gateway.seen.received("reqGlobalCancel"))
    assert "look at it" in first.status.halted
    await with_store(fleet, cancel_recorded)
    await with_store(fleet, lambda store: halt(store, "look again", "me", cancel_all=False))
    await state_of(first, lambda status: "look again" in status.halted)
    second = new_member("beta")
    await second.connect_async()
    await second.wait_ready_async(5)
    for member in (first, second):
        await member.ib.reqCurrentTimeAsync()
    assert len(gateway.seen.received("reqGlobalCancel")) == 1, "a cancel that has arrived is not sent again"
    await with_store(fleet, resume)
    await with_store(fleet, lambda store: halt(store, "look", "me", cancel_all=False))
    assert (await read_board(fleet))["halt"]["cancel_all"] == "False"


async def cancel_recorded(store: FleetStore) -> None:
    """Wait until a program has recorded that its gateway has received the global cancel."""
    watcher = await store.halt.watch("cancelled.>")
    async with asyncio.timeout(5):
        while await anext(watcher) is None:
            pass
    await watcher.stop()


async def test_a_halt_that_cannot_be_read_counts_as_a_halt(
    new_member: NewMember, state_of: StateOf, server: NatsServer
) -> None:
    """Somebody has run ``nats kv put ibkr_halt halt stop``. It is treated like a halt file that cannot be read."""

    async def put(store: FleetStore) -> None:
        await store.halt.put(HALT_KEY, b"stop")

    fleet = Fleet(server.url, name="operator")
    member = new_member("alpha")
    await member.connect_async()
    await state_of(member, leads)
    await with_store(fleet, put)
    status = await state_of(member, lambda status: not status.may_trade)
    assert "the fleet's halt cannot be read" in status.may_trade_reason
    assert "cannot be read" in (await read_board(fleet))["halt"]["reason"]
    assert await with_store(fleet, resume)
    await state_of(member, leads)


async def test_the_cancel_of_the_fleet_reaches_a_program_that_has_a_halt_of_its_own(
    new_member: NewMember, state_of: StateOf, server: NatsServer, gateway: Gateway
) -> None:
    fleet = Fleet(server.url, name="operator")
    member = new_member("alpha")
    await member.connect_async()
    await state_of(member, leads)
    member.halt("the risk limit")
    await with_store(fleet, lambda store: halt(store, "stop", "me", cancel_all=True))
    await gateway.wait_for(lambda gateway: gateway.seen.received("reqGlobalCancel"))
    assert member.status.halted == "the risk limit", "the first halt gives the reason"
    await with_store(fleet, cancel_recorded)
    member.resume()
    assert "stop (all of the fleet" in member.status.halted
    member.halt("the risk limit")
    await with_store(fleet, resume)
    await member.ib.reqCurrentTimeAsync()
    assert not member.status.may_trade, "the program's own halt continues"
    member.resume()
    await state_of(member, leads)
    assert len(gateway.seen.received("reqGlobalCancel")) == 1


async def test_a_halt_of_the_program_does_not_hide_a_due_cancel_of_the_fleet(
    new_member: NewMember, state_of: StateOf, server: NatsServer, gateway: Gateway
) -> None:
    fleet = Fleet(server.url, name="operator")
    member = new_member("alpha")
    await member.connect_async()
    await state_of(member, leads)
    await gateway.fault("1100")
    await state_of(member, lambda status: status.upstream == "down")
    await with_store(fleet, lambda store: halt(store, "stop", "me", cancel_all=True))
    await state_of(member, lambda status: "stop" in status.halted)
    member.halt("the risk limit")
    member.resume()
    member.halt("the risk limit", cancel_all=True)
    await gateway.fault("1102")
    await with_store(fleet, cancel_recorded)
    assert len(gateway.seen.received("reqGlobalCancel")) == 1, "one cancel is enough for both"
    member.reconnect()
    await member.wait_ready_async(5)
    await member.ib.reqCurrentTimeAsync()
    assert len(gateway.seen.received("reqGlobalCancel")) == 1
