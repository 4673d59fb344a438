"""The ``ibkr`` command. Each ``*_command`` module is one command: it parses options, calls the package, prints.

Data goes to stdout, everything else to stderr. Exit codes: 0 ready or ok, 1 not ready or a problem found, 2 wrong usage
or configuration.
"""

from __future__ import annotations

import sys


def main() -> None:
    """Run the command line of this process. Ends with ``SystemExit``."""
    try:
        from ibkr.cli.app import app
        from ibkr.core.errors import ConfigError

        try:
            app(prog_name="ibkr")
        except ConfigError as error:
            print(f"ibkr: {error}", file=sys.stderr)
            sys.exit(2)
    except KeyboardInterrupt:  # during the imports; a running command handles it itself
        sys.exit(130)
