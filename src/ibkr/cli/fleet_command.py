"""``ibkr fleet``: runs a test server, shows the fleet, makes a leader hand over, releases client ids."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, TypeVar

import typer
from rich.console import Console
from rich.table import Table

from ibkr.cli.cli_options import ConfigOption, JsonOption, parse_address
from ibkr.core.serialization import to_json, to_printable

if TYPE_CHECKING:
    from ibkr.core.fleet_settings import Fleet
    from ibkr.fleet.nats_server import NatsServer
    from ibkr.fleet.nats_store import FleetStore

T = TypeVar("T")

_LOCAL_SERVER = "nats://127.0.0.1:4222"

app = typer.Typer(
    help="""Many programs, many machines: who leads, who may trade, who takes over.

The table [cyan]\\[ibkr.fleet][/cyan] of ibkr.toml names the NATS servers of the fleet. See
docs/fleet.md.

Exit code 0 if it is done, or no problem was found; 1 if not; 2 for wrong usage or
configuration.
""",
    no_args_is_help=True,
    add_completion=False,
)

ServersOption = Annotated[
    str | None,
    typer.Option("--servers", metavar="URLS", help=f"The fleet's servers. Default: as configured, or {_LOCAL_SERVER}."),
]
GatewayOption = Annotated[str, typer.Option("--gateway", help="Only at this gateway, as fleet status names it.")]


@app.command()
def up(
    folder: Annotated[Path, typer.Option("--data", help="Folder for the server's data.")] = Path(".ibkr-fleet"),
    listen: Annotated[
        str, typer.Option("--listen", metavar="HOST:PORT", help="Where to listen. Port 0 chooses a free port.")
    ] = "127.0.0.1:4222",
    as_json: JsonOption = False,
) -> None:
    """Run a NATS server until Ctrl-C, to try a fleet on one machine.

    It has no password. On an address other than 127.0.0.1, everybody who
    reaches it may trade. See docs/fleet.md for several machines.
    """
    from ibkr.fleet.nats_server import NatsServer, NatsServerError

    try:
        server = NatsServer(_data_folder(folder), *parse_address(listen, "--listen"))
        url = server.start()
    except (NatsServerError, RuntimeError) as error:
        typer.echo(f"ibkr fleet up: {error}", err=True)
        raise typer.Exit(1) from error

    print(json.dumps({"url": url}) if as_json else f"Serving {url}", flush=True)
    typer.echo(f"Write in ibkr.toml: [ibkr.fleet] with servers = {url!r} and a name. Press Ctrl-C to stop.", err=True)
    try:
        code = asyncio.run(_wait_until_stopped(server))
    except KeyboardInterrupt:
        server.stop()
        code = 0
    if code:
        typer.echo("ibkr fleet up: the server has stopped by itself", err=True)
        raise typer.Exit(code)


def _data_folder(folder: Path) -> Path:
    """Return the absolute path. Raises ``RuntimeError``, for example for "~name" if there is no user "name"."""
    from ibkr.core.errors import NO_WORKING_FOLDER

    try:
        return folder.expanduser().absolute()
    except FileNotFoundError as error:
        raise RuntimeError(f"--data {str(folder)!r}: {NO_WORKING_FOLDER}") from error


async def _wait_until_stopped(server: NatsServer) -> int:
    """Wait for a stop signal (returns 0), or until the server stops by itself (returns 1)."""
    from ibkr.cli.long_running import call_on_stop

    stop = asyncio.Event()
    call_on_stop(stop.set)
    ended = asyncio.ensure_future(asyncio.to_thread(server.wait))
    stopping = asyncio.ensure_future(stop.wait())
    await asyncio.wait({ended, stopping}, return_when=asyncio.FIRST_COMPLETED)
    stopping.cancel()
    if ended.done():
        return 1
    await asyncio.to_thread(server.stop)
    await ended
    return 0


@app.command()
def status(
    as_json: JsonOption = False,
    watch: Annotated[bool, typer.Option("--watch", "-w", help="Print again at each change, until Ctrl-C.")] = False,
    servers: ServersOption = None,
    config: ConfigOption = None,
) -> None:
    """Show every gateway and program: who leads, who may trade, who is lost.

    Exit code 0 if every leader may trade, 1 if one may not, or if a program
    is lost.
    """
    fleet = load_fleet(config, servers)
    from ibkr.fleet.administration import read_board

    if watch:
        try:
            asyncio.run(_follow_board(fleet, as_json=as_json))
        except KeyboardInterrupt:
            return
        return
    found = _run(read_board(fleet))
    _print_board(found, as_json=as_json)
    if not all_is_well(found):
        raise typer.Exit(1)


@app.command("hand-over")
def hand_over(
    name: Annotated[str, typer.Argument(help="Name of the program.")],
    gateway: GatewayOption = "",
    as_json: JsonOption = False,
    servers: ServersOption = None,
    config: ConfigOption = None,
) -> None:
    """Tell the leading program to hand over to a standby program.

    Exit code 1 if it does not: there is no leader, or no standby.
    """
    from ibkr.fleet import administration

    answers = _with_store(config, servers, lambda store: administration.hand_over(store, name, gateway))
    if as_json:
        print(to_json([{"gateway": where, "ok": not words, "words": words} for where, words in answers]))
    else:
        for where, words in answers:
            print(to_printable(f"{name} at {where}: {words or 'hands over'}"))
    if not answers:
        typer.echo(f"ibkr fleet hand-over: no program with the name {name} leads", err=True)
    if not answers or any(words for _, words in answers):
        raise typer.Exit(1)


@app.command()
def forget(
    name: Annotated[str, typer.Argument(help="Name of a program that will not run again.")],
    servers: ServersOption = None,
    config: ConfigOption = None,
) -> None:
    """Release the client ids of a program, so that other programs may use them.

    Refused while a program with this name runs.
    """
    from ibkr.fleet import administration

    taken = _with_store(config, servers, lambda store: administration.release_client_ids(store, name))
    print(f"{taken} client id{'s'[: taken != 1]} of {name} released.")


@app.command()
def permissions(
    name: Annotated[str, typer.Argument(help="Name of the program.")],
) -> None:
    """Print the NATS permissions of a program as JSON, for the server's settings.

    With them, the program can get only the lease of its own name.
    """
    from ibkr.fleet.subjects import member_permissions

    print(json.dumps(member_permissions(name), indent=2))


def load_fleet(config: Path | None, servers: str | None) -> Fleet:
    """Return the settings of the fleet for a command that a person runs. Raises ``ConfigError``."""
    from ibkr.config import load_config
    from ibkr.core.fleet_settings import Fleet

    table: dict[str, Any] = {} if servers is None else {"servers": servers}
    table["name"] = "operator"
    configured = load_config(config, fleet=table).ibkr.fleet
    return configured if configured.servers else Fleet(_LOCAL_SERVER, name="operator")


def all_is_well(found: dict[str, Any]) -> bool:
    """Whether no program is lost, and every leader may trade."""
    programs = [program for gateway in found["gateways"] for program in gateway["programs"]]
    return not any(each["is_lost"] or (each["role"] == "leader" and not each["may_trade"]) for each in programs)


def _with_store(config: Path | None, servers: str | None, work: Callable[[FleetStore], Awaitable[T]]) -> T:
    from ibkr.fleet.administration import with_store

    return _run(with_store(load_fleet(config, servers), work))


def _run(work: Awaitable[T]) -> T:
    """Return the result. If it fails, print the reason and exit with code 1."""
    from ibkr.core.errors import FleetError

    async def run() -> T:
        return await work

    try:
        return asyncio.run(run())
    except FleetError as error:
        typer.echo(f"ibkr fleet: {error}", err=True)
        raise typer.Exit(1) from error


async def _follow_board(fleet: Fleet, *, as_json: bool) -> None:
    from ibkr.fleet.board import Board

    changed = asyncio.Event()
    board = Board(fleet, on_change=changed.set)
    running = asyncio.ensure_future(board.run())
    try:
        while not running.done():
            await changed.wait()
            changed.clear()
            _print_board(board.to_dict(), as_json=as_json)
            await asyncio.sleep(0.2)  # print changes that come together as one change
        await running
    finally:
        running.cancel()
        await asyncio.gather(running, return_exceptions=True)


def _print_board(found: dict[str, Any], *, as_json: bool) -> None:
    if as_json:
        print(json.dumps(found), flush=True)
        return
    console = Console(markup=False, highlight=False)
    if found["trouble"]:
        console.print(f"The servers {found['servers']} do not answer: {found['trouble']}", style="red")
    if found["halt"] is not None:
        console.print(
            "HALTED: {} (by {}, {})".format(*(found["halt"].get(key, "?") for key in ("reason", "by", "at"))),
            style="red",
        )
    if not found["gateways"]:
        console.print("No program has joined this fleet.")
    for gateway in found["gateways"]:
        table = Table(title=f"Gateway {gateway['gateway']}", title_justify="left", box=None, pad_edge=False)
        for column in ("program", "host", "role", "id", "state", "trades", "age", "why not"):
            table.add_column(column, overflow="fold")
        for each in gateway["programs"]:
            table.add_row(*_row(each), style="red" if each["is_lost"] else None)
        console.print(table)
    for alert in found["alerts"]:
        console.print(f"Alert: {alert['words']}", style="bold red")


def _row(program: dict[str, Any]) -> list[str]:
    state = "LOST" if program["is_lost"] else str(program["state"])
    return [
        str(program["name"]),
        f"{program['host']} ({program['pid']})",
        str(program["role"] or "-"),
        str(program["client_id"]),
        state,
        "yes" if program["may_trade"] else "no",
        f"{program['age']:.0f} s",
        "" if program["may_trade"] else str(program["reason"]),
    ]
