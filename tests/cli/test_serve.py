"""``ibkr serve`` as users run it."""

import asyncio
import contextlib
import http.client
import json
import signal
import socket
import sqlite3
import subprocess
import sys
import time

import pytest

from ibkr import IBConnector, NotAGateway
from ibkr.observe.history import History
from tests.stopwatch import slowness

TOKEN = "a-token-of-good-length"


@pytest.fixture
def serving(start):
    """Starts ``ibkr serve`` with these arguments. Gives the process and its port."""

    def serve(*args, **variables):
        process = start(*args, **variables)
        return process, json.loads(process.stdout.readline())["port"]

    return serve


def get(port, path, **headers):
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=10)
    try:
        connection.request("GET", path, headers=headers)
        answer = connection.getresponse()
        return answer.status, answer.read().decode()
    finally:
        connection.close()


def test_sigterm_closes_everything_within_two_seconds_and_keeps_history(serving, simulated, tmp_path, stopwatch):
    args = ("serve", "--http", 0, "--port", simulated.port, "--json", "--history", tmp_path / "history.db")
    process, port = serving(*args)
    wait_ready(port)
    with socket.create_connection(("127.0.0.1", port)) as reader, socket.create_connection(("127.0.0.1", port)) as half:
        half.sendall(b"GET /")
        reader.sendall(b"GET /api/events HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n")
        assert reader.recv(12) == b"HTTP/1.1 200"
        elapsed = stopwatch()
        process.send_signal(signal.SIGTERM)
        _, talk = process.communicate(timeout=30)
        took = elapsed()
    assert (process.returncode, talk.count("\n")) == (0, 1), talk
    assert took < 2 + slowness()
    _, port = serving(*args)
    wait_ready(port)
    band = json.loads(get(port, "/api/timeline")[1])
    assert band["ready_seconds"] > 0


def test_two_programs_cannot_use_the_same_history(serving, ibkr, tmp_path):
    file = tmp_path / "history.db"
    args = ("serve", "--http", 0, "--json", "--history", file)
    first, _ = serving(*args)
    refused = ibkr(*args)
    assert (refused.returncode, refused.stdout) == (2, "")
    assert "Traceback" not in refused.stderr
    assert f"'{file}': another program, perhaps a second ibkr serve, uses this history file" in refused.stderr
    assert "name another file" in refused.stderr
    first.kill()
    first.wait(10)
    serving(*args)


def test_it_can_start_before_the_gateway(serving, start):
    with socket.create_server(("127.0.0.1", 0)) as free:
        gateway_port = free.getsockname()[1]
    _, port = serving("serve", "--http", 0, "--port", gateway_port, "--json")
    assert get(port, "/readyz")[0] == 503
    start("simulate", "--port", gateway_port)
    wait_ready(port)
    assert get(port, "/readyz") == (200, "READY: session and upstream up\n")


def wait_ready(port):
    """Wait for ``READY`` in the event stream."""
    with socket.create_connection(("127.0.0.1", port), timeout=20) as stream:
        stream.sendall(b"GET /api/events HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n")
        text = b""
        while b'"state":"READY"' not in text:
            more = stream.recv(65536)
            assert more, text
            text += more


def test_beyond_loopback_it_needs_a_token_and_never_shows_it(serving, ibkr, simulated, tmp_path):
    refused = ibkr("serve", "--http", "0.0.0.0:0")
    assert (refused.returncode, refused.stdout) == (2, "")
    assert "set a token (IBKR_HTTP_TOKEN or --token-file)" in refused.stderr
    (tmp_path / "token").write_text(TOKEN + "\n")
    args = ("-vv", "serve", "--http", "0.0.0.0:0", "--port", simulated.port, "--json")
    for more, variables in ((("--token-file", tmp_path / "token"), {}), ((), {"IBKR_HTTP_TOKEN": TOKEN})):
        process, port = serving(*args, *more, **variables)
        assert get(port, "/api/status")[0] == 401
        assert get(port, "/api/status", Authorization="Bearer wrong-token-xxxxxxx")[0] == 401
        status, text = get(port, "/api/status", Authorization=f"Bearer {TOKEN}")
        assert (status, json.loads(text)["client_id"] >= 900) == (200, True)
        process.terminate()
        out, talk = process.communicate(timeout=30)
        assert TOKEN not in out + talk
        assert "wrong-token" not in talk
        assert "DEBUG" in talk


def test_the_command_on_an_outage(serving, simulated, tmp_path):
    code = "import sys, json; open(sys.argv[1], 'a').write(json.load(sys.stdin)['event'] + '\\n')"
    (tmp_path / "note.py").write_text(code)
    told = tmp_path / "told"
    command = f'"{sys.executable}" "{tmp_path / "note.py"}" "{told}"'
    _, port = serving(
        "serve", "--http", 0, "--port", simulated.port, "--json", "--on-outage", command, "--outage-after", 0
    )
    wait_ready(port)
    simulated.fault("lose_upstream")
    wait_for(lambda: told.exists() and told.read_text() == "outage\n")
    simulated.fault("restore_upstream")
    wait_for(lambda: told.read_text() == "outage\nrecovery\n")


def wait_for(holds):
    until = time.monotonic() + 20
    while not holds():
        assert time.monotonic() < until
        time.sleep(0.02)


def test_other_commands_do_not_import_its_packages():
    code = "import sys, ibkr.cli.app, ibkr.connector; print({'starlette', 'uvicorn', 'sqlite3'} & {*sys.modules})"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60)
    assert done.stdout == "set()\n", done


def test_what_cannot_work_is_reported(ibkr, tmp_path):
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        refused = ibkr("serve", "--http", port)
    assert refused.returncode == 1
    assert f"cannot listen on 127.0.0.1:{port}" in refused.stderr
    for args, words in (
        (("--http", "somewhere"), "is not an address"),
        (("--token-file", tmp_path / "none"), "cannot be read"),
        (("--on-outage", " "), "empty"),
        (("--http", "0", "--history", tmp_path / "no" / "file.db"), "folder"),
    ):
        refused = ibkr("serve", *args)
        assert refused.returncode == 2, args
        assert words in refused.stderr
        assert "Traceback" not in refused.stderr


@pytest.mark.parametrize(
    "name", ["a b", "", "desk.example:8080", "https://desk.example", "*.example", "b\u00fccher.example", "a..b"]
)
def test_a_name_that_no_visitor_can_use_is_refused(ibkr, name):
    refused = ibkr("serve", "--http", "0", "--port", 1, "--allow-host", "desk.example", "--allow-host", name)
    assert (refused.returncode, refused.stdout) == (2, "")
    assert f"serve.allow_host = {name!r}: must be a host name" in refused.stderr


@pytest.mark.skipif(sys.platform == "win32", reason="a program of Windows is found in the command line as a whole")
@pytest.mark.parametrize(("command", "words"), [("no-such-program --now", "no such program"), ("'unbalanced", "quot")])
def test_an_outage_command_that_cannot_run_is_refused_at_start(ibkr, command, words):
    refused = ibkr("serve", "--http", "0", "--on-outage", command)
    assert (refused.returncode, refused.stdout) == (2, "")
    assert "serve.on_outage" in refused.stderr
    assert words in refused.stderr


def test_a_connector_at_its_port_reports_a_web_server(serving, simulated):
    _, port = serving("serve", "--http", 0, "--port", simulated.port, "--json")
    with pytest.raises(NotAGateway) as raised:
        asyncio.run(IBConnector("127.0.0.1", port, 7, timeout=0.5).connect_async())
    assert raised.value.looks_like == "http"


HELD = "import socket, time; held = socket.create_connection(('127.0.0.1', {})); time.sleep(60)"


@pytest.mark.skipif(sys.platform == "win32", reason="there is no SIGTERM there")
def test_sigterm_ends_it_in_time_with_slow_visitors_and_commands(serving, simulated, tmp_path, stopwatch):
    """Visitors request the longest answer and do not read it; a command hangs with a child process of its own."""
    file = tmp_path / "history.db"
    History(file).close()
    with contextlib.closing(sqlite3.connect(file)) as db, db:
        gap = '{"note": "' + "x" * 60_000 + '"}'
        rows = [(number, gap) for number in range(1, 1001)]
        db.executemany("INSERT INTO outages VALUES (?, 1, 2, 'recovered', 'session_lost', 'lost', '', ?)", rows)
    with socket.create_server(("127.0.0.1", 0)) as server, contextlib.ExitStack() as visitors:
        server.settimeout(20)
        child = [sys.executable, "-ISc", HELD.format(server.getsockname()[1])]
        (tmp_path / "hang.py").write_text(f"import subprocess; subprocess.run({child})")
        command = f'"{sys.executable}" "{tmp_path / "hang.py"}"'
        args = ("serve", "--http", 0, "--port", simulated.port, "--json", "--history", file)
        process, port = serving(*args, "--on-outage", command, "--outage-after", 0)
        wait_ready(port)
        simulated.fault("lose_upstream")
        theirs, _ = server.accept()
        visitors.enter_context(theirs)
        for _ in range(40):
            visitor = visitors.enter_context(socket.create_connection(("127.0.0.1", port)))
            visitor.sendall(b"GET /api/outages?limit=1000 HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n")
        assert get(port, "/healthz")[0] == 200
        elapsed = stopwatch()
        process.send_signal(signal.SIGTERM)
        _, talk = process.communicate(timeout=30)
        took = elapsed()
        assert (process.returncode, "Traceback" in talk) == (0, False), talk
        assert took < 2 + slowness()
        theirs.settimeout(5)
        assert theirs.recv(1) == b"", "the child of the command is gone, too"


def test_a_damaged_history_is_refused_with_a_cure(ibkr, tmp_path):
    (tmp_path / "history.db").write_bytes(b"SQLite format 3\x00" + b"\x1b[2J" * 300)
    refused = ibkr("serve", "--http", 0, "--history", tmp_path / "history.db")
    assert (refused.returncode, refused.stdout) == (2, "")
    assert "is damaged, or not a history" in refused.stderr
    assert "move it away (mv " in refused.stderr
    assert "Traceback" not in refused.stderr
    assert refused.stderr.strip().isprintable()


def test_the_outage_command_gets_no_token(serving, simulated, tmp_path):
    (tmp_path / "token").write_text(TOKEN)
    (tmp_path / "note.py").write_text("import os, sys; open(sys.argv[1], 'w').write(repr(dict(os.environ)))")
    told = tmp_path / "told"
    command = f'"{sys.executable}" "{tmp_path / "note.py"}" "{told}"'
    args = ("serve", "--http", 0, "--port", simulated.port, "--json", "--outage-after", 0, "--on-outage", command)
    _, port = serving(*args, "--token-file", tmp_path / "token", IBKR_HTTP_TOKEN=TOKEN)
    wait_for(lambda: get(port, "/readyz", Authorization=f"Bearer {TOKEN}")[0] == 200)
    simulated.fault("lose_upstream")
    wait_for(lambda: told.exists() and told.read_text().endswith("}"))
    assert "IBKR_EVENT" in told.read_text()
    assert TOKEN not in told.read_text()
