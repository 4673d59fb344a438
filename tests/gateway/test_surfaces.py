"""The gateway's process on the page, in metrics, alerts and the doctor; no secret in any of them."""

from __future__ import annotations

import asyncio
import json
from contextlib import asynccontextmanager
from functools import partial

import pytest

from ibkr import IBConnector
from ibkr.config import read_settings
from ibkr.core.gateway_status import GatewayState as S
from ibkr.doctor import Context, Level, run_checks
from ibkr.doctor.checks.setup_checks import CONFIGURATION, GATEWAY_PROCESS
from ibkr.gateway.follower import follow_gateway
from ibkr.observe.command_sink import CommandSink
from ibkr.observe.history import History
from ibkr.web.connector_view import ConnectorView
from ibkr.web.http_server import listen, serve
from ibkr.web.view_registry import ViewRegistry
from ibkr.web.web_settings import WebSettings

from ..web.conftest import Visitor
from .conftest import SECRET
from .test_supervisor import FAST, QUICK, in_state, ready


@asynccontextmanager
async def page_of(cfg, history):
    """``ibkr serve`` in this process."""
    connector = IBConnector("127.0.0.1", cfg.ibkr.port, 12, policy=cfg.ibkr.policy)
    web = WebSettings(port=0, stats_every=0.05)
    view = ConnectorView(connector, web, history=History(history), gateway=cfg.ibkr.gateway, is_held=True)
    listening = listen(web)
    view.open()
    stop = asyncio.Event()
    serving = asyncio.create_task(serve(ViewRegistry(web, view), listening, stop))
    connecting = asyncio.create_task(connector.connect_async(wait=True))
    try:
        async with follow_gateway(cfg.ibkr.gateway, connector):
            yield Visitor(listening.getsockname()[1])
    finally:
        stop.set()
        await serving
        connecting.cancel()
        await asyncio.gather(connecting, return_exceptions=True)
        await connector.disconnect_async()
        await view.close()


@pytest.mark.slow
async def test_the_page_shows_it_and_offers_a_restart(machine, supervised, state_is, caplog):
    caplog.set_level("DEBUG")
    cfg = machine.config("ibc", FAST, **QUICK)
    machine.plan(logins=["second factor"])
    async with page_of(cfg, machine.folder / "history.sqlite") as visitor:
        assert (await visitor.ask("/api/gateway/restart", "POST")).status == 409
        async with supervised(cfg) as supervisor, visitor.events() as events:

            async def until(holds):
                async for event in events:
                    if event["event"] == "status" and (told := event["data"])["gateway"] and holds(told):
                        return told

            told = await until(lambda told: is_pending(told["gateway"]) and told["attempt"])
            assert told["reason"] == "the gateway waits for your second factor: approve it in IBKR Mobile"
            assert told["cure"].startswith("Approve the login in IBKR Mobile.")
            assert told["alert"].startswith("the gateway waits for your second factor since ")
            metrics = (await visitor.ask("/metrics")).body.decode()
            assert 'ibkr_gateway_state{state="needs_second_factor"} 1.0' in metrics
            refused = await visitor.ask("/api/gateway/restart", "POST")
            assert (refused.status, refused.body[:43]) == (409, b"the gateway waits for your second factor: a")
            machine.do("approve")
            await state_is(supervisor, ready)
            machine.broker.place_order("AAPL", "BUY", 10, limit_price=1.0)
            refused = await visitor.ask("/api/gateway/restart", "POST")
            assert (refused.status, refused.body[:27]) == (409, b"1 order works at the broker")
            machine.broker.cancel_order("AAPL")
            done = await visitor.ask("/api/gateway/restart", "POST")
            assert (done.status, done.json["message"]) == (202, "the gateway restarts, without a login")
            await until(lambda told: told["gateway"]["restarts"] == 1)
            metrics = (await visitor.ask("/metrics")).body.decode()
            assert "ibkr_gateway_restarts 1.0" in metrics
            everything = metrics + json.dumps((await visitor.ask("/api/status")).json) + caplog.text
            everything += (await visitor.ask("/")).body.decode()
    assert SECRET not in everything
    assert [path for path in machine.folder.rglob("*") if holds_secret(path)] == [machine.ini]


def is_pending(gateway):
    return gateway["state"] == "needs_second_factor" and gateway["supervised"]


def holds_secret(path):
    return path.is_file() and SECRET.encode() in path.read_bytes()


async def test_an_alert_rings_once_for_each_cause(machine, supervised, state_is, tmp_path):
    """Even during the outage's own alert, a pending second factor sends another alert."""
    rung = tmp_path / "rung"
    ring = tmp_path / "bin" / "ring"
    ring.write_text(f'#!/bin/sh\ncat >> "{rung}"; echo >> "{rung}"\n')
    ring.chmod(0o755)
    sink = CommandSink([str(ring)], after=60)
    machine.plan(logins=["second factor"])
    async with supervised(machine.config("ibc", FAST, **QUICK, outage_alert_after=0.2)) as supervisor:
        told = []
        supervisor.connector.on_status(told.append)
        await state_is(supervisor, lambda status: "for 0 s" in status.alert or "lasted" in status.alert)
        await state_is(supervisor, in_state(S.NEEDS_SECOND_FACTOR))
        await state_is(supervisor, lambda status: "lasted" in status.alert and "second factor" in status.alert)
        machine.do("approve")
        await state_is(supervisor, ready)
    for status in told:
        sink.handle(status)
    lines = [json.loads(line) for line in rung.read_text().splitlines()]
    assert [line["event"] for line in lines] == ["alert", "alert", "recovery"]
    # Either cause may come first; the second alert names both.
    assert "second factor" in lines[1]["alert"]
    assert "lasted" in lines[1]["alert"]


async def test_the_status_of_any_program(machine, supervised, state_is, state_of):
    """A connector that monitors the process explains why the port refuses connections."""
    cfg = machine.config("ibc", **QUICK)
    connector = IBConnector("127.0.0.1", cfg.ibkr.port, 13, policy=cfg.ibkr.policy)
    async with follow_gateway(cfg.ibkr.gateway, connector):
        connecting = asyncio.create_task(connector.connect_async(wait=True))
        status = await state_of(connector, lambda status: status.gateway is not None and bool(status.last_error))
        assert (status.reason, status.gateway.advice) == ("the gateway is stopped", "Start it: ibkr gateway start.")
        async with supervised(cfg) as supervisor:
            await state_is(supervisor, ready)
            await connecting
            await state_of(connector, ready)
            await connector.disconnect_async()
    assert connector.status.gateway is None, "nothing watches the process any more"


CHECKS = [CONFIGURATION, GATEWAY_PROCESS]


@pytest.mark.parametrize(
    ("gateway", "level", "words"),
    [
        ({}, Level.WARN, "driver ibc; the gateway is stopped; no supervisor runs"),
        ({"version": "999"}, Level.FAIL, "has no TWS or IB Gateway 999"),
    ],
)
async def test_the_doctor_looks_at_the_driver(machine, gateway, level, words):
    settings = partial(read_settings, port=machine.api_port, gateway=machine.settings("ibc", **gateway))
    [_, found] = [each async for each in run_checks(Context(settings, [900]), CHECKS)]
    assert (found.level, words in found.message) == (level, True)
    assert SECRET not in str(found)


async def test_the_doctor_without_a_driver(machine):
    [_, found] = [each async for each in run_checks(Context(read_settings, [900]), CHECKS)]
    assert (found.level, found.message[:23]) == (Level.OK, "no driver is configured")


@pytest.mark.parametrize("gateway", [{"stop": "'"}, {"start": "'"}, {"state_dir": "~nouser/x"}])
async def test_the_doctor_looks_at_a_setting_that_cannot_be_used(machine, gateway):
    settings = partial(read_settings, port=machine.api_port, gateway=machine.settings("command", **gateway))
    [_, found] = [each async for each in run_checks(Context(settings, [900]), CHECKS)]
    assert (found.level, f"ibkr.gateway.{next(iter(gateway))} = " in found.message) == (Level.FAIL, True)
