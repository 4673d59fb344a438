"""``CommandSink``: runs a command of the user on outage, alert and recovery."""

from __future__ import annotations

import contextlib
import math
import os
import shlex
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Sequence
from typing import Any

from ibkr.core.alert_settings import SECRETS
from ibkr.core.serialization import to_json
from ibkr.core.states import ConnectionState
from ibkr.core.status import Status

_SECRET_VARIABLES = ("IBKR_HTTP_TOKEN", *(f"IBKR_ALERTS_{name.upper()}" for name in SECRETS))
"""Environment variables that a command does not get. ``IBKR_FLEET_SERVERS`` is needed for ``ibkr halt --fleet``."""


class CommandSink:
    """Runs a command when an outage has lasted for a while, when there is an alert, and when both are over.

    An outage in a maintenance window does not run the command. The state ``FAILED`` is treated as an outage.

    The command gets the status as JSON on stdin, with the key ``event``: outage, alert or recovery. The event is also
    in the environment variable ``IBKR_EVENT``. No shell runs. Processes that the command has not ended are killed when
    the sink closes. Give the sink to a ``Relay``, which counts the errors of the sink.

    Args:
        command: The program and its arguments. A single string is split as the system's shell would split it.
        after: Seconds that an outage must last.
        apart: Seconds between two outages that run the command. If an outage begins sooner, the command runs at the
            end of that time, if the outage still lasts.
        timeout: Seconds until the command is killed.
        show_accounts: Do not mask account ids.
        clock: A monotonic clock, in seconds.

    Raises:
        ValueError: The command is empty, or its quotes do not match.
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
        self._command = _split_command(command)
        self._after = after
        self._apart = apart
        self._timeout = timeout
        self._show_accounts = show_accounts
        self._clock = clock
        self._outage_since: float | None = None
        self._last_outage_run = -math.inf
        self._has_run = False
        self._alert = ""
        self._lock = threading.Lock()
        self._process: subprocess.Popen[str] | None = None
        self._leftover_groups: set[int] = set()
        self._is_stopped = False

    def handle(self, status: Status) -> None:
        """Run the command if this status has a new alert, if the outage has lasted long enough, or after a recovery.

        A recovery runs the command only if an alert or the outage has run it before.
        """
        now = self._clock()
        self._leftover_groups = {group for group in self._leftover_groups if _group_exists(group)}
        in_outage = status.outage is not None and not status.outage.is_over
        is_out = in_outage or status.state is ConnectionState.FAILED
        if not is_out:
            self._outage_since = None
        elif self._outage_since is None:
            self._outage_since = now
        alert, self._alert = self._alert, status.alert
        if status.alert not in alert:  # do not run the command if only a part of the old alert is over
            self._has_run = True
            self._run("alert", status)
        elif is_out and not self._has_run and self._is_due(now) and status.maintenance is None:
            self._has_run, self._last_outage_run = True, now
            self._run("outage", status)
        elif status.state in (ConnectionState.READY, ConnectionState.DISCONNECTED):
            had_run, self._has_run = self._has_run, False
            if had_run and status.state is ConnectionState.READY:
                self._run("recovery", status)

    def handle_alert(self, alert: dict[str, Any]) -> None:
        """Run the command for an alert about more than one connection, such as an alert of a fleet."""
        self._run_command("alert", alert)

    def close(self) -> None:
        """Kill the processes that commands have started and that still run."""
        self._kill_leftovers()

    def _is_due(self, now: float) -> bool:
        has_lasted = self._outage_since is not None and now - self._outage_since >= self._after
        return has_lasted and now - self._last_outage_run >= self._apart

    def stop(self) -> None:
        """Kill the running command, and start no other command. Another thread may call this."""
        with self._lock:
            self._is_stopped = True
            if self._process is not None:
                _kill_group(self._process)
        self._kill_leftovers()

    def _run(self, event: str, status: Status) -> None:
        self._run_command(event, status.to_dict(show_accounts=self._show_accounts))

    def _run_command(self, event: str, data: dict[str, Any]) -> None:
        text = to_json({"event": event, **data})
        with self._lock:
            if self._is_stopped:
                return
            self._process = process = subprocess.Popen(
                self._command,
                stdin=subprocess.PIPE,
                stdout=subprocess.DEVNULL,
                env=child_environment(IBKR_EVENT=event),
                text=True,
                encoding="utf-8",
                start_new_session=sys.platform != "win32",  # the children of the command can then be killed with it
            )
        try:
            process.communicate(text, self._timeout)
        except subprocess.TimeoutExpired as error:
            with self._lock:
                _kill_group(process)
            _wait_for(process)
            raise TimeoutError(f"{self._command} was killed: it ran for over {self._timeout:g} s") from error
        finally:
            with self._lock:
                self._process = None
            self._leftover_groups = {group for group in (*self._leftover_groups, process.pid) if _group_exists(group)}
        if process.returncode:
            raise RuntimeError(f"{self._command} ended with exit code {process.returncode}")

    def _kill_leftovers(self) -> None:
        for group in self._leftover_groups:
            _kill(group)
        self._leftover_groups = set()


def child_environment(**variables: str) -> dict[str, str]:
    """Return the environment for a command of the user: ours without our secrets, and these variables."""
    return {name: value for name, value in os.environ.items() if name not in _SECRET_VARIABLES} | variables


def _split_command(command: Sequence[str] | str) -> Sequence[str] | str:
    if isinstance(command, str):
        # A Windows program splits its command line itself, by other rules.
        command = command.strip() if sys.platform == "win32" else shlex.split(command)
    if not command:
        raise ValueError("the command to run on an outage is empty")
    return command


def _kill_group(process: subprocess.Popen[str]) -> None:
    """Kill a process and its children. Call this before you wait for the process: then its id can be used again."""
    if sys.platform == "win32":
        process.kill()
    elif process.returncode is None:
        _kill(process.pid)


def _kill(group: int) -> None:
    if sys.platform != "win32":
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.killpg(group, signal.SIGKILL)


def _group_exists(group: int) -> bool:
    """Whether a process of this group still runs. Windows has no process groups."""
    if sys.platform != "win32":
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.killpg(group, 0)
            return True
    return False


def _wait_for(process: subprocess.Popen[str]) -> None:
    process.wait()
    if process.stdin is not None:
        with contextlib.suppress(BrokenPipeError):
            process.stdin.close()
