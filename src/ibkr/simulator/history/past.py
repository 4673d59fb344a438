"""The past of an instrument: a price for every moment, the same for each seed, that ends where the market began."""

import functools
import math
import zlib
from collections.abc import Iterator

from ibkr.simulator.history.spans import DAY
from ibkr.simulator.market import sessions
from ibkr.simulator.market.bar import Bar
from ibkr.simulator.market.combos import Combo, total
from ibkr.simulator.market.instrument import Instrument
from ibkr.simulator.market.walk import decimals_of

_WAVES = tuple((length, 0.2 * math.sqrt(length / (365 * DAY))) for length in (40, 600, 4 * 3600, 2 * DAY, 40 * DAY))
"""Lengths in seconds, and how far each moves the price: about 20 % in a year."""


@functools.lru_cache(maxsize=65_536)
def _step(key: str, length: int, index: int) -> tuple[float, float]:
    """Where a wave stands at a knot, and how far it goes until the next."""
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


class History:
    """Prices of the past. When the market `began` (seconds since the epoch), or when the last session before that had
    ended, they meet the market's first price. A market that `never_closes` has sessions without end from then on.
    """

    def __init__(self, seed: int, began: float, never_closes: bool = False) -> None:
        self._seed = seed
        self._began = began
        self._never_closes_from = began if never_closes else None
        self._anchors: dict[int, float] = {}
        self._price = functools.lru_cache(maxsize=4096)(self._price_at)

    def sessions(self, item: Instrument, until: float, regular: bool) -> Iterator[sessions.Session]:
        """The sessions of an instrument that had begun by `until`, the latest first, the running one cut off there."""
        return sessions.sessions_before(item, until, regular, self._never_closes_from)

    def seconds_before(self, item: Instrument, end: int, regular: bool) -> Iterator[int]:
        """The seconds of trading up to `end`, the latest first."""
        for session in self.sessions(item, end + 1, regular):
            yield from range(session.end - 1, session.start - 1, -1)

    def seconds_after(self, item: Instrument, begin: int, until: float, regular: bool) -> Iterator[int]:
        """The seconds of trading from `begin` on, the earliest first."""
        for session in sessions.sessions_after(item, begin, until, regular, self._never_closes_from):
            yield from range(session.start, session.end)

    def price(self, item: Instrument, time: float) -> float:
        """The last price at a time."""
        if isinstance(item, Combo):
            return total(item.legs, lambda leg: self.price(leg, time))
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
        """The bar from `start` to `end`, of trades."""
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
        """The bars of less than a day within sessions, from the latest back to `begin`.

        They begin on the clock: of hours the first is shorter if the session begins at half past nine.
        """
        for session in self.sessions(item, end, regular):
            if session.end <= begin:
                return
            first = sessions.on_the_clock(item, session.start, size)
            last = first + (session.end - 1 - first) // size * size
            for start in range(last, first - 1, -size):
                if start + size <= begin:
                    return
                yield self.bar(item, max(start, session.start), min(start + size, session.end))
