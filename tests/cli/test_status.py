"""``ibkr status`` with a simulated gateway in another process."""

import asyncio
import json
import socket

import pytest
from typer.testing import CliRunner

from ibkr.cli.app import app
from ibkr.cli.status_command import wait_for_ready
from ibkr.connector import IBConnector
from ibkr.core.states import ConnectionState
from ibkr.simulator import Gateway


@pytest.fixture
def closed_port():
    """A port that nothing listens on. No other program can get this port during the test."""
    with socket.socket() as held:
        held.bind(("127.0.0.1", 0))
        yield held.getsockname()[1]


def test_text_output(ibkr, simulated):
    done = ibkr("status", "--port", simulated.port)
    assert (done.returncode, done.stderr) == (0, "")
    assert "─ READY ─" in done.stdout
    assert "orders may be sent" in done.stdout
    assert "DU***67" in done.stdout
    assert "DU1234567" not in done.stdout
    assert "usfarm, usfuture" in done.stdout


def test_json_output(ibkr, simulated):
    done = ibkr("status", "--json", "--port", simulated.port)
    status = json.loads(done.stdout)
    assert (done.returncode, done.stderr) == (0, "")
    assert (status["state"], status["may_trade"], status["error"]) == ("READY", True, None)
    assert status["endpoint"] == f"127.0.0.1:{simulated.port}"
    assert status["accounts"] == ["DU***67"]
    assert 900 <= status["client_id"] <= 998


def test_options_win_over_the_environment_and_the_file(ibkr, simulated, surroundings):
    file = surroundings["cwd"] / "own.toml"
    file.write_text("[ibkr]\nport = 1\nclient_id = 5\nshow_accounts = true\n")
    args = ("status", "--json", "--config", file, "--port", simulated.port, "--client-id", 77)
    status = json.loads(ibkr(*args, IBKR_PORT="2", IBKR_CLIENT_ID="6").stdout)
    assert (status["state"], status["client_id"], status["accounts"]) == ("READY", 77, ["DU1234567"])


def test_the_port_comes_from_the_environment(ibkr, simulated):
    assert json.loads(ibkr("status", "--json", IBKR_PORT=str(simulated.port)).stdout)["state"] == "READY"


def test_it_leaves_no_session_behind(ibkr, simulated):
    ibkr("status", "--port", simulated.port)
    seen = simulated.seen()
    assert (seen["sessions"], seen["connected_client_ids"]) == (1, [])


def test_read_only_is_ready_without_orders(ibkr, simulated):
    simulated.fault("read_only")
    done = ibkr("status", "--port", simulated.port)
    assert done.returncode == 0
    assert "no orders: the gateway's Read-Only API setting is on" in done.stdout


def test_degraded_exits_with_1(ibkr, simulated):
    simulated.fault("2110")
    done = ibkr("status", "--port", simulated.port)
    assert (done.returncode, done.stderr) == (1, "")
    assert "─ DEGRADED ─" in done.stdout
    assert "lost its link to IB's servers" in done.stdout


def test_a_closed_port(ibkr, closed_port):
    done = ibkr("status", "--port", closed_port)
    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr.startswith(f"No session with 127.0.0.1:{closed_port}: connection refused")
    assert "Enable ActiveX and Socket Clients" in done.stderr
    assert "Traceback" not in done.stderr


def test_the_cause_as_json(ibkr, simulated):
    simulated.fault("http")
    done = ibkr("status", "--json", "--port", simulated.port)
    status = json.loads(done.stdout)
    assert done.returncode == 1
    assert status["state"] == "FAILED"
    assert status["error"]["kind"] == "not_a_gateway"
    assert status["error"]["attempts"] == 1
    assert status["error"]["endpoint"] == f"127.0.0.1:{simulated.port}"
    assert "Another program listens" in status["error"]["advice"]
    assert "Another program listens" in done.stderr


def test_wait_outlasts_a_restart(ibkr, simulated):
    simulated.fault("restart 1")
    done = ibkr("status", "--json", "--wait", 20, "--port", simulated.port)
    assert (done.returncode, json.loads(done.stdout)["state"]) == (0, "READY")


async def test_wait_outlasts_an_upstream_that_is_down(state_of):
    async with Gateway(id_hold=0) as gateway:
        await gateway.fault("2110")
        connector = IBConnector(gateway.host, gateway.port, 900)
        looking = asyncio.create_task(wait_for_ready(connector, 20))
        status = await state_of(connector, lambda status: status.is_connected)
        assert status.state is ConnectionState.DEGRADED
        done, _ = await asyncio.wait({looking}, timeout=0.2)
        assert not done, "a session that is not READY does not end the waiting"
        await gateway.fault("1102")
        found, error = await looking
    assert (found.state, error) == (ConnectionState.READY, None)


def test_wait_ends_with_the_cause(ibkr, closed_port):
    done = ibkr("status", "--json", "--wait", 0.5, "--port", closed_port)
    status = json.loads(done.stdout)
    assert (done.returncode, status["state"]) == (1, "CONNECTING")
    assert status["error"]["kind"] == "unreachable"
    assert "No session with" in done.stderr


def test_wait_ends_with_the_last_status(ibkr, simulated):
    simulated.fault("2110")
    done = ibkr("status", "--wait", 0.5, "--port", simulated.port)
    assert (done.returncode, done.stderr) == (1, "")
    assert "─ DEGRADED ─" in done.stdout


@pytest.mark.parametrize(
    ("args", "variables", "words"),
    [
        (["--port", "70000"], {}, ["ibkr.port = 70000", "1 to 65535"]),
        (["--config", "nowhere.toml"], {}, ["nowhere.toml", "no such file"]),
        ([], {"IBKR_PORT": "x"}, ["ibkr.port = 'x'", "IBKR_PORT in the environment"]),
        (["--client-id", "-1"], {}, ["ibkr.client_id = -1"]),
    ],
)
def test_wrong_settings_exit_with_2_and_the_cure(ibkr_here, args, variables, words):
    done = ibkr_here("status", *args, **variables)
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr.startswith("ibkr: ")
    assert "Traceback" not in done.stderr
    for word in words:
        assert word in done.stderr


def test_a_wrong_account_is_reported_at_once(ibkr, simulated, stopwatch):
    elapsed = stopwatch()
    done = ibkr("status", "--port", simulated.port, IBKR_ACCOUNT="DU9999999")
    assert elapsed() < 10, "the gateway would never answer for it"
    assert done.returncode == 1
    assert "does not have the configured account" in done.stdout


def test_an_unknown_host_gets_no_advice_to_start_tws(ibkr):
    for command in ("status", "doctor"):
        done = ibkr(command, "--host", "no-such-host.invalid")
        said = " ".join((done.stdout + done.stderr).split())
        assert done.returncode == 1
        assert "typing error in ibkr.host" in said
        assert "Start TWS" not in said


WRONG = [
    (["status", "--port", "abc"], "--port", "'abc': must be a whole number"),
    (["status", "--port", "7497.5"], "--port", "'7497.5': must be a whole number"),
    (["status", "--client-id", "one"], "--client-id", "'one': must be a whole number"),
    (["status", "--timeout", "soon"], "--timeout", "'soon': must be a number"),
    (["status", "--wait", "-1"], "--wait", "must be 0 or greater"),
    (["simulate", "--port", "99999"], "--port", "must be 65535 or less"),
    (["simulate", "--lines", "1e3"], "--lines", "'1e3': must be a whole number"),
    (["simulate", "fault", "reset", "--control", "0"], "--control", "must be 1 or greater"),
    (["proxy", "--file-limit", "x"], "--file-limit", "'x': must be a whole number"),
    (["serve", "--outage-after", "x"], "--outage-after", "'x': must be a number"),
]


@pytest.mark.parametrize(("args", "option", "words"), WRONG)
def test_a_wrong_option_value_is_reported_with_its_cure(args, option, words):
    done = CliRunner().invoke(app, args)
    said = " ".join(done.stderr.replace("│", " ").split())
    assert done.exit_code == 2
    assert f"'{option}'" in said
    assert words in said
    assert "Input should" not in said
