"""A sink that runs a command on outage and recovery, so that a phone can ring."""

from __future__ import annotations

import contextlib
import json
import math
import os
import shlex
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Sequence

from ibkr.core.state import ConnectionState
from ibkr.core.status import Status


class CommandSink:
    """Runs a command when an outage has lasted ``after`` seconds, when an alert is raised, and when both are over.

    In a maintenance window the alert alone is told. A connection that ``FAILED`` is told like an outage.

    The command gets the status as JSON on stdin, with the key ``event``: outage, alert or recovery; also as the
    environment variable ``IBKR_EVENT``. No shell is involved. It is ended after ``timeout`` seconds. An outage within
    ``apart`` seconds of the last one that was told is told when that time is over, if it still lasts. ``command`` as
    one text is split as the system would. Give it to a ``Relay``; whatever goes wrong is raised for that to count.
    """

    def __init__(
        self,
        command: Sequence[str] | str,
        *,
        after: float = 5.0,
        apart: float = 60.0,
        timeout: float = 10.0,
        show_accounts: bool = False,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._command = _parsed(command)
        self._after = after
        self._apart = apart
        self._timeout = timeout
        self._show_accounts = show_accounts
        self._clock = clock
        self._out_at: float | None = None
        self._told_at = -math.inf
        self._is_told = False
        self._alert = ""

    def tell(self, status: Status) -> None:
        """Run the command if this status, or how long it lasts, calls for it."""
        now = self._clock()
        in_outage = status.outage is not None and not status.outage.is_over
        is_out = in_outage or status.state is ConnectionState.FAILED
        if not is_out:
            self._out_at = None
        elif self._out_at is None:
            self._out_at = now
        alert, self._alert = self._alert, status.alert
        if status.alert not in alert:  # what is left when a part of it is over is no news
            self._is_told = True
            self._run("alert", status)
        elif is_out and not self._is_told and self._is_due(now) and status.maintenance is None:
            self._is_told, self._told_at = True, now
            self._run("outage", status)
        elif status.state in (ConnectionState.READY, ConnectionState.DISCONNECTED):
            was_told, self._is_told = self._is_told, False
            if was_told and status.state is ConnectionState.READY:
                self._run("recovery", status)

    def close(self) -> None:
        """Nothing is held."""

    def _is_due(self, now: float) -> bool:
        has_lasted = self._out_at is not None and now - self._out_at >= self._after
        return has_lasted and now - self._told_at >= self._apart

    def _run(self, event: str, status: Status) -> None:
        text = json.dumps({"event": event, **status.to_dict(show_accounts=self._show_accounts)})
        process = subprocess.Popen(
            self._command,
            stdin=subprocess.PIPE,
            stdout=subprocess.DEVNULL,
            env=os.environ | {"IBKR_EVENT": event},
            text=True,
            encoding="utf-8",
            start_new_session=sys.platform != "win32",  # so that what it starts itself can be ended with it
        )
        try:
            process.communicate(text, self._timeout)
        except subprocess.TimeoutExpired as error:
            _end(process)
            raise TimeoutError(f"{self._command} was ended: it ran for over {self._timeout:g} s") from error
        if process.returncode:
            raise RuntimeError(f"{self._command} ended with exit code {process.returncode}")


def _parsed(command: Sequence[str] | str) -> Sequence[str] | str:
    if isinstance(command, str):
        # A program of Windows splits its command line itself, by other rules.
        command = command.strip() if sys.platform == "win32" else shlex.split(command)
    if not command:
        raise ValueError("the command to run on an outage is empty")
    return command


def _end(process: subprocess.Popen[str]) -> None:
    if sys.platform == "win32":
        process.kill()
    else:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
    process.wait()
    if process.stdin is not None:
        with contextlib.suppress(BrokenPipeError):
            process.stdin.close()
