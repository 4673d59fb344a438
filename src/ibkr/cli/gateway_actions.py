"""The actions of ``ibkr gateway``: each acts on the gateway or its supervisor, and prints the result."""

from __future__ import annotations

import asyncio
import logging
import sys
import time
from collections.abc import Awaitable, Callable, Coroutine
from contextlib import aclosing, closing, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

import typer
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from ibkr.cli.cli_options import load_cli_config
from ibkr.cli.long_running import call_on_stop, make_command_sink
from ibkr.config import Config
from ibkr.core.account_masking import mask_accounts
from ibkr.core.errors import ConfigError
from ibkr.core.gateway_status import GatewayState, GatewayStatus
from ibkr.core.serialization import to_json, to_jsonable, to_printable
from ibkr.core.status import Status
from ibkr.gateway.api_port import is_port_open
from ibkr.gateway.driver_interface import POLL_INTERVAL, DriverError
from ibkr.gateway.drivers import make_driver
from ibkr.gateway.follower import ask_supervisor
from ibkr.gateway.gateway_monitor import read_gateway_status
from ibkr.gateway.gateway_store import GatewayStore, SupervisorAnswer, SupervisorRequest
from ibkr.gateway.log_tail import follow_file, last_lines, rotate_log
from ibkr.gateway.processes import spawn
from ibkr.gateway.store_errors import STORE_ERRORS, SupervisorRunning, store_error_text
from ibkr.gateway.supervisor import Supervisor
from ibkr.observe.alerts import Alerts
from ibkr.observe.log_filter import PrintableFormatter
from ibkr.observe.sink import Relay

_START_TIMEOUT = 90.0
_SETTLE_TIME = 1.0
_REQUESTED_BY = "the command line"
_LONGEST_LINE = 2000
T = TypeVar("T")


@dataclass(frozen=True)
class Target:
    """The configured gateway, and the options that name it, for the supervisor in the background."""

    config: Config
    options: tuple[str, ...]

    @property
    def store(self) -> GatewayStore:
        """A new store. The caller must close it."""
        return GatewayStore(self.config.ibkr.gateway)


def load_target(config: Path | None, host: str | None, port: int | None) -> Target:
    """Return the gateway that the options name. Raises ``ConfigError`` if no driver is configured."""
    loaded = load_cli_config(config, host, port, None, None)
    if not loaded.ibkr.gateway.driver:
        cure = "names no driver: set in the table [ibkr.gateway] what runs the gateway (docs/gateway.md)"
        raise ConfigError("ibkr.gateway.driver", "", cure)
    given = {"--config": config, "--host": host, "--port": port}
    return Target(loaded, tuple(f"{name}={value}" for name, value in given.items() if value is not None))


def run_supervisor(target: Target, on_alert: str | None, *, as_json: bool) -> None:
    """Supervise the gateway until Ctrl-C or SIGTERM."""
    sink = None if on_alert is None else make_command_sink(on_alert, show_accounts=target.config.ibkr.show_accounts)
    _log_to_stderr()

    async def work() -> None:
        supervisor = Supervisor(target.config)
        call_on_stop(supervisor.stop)
        relay = None if sink is None else Relay(sink)
        settings = target.config.ibkr
        alerts = Alerts(supervisor.connector, settings.alerts, show_accounts=settings.show_accounts)
        alerts.open()
        if relay is not None:
            supervisor.connector.on_status(relay)
        if as_json:
            supervisor.connector.on_status(_StatusPrinter())
        try:
            await supervisor.run()
        finally:
            await alerts.close()
            if relay is not None:
                await asyncio.to_thread(relay.close)

    with suppress(KeyboardInterrupt):
        _run(work())


def run_action(
    action: Callable[[Target, GatewayStore], Coroutine[Any, Any, SupervisorAnswer]], target: Target, *, as_json: bool
) -> None:
    """Run an action, and print its answer."""
    with closing(target.store) as store:
        _print_answer(_run(action(target, store)), as_json=as_json)


async def start(target: Target, store: GatewayStore) -> SupervisorAnswer:
    """Tell the supervisor to start the gateway, or start a supervisor in the background."""
    if store.is_supervised():
        answer = await ask_supervisor(store, SupervisorRequest("start", _REQUESTED_BY))
        return await _still_runs(target, store, answer) if answer.is_done else answer
    store.check_writable()  # otherwise the log of the supervisor could not say what is wrong
    log = store.supervisor_log
    rotate_log(log)
    process = spawn([sys.executable, "-m", "ibkr", "gateway", "run", *target.options], log)
    deadline = time.monotonic() + _START_TIMEOUT
    while time.monotonic() < deadline:
        if process.poll() is not None:
            last = "; ".join(_masked_line(line, show_accounts=False) for line in last_lines(log, 3))
            return SupervisorAnswer(is_done=False, message=f"the supervisor has stopped: {last}")
        status = store.read_status() if store.is_supervised() else None
        if status is not None and status.state is not GatewayState.STOPPED:
            process.returncode = 0  # with this, Python does not wait for the process when Python ends
            words = f"the gateway's process runs; the log of its supervisor: {log}"
            return await _still_runs(target, store, SupervisorAnswer(is_done=True, message=words))
        await asyncio.sleep(0.1)  # another process writes the status file, and sends no event
    return SupervisorAnswer(is_done=False, message=f"the gateway does not run after {_START_TIMEOUT:.0f} s; see {log}")


async def _still_runs(target: Target, store: GatewayStore, answer: SupervisorAnswer) -> SupervisorAnswer:
    """Return the answer if the process runs for a second, otherwise how it has ended."""
    await asyncio.sleep(_SETTLE_TIME)
    status = store.read_status()
    if status is None or status.state is not GatewayState.EXITED:
        return answer
    log = make_driver(target.config.ibkr.gateway, store).log(3, follow=False)
    try:
        last = "; ".join([_masked_line(line, show_accounts=False) async for line in log])
    except DriverError as error:
        last = str(error)
    return SupervisorAnswer(is_done=False, message=f"{status.reason}: {last}" if last else status.reason)


async def stop(target: Target, store: GatewayStore) -> SupervisorAnswer:
    """Stop the gateway, and its supervisor if one runs."""
    if store.is_supervised():
        answer = await ask_supervisor(store, SupervisorRequest("stop", _REQUESTED_BY))
        while answer.is_done and store.is_supervised():  # noqa: ASYNC110 - another process sends no event
            await asyncio.sleep(0.1)
        if answer.is_done or store.is_supervised():
            return answer
    driver = make_driver(target.config.ibkr.gateway, store)
    was_running = await driver.is_running()
    if was_running or store.process_file.exists():  # the driver deletes this file when it stops the process
        await driver.stop()
        if driver.owns_process and await is_port_open(target.config.ibkr.host, target.config.ibkr.port):
            port = target.config.ibkr.port
            words = f"its process has ended, but another program still listens at port {port}: end that program"
            return SupervisorAnswer(is_done=False, message=words)
    words = "the gateway is stopped" if was_running else "the gateway does not run"
    return SupervisorAnswer(is_done=True, message=words)


def restart(target: Target, store: GatewayStore) -> Coroutine[Any, Any, SupervisorAnswer]:
    """Restart the gateway, unless orders are working."""
    return _restart(target, store, SupervisorRequest("restart", _REQUESTED_BY))


def restart_with_orders(target: Target, store: GatewayStore) -> Coroutine[Any, Any, SupervisorAnswer]:
    """Restart the gateway, even if orders are working."""
    return _restart(target, store, SupervisorRequest("restart", _REQUESTED_BY, with_orders=True))


async def _restart(target: Target, store: GatewayStore, request: SupervisorRequest) -> SupervisorAnswer:
    if store.is_supervised():
        return await ask_supervisor(store, request)
    if make_driver(target.config.ibkr.gateway, store).owns_process:
        return SupervisorAnswer(is_done=False, message="no supervisor runs: start one with 'ibkr gateway start'")
    return await Supervisor(target.config).restart_once(request)


def print_status(target: Target, *, as_json: bool) -> None:
    """Print the state of the gateway. Exits with code 1 if it is not running."""

    async def read_status(store: GatewayStore) -> GatewayStatus:
        if store.is_supervised() and (stored := store.read_status()) is not None:
            return stored
        return await read_gateway_status(make_driver(target.config.ibkr.gateway, store))

    with closing(target.store) as store:
        found = _run(read_status(store))
    if as_json:
        _print_json(found)
    else:
        Console().print(_status_table(found))
    if found.state is not GatewayState.RUNNING:
        raise typer.Exit(1)


def print_log(target: Target, lines: int, *, follow: bool, of_supervisor: bool, as_json: bool) -> None:
    """Print the last lines of a log, and with ``follow`` also each new line."""
    show_accounts = target.config.ibkr.show_accounts

    def print_line(line: str) -> None:
        shown = _masked_line(line, show_accounts=show_accounts)
        print(to_json({"line": shown}) if as_json else shown, flush=True)

    async def read(store: GatewayStore) -> None:
        task = asyncio.current_task()
        assert task is not None, "a coroutine runs in a task"
        call_on_stop(task.cancel)
        if of_supervisor:
            output = follow_file(store.supervisor_log, lines, POLL_INTERVAL if follow else None)
        else:
            output = make_driver(target.config.ibkr.gateway, store).log(lines, follow=follow)
        async with aclosing(output):  # type: ignore[type-var]  # each driver returns a generator
            async for line in output:
                print_line(line)

    with closing(target.store) as store, suppress(KeyboardInterrupt, asyncio.CancelledError):
        _run(read(store))


def _run(work: Awaitable[T]) -> T:
    """Return the result. If it fails, print the reason and exit with code 1."""

    async def run() -> T:
        return await work

    try:
        return asyncio.run(run())
    except SupervisorRunning as error:
        typer.echo(f"ibkr gateway: {error}: see 'ibkr gateway status'", err=True)
    except DriverError as error:
        typer.echo(f"ibkr gateway: {error}", err=True)
    except STORE_ERRORS as error:
        typer.echo(f"ibkr gateway: {store_error_text(error)}", err=True)
    raise typer.Exit(1)


class _StatusPrinter:
    """Prints the gateway's part of a status as JSON, when it has changed."""

    def __init__(self) -> None:
        self._last: GatewayStatus | None = None

    def __call__(self, status: Status) -> None:
        if status.gateway is not None and status.gateway != self._last:
            self._last = status.gateway
            _print_json(status.gateway)


def _log_to_stderr() -> None:
    handler = logging.StreamHandler()
    handler.setFormatter(PrintableFormatter("%(asctime)s %(levelname)-7s %(message)s"))
    logger = logging.getLogger("ibkr")
    if not any(isinstance(each, logging.StreamHandler) for each in logging.getLogger().handlers):
        logger.addHandler(handler)
    logger.setLevel(min(logging.INFO, logger.getEffectiveLevel()))


def _print_answer(answer: SupervisorAnswer, *, as_json: bool) -> None:
    """Print an answer. Exits with code 1 if the action was not done."""
    if as_json:
        print(to_json({"ok": answer.is_done, "message": answer.message}))
    else:
        typer.echo(answer.message[:1].upper() + answer.message[1:] + ".", err=not answer.is_done)
    if not answer.is_done:
        raise typer.Exit(1)


def _print_json(status: GatewayStatus) -> None:
    values = to_jsonable(status)
    assert isinstance(values, dict), "a status is a mapping in JSON"
    print(to_json({**values, "reason": status.reason}), flush=True)


def _status_table(status: GatewayStatus) -> Table:
    rows = Table.grid(padding=(0, 2))
    rows.add_column(style="bold", no_wrap=True)
    rows.add_column()
    style = {GatewayState.RUNNING: "green", GatewayState.STOPPED: "dim"}.get(status.state, "yellow")
    rows.add_row("State", f"[{style}]{status.state}[/] since {status.since.astimezone():%a %H:%M:%S}")
    rows.add_row("Driver", f"{status.driver}, " + ("supervised" if status.supervised else "no supervisor runs"))
    for name, text in (("Why", status.reason), ("Alert", status.alert), ("To do", status.advice)):
        if text:
            rows.add_row(name, escape(text))
    rows.add_row("Restarts", f"{status.restarts} in the last 24 hours")
    if status.next_login is not None:
        rows.add_row("Next login", f"{status.next_login.astimezone():%a %d %b %H:%M}, with the second factor")
    return rows


def _masked_line(line: str, *, show_accounts: bool) -> str:
    """Return a line of another program's log without control characters, and with account ids masked."""
    text = to_printable(line[:_LONGEST_LINE]).rstrip()
    return text if show_accounts else mask_accounts(text)
