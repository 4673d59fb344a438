"""The command that reports outages: real processes, with a test clock."""

import json
import socket
import sys

import pytest

from ibkr.core.states import ConnectionState as S
from ibkr.core.status import MaintenanceWindow
from ibkr.observe.command_sink import CommandSink
from ibkr.observe.sink import Relay

NOTE = "import os, sys; open(sys.argv[1], 'a').write(os.environ['IBKR_EVENT'] + ' ' + sys.stdin.read() + '\\n')"


@pytest.fixture
def now():
    return [0.0]


@pytest.fixture
def events(tmp_path):
    """The events that the command received."""
    file = tmp_path / "told"

    def read():
        lines = file.read_text().splitlines() if file.exists() else []
        for line in lines:
            event, _, text = line.partition(" ")
            assert json.loads(text)["event"] == event
        return [line.partition(" ")[0] for line in lines]

    read.file = file
    return read


@pytest.fixture
def sink(events, now):
    return CommandSink([sys.executable, "-c", NOTE, str(events.file)], clock=lambda: now[0])


def test_an_outage_that_lasts_is_reported_once_and_so_is_its_end(at, sink, events, now, tell):
    tell(sink, at(0, S.READY))
    tell(sink, out := at(1, S.RECONNECTING, "session lost: DU1234567 was logged out"))
    now[0] = 4.9
    tell(sink, out)
    assert events() == []
    now[0] = 5
    tell(sink, out)
    tell(sink, out)
    assert events() == ["outage"]
    told = json.loads(events.file.read_text().partition(" ")[2])
    assert (told["state"], told["endpoint"]) == ("RECONNECTING", "127.0.0.1:7497")
    assert "1234567" not in events.file.read_text()
    tell(sink, at(9, S.SYNCING))
    tell(sink, at(9, S.READY))
    tell(sink, at(9, S.READY))
    assert events() == ["outage", "recovery"]


def test_a_blip_is_not_told_and_the_next_outage_waits_for_the_rate(at, sink, events, now, tell):
    for second in (0, 10, 20):
        now[0] = second
        tell(sink, at(second, S.READY))
        tell(sink, at(second + 1, S.RECONNECTING))
        now[0] = second + 5
        tell(sink, at(second + 1, S.RECONNECTING))
    tell(sink, at(26, S.READY))
    assert events() == ["outage", "recovery"]  # of the outage at 5 s; the next ones begin within a minute
    tell(sink, out := at(27, S.RECONNECTING))
    now[0] = 64.9
    tell(sink, out)
    assert len(events()) == 2
    now[0] = 65
    tell(sink, out)
    assert events()[2:] == ["outage"]


def test_in_a_maintenance_window_the_alert_alone_is_reported(at, sink, events, now, tell):
    window = MaintenanceWindow("nightly reset", at(0, S.READY).since, at(600, S.READY).since)
    tell(sink, at(0, S.READY))
    now[0] = 100
    tell(sink, at(1, S.RECONNECTING, maintenance=window))
    now[0] = 600
    tell(sink, at(1, S.RECONNECTING, maintenance=window))
    assert events() == []
    tell(sink, at(1, S.RECONNECTING, alert="this continues after the nightly reset"))
    tell(sink, at(1, S.RECONNECTING, alert="this continues after the nightly reset"))
    tell(sink, at(700, S.READY))
    assert events() == ["alert", "recovery"]


def test_given_up_is_told_also_where_it_never_was_ready_and_disconnecting_is_no_recovery(at, sink, events, now, tell):
    tell(sink, at(0, S.CONNECTING))
    tell(sink, at(1, S.FAILED))
    now[0] = 5
    tell(sink, at(1, S.FAILED))
    tell(sink, at(2, S.DISCONNECTED))
    tell(sink, at(3, S.READY))
    assert events() == ["outage"]


@pytest.fixture
def outage(at, tell):
    def happens(sink):
        tell(sink, at(0, S.READY))
        tell(sink, at(1, S.RECONNECTING))

    return happens


def test_a_command_that_hangs_is_ended_with_all_that_it_started(outage):
    held = "import socket, time; held = socket.create_connection(('127.0.0.1', {})); time.sleep(60)"
    with socket.create_server(("127.0.0.1", 0)) as server:
        own = [sys.executable, "-ISc", held.format(server.getsockname()[1])]
        command = own if sys.platform == "win32" else [sys.executable, "-ISc", f"import subprocess as s; s.run({own})"]
        with pytest.raises(TimeoutError, match="ran for over 2 s"):
            outage(CommandSink(command, after=0, timeout=2))
        server.settimeout(10)
        with server.accept()[0] as theirs:
            theirs.settimeout(10)
            assert theirs.recv(1) == b""  # the connection ends when its process ends


def test_a_command_that_fails_or_is_none_is_an_error_for_the_relay(outage):
    with pytest.raises(RuntimeError, match="exit code 3"):
        outage(CommandSink([sys.executable, "-c", "raise SystemExit(3)"], after=0))
    with pytest.raises(FileNotFoundError):
        outage(CommandSink("no-such-program --now", after=0))
    with pytest.raises(ValueError, match="empty"):
        CommandSink(" ")


HELD = "import socket, time; held = socket.create_connection(('127.0.0.1', {})); time.sleep(60)"


@pytest.fixture
def grandchild():
    """A listening socket, and the arguments of a process that keeps a connection to it while it lives."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        server.settimeout(10)
        yield server, [sys.executable, "-ISc", HELD.format(server.getsockname()[1])]


def is_gone(connection):
    connection.settimeout(10)
    return connection.recv(1) == b""


@pytest.mark.skipif(sys.platform == "win32", reason="there are no groups of processes there")
def test_what_a_command_leaves_behind_ends_with_the_sink(outage, grandchild):
    server, own = grandchild
    sink = CommandSink([sys.executable, "-ISc", f"import subprocess as s; s.Popen({own})"], after=0)
    outage(sink)
    with server.accept()[0] as theirs:
        sink.close()
        assert is_gone(theirs)


@pytest.mark.skipif(sys.platform == "win32", reason="there are no groups of processes there")
def test_a_command_that_runs_when_the_program_ends_is_ended_with_all_it_started(at, grandchild):
    server, own = grandchild
    sink = CommandSink([sys.executable, "-ISc", f"import subprocess as s; s.run({own})"], after=0, timeout=60)
    relay = Relay(sink)
    relay(at(0, S.READY))
    relay(at(1, S.FAILED))
    with server.accept()[0] as theirs:
        assert relay.close(0.05)
        assert is_gone(theirs)
    sink.handle(at(2, S.FAILED))  # this starts no command


def test_no_command_gets_our_secrets(outage, tmp_path, monkeypatch):
    for name in ("IBKR_HTTP_TOKEN", "IBKR_ALERTS_URLS", "IBKR_ALERTS_HEARTBEAT_URL"):
        monkeypatch.setenv(name, "a-secret-of-good-length")
    monkeypatch.setenv("IBKR_HOST", "desk")
    monkeypatch.setenv("IBKR_FLEET_SERVERS", "nats://me:password@desk")  # the command may run 'ibkr halt --fleet'
    file = tmp_path / "environment"
    code = "import os, sys; open(sys.argv[1], 'w').write(repr(dict(os.environ)))"
    outage(CommandSink([sys.executable, "-ISc", code, str(file)], after=0))
    assert "a-secret" not in file.read_text()
    assert "'IBKR_HOST': 'desk'" in file.read_text()
    assert "nats://me:password@desk" in file.read_text()
