"""The board of a fleet: what it shows, and one alert per cause."""

from __future__ import annotations

import asyncio
import json
import time
from datetime import datetime, timedelta
from typing import Any, Self

import pytest

from ibkr import ConfigError, Fleet
from ibkr.fleet import board as board_module
from ibkr.fleet import nats_store
from ibkr.fleet.administration import hand_over, read_board, release_client_ids, with_store
from ibkr.fleet.board import LOST_AFTER, Board, find_alerts, group_by_gateway, program_row
from ibkr.fleet.nats_server import NatsServer
from ibkr.fleet.nats_store import FleetStore
from ibkr.fleet.subjects import MEMBER_TTL
from ibkr.simulator import Gateway
from tests.fixture_types import StateOf, Stopwatch

from .conftest import NewMember
from .test_leadership import leads, stands_by


def heartbeat(name: str, host: str = "vm", gateway: str = "vm/4002", **status: Any) -> dict[str, Any]:
    lease = {"role": "leader", "since": "2026-03-02T14:30:00+00:00"}
    told = {"state": "READY", "may_trade": True, "session": "up", "upstream": "up", "alert": "", "lease": lease}
    return {"name": name, "host": host, "pid": 1, "gateway": gateway, "status": told | status}


def test_a_gateway_that_dies_under_ten_programs_is_one_alert() -> None:
    gone = {"session": "none", "state": "RECONNECTING", "alert": "for 5 minutes", "reason": "connection refused"}
    programs = [program_row(heartbeat(f"p{number}", **gone), 1) for number in range(10)]
    [alert] = find_alerts(programs)
    assert "gateway vm/4002: connection refused (p0, p1, p2 and 7 more)" in alert["words"]


def test_a_lost_host_and_a_lost_upstream_are_one_alert() -> None:
    lost = [program_row(heartbeat(f"p{number}", "beta"), LOST_AFTER + 1) for number in range(3)]
    assert [alert["key"] for alert in find_alerts(lost)] == ["lost beta"]
    assert all(not each["may_trade"] and each["is_lost"] for each in lost)
    down = [program_row(heartbeat(name, upstream="down", alert="x"), 0) for name in ("a", "b")]
    assert [alert["key"] for alert in find_alerts(down)] == ["upstream vm/4002"]


def test_other_causes_have_one_alert_each() -> None:
    programs = [
        program_row(heartbeat("a", alert="the gateway has refused client id 100 as in use (326)", session="none"), 0),
        program_row(heartbeat("b", alert="journal"), 0),
        program_row(heartbeat("c"), 0),
    ]
    assert len(find_alerts(programs)) == 2


def test_what_a_program_says_is_not_trusted() -> None:
    odd = program_row({"name": "a\x1b[2J", "host": ["x"], "gateway": "g", "status": "none"}, 0)
    assert odd["name"].isprintable()
    assert odd["may_trade"] is False
    long = program_row(heartbeat("a", reason="x" * 100_000, may_trade="yes", lease="none"), 0)
    assert len(long["reason"]) < 2000
    assert (long["may_trade"], long["role"]) == (False, None)


def test_leaders_come_first() -> None:
    standby = heartbeat("a", "alpha", lease={"role": "standby"}, may_trade=False)
    [gateway] = group_by_gateway([program_row(standby, 0), program_row(heartbeat("a", "beta"), 0)])
    assert [each["role"] for each in gateway["programs"]] == ["leader", "standby"]
    assert gateway["may_trade"] == 1


async def test_it_shows_who_leads_and_follows_each_change(
    new_member: NewMember, state_of: StateOf, server: NatsServer, gateway: Gateway, stopwatch: Stopwatch
) -> None:
    first, second = new_member(), new_member()
    for connector in (first, second):
        await connector.connect_async()
    await state_of(second, stands_by)
    changed = asyncio.Event()
    board = Board(Fleet(server.url, name="operator", lease=2.0), on_change=changed.set)
    running = asyncio.create_task(board.run())

    async def until(holds: Any) -> dict[str, Any]:
        async with asyncio.timeout(20):
            while not holds(view := board.to_dict()):
                changed.clear()
                await changed.wait()
        return view

    view = await until(lambda view: len(view["gateways"]) == 1 and len(view["gateways"][0]["programs"]) == 2)
    await until(lambda view: view["gateways"][0]["may_trade"] == 1)
    assert "DU1234567" not in str(view), "account ids are masked"
    seconds = stopwatch()
    await gateway.fault("1100")
    await until(lambda view: view["gateways"][0]["may_trade"] == 0)
    assert seconds() < 2, "half a second in the middle of many, as the bench tells"
    await gateway.fault("1102")
    view = await until(lambda view: any(outage["ended_at"] for outage in view["outages"]))
    assert {outage["cause"] for outage in view["outages"]} == {"upstream_lost"}
    await second.disconnect_async()
    await until(lambda view: len(view["gateways"][0]["programs"]) == 1)
    running.cancel()
    await asyncio.gather(running, return_exceptions=True)


async def test_an_alert_is_reported_once(server: NatsServer) -> None:
    """Ten programs of one host with old heartbeats are one alert."""
    told: list[dict[str, Any]] = []
    board = Board(Fleet(server.url, name="operator"), on_alert=told.append)
    running = asyncio.create_task(board.run())
    async with asyncio.timeout(5):
        await board.is_complete.wait()
        for number in range(10):
            key = f"vm.p{number}.x"
            board._members[key] = heartbeat(f"p{number}", "beta"), time.monotonic() - LOST_AFTER - 1
        changed = asyncio.Event()
        board._on_alert = lambda alert: (told.append(alert), changed.set())  # type: ignore[assignment,func-returns-value]
        await changed.wait()
    await asyncio.sleep(1.2)  # the board checks once per second
    running.cancel()
    await asyncio.gather(running, return_exceptions=True)
    assert [alert["key"] for alert in told] == ["lost beta"]


async def test_a_program_that_is_lost_stays_lost(server: NatsServer, monkeypatch: pytest.MonkeyPatch) -> None:
    """A restarted watch repeats the last heartbeats. They do not show that the program runs, and cause no new alert."""
    monkeypatch.setattr(board_module, "LOST_AFTER", 0.3)
    monkeypatch.setattr(board_module, "_CHECK_EVERY", 0.05)
    told: list[dict[str, Any]] = []
    changed = asyncio.Event()
    board = Board(Fleet(server.url, name="operator"), on_change=changed.set, on_alert=told.append)
    running = asyncio.create_task(board.run())
    async with asyncio.timeout(10):
        await board.is_complete.wait()
        assert board.store is not None
        await board.store.members.put("vm.alpha.x", json.dumps(heartbeat("alpha")).encode())
        while not told:
            changed.clear()
            await changed.wait()
        for _ in range(3):
            board._connection_restored()
            await asyncio.sleep(0.2)
            [gateway] = board.to_dict()["gateways"]
            assert gateway["programs"][0]["is_lost"]
        await board.store.members.put("vm.alpha.x", json.dumps(heartbeat("alpha")).encode())
        while board.to_dict()["alerts"]:
            changed.clear()
            await changed.wait()
    running.cancel()
    await asyncio.gather(running, return_exceptions=True)
    assert [alert["key"] for alert in told] == ["lost vm"]


async def test_a_program_that_was_lost_for_a_day_is_forgotten(server: NatsServer) -> None:
    changed = asyncio.Event()
    board = Board(Fleet(server.url, name="operator"), on_change=changed.set)
    running = asyncio.create_task(board.run())
    async with asyncio.timeout(5):
        await board.is_complete.wait()
        board._members["vm.old.x"] = heartbeat("old"), time.monotonic() - MEMBER_TTL - 1
        while board.to_dict()["gateways"]:
            changed.clear()
            await changed.wait()
    running.cancel()
    await asyncio.gather(running, return_exceptions=True)


async def test_settings_that_cannot_work_are_named(server: NatsServer) -> None:
    fleet = Fleet(server.url, name="operator", tls_ca="/nowhere.pem")
    with pytest.raises(ConfigError, match="tls_ca"):
        await read_board(fleet)
    changed = asyncio.Event()
    board = Board(fleet, on_change=changed.set)
    with pytest.raises(ConfigError, match="tls_ca"):
        await board.run()
    assert changed.is_set()
    assert "tls_ca" in board.to_dict()["trouble"]
    with pytest.raises(ConfigError, match=r"tls_cert = '/nowhere\.pem'"):
        await read_board(Fleet(server.url, name="operator", tls_cert="/nowhere.pem", tls_key="/nowhere.key"))
    with pytest.raises(ConfigError, match=r"credentials = .*nowhere\.creds"):
        await read_board(Fleet(server.url, name="operator", credentials="/nowhere.creds"))


async def test_the_lead_is_handed_over_within_a_second(
    new_member: NewMember, state_of: StateOf, server: NatsServer, stopwatch: Stopwatch
) -> None:
    fleet = Fleet(server.url, name="operator")
    first, second = new_member(), new_member()
    await first.connect_async()
    await state_of(first, leads)
    assert [words for _, words in await with_store(fleet, lambda store: hand_over(store, "alpha", ""))] == [
        "no other program of this name stands by"
    ]
    await second.connect_async()
    await state_of(second, stands_by)
    seconds = stopwatch()
    assert [words for _, words in await with_store(fleet, lambda store: hand_over(store, "alpha", ""))] == [""]
    assert (await state_of(second, leads)).client_id == 100
    assert seconds() < 1
    assert (await state_of(first, stands_by)).client_id == 102
    assert await with_store(fleet, lambda store: hand_over(store, "nobody", "")) == []


async def test_client_ids_are_taken_back(new_member: NewMember, state_of: StateOf, server: NatsServer) -> None:
    from ibkr import FleetError

    fleet = Fleet(server.url, name="operator")
    first = new_member()
    await first.connect_async()
    with pytest.raises(FleetError, match="still runs"):
        await with_store(fleet, lambda store: release_client_ids(store, "alpha"))
    await first.disconnect_async()
    assert await with_store(fleet, lambda store: release_client_ids(store, "alpha")) == 1
    assert (await read_board(fleet))["gateways"] == []


async def test_a_wrong_clock_of_the_boards_machine_makes_nobody_lost(
    server: NatsServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Ahead(datetime):
        @classmethod
        def now(cls, tz: Any = None) -> Self:
            return super().now(tz) + timedelta(hours=1)

    fleet = Fleet(server.url, name="operator")

    async def put(store: FleetStore) -> None:
        await store.members.put("vm.alpha.x", json.dumps(heartbeat("alpha")).encode())

    await with_store(fleet, put)
    for module in (board_module, nats_store):
        monkeypatch.setattr(module, "datetime", Ahead)
    [gateway] = (await read_board(fleet))["gateways"]
    assert gateway["programs"][0]["age"] < LOST_AFTER
