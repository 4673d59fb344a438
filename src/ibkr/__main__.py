"""``python -m ibkr`` is the ``ibkr`` command."""

from ibkr.cli import main

if __name__ == "__main__":
    main()
