"""The market: quotes that move while somebody is interested in them."""

import asyncio
import time
from collections.abc import Callable

from ibkr.simulator.market.combos import Combo, ComboWalk
from ibkr.simulator.market.instrument import Instrument
from ibkr.simulator.market.options import Computation
from ibkr.simulator.market.sessions import is_in_session
from ibkr.simulator.market.walk import Moving, OptionWalk, Quote, Walk
from ibkr.simulator.state import State


class Market:
    """Moves every followed instrument once per `tick_interval` / `speed` seconds, and tells the listeners.

    The market's own clock (`now`) runs at `speed`. While it is not open nothing moves. It never closes by itself,
    unless it keeps to the hours and holidays of the exchanges (`market_hours`).
    """

    def __init__(self, hub: State) -> None:
        self._hub = hub
        self._interval = hub.settings.tick_interval / hub.settings.speed
        self.is_open = True
        self._walks: dict[int, Moving] = {}
        self._in_session: dict[int, tuple[int, bool]] = {}
        self._followed: dict[int, tuple[Instrument, Moving, int]] = {}
        self._listeners: list[Callable[[Instrument, Quote], None]] = []
        self._round_ended: list[Callable[[], None]] = []
        self._timer: asyncio.TimerHandle | None = None
        self.started = time.time()
        self._started = time.monotonic()

    def now(self) -> float:
        """The market's time, in seconds since the epoch."""
        return self.started + (time.monotonic() - self._started) * self._hub.settings.speed

    def trades(self, instrument: Instrument) -> bool:
        """Whether an instrument moves now: the market is open, and its exchange too if the market keeps to hours."""
        if not self.is_open or not self._hub.settings.market_hours:
            return self.is_open
        minute = int(self.now() // 60)
        found = self._in_session.get(instrument.con_id)
        if found is None or found[0] != minute:
            found = self._in_session[instrument.con_id] = minute, is_in_session(instrument, self.now())
        return found[1]

    def quote_of(self, instrument: Instrument) -> Quote:
        """Its quote as it stands now."""
        return self._walk(instrument).quote

    def computation_of(self, option: Instrument) -> Computation | None:
        """Value and Greeks of an option; None for anything else."""
        walk = self._walk(option)
        return walk.computation() if isinstance(walk, OptionWalk) else None

    def listen(self, callback: Callable[[Instrument, Quote], None]) -> None:
        """Call `callback(instrument, quote)` after each move of an instrument."""
        self._listeners.append(callback)

    def after_moves(self, callback: Callable[[], None]) -> None:
        """Call `callback()` when all followed instruments have moved once."""
        self._round_ended.append(callback)

    def follow(self, instrument: Instrument) -> None:
        """Let it move from now on, until `unfollow` was called as often as this."""
        walk = self._walk(instrument)
        count = self._followed[instrument.con_id][2] if instrument.con_id in self._followed else 0
        for part in self._parts(instrument):
            self.follow(part)
        self._followed[instrument.con_id] = instrument, walk, count + 1
        if self._timer is None:
            self._schedule(self._hub.loop.time())

    def unfollow(self, instrument: Instrument) -> None:
        """One of those who follow it does so no more."""
        _, walk, count = self._followed.pop(instrument.con_id)
        if count > 1:
            self._followed[instrument.con_id] = instrument, walk, count - 1
        for part in self._parts(instrument):
            self.unfollow(part)

    def stop(self) -> None:
        """Nothing moves any more."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _schedule(self, since: float) -> None:
        due = max(since + self._interval, self._hub.loop.time())
        self._timer = self._hub.loop.call_at(due, self._tick, due)

    def _tick(self, due: float) -> None:
        if not self._followed:
            self._timer = None
            return
        self._schedule(due)
        if self.is_open:
            for instrument, walk, _ in list(self._followed.values()):
                if not self.trades(instrument):
                    continue
                quote = walk.step()
                for callback in self._listeners:
                    callback(instrument, quote)
        for ended in self._round_ended:
            ended()
        self._hub.changed()

    def _walk(self, instrument: Instrument) -> Moving:
        found = self._walks.get(instrument.con_id)
        if found is None:
            found = self._walks[instrument.con_id] = self._new_walk(instrument)
        return found

    def _new_walk(self, instrument: Instrument) -> Moving:
        parts = [self._walk(part) for part in self._parts(instrument)]
        if isinstance(instrument, Combo):
            return ComboWalk(instrument, parts)
        if not parts:
            return Walk(instrument, self._hub.settings.seed)
        return OptionWalk(instrument, parts[0], self._hub.instruments.chain_of(instrument).implied_vol)

    def _parts(self, instrument: Instrument) -> list[Instrument]:
        """The instruments that its price follows: the underlying of an option, the legs of a combination."""
        if isinstance(instrument, Combo):
            return [leg.instrument for leg in instrument.legs]
        if instrument.sec_type not in ("OPT", "FOP"):
            return []
        under = self._hub.instruments.by_con_id(instrument.under_con_id)
        return [under] if under else []
