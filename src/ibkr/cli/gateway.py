"""``ibkr gateway``: the process of TWS or IB Gateway: run it, see its login, restart it when only that helps."""

from __future__ import annotations

from typing import Annotated

import typer

from ibkr.cli.options import ConfigOption, HostOption, JsonOption, PortOption

# What does the work is imported by the command that needs it: it would slow down every other command.

app = typer.Typer(
    help="""Run the process of TWS or IB Gateway, see its login, restart it.

The table [cyan]\\[ibkr.gateway][/cyan] of ibkr.toml says what runs it: ibc2, ibc, docker,
systemd or any command. See docs/gateway.md for a setup of each.

Exit code 0 when it is done, or running; 1 when not; 2 for wrong usage or
configuration.
""",
    no_args_is_help=True,
)

WithOrdersOption = Annotated[
    bool, typer.Option("--with-orders", help="Restart although orders work: nobody watches them meanwhile.")
]


@app.command()
def run(
    on_alert: Annotated[
        str | None,
        typer.Option("--on-alert", metavar="COMMAND", help="Run it on alert, outage and recovery; status on stdin."),
    ] = None,
    as_json: JsonOption = False,
    host: HostOption = None,
    port: PortOption = None,
    config: ConfigOption = None,
) -> None:
    """Start the gateway and supervise it, until Ctrl-C or SIGTERM; for services.

    It reports what happens on stderr. A process of our own (ibc, command) ends
    with this; ibc2, a container and a unit run on.
    """
    from ibkr.cli import gateway_actions as actions

    actions.supervise(actions.target_of(config, host, port), on_alert, as_json=as_json)


@app.command()
def start(
    as_json: JsonOption = False, host: HostOption = None, port: PortOption = None, config: ConfigOption = None
) -> None:
    """Start the gateway with a supervisor in the background."""
    from ibkr.cli import gateway_actions as actions

    actions.answer_with(actions.start, actions.target_of(config, host, port), as_json=as_json)


@app.command()
def stop(
    as_json: JsonOption = False, host: HostOption = None, port: PortOption = None, config: ConfigOption = None
) -> None:
    """Stop the gateway and its supervisor."""
    from ibkr.cli import gateway_actions as actions

    actions.answer_with(actions.stop, actions.target_of(config, host, port), as_json=as_json)


@app.command()
def restart(
    with_orders: WithOrdersOption = False,
    as_json: JsonOption = False,
    host: HostOption = None,
    port: PortOption = None,
    config: ConfigOption = None,
) -> None:
    """Restart the gateway, without a login if IBC's command server can do so.

    Refused while a second factor is pending, and while orders work.
    """
    from ibkr.cli import gateway_actions as actions

    act = actions.restart_with_orders if with_orders else actions.restart
    actions.answer_with(act, actions.target_of(config, host, port), as_json=as_json)


@app.command()
def status(
    as_json: JsonOption = False, host: HostOption = None, port: PortOption = None, config: ConfigOption = None
) -> None:
    """How the gateway's process and its login stand.

    Exit code 0 when it is running, 1 otherwise.
    """
    from ibkr.cli import gateway_actions as actions

    actions.show_status(actions.target_of(config, host, port), as_json=as_json)


@app.command()
def logs(
    lines: Annotated[int, typer.Option("--lines", "-n", min=0, help="So many of the last lines.")] = 50,
    follow: Annotated[bool, typer.Option("--follow", "-f", help="Go on with each new line, until Ctrl-C.")] = False,
    supervisor: Annotated[
        bool, typer.Option("--supervisor", help="The log of the supervisor in the background instead.")
    ] = False,
    as_json: JsonOption = False,
    host: HostOption = None,
    port: PortOption = None,
    config: ConfigOption = None,
) -> None:
    """The gateway's own log: IBC's lines, the container's, the unit's."""
    from ibkr.cli import gateway_actions as actions

    target = actions.target_of(config, host, port)
    actions.show_log(target, lines, follow=follow, of_supervisor=supervisor, as_json=as_json)
