"""``ibkr status``: connects once, prints the status, and disconnects."""

from __future__ import annotations

import asyncio
from typing import Annotated

import typer
from rich.console import Console

from ibkr.cli.cli_options import (
    ClientIdOption,
    ConfigOption,
    HostOption,
    JsonOption,
    PortOption,
    TimeoutOption,
    load_cli_config,
)
from ibkr.cli.status_text import status_panel
from ibkr.config import Config
from ibkr.connector import IBConnector
from ibkr.core.errors import ConnectError, connect_error
from ibkr.core.serialization import to_json
from ibkr.core.states import ConnectionState
from ibkr.core.status import Status


def status(
    as_json: JsonOption = False,
    wait: Annotated[
        float | None, typer.Option("--wait", min=0, metavar="SECONDS", help="Wait at most this long for READY.")
    ] = None,
    host: HostOption = None,
    port: PortOption = None,
    client_id: ClientIdOption = None,
    timeout: TimeoutOption = None,
    config: ConfigOption = None,
) -> None:
    """Show whether TWS or IB Gateway is ready, and whether a program may trade.

    Connects, sends the start-up requests of every program, prints the status
    and disconnects.

    Exit code 0 if the connection is READY, 1 if not, 2 for wrong usage or
    configuration.
    """
    loaded = load_cli_config(config, host, port, client_id, timeout)
    found, error = asyncio.run(_read_status(loaded, wait))
    show_accounts = loaded.ibkr.show_accounts
    if as_json:
        shown = {**found.to_dict(show_accounts=show_accounts), "error": _error_dict(error)}
        # This command makes no subscription, but every JSON status has this key.
        print(to_json({**shown, "subscriptions": []}))
    elif error is None:
        Console().print(status_panel(found, show_accounts=show_accounts))
    if error is not None:
        print_connect_error(error, found)
    if error is not None or found.state is not ConnectionState.READY:
        raise typer.Exit(1)


def print_connect_error(error: ConnectError, found: Status) -> None:
    """Print on stderr why there is no session, and what to do."""
    stderr = Console(stderr=True, soft_wrap=True, markup=False, highlight=False)
    stderr.print(f"No session with {error.endpoint}: {found.reason}.", style="bold red")
    is_gateways = found.gateway is not None and bool(found.gateway.reason) and found.gateway.reason in found.reason
    stderr.print(found.gateway.advice if found.gateway is not None and is_gateways else error.advice)
    stderr.print("Run 'ibkr doctor' to check every step of the connection.")


async def _read_status(config: Config, wait: float | None) -> tuple[Status, ConnectError | None]:
    """Return the status after start-up, or after ``wait`` seconds, and the error if there is no session."""
    from ibkr.gateway.follower import follow_gateway  # an import at the top would slow down every other command

    connector = IBConnector.from_config(config)
    async with follow_gateway(config.ibkr.gateway, connector):
        if wait is not None:
            return await wait_for_ready(connector, wait)
        try:
            await connector.connect_async()
        except ConnectError as error:
            return connector.status, error
        found = connector.status
        await connector.disconnect_async()
        return found, None


async def wait_for_ready(connector: IBConnector, seconds: float) -> tuple[Status, ConnectError | None]:
    """Connect, and return the status when it is READY or the time is over, with the error if there is no session."""
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
    return found, last_connect_error(found)


async def _ready(connector: IBConnector) -> None:
    async for status in connector.changes():
        if status.state is ConnectionState.READY:
            return


def last_connect_error(status: Status) -> ConnectError | None:
    """Return the error that ``connect()`` would raise for the last failed attempt, or ``None``."""
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
