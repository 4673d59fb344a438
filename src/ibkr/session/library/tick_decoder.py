"""Decodes ticks: prices (message 1) and sizes (2) of market data, in a third of the library's time.

Most of a burst is ticks.

Written after ib_async 2.1.0: ``Decoder.priceSizeTick``, ``Wrapper.priceSizeTick`` and ``Wrapper.tickSize``. They are
joined into one function, without a list of texts, a call for each step, and a hash for each tick. Anything but a plain
tick of a known stream is left to the library. If one of these methods was replaced, the library reads all ticks.
"""

from __future__ import annotations

import functools
from collections import deque
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from ib_async import Ticker

    from ibkr.session.library.decoder import DecoderOverrides
    from ibkr.session.library.wrapper import WrapperOverrides

_BID, _ASK, _LAST, _OTHER = range(4)
_PRICES = {1: _BID, 66: _BID, 2: _ASK, 67: _ASK, 4: _LAST, 68: _LAST}
_SIZES = {0: _BID, 69: _BID, 3: _ASK, 70: _ASK, 5: _LAST, 71: _LAST}

# For each tick type, as text: its number, its kind (one of four), and the ticker's attribute if its kind is ``_OTHER``.
_Table = dict[bytes, tuple[int, int, str]]
_new = tuple.__new__


class TickReader(Protocol):
    """Reads ticks instead of the library, slice by slice, as far as it can."""

    def begin_slice(self, *, is_logging: bool) -> None:
        """Begin a slice. The library has emptied its set of pending tickers. With message logging, read nothing."""

    starts: frozenset[bytes]
    """The first two bytes of the messages that ``read`` can read."""

    def read(self, messages: deque[bytes], most: int) -> int:
        """Read ticks from the front of the queue, up to ``most``. Returns how many were read.

        If fewer were read, the next message is for the library. No callback is called meanwhile.
        """


class NoTickReader:
    """Leaves all ticks to the library."""

    starts: frozenset[bytes] = frozenset()

    def begin_slice(self, *, is_logging: bool) -> None:
        return

    def read(self, messages: deque[bytes], most: int) -> int:
        return 0


class TickDecoder:
    """Reads ticks into the tickers of an ib_async client."""

    def __init__(self, wrapper: WrapperOverrides, decoder: DecoderOverrides) -> None:
        from ib_async.decoder import Decoder
        from ib_async.objects import TickData
        from ib_async.wrapper import Wrapper

        self._wrapper, self._decoder = wrapper, decoder
        self._tick_data = TickData
        self._prices, self._sizes = _tables()
        self._readers = {b"1\0": self._read_price, b"2\0": self._read_size}
        self.starts = frozenset(self._readers)
        self._originals = Wrapper.priceSizeTick, Wrapper.tickSize, type(decoder).interpret, Decoder.priceSizeTick
        # Both are set for each slice. At the first tick of a slice, we check whether the library is unmodified.
        self._is_on = self._is_checked = False
        # The tickers of this slice that are already in the library's set of pending tickers, by request id.
        self._pending: dict[bytes, Ticker] = {}

    def begin_slice(self, *, is_logging: bool) -> None:
        self._pending.clear()
        self._is_on = not is_logging
        self._is_checked = False

    def _can_read(self) -> bool:
        if not self._is_checked:
            self._is_on = self._is_unaltered()
            self._is_checked = True
        return self._is_on and not self._decoder.is_watched

    def _is_unaltered(self) -> bool:
        """Whether all methods that are replaced here are the library's own."""
        wrapper, handlers = self._wrapper, self._decoder.handlers
        methods = wrapper.priceSizeTick, wrapper.tickSize, self._decoder.interpret, handlers[1]
        return (
            tuple([getattr(method, "__func__", None) for method in methods]) == self._originals
            and getattr(handlers[2], "__qualname__", None) == "Decoder.wrap.<locals>.handler"
        )

    def read(self, messages: deque[bytes], most: int) -> int:
        count = 0
        if self._is_on and self._can_read():
            reader_of, take = self._readers.get, messages.popleft
            while messages and count < most:
                message = take()
                read = reader_of(message[:2])
                if read is None or not read(message):
                    messages.appendleft(message)
                    break
                count += 1
        if count < most or (messages and messages[0][:2] not in self.starts):
            self._pending.clear()  # the handlers of the next message may cancel streams
        return count

    def _read_price(self, message: bytes) -> bool:
        wrapper = self._wrapper
        try:
            _, _, req_id, type_text, price_text, size_text, _, _ = message.split(b"\0")
            ticker = self._pending.get(req_id)
            if is_first := ticker is None:
                ticker = wrapper.reqId2Ticker[int(req_id)]
            tick_type, which, name = self._prices[type_text]
            price, size = float(price_text), float(size_text or 0)
            if which == _LAST and price == -1 and size == 0 and ticker.close > 0:
                price, size = wrapper.defaultEmptyPrice, wrapper.defaultEmptySize
        except (ValueError, KeyError, TypeError):
            return False
        if size == 0 and which <= _ASK:
            price, size = wrapper.defaultEmptyPrice, wrapper.defaultEmptySize
        if which == _BID:
            ticker.prevBid, ticker.prevBidSize = ticker.bid, ticker.bidSize
            ticker.bid, ticker.bidSize = price, size
        elif which == _ASK:
            ticker.prevAsk, ticker.prevAskSize = ticker.ask, ticker.askSize
            ticker.ask, ticker.askSize = price, size
        elif which == _LAST:
            ticker.prevLast, ticker.prevLastSize = ticker.last, ticker.lastSize
            ticker.last, ticker.lastSize = price, size
        else:
            setattr(ticker, name, price)
        if price or size:
            ticker.ticks.append(_new(self._tick_data, (wrapper.lastTime, tick_type, price, size)))
        if is_first:
            wrapper.pendingTickers.add(ticker)
            self._pending[req_id] = ticker
        return True

    def _read_size(self, message: bytes) -> bool:  # noqa: C901 - it has over 40 lines because calls are slow
        wrapper = self._wrapper
        try:
            _, _, req_id, type_text, size_text, _ = message.split(b"\0")
            ticker = self._pending.get(req_id)
            if is_first := ticker is None:
                ticker = wrapper.reqId2Ticker[int(req_id)]
            tick_type, which, name = self._sizes[type_text]
            size = float(size_text or 0)
        except (ValueError, KeyError):
            return False
        price = wrapper.defaultEmptyPrice
        if which == _BID:
            if size == ticker.bidSize:
                return True
            ticker.prevBidSize = ticker.bidSize
            if size == 0:
                ticker.bid, ticker.bidSize = price, wrapper.defaultEmptySize
            else:
                price, ticker.bidSize = ticker.bid, size
        elif which == _ASK:
            if size == ticker.askSize:
                return True
            ticker.prevAskSize = ticker.askSize
            if size == 0:
                ticker.ask, ticker.askSize = price, wrapper.defaultEmptySize
            else:
                price, ticker.askSize = ticker.ask, size
        elif which == _LAST:
            price = ticker.last
            if ticker.isUnset(price):
                return True
            if size != ticker.lastSize:
                ticker.prevLastSize, ticker.lastSize = ticker.lastSize, size
        else:
            setattr(ticker, name, size)
        if price or size:
            ticker.ticks.append(_new(self._tick_data, (wrapper.lastTime, tick_type, price, size)))
        if is_first:
            wrapper.pendingTickers.add(ticker)
            self._pending[req_id] = ticker
        return True


@functools.cache
def _tables() -> tuple[_Table, _Table]:
    """The tables for prices and for sizes."""
    from ib_async.wrapper import PRICE_TICK_MAP, SIZE_TICK_MAP

    return _table(_PRICES, PRICE_TICK_MAP), _table(_SIZES, SIZE_TICK_MAP)


def _table(own: dict[int, int], others: dict[int, str]) -> _Table:
    table = {b"%d" % number: (number, _OTHER, name) for number, name in others.items()}
    return table | {b"%d" % number: (number, which, "") for number, which in own.items()}
