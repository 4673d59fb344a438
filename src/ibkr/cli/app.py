"""The ``ibkr`` command: its help, its global options, and the table of its commands."""

from __future__ import annotations

import logging
import sys
from importlib import import_module
from typing import Annotated, Any, cast

import typer
from typer.main import get_command

from ibkr.cli.usage_errors import UsageErrorGroup
from ibkr.observe.log_filter import PrintableFormatter

# Each line fits a terminal of 80 columns: a longer line would wrap in the middle.
_HELP = """A connection to Interactive Brokers' TWS or IB Gateway that recovers.

[bold]Begin here[/bold]

  [cyan]ibkr demo[/cyan]       Watch it recover from 28 faults. Needs no account.
  [cyan]ibkr status[/cyan]     Is your TWS or IB Gateway ready, and may a program trade?
  [cyan]ibkr watch[/cyan]      The same, live on a screen.
  [cyan]ibkr serve[/cyan]      The same on a web page, as JSON, health checks and metrics.
  [cyan]ibkr doctor[/cyan]     Why can a program not connect? Every check, and what to do.
  [cyan]ibkr explain[/cyan]    What does error code 326 mean, and what to do?
  [cyan]ibkr gateway[/cyan]    Start TWS or IB Gateway, see its login, restart it.
  [cyan]ibkr journal[/cyan]    What a program has sent and received: orders, fills, gaps.
  [cyan]ibkr fleet[/cyan]      Many programs, many machines: who leads, who may trade.
  [cyan]ibkr halt[/cyan]       Stop new orders of a program, until [cyan]ibkr resume[/cyan].
  [cyan]ibkr alerts[/cyan]     Send a test alert to your phone, mail or chat.
  [cyan]ibkr simulate[/cyan]   A simulated gateway on port 7497, to develop against.
  [cyan]ibkr proxy[/cyan]      Show, record and break what passes to a real gateway.
  [cyan]ibkr replay[/cyan]     Play a recording to any client. [cyan]ibkr recording[/cyan] shows it.

Settings: ibkr.toml, .env, IBKR_... variables, options. The later one wins.
Exit codes: 0 ready or ok, 1 not ready or a problem found, 2 wrong usage or
configuration.
"""

_COMMANDS = {
    "demo": ("demo_command", "demo"),
    "status": ("status_command", "status"),
    "watch": ("watch_command", "watch"),
    "doctor": ("doctor_command", "doctor"),
    "explain": ("explain_command", "explain"),
    "serve": ("serve_command", "serve"),
    "journal": ("journal_command", "journal"),
    "halt": ("halt_command", "halt"),
    "resume": ("halt_command", "resume"),
    "alerts": ("alerts_command", "app"),
    "fleet": ("fleet_command", "app"),
    "gateway": ("gateway_command", "app"),
    "simulate": ("simulate_command", "app"),
    "proxy": ("proxy_command", "app"),
    "recording": ("recording_command", "app"),
    "replay": ("recording_command", "replay"),
}
"""For each command, its module in this package and the name of its function or typer app in that module."""


class _LazyCommands(UsageErrorGroup):
    """Imports only the command that is called: importing all of them takes half a second."""

    def __init__(self, **attributes: Any) -> None:
        super().__init__(**attributes)
        self.commands = cast(Any, dict.fromkeys(_COMMANDS))  # if a name is misspelt, typer suggests a name from here

    def get_command(self, ctx: Any, cmd_name: str) -> Any:
        if cmd_name not in _COMMANDS:
            return None
        module, name = _COMMANDS[cmd_name]
        found = getattr(import_module(f"ibkr.cli.{module}"), name)
        if not isinstance(found, typer.Typer):
            function, found = found, typer.Typer(add_completion=False, rich_markup_mode="rich")
            found.command(cmd_name)(function)
        command: Any = get_command(found)
        command.name, command.rich_help_panel = cmd_name, "Commands"
        return command


app = typer.Typer(
    cls=_LazyCommands,
    help=_HELP,
    rich_markup_mode="rich",
    context_settings={"help_option_names": ["-h", "--help"]},
    pretty_exceptions_enable=False,
    add_completion=False,
)


def _show_version(wanted: bool) -> None:
    if wanted:
        import ibkr

        typer.echo(f"ibkr {ibkr.__version__}")
        raise typer.Exit


@app.callback(invoke_without_command=True)
def root(
    context: typer.Context,
    verbose: Annotated[
        int,
        typer.Option(
            "--verbose", "-v", count=True, show_default=False, help="Log to stderr. Give it twice to log every detail."
        ),
    ] = 0,
    version: Annotated[
        bool, typer.Option("--version", is_eager=True, callback=_show_version, help="Print the version.")
    ] = False,
) -> None:
    # This function has no docstring, because the help text above is used.
    _set_up_logging(verbose)
    if context.invoked_subcommand is None:
        typer.echo(context.get_help())


def _set_up_logging(verbose: int) -> None:
    if verbose:
        level = logging.INFO if verbose == 1 else logging.DEBUG
        logging.basicConfig(stream=sys.stderr, level=level)
        for handler in logging.getLogger().handlers:
            handler.setFormatter(PrintableFormatter("%(asctime)s %(levelname)-7s %(name)s: %(message)s"))
    else:
        # The command itself prints what is wrong. If logging had no handler, Python would print it a second time.
        logging.getLogger().addHandler(logging.NullHandler())
        # A misspelt setting is reported only by a warning of this logger, so print its warnings.
        warnings = logging.StreamHandler()
        warnings.setFormatter(PrintableFormatter("ibkr: %(message)s"))
        logging.getLogger("ibkr.config").addHandler(warnings)
