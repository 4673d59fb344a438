"""Runs the ``ibkr`` command as ``python -m ibkr``."""

from ibkr.cli import main

if __name__ == "__main__":
    main()
