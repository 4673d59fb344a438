"""Our tick decoder gives what the client library's gives: the same values, events and errors."""

from __future__ import annotations

import asyncio
import logging
import math
from collections.abc import Callable, Iterator
from typing import Any
from unittest.mock import patch

import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from ib_async import IB, IBDefaults, NewsBulletin, Stock, Ticker
from ib_async.wrapper import PRICE_TICK_MAP, SIZE_TICK_MAP, Wrapper

from ibkr.observe.log_filter import log_rate_limit
from ibkr.session.library import message_reader
from ibkr.wire import frame

from .adopted_ib import OPENING, reads

NUMBERS = st.sampled_from(["", "0", "0.0", "-1", "1", "2", "2.50", "100", "nan", "inf", "1_0", " 3", "x", "\u0663"])
REQUESTS = st.sampled_from(["1", "2", "3", "+1", "", "9", "y"])  # there is no request 9 and no request y
PRICE_TYPES = st.sampled_from([1, 2, 4, 66, 67, 68, *PRICE_TICK_MAP, 0, 99]).map(str)
SIZE_TYPES = st.sampled_from([0, 3, 5, 69, 70, 71, *SIZE_TICK_MAP, 1, 99]).map(str)
PRICE = st.tuples(st.just("1"), st.just("6"), REQUESTS, PRICE_TYPES, NUMBERS, NUMBERS, st.just("0"))
SIZE = st.tuples(st.just("2"), st.just("6"), REQUESTS, SIZE_TYPES, NUMBERS)
ODD = st.one_of(PRICE, SIZE).flatmap(
    lambda fields: st.sampled_from([fields[:-1], (*fields, "7"), (*fields[:3], "1.0", *fields[4:]), ("2", "6", "1")])
)
OTHERS = st.sampled_from(
    [
        ("45", "6", "1", "49", "0"),  # tickGeneric
        ("46", "6", "2", "45", "1760000000"),  # tickString
        ("14", "1", "1", "1", "drop", ""),  # newsBulletin: a listener in these tests reacts to its text
        ("14", "1", "2", "1", "take", ""),
        ("1x",),
        ("",),
    ]
)
MESSAGES = st.one_of(PRICE, PRICE, SIZE, SIZE, ODD, OTHERS)
PACKETS = st.lists(st.lists(MESSAGES, min_size=1, max_size=8), max_size=4)
DEFAULTS = st.sampled_from([IBDefaults(), IBDefaults(emptyPrice=0, emptySize=math.nan), IBDefaults(unset=None)])


@pytest.fixture(autouse=True, scope="module")
def a_packet_is_one_slice() -> Iterator[None]:
    with patch.object(message_reader, "SLICE", math.inf):
        yield


class Observed:
    """The events and state of an ``IB`` object after packets."""

    def __init__(self, defaults: IBDefaults, take: Callable[[IB], Callable[[bytes], None]]) -> None:
        self.ib = IB(defaults)
        self.log: list[str] = []
        self.ib.client._apiReady, self.ib.client._serverVersion = True, 178
        self.tickers = [self._subscribe(req_id) for req_id in (1, 2, 3)]
        self.ib.updateEvent.connect(lambda: self.log.append("update"), keep_ref=True)
        self.ib.pendingTickersEvent.connect(
            lambda tickers: self.log.append(f"pending {sorted(map(self._name, tickers))}"), keep_ref=True
        )
        self.ib.newsBulletinEvent.connect(self._act, keep_ref=True)
        self._take = take(self.ib)
        self.log.clear()  # the code above also wrote to the log

    def feed(self, packet: list[tuple[str, ...]]) -> None:
        before = len(self.log)
        self._take(b"".join([frame("".join([field + "\0" for field in fields]).encode()) for fields in packet]))
        self.log[before:] = sorted(self.log[before:])  # the library's set of tickers has no order
        self.log.append(str([self._values(ticker) for ticker in self.tickers]))

    def _subscribe(self, req_id: int) -> Ticker:
        ticker = self.ib.wrapper.startTicker(req_id, Stock(f"S{req_id}", "SMART", "USD", conId=req_id), "mktData")
        ticker.updateEvent.connect(self._ticked, keep_ref=True)
        return ticker

    def _ticked(self, ticker: Ticker) -> None:
        assert all(tick.time == self.ib.wrapper.lastTime for tick in ticker.ticks)
        self.log.append(f"{self._name(ticker)} {[tuple(tick)[1:] for tick in ticker.ticks]}")

    def _act(self, bulletin: NewsBulletin) -> None:
        streams = self.ib.wrapper.reqId2Ticker
        if bulletin.message == "drop":
            streams.pop(1, None)
        else:
            streams[1] = self.tickers[2]

    def _name(self, ticker: Ticker) -> str:
        return f"ticker {self.tickers.index(ticker)}"

    def _values(self, ticker: Ticker) -> dict[str, str]:
        of_time = ("time", "timestamp", "ticks", "lastTimestamp", "contract", "updateEvent", "defaults")
        return {name: repr(value) for name, value in vars(ticker).items() if name not in of_time} | {
            "ticks": str([tuple(tick)[1:] for tick in ticker.ticks])
        }


class Complaints(logging.Handler):
    def __init__(self) -> None:
        super().__init__()
        self.texts: list[str] = []

    def emit(self, record: logging.LogRecord) -> None:
        self.texts.append(record.getMessage().partition(" object at ")[0])


def by_library(ib: IB) -> Callable[[bytes], None]:
    return ib.client._onSocketHasData


def by_us(ib: IB) -> Callable[[bytes], None]:
    ib.client._apiReady, ib.client._serverVersion = False, 0
    return reads(ib, *OPENING)


def price(tick_type: int, price: str, size: str) -> tuple[str, ...]:
    return ("1", "6", "1", str(tick_type), price, size, "0")


def size(tick_type: int, size: str) -> tuple[str, ...]:
    return ("2", "6", "1", str(tick_type), size)


@given(PACKETS, DEFAULTS)
@example([[size(0, "7")], [size(0, "7")]], IBDefaults())  # the second message causes no event
@example([[price(1, "5", "5"), ("14", "1", "2", "1", "take", ""), size(0, "7")]], IBDefaults())
@example([[price(4, "-1", "0")], [price(9, "5", "0"), price(4, "-1", "0"), price(4, "1", "0")]], IBDefaults())
@example([[price(6, "0", "5"), price(6, "0", "0"), price(1, "0", "0")]], IBDefaults(emptyPrice=0))
@example([[size(5, "3"), price(4, "2", "1"), size(5, "3")]], IBDefaults(unset=None))
@example([[price(1, str(number), "1") for number in range(1, 33)]] * 2, IBDefaults())
def test_values_and_events_are_the_librarys(packets: list[list[tuple[str, ...]]], defaults: IBDefaults) -> None:
    complaints = Complaints()
    logger = logging.getLogger("ib_async")

    def told(take: Callable[[IB], Callable[[bytes], None]]) -> tuple[list[str], list[str], int]:
        complaints.texts.clear()
        log_rate_limit._places.clear()
        by = Observed(defaults, take)
        for packet in packets:
            by.feed(packet)
        return by.log, complaints.texts.copy(), by.ib.client._numMsgRecv

    async def ours() -> tuple[list[str], list[str], int]:
        return told(by_us)

    logger.addHandler(complaints)
    try:
        assert asyncio.run(ours()) == told(by_library)
    finally:
        logger.removeHandler(complaints)


TICKS = [price(1, "5.0", "7"), size(0, "8")] * 3


def replace_price(ib: IB, seen: Callable[..., None]) -> None:
    ib.wrapper.priceSizeTick = seen  # type: ignore[method-assign]


def replace_size(ib: IB, seen: Callable[..., None]) -> None:
    ib.wrapper.tickSize = seen  # type: ignore[method-assign]


def replace_class(ib: IB, seen: Callable[..., None]) -> None:
    class Mine(Wrapper):
        def tickSize(self, *arguments: Any) -> None:
            seen(*arguments)

    ib.wrapper.__class__ = Mine


def replace_price_handler(ib: IB, seen: Callable[..., None]) -> None:
    ib.client.decoder.handlers[1] = seen


def replace_size_handler(ib: IB, seen: Callable[..., None]) -> None:
    ib.client.decoder.handlers[2] = seen


def replace_interpret(ib: IB, seen: Callable[..., None]) -> None:
    ib.client.decoder.interpret = seen  # type: ignore[method-assign]


def log_messages(ib: IB, seen: Callable[..., None]) -> None:
    ib.client._logger = logging.Logger("messages", logging.DEBUG)
    ib.client._logger.debug = seen  # type: ignore[method-assign]


@pytest.mark.parametrize(
    ("replace", "count"),
    [
        (replace_price, 3),
        (replace_size, 3),
        (replace_class, 3),
        (replace_price_handler, 3),
        (replace_size_handler, 3),
        (replace_interpret, 6),
        (log_messages, 6),
    ],
)
@pytest.mark.parametrize("before", [True, False])
async def test_who_takes_the_place_of_the_librarys_methods_gets_every_tick(
    replace: Callable[[IB, Callable[..., None]], None], count: int, before: bool
) -> None:
    seen: list[Any] = []

    def see(*arguments: Any) -> None:
        seen.append(arguments)

    def take(ib: IB) -> Callable[[bytes], None]:
        if before:
            replace(ib, see)
        return by_us(ib)

    told = Observed(IBDefaults(), take)
    if not before:
        replace(told.ib, see)
    seen.clear()
    told.feed(TICKS)
    assert len(seen) == count
