"""``ibkr status``: one connection, and what it showed."""

from __future__ import annotations

import asyncio
import json
from typing import Annotated

import typer
from rich.console import Console

from ibkr.cli.options import ClientIdOption, ConfigOption, HostOption, JsonOption, PortOption, TimeoutOption, configured
from ibkr.cli.render import status_panel
from ibkr.config import Config
from ibkr.connector import IBConnector
from ibkr.core.errors import ConnectError, connect_error
from ibkr.core.state import ConnectionState
from ibkr.core.status import Status


def status(
    as_json: JsonOption = False,
    wait: Annotated[
        float | None, typer.Option("--wait", min=0, metavar="SECONDS", help="Try this long for READY.")
    ] = None,
    host: HostOption = None,
    port: PortOption = None,
    client_id: ClientIdOption = None,
    timeout: TimeoutOption = None,
    config: ConfigOption = None,
) -> None:
    """Is TWS or IB Gateway there, is it ready, and may a program trade?

    Connects, reads what every program reads at its start, says how things
    stand, and leaves.

    Exit code 0 when the connection is READY, 1 when it is not.
    """
    cfg = configured(config, host, port, client_id, timeout)
    found, error = asyncio.run(_look(cfg, wait))
    show_accounts = cfg.ibkr.show_accounts
    if as_json:
        print(json.dumps({**found.to_dict(show_accounts=show_accounts), "error": _error_dict(error)}))
    elif error is None:
        Console().print(status_panel(found, show_accounts=show_accounts))
    if error is not None:
        tell_error(error, found)
    if error is not None or found.state is not ConnectionState.READY:
        raise typer.Exit(1)


def tell_error(error: ConnectError, found: Status) -> None:
    """Why there is no session, and the cure, on stderr."""
    talk = Console(stderr=True, soft_wrap=True, markup=False, highlight=False)
    talk.print(f"No session with {error.endpoint}: {found.reason}.", style="bold red")
    explained = found.gateway is not None and bool(found.gateway.reason) and found.gateway.reason in found.reason
    talk.print(found.gateway.advice if found.gateway is not None and explained else error.advice)
    talk.print("'ibkr doctor' looks at everything on the way.")


async def _look(cfg: Config, wait: float | None) -> tuple[Status, ConnectError | None]:
    """The status once it is settled, or after ``wait`` seconds; and why there is no session, if there is none."""
    from ibkr.gateway.follower import follow_gateway  # it would slow down every other command

    connector = IBConnector.from_config(cfg)
    async with follow_gateway(cfg.ibkr.gateway, connector):
        if wait is not None:
            return await look_until(connector, wait)
        try:
            await connector.connect_async()
        except ConnectError as error:
            return connector.status, error
        found = connector.status
        await connector.disconnect_async()
        return found, None


async def look_until(connector: IBConnector, seconds: float) -> tuple[Status, ConnectError | None]:
    """The status when it is READY, or after so many seconds; and why there is no session, if there is none."""
    connecting = asyncio.create_task(connector.connect_async(wait=True))
    ready = asyncio.create_task(_ready(connector))
    try:
        await asyncio.wait({connecting, ready}, timeout=seconds, return_when=asyncio.FIRST_EXCEPTION)
        if connecting.done():
            connecting.result()
        found = connector.status
    finally:
        connecting.cancel()
        ready.cancel()
        await asyncio.gather(connecting, ready, return_exceptions=True)
        await connector.disconnect_async()
    return found, last_cause(found)


async def _ready(connector: IBConnector) -> None:
    async for status in connector.changes():
        if status.state is ConnectionState.READY:
            return


def last_cause(status: Status) -> ConnectError | None:
    """The error that ``connect()`` would have raised for the last failed attempt."""
    if status.is_connected or status.failure is None:
        return None
    return connect_error(status.failure, status.endpoint, status.client_id, status.attempt)


def _error_dict(error: ConnectError | None) -> dict[str, object] | None:
    if error is None:
        return None
    return {
        "kind": str(error.kind),
        "endpoint": error.endpoint,
        "attempts": error.attempts,
        "message": str(error),
        "advice": error.advice,
    }
