"""``ibkr gateway``: the process of TWS or IB Gateway: run it, see its login, restart it when only that helps."""

from __future__ import annotations

import asyncio
import json
import logging
import sqlite3
import sys
import time
from collections.abc import Coroutine
from contextlib import aclosing, closing, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, TypeVar

import typer
from rich.console import Console

from ibkr.cli.gateway_output import print_json, shown_line, status_table, tell
from ibkr.cli.on_alert import alert_sink
from ibkr.cli.options import ConfigOption, HostOption, JsonOption, PortOption, configured
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

app = typer.Typer(
    help="""Run the process of TWS or IB Gateway, see its login, restart it.

The table [cyan]\\[ibkr.gateway][/cyan] of ibkr.toml says what runs it: ibc2, ibc, docker,
systemd or any command. See docs/gateway.md for a setup of each.

Exit code 0 when it is done, or running; 1 when not; 2 for wrong usage or
configuration.
""",
    no_args_is_help=True,
)

WithOrdersOption = Annotated[
    bool, typer.Option("--with-orders", help="Restart although orders work: nobody watches them meanwhile.")
]


@dataclass(frozen=True)
class _Target:
    """The gateway of the configuration, and the options to find it by again."""

    cfg: Config
    options: tuple[str, ...]

    @property
    def store(self) -> GatewayStore:
        return GatewayStore(self.cfg.ibkr.gateway)


@app.command()
def run(
    on_alert: Annotated[
        str | None,
        typer.Option("--on-alert", metavar="COMMAND", help="Run it on alert, outage and recovery; status on stdin."),
    ] = None,
    as_json: JsonOption = False,
    host: HostOption = None,
    port: PortOption = None,
    config: ConfigOption = None,
) -> None:
    """Start the gateway and supervise it, until Ctrl-C or SIGTERM; for services.

    What happens is told on stderr. A process of our own (ibc, command) ends
    with this; ibc2, a container and a unit run on.
    """
    target = _target(config, host, port)
    sink = None if on_alert is None else alert_sink(on_alert, show_accounts=target.cfg.ibkr.show_accounts)
    _keep_a_diary()

    async def supervise() -> None:
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
        _do(supervise())


@app.command()
def start(
    as_json: JsonOption = False,
    host: HostOption = None,
    port: PortOption = None,
    config: ConfigOption = None,
) -> None:
    """Start the gateway with a supervisor in the background."""
    target = _target(config, host, port)

    async def begin(store: GatewayStore) -> Answer:
        if store.is_claimed():
            return await ask(store, Request("start", _BY))
        return await _start_in_background(target, store)

    with closing(target.store) as store:
        tell(_do(begin(store)), as_json=as_json)


@app.command()
def stop(
    as_json: JsonOption = False,
    host: HostOption = None,
    port: PortOption = None,
    config: ConfigOption = None,
) -> None:
    """Stop the gateway and its supervisor."""
    target = _target(config, host, port)

    async def end(store: GatewayStore) -> Answer:
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

    with closing(target.store) as store:
        tell(_do(end(store)), as_json=as_json)


@app.command()
def restart(
    with_orders: WithOrdersOption = False,
    as_json: JsonOption = False,
    host: HostOption = None,
    port: PortOption = None,
    config: ConfigOption = None,
) -> None:
    """Restart the gateway, without a login if IBC's command server can do so.

    Refused while a second factor is pending, and while orders work.
    """
    target = _target(config, host, port)
    request = Request("restart", _BY, with_orders)

    async def again(store: GatewayStore) -> Answer:
        if store.is_claimed():
            return await ask(store, request)
        if make_driver(target.cfg.ibkr.gateway, store).owns_process:
            return Answer(is_done=False, words="no supervisor runs: 'ibkr gateway start' starts one")
        return await Supervisor(target.cfg).restart_once(request)

    with closing(target.store) as store:
        tell(_do(again(store)), as_json=as_json)


@app.command()
def status(
    as_json: JsonOption = False,
    host: HostOption = None,
    port: PortOption = None,
    config: ConfigOption = None,
) -> None:
    """How the gateway's process and its login stand.

    Exit code 0 when it is running, 1 otherwise.
    """
    target = _target(config, host, port)

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


@app.command()
def logs(
    lines: Annotated[int, typer.Option("--lines", "-n", min=0, help="So many of the last lines.")] = 50,
    follow: Annotated[bool, typer.Option("--follow", "-f", help="Go on with each new line, until Ctrl-C.")] = False,
    supervisor: Annotated[
        bool, typer.Option("--supervisor", help="The log of the supervisor in the background instead.")
    ] = False,
    as_json: JsonOption = False,
    host: HostOption = None,
    port: PortOption = None,
    config: ConfigOption = None,
) -> None:
    """The gateway's own log: IBC's lines, the container's, the unit's."""
    target = _target(config, host, port)
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
        if supervisor:
            for line in last_lines(store.supervisor_log, lines):
                show(line)
        else:
            _do(read(store))


def _target(config: Path | None, host: str | None, port: int | None) -> _Target:
    cfg = configured(config, host, port, None, None)
    if not cfg.ibkr.gateway.driver:
        cure = "names no driver: say in the table [ibkr.gateway] what runs the gateway (docs/gateway.md)"
        raise ConfigError("ibkr.gateway.driver", "", cure)
    given = {"--config": config, "--host": host, "--port": port}
    return _Target(cfg, tuple(f"{name}={value}" for name, value in given.items() if value is not None))


def _do(work: Coroutine[Any, Any, T]) -> T:
    """Run it to its end; what went wrong is told in words."""
    try:
        return asyncio.run(work)
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


async def _start_in_background(target: _Target, store: GatewayStore) -> Answer:
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
        await asyncio.sleep(0.1)
    return Answer(is_done=False, words=f"the gateway does not run after {_START_TAKES:.0f} s; see {log}")


def _keep_a_diary() -> None:
    handler = logging.StreamHandler()
    handler.setFormatter(logging.Formatter("%(asctime)s %(levelname)-7s %(message)s"))
    logger = logging.getLogger("ibkr")
    if not any(isinstance(each, logging.StreamHandler) for each in logging.getLogger().handlers):
        logger.addHandler(handler)
    logger.setLevel(min(logging.INFO, logger.getEffectiveLevel()))
