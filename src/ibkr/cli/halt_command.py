"""``ibkr halt`` and ``ibkr resume``: stop and allow new orders, through the journal, the web page or the fleet."""

from __future__ import annotations

import asyncio
import getpass
import socket
import time
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, TypeVar

import typer

from ibkr.cli.cli_options import ConfigOption, JsonOption, read_token
from ibkr.cli.journal_command import JournalOption, find_journal
from ibkr.core.serialization import sanitize_text, to_json

if TYPE_CHECKING:
    from ibkr.fleet.nats_store import FleetStore
    from ibkr.journal.halt_file import HaltFile
    from ibkr.journal.journal_lock import LockHolder

T = TypeVar("T")

_CANCEL_TIMEOUT = 5.0
"""Seconds to wait for a running program to cancel all orders."""
_NOT_REACHED = {
    "halt": "Nothing is halted by this command: check servers in [ibkr.fleet], or halt each program by itself:"
    " ibkr halt --journal FILE, or ibkr halt --url URL",
    "resume": "A halt of the fleet continues: check servers in [ibkr.fleet], then run ibkr resume --fleet again",
}
"""What is in force, and what to do, if the servers of the fleet cannot be reached."""
UrlOption = Annotated[
    str | None,
    typer.Option(
        "--url", metavar="URL", help="Use the program's page, such as http://127.0.0.1:8080, not its journal."
    ),
]
TokenOption = Annotated[
    Path | None, typer.Option("--token-file", help="File with the page's token. Or set IBKR_HTTP_TOKEN.")
]
FleetOption = Annotated[bool, typer.Option("--fleet", help="All programs of the fleet in \\[ibkr.fleet].")]


def halt(
    reason: Annotated[
        str, typer.Option("--reason", "-r", help="The reason for the halt. The program shows it.")
    ] = "requested with ibkr halt",
    cancel_all: Annotated[
        bool, typer.Option("--cancel-all", help="Cancel all orders, also the orders of other clients and of TWS.")
    ] = False,
    file: JournalOption = None,
    url: UrlOption = None,
    token_file: TokenOption = None,
    fleet: FleetOption = False,
    as_json: JsonOption = False,
    config: ConfigOption = None,
) -> None:
    """Stop new orders of a program until 'ibkr resume', also over restarts.

    A running program notices within a second. With --cancel-all it sends a
    global cancel as soon as its session allows that. A later halt keeps a
    cancel that must still be sent: only 'ibkr resume' takes it back.

    Exit code 0 if the halt is in force. 1 if not: the journal cannot be
    read, or the page or fleet does not answer. 2 if no journal is known, or
    for wrong usage or configuration.

    With --cancel-all and a journal, 0 means that the gateway has received the
    cancel, and 1 also that it must still be sent. With --url or --fleet the
    command does not wait for the cancel: look at the orders.
    """
    # This function has over 40 lines because typer makes the command line from the signature.
    _check_one_target(file, url, token_file, fleet=fleet)
    if fleet:
        _halt_fleet(config, reason, cancel_all=cancel_all, as_json=as_json)
        return
    if url is not None:
        _call_page(url, "halt", token_file, {"reason": reason, "cancel_all": cancel_all}, as_json=as_json)
        return
    path, _ = find_journal(file, config)
    with _file_errors("halt"):
        holder, is_due = _halt(path, reason, cancel_all=cancel_all)
    if holder is None:
        text = "Halted. No program is running with this journal: the next one starts halted."
    else:
        text = f"Halted. The journal is in use by {holder}: it sends no new orders."
    if is_due:
        when = "as soon as it has a session in which the gateway has its link to IB and is not read-only"
        earlier = "" if cancel_all else " An earlier halt has requested to cancel all orders."
        text += f"{earlier} All orders are cancelled {when}."
    elif cancel_all:
        text += " The global cancel is sent."
    _print_result(text, {"halted": True, "in_use": holder is not None, "cancel_pending": is_due}, as_json=as_json)
    if is_due and cancel_all:
        raise typer.Exit(1)


def resume(
    file: JournalOption = None,
    url: UrlOption = None,
    token_file: TokenOption = None,
    fleet: FleetOption = False,
    as_json: JsonOption = False,
    config: ConfigOption = None,
) -> None:
    """End a halt: the program may send new orders again.

    Exit code 0, also if there was no halt. 1 if the journal cannot be read, or
    the page or fleet does not answer. 2 if no journal is known, or for wrong
    usage or configuration.
    """
    _check_one_target(file, url, token_file, fleet=fleet)
    if fleet:
        was_halted = _resume_fleet(config)
        text = "Resumed: all programs of the fleet." if was_halted else "There was no halt."
        _print_result(text, {"halted": False, "was_halted": was_halted, "fleet": True}, as_json=as_json)
        return
    if url is not None:
        _call_page(url, "resume", token_file, {}, as_json=as_json)
        return
    from ibkr.journal.halt_file import HaltFile
    from ibkr.journal.journal_reader import check_in_use_or_valid

    path, _ = find_journal(file, config)
    with _file_errors("resume"):
        was_halted = HaltFile(path).read() is not None
        if not was_halted:
            check_in_use_or_valid(path)
        HaltFile(path).remove()
    text = "Resumed." if was_halted else "There was no halt."
    _print_result(text, {"halted": False, "was_halted": was_halted}, as_json=as_json)


def _check_one_target(file: Path | None, url: str | None, token_file: Path | None, *, fleet: bool) -> None:
    """Raise ``typer.BadParameter`` for options that exclude each other: one of them would be ignored."""
    if [fleet, url is not None, file is not None].count(True) > 1:
        raise typer.BadParameter("use only one of --fleet, --url, --journal. Nothing is changed")
    if token_file is not None and url is None:
        raise typer.BadParameter("use --token-file only with --url. Nothing is changed", param_hint="--token-file")


def _halt_fleet(config: Path | None, reason: str, *, cancel_all: bool, as_json: bool) -> None:
    from ibkr.fleet import administration

    by = f"{getpass.getuser()} on {socket.gethostname()}"
    _change_fleet("halt", config, lambda store: administration.halt(store, reason, by, cancel_all=cancel_all))
    text, told = "Halted: all programs of the fleet.", {"halted": True, "fleet": True}
    if cancel_all:
        where = "in TWS or IBKR Mobile. 'ibkr fleet status' shows which programs are connected and can send the cancel"
        text, told["cancel_confirmed"] = f"{text} {_unconfirmed_cancel(where)}", False
    _print_result(text, told, as_json=as_json)


def _resume_fleet(config: Path | None) -> bool:
    """End the halt of the fleet. Returns whether there was one."""
    from ibkr.fleet import administration

    return _change_fleet("resume", config, administration.resume)


def _change_fleet(command: str, config: Path | None, change: Callable[[FleetStore], Awaitable[T]]) -> T:
    """Change the halt of the fleet. If this fails, print what is in force, and exit with code 1."""
    from ibkr.cli.fleet_command import load_fleet
    from ibkr.core.errors import FleetError
    from ibkr.fleet.administration import with_store

    is_reached = False

    async def work(store: FleetStore) -> T:
        nonlocal is_reached
        is_reached = True
        return await change(store)

    try:
        return asyncio.run(with_store(load_fleet(config, None), work))
    except FleetError as error:
        doubt = "It is not confirmed: 'ibkr fleet status' shows whether the fleet is halted."
        typer.echo(f"ibkr {command}: {error}", err=True)
        typer.echo(doubt if is_reached else _NOT_REACHED[command], err=True)
        raise typer.Exit(1) from error


def _unconfirmed_cancel(where: str) -> str:
    return f"It is not confirmed that the orders are cancelled: look at them {where}."


def _halt(path: Path, reason: str, *, cancel_all: bool) -> tuple[LockHolder | None, bool]:
    """Return the program that uses the journal, and whether the global cancel must still be sent."""
    from ibkr.journal.halt_file import HaltFile, new_halt
    from ibkr.journal.journal_lock import holder_of
    from ibkr.journal.journal_reader import check_in_use_or_valid

    check_in_use_or_valid(path)
    halt_file = HaltFile(path)
    by = f"{getpass.getuser()} on {socket.gethostname()}, by ibkr halt"
    halt = halt_file.write(new_halt(reason, by, cancel_all=cancel_all))
    holder = holder_of(path)
    is_sent = cancel_all and holder is not None and _wait_for_cancel(halt_file)
    return holder, halt.is_cancel_due and not is_sent


def _wait_for_cancel(file: HaltFile) -> bool:
    """Wait until the program reports that the global cancel is sent. Returns False if the time is over before that.

    Raises ``JournalError`` if the halt ends before that: then nobody knows whether the cancel is sent.
    """
    from ibkr.core.errors import JournalError

    until = time.monotonic() + _CANCEL_TIMEOUT
    while time.monotonic() < until:
        halt = file.read()
        if halt is None:
            raise JournalError(f"the halt was ended at once. {_unconfirmed_cancel('in TWS or IBKR Mobile')}")
        if not halt.is_cancel_due:  # a halt that has replaced this one has kept the cancel, if it was due
            return True
        time.sleep(0.05)  # another process writes the file, and sends no event
    return False


@contextmanager
def _file_errors(command: str) -> Iterator[None]:
    """Turn errors of the journal's files into a message and exit code 1."""
    import sqlite3  # most commands do not need it

    from ibkr.core.errors import JournalError

    try:
        yield
    except (OSError, sqlite3.Error, JournalError) as error:
        typer.echo(f"ibkr {command}: {error}", err=True)
        raise typer.Exit(1) from error


def _call_page(url: str, name: str, token_file: Path | None, body: dict[str, Any], *, as_json: bool) -> None:
    """Call the web API of the program, and print its answer."""
    from http.client import HTTPException

    from ibkr.cli.web_client import WebApiError, WebClient

    client = WebClient(url, read_token(token_file), option="--url")
    try:
        answer = client.command(name, body)
    except (OSError, HTTPException, WebApiError) as error:
        text = error if isinstance(error, WebApiError) else f"nothing answers at {client.url}: {error}"
        typer.echo(f"ibkr {name}: {text}", err=True)
        typer.echo(f"It is not confirmed. Check the URL, or use the journal: ibkr {name} --journal FILE", err=True)
        raise typer.Exit(1) from error
    text = sanitize_text(str(answer.get("message", "done")))
    if body.get("cancel_all"):
        text += f" {_unconfirmed_cancel(f'on the page {client.url} or in TWS')}"
        answer["cancel_confirmed"] = False
    _print_result(text, answer, as_json=as_json)


def _print_result(text: str, data: dict[str, Any], *, as_json: bool) -> None:
    print(to_json(data) if as_json else text)
