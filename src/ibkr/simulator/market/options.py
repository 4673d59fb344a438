"""Options: chains of contracts, and values by Black and Scholes without interest."""

import datetime as dt
import math
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from statistics import NormalDist
from typing import NamedTuple

from ibkr.simulator.market.instrument import Instrument

_NORMAL = NormalDist()
_YEAR = 365.0
_EPOCH = dt.date(2020, 1, 1).toordinal()
_FRIDAY = 4


class Computation(NamedTuple):
    """The values of message 21. The Greeks are per unit of the underlying."""

    implied_vol: float
    delta: float
    option_price: float
    pv_dividend: float
    gamma: float
    vega: float
    theta: float
    under_price: float


@dataclass(frozen=True)
class Chain:
    """All options on one underlying: calls and puts for every strike at every expiry (`yyyymmdd`).

    A contract keeps its id from day to day, although the list of expiries changes.
    """

    under: Instrument
    trading_class: str
    multiplier: str
    exchanges: tuple[str, ...]
    expiries: tuple[str, ...]
    strikes: tuple[float, ...]
    first_con_id: int
    implied_vol: float

    @cached_property
    def options(self) -> tuple[Instrument, ...]:
        """The contracts, by expiry, strike, and right."""
        return tuple(self._build_options())

    @cached_property
    def by_con_id(self) -> dict[int, Instrument]:
        """The contracts by their ids."""
        return {option.con_id: option for option in self.options}

    @cached_property
    def con_ids(self) -> range:
        """A range that contains the ids of all contracts."""
        return range(self.first_con_id, self._con_id(max(self.expiries, default="20200101"), len(self.strikes), 0))

    def _con_id(self, expiry: str, at: int, side: int) -> int:
        days = _date(expiry).toordinal() - _EPOCH
        return self.first_con_id + 2 * (days * len(self.strikes) + at) + side

    def _build_options(self) -> Iterator[Instrument]:
        for expiry in self.expiries:
            for at, strike in enumerate(self.strikes):
                for side, right in enumerate("CP"):
                    yield self._option(self._con_id(expiry, at, side), expiry, strike, right)

    def _option(self, con_id: int, expiry: str, strike: float, right: str) -> Instrument:
        under = self.under
        is_on_future = under.sec_type == "FUT"
        value = compute(under.price, strike, right, years_to(expiry), self.implied_vol).option_price
        return Instrument(
            con_id=con_id,
            symbol=under.symbol,
            sec_type="FOP" if is_on_future else "OPT",
            exchange=self.exchanges[0],
            currency=under.currency,
            # This is the OCC symbol: the symbol in six characters, the date, the right, and the strike in thousandths.
            local_symbol=f"{self.trading_class:<6}{expiry[2:]}{right}{round(strike * 1000):08d}",
            trading_class=self.trading_class,
            long_name=under.long_name,
            price=max(0.01, round(value, 2)),
            min_tick=0.01,
            farm=under.farm,
            last_trade_date=expiry,
            contract_month=expiry[:6],
            multiplier=self.multiplier,
            strike=strike,
            right=right,
            under_con_id=under.con_id,
            under_symbol=under.symbol,
            under_sec_type=under.sec_type,
            valid_exchanges=",".join(self.exchanges),
            market_rule_id=32,
            market_data=under.market_data,
            time_zone_id=under.time_zone_id,
            calendar=under.calendar if is_on_future else "CBOE",
            industry=under.industry,
            category=under.category,
            subcategory=under.subcategory,
        )


def monthlies(today: dt.date, count: int) -> list[str]:
    """Return the next `count` third Fridays."""
    found: list[str] = []
    first = today.replace(day=1)
    while len(found) < count:
        third = first + dt.timedelta(days=(_FRIDAY - first.weekday()) % 7 + 14)
        if third >= today:
            found.append(f"{third:%Y%m%d}")
        first = (first + dt.timedelta(days=32)).replace(day=1)
    return found


def quarterlies(today: dt.date, count: int) -> list[str]:
    """Return the next `count` third Fridays of March, June, September, and December."""
    return [date for date in monthlies(today, 3 * count + 2) if int(date[4:6]) % 3 == 0][:count]


def weeklies(today: dt.date, count: int) -> list[str]:
    """Return the next `count` Fridays."""
    friday = today + dt.timedelta(days=(_FRIDAY - today.weekday()) % 7)
    return [f"{friday + dt.timedelta(weeks=week):%Y%m%d}" for week in range(count)]


def _date(expiry: str) -> dt.date:
    return dt.date(int(expiry[:4]), int(expiry[4:6]), int(expiry[6:]))


def years_to(expiry: str) -> float:
    """Return the years until the end of an expiry day: at least a day, because an expired option needs a value."""
    left = dt.datetime.combine(_date(expiry), dt.time()) - dt.datetime.now()
    return max(1.0, left.total_seconds() / 86_400 + 0.7) / _YEAR


def compute(under: float, strike: float, right: str, years: float, vol: float) -> Computation:
    """Return value and Greeks of a European option. Theta is per day, vega per point of volatility."""
    spread = vol * math.sqrt(years)
    d1 = (math.log(under / strike) + spread * spread / 2) / spread
    call = under * _NORMAL.cdf(d1) - strike * _NORMAL.cdf(d1 - spread)
    density = _NORMAL.pdf(d1)
    is_call = right == "C"
    return Computation(
        implied_vol=vol,
        delta=_NORMAL.cdf(d1) - (0 if is_call else 1),
        option_price=max(0.0, call if is_call else call - under + strike),
        pv_dividend=0.0,
        gamma=density / (under * spread),
        vega=under * density * math.sqrt(years) / 100,
        theta=-under * density * vol / (2 * math.sqrt(years)) / _YEAR,
        under_price=under,
    )


def implied_vol(price: float, under: float, strike: float, right: str, years: float) -> float | None:
    """Return the volatility at which the option is worth `price`, or `None` if it is outside 0.1 % to 1000 %."""
    low, high = 0.001, 10.0
    if not compute(under, strike, right, years, low).option_price <= price:
        return None
    if not price <= compute(under, strike, right, years, high).option_price:
        return None
    for _ in range(60):
        middle = (low + high) / 2
        if compute(under, strike, right, years, middle).option_price < price:
            low = middle
        else:
            high = middle
    return (low + high) / 2
