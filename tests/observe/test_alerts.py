"""Alerts through apprise to a real HTTP server, with a test clock: which, in order, once."""

import subprocess
import sys

import pytest

from ibkr.core.alert_settings import AlertSettings
from ibkr.core.errors import ConfigError
from ibkr.core.gateway_status import GatewayState, GatewayStatus
from ibkr.core.order_records import SentOrder
from ibkr.core.states import ConnectionState as S
from ibkr.observe.alerts import Alert, AlertKind, Alerts, AlertSink, alert_sinks
from ibkr.observe.sink import Relay

from .http_receiver import receiving

LASTS = "this has lasted for 5 minutes outside of any maintenance window"
ORDER = SentOrder(7, "DU1234567", 265598, "AAPL", "BUY", 100.0, "LMT", "", has_left=True)


@pytest.fixture
def receiver():
    with receiving() as made:
        yield made


@pytest.fixture
def now():
    return [0.0]


@pytest.fixture
def sink(receiver, now):
    return AlertSink(receiver.url, AlertSettings(), clock=lambda: now[0])


def test_a_program_that_logs_everything_logs_no_secret(sink, receiver, caplog):
    caplog.set_level("DEBUG")
    assert sink.send(Alert(AlertKind.TEST, "a test", ""))
    receiver.answers += [500]
    assert not sink.send(Alert(AlertKind.TEST, "a test", ""))
    assert caplog.records
    assert "a-secret-path" not in caplog.text


def test_an_outage_its_end_and_what_else_there_is_to_tell(at, sink, receiver, now, tell):
    gateway = GatewayStatus(GatewayState.LOGIN_FAILED, at(0, S.READY).since, alert="the login failed for DU1234567")
    story = [
        (at(0, S.READY), []),
        (at(1, S.RECONNECTING, "session lost: DU1234567\x1b[2J"), []),
        (at(1, S.RECONNECTING, "session lost: DU1234567\x1b[2J", alert=LASTS), ["RECONNECTING"]),
        (at(9, S.SYNCING), []),
        (at(9, S.DEGRADED, alert=LASTS), []),
        (at(400, S.READY), ["READY again"]),
        (at(400, S.READY, halted="the risk limit"), ["halted: no new orders"]),
        (at(400, S.READY, halted="the risk limit"), []),
        (at(400, S.READY), ["resumed"]),
        (
            at(400, S.READY, journal_trouble="the disk is full", alert="the disk is full"),
            ["the journal cannot be written"],
        ),
        (at(400, S.READY), ["the journal is written again"]),
        (at(400, S.READY, gateway=gateway, alert=gateway.alert), ["look at the gateway"]),
        (at(400, S.READY), []),
        (at(400, S.READY, gateway=GatewayStatus(GatewayState.RUNNING, gateway.since)), ["the gateway works again"]),
        (at(500, S.FAILED, "given up"), ["FAILED"]),
        (at(500, S.DISCONNECTED), []),
        (at(501, S.READY), []),
    ]
    told = []
    for status, titles in story:
        for _ in range(3):  # the relay repeats the last status
            tell(sink, status)
        told += titles
        assert receiver.titles == told
    assert receiver.alerts[0]["title"] == "IBKR 127.0.0.1:7497 as client 3: RECONNECTING"
    assert receiver.alerts[0]["message"].startswith("session lost: DU***67 [2J. this has lasted for 5 minutes")
    assert receiver.alerts[0]["type"] == "failure"
    assert (receiver.alerts[1]["message"][:17], receiver.alerts[1]["type"]) == ("after 7 minutes: ", "success")
    assert "DU***67" in receiver.alerts[6]["message"]
    assert "IB locks a user" in receiver.alerts[6]["message"], "and what to do about it"


def test_an_order_is_reported_once_when_it_stays_unconfirmed(at, sink, receiver, now, tell):
    def look(seconds, *orders, state=S.READY):
        now[0] = seconds
        tell(sink, at(seconds, state, unconfirmed=orders))

    look(0)
    look(1, ORDER, state=S.RECONNECTING)
    look(3)
    assert receiver.alerts == [], "found again immediately"
    look(10, ORDER)
    look(14.9, ORDER)
    assert receiver.alerts == []
    look(15, ORDER)
    look(99, ORDER)
    assert receiver.titles == ["orders unconfirmed, they may be at the broker"]
    assert receiver.alerts[0]["message"] == "7 (BUY 100 AAPL LMT)"
    never = SentOrder(8, "", 0, "MSFT", "SELL", 1.0, "MKT", "")
    look(100, ORDER, never)
    look(106, ORDER, never)
    assert receiver.titles[1:] == ["orders not sent"]
    assert "which was never sent" in receiver.alerts[1]["message"]


def test_an_alert_about_a_fleet(at, sink, receiver, tell):
    sink.handle_alert({"words": "gateway paper is lost"})
    tell(sink, at(0, S.READY))
    assert (receiver.titles, receiver.alerts[0]["message"]) == (["the fleet"], "gateway paper is lost")


def test_what_a_service_does_not_take_comes_later_in_order_and_once(at, sink, receiver, now, tell):
    receiver.answers += [500, 503]
    with pytest.raises(ConnectionError, match=r"^json does not accept .* next attempt in 5 s"):
        tell(sink, at(0, S.FAILED))
    tell(sink, at(0, S.FAILED))
    now[0] = 5
    with pytest.raises(ConnectionError, match="next attempt in 10 s"):
        tell(sink, at(5, S.READY))
    now[0] = 14.9
    tell(sink, at(5, S.READY))
    assert receiver.alerts == []
    now[0] = 15
    tell(sink, at(5, S.READY))
    tell(sink, at(5, S.READY))
    assert receiver.titles == ["FAILED", "READY again"]


def test_a_last_attempt_at_the_end(at, sink, receiver, tell):
    receiver.answers += [500]
    with pytest.raises(ConnectionError):
        tell(sink, at(0, S.FAILED))
    sink.close()
    sink.close()
    assert receiver.titles == ["FAILED"]


def test_an_order_that_is_unconfirmed_when_the_program_ends_is_reported(at, sink, receiver, tell):
    tell(sink, at(0, S.READY))
    tell(sink, at(1, S.DISCONNECTED, unconfirmed=(ORDER,)))
    assert receiver.alerts == []
    sink.close()
    assert receiver.titles == ["orders unconfirmed, they may be at the broker"]


def test_too_many_alerts_are_left_out_and_counted(at, receiver, now, tell):
    sink = AlertSink(receiver.url, AlertSettings(per_hour=3), clock=lambda: now[0])
    for number in range(10):
        tell(sink, at(number, S.READY, halted="again" if number % 2 else ""))
    assert receiver.titles == ["halted: no new orders", "resumed", "halted: no new orders"]
    now[0] = 1300
    tell(sink, at(1300, S.READY, halted="again and again"))
    assert receiver.alerts[-1]["message"] == "again and again (6 alerts before this one were not sent)"


def test_alerts_that_wait_for_too_long_are_left_out_and_counted(at, receiver, now, tell):
    sink = AlertSink(receiver.url, AlertSettings(per_hour=200), clock=lambda: now[0])
    receiver.answers += [500]
    with pytest.raises(ConnectionError):
        tell(sink, at(0, S.READY, halted="0"))
    for number in range(1, 103):
        tell(sink, at(number, S.READY, halted=str(number)))
    now[0] = 10
    tell(sink, at(200, S.READY, halted="102"))
    assert [alert["message"] for alert in receiver.alerts[:2]] == ["3 (3 alerts before this one were not sent)", "4"]


def test_no_secret_of_an_url_is_reported():
    # The host of an ntfy:// URL is its topic. The topic is a secret, because everybody who knows it can read and write.
    urls = ("json://user:a-secret@127.0.0.1:9/a-secret/path?token=a-secret", "ntfy://a-secret", "ntfy://b-secret")
    assert [sink.name for sink in alert_sinks(AlertSettings(urls=urls))] == ["json", "ntfy", "ntfy 2"]
    for wrong in ("nobody://a-secret", "mailto://", "tgram://a-secret"):
        with pytest.raises(ConfigError) as caught:
            alert_sinks(AlertSettings(urls=(wrong,)))
        assert "a-secret" not in str(caught.value)


def test_each_service_has_a_thread_of_its_own_and_a_slow_one_delays_no_other(at, receiver):
    with receiving() as other:
        relays = [Relay(sink) for sink in alert_sinks(AlertSettings(urls=(other.url, receiver.url)))]
        with other._changed:  # the server accepts the request and cannot answer
            for relay in relays:
                relay(at(0, S.FAILED))
            receiver.wait_for(lambda receiver: receiver.titles == ["FAILED"])
        for relay in relays:
            assert relay.close(5)
        assert other.titles == ["FAILED"]


async def test_alerts_beside_a_connector(gateway, receiver, state_of):
    from ibkr import IBConnector, Policy

    policy = Policy(region="none", outage_alert_after=0.2, refused_every=0.05)
    connector = IBConnector("127.0.0.1", gateway.port, 7, policy=policy)
    settings = AlertSettings(urls=(receiver.url,), heartbeat_url=f"http://127.0.0.1:{receiver.port}/beat")
    async with Alerts(connector, settings), connector:
        await gateway.fault("restart", 3600)
        await state_of(connector, lambda status: bool(status.alert))
        await gateway.fault("clear")
        await state_of(connector, lambda status: status.state is S.READY and status.outages == 1)
    assert receiver.titles == ["RECONNECTING", "READY again"]
    assert receiver.beats == ["/beat"]


def test_apprise_is_imported_by_nobody_else():
    modules = "import sys, ibkr, ibkr.cli.app, ibkr.observe.alerts"
    code = f"{modules}; print({{'apprise', 'requests', 'urllib.request'}} & {{*sys.modules}})"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60)
    assert done.stdout == "set()\n", done


def test_kinds_of_alerts(sink, receiver):
    for kind in AlertKind:
        assert sink.send(Alert(kind, str(kind), ""))
    assert [alert["title"] for alert in receiver.alerts] == [str(kind) for kind in AlertKind]
