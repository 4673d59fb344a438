"""The driver ``ibc2`` and the files of ibc2: what it says at the first look, and files that are damaged."""

from __future__ import annotations

import asyncio
import json
from contextlib import closing, suppress
from datetime import UTC, datetime, timedelta

import pytest

from ibkr.core.gateway_status import GatewayState as S
from ibkr.gateway.drivers import make_driver
from ibkr.gateway.gateway_monitor import GatewayMonitor
from ibkr.gateway.gateway_store import GatewayStore


@pytest.fixture
def driver(machine):
    """The driver, with a function that writes the state of ibc2."""
    settings = machine.config("ibc2").ibkr.gateway
    folder = machine.folder / "ibc2-home" / "runtime"
    folder.mkdir(parents=True)

    def write(state="", /, age=0.0, events="", **values):
        values = {"updated": (datetime.now(UTC) - timedelta(seconds=age)).isoformat(), "ibc_pid": None, **values}
        (folder / "state.json").write_text(state or json.dumps(values))
        (folder / "events.jsonl").write_text(events)

    with closing(GatewayStore(settings)) as store:
        driver = make_driver(settings, store)
        driver.write = write
        yield driver


async def read(driver):
    """The first events, which the driver yields without a pause."""
    monitor = GatewayMonitor(driver)
    task = asyncio.create_task(monitor.run())
    await asyncio.sleep(0.05)
    task.cancel()
    with suppress(asyncio.CancelledError):
        await task
    return monitor


@pytest.mark.parametrize(
    ("values", "state", "second_factor", "login_failed"),
    [
        ({"phase": "starting", "ibc_pid": 7}, S.STARTING, False, False),
        ({"phase": "waiting_2fa", "ibc_pid": 7}, S.NEEDS_SECOND_FACTOR, True, False),
        ({"phase": "running", "ibc_pid": 7}, S.RUNNING, False, False),
        ({"phase": "running", "ibc_pid": 7, "last_event": "UNKNOWN_WINDOW: x"}, S.UNKNOWN_WINDOW, False, False),
        ({"phase": "waiting_2fa", "ibc_pid": 7, "last_event": "UNKNOWN_WINDOW: x"}, S.UNKNOWN_WINDOW, True, False),
        ({"phase": "backoff", "last_event": "EXIT: 1"}, S.RESTARTING, False, False),
        ({"phase": "backoff", "last_event": "LOGIN_FAILED: no"}, S.RESTARTING, False, True),
        ({"phase": "running", "ibc_pid": 7, "age": 500}, S.EXITED, False, False),
        ({"phase": "stopped", "age": 500}, S.STOPPED, False, False),
    ],
)
async def test_the_first_look(driver, values, state, second_factor, login_failed):
    driver.write(**values)
    tracker = (await read(driver)).tracker
    assert (tracker.state, tracker.second_factor, tracker.login_failed) == (state, second_factor, login_failed)


@pytest.mark.parametrize(
    "state",
    [
        "",
        "[" * 100_000,
        "[]",
        json.dumps({"phase": "running", "updated": "0001-01-01T00:00:00+14:00"}),
        json.dumps({"phase": "running", "updated": 7, "next_weekly_reauth": "0001-01-01T00:00:00+14:00"}),
        json.dumps({"phase": [], "updated": "2026-03-02T14:30:00", "next_weekly_reauth": []}),
    ],
)
async def test_a_damaged_state(driver, state):
    driver.write(state or "{", events="[" * 100_000 + "\n")
    assert (await read(driver)).status().state in (S.STOPPED, S.EXITED)
    assert await driver.next_login() is None


async def test_a_damaged_line_among_the_events(driver):
    driver.write(phase="running", ibc_pid=7)
    monitor = GatewayMonitor(driver)
    task = asyncio.create_task(monitor.run())
    await asyncio.sleep(0.05)
    driver.write(phase="running", ibc_pid=7, events="[" * 100_000 + '\n{"type": "UNKNOWN_WINDOW", "detail": "x"}\n')
    async with asyncio.timeout(5):
        while monitor.tracker.state is not S.UNKNOWN_WINDOW:  # noqa: ASYNC110 - the file sends no event
            await asyncio.sleep(0.02)
    task.cancel()
    with suppress(asyncio.CancelledError):
        await task
