"""A week of a gateway, at high speed: the clock jumps from event to event, everything else is real.

In this week, New York's clocks go forward. The gateway restarts itself every night; it crashes once and hangs once; on
Sunday IB requires a new login.
"""

from __future__ import annotations

import asyncio
import logging
from datetime import UTC, datetime, timedelta

import pytest

from ibkr.core.gateway_status import GatewayState as S
from ibkr.core.states import UpstreamState
from ibkr.gateway.gateway_store import GatewayStore

from .conftest import Clock
from .test_supervisor import QUICK, in_state, ready

RESTARTS = "the gateway restarts itself"
MONDAY = datetime(2026, 3, 2, 15, 0, tzinfo=UTC)


@pytest.mark.rest
@pytest.mark.timeout(240)
async def test_a_week(machine, supervised, state_is, eventually, caplog):
    # This function has over 40 lines because it follows one week from start to end.
    caplog.set_level(logging.INFO, "ibkr.gateway")
    clock = Clock(MONDAY)
    alerts = [""]
    cfg = machine.config("ibc", {"auto_restart": True}, **QUICK | {"region": "america"})
    machine.plan(logins=["second factor"])
    async with supervised(cfg, now=clock) as supervisor:
        wait = Wait(supervisor, state_is, eventually, caplog)

        def note(status):
            alert = status.gateway.alert if status.gateway else ""
            if alert != alerts[-1]:
                alerts.append(alert)

        supervisor.connector.on_status(note)
        await wait.until(in_state(S.NEEDS_SECOND_FACTOR))
        machine.do("approve")
        await wait.until(ready)

        async def nightly(day):
            clock.jump_to(at(day, 4, 45))  # 23:45 in New York
            before = caplog.text.count(RESTARTS)
            machine.do("nightly")
            await eventually(lambda: caplog.text.count(RESTARTS) > before)
            await wait.until(ready)

        await nightly(1)

        clock.jump_to(at(1, 15, 0))  # Tuesday: a crash by day
        machine.plan(logins=["second factor"])
        machine.do("crash")
        await wait.until(in_state(S.NEEDS_SECOND_FACTOR))
        await wait.for_line("start, which needs a full login: the process has ended")
        clock.jump(3 * 3600)
        await wait.nothing_happens()
        machine.do("approve")
        await wait.until(ready)

        await nightly(2)
        clock.jump_to(at(2, 5, 20))  # Wednesday: IB's reset
        machine.broker.faults.lose_upstream()
        await wait.until(lambda status: status.upstream is UpstreamState.DOWN)
        clock.jump(1800)
        await wait.nothing_happens()
        machine.broker.faults.restore_upstream()
        await wait.until(ready)

        await nightly(3)
        clock.jump_to(at(3, 16, 0))  # Thursday: it hangs
        machine.do("hang")
        await wait.until(lambda status: status.last_error.startswith("silent"))
        for seconds, line in ((201, "RECONNECTDATA: "), (201, "RECONNECTACCOUNT: "), (201, "RESTART: ")):
            await wait.nothing_happens()
            clock.jump(seconds)
            await wait.for_line(f"{line}the port stays silent")
        machine.do("wake")
        await wait.until(ready)

        await nightly(4)
        await nightly(5)
        clock.jump_to(at(6, 6, 0))  # Sunday 01:00 in New York: the login has expired
        machine.plan(restart_login="second factor")
        machine.do("nightly")
        await wait.until(in_state(S.NEEDS_SECOND_FACTOR))
        clock.jump(5 * 3600)
        await wait.nothing_happens()
        machine.do("approve")
        await wait.until(ready)
        machine.plan()
        await nightly(7)
        assert supervisor.status.alert == ""
    check_diary([record for record in caplog.records if record.name == "ibkr.gateway"], alerts)
    restarts = GatewayStore(cfg.ibkr.gateway).read_restarts()
    assert [(f"{restart.at:%a %H:%M}", restart.full_login) for restart in restarts] == [
        ("Tue 15:00", True),
        ("Thu 16:10", False),
    ]


def at(day, hour, minute):
    """This many days after Monday."""
    return (MONDAY + timedelta(days=day)).replace(hour=hour, minute=minute)


class Wait:
    """Waits for a state of the status or for a log line, or checks that nothing is done."""

    def __init__(self, supervisor, state_is, eventually, caplog):
        self._supervisor, self._state_is, self._eventually, self._caplog = supervisor, state_is, eventually, caplog

    async def until(self, holds):
        await self._state_is(self._supervisor, holds)

    async def for_line(self, words):
        await self._eventually(lambda: words in self._caplog.text)

    async def nothing_happens(self):
        """The policy has run twice more, and has done nothing."""
        lines = [record for record in self._caplog.records if record.levelno >= logging.WARNING]
        for _ in range(2):
            await asyncio.sleep(0.25)  # longer than a tick: nothing must come in this time
        now = [record for record in self._caplog.records if record.levelno >= logging.WARNING]
        assert [record.getMessage() for record in now[len(lines) :] if record.name == "ibkr.gateway"] == []


def check_diary(records, alerts):
    """Each problem and each action is a WARNING, and nothing else is. So the log shows the course of the week."""
    assert [record.getMessage() for record in records if record.levelno >= logging.WARNING] == [
        "the gateway's process has ended (exit code 137)",
        "start, which needs a full login: the process has ended (exit code 137)",
        "RECONNECTDATA: the port stays silent",
        "RECONNECTACCOUNT: the port stays silent",
        "RESTART: the port stays silent",
    ]
    diary = [record.getMessage() for record in records if record.levelno == logging.INFO]
    assert sum(RESTARTS in line for line in diary) >= 8
    assert sum("waits for your second factor" in line for line in diary) == 3
    assert [alert.partition(":")[0].rpartition(" since")[0] or alert for alert in alerts if alert] == [
        "the gateway waits for your second factor",
        "the gateway was restarted at 15:00 UTC: the process has ended (exit code 137)",
        "the gateway waits for your second factor",
        "the gateway was restarted at 16:10 UTC: the port stays silent",
        "the gateway waits for your second factor",
    ]
