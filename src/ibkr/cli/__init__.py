"""The ``ibkr`` command. Each ``*_command`` module is one command: it parses options and calls the package.

Data goes to stdout, everything else to stderr. Exit codes: 0 ready or ok, 1 not ready or a problem found, 2 wrong usage
or configuration.
"""

from __future__ import annotations

import errno
import os
import sys
from typing import NoReturn


def main() -> None:
    """Run the command line of this process. Ends with ``SystemExit``."""
    try:
        from ibkr.cli.app import app
        from ibkr.core.errors import ConfigError

        try:
            try:
                app(prog_name="ibkr")
            finally:
                print(end="", flush=True)
        except ConfigError as error:
            print(f"ibkr: {error}", file=sys.stderr)
            sys.exit(2)
        except OSError as error:
            _end_without_output(error)
    except KeyboardInterrupt:  # pressed during the imports; a running command handles Ctrl-C itself
        sys.exit(130)


def _end_without_output(error: OSError) -> NoReturn:
    """End with exit code 1 if stdout is full, or nobody reads it. Raises any other error again."""
    if error.errno not in (errno.ENOSPC, errno.EPIPE):
        raise error
    if error.errno == errno.ENOSPC:
        print(f"ibkr: the output cannot be written: {error.strerror}", file=sys.stderr)
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())  # Python writes the rest of the output when it ends
    sys.exit(1)
