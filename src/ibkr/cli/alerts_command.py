"""``ibkr alerts test``: sends a test alert to every URL of ``[ibkr.alerts]``, and one heartbeat."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

import typer

from ibkr.cli.cli_options import ConfigOption, JsonOption

app = typer.Typer(
    help="""Alerts by mail, chat or push message, and a heartbeat. See docs/alerts.md.

The table [cyan]\\[ibkr.alerts][/cyan] of ibkr.toml says where they go.
""",
    no_args_is_help=True,
    add_completion=False,
)


@app.callback()
def alerts() -> None:
    # This function has no docstring, because the help text above is used. Without this function, typer would not let
    # users write the name of the only command.
    return None


@app.command("test")
def send_test(as_json: JsonOption = False, config: ConfigOption = None) -> None:
    """Send a test message to every URL, and one heartbeat.

    Exit code 0 if all were accepted, 1 if one was not, 2 if none is
    configured, or for wrong usage or configuration.
    """
    from ibkr.config import load_config
    from ibkr.core.errors import ConfigError
    from ibkr.core.serialization import to_json
    from ibkr.observe.alerts import alert_sinks

    settings = load_config(config).ibkr.alerts
    if not settings.urls and not settings.heartbeat_url:
        cure = "has no receiver: set urls or heartbeat_url in the table [ibkr.alerts] (docs/alerts.md)"
        raise ConfigError("ibkr.alerts", "", cure)
    results = [_attempt(sink.name, partial(_send_alert, sink)) for sink in alert_sinks(settings)]
    if settings.heartbeat_url:
        results.append(_attempt("heartbeat", partial(_send_heartbeat, settings.heartbeat_url)))
    if as_json:
        print(to_json(results))
    else:
        for each in results:
            text = "accepted" if each["ok"] else f"failed: {each['error']}"
            typer.echo(f"{each['to']}: {text}", err=not each["ok"])
    if not all(each["ok"] for each in results):
        raise typer.Exit(1)


def _attempt(name: str, send: Callable[[], bool]) -> dict[str, Any]:
    from ibkr.core.serialization import sanitize_text

    try:
        error = "" if send() else "the service did not accept it; run 'ibkr -v alerts test' for details"
    except Exception as failure:  # after any error of a service, the other services are tried too
        error = sanitize_text(str(failure) or type(failure).__name__)
    return {"to": name, "ok": not error, "error": error}


def _send_alert(sink: Any) -> bool:
    import socket

    from ibkr.observe.alerts import Alert, AlertKind

    return bool(
        sink.send(Alert(AlertKind.TEST, f"IBKR on {socket.gethostname()}: a test", "This is a test. Alerts reach you."))
    )


def _send_heartbeat(url: str) -> bool:
    from ibkr.observe.heartbeat import ping

    ping(url)
    return True
