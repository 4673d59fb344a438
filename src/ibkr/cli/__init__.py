"""The ``ibkr`` command. Data to stdout, talk to stderr; it parses, calls and renders, and decides nothing.

Exit codes: 0 ready or ok, 1 not ready or a problem found, 2 wrong usage or configuration.
"""

from __future__ import annotations

import sys


def main() -> None:
    """Run the command line of this process; ends by ``SystemExit``."""
    try:
        from ibkr.cli.app import app
        from ibkr.core.errors import ConfigError

        try:
            app(prog_name="ibkr")
        except ConfigError as error:
            print(f"ibkr: {error}", file=sys.stderr)
            sys.exit(2)
    except KeyboardInterrupt:  # while all this is being loaded; a command that runs sees to it itself
        sys.exit(130)
