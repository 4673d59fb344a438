"""Options that several commands share, and how their values become a configuration, an address or a token."""

from __future__ import annotations

import os
import random
from pathlib import Path
from typing import Annotated

import typer

from ibkr.config import Config, load_config
from ibkr.core.errors import ConfigError

OWN_CLIENT_IDS = range(900, 999)
"""Client ids of the commands. People seldom choose ids this high, so a command does not use the id of a running
program. 999 is not in the range because people choose it most often."""

WHERE = "Where to connect (default: as configured)"

HostOption = Annotated[str | None, typer.Option("--host", rich_help_panel=WHERE, help="Host of the gateway.")]
PortOption = Annotated[
    int | None,
    typer.Option(
        "--port",
        rich_help_panel=WHERE,
        help="Its API port: TWS 7496 live, 7497 paper; IB Gateway 4001 live, 4002 paper.",
    ),
]
ClientIdOption = Annotated[
    int | None, typer.Option("--client-id", rich_help_panel=WHERE, help="Default: a random id from 900 to 998.")
]
TimeoutOption = Annotated[
    float | None,
    typer.Option("--timeout", rich_help_panel=WHERE, help="Seconds to wait for an answer in one attempt."),
]
ConfigOption = Annotated[
    Path | None,
    typer.Option("--config", rich_help_panel=WHERE, help="Read this file instead of ibkr.toml."),
]
JsonOption = Annotated[bool, typer.Option("--json", help="Print JSON to stdout.")]

_LARGEST_PORT = 65535


def load_cli_config(
    config: Path | None, host: str | None, port: int | None, client_id: int | None, timeout: float | None
) -> Config:
    """Return the configuration with these options applied. Raises ``ConfigError``."""
    own_id = random.choice(OWN_CLIENT_IDS) if client_id is None else client_id
    # A command must not use the journal or the name in a fleet, because both belong to the program that trades.
    without = {"journal": "", "fleet": {"servers": ""}}
    return load_config(config, host=host, port=port, client_id=own_id, timeout=timeout, **without)


def parse_address(text: str, option: str) -> tuple[str, int]:
    """Return the host and port of a text such as 127.0.0.1:4002, [::1]:4002 or 4002. Raises ``typer.BadParameter``."""
    host, _, port = text.rpartition(":")
    host = host.removeprefix("[").removesuffix("]") or "127.0.0.1"
    is_port = port.isascii() and port.isdecimal() and int(port[:6]) <= _LARGEST_PORT
    if not is_port or not host.isprintable() or " " in host or "/" in host:
        message = f"{text!r} is not an address: write 127.0.0.1:PORT, [::1]:PORT or PORT, with a port from 0 to 65535"
        raise typer.BadParameter(message, param_hint=option)
    return host, int(port)


def read_token(file: Path | None) -> str:
    """Return the token of a web page: from the file, otherwise from ``IBKR_HTTP_TOKEN``. Raises ``ConfigError``.

    There is no option for the token itself: every user of the computer can read the arguments of a process.
    """
    # Remove the token from the environment, because programs that we start must not inherit it.
    from_environment = os.environ.pop("IBKR_HTTP_TOKEN", "").strip()
    if file is None:
        return _checked(from_environment, "IBKR_HTTP_TOKEN", "***")
    try:
        token = file.read_text(encoding="utf-8-sig").strip()
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError("--token-file", str(file), f"cannot be read: {error}") from error
    if not token:
        raise ConfigError("--token-file", str(file), "is empty")
    return _checked(token, "--token-file", str(file))


def _checked(token: str, key: str, value: str) -> str:
    """Return the token. Raises ``ConfigError`` if it cannot be in the header of a request."""
    if not token.isascii() or not token.isprintable() or " " in token:
        raise ConfigError(key, value, "must be of printable ASCII characters, without spaces")
    return token
