"""``ibkr watch``: follows one connection, on a live screen or as lines."""

from __future__ import annotations

import asyncio
import sys
from collections import deque
from contextlib import suppress
from datetime import UTC, datetime
from http.client import HTTPException
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console
from rich.live import Live

from ibkr.cli.cli_options import (
    ClientIdOption,
    ConfigOption,
    HostOption,
    JsonOption,
    PortOption,
    TimeoutOption,
    load_cli_config,
    read_token,
)
from ibkr.cli.keyboard import Keyboard
from ibkr.cli.status_command import last_connect_error, print_connect_error
from ibkr.cli.status_text import masked_text
from ibkr.cli.watch_screen import StateChange, WatchScreen, add_state_change
from ibkr.cli.watch_sources import AttachedProgram, GapText, OwnConnection, Update, WatchSource
from ibkr.cli.web_client import WebApiError, WebClient
from ibkr.config import Config
from ibkr.core.gap_report import GapReport
from ibkr.core.serialization import to_json
from ibkr.core.states import ConnectionState
from ibkr.core.status import Status

_KEYBOARD_EVERY = 0.2
"""Seconds between two reads of the keyboard. A countdown is redrawn at this interval, everything else once a second."""

_MAX_STATE_CHANGES = 100

_ATTACH = "A running program (without the options below)"


def watch(
    as_json: JsonOption = False,
    attach: Annotated[
        str | None,
        typer.Option(
            "--attach",
            rich_help_panel=_ATTACH,
            metavar="URL",
            help="Watch the connection of the program that serves this page.",
        ),
    ] = None,
    token_file: Annotated[
        Path | None,
        typer.Option("--token-file", rich_help_panel=_ATTACH, help="File with its token. Or set IBKR_HTTP_TOKEN."),
    ] = None,
    host: HostOption = None,
    port: PortOption = None,
    client_id: ClientIdOption = None,
    timeout: TimeoutOption = None,
    config: ConfigOption = None,
) -> None:
    """Watch a connection live: its state, the reason, and what happens next.

    In a terminal it is a screen: r reconnects, q quits. Otherwise it prints a
    line for each change, until Ctrl-C. You can start it before the gateway.

    With [cyan]--attach http://127.0.0.1:8080/[/cyan] it makes no connection. It shows the
    connection of a program that has called connector.serve(), or of ibkr serve,
    with its orders, positions and subscriptions.

    Exit code 0 after q or Ctrl-C, 1 if its own connection is FAILED or there
    is nothing to attach to, 2 for wrong usage or configuration.
    """
    # This function has over 40 lines because typer makes the command line from the signature.
    if attach is not None:
        _check_attach_alone(
            {"--host": host, "--port": port, "--client-id": client_id, "--timeout": timeout, "--config": config}
        )
        _watch_program(WebClient(attach, read_token(token_file)), as_json=as_json)
        return
    if token_file is not None:
        raise typer.BadParameter("use --token-file only with --attach", param_hint="--token-file")
    loaded = load_cli_config(config, host, port, client_id, timeout)
    last = asyncio.run(_watch_own_connection(loaded, as_json=as_json))
    if last.state is ConnectionState.FAILED:
        if error := last_connect_error(last):
            print_connect_error(error, last)
        raise typer.Exit(1)


def _check_attach_alone(others: dict[str, object]) -> None:
    """Raise ``typer.BadParameter`` for options that are only for an own connection: they would be ignored."""
    for name, value in others.items():
        if value is not None:
            raise typer.BadParameter(f"use --attach or {name}, not both", param_hint=name)


def _watch_program(client: WebClient, *, as_json: bool) -> None:
    try:
        asyncio.run(_follow_program(client, as_json=as_json))
    except (OSError, HTTPException, WebApiError) as error:
        text = error if isinstance(error, WebApiError) else f"nothing answers at {client.url}: {error}"
        typer.echo(f"ibkr watch: {text}", err=True)
        typer.echo("The program must run, and show its page at this URL: connector.serve(), or ibkr serve.", err=True)
        raise typer.Exit(1) from error
    except KeyboardInterrupt:
        pass


async def _follow_program(client: WebClient, *, as_json: bool) -> None:
    async with AttachedProgram(client) as program:
        await _show(program, as_json=as_json)


async def _watch_own_connection(config: Config, *, as_json: bool) -> Status:
    """Follow the connection until the user stops it, or it has failed. Returns the last status."""
    from ibkr.gateway.follower import follow_gateway  # an import at the top would slow down every other command

    async with OwnConnection(config) as own, follow_gateway(config.ibkr.gateway, own.connector):
        await _show(own, as_json=as_json)
        return own.status


async def _show(source: WatchSource, *, as_json: bool) -> None:
    """Show the updates on a screen if stdout is one, otherwise as lines."""
    console = Console()
    if sys.stdout.isatty() and not as_json and not console.is_dumb_terminal and console.encoding == "utf-8":
        await _show_screen(source, console)
    else:
        await _print_lines(source, as_json=as_json)


async def _print_lines(source: WatchSource, *, as_json: bool) -> None:
    """Print each change, or as JSON each update. End when the user stops it, or an own connection has failed."""
    last_texts: dict[type, str] = {}
    while (update := await source.updates.get()) is not None:
        value = update.value
        if isinstance(value, str):
            typer.echo(f"ibkr watch: {value}", err=True)
            last_texts.clear()  # print the next status, even if it is the same as before
            continue
        at, text = _in_words(value, source.show_accounts)
        if as_json:
            print(to_json(update.json), flush=True)
        elif text != last_texts.get(type(value)):
            print(f"{at.astimezone().isoformat(' ', 'seconds')}  {text}", flush=True)
        last_texts[type(value)] = text
        has_failed = isinstance(value, Status) and value.state is ConnectionState.FAILED
        if has_failed and isinstance(source, OwnConnection):
            return


def _in_words(value: Status | GapReport | GapText, show_accounts: bool) -> tuple[datetime, str]:
    if isinstance(value, GapText):
        return value.end, f"gap report: {value.text}"
    if isinstance(value, GapReport):
        return value.end, f"gap report: {masked_text(str(value), value, show_accounts)}"
    trading = "may trade" if value.may_trade else "may not trade"
    return value.as_of, f"{value.state} ({masked_text(value.reason, value, show_accounts)}); {trading}"


async def _next_updates(queue: asyncio.Queue[Update | None], seconds: float) -> list[Update | None]:
    """Wait at most this many seconds for an update. Return all updates that have come."""
    with suppress(TimeoutError):
        async with asyncio.timeout(seconds):
            updates = [await queue.get()]
            while not queue.empty():
                updates.append(queue.get_nowait())
            return updates
    return []


async def _show_screen(source: WatchSource, console: Console) -> None:
    """Draw the screen at each change, and at least once a second, until the user quits."""
    changes: deque[StateChange] = deque(maxlen=_MAX_STATE_CHANGES)
    loop = asyncio.get_running_loop()
    with Keyboard() as keyboard, Live(console=console, screen=True, auto_refresh=False) as live:
        redraw_at = loop.time()
        while True:
            if loop.time() >= redraw_at:
                live.update(_screen(source, changes, keyboard), refresh=True)
                redraw_at = loop.time() + (0 if source.status.next_retry_at else 1)
            for update in await _next_updates(source.updates, _KEYBOARD_EVERY):
                if update is None:
                    return
                if isinstance(update.value, Status):
                    add_state_change(update.value, changes, show_accounts=source.show_accounts)
                redraw_at = loop.time()
            keys = keyboard.read()
            if "q" in keys:
                return
            if "r" in keys:
                source.reconnect()


def _screen(source: WatchSource, changes: deque[StateChange], keyboard: Keyboard) -> WatchScreen:
    status = source.status
    is_failed = status.state is ConnectionState.FAILED
    # After a first session, the user needs no advice, because the connector reconnects by itself.
    is_first = status.state in (ConnectionState.CONNECTING, ConnectionState.FAILED)
    error = last_connect_error(status) if is_first else None
    key_help = f" r  {'try again' if is_failed else 'reconnect now'}    q  quit"
    return WatchScreen(
        status,
        source.stats,
        changes,
        datetime.now(UTC),
        key_help if keyboard.is_available else " Ctrl-C  quit",
        gap=source.gap,
        advice=error.advice if error else "",
        show_accounts=source.show_accounts,
        details=source.details,
        gap_text=source.gap_text,
        trouble=source.trouble,
    )
