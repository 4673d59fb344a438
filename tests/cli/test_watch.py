"""``ibkr watch`` as a process: on a terminal of 80 columns and 24 lines, and without a terminal."""

from __future__ import annotations

import json
import os
import select
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

import pyte
import pytest

from .conftest import COMMAND, Simulated

if sys.platform == "win32":
    pytest.skip("a terminal of one's own needs a pty", allow_module_level=True)

import pty
import termios

LINES, COLUMNS = 24, 80
PATIENCE = 20.0
LABELS = [
    "Trading",
    "Next attempt",
    "Session",
    "Upstream",
    "Data farms",
    "Round-trip",
    "Subscribed",
    "Traffic",
    "Last gap",
]
LEFT = b"\x1b[?25h\x1b[?1049l"
"""These bytes show the cursor again, and the earlier content of the terminal."""
# With these settings, the connector soon stops its attempts if the client id is in use, so that FAILED shows.
HASTY = {"IBKR_CLIENT_ID_GRACE": "1", "IBKR_BACKOFF_FIRST": "0.1"}


def is_whole(lines: list[str]) -> bool:
    """Whether nothing is cut off or wrapped: the frame and every label are there, the keys are at the bottom."""
    bottom = next((number for number, line in enumerate(lines) if line[0] == "╰"), None)
    return (
        bottom is not None
        and all(line[0] + line[-1] in ("╭╮", "││", "╰╯") for line in lines[: bottom + 1])
        and [line.split("  ")[0] for line in lines[bottom + 1 : bottom + 1 + len(LABELS)]] == LABELS
        and lines[bottom + 1 + len(LABELS)].startswith("Last events ─")
        and lines[-1].rstrip().endswith("quit")
    )


@dataclass
class Terminal:
    """A terminal that runs the command."""

    process: subprocess.Popen[bytes]
    master: int
    screen: pyte.Screen = field(default_factory=lambda: pyte.Screen(COLUMNS, LINES))
    raw: bytes = b""

    def __post_init__(self) -> None:
        self._stream = pyte.ByteStream(self.screen)

    def shows(self, *words: str) -> list[str]:
        """Wait until the screen is complete and shows all these words. Returns its lines."""
        until = time.monotonic() + PATIENCE
        while not (is_whole(self.screen.display) and all(any(w in x for x in self.screen.display) for w in words)):
            text = "\n".join(self.screen.display)
            assert time.monotonic() < until, f"{words} not to be seen in\n{text}"
            assert self._read(0.1), f"ended before {words} were to be seen in\n{text}"
        return list(self.screen.display)

    def type(self, keys: str) -> None:
        """Press keys."""
        os.write(self.master, keys.encode())

    def ended(self) -> int:
        """Read all output, and return the exit code."""
        while self._read(PATIENCE):
            pass
        return self.process.wait(PATIENCE)

    def _read(self, seconds: float) -> bool:
        """Read new output. Returns False if the output has ended."""
        if not select.select([self.master], [], [], seconds)[0]:
            return True
        try:
            some = os.read(self.master, 65536)
        except OSError:  # on Linux, this error means that the other side has ended
            return False
        self.raw += some
        self._stream.feed(some)
        return bool(some)


@pytest.fixture
def terminal(surroundings):
    """``with terminal("watch", "--port", port) as it:``"""

    @contextmanager
    def run(*args: object, stdin: int | None = None, **variables: str) -> Iterator[Terminal]:
        master, slave = pty.openpty()
        termios.tcsetwinsize(slave, (LINES, COLUMNS))
        env = surroundings["env"] | {"TERM": "xterm-256color"} | variables
        for name in ("COLUMNS", "LINES", "NO_COLOR"):
            env.pop(name, None)
        with subprocess.Popen(
            [*COMMAND, *map(str, args)],
            cwd=surroundings["cwd"],
            env=env,
            stdin=slave if stdin is None else stdin,
            stdout=slave,
            stderr=slave,
            start_new_session=True,
        ) as process:
            os.close(slave)
            try:
                yield Terminal(process, master)
            finally:
                process.kill()
                os.close(master)

    return run


def test_every_state_on_a_screen_of_80_by_24(simulated: Simulated, terminal):
    simulated.fault("close_on_accept")
    with terminal("watch", "--port", simulated.port, "--client-id", 950, **HASTY) as screen:
        lines = screen.shows("█▀▀ █▀█ █▄ █ █▄ █ █▀▀ █▀▀ ▀█▀ ▀█▀ █▄ █ █▀▀", "the gateway closed the connection")
        assert any("number " in line for line in lines)

        simulated.fault("clear")
        lines = screen.shows("█▀▄ █▀▀ █▀█ █▀▄ █ █", "session and upstream up", "orders may be sent", "usfarm")
        assert "as client 950" in lines[0]
        assert screen.screen.buffer[1][2].fg == "green"

        simulated.fault("lose_upstream")
        screen.shows("█▀▄ █▀▀ █▀▀ █▀▄ █▀█ █▀▄ █▀▀ █▀▄", "lost its link to IB's servers", "1 outage")
        simulated.fault("restore_upstream")
        screen.shows("session and upstream up", "orders may be sent")

        simulated.fault("mute reqPositions")
        screen.type("r")
        screen.shows("█▀▀ █ █ █▄ █ █▀▀ ▀█▀ █▄ █ █▀▀", "start-up", "2 outages")
        simulated.fault("clear")
        screen.type("r")
        screen.shows("orders may be sent")

        simulated.fault("restart 3.5")
        screen.shows("█▀▄ █▀▀ █▀▀ █▀█ █▄ █ █▄ █ █▀▀ █▀▀ ▀█▀ ▀█▀ █▄ █ █▀▀", "connection refused", " in 0.")
        screen.shows("orders may be sent", " s: no changes found")

        simulated.fault("occupy_client_id 950")
        screen.type("r")
        screen.shows("client id 950 is already in use", "Next attempt  number 3")
        simulated.fault("clear")
        screen.type("r")
        lines = screen.shows("orders may be sent", "reconnect now")
        assert not any("FAILED" in line for line in lines), "the connector never stops trying an id that stays in use"

        screen.type("q")
        assert screen.ended() == 0
        assert screen.raw.rstrip().endswith(LEFT), "the terminal is as it was"


def test_sigterm_restores_the_terminal(simulated: Simulated, terminal):
    """Without a keyboard, as in a recording, the command says how to end it."""
    with terminal("watch", "--port", simulated.port, stdin=subprocess.DEVNULL) as screen:
        screen.shows("orders may be sent", "Ctrl-C  quit")
        screen.process.send_signal(signal.SIGTERM)
        assert screen.ended() == 0
        assert screen.raw.rstrip().endswith(LEFT)


def test_without_a_terminal_it_prints_a_line_for_each_change(simulated: Simulated, start):
    process = start("watch", "--port", simulated.port)
    lines = iter(process.stdout)
    first = next(line for line in lines if "READY" in line)
    assert first.rstrip().endswith("READY (session and upstream up); may trade")
    simulated.fault("lose_upstream")
    assert "DEGRADED (the gateway has lost its link to IB's servers); may not trade" in next(lines)
    simulated.fault("restore_upstream_data_lost")
    assert any("gap report: " in line for line in lines)
    process.send_signal(signal.SIGINT)
    assert process.wait(PATIENCE) == 0
    assert "\x1b" not in first
    assert process.stderr.read() == ""


def test_json_is_a_line_for_each_status(simulated: Simulated, start):
    process = start("watch", "--json", "--port", simulated.port)
    read = map(json.loads, process.stdout)
    ready = next(line for line in read if line["state"] == "READY")
    assert (ready["may_trade"], ready["accounts"]) == (True, ["DU***67"])
    assert ready["stats"]["attempts"] == 1
    assert ready["stats"]["bytes_in"] > 0
    simulated.fault("lose_upstream")
    assert next(read)["state"] == "DEGRADED"
    simulated.fault("restore_upstream_data_lost")
    assert next(line for line in read if "gap" in line)["gap"]["executions"] == []


def test_a_client_id_in_use_does_not_end_it(simulated: Simulated, start):
    process = start("watch", "--port", simulated.port, "--client-id", 950, **HASTY)
    assert any("READY" in line for line in process.stdout)
    simulated.fault("occupy_client_id 950")
    simulated.fault("reset")
    assert any("RECONNECTING" in line and "client id 950 is already in use" in line for line in process.stdout)
    simulated.fault("clear")
    assert any("READY" in line for line in process.stdout)
    process.terminate()
    assert process.wait(PATIENCE) == 0
