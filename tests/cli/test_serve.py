"""``ibkr serve`` as its users run it."""

import asyncio
import http.client
import json
import signal
import socket
import subprocess
import sys
import time

import pytest

from ibkr import IBConnector, NotAGateway

TOKEN = "a-token-of-good-length"


@pytest.fixture
def serving(start):
    """Starts ``ibkr serve`` with these arguments; gives the process and its port."""

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


def test_all_is_closed_within_two_seconds_of_sigterm_and_history_stays(serving, simulated, tmp_path):
    args = ("serve", "--http", 0, "--port", simulated.port, "--json", "--history", tmp_path / "history.db")
    process, port = serving(*args)
    wait_ready(port)
    with socket.create_connection(("127.0.0.1", port)) as reader, socket.create_connection(("127.0.0.1", port)) as half:
        half.sendall(b"GET /")
        reader.sendall(b"GET /api/events HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n")
        assert reader.recv(12) == b"HTTP/1.1 200"
        began = time.monotonic()
        process.send_signal(signal.SIGTERM)
        _, talk = process.communicate(timeout=10)
        took = time.monotonic() - began
    assert (process.returncode, talk.count("\n")) == (0, 1), talk
    assert took < 2
    _, port = serving(*args)
    wait_ready(port)
    band = json.loads(get(port, "/api/timeline")[1])
    assert band["ready_seconds"] > 0


def test_a_second_one_on_the_same_history_is_refused_until_the_first_is_gone(serving, ibkr, tmp_path):
    file = tmp_path / "history.db"
    args = ("serve", "--http", 0, "--json", "--history", file)
    first, _ = serving(*args)
    refused = ibkr(*args)
    assert (refused.returncode, refused.stdout) == (2, "")
    assert "Traceback" not in refused.stderr
    assert f"'{file}': another program keeps its history there" in refused.stderr
    assert "name another file" in refused.stderr
    first.kill()
    first.wait(10)
    serving(*args)


def test_started_before_its_gateway_it_becomes_ready_when_that_comes(serving, start):
    with socket.create_server(("127.0.0.1", 0)) as free:
        gateway_port = free.getsockname()[1]
    _, port = serving("serve", "--http", 0, "--port", gateway_port, "--json")
    assert get(port, "/readyz")[0] == 503
    start("simulate", "--port", gateway_port)
    wait_ready(port)
    assert get(port, "/readyz") == (200, "READY: session and upstream up\n")


def wait_ready(port):
    """By the stream, which says when."""
    with socket.create_connection(("127.0.0.1", port), timeout=20) as stream:
        stream.sendall(b"GET /api/events HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n")
        text = b""
        while b'"state":"READY"' not in text:
            more = stream.recv(65536)
            assert more, text
            text += more


def test_the_token_is_needed_beyond_loopback_and_appears_nowhere(serving, ibkr, simulated, tmp_path):
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
        out, talk = process.communicate(timeout=10)
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


def test_what_it_needs_is_imported_by_nobody_else():
    code = "import sys, ibkr.cli.app, ibkr.connector; print({'starlette', 'uvicorn', 'sqlite3'} & {*sys.modules})"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60)
    assert done.stdout == "set()\n", done


def test_what_cannot_work_is_said(ibkr, tmp_path):
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        refused = ibkr("serve", "--http", port)
    assert refused.returncode == 1
    assert f"cannot listen on 127.0.0.1:{port}" in refused.stderr
    for args, words in (
        (("--http", "somewhere"), "must read HOST:PORT"),
        (("--token-file", tmp_path / "none"), "cannot be read"),
        (("--on-outage", " "), "empty"),
        (("--http", "0", "--history", tmp_path / "no" / "file.db"), "folder"),
    ):
        refused = ibkr("serve", *args)
        assert refused.returncode == 2, args
        assert words in refused.stderr
        assert "Traceback" not in refused.stderr


@pytest.mark.skipif(sys.platform == "win32", reason="a program of Windows is found in the command line as a whole")
@pytest.mark.parametrize(("command", "words"), [("no-such-program --now", "no such program"), ("'unbalanced", "quot")])
def test_a_command_that_could_never_ring_is_refused_at_the_start(ibkr, command, words):
    refused = ibkr("serve", "--http", "0", "--on-outage", command)
    assert (refused.returncode, refused.stdout) == (2, "")
    assert "serve.on_outage" in refused.stderr
    assert words in refused.stderr


def test_a_connector_that_is_given_its_port_learns_what_it_is(serving, simulated):
    _, port = serving("serve", "--http", 0, "--port", simulated.port, "--json")
    with pytest.raises(NotAGateway) as raised:
        asyncio.run(IBConnector("127.0.0.1", port, 7, timeout=0.5).connect_async())
    assert raised.value.looks_like == "http"
