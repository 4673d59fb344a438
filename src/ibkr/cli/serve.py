"""``ibkr serve``: holds the connection, and shows it to people and machines over HTTP."""

from __future__ import annotations

import asyncio
import contextlib
import importlib.util
import json
import os
import socket
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from ibkr.cli.on_alert import alert_sink
from ibkr.cli.options import ClientIdOption, ConfigOption, HostOption, JsonOption, PortOption, TimeoutOption, configured
from ibkr.cli.signals import call_on_stop
from ibkr.core.errors import ConfigError

if TYPE_CHECKING:
    from ibkr.config import Config
    from ibkr.connector import IBConnector
    from ibkr.observe.sink import Sink
    from ibkr.web.settings import WebSettings

_WHO = "Who may see it"
_TOLD = "What is remembered and told"


def serve(
    http: Annotated[
        str, typer.Option("--http", envvar="IBKR_HTTP", metavar="HOST:PORT", help="Where to serve; port 0: a free one.")
    ] = "127.0.0.1:8080",
    token_file: Annotated[
        Path | None,
        typer.Option(
            "--token-file",
            rich_help_panel=_WHO,
            help="File with the token that beyond this machine everybody needs; or set IBKR_HTTP_TOKEN.",
        ),
    ] = None,
    allow_host: Annotated[
        list[str] | None,
        typer.Option("--allow-host", rich_help_panel=_WHO, metavar="NAME", help="A name that the site is called by."),
    ] = None,
    history: Annotated[
        Path | None,
        typer.Option(
            "--history",
            envvar="IBKR_HISTORY",
            rich_help_panel=_TOLD,
            help="SQLite file for outages and state changes.",
            show_default="in memory",
        ),
    ] = None,
    on_outage: Annotated[
        str | None,
        typer.Option(
            "--on-outage",
            rich_help_panel=_TOLD,
            metavar="COMMAND",
            help="Run it on outage, alert and recovery; it gets the status as JSON on stdin.",
        ),
    ] = None,
    outage_after: Annotated[
        float, typer.Option("--outage-after", rich_help_panel=_TOLD, min=0, help="Seconds that an outage must last.")
    ] = 5.0,
    outage_apart: Annotated[
        float, typer.Option("--outage-apart", rich_help_panel=_TOLD, min=0, help="Seconds between two such outages.")
    ] = 60.0,
    as_json: JsonOption = False,
    host: HostOption = None,
    port: PortOption = None,
    client_id: ClientIdOption = None,
    timeout: TimeoutOption = None,
    config: ConfigOption = None,
) -> None:
    """Hold the connection, and show it: a page, JSON, health checks, metrics.

    It may start before the gateway, and runs until Ctrl-C or SIGTERM. See
    docs/serve.md for every path, the metrics and how to run it as a service.
    """
    # Over 40 lines by its signature, which typer makes the command line of.
    cfg = configured(config, host, port, client_id, timeout)
    _check_extra()
    from ibkr.web.settings import WebSettings

    where, number = _address(http)
    show = cfg.ibkr.show_accounts
    settings = WebSettings(where, number, token=_token(token_file), names=tuple(allow_host or ()), show_accounts=show)
    sinks = (
        []
        if on_outage is None
        else [alert_sink(on_outage, "serve.on_outage", outage_after, outage_apart, show_accounts=show)]
    )
    with _listen(settings) as listening, contextlib.suppress(KeyboardInterrupt):
        asyncio.run(_run(cfg, settings, history, sinks, listening, as_json=as_json))


async def _run(
    cfg: Config,
    settings: WebSettings,
    history: Path | None,
    sinks: Sequence[Sink],
    listening: socket.socket,
    *,
    as_json: bool,
) -> None:
    from ibkr.connector import IBConnector
    from ibkr.observe.history import History
    from ibkr.web.server import serve
    from ibkr.web.site import Site

    stop = asyncio.Event()
    call_on_stop(stop.set)
    connector = IBConnector.from_config(cfg)
    remembered = History(history, show_accounts=settings.show_accounts)
    site = Site(connector, settings, history=remembered, sinks=sinks, gateway=cfg.ibkr.gateway)
    site.open()
    site.hold()
    _say_where(settings.host, listening.getsockname()[1], connector, as_json=as_json)
    try:
        await serve(site, listening, stop)
    finally:
        await connector.disconnect_async()
        await site.close()


def _say_where(host: str, port: int, connector: IBConnector, *, as_json: bool) -> None:
    shown = {"0.0.0.0": "127.0.0.1", "::": "::1"}.get(host, host)
    url = f"http://[{shown}]:{port}/" if ":" in shown else f"http://{shown}:{port}/"
    if as_json:
        print(json.dumps({"url": url, "host": host, "port": port}), flush=True)
    else:
        print(f"Serving {url}", flush=True)
    status = connector.status
    typer.echo(f"Connecting to {status.endpoint} as client {status.client_id}. Ctrl-C ends it.", err=True)


def _check_extra() -> None:
    for package in ("starlette", "uvicorn", "prometheus_client"):
        if importlib.util.find_spec(package) is None:
            typer.echo(f"ibkr serve needs the package {package.replace('_', '-')}, which is not installed:", err=True)
            typer.echo('pip install "ibkr-connector[serve]"', err=True)
            raise typer.Exit(2)


def _address(text: str) -> tuple[str, int]:
    """HOST:PORT, or a port of this machine alone."""
    host, colon, port = text.rpartition(":")
    host = host.removeprefix("[").removesuffix("]") if colon else "127.0.0.1"
    if not host or not (port.isascii() and port.isdecimal()):
        raise ConfigError("serve.http", text, "must read HOST:PORT, like 127.0.0.1:8080 or [::1]:8080")
    return host, int(port)


def _token(file: Path | None) -> str:
    """From a file or the environment; never from an argument, which every user of the machine can read."""
    if file is None:
        return os.environ.pop("IBKR_HTTP_TOKEN", "").strip()  # no command that we run needs it
    try:
        token = file.read_text(encoding="utf-8-sig").strip()
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError("serve.token_file", str(file), f"cannot be read: {error}") from error
    if not token:
        raise ConfigError("serve.token_file", str(file), "is empty")
    return token


def _listen(settings: WebSettings) -> socket.socket:
    from ibkr.web.server import listen

    try:
        return listen(settings)
    except OSError as error:
        typer.echo(
            f"ibkr serve: cannot listen on {settings.host}:{settings.port}: {error.strerror or error}\n"
            "Another program has that port (another ibkr serve?), or it is no address of this machine: choose another"
            " with --http.",
            err=True,
        )
        raise typer.Exit(1) from error
