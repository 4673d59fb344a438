"""`Market`: quotes that move while they are used."""

import asyncio
import time
from collections.abc import Callable

from ibkr.simulator.market.combos import Combo, ComboQuotes
from ibkr.simulator.market.instrument import Instrument
from ibkr.simulator.market.options import Computation
from ibkr.simulator.market.quotes import OptionQuotes, Quote, QuoteSource, RandomWalk
from ibkr.simulator.market.trading_sessions import is_in_session
from ibkr.simulator.shared_state import SharedState


class Market:
    """Moves every followed instrument once per `tick_interval` / `speed` seconds, and calls the listeners.

    The market's clock (`now`) runs at `speed`. While the market is closed, nothing moves. Only with `market_hours`, it
    closes by itself, at the hours and holidays of the exchanges.
    """

    def __init__(self, state: SharedState) -> None:
        self._state = state
        self._interval = state.settings.tick_interval / state.settings.speed
        self.is_open = True
        self._sources: dict[int, QuoteSource] = {}
        self._in_session: dict[int, tuple[int, bool]] = {}
        self._followed: dict[int, tuple[Instrument, QuoteSource, int]] = {}
        self._listeners: list[Callable[[Instrument, Quote], None]] = []
        self._round_listeners: list[Callable[[], None]] = []
        self._timer: asyncio.TimerHandle | None = None
        self.started = time.time()
        self._started = time.monotonic()

    def now(self) -> float:
        """Return the market's time, in seconds since the epoch."""
        return self.started + (time.monotonic() - self._started) * self._state.settings.speed

    def is_trading(self, instrument: Instrument) -> bool:
        """Return whether an instrument moves now.

        The market must be open. With `market_hours`, the exchange must be open, too.
        """
        if not self.is_open or not self._state.settings.market_hours:
            return self.is_open
        minute = int(self.now() // 60)
        found = self._in_session.get(instrument.con_id)
        if found is None or found[0] != minute:
            found = self._in_session[instrument.con_id] = minute, is_in_session(instrument, self.now())
        return found[1]

    def quote_of(self, instrument: Instrument) -> Quote:
        """Return the current quote of an instrument."""
        return self._source(instrument).quote

    def computation_of(self, option: Instrument) -> Computation | None:
        """Return value and Greeks of an option, or `None` for other instruments."""
        source = self._source(option)
        return source.computation() if isinstance(source, OptionQuotes) else None

    def on_quote(self, callback: Callable[[Instrument, Quote], None]) -> None:
        """Call `callback(instrument, quote)` after each move of an instrument."""
        self._listeners.append(callback)

    def on_round_end(self, callback: Callable[[], None]) -> None:
        """Call `callback()` after each round, in which all followed instruments move once."""
        self._round_listeners.append(callback)

    def follow(self, instrument: Instrument) -> None:
        """Move an instrument from now on. Each `follow` needs one `unfollow`."""
        source = self._source(instrument)
        count = self._followed[instrument.con_id][2] if instrument.con_id in self._followed else 0
        for part in self._parts(instrument):
            self.follow(part)
        self._followed[instrument.con_id] = instrument, source, count + 1
        if self._timer is None:
            self._schedule(self._state.loop.time())

    def unfollow(self, instrument: Instrument) -> None:
        """End one `follow` of an instrument."""
        _, source, count = self._followed.pop(instrument.con_id)
        if count > 1:
            self._followed[instrument.con_id] = instrument, source, count - 1
        for part in self._parts(instrument):
            self.unfollow(part)

    def stop(self) -> None:
        """Stop all movement."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _schedule(self, since: float) -> None:
        due = max(since + self._interval, self._state.loop.time())
        self._timer = self._state.loop.call_at(due, self._tick, due)

    def _tick(self, due: float) -> None:
        if not self._followed:
            self._timer = None
            return
        self._schedule(due)
        if self.is_open:
            for instrument, source, _ in list(self._followed.values()):
                if not self.is_trading(instrument):
                    continue
                quote = source.step()
                for callback in self._listeners:
                    callback(instrument, quote)
        for ended in self._round_listeners:
            ended()
        self._state.changed()

    def _source(self, instrument: Instrument) -> QuoteSource:
        found = self._sources.get(instrument.con_id)
        if found is None:
            found = self._sources[instrument.con_id] = self._new_source(instrument)
        return found

    def _new_source(self, instrument: Instrument) -> QuoteSource:
        parts = [self._source(part) for part in self._parts(instrument)]
        if isinstance(instrument, Combo):
            return ComboQuotes(instrument, parts)
        if not parts:
            return RandomWalk(instrument, self._state.settings.seed)
        return OptionQuotes(instrument, parts[0], self._state.instruments.chain_of(instrument).implied_vol)

    def _parts(self, instrument: Instrument) -> list[Instrument]:
        """Return the instruments that determine the price: an option's underlying, a combination's legs."""
        if isinstance(instrument, Combo):
            return [leg.instrument for leg in instrument.legs]
        if instrument.sec_type not in ("OPT", "FOP"):
            return []
        under = self._state.instruments.by_con_id(instrument.under_con_id)
        return [under] if under else []
