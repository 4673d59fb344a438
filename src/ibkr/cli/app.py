"""The command ``ibkr`` with no command, and the list of those that it has."""

from __future__ import annotations

import logging
import sys
from typing import Annotated

import typer

from ibkr.cli.demo import demo
from ibkr.cli.doctor import doctor
from ibkr.cli.explain import explain
from ibkr.cli.gateway import app as gateway
from ibkr.cli.serve import serve
from ibkr.cli.simulate import app as simulate
from ibkr.cli.status import status
from ibkr.cli.watch import watch

# Every line short enough for a terminal of 80 columns: longer ones would wrap in the middle.
_HELP = """A connection to Interactive Brokers' TWS or IB Gateway that comes back.

[bold]Begin here[/bold]

  [cyan]ibkr demo[/cyan]       Watch it come back from every fault; needs no account.
  [cyan]ibkr status[/cyan]     Is your TWS or IB Gateway ready, and may a program trade?
  [cyan]ibkr watch[/cyan]      The same, live on a screen, for as long as you look.
  [cyan]ibkr serve[/cyan]      ... and on a page, in JSON, for health checks and metrics.
  [cyan]ibkr doctor[/cyan]     Why can I not connect? Every check, and what to do.
  [cyan]ibkr explain[/cyan]    What does error code 326 mean, and what to do?
  [cyan]ibkr gateway[/cyan]    Start TWS or IB Gateway, see its login, restart it.
  [cyan]ibkr simulate[/cyan]   A simulated gateway on port 7497, to develop against.

Settings: ibkr.toml, .env, IBKR_... variables, options; later ones win.
Exit codes: 0 ready or ok, 1 not ready or a problem found, 2 wrong usage.
"""

app = typer.Typer(
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
        typer.Option("--verbose", "-v", count=True, show_default=False, help="Log to stderr; twice for every detail."),
    ] = 0,
    version: Annotated[
        bool, typer.Option("--version", is_eager=True, callback=_show_version, help="Print the version.")
    ] = False,
) -> None:
    # No docstring: the help text above is the command's.
    _set_up_logging(verbose)
    if context.invoked_subcommand is None:
        typer.echo(context.get_help())


def _set_up_logging(verbose: int) -> None:
    if verbose:
        level = logging.INFO if verbose == 1 else logging.DEBUG
        logging.basicConfig(stream=sys.stderr, level=level, format="%(asctime)s %(levelname)-7s %(name)s: %(message)s")
    else:
        # What is wrong is told by the command itself, in words; without a handler Python would print it twice.
        logging.getLogger().addHandler(logging.NullHandler())
        # But a misspelt setting, which nothing else would tell.
        handler = logging.StreamHandler()
        handler.setFormatter(logging.Formatter("ibkr: %(message)s"))
        logging.getLogger("ibkr.config").addHandler(handler)


app.command(rich_help_panel="Commands")(demo)
app.command(rich_help_panel="Commands")(status)
app.command(rich_help_panel="Commands")(watch)
app.command(rich_help_panel="Commands")(doctor)
app.command(rich_help_panel="Commands")(explain)
app.command(rich_help_panel="Commands")(serve)
app.add_typer(gateway, name="gateway", rich_help_panel="Commands")
app.add_typer(simulate, name="simulate", rich_help_panel="Commands")
