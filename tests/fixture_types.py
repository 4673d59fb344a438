"""Contracts, and types for the values that fixtures give."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any

from ib_async import Stock, Ticker

from ibkr import ConnectionState, IBConnector, Status
from ibkr.simulator.market.instrument_loader import load_instruments

AAPL = Stock("AAPL", "SMART", "USD", conId=265598)
MSFT = Stock("MSFT", "SMART", "USD", conId=272093)
STOCKS = [
    Stock(item.symbol, "SMART", "USD", conId=item.con_id) for item in load_instruments().live if item.sec_type == "STK"
]
"""All contracts of the simulator that have live data."""

Make = Callable[..., IBConnector]
StateOf = Callable[..., Awaitable[Status]]
Back = Callable[..., Awaitable[Status]]
States = Callable[[IBConnector], list[ConnectionState]]
Stopwatch = Callable[[], Callable[[], float]]
NextTick = Callable[[Ticker], Awaitable[None]]
Ticking = Callable[..., Awaitable[tuple[IBConnector, Ticker]]]
Ask = Callable[..., Awaitable[Any]]
Counter = Callable[..., Any]
Spoil = Callable[[str], None]
Outage = Callable[[IBConnector, str], Awaitable[None]]
InStep = Callable[..., Awaitable[set[tuple[str, int]]]]
