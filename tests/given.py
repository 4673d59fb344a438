"""What fixtures give, as types: tests name them by these."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any

from ib_async import Ticker

from ibkr import ConnectionState, IBConnector, Status

Make = Callable[..., IBConnector]
"""Makes connectors to the gateway, which come to an end with their test; policy fields by their name."""

StateOf = Callable[..., Awaitable[Status]]
States = Callable[[IBConnector], list[ConnectionState]]
Stopwatch = Callable[[], Callable[[], float]]
NextTick = Callable[[Ticker], Awaitable[None]]
Ticking = Callable[..., Awaitable[tuple[IBConnector, Ticker]]]
Ask = Callable[..., Awaitable[Any]]
Heard = Callable[..., Any]
Outage = Callable[[IBConnector, str], Awaitable[None]]
InStep = Callable[..., Awaitable[set[tuple[str, int]]]]
