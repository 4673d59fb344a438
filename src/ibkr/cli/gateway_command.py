"""``ibkr gateway``: the options of its commands, which start, stop and show the process of TWS or IB Gateway."""

from __future__ import annotations

from typing import Annotated

import typer

from ibkr.cli.cli_options import ConfigOption, HostOption, JsonOption, PortOption

# Each command imports gateway_actions itself: importing it here would slow down the help.

app = typer.Typer(
    help="""Run the process of TWS or IB Gateway, see its login, restart it.

The table [cyan]\\[ibkr.gateway][/cyan] of ibkr.toml says what runs it: ibc2, ibc, docker,
systemd or any command. See docs/gateway.md for a setup of each.

Exit code 0 if it is done, or running; 1 if not; 2 for wrong usage or
configuration.
""",
    no_args_is_help=True,
    add_completion=False,
)

WithOrdersOption = Annotated[
    bool, typer.Option("--with-orders", help="Restart even with working orders, which nobody watches then.")
]


@app.command()
def run(
    on_alert: Annotated[
        str | None,
        typer.Option(
            "--on-alert", metavar="COMMAND", help="Run this on alert, outage and recovery, with JSON on stdin."
        ),
    ] = None,
    as_json: JsonOption = False,
    host: HostOption = None,
    port: PortOption = None,
    config: ConfigOption = None,
) -> None:
    """Start and supervise the gateway until Ctrl-C or SIGTERM, for services.

    Prints what happens on stderr. At the end it stops a gateway of the drivers
    ibc and command. A gateway of ibc2, docker and systemd keeps running.
    """
    from ibkr.cli import gateway_actions as actions

    actions.run_supervisor(actions.load_target(config, host, port), on_alert, as_json=as_json)


@app.command()
def start(
    as_json: JsonOption = False, host: HostOption = None, port: PortOption = None, config: ConfigOption = None
) -> None:
    """Start the gateway, with a supervisor in the background."""
    from ibkr.cli import gateway_actions as actions

    actions.run_action(actions.start, actions.load_target(config, host, port), as_json=as_json)


@app.command()
def stop(
    as_json: JsonOption = False, host: HostOption = None, port: PortOption = None, config: ConfigOption = None
) -> None:
    """Stop the gateway and its supervisor."""
    from ibkr.cli import gateway_actions as actions

    actions.run_action(actions.stop, actions.load_target(config, host, port), as_json=as_json)


@app.command()
def restart(
    with_orders: WithOrdersOption = False,
    as_json: JsonOption = False,
    host: HostOption = None,
    port: PortOption = None,
    config: ConfigOption = None,
) -> None:
    """Restart the gateway, without a new login if IBC's command server allows.

    Refused while a second factor is pending, and while orders are working.
    """
    from ibkr.cli import gateway_actions as actions

    action = actions.restart_with_orders if with_orders else actions.restart
    actions.run_action(action, actions.load_target(config, host, port), as_json=as_json)


@app.command()
def status(
    as_json: JsonOption = False, host: HostOption = None, port: PortOption = None, config: ConfigOption = None
) -> None:
    """Show the state of the gateway's process and of its login.

    Exit code 0 if it is running, 1 if not, 2 for wrong usage or configuration.
    """
    from ibkr.cli import gateway_actions as actions

    actions.print_status(actions.load_target(config, host, port), as_json=as_json)


@app.command()
def logs(
    lines: Annotated[int, typer.Option("--lines", "-n", min=0, help="Number of last lines.")] = 50,
    follow: Annotated[bool, typer.Option("--follow", "-f", help="Print new lines until Ctrl-C.")] = False,
    supervisor: Annotated[
        bool, typer.Option("--supervisor", help="Show the log of the supervisor in the background instead.")
    ] = False,
    as_json: JsonOption = False,
    host: HostOption = None,
    port: PortOption = None,
    config: ConfigOption = None,
) -> None:
    """Show the gateway's own log: the log of IBC, of the container, or of the unit."""
    from ibkr.cli import gateway_actions as actions

    target = actions.load_target(config, host, port)
    actions.print_log(target, lines, follow=follow, of_supervisor=supervisor, as_json=as_json)
