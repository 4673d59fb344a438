"""Prints docs/codes.md from the catalogue: ``python tools/codes.py > docs/codes.md``, or ``make docs``."""

from __future__ import annotations

import sys

from ibkr.core.codes import CODES, IN_WORDS, Category, Code, catalogue

_HEAD = """# Every code of TWS and IB Gateway

Generated from `ibkr.core.codes` by `make docs`; do not edit. In a terminal: `ibkr explain 1100 326`,
`ibkr explain --search 'market data'`.

The gateway tells everything by codes, good news too. After a *warning* the request or order that it names lives on.
*Again* is marked where the same may work later, or when asked more slowly.

## What IBConnector reacts to

All other codes are left to your program, by `ib.errorEvent`.

| code | about | means | IBConnector |
|---|---|---|---|
"""


def page() -> str:
    """The page as Markdown."""
    reacted = [
        f"| {row.code} | {row.scope} | {_cell(row.meaning)} | {IN_WORDS[row.reaction]} |" for row in CODES.values()
    ]
    return _HEAD + "\n".join(reacted) + "\n" + "".join(map(_chapter, Category))


def _chapter(category: Category) -> str:
    rows = [row for row in catalogue().values() if row.category is category]
    head = f"\n## {str(category).capitalize()}\n\n| code | | again | means | what to do |\n|---|---|---|---|---|\n"
    return head + "".join(map(_line, rows))


def _line(row: Code) -> str:
    again = "yes" if row.retry_helps else ""
    return f"| {row.code} | {row.severity} | {again} | {_cell(row.meaning)} | {_cell(row.advice)} |\n"


def _cell(text: str) -> str:
    return text.replace("|", "\\|")


if __name__ == "__main__":
    sys.stdout.write(page())
