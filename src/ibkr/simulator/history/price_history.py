"""`PriceHistory`: a price for every past time, up to the market's first price. The same seed gives the same prices."""

import functools
import math
import zlib
from collections.abc import Iterator

from ibkr.simulator.history.history_parameters import DAY
from ibkr.simulator.market import trading_sessions
from ibkr.simulator.market.bar import Bar
from ibkr.simulator.market.combos import Combo, combo_price
from ibkr.simulator.market.instrument import Instrument
from ibkr.simulator.market.quotes import decimals_of

_WAVES = tuple((length, 0.2 * math.sqrt(length / (365 * DAY))) for length in (40, 600, 4 * 3600, 2 * DAY, 40 * DAY))
"""Lengths of the waves in seconds, and how far each moves the price: about 20 % in a year."""


@functools.lru_cache(maxsize=65_536)
def _step(key: str, length: int, index: int) -> tuple[float, float]:
    """Return the value of a wave at a point, and the difference to the next point."""
    left, right = (zlib.crc32(f"{key}/{length}/{at}".encode()) / 2**31 - 1 for at in (index, index + 1))
    return left, right - left


def _noise(key: str, time: float) -> float:
    total = 0.0
    for length, height in _WAVES:
        index = int(time // length)
        start, way = _step(key, length, index)
        part = time / length - index
        total += height * (start + way * part * part * (3 - 2 * part))
    return total


_noise_once = functools.lru_cache(maxsize=1024)(_noise)


class PriceHistory:
    """Past prices and sessions.

    `began` is the start of the market in seconds since the epoch. At that time, or at the end of the last session
    before it, the past price equals the market's first price. With `never_closes`, there are no gaps between the
    sessions after `began`.
    """

    def __init__(self, seed: int, began: float, never_closes: bool = False) -> None:
        self._seed = seed
        self._began = began
        self._never_closes_from = began if never_closes else None
        self._anchors: dict[int, float] = {}
        self._price = functools.lru_cache(maxsize=4096)(self._price_at)

    def sessions(self, item: Instrument, until: float, regular: bool) -> Iterator[trading_sessions.TradingSession]:
        """Return the sessions that started before `until`, latest first. Sessions that end later are cut at `until`."""
        return trading_sessions.sessions_before(item, until, regular, self._never_closes_from)

    def seconds_before(self, item: Instrument, end: int, regular: bool) -> Iterator[int]:
        """Return the seconds of trading up to `end`, latest first."""
        for session in self.sessions(item, end + 1, regular):
            yield from range(session.end - 1, session.start - 1, -1)

    def seconds_after(self, item: Instrument, begin: int, until: float, regular: bool) -> Iterator[int]:
        """Return the seconds of trading from `begin` on, earliest first."""
        for session in trading_sessions.sessions_after(item, begin, until, regular, self._never_closes_from):
            yield from range(session.start, session.end)

    def price(self, item: Instrument, time: float) -> float:
        """Return the last price at a time."""
        if isinstance(item, Combo):
            return combo_price(item.legs, lambda leg: self.price(leg, time))
        return self._price(item.con_id, item.price, item.min_tick, self._anchor(item), time)

    def _price_at(self, con_id: int, price: float, min_tick: float, anchor: float, time: float) -> float:
        key = f"{self._seed}/{con_id}"
        moved = price * math.exp(_noise(key, time) - _noise_once(key, anchor))
        return round(max(1, round(moved / min_tick)) * min_tick, decimals_of(min_tick))

    def _anchor(self, item: Instrument) -> float:
        if item.con_id not in self._anchors:
            self._anchors[item.con_id] = next(self.sessions(item, self._began, False)).end
        return self._anchors[item.con_id]

    def bar(self, item: Instrument, start: int, end: int) -> Bar:
        """Return the bar of trades from `start` to `end`."""
        prices = [self.price(item, time) for time in (start, (start + end) / 2, end)]
        wick = zlib.crc32(f"{item.con_id}/{start}".encode())
        high, low = (
            round(price + wick % 3 * item.min_tick * side, 6) for price, side in ((max(prices), 1), (min(prices), -1))
        )
        lot = 100 if item.sec_type == "STK" else 1
        count = 1 + wick % 50
        volume = lot * count * max(1, (end - start) // 20)
        wap = round(sum(prices) / len(prices), 6)
        lowest = low if isinstance(item, Combo) else max(low, item.min_tick)
        return Bar(start, prices[0], high, lowest, prices[-1], volume, wap, count)

    def bars(self, item: Instrument, size: int, begin: float, end: float, regular: bool) -> Iterator[Bar]:
        """Return the bars of less than a day within sessions, from the latest back to `begin`.

        Bars start at multiples of their size on the clock. So the first hourly bar is shorter if a session starts at
        9:30.
        """
        for session in self.sessions(item, end, regular):
            if session.end <= begin:
                return
            first = trading_sessions.round_to_clock(item, session.start, size)
            last = first + (session.end - 1 - first) // size * size
            for start in range(last, first - 1, -size):
                if start + size <= begin:
                    return
                yield self.bar(item, max(start, session.start), min(start + size, session.end))
