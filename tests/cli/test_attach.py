"""``ibkr watch --attach`` shows a program that runs elsewhere, through its web API."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator

import pytest
from ib_async import LimitOrder

from ibkr import ConfigError, IBConnector, Policy
from ibkr.cli.watch_sources import status_from_json
from ibkr.cli.web_client import WebApiError, WebClient
from ibkr.simulator import ThreadedGateway
from tests import internals
from tests.fixture_types import AAPL

TOKEN = "a-token-of-good-length"


@pytest.fixture
def gateway(threaded_gateway: ThreadedGateway) -> ThreadedGateway:
    return threaded_gateway


@pytest.fixture
def connector(gateway: ThreadedGateway) -> Iterator[IBConnector]:
    connector = IBConnector("127.0.0.1", gateway.port, 1, policy=Policy(region="none")).start_in_thread()
    yield connector
    connector.stop()


def test_attach_makes_no_connection(connector, gateway, start):
    url = connector.serve(0)
    watching = start("watch", "--attach", url)
    assert "READY (session and upstream up); may trade" in watching.stdout.readline()
    connector.halt("the risk limit")
    for line in watching.stdout:
        if "may not trade" in line:
            break
    assert len(gateway.seen.sessions) == 1


def test_json_is_the_same_as_in_the_web_api(connector, start):
    connector.call(lambda ib: ib.placeOrder(AAPL, LimitOrder("BUY", 10, 1.0)))
    url = connector.serve(0)
    watching = start("watch", "--json", "--attach", url)
    told = json.loads(watching.stdout.readline())
    assert (told["state"], told["accounts"], told["stats"]["attempts"]) == ("READY", ["DU***67"], 1)
    client = WebClient(url)
    assert [each["stage"] for each in client.call("details")["orders"]["rows"]] == ["open"]
    assert status_from_json(told).may_trade


def test_attach_survives_a_restart_of_the_page(connector, start):
    url = connector.serve(0)
    port = int(url.rstrip("/").rpartition(":")[2])
    watching = start("watch", "--attach", url)
    watching.stdout.readline()
    internals.stop_serving(connector)
    connector.halt("while nobody looked")
    assert connector.serve(port) == url
    assert "may not trade" in watching.stdout.readline()


@pytest.mark.parametrize("as_json", [False, True])
def test_attach_prints_gap_reports(connector, gateway, start, as_json):
    url = connector.serve(0)
    watching = start("watch", "--attach", url, *(["--json"] if as_json else []))
    watching.stdout.readline()
    gateway.faults.reset()
    for line in watching.stdout:
        if as_json and "gap" in (told := json.loads(line)):
            assert told["gap"]["seconds"] > 0
            return
        if "gap report: " in line:
            assert line.rstrip().endswith("no change")
            return
    raise AssertionError("no gap report")


@pytest.mark.parametrize("as_json", [False, True])
def test_attach_says_in_a_pipe_that_there_is_no_news(connector, start, as_json):
    url = connector.serve(0)
    port = int(url.rstrip("/").rpartition(":")[2])
    watching = start("watch", "--attach", url, *(["--json"] if as_json else []))
    first = watching.stdout.readline()
    assert "READY" in first
    internals.stop_serving(connector)
    assert f"No news from {url}" in watching.stderr.readline()
    assert connector.serve(port) == url
    assert "READY" in watching.stdout.readline(), "the news is back, and the state is the same"


def test_attach_says_in_a_pipe_that_the_program_is_blocked_and_when_it_is_not(connector, start):
    url = connector.serve(0)
    watching = start("watch", "--attach", url)
    assert "READY" in watching.stdout.readline()
    for _ in range(2):
        release = threading.Event()
        connector.call_soon(release.wait)
        assert "event loop is blocked" in watching.stderr.readline()
        release.set()
        assert "READY" in watching.stdout.readline()
    connector.call_soon((release := threading.Event()).wait)
    assert "event loop is blocked" in watching.stderr.readline()
    internals.stop_serving(connector)
    assert f"No news from {url}" in watching.stderr.readline()
    release.set()


def test_a_token(connector, ibkr, start, tmp_path):
    url = connector.serve(0, token=TOKEN)
    done = ibkr("watch", "--attach", url)
    assert (done.returncode, done.stdout) == (1, "")
    assert "--token-file" in done.stderr
    (tmp_path / "token").write_text(TOKEN)
    for how in ({"args": ("--token-file", tmp_path / "token")}, {"env": {"IBKR_HTTP_TOKEN": TOKEN}}):
        watching = start("watch", "--attach", url, *how.get("args", ()), **how.get("env", {}))
        assert "READY" in watching.stdout.readline()


def test_a_connector_among_several(connector, gateway):
    url = connector.serve(0)
    with IBConnector("127.0.0.1", gateway.port, 2).start_in_thread() as other:
        second = other.serve(int(url.rstrip("/").rpartition(":")[2]))
        assert WebClient(second).call("status")["client_id"] == 2
        assert WebClient(url).call("status")["client_id"] == 1
        assert WebClient(second.removeprefix("http://")).call("status")["client_id"] == 2, "a browser hides the scheme"


def test_halt_and_resume_through_the_page(connector, ibkr):
    url = connector.serve(0, token=TOKEN)
    done = ibkr("halt", "--url", url)
    assert done.returncode == 1
    assert "--token-file" in done.stderr
    done = ibkr("halt", "--url", url, "--reason", "the risk limit", IBKR_HTTP_TOKEN=TOKEN)
    assert (done.returncode, done.stderr) == (0, "")
    assert connector.status.halted == "the risk limit"
    done = ibkr("resume", "--json", "--url", url, IBKR_HTTP_TOKEN=TOKEN)
    assert (done.returncode, json.loads(done.stdout)["ok"]) == (0, True)
    assert not connector.status.halted


@pytest.mark.parametrize("as_json", [False, True])
def test_a_cancel_through_the_page_is_not_confirmed(connector, ibkr, as_json):
    url = connector.serve(0)
    done = ibkr("halt", "--cancel-all", "--url", url, *(["--json"] if as_json else []))
    assert (done.returncode, done.stderr) == (0, "")
    assert connector.status.halted
    if as_json:
        told = json.loads(done.stdout)
        assert (told["ok"], told["cancel_confirmed"]) == (True, False)
    else:
        words = f"It is not confirmed that the orders are cancelled: look at them on the page {url}"
        assert done.stdout.startswith(f"Halted: no new orders. {words}")


def test_nothing_to_attach_to_exits_with_1(ibkr, gateway):
    done = ibkr("watch", "--attach", "http://127.0.0.1:1/")
    assert (done.returncode, done.stdout) == (1, "")
    assert "nothing answers at http://127.0.0.1:1/" in done.stderr
    done = ibkr("watch", "--attach", f"http://127.0.0.1:{gateway.port}/")
    assert done.returncode == 1
    assert "Traceback" not in done.stderr


@pytest.mark.parametrize("url", ["ftp://127.0.0.1/", "http://", "http://[::1", "http://127.0.0.1:x/", "?connector=2"])
def test_an_invalid_url_is_wrong_usage(url):
    with pytest.raises(ConfigError, match="--attach"):
        WebClient(url)


def test_a_status_of_another_version_is_refused():
    with pytest.raises(WebApiError, match="another version"):
        status_from_json({"state": "SPLENDID", "reason": ""})
