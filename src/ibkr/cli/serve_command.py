"""``ibkr serve``: keeps a connection, and serves its state over HTTP: page, JSON, health checks, metrics."""

from __future__ import annotations

import asyncio
import contextlib
import gc
import json
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from ibkr.cli.cli_options import (
    ClientIdOption,
    ConfigOption,
    HostOption,
    JsonOption,
    PortOption,
    TimeoutOption,
    load_cli_config,
    parse_address,
    read_token,
)
from ibkr.cli.long_running import CANNOT_LISTEN, call_on_stop, make_command_sink, why_not_listening
from ibkr.core.errors import ConnectError
from ibkr.core.extras import install_hint

if TYPE_CHECKING:
    from ibkr.config import Config
    from ibkr.connector import IBConnector
    from ibkr.journal.halt_file import HaltFile
    from ibkr.observe.sink import Sink
    from ibkr.web.page_thread import ServedPage
    from ibkr.web.web_settings import WebSettings

_STOP_TIMEOUT, _SINKS_TIMEOUT = 1.0, 0.5
"""Seconds from SIGTERM to the end, and the part of this time that sinks always have to send what they have queued."""

_ACCESS = "Access"
_HISTORY = "History and alerts"


def serve(
    http: Annotated[
        str,
        typer.Option(
            "--http", envvar="IBKR_HTTP", metavar="HOST:PORT", help="Where to listen. Port 0 chooses a free port."
        ),
    ] = "127.0.0.1:8080",
    token_file: Annotated[
        Path | None,
        typer.Option(
            "--token-file",
            rich_help_panel=_ACCESS,
            help="File with the token that other machines need. Or set IBKR_HTTP_TOKEN.",
        ),
    ] = None,
    allow_host: Annotated[
        list[str] | None,
        typer.Option(
            "--allow-host", rich_help_panel=_ACCESS, metavar="NAME", help="A host name in the URL of the page."
        ),
    ] = None,
    trust_proxy: Annotated[
        list[str] | None,
        typer.Option(
            "--trust-proxy",
            rich_help_panel=_ACCESS,
            metavar="ADDRESS",
            help="A TLS proxy on another machine. Its headers about visitors are trusted.",
        ),
    ] = None,
    history: Annotated[
        Path | None,
        typer.Option(
            "--history",
            envvar="IBKR_HISTORY",
            rich_help_panel=_HISTORY,
            help="SQLite file for outages and state changes.",
            show_default="in memory",
        ),
    ] = None,
    on_outage: Annotated[
        str | None,
        typer.Option(
            "--on-outage",
            rich_help_panel=_HISTORY,
            metavar="COMMAND",
            help="Run this on outage, alert and recovery, with the status as JSON on stdin.",
        ),
    ] = None,
    outage_after: Annotated[
        float, typer.Option("--outage-after", rich_help_panel=_HISTORY, min=0, help="Seconds that an outage must last.")
    ] = 5.0,
    outage_apart: Annotated[
        float,
        typer.Option("--outage-apart", rich_help_panel=_HISTORY, min=0, help="Seconds between two reported outages."),
    ] = 60.0,
    fleet: Annotated[
        bool, typer.Option("--fleet", help="Also show the fleet in \\[ibkr.fleet], at /fleet and /api/fleet.")
    ] = False,
    as_json: JsonOption = False,
    host: HostOption = None,
    port: PortOption = None,
    client_id: ClientIdOption = None,
    timeout: TimeoutOption = None,
    config: ConfigOption = None,
) -> None:
    """Keep a connection, and show it: a page, JSON, health checks, metrics.

    You can start it before the gateway. It runs until Ctrl-C or SIGTERM. See
    docs/serve.md for every path, the metrics and how to run it as a service.

    Exit code 0 after Ctrl-C or SIGTERM, 1 if it cannot listen, 2 for wrong
    usage or configuration, or if the extra 'serve' is not installed.
    """
    # This function has over 40 lines because typer makes the command line from the signature.
    loaded = load_cli_config(config, host, port, client_id, timeout)
    _check_extra()
    from ibkr.web.web_settings import WebSettings

    show = loaded.ibkr.show_accounts
    settings = WebSettings(
        *parse_address(http, "--http"),
        token=read_token(token_file),
        names=tuple(allow_host or ()),
        proxies=tuple(trust_proxy or ()),
        show_accounts=show,
    )
    sinks: list[Sink] = []
    if on_outage is not None:
        sinks.append(make_command_sink(on_outage, "serve.on_outage", outage_after, outage_apart, show_accounts=show))
    if loaded.ibkr.alerts.urls:
        from ibkr.observe.alerts import alert_sinks

        sinks += alert_sinks(loaded.ibkr.alerts, show_accounts=show)
    shown_fleet = None
    if fleet:
        from ibkr.cli.fleet_command import load_fleet

        shown_fleet = load_fleet(config, None)
    from ibkr.connector import IBConnector

    connector = IBConnector.from_config(loaded)
    page = _serve_page(
        connector,
        settings,
        history,
        sinks=sinks,
        gateway=loaded.ibkr.gateway,
        halt_file=_halt_file(config),
        fleet=shown_fleet,
        is_held=True,
    )
    with contextlib.suppress(KeyboardInterrupt):
        asyncio.run(_run(connector, page, loaded, as_json=as_json))


async def _run(connector: IBConnector, page: ServedPage, config: Config, *, as_json: bool) -> None:
    """Keep the connection in the running event loop until Ctrl-C or SIGTERM, then close the connection and page."""
    from ibkr.gateway.follower import follow_gateway
    from ibkr.observe.heartbeat import LivenessReporter

    stop, loop = asyncio.Event(), asyncio.get_running_loop()
    call_on_stop(stop.set)
    # All objects that exist now stay until the program ends. Without this call, every full garbage collection would
    # visit them, and would stop the loop for a longer time.
    gc.freeze()
    _print_url(page, connector, as_json=as_json)
    heartbeat = LivenessReporter(config.ibkr.alerts)
    heartbeat.open()
    connecting = loop.create_task(_connect(connector))
    async with follow_gateway(config.ibkr.gateway, connector):
        try:
            await stop.wait()
        finally:
            ends_at = loop.time() + _STOP_TIMEOUT
            heartbeat.close()
            connecting.cancel()
            await connector.disconnect_async()
            await asyncio.to_thread(page.close, wait=True, within=max(_SINKS_TIMEOUT, ends_at - loop.time()))


async def _connect(connector: IBConnector) -> None:
    with contextlib.suppress(ConnectError):  # the state is FAILED; the page's thread tries again
        await connector.connect_async(wait=True)


def _serve_page(connector: IBConnector, settings: WebSettings, history: Path | None, **options: Any) -> ServedPage:
    from ibkr.web.page_thread import serve_in_thread

    try:
        return serve_in_thread(connector, settings, history, **options)
    except CANNOT_LISTEN as error:
        cure = "Another program uses that port (another ibkr serve?): choose another port with --http."
        reason = why_not_listening(error, cure)
        typer.echo(f"ibkr serve: cannot listen on {settings.host}:{settings.port}: {reason}", err=True)
        raise typer.Exit(1) from error


def _halt_file(config: Path | None) -> HaltFile | None:
    """Return the halt file of the program that trades, if it has a journal."""
    from ibkr.config import load_config

    path = load_config(config).ibkr.journal
    if not path:
        return None
    from ibkr.journal.halt_file import HaltFile
    from ibkr.journal.journal_path import journal_path

    return HaltFile(journal_path(path))


def _print_url(page: ServedPage, connector: IBConnector, *, as_json: bool) -> None:
    if as_json:
        print(json.dumps({"url": page.url, "host": page.host, "port": page.port}), flush=True)
    else:
        print(f"Serving {page.url}", flush=True)
    status = connector.status
    typer.echo(f"Connecting to {status.endpoint} as client {status.client_id}. Press Ctrl-C to stop.", err=True)


def _check_extra() -> None:
    from ibkr.web.page_thread import missing_package

    if package := missing_package():
        typer.echo(install_hint("ibkr serve", "serve", package), err=True)
        raise typer.Exit(2)
