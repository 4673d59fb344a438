"""``ibkr proxy``, ``ibkr recording`` and ``ibkr replay`` as processes."""

from __future__ import annotations

import asyncio
import json
import signal
import socket
import subprocess
import sys

import pytest
from ib_async import IB
from typer.testing import CliRunner

from ibkr.cli.app import app
from ibkr.proxy import Recording
from ibkr.proxy.proxy_faults import PROXY_FAULTS
from ibkr.proxy.recording_writer import SUFFIX
from tests.cli.conftest import ibkr, start, surroundings  # noqa: F401 - fixtures


@pytest.fixture
def recorded(start, ib_gateway, tmp_path):  # noqa: F811
    """A proxy as a process, and the folder of its recordings."""
    process = start(
        *("proxy", "--listen", "127.0.0.1:0", "--gateway", f"127.0.0.1:{ib_gateway.port}", "--control", 0),
        *("--record", tmp_path / "recordings", "--json"),
    )
    where = json.loads(process.stdout.readline())
    return process, where, tmp_path / "recordings"


def a_session(port):
    async def session():
        ib = IB()
        await ib.connectAsync("127.0.0.1", port, clientId=7)
        positions = [(held.contract.symbol, held.position) for held in ib.positions()]
        over = asyncio.get_running_loop().create_future()
        ib.client.conn.disconnected.connect(lambda _: over.set_result(None))
        ib.disconnect()
        await over
        return positions

    return asyncio.run(session())


def ended(process):
    process.send_signal(signal.SIGINT if sys.platform == "win32" else signal.SIGTERM)
    _, talk = process.communicate(timeout=10)
    assert process.returncode == 0
    return talk


def test_watch_record_show_and_replay(recorded, ibkr, start):  # noqa: F811
    process, where, directory = recorded
    positions = a_session(where["port"])
    done = ibkr("proxy", "fault", "mute", "reqPositions", "--control", where["control_port"])
    assert (done.returncode, done.stdout) == (0, "done: mute\n")
    talk = ended(process)
    assert "1 -> startApi client_id=7" in talk
    assert "1 <- error req_id=-1 code=2104" in talk
    assert "DU1234567" not in talk
    assert "Traceback" not in talk
    [file] = directory.glob(f"*{SUFFIX}")
    look_at(file)
    compared = ibkr("recording", "compare", file)
    assert (compared.returncode, compared.stderr) == (0, "")
    assert compared.stdout.endswith("requests: 0 differences, and 0 in market data or in what the account holds\n")
    process = start("replay", file, "--port", 0, "--speed", "inf", "--json")
    assert a_session(json.loads(process.stdout.readline())["port"]) == positions
    assert "-> reqPositions" in ended(process)


def look_at(file):
    """What the commands show of the recording, in this process."""

    def run(*words):
        done = CliRunner().invoke(app, ["recording", *words])
        assert done.exit_code == 0
        return done.output

    assert "-> startApi client_id=7" in run("show", str(file))
    errors = run("show", str(file), "--show", "errors", "--json").splitlines()
    assert {json.loads(line)["name"] for line in errors} == {"error"}
    assert len(run("show", str(file), "--name", "positionEnd").splitlines()) == 1
    of_one = run("show", str(file), "--id", "1", "--no-streams").splitlines()
    assert 0 < len(of_one) < len(run("show", str(file)).splitlines())
    told = json.loads(run("stats", str(file), "--json"))
    assert told["requests"]["reqPositions"] == 1
    assert "reqPositions" in run("stats", str(file))


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["recording", "show", "missing"], "No such file"),
        (["recording", "stats", __file__], "is not a recording"),
        (["recording", "compare", __file__], "is not a recording"),
        (["replay", "missing"], "No such file"),
        (["proxy", "--listen", "nowhere"], "write 127.0.0.1:PORT"),
        (["proxy", "--gateway", "127.0.0.1:99999"], "write 127.0.0.1:PORT"),
        (["proxy", "--show", "prices"], "there is no category prices"),
    ],
)
def test_what_cannot_be_is_2(words, said):
    done = CliRunner().invoke(app, words)
    assert done.exit_code == 2
    assert said in " ".join(done.output.replace("│", " ").split())


def test_the_faults_are_listed(ibkr):  # noqa: F811
    listed = json.loads(ibkr("proxy", "faults", "--json").stdout)
    assert [row["usage"].split()[0] for row in listed] == sorted(PROXY_FAULTS)


@pytest.mark.parametrize(
    ("words", "code", "said"),
    [
        (["proxy", "fault", "reset", "--control", 1], 1, "ibkr proxy --control 1"),
    ],
)
def test_what_cannot_be(ibkr, words, code, said):  # noqa: F811
    done = ibkr(*words)
    assert (done.returncode, done.stdout) == (code, "")
    assert said in " ".join(done.stderr.replace("│", " ").split())
    assert "Traceback" not in done.stderr


@pytest.mark.parametrize("command", ["show", "stats", "compare"])
def test_a_recording_moves_no_cursor(tmp_path, command):
    bell = "x\x07"
    header = {"ibkr_recording": 1, "server_version": 178, "client_versions": [157, 178], "is_private": False}
    lines = [header | dict.fromkeys(("started", "program", "connection_time"), bell)]
    lines += [
        {"t": 1, "from": side, "name": bell, "fields": {bell: bell}, "frame": None} for side in ("client", "gateway")
    ]
    path = tmp_path / f"{bell}{SUFFIX}"
    path.write_text("".join(json.dumps(line) + "\n" for line in (*lines, {"t": 400, "end": bell})))
    done = CliRunner().invoke(app, ["recording", command, str(path)])
    assert (done.exit_code, bell in done.output) == (0, False)
    path.write_text("")
    done = CliRunner().invoke(app, ["recording", command, str(path)])
    assert (done.exit_code, bell in done.output) == (2, False)


@pytest.mark.parametrize("option", ["--listen", "--control"])
def test_a_port_that_is_taken(ibkr, option):  # noqa: F811
    with socket.create_server(("127.0.0.1", 0)) as taken:
        given = {"--listen": "127.0.0.1:0", "--control": 0}
        given[option] = taken.getsockname()[1]
        done = ibkr("proxy", *(word for pair in given.items() for word in pair))
    assert (done.returncode, done.stdout) == (1, "")
    assert "choose others" in done.stderr
    assert "Traceback" not in done.stderr


@pytest.mark.parametrize(("folder", "why"), [("file", "it is a file"), ("file/in", "Not a directory")])
def test_a_directory_that_cannot_be_made(ibkr, tmp_path, folder, why):  # noqa: F811
    (tmp_path / "file").write_text("")
    done = ibkr("proxy", "--listen", "127.0.0.1:0", "--record", folder)
    assert (done.returncode, done.stdout) == (2, "")
    words = " ".join(done.stderr.replace("│", " ").split())
    assert f"--record: '{folder}' cannot be used: {why}; name a folder" in words
    assert "port" not in words


@pytest.mark.rest
@pytest.mark.skipif(sys.platform == "win32", reason="Windows has no SIGKILL")
@pytest.mark.parametrize("moment", range(20))
def test_killed_at_any_moment_it_leaves_what_can_be_read(recorded, moment):
    process, where, directory = recorded
    subscriber = subprocess.Popen(
        [sys.executable, "-c", _SUBSCRIBER, str(where["port"])], stdout=subprocess.PIPE, stderr=subprocess.DEVNULL
    )
    try:
        assert subscriber.stdout is not None
        for _ in range(3 + 7 * moment):  # each moment reads more ticks before the kill
            assert subscriber.stdout.readline()
        process.kill()
        process.wait(10)
    finally:
        subscriber.kill()
        subscriber.communicate()
    [file] = directory.glob(f"*{SUFFIX}")
    complete = file.read_bytes().count(b"\n") - 1
    recording = Recording.read(file)
    assert len(recording.entries) == complete > 3 + 7 * moment
    assert recording.end == ""


_SUBSCRIBER = """
import sys
from ib_async import IB, Stock
ib = IB()
ib.connect("127.0.0.1", int(sys.argv[1]), clientId=7)
for stock in ib.qualifyContracts(*[Stock(symbol, "SMART", "USD") for symbol in ("AAPL", "MSFT", "TSLA")]):
    ticker = ib.reqMktData(stock)
    ticker.updateEvent += lambda ticker: print(ticker.last, flush=True)
ib.run()
"""
