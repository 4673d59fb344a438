"""What the commands of ``ibkr gateway`` do."""

from __future__ import annotations

import asyncio
import json
import logging
import sqlite3
import sys
import time
from collections.abc import Awaitable, Callable, Coroutine
from contextlib import aclosing, closing, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

import typer
from rich.console import Console

from ibkr.cli.gateway_output import print_json, shown_line, status_table, tell
from ibkr.cli.on_alert import alert_sink
from ibkr.cli.options import configured
from ibkr.cli.signals import call_on_stop
from ibkr.config import Config
from ibkr.core.errors import ConfigError
from ibkr.core.gateway import GatewayState, GatewayStatus
from ibkr.core.status import Status
from ibkr.gateway.driver import DriverError
from ibkr.gateway.drivers import make_driver
from ibkr.gateway.follower import ask
from ibkr.gateway.log_file import last_lines
from ibkr.gateway.monitor import look
from ibkr.gateway.processes import spawn
from ibkr.gateway.store import Answer, GatewayStore, Request, SupervisorRuns
from ibkr.gateway.supervisor import Supervisor
from ibkr.observe.sink import Relay

_START_TAKES = 90.0
_BY = "the command line"
T = TypeVar("T")


@dataclass(frozen=True)
class Target:
    """The gateway of the configuration, and the options to find it by again."""

    cfg: Config
    options: tuple[str, ...]

    @property
    def store(self) -> GatewayStore:
        """A new one, to be closed."""
        return GatewayStore(self.cfg.ibkr.gateway)


def target_of(config: Path | None, host: str | None, port: int | None) -> Target:
    """The gateway that the options name. Raises ``ConfigError``."""
    cfg = configured(config, host, port, None, None)
    if not cfg.ibkr.gateway.driver:
        cure = "names no driver: say in the table [ibkr.gateway] what runs the gateway (docs/gateway.md)"
        raise ConfigError("ibkr.gateway.driver", "", cure)
    given = {"--config": config, "--host": host, "--port": port}
    return Target(cfg, tuple(f"{name}={value}" for name, value in given.items() if value is not None))


def supervise(target: Target, on_alert: str | None, *, as_json: bool) -> None:
    """Supervise until a signal comes."""
    sink = None if on_alert is None else alert_sink(on_alert, show_accounts=target.cfg.ibkr.show_accounts)
    _log_to_stderr()

    async def work() -> None:
        supervisor = Supervisor(target.cfg)
        call_on_stop(supervisor.stop)
        relay = None if sink is None else Relay(sink)
        if relay is not None:
            supervisor.connector.on_status(relay)
        if as_json:
            supervisor.connector.on_status(_Printer())
        try:
            await supervisor.run()
        finally:
            if relay is not None:
                await asyncio.to_thread(relay.close)

    with suppress(KeyboardInterrupt):
        _do(work())


def answer_with(
    act: Callable[[Target, GatewayStore], Coroutine[Any, Any, Answer]], target: Target, *, as_json: bool
) -> None:
    """Do it, and print what became of it."""
    with closing(target.store) as store:
        tell(_do(act(target, store)), as_json=as_json)


async def start(target: Target, store: GatewayStore) -> Answer:
    """Have the supervisor start the gateway, or start one in the background."""
    if store.is_claimed():
        return await ask(store, Request("start", _BY))
    store.make_folder()
    log = store.supervisor_log
    process = spawn([sys.executable, "-m", "ibkr", "gateway", "run", *target.options], log)
    deadline = time.monotonic() + _START_TAKES
    while time.monotonic() < deadline:
        if process.poll() is not None:
            last = "; ".join(shown_line(line, show_accounts=False) for line in last_lines(log, 3))
            return Answer(is_done=False, words=f"the supervisor has ended: {last}")
        told = store.read_status() if store.is_claimed() else None
        if told is not None and told.state is not GatewayState.STOPPED:
            process.returncode = 0  # it is not ours to wait for
            return Answer(is_done=True, words=f"the gateway's process runs; the log of its supervisor: {log}")
        await asyncio.sleep(0.1)  # another process writes the status file, and no event says so
    return Answer(is_done=False, words=f"the gateway does not run after {_START_TAKES:.0f} s; see {log}")


async def stop(target: Target, store: GatewayStore) -> Answer:
    """Stop the gateway, and the supervisor if one runs."""
    if store.is_claimed():
        answer = await ask(store, Request("stop", _BY))
        while answer.is_done and store.is_claimed():  # noqa: ASYNC110 - its end sets no event
            await asyncio.sleep(0.1)
        return answer
    driver = make_driver(target.cfg.ibkr.gateway, store)
    if not await driver.is_running():
        return Answer(is_done=True, words="the gateway does not run")
    await driver.stop()
    return Answer(is_done=True, words="the gateway is stopped")


def restart(target: Target, store: GatewayStore) -> Coroutine[Any, Any, Answer]:
    """Restart the gateway, unless orders work."""
    return _restart(target, store, Request("restart", _BY))


def restart_with_orders(target: Target, store: GatewayStore) -> Coroutine[Any, Any, Answer]:
    """Restart the gateway, also if orders work."""
    return _restart(target, store, Request("restart", _BY, with_orders=True))


async def _restart(target: Target, store: GatewayStore, request: Request) -> Answer:
    if store.is_claimed():
        return await ask(store, request)
    if make_driver(target.cfg.ibkr.gateway, store).owns_process:
        return Answer(is_done=False, words="no supervisor runs: 'ibkr gateway start' starts one")
    return await Supervisor(target.cfg).restart_once(request)


def show_status(target: Target, *, as_json: bool) -> None:
    """Print how the gateway stands; exit code 1 if it is not running."""

    async def seen(store: GatewayStore) -> GatewayStatus:
        if store.is_claimed() and (told := store.read_status()) is not None:
            return told
        return await look(make_driver(target.cfg.ibkr.gateway, store))

    with closing(target.store) as store:
        found = _do(seen(store))
    if as_json:
        print_json(found)
    else:
        Console().print(status_table(found))
    if found.state is not GatewayState.RUNNING:
        raise typer.Exit(1)


def show_log(target: Target, lines: int, *, follow: bool, of_supervisor: bool, as_json: bool) -> None:
    """Print the last lines of a log, and with ``follow`` those that come."""
    show_accounts = target.cfg.ibkr.show_accounts

    def show(line: str) -> None:
        shown = shown_line(line, show_accounts=show_accounts)
        print(json.dumps({"line": shown}) if as_json else shown, flush=True)

    async def read(store: GatewayStore) -> None:
        output = make_driver(target.cfg.ibkr.gateway, store).log(lines, follow=follow)
        async with aclosing(output):  # type: ignore[type-var]  # every driver's is a generator
            async for line in output:
                show(line)

    with closing(target.store) as store, suppress(KeyboardInterrupt):
        if of_supervisor:
            for line in last_lines(store.supervisor_log, lines):
                show(line)
        else:
            _do(read(store))


def _do(work: Awaitable[T]) -> T:
    """Run it to its end. What went wrong is printed on stderr."""

    async def run() -> T:
        return await work

    try:
        return asyncio.run(run())
    except SupervisorRuns as error:
        typer.echo(f"ibkr gateway: {error}: see 'ibkr gateway status'", err=True)
    except DriverError as error:
        typer.echo(f"ibkr gateway: {error}", err=True)
    except (OSError, sqlite3.Error) as error:
        typer.echo(f"ibkr gateway: the folder of its state cannot be used: {error}; see gateway.state_dir", err=True)
    raise typer.Exit(1)


class _Printer:
    """Prints the gateway's part of each status in which it has changed."""

    def __init__(self) -> None:
        self._last: GatewayStatus | None = None

    def __call__(self, status: Status) -> None:
        if status.gateway is not None and status.gateway != self._last:
            self._last = status.gateway
            print_json(status.gateway)


def _log_to_stderr() -> None:
    handler = logging.StreamHandler()
    handler.setFormatter(logging.Formatter("%(asctime)s %(levelname)-7s %(message)s"))
    logger = logging.getLogger("ibkr")
    if not any(isinstance(each, logging.StreamHandler) for each in logging.getLogger().handlers):
        logger.addHandler(handler)
    logger.setLevel(min(logging.INFO, logger.getEffectiveLevel()))
