"""A complete session of every client library, unchanged, in its own environment, at each version it offers."""

import itertools
import json
import os
import re
import subprocess
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from ibkr.simulator import Execution, Order, SeenRequest, ThreadedGateway

pytestmark = pytest.mark.clients

PROGRAMS = Path(__file__).parent / "sessions"
TIMEOUT = 40.0
OFFERED = {
    "ib_async": (157, 176, 178),
    "ib_insync": (157, 176),
    "ibapi": (157,),
    "nautilus-ibapi": (157, 176, 178, 187, 193, 200, 203, 225),
    "ibapi-latest": (157, 178, 187, 193, 200, 201, 206, 213, 226),
    "ibapi-stable": (157, 178, 200, 213, 226),
    "stoqey": (157, 176, 178, 187, 193),
}
ACCOUNT = "DU1234567"
FARMS = {2104, 2106, 2158}
ASKED = {
    *("reqCurrentTime", "reqPositions", "reqAccountSummary", "reqContractDetails", "reqMktData", "cancelMktData"),
    *("reqHistoricalData", "placeOrder", "reqOpenOrders", "cancelOrder"),
}


@dataclass(frozen=True)
class Session:
    """What the client received, and the gateway's own record of it."""

    version: int
    got: dict[str, Any]
    orders: list[Order]
    executions: list[Execution]
    requests: list[SeenRequest]
    warnings: list[str]


@pytest.fixture
def play(
    environment: Callable[[str], Path],
    python_of: Callable[[str], Path],
    request: pytest.FixtureRequest,
    caplog: pytest.LogCaptureFixture,
) -> Callable[[str, int], Session]:
    def command(client: str) -> tuple[list[str], dict[str, str]]:
        if client == "stoqey":
            modules = {"NODE_PATH": str(environment(client) / "node_modules")}
            return [request.getfixturevalue("node"), str(PROGRAMS / "session_stoqey.cjs")], modules
        python = str(python_of(client))
        if client in ("ib_async", "ib_insync"):
            return [python, str(PROGRAMS / "session_ib.py"), client], {}
        return [python, str(PROGRAMS / "session_ibapi.py")], {}

    def run(client: str, version: int) -> Session:
        words, variables = command(client)
        with ThreadedGateway(server_version=version) as gateway:
            done = subprocess.run(
                [*words, str(gateway.port)],
                env={**os.environ, **variables},
                capture_output=True,
                text=True,
                timeout=TIMEOUT,
                check=False,
            )
            assert (done.returncode, done.stderr) == (0, ""), f"{done.stderr}\n{gateway.seen}"
            gateway.wait_for(lambda gateway: gateway.client_ids == [])
            orders, executions, seen = gateway.call(lambda own: (own.orders, own.executions, own.seen.snapshot()))
        warnings = [record.getMessage() for record in caplog.records if record.name.startswith("ibkr")]
        return Session(version, json.loads(done.stdout), orders, executions, list(seen.requests), warnings)

    return run


@pytest.mark.parametrize(
    ("client", "version"), [(client, version) for client, versions in OFFERED.items() for version in versions]
)
def test_a_complete_session(play: Callable[[str, int], Session], client: str, version: int) -> None:
    session = play(client, version)
    check_account(session)
    check_data(session)
    check_trade(session)
    check_log(session)


def check_account(session: Session) -> None:
    got = session.got
    assert got["server_version"] == session.version
    assert abs(got["time"] - time.time()) < TIMEOUT
    assert got["accounts"] == [ACCOUNT]
    assert got["positions"] == [[ACCOUNT, "AAPL", "STK", 100, 201.88], [ACCOUNT, "ES", "FUT", -1, 279500]]
    tags = ("NetLiquidation", "TotalCashValue", "BuyingPower")
    values = [got["summary"][tag] for tag in tags]
    assert [currency for _, currency in values] == ["USD"] * len(tags)
    assert values[1] == ["1000000.00", "USD"]
    assert all(float(value) > 1_000_000 for value, _ in (values[0], values[2]))


def check_data(session: Session) -> None:
    got = session.got
    assert got["details"] == [265598, "AAPL", "NASDAQ", "NMS", "APPLE INC", 0.01, "US/Eastern"]
    assert got["unknown"] == []
    bid, ask, last = got["ticks"]
    assert bid < ask
    assert bid <= last <= ask
    assert 200 < last < 260
    assert len(got["bars"]) == 5
    for _, first, high, low, close, volume in got["bars"]:
        assert low <= min(first, close) <= max(first, close) <= high
        assert volume > 0
    days = [bar[0] for bar in got["bars"]]
    assert all(earlier < later for earlier, later in itertools.pairwise(days))
    assert all(re.fullmatch(r"20\d\d-?\d\d-?\d\d", day) for day in days)


def check_trade(session: Session) -> None:
    got, (resting, bought), (execution,) = session.got, session.orders, session.executions
    assert got["open_orders"] == [["AAPL", "BUY", 100, 100.0, "Submitted"]]
    assert got["order_ids"] == [resting.order_id, bought.order_id]
    assert got["cancelled"] == [resting.status, 0] == ["Cancelled", 0]
    assert got["filled"] == [bought.status, 10, execution.price] == ["Filled", 10, execution.price]
    assert got["execution"] == [execution.exec_id, ACCOUNT, "BOT", 10, execution.price]
    assert got["commission"] == [execution.exec_id, execution.commission, "USD"]
    assert execution.commission > 0


def check_log(session: Session) -> None:
    errors = session.got["errors"]
    assert {code for req_id, code, _ in errors if req_id == -1} == FARMS
    others = [(code, text) for req_id, code, text in errors if req_id != -1]
    assert others == [
        (200, "No security definition has been found for the request"),
        (202, "Order Canceled - reason:"),
    ]
    expected = "|".join(str(code) for code in sorted({*FARMS, 200, 202}))
    told = [text for level, text in session.got["log"] if level != "INFO" or text.startswith("Warning")]
    assert [text for text in told if not re.search(rf"\b({expected})\b", text)] == []
    assert len(told) <= len(errors)
    assert session.warnings == []
    assert {request.name for request in session.requests} >= ASKED
