"""The answers of the web API, over a real socket."""

import json
from datetime import datetime

import pytest
from ib_async import LimitOrder, Stock

from ibkr import ConnectionState, IBConnector, NotReady
from ibkr.core.fleet_settings import Fleet
from ibkr.journal.halt_file import HaltFile
from ibkr.web.connector_view import ConnectorView
from tests import internals


async def test_before_the_gateway_it_serves_and_becomes_ready_when_the_gateway_comes(gateway, served, state_of):
    await gateway.fault("restart", 3600)  # from here on, the gateway's port refuses connections
    one = await served(ready=False)
    ask = one.visitor.ask
    assert (await ask("/healthz")).body == b"ok\n"
    answer = await ask("/readyz")
    assert (answer.status, answer.body[:11]) == (503, b"CONNECTING:")
    await state_of(one.connector, lambda status: bool(status.last_error))
    assert "Start TWS or IB Gateway" in (await ask("/api/status")).json["cure"]
    await gateway.fault("clear")
    await one.connector.wait_ready_async(10)
    answer = await ask("/readyz")
    assert (answer.status, answer.body) == (200, b"READY: session and upstream up\n")
    status = (await ask("/api/status")).json
    assert (status["state"], status["may_trade"], status["accounts"]) == ("READY", True, ["DU***67"])
    assert (status["stats"]["messages_in"] > 10, status["cure"]) == (True, "")
    assert (await ask("/")).headers["content-type"] == "text/html; charset=utf-8"


async def test_an_outage_is_in_the_stream_the_list_and_the_band(gateway, served):
    one = await served()
    async with one.visitor.events() as events:
        first = await anext(events)
        assert (first["event"], first["data"]["state"]) == ("status", "READY")
        await gateway.fault("reset")
        kinds = {first["event"]}
        async for event in events:
            kinds.add(event["event"])
            if event["event"] == "outage" and event["data"]["outcome"] == "recovered":
                outage = event["data"]
            if event["event"] == "status" and event["data"]["state"] == "READY" and event["data"]["outages"] == 1:
                ready_id = event["id"]
            if kinds >= {"status", "outage", "stats"} and "outage" in locals() and "ready_id" in locals():
                break
    assert outage["cause"] == "session_lost"
    run, _, number = ready_id.partition("-")
    async with one.visitor.events(Last_Event_ID=f"{run}-{int(number) - 1}") as events:
        assert (await anext(events))["id"] == ready_id, "what was missed comes again, and no more"
    async with one.visitor.events(Last_Event_ID="of-another-run") as events:
        assert (await anext(events))["data"]["state"] == "READY", "everything there is to know"
    await settled(one, lambda outages: outages and outages[0]["outcome"])
    [kept] = (await one.visitor.ask("/api/outages")).json["outages"]
    assert {key: kept[key] for key in outage} == outage
    band = (await one.visitor.ask("/api/timeline")).json
    states = [segment["state"] for segment in band["segments"]]
    assert states[:2] == ["NOT_WATCHED", "CONNECTING"]
    assert {"READY", "RECONNECTING"} < set(states)
    assert 0 < band["ready_seconds"] <= band["watched_seconds"] < 60
    assert (datetime.fromisoformat(band["to"]) - datetime.fromisoformat(band["from"])).total_seconds() == 24 * 3600


async def settled(one, holds):
    """Wait for the history, which a thread writes."""
    async with one.visitor.events() as events:
        async for _ in events:
            if holds((await one.visitor.ask("/api/outages")).json["outages"]):
                return


async def test_a_gap_report_is_sent_and_kept_with_its_outage(gateway, served):
    one = await served()
    one.connector.ib.placeOrder(Stock("AAPL", "SMART", "USD", conId=265598), LimitOrder("BUY", 10, 1.0))
    await gateway.wait_for(lambda gateway: gateway.seen.received("placeOrder"))
    async with one.visitor.events() as events:
        await anext(events)
        gateway.on_received("startApi", lambda gateway: gateway.fill("AAPL"))
        await gateway.fault("reset")
        async for event in events:
            if event["event"] == "gap":
                gap = event["data"]
                break
    assert [(fill["side"], fill["shares"], fill["account"]) for fill in gap["executions"]] == [("BOT", 10, "DU***67")]
    await settled(one, lambda outages: outages and outages[0]["gap"])
    [kept] = (await one.visitor.ask("/api/outages")).json["outages"]
    assert kept["gap"] == gap


async def test_round_trips_are_sampled_once_each(served):
    one = await served()
    async with one.visitor.events() as events:
        await one.connector.ib.reqCurrentTimeAsync()
        async for event in events:
            if event["event"] == "stats" and event["data"]["new_round_trips"]:
                [(_, seconds)] = event["data"]["new_round_trips"]
                break
    [(_, kept)] = (await one.visitor.ask("/api/round-trips")).json["round_trips"]
    assert kept == seconds > 0


async def test_reconnect_is_a_post_and_begins_again_after_disconnect(served, state_of):
    one = await served()
    ask = one.visitor.ask
    assert (await ask("/api/reconnect")).status == 405
    assert (await ask("/api/reconnect", "POST")).status == 202
    assert one.connector.status.state is not ConnectionState.READY
    await one.connector.wait_ready_async(10)
    await one.connector.disconnect_async()
    assert (await ask("/readyz")).status == 503
    assert (await ask("/api/reconnect", "POST")).status == 202
    await state_of(one.connector, lambda status: status.state is ConnectionState.READY)


async def test_the_program_behind_a_page_is_halted(gateway, served):
    """The page belongs to the program that trades."""
    one = await served(held=False)
    ask = one.visitor.ask
    assert (await ask("/api/halt")).status == 405
    answer = await ask("/api/halt", "POST", json.dumps({"reason": "the risk limit", "cancel_all": True}).encode())
    assert (answer.status, answer.json) == (202, {"ok": True, "message": "Halted: no new orders."})
    await gateway.wait_for(lambda gateway: gateway.seen.received("reqGlobalCancel"))
    status = (await ask("/api/status")).json
    assert (status["halted"], status["may_trade"]) == ("the risk limit", False)
    assert (await ask("/api/resume", "POST")).status == 202
    assert (await ask("/api/status")).json["may_trade"]
    assert (await ask("/api/halt", "POST")).status == 202, "a reason need not be given"


@pytest.mark.parametrize("body", [b"no", b"[]", b'{"reason": 1}', b'{"cancel_all": "yes"}', b"[" * 4000])
async def test_a_halt_that_cannot_be_understood(served, body):
    one = await served(held=False)
    assert (await one.visitor.ask("/api/halt", "POST", body)).status == 400
    assert one.connector.status.may_trade


async def test_a_service_halts_the_program_whose_journal_it_knows(served, tmp_path):
    file = HaltFile(tmp_path / "journal.sqlite")
    one = await served(halt_file=file)
    assert (await one.visitor.ask("/api/halt", "POST", b'{"reason": "risk"}')).status == 202
    assert file.read().reason == "risk"
    assert (await one.visitor.ask("/api/halt", "POST", b'{"reason": "risk", "cancel_all": true}')).status == 202
    assert (await one.visitor.ask("/api/halt", "POST", b'{"reason": "look"}')).status == 202
    assert (file.read().reason, file.read().is_cancel_due) == ("look", True), "a later halt keeps the cancel"
    assert (await one.visitor.ask("/api/resume", "POST")).status == 202
    assert file.read() is None
    file.path.mkdir()
    for path in ("/api/halt", "/api/resume"):
        assert (await one.visitor.ask(path, "POST")).status == 500


async def test_a_service_that_knows_none_says_so(served):
    one = await served()
    for path in ("/api/halt", "/api/resume"):
        answer = await one.visitor.ask(path, "POST")
        assert (answer.status, b"ibkr.journal" in answer.body) == (409, True)
    assert one.connector.status.may_trade


async def test_a_service_does_not_stay_failed(gateway, served, state_of):
    one = await served(again_after=0.5)
    internals.break_gap_reports(one.connector)
    await gateway.fault("1101")
    await state_of(one.connector, lambda status: status.state is ConnectionState.FAILED)
    internals.mend_gap_reports(one.connector)
    assert (await one.visitor.ask("/readyz")).body.startswith(b"FAILED:")
    await state_of(one.connector, lambda status: status.state is ConnectionState.READY)


async def test_a_site_for_a_connector_that_lives_already_knows_its_state(gateway):
    async with IBConnector("127.0.0.1", gateway.port, 8) as connector:
        view = ConnectorView(connector)
        view.open()
        await connector.disconnect_async()
        with pytest.raises(NotReady):
            await view.reconnect()  # the page may not do this: the connection belongs to the program
        await connector.connect_async()
        await view.close()
        assert b'ibkr_state{state="READY"} 1.0' in view.metrics.render()[1]


async def test_wrong_questions_have_answers(served):
    one = await served(readers=1)
    ask = one.visitor.ask
    assert (await ask("/api/outages?limit=-1")).status == 400
    assert (await ask("/api/outages?limit=5")).json == {"outages": []}
    assert (await ask("/nothing")).status == 404
    assert (await ask("/api/events", "HEAD")).status == 200
    async with one.visitor.events() as events:
        await anext(events)
        answer = await ask("/api/events")
        assert (answer.status, answer.headers["retry-after"]) == (503, "5")
    one.view.history._db.close()  # this has the effect of a disk error
    assert (await ask("/api/outages")).status == 503


async def test_an_alert_of_the_fleet_goes_to_the_sinks_that_take_such_alerts():
    class Phone:
        def __init__(self):
            self.alerts = []

        def handle(self, status): ...

        def handle_alert(self, alert):
            self.alerts.append(alert)

        def close(self): ...

    phone = Phone()
    view = ConnectorView(IBConnector("127.0.0.1", 1, 8), sinks=[phone], fleet=Fleet("nats://127.0.0.1:1", name="x"))
    view.board._on_alert({"words": "gateway paper is lost"})
    await view.close()
    assert phone.alerts == [{"words": "gateway paper is lost"}]
