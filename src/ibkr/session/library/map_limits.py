"""Limits how much data of a gateway the library's maps may contain. The library itself has no limit."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from ibkr.session.library.wrapper import WrapperOverrides

MAX_MESSAGE = 64 * 1024
"""The most bytes of a message, except for the messages below."""
LARGE_MESSAGES = frozenset({b"10", b"16", b"17", b"18", b"19", b"20", b"51", b"75", b"79", b"80", b"82", b"83", b"86"})
LARGE_MESSAGES |= {b"89", b"93", b"96", b"97", b"98", b"104", b"105", b"106"}
"""Messages with lists and long texts: bars, ticks, option chains, scanner parameters, fundamentals, news."""

_MOST_ROWS = 20_000
_MOST_ACCOUNTS = 1_000
_MOST_NEWS = 5_000
_ROWS = ("accountValues", "acctSummary")
_BY_ACCOUNT = ("positions", "portfolio")


def is_oversized(message: bytes) -> bool:
    """Whether the message is longer than any message that a gateway sends."""
    return len(message) > MAX_MESSAGE and message[:8].partition(b"\0")[0] not in LARGE_MESSAGES


def _trim_accounts(accounts: dict[str, dict[int, object]]) -> bool:
    """Remove surplus rows by account and contract. Returns whether there were any."""
    total = sum(map(len, accounts.values()))
    if len(accounts) <= _MOST_ACCOUNTS and total <= _MOST_ROWS:
        return False
    while len(accounts) > _MOST_ACCOUNTS or total > _MOST_ROWS:
        account, rows = accounts.popitem()
        total -= len(rows)
        if not accounts:  # the only account: keep this many of its rows
            accounts[account] = dict(list(rows.items())[:_MOST_ROWS])
            break
    return True


def trim_maps(wrapper: WrapperOverrides) -> list[str]:
    """Remove surplus entries. Keeps the oldest rows, but the newest news.

    Returns the names of the limited data, in words.
    """
    found = []
    for name in _ROWS:
        rows = getattr(wrapper, name)
        if len(rows) > _MOST_ROWS:
            found.append(f"more than {_MOST_ROWS:,} rows of {name} were sent")
            while len(rows) > _MOST_ROWS:
                rows.popitem()
    found += [
        f"more than {_MOST_ROWS:,} rows or {_MOST_ACCOUNTS:,} accounts of {name} were sent"
        for name in _BY_ACCOUNT
        if _trim_accounts(getattr(wrapper, name))
    ]
    bulletins, ticks = wrapper.msgId2NewsBulletin, wrapper.newsTicks
    if len(bulletins) > _MOST_NEWS or len(ticks) > _MOST_NEWS:
        found.append(f"more than {_MOST_NEWS:,} news were sent")
        while len(bulletins) > _MOST_NEWS:
            del bulletins[next(iter(bulletins))]
        del ticks[:-_MOST_NEWS]
    return found
