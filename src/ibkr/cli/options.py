"""The options that several commands share, and the configuration that they override."""

from __future__ import annotations

import random
from pathlib import Path
from typing import Annotated

import typer

from ibkr.config import Config, load_config

# A command must not take the id of a program that runs; people seldom choose ids this high, and 999 least seldom.
OWN_CLIENT_IDS = range(900, 999)

WHERE = "Where to connect (else as configured)"

HostOption = Annotated[str | None, typer.Option("--host", rich_help_panel=WHERE, help="Machine of the gateway.")]
PortOption = Annotated[
    int | None,
    typer.Option(
        "--port",
        rich_help_panel=WHERE,
        help="Its API port: TWS 7496 live, 7497 paper; IB Gateway 4001 live, 4002 paper.",
    ),
]
ClientIdOption = Annotated[
    int | None, typer.Option("--client-id", rich_help_panel=WHERE, help="Default: a random one from 900 to 998.")
]
TimeoutOption = Annotated[
    float | None,
    typer.Option("--timeout", rich_help_panel=WHERE, help="Seconds that it may stay silent in one attempt."),
]
ConfigOption = Annotated[
    Path | None,
    typer.Option("--config", rich_help_panel=WHERE, help="Read this file instead of ibkr.toml."),
]
JsonOption = Annotated[bool, typer.Option("--json", help="Print JSON to stdout.")]


def configured(
    config: Path | None, host: str | None, port: int | None, client_id: int | None, timeout: float | None
) -> Config:
    """The configuration with the options in force. Raises ``ConfigError``."""
    own_id = random.choice(OWN_CLIENT_IDS) if client_id is None else client_id
    return load_config(config, host=host, port=port, client_id=own_id, timeout=timeout)
