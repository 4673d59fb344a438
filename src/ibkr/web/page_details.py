"""The rows of the page's tables as JSON: subscriptions, orders, positions, messages and answer times."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Iterable
from dataclasses import dataclass
from typing import Any, Protocol

from ibkr.connector import IBConnector
from ibkr.core.activity import AnswerTime, Message, OrderView
from ibkr.core.codes import find
from ibkr.core.order_records import Position
from ibkr.core.serialization import mask_json, sanitize, to_json, to_jsonable
from ibkr.core.subscription_info import SubscriptionStatus

_MAX_ROWS = 500
"""The page gets at most this many rows of each kind, and the total."""
_CACHE_TIME = 1.0


class _Row(Protocol):
    def to_dict(self, accounts: tuple[str, ...] = ..., *, show_accounts: bool = ...) -> dict[str, Any]: ...


@dataclass(frozen=True, slots=True)
class DetailsSnapshot:
    """Subscriptions, orders and positions of a connector at one moment."""

    accounts: tuple[str, ...]
    subscriptions: tuple[SubscriptionStatus, ...]
    orders: tuple[OrderView, ...]
    positions: tuple[Position, ...]

    @classmethod
    def of(cls, connector: IBConnector) -> DetailsSnapshot:
        """Take a snapshot. Call it in the connector's loop."""
        return cls(connector.status.accounts, connector.subscriptions, connector.orders, connector.positions)

    def to_json(self, *, show_accounts: bool) -> str:
        """Return JSON: the ``total`` and the first ``rows`` of each kind."""

        def table(items: tuple[Any, ...]) -> dict[str, Any]:
            rows = [_to_dict(sanitize(item), self.accounts, show_accounts) for item in items[:_MAX_ROWS]]
            return {"total": len(items), "rows": rows}

        return to_json(
            {
                "subscriptions": table(self.subscriptions),
                "orders": table(self.orders),
                "positions": table(self.positions),
            }
        )


def _to_dict(item: _Row | Position, accounts: tuple[str, ...], show_accounts: bool) -> dict[str, Any]:
    if isinstance(item, Position):
        row: Any = to_jsonable(item)
        return dict(row if show_accounts else mask_json(row, accounts))
    return item.to_dict(accounts, show_accounts=show_accounts)


def message_rows(
    messages: Iterable[Message], accounts: tuple[str, ...], *, show_accounts: bool
) -> list[dict[str, Any]]:
    """Return messages in JSON types, each with its ``severity``, which is empty for an unknown code."""
    return [
        {**each.to_dict(accounts, show_accounts=show_accounts), "severity": str(known.severity) if known else ""}
        for each in messages
        for known in [find(each.code)]
    ]


def answer_rows(times: Iterable[AnswerTime]) -> list[tuple[str, float, str]]:
    """Return, for each request: when it was answered, after how many seconds, and its name."""
    return [(str(to_jsonable(each.at)), round(each.seconds, 6), each.name) for each in times]


class CachedAnswer:
    """Keeps the result of ``make`` for a second. All callers within that second get the same result."""

    def __init__(self, make: Callable[[], Awaitable[str]]) -> None:
        self._make = make
        self._answer: asyncio.Task[str] | None = None
        self._expires_at = 0.0

    async def get(self) -> str:
        """Return the result. Raises what ``make`` raises."""
        loop = asyncio.get_running_loop()
        if self._answer is None or loop.time() >= self._expires_at:
            self._expires_at = loop.time() + _CACHE_TIME
            self._answer = loop.create_task(_await(self._make()))
            # All callers may be gone. asyncio would then log the exception, because nobody has retrieved it.
            self._answer.add_done_callback(lambda answer: answer.cancelled() or answer.exception())
        return await asyncio.shield(self._answer)

    async def close(self) -> None:
        """Cancel the call that runs."""
        if self._answer is not None:
            self._answer.cancel()
            await asyncio.gather(self._answer, return_exceptions=True)


async def _await(work: Awaitable[str]) -> str:
    return await work
