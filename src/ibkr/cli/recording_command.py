"""``ibkr recording`` and ``ibkr replay``: print, compare and replay recordings of ``ibkr proxy``."""

from __future__ import annotations

import asyncio
import json
import logging
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.console import Console
from rich.table import Table

from ibkr.cli.cli_options import JsonOption
from ibkr.cli.long_running import log_to_stderr, run_server
from ibkr.core.serialization import to_printable

if TYPE_CHECKING:
    from ibkr.proxy import Recording

app = typer.Typer(
    help="Print a recording of ibkr proxy, and compare it with the simulated gateway.", add_completion=False
)

FileArgument = Annotated[Path, typer.Argument(metavar="FILE", help="A recording of ibkr proxy --record.")]


@app.command()
def show(
    file: FileArgument,
    only: Annotated[str, typer.Option("--show", help="Show only: session, orders, account, data, errors.")] = "",
    name: Annotated[str | None, typer.Option("--name", help="Only messages with this name: orderStatus.")] = None,
    request: Annotated[int | None, typer.Option("--id", help="Only messages with this request or order id.")] = None,
    streams: Annotated[bool, typer.Option("--streams/--no-streams", help="Also show ticks and other streams.")] = True,
    as_json: JsonOption = False,
) -> None:
    """Print the messages of a recording, one line each."""
    from ibkr.proxy.message_catalog import STREAM_MESSAGES
    from ibkr.proxy.message_logger import category, check_categories, message_line

    try:
        wanted = check_categories([word for word in only.split(",") if word])
    except ValueError as error:
        raise typer.BadParameter(str(error), param_hint="--show") from None
    recording = _read(file)
    for entry in recording.entries:
        fields = entry.fields or {}
        is_wanted = category(entry.name) in wanted and name in (None, entry.name)
        is_wanted = is_wanted and (streams or entry.name not in STREAM_MESSAGES)
        if not is_wanted or (request is not None and request not in (fields.get("req_id"), fields.get("order_id"))):
            continue
        side = "client" if entry.is_request else "gateway"
        if as_json:
            typer.echo(json.dumps({"t": entry.at, "from": side, "name": entry.name, "fields": entry.fields}))
        else:
            arrow = "->" if entry.is_request else "<-"
            _echo(f"{entry.at:10.3f} {arrow} {message_line(entry.name, entry.fields)}")


@app.command()
def stats(file: FileArgument, as_json: JsonOption = False) -> None:
    """Print messages, rates, round trips by request, errors and silences."""
    from ibkr.proxy.recording_stats import compute_stats

    recording = _read(file)
    found = compute_stats(recording).to_dict()
    if as_json:
        typer.echo(json.dumps(found))
        return
    header = recording.header
    rate = f"{found['messages_per_second']} messages per second, at most {found['busiest_second']}"
    _echo(f"{header.started}, version {header.server_version}, {found['duration_s']} s, {rate}")
    _echo(recording.end or "the recording has no end: it was cut off")
    for title in ("requests", "messages", "errors"):
        _table(title, ("name", "count"), list(found[title].items()))
    rows = [
        (key, trip["answered"], trip["unanswered"], trip.get("median_ms", ""), trip.get("max_ms", ""))
        for key, trip in found["round_trips"].items()
    ]
    _table("round trips", ("request", "answered", "unanswered", "median ms", "longest ms"), rows)
    _table("silences", ("at s", "for s"), [(each["at_s"], each["for_s"]) for each in found["silences"]])


@app.command()
def compare(file: FileArgument, as_json: JsonOption = False) -> None:
    """Send a recording's requests to the simulated gateway. Compare answers.

    Lists the differences: which messages come, in which sequence, with
    which fields and formats. Values are not compared. The list contains
    nothing personal.

    Exit code 0 if nothing differs except market data and what the account
    holds; 1 if more differs; 2 if the file is not a recording.
    """
    from ibkr.proxy.compare import compare as compare_with_simulator

    log = logging.getLogger("ibkr.simulator")
    level = log.level
    log.setLevel(logging.CRITICAL)  # the log of the gateway is about our own client
    try:
        comparison = asyncio.run(compare_with_simulator(_read(file)))
    finally:
        log.setLevel(level)
    if as_json:
        typer.echo(json.dumps(comparison.to_dict()))
    else:
        for found in comparison.differences:
            excuse = f" ({found.excuse})" if found.excuse else ""
            times = f" x{found.times}" if found.times > 1 else ""
            _echo(f"{found.request}, {found.message}, {found.kind}: {found.text}{times}{excuse}")
        excused = len(comparison.differences) - len(comparison.unexcused)
        typer.echo(
            f"{comparison.asked} requests: {len(comparison.unexcused)} differences,"
            f" and {excused} in market data or in what the account holds"
        )
    if comparison.unexcused:
        raise typer.Exit(1)


def replay(
    file: FileArgument,
    host: Annotated[str, typer.Option("--host", help="Address. Beyond loopback, everybody can use it.")] = "127.0.0.1",
    port: Annotated[int, typer.Option("--port", min=0, max=65535, help="API port. 0 chooses a free port.")] = 7497,
    speed: Annotated[float, typer.Option("--speed", help="2 is twice as fast; inf does not wait.")] = 1.0,
    as_json: JsonOption = False,
) -> None:
    """Answer any client as the recorded gateway did, until Ctrl-C.

    A request that is not in the recording gets an error that reports this.

    Exit code 0 after Ctrl-C or SIGTERM, 1 if it cannot listen, 2 for wrong
    usage, or if the file is not a recording.
    """
    from ibkr.proxy import ReplayGateway

    recording = _read(file)
    try:
        server = ReplayGateway(recording, host, port, speed=speed)
    except ValueError as error:
        raise typer.BadParameter(str(error), param_hint="--speed") from None
    log_to_stderr("ibkr.proxy")

    def print_address() -> None:
        if as_json:
            print(json.dumps({"host": server.host, "port": server.port}), flush=True)
        else:
            print(f"Replay of {recording.path.name} listens on {server.host}:{server.port}", flush=True)

    cure = "Another program uses that port, or you may not use it: choose another port (--port)."
    run_server(server, print_address, f"ibkr replay: cannot listen on {host}:{port}", cure)


def _read(file: Path) -> Recording:
    """Read a recording. Exits with code 2 if the file is not one."""
    from ibkr.proxy import Recording, RecordingError

    try:
        return Recording.read(file)
    except (RecordingError, OSError) as error:
        words = f"{file}: cannot be read: {error.strerror}" if isinstance(error, OSError) else str(error)
        _echo(f"ibkr: {words}", err=True)
        raise typer.Exit(2) from error


def _echo(text: str, *, err: bool = False) -> None:
    """Print text from a recording without control characters."""
    typer.echo(to_printable(text), err=err)


def _table(title: str, columns: tuple[str, ...], rows: list[Any]) -> None:
    if not rows:
        return
    table = Table(title=title, title_justify="left", box=None, pad_edge=False, padding=(0, 2, 0, 0))
    for column in columns:
        table.add_column(column, justify="left" if column in ("name", "request") else "right")
    for row in rows:
        table.add_row(*(to_printable(str(each)) for each in row))
    Console(markup=False, highlight=False).print(table)
