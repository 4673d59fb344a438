"""``ibkr simulate``: what it prints, how a signal ends it, and its error messages."""

import json
import signal
import socket
import sys
import time

import pytest

from ibkr.simulator import FAULTS


@pytest.mark.skipif(sys.platform == "win32", reason="Windows has no such signals between processes")
@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_ends_it_with_exit_code_0(simulated, number):
    simulated.process.send_signal(number)
    _, talk = simulated.process.communicate(timeout=10)
    assert simulated.process.returncode == 0
    assert talk == "Press Ctrl-C to stop.\n"


def test_it_prints_its_address(start):
    line = start("simulate", "--port", 0).stdout.readline()
    _, _, port = line.strip().rpartition(":")
    socket.create_connection(("127.0.0.1", int(port)), timeout=10).close()
    assert line == f"Simulated gateway listens on 127.0.0.1:{port}\n"


@pytest.mark.parametrize("option", ["--port", "--control"])
def test_a_port_that_is_taken(ibkr, option):
    with socket.create_server(("127.0.0.1", 0)) as taken:
        number = taken.getsockname()[1]
        ports = {"--port": 0, "--control": 0} | {option: number}
        done = ibkr("simulate", *(word for pair in ports.items() for word in pair))
    assert (done.returncode, done.stdout) == (1, "")
    assert str(number) in done.stderr
    assert "choose another port" in done.stderr
    assert "Traceback" not in done.stderr


@pytest.mark.parametrize(("command", "option"), [("simulate", "--port"), ("proxy", "--listen")])
def test_the_control_port_must_differ(ibkr, command, option):
    done = ibkr(command, option, 20812, "--control", 20812)
    assert (done.returncode, done.stdout) == (2, "")
    words = " ".join(done.stderr.replace("│", " ").split())
    assert f"{option} and --control must differ: both are 20812" in words


def test_the_control_port_may_be_the_same_at_another_address(start):
    with socket.create_server(("127.0.0.2", 0)) as taken:
        port = taken.getsockname()[1]
    running = start("proxy", "--listen", f"127.0.0.2:{port}", "--control", port)
    assert f"127.0.0.2:{port}" in running.stdout.readline()


def test_a_fault_from_another_terminal(ibkr, simulated):
    done = ibkr("simulate", "fault", "mute", "reqPositions", "--control", simulated.control_port)
    assert (done.returncode, done.stdout, done.stderr) == (0, "done: mute\n", "")
    done = ibkr("simulate", "fault", "1100", "repeats=2", "interval=0.1", "--control", simulated.control_port)
    assert done.stdout == "done: lose_upstream\n"
    done = ibkr("simulate", "fault", "clock_off", "-30", "--control", simulated.control_port)
    assert done.returncode == 0
    assert simulated.seen()["faults"] == ["mute", "lose_upstream", "clock_off"]


@pytest.mark.parametrize(
    ("args", "words"),
    [
        (["frezee"], "no fault 'frezee'; perhaps: freeze"),
        (["break_farm", "nofarm"], "no farm 'nofarm'; known: cashfarm, cashhmds,"),
        (["restart", "seconds=2", "seconds=3"], "seconds is given twice"),
        (["restart", "soon"], "write: restart [SECONDS=2.0]"),
        (["restart", "hours=1"], "no argument 'hours'"),
    ],
)
def test_an_unknown_fault_exits_with_2(ibkr, simulated, args, words):
    done = ibkr("simulate", "fault", *args, "--control", simulated.control_port)
    assert (done.returncode, done.stdout) == (2, "")
    assert words in done.stderr


def test_a_fault_without_a_running_gateway_exits_with_1(ibkr):
    with socket.create_server(("127.0.0.1", 0)) as taken:
        number = taken.getsockname()[1]
    done = ibkr("simulate", "fault", "reset", "--control", number)
    assert (done.returncode, done.stdout) == (1, "")
    assert f"ibkr simulate --control {number}" in done.stderr


def test_the_faults_and_the_scenarios_are_listed(ibkr_here):
    listed = json.loads(ibkr_here("simulate", "faults", "--json").stdout)
    assert [row["usage"].split()[0] for row in listed] == sorted(FAULTS)
    assert "restart [SECONDS=2.0]" in ibkr_here("simulate", "faults").stdout
    listed = json.loads(ibkr_here("simulate", "scenarios", "--json").stdout)
    assert [row["name"] for row in listed] == [
        "farm-flaps",
        "flaky-network",
        "gateway-restart",
        "nightly-reset",
        "weekend",
    ]
    assert "weekend  " in ibkr_here("simulate", "scenarios").stdout


@pytest.fixture
def simulating(start):
    """Starts ``ibkr simulate`` with options. Gives the process and its port."""

    def simulate(*options):
        process = start("simulate", "--port", 0, "--json", *options)
        return process, json.loads(process.stdout.readline())["port"]

    return simulate


def lines_until(process, words):
    lines = [process.stderr.readline()]
    while lines[-1] and words not in lines[-1]:
        lines.append(process.stderr.readline())
    return lines


def test_it_logs_connections_and_requests(ibkr, simulating):
    process, port = simulating("--accounts", "DU5,DU6")
    ibkr("status", "--port", port, "--client-id", 77)
    lines = [line.split(None, 1)[1] for line in lines_until(process, "the session has ended") if line[0].isdigit()]
    assert lines[0].startswith("connection from ('127.0.0.1',")
    assert "client 77: session started, version 178\n" in lines
    assert "client 77: reqPositions 1\n" in lines
    assert any(line.startswith("client 77: reqAccountUpdatesMulti ") and "DU5" in line for line in lines)
    assert not [line for line in lines if "<-" in line]


def test_spaces_around_account_ids_are_ignored(simulating):
    _, port = simulating("--accounts", " DU1111111, DU2222222, ")
    with hello(port, 7) as raw:
        received = b""
        while b"DU1111111" not in received:
            received += raw.recv(1000)
    assert b"DU1111111,DU2222222\0" in received


def test_verbose_logs_every_message(ibkr, simulating):
    process, port = simulating("-v")
    ibkr("status", "--port", port, "--client-id", 77)
    lines = lines_until(process, "the session has ended")
    assert any(line.endswith("client 77 <- managedAccounts 1 DU1234567\n") for line in lines)
    assert any("client 77 <- position 3 DU1234567 265598 AAPL" in line for line in lines)


def test_a_scenario_is_played(simulating, tmp_path):
    file = tmp_path / "mine.toml"
    file.write_text('about = "Mine."\n[[step]]\nat = 100\nfault = "freeze"\n')
    process, _ = simulating("--scenario", str(file), "--speed", "1000")
    assert any("scenario mine: Mine." in line for line in lines_until(process, "fault: freeze"))


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (["--scenario", "wekend"], "perhaps: weekend"),
        (["--speed", "0"], "--speed: more than 0 is needed"),
        (["--rate", "0"], "--rate: at least 1 message a second"),
        (["--lines", "0"], "--lines: at least 1 market data line is needed"),
        (["--id-hold", "-1"], "--id-hold: 0 or more is needed"),
        (["--instruments", "nowhere.toml"], "--instruments: nowhere.toml: cannot be read"),
        (["--answers", "nowhere.toml"], "--answers: nowhere.toml: cannot be read"),
        (["--accounts", ","], "--accounts: ',' has no account id"),
        (["--accounts", ""], "--accounts: '' has no account id"),
        (["--on-rate", "drop"], "--on-rate: unknown value 'drop', choose pace"),
        (["--server-version", "227"], "--server-version: 227 is not known, choose 100 to 226"),
        (["--latency", "quick"], "--latency: 'quick'"),
        (["--time-zone-encoding", "klingon"], "--time-zone-encoding: unknown encoding 'klingon'"),
        (["--time-zone", "\u4e2d", "--time-zone-encoding", "ascii"], "--time-zone-encoding: ascii has no code for"),
    ],
)
def test_wrong_options_exit_with_2_and_the_reason(ibkr_here, options, words):
    done = ibkr_here("simulate", "--port", "0", *options)
    assert (done.returncode, done.stdout) == (2, "")
    assert words in " ".join(done.stderr.split())


def test_beyond_loopback_it_warns(simulating):
    process, _ = simulating("--host", "0.0.0.0")
    assert "everybody who can reach it can use it" in process.stderr.readline()


def hello(port, client_id):
    raw = socket.create_connection(("127.0.0.1", port), timeout=10)
    raw.sendall(b"API\0\0\0\0\tv100..178")
    raw.recv(100)
    body = f"71\x002\x00{client_id}\x00\x00".encode()
    raw.sendall(len(body).to_bytes(4, "big") + body)
    return raw


def test_version_answer_times_and_time_zone(simulating):
    _, port = simulating("--server-version", 187, "--latency", "60ms", "--time-zone", "British Summer Time")
    with socket.create_connection(("127.0.0.1", port), timeout=10) as raw:
        raw.sendall(b"API\0\0\0\0\tv100..200")
        version, told, _ = raw.recv(100)[4:].split(b"\0")
        assert (version, told[17:]) == (b"187", b" British Summer Time")
        began = time.monotonic()
        raw.sendall(b"\0\0\0\x0871\x002\x007\0\0")
        assert raw.recv(1000)
        assert time.monotonic() - began >= 0.06


def test_the_id_of_a_cut_client_stays_in_use_by_default(simulated):
    with hello(simulated.port, 7) as first:
        first.recv(100)
        simulated.fault("reset")
    with hello(simulated.port, 7) as again:
        assert b"\x00326\x00" in again.recv(1000)


def test_with_market_hours_a_coin_moves_at_any_time(simulating):
    _, port = simulating("--market-hours")
    with hello(port, 7) as raw:
        fields = ["1", "11", "5", "479624278", *[""] * 3, "0", *[""] * 7, "0", "", "0", "0", ""]
        body = "".join(f"{field}\0" for field in fields).encode()
        raw.sendall(len(body).to_bytes(4, "big") + body)
        received = b""
        while received.count(b"1\x006\x005\x001\x00") < 3:  # this is tickPrice with the bid
            received += raw.recv(65536)
            assert b"\x00200\x00" not in received


def test_only_the_control_option_may_come_before_the_command(ibkr, simulated):
    done = ibkr("simulate", "--control", simulated.control_port, "fault", "reset")
    assert (done.returncode, done.stdout) == (0, "done: reset\n")
    for args in (["simulate", "--port", 1, "fault", "reset"], ["simulate", "--control", 1, "faults"]):
        done = ibkr(*args)
        assert done.returncode == 2
        assert "has no effect before" in " ".join(done.stderr.replace("│", " ").split())
    done = ibkr("proxy", "--control", simulated.control_port, "fault", "reset")
    assert done.returncode == 0


@pytest.mark.parametrize("command", ["simulate", "proxy"])
@pytest.mark.parametrize(
    ("words", "refused"),
    [
        (["reset", "--contrl", 1], "'--contrl' is not an option of ibkr {} fault; perhaps: --control"),
        (["reset", "--contrl=1"], "'--contrl' is not an option of ibkr {} fault; perhaps: --control"),
        (["--contrl", 1, "reset"], "'--contrl' is not an option of ibkr {} fault; perhaps: --control"),
        (["clock_off", "-30", "--seconds"], "'--seconds' is not an option of ibkr {} fault; its options: --control, "),
    ],
)
def test_a_misspelt_option_of_a_fault_is_refused(ibkr, command, words, refused):
    done = ibkr(command, "fault", *words)
    assert (done.returncode, done.stdout) == (2, "")
    assert refused.format(command) in " ".join(done.stderr.replace("│", " ").split())


@pytest.mark.parametrize("words", [["clock_off", "-30"], ["clock_off", "seconds=-30"], ["clock_off", "--", "-30"]])
def test_negative_numbers_and_named_arguments_are_no_options(ibkr, simulated, words):
    done = ibkr("simulate", "fault", "--control", simulated.control_port, *words)
    assert (done.returncode, done.stdout, done.stderr) == (0, "done: clock_off\n", "")
    assert simulated.seen()["faults"] == ["clock_off"]
