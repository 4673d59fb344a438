"""Print docs/codes.md from the catalogue: ``python tools/codes.py > docs/codes.md``, or ``make docs``."""

from __future__ import annotations

import sys

from ibkr.core.codes import REACTION_TEXTS, REACTIONS, Category, Code, catalogue, find

_HEAD = """# Every code of TWS and IB Gateway

Generated from `src/ibkr/core/codes/catalogue.toml` by `make docs`. To correct a row, edit that file. In a terminal:
`ibkr explain 1100 326`, `ibkr explain --search 'market data'`.

The gateway reports everything with codes, good news too. After a *warning* the request or order continues. *Again*
means that the same request may work later or at a lower rate.

## What IBConnector reacts to

Your program gets all other codes through `ib.errorEvent`.

| code | about | means | IBConnector |
|---|---|---|---|
"""


def page() -> str:
    """The page, in Markdown."""
    reacted = [
        f"| {row.code} | {row.scope} | {_cell(row.meaning)} | {REACTION_TEXTS[row.reaction]} |"
        for row in map(find, REACTIONS)
        if row
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
