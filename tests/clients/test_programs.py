"""Programs by other authors that trade through ib_async, unchanged, each in an environment of its own."""

import asyncio
import json
import os
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from ibkr.simulator import Gateway, Order, ThreadedGateway

pytestmark = pytest.mark.clients

TIMEOUT = 55.0


@pytest.fixture
def gateway() -> Iterator[ThreadedGateway]:
    with ThreadedGateway(id_hold=0) as running:
        yield running


@pytest.fixture
def command_of(environment: Callable[[str], Path], tmp_path: Path) -> Callable[..., subprocess.CompletedProcess[str]]:
    """Runs a command of a client's environment, with its own home directory and configuration."""

    def run(client: str, command: str, *words: str) -> subprocess.CompletedProcess[str]:
        folder = environment(client) / ("Scripts" if os.name == "nt" else "bin")
        return subprocess.run(
            [str(folder / command), *words],
            env={**os.environ, "HOME": str(tmp_path), "XDG_CONFIG_HOME": str(tmp_path), "COLUMNS": "200"},
            cwd=tmp_path,
            capture_output=True,
            text=True,
            timeout=TIMEOUT,
            check=False,
        )

    return run


@pytest.fixture
def ibkr_cli(
    command_of: Callable[..., subprocess.CompletedProcess[str]], gateway: ThreadedGateway, tmp_path: Path
) -> Callable[..., Any]:
    """Runs a command of ibkr-cli. Returns what it prints, as JSON."""
    profile = f'[profiles.paper]\nhost = "127.0.0.1"\nport = {gateway.port}\nclient_id = 1\nmode = "paper"\n'
    (tmp_path / "ibkr-cli").mkdir()
    (tmp_path / "ibkr-cli" / "config.toml").write_text(f'default_profile = "paper"\n{profile}', encoding="utf-8")

    def run(*words: str) -> Any:
        done = command_of("ibkr-cli", "ibkr", *words, "--json")
        assert (done.returncode, done.stderr) == (0, ""), done.stdout + done.stderr
        return json.loads(done.stdout)

    return run


def test_ibkr_cli_changes_an_order_and_cancels_it(ibkr_cli: Callable[..., Any], gateway: ThreadedGateway) -> None:
    placed = ibkr_cli("buy", "AAPL", "10", "--type", "LMT", "--limit", "100", "--submit")
    assert placed["status"] == "Submitted"
    order_id = str(placed["order_id"])
    ibkr_cli("orders", "modify", order_id, "--limit", "101.5")
    [row] = ibkr_cli("orders", "open")["rows"]
    assert (row["limit_price"], row["quantity"]) == (101.5, 10)
    # The command changes only the quantity, and takes every other value from the gateway's data of the order.
    ibkr_cli("orders", "modify", order_id, "--quantity", "6")
    [row] = ibkr_cli("orders", "open")["rows"]
    assert (row["limit_price"], row["quantity"]) == (101.5, 6)
    [order] = gateway.orders
    assert (order.limit_price, order.quantity) == (101.5, 6)
    ibkr_cli("orders", "cancel", order_id)
    assert [order.status for order in gateway.orders] == ["Cancelled"]


def test_ibkr_cli_reads_the_account(ibkr_cli: Callable[..., Any]) -> None:
    assert {row["symbol"] for row in ibkr_cli("positions")["rows"]} == {"AAPL", "ES"}
    bars = ibkr_cli("bars", "AAPL")
    assert bars["rows"]


THETAGANG = """
[meta]
schema_version = 2
[run]
strategies = ["wheel"]
[runtime.account]
number = "DU1234567"
margin_usage = 0.5
market_data_type = 1
[runtime.exchange_hours]
action_when_closed = "continue"
[runtime.watchdog]
port = {port}
[runtime.ib_async]
api_response_wait_time = 5
[runtime.database]
enabled = false
[runtime.option_chains]
expirations = 2
strikes = 5
[portfolio.symbols.AAPL]
weight = 1.0
[strategies.wheel.defaults.target]
dte = 30
minimum_open_interest = 0
[strategies.wheel.defaults.roll_when]
dte = 15
"""


@pytest.mark.timeout(120)
def test_thetagang_writes_options_by_open_interest(
    command_of: Callable[..., subprocess.CompletedProcess[str]], gateway: ThreadedGateway, tmp_path: Path
) -> None:
    (tmp_path / "thetagang.toml").write_text(THETAGANG.format(port=gateway.port), encoding="utf-8")
    gateway.on_received("placeOrder", fill_options_soon)  # thetagang does not wait long
    done = command_of("thetagang", "thetagang", "-c", "thetagang.toml", "--without-ibc")
    assert done.returncode == 0, done.stdout + done.stderr
    # thetagang requests generic tick 101 (open interest) for options. Real gateways send this tick.
    asked = [request.fields for request in gateway.seen.received("reqMktData") if "OPT" in request.fields]
    assert asked
    assert all("101" in fields for fields in asked)
    assert [(order.action, order.status) for order in options_of(gateway)] == [("SELL", "Filled")]


def fill_options_soon(gateway: Gateway) -> None:
    """Fill it in the next turn of the gateway's loop, when the gateway has the order."""
    asyncio.get_running_loop().call_soon(lambda: [gateway.fill(order.order_id) for order in options_of(gateway)])


def options_of(gateway: Gateway | ThreadedGateway) -> list[Order]:
    """The orders for options that have arrived."""
    return [order for order in gateway.orders if order.instrument.sec_type == "OPT"]


@pytest.fixture
def mcp(run_program: Callable[..., Any], gateway: ThreadedGateway) -> Callable[[str], Any]:
    """Runs one step with ib-gateway-mcp's order tools."""
    return lambda step: run_program("ib-gateway-mcp", "session_mcp.py", gateway, step)


def test_ib_gateway_mcp_changes_an_order_and_cancels_it(mcp: Callable[[str], Any], gateway: ThreadedGateway) -> None:
    got = mcp("changes")
    expected = [(100, 10), (101.5, 10), (101.5, 6), (101.5, 6)]
    assert got["told"] == [["Submitted", price, quantity] for price, quantity in expected]
    assert got["cancelled"] == "Cancelled"
    assert [order.status for order in gateway.orders] == ["Cancelled"]


def test_ib_gateway_mcp_places_a_bracket(mcp: Callable[[str], Any]) -> None:
    assert mcp("bracket") == {"status": "Submitted", "opened": ["LMT", "LMT", "STP"]}


def test_ib_gateway_mcp_places_a_combo(mcp: Callable[[str], Any]) -> None:
    assert mcp("combo") == {"placed": "Submitted", "cancelled": "Cancelled"}
