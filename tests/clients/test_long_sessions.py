"""Long sessions of recent official clients, with every kind of request, in text and in protobuf.

From version 201 on, more and more requests and answers are protobuf; from 213 on, all of them. The simulated gateway
must know 109 for reqCurrentTimeInMillis, 10276 without a WSH subscription, and the new price of a changed order.
"""

import time
from collections.abc import Callable
from typing import Any

import pytest

from ibkr.simulator import ThreadedGateway

pytestmark = pytest.mark.clients

FARMS = [2104, 2104, 2106, 2158]
NEWEST = {"ibapi-latest": 226, "ibapi-stable": 226, "nautilus-ibapi": 225}
VERSIONS = (178, 187, 200, 201, 203, 206, 209, 211, 213)


@pytest.fixture
def play(run_program: Callable[..., Any]) -> Callable[[str, int], dict[str, Any]]:
    """Runs the session of a client with a gateway that offers this version."""

    def run(client: str, version: int) -> dict[str, Any]:
        with ThreadedGateway(server_version=version, speed=50) as gateway:
            found: dict[str, Any] = run_program(client, "long_session_ibapi.py", gateway)
            gateway.wait_for(lambda gateway: gateway.client_ids == [])
        return found

    return run


@pytest.mark.parametrize("version", [200, 226])
@pytest.mark.parametrize("client", ["ibapi-latest", "ibapi-stable"])
def test_the_synchronous_wrapper_with_the_answer_times_of_real_gateways(
    client: str, version: int, run_program: Callable[..., Any]
) -> None:
    with ThreadedGateway(server_version=version, latency="20-300ms") as gateway:
        got = run_program(client, "session_sync.py", gateway)
    assert len(got["times"]) == 10
    assert set(got["details"]) == {265598}
    assert got["held"] == ["AAPL", "ES"]
    assert got["bars"] == 5


@pytest.mark.parametrize(
    ("client", "version"), [(client, version) for client, newest in NEWEST.items() for version in (*VERSIONS, newest)]
)
def test_a_long_session(play: Callable[[str, int], dict[str, Any]], client: str, version: int) -> None:
    check(play(client, version), version)


def test_each_client_gets_its_own_newest_version(play: Callable[[str, int], dict[str, Any]]) -> None:
    for client, newest in NEWEST.items():
        check(play(client, 226), newest)


def check(got: dict[str, Any], version: int) -> None:
    assert got["server_version"] == version
    check_session(got)
    check_contracts(got)
    check_data(got)
    check_orders(got)
    check_errors(got)


def check_session(got: dict[str, Any]) -> None:
    seconds, *milliseconds = got["times"]
    assert abs(seconds - time.time()) < 60
    assert len(milliseconds) == (got["server_version"] >= 197)
    assert all(0 <= found / 1000 - seconds < 5 for found in milliseconds)
    assert got["held"] == got["positions"] == [["AAPL", 100], ["ES", -1]]
    daily, unrealized, _, position, *_, value = got["pnl"]
    assert position == 100
    assert value > 20_000
    assert unrealized > daily


def check_contracts(got: dict[str, Any]) -> None:
    assert got["details"] == [265598, "AAPL", "NASDAQ", "NMS", "APPLE INC", 0.01, "US/Eastern"]
    assert got["future"] == ["ES", "50", 0.25, "FUT"]
    assert got["option"] == ["OPT", "C", True]
    assert "AAPL" in got["symbols"]
    assert got["rule"][0] == 0.01
    assert got["others"] == [True, 315]
    assert got["tiers"] == 316


def check_data(got: dict[str, Any]) -> None:
    for rising in (got["quotes"], got["ticks"], got["update"]):
        assert sorted(rising) == rising
    low, first, close, high = got["bar"]
    assert low <= min(first, close) <= max(first, close) <= high
    assert got["traded"] > 0
    assert 200 < got["depth"] < 260
    assert len(got["bars"]) == 5
    assert all(low <= first <= high and volume > 0 for low, first, high, volume in got["bars"])
    assert [got["sessions"], got["past_ticks"]] == [3, 5]
    assert got["histogram"] > 3
    assert got["head"].startswith("1980")
    assert len(got["scan"]) == len(set(got["scan"])) >= 3
    assert got["providers"] >= 1
    assert got["article"]


def check_orders(got: dict[str, Any]) -> None:
    assert got["changes"] == [[100.0, 100.0], [101.5, 100.0], [101.5, 60.0]]
    assert got["bracket"] == ["PreSubmitted", "PreSubmitted"]
    assert got["what_if"]
    assert got["fill"] == ["BOT", 10.0, True, True]
    cancelled = [[kind, "Cancelled"] for kind in ("LMT", "LMT", "LMT")]
    assert got["completed"] == [*cancelled, ["MKT", "Filled"], ["STP", "Cancelled"]]


def check_errors(got: dict[str, Any]) -> None:
    assert got["refusal"] == [10276, "News feed is not allowed"]
    codes = [(req_id, code) for req_id, code, _ in got["errors"]]
    first = next(req_id for req_id, code in codes if code == 202)
    ended = [(332, 162), (344, 10276), *((order_id, 202) for order_id in range(first, first + 4))]
    assert codes == [*((-1, code) for code in FARMS), *ended]
    told = [text for level, text in got["log"] if level != "INFO"]
    known = {str(code) for code in (*FARMS, 162, 202, 10276)}
    assert [text for text in told if not known & set(text.replace(",", " ").split())] == []
    assert len(told) <= len(codes)
