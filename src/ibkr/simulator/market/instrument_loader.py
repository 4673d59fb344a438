"""Load the instruments of the simulated gateway from a TOML file, which a user can replace.

The file of the package is `data/instruments.toml`. Most of its stocks, currency pairs, indices, coins, and index CFDs
have IB's real contract ids. The ids of futures, options, bonds, and the rest are samples.
"""

import datetime as dt
import functools
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Final

from ibkr.simulator import data_files
from ibkr.simulator.market import trading_sessions
from ibkr.simulator.market.calendars import CALENDARS
from ibkr.simulator.market.catalog import Instruments, Rule
from ibkr.simulator.market.instrument import Instrument
from ibkr.simulator.market.options import Chain, monthlies, quarterlies, weeklies

SHIPPED: Final = Path(__file__).parents[1] / "data" / "instruments.toml"

_US_EXCHANGES: Final = (
    "SMART,AMEX,NYSE,CBOE,PHLX,ISE,CHX,ARCA,NASDAQ,DRCTEDGE,BEX,BATS,EDGEA,BYX,IEX,EDGX,FOXRIVER,PEARL,NYSENAT,LTSE,"
    "MEMX,IBEOS,OVERNIGHT,TPLUS0,PSX,IBKRATS,JEFFALGO,CSFBALGO"
)

_KINDS: Final[dict[str, dict[str, object]]] = {
    "STK": {"exchange": "SMART", "min_tick": 0.01, "stock_type": "COMMON"},
    "CASH": {"exchange": "IDEALPRO", "min_tick": 0.00005, "market_rule_id": 59, "calendar": "FOREX"},
    "FUT": {
        "min_tick": 0.25,
        "market_rule_id": 67,
        "farm": "usfuture",
        "under_sec_type": "IND",
        "multiplier": "50",
        "time_zone_id": "US/Central",
        "last_trade_time": "08:30",
        "calendar": "CME",
    },
    "IND": {"min_tick": 0.01, "calendar": "CBOE"},
    "BOND": {"exchange": "SMART", "min_tick": 0.001, "market_rule_id": 2399, "calendar": "BOND"},
    "CFD": {"exchange": "SMART", "min_tick": 0.01},
    "CMDTY": {"exchange": "SMART", "min_tick": 0.01, "calendar": "FOREX"},
    "CRYPTO": {"exchange": "PAXOS", "min_tick": 0.01, "calendar": "CRYPTO"},
    "FUND": {"exchange": "FUNDSERV", "min_tick": 0.01},
    "IOPT": {"exchange": "SMART", "min_tick": 0.01},
    "NEWS": {"min_tick": 0.01, "calendar": "CRYPTO"},
    "WAR": {"exchange": "SMART", "min_tick": 0.01},
}
"""Default values of an entry, by `sec_type`."""

_BY_RULE: Final = ("strike", "right")
"""Fields that only warrants and options have. An entry cannot be an option, because options come from chains."""

_QUARTERS: Final = {"03": "H", "06": "M", "09": "U", "12": "Z"}
"""The month letters of quarterly futures."""


@dataclass(frozen=True)
class _ChainEntry:
    underlying: str
    first_con_id: int
    strike_step: float
    strikes_each_side: int = 10
    monthlies: int = 6
    weeklies: int = 4
    expiries: list[str] = field(default_factory=list)
    multiplier: str = "100"
    trading_class: str = ""
    exchanges: list[str] = field(default_factory=lambda: ["SMART", "AMEX", "CBOE", "ISE", "PHLX"])
    implied_vol: float = 0.3


@dataclass(frozen=True)
class _QuarterlyEntry:
    local_symbol: str
    root: str
    first_con_id: int
    count: int = 4


def load_instruments(path: str | Path = SHIPPED) -> Instruments:
    """Load the instruments of a file. Raises `DataError`, which names the file, the entry, and the field."""
    return _shipped(trading_sessions.today()) if path == SHIPPED else _read(path)


@functools.lru_cache(maxsize=1)
def _shipped(today: dt.date) -> Instruments:
    """Load the file of the package once a day, because the expiries of its chains depend on the date."""
    return _read(SHIPPED)


def _read(path: str | Path) -> Instruments:
    entries = data_files.read(path, ("instrument", "chain", "market_rule", "quarterly"))
    listed = [_instrument(entry) for entry in entries["instrument"]]
    for entry in entries["quarterly"]:
        listed += _quarterly(entry, listed)
    data_files.check_unique(path, "instrument", "con_id", [item.con_id for item in listed])
    chains: list[Chain] = []
    for entry in entries["chain"]:
        chains.append(_chain(entry, listed, chains))
    rules = [_rule(entry) for entry in entries["market_rule"]]
    return Instruments(listed, chains, rules)


def _rule(entry: data_files.Entry) -> Rule:
    rule = entry.build(Rule)
    if not rule.increments or not all(len(pair) == 2 and pair[1] > 0 for pair in rule.increments):
        raise entry.error("increments", "pairs of numbers are needed: [[from this price on, increment], ...]")
    return rule


def _instrument(entry: data_files.Entry) -> Instrument:
    kind = entry.choice("sec_type", _KINDS)
    for name in _BY_RULE if kind not in ("WAR", "IOPT") else ():
        entry.refuse(name, "options are made by a [[chain]]")
    defaults = {"exchange": "", "local_symbol": entry.text("symbol"), **_KINDS[kind]}
    item = entry.build(Instrument, **defaults)
    if not item.price > 0 or not item.min_tick > 0:
        raise entry.error("price" if item.min_tick > 0 else "min_tick", "more than 0 is needed")
    entry.choice("market_data", ("live", "delayed", "none"), "live")
    entry.choice("calendar", CALENDARS, item.calendar)
    if not trading_sessions.is_zone(item.time_zone_id):
        raise entry.error("time_zone_id", "no such time zone, write one such as US/Eastern")
    if not item.exchange:
        raise entry.error("exchange", f"is missing: a {kind} needs one, such as CME or CBOE")
    return replace(
        item,
        trading_class=item.trading_class or _trading_class(item),
        valid_exchanges=item.valid_exchanges or _exchanges(item),
        contract_month=item.contract_month or (item.last_trade_date[:6] if kind == "FUT" else ""),
    )


def _quarterly(entry: data_files.Entry, listed: list[Instrument]) -> list[Instrument]:
    """Return the next futures of a series that are not listed in the file."""
    rule = entry.build(_QuarterlyEntry)
    model = next((item for item in listed if item.sec_type == "FUT" and item.local_symbol == rule.local_symbol), None)
    if model is None:
        raise entry.error("local_symbol", f"{rule.local_symbol!r} is not one of the futures in this file")
    months = {item.contract_month for item in listed if item.trading_class == model.trading_class}
    return [
        replace(
            model,
            con_id=rule.first_con_id + 12 * (int(date[:4]) - 2020) + int(date[4:6]),
            local_symbol=f"{rule.root}{_QUARTERS[date[4:6]]}{date[3]}",
            last_trade_date=date,
            contract_month=date[:6],
        )
        for date in quarterlies(trading_sessions.today(), rule.count)
        if date[:6] not in months
    ]


def _trading_class(item: Instrument) -> str:
    if item.sec_type == "STK" and item.primary_exchange == "NASDAQ":
        return "NMS"
    return item.local_symbol if item.sec_type == "CASH" else item.symbol


def _exchanges(item: Instrument) -> str:
    is_american = item.sec_type == "STK" and item.currency == "USD" and item.exchange == "SMART"
    return _US_EXCHANGES if is_american else item.exchange


def _underlying(name: str, listed: list[Instrument]) -> Instrument | None:
    """Return the instrument of this symbol, or the future of this local symbol."""
    names = {item.local_symbol if item.sec_type == "FUT" else item.symbol: item for item in reversed(listed)}
    return names.get(name)


def _chain(entry: data_files.Entry, listed: list[Instrument], others: list[Chain]) -> Chain:
    rule = entry.build(_ChainEntry)
    under = _underlying(rule.underlying, listed)
    if under is None:
        raise entry.error("underlying", f"{rule.underlying!r} is not one of the instruments in this file")
    if not rule.strike_step > 0:
        raise entry.error("strike_step", "more than 0 is needed")
    if not rule.implied_vol > 0:
        raise entry.error("implied_vol", "more than 0 is needed, 0.3 is 30 %")
    if not all(_is_date(expiry) for expiry in rule.expiries):
        raise entry.error("expiries", "dates of the form yyyymmdd are needed")
    today = trading_sessions.today()
    expiries = {*monthlies(today, rule.monthlies), *weeklies(today, rule.weeklies), *rule.expiries}
    middle = round(under.price / rule.strike_step)
    levels = range(max(1, middle - rule.strikes_each_side), middle + rule.strikes_each_side + 1)
    chain = Chain(
        under=under,
        trading_class=rule.trading_class or under.symbol,
        multiplier=rule.multiplier,
        exchanges=tuple(rule.exchanges),
        expiries=tuple(sorted(expiries)),
        strikes=tuple(round(level * rule.strike_step, 4) for level in levels),
        first_con_id=rule.first_con_id,
        implied_vol=rule.implied_vol,
    )
    ids = chain.con_ids
    taken = [item.con_id for item in listed if item.con_id in ids]
    taken += [
        other.first_con_id for other in others if ids.start < other.con_ids.stop and other.con_ids.start < ids.stop
    ]
    if taken or not 0 < ids.start < ids.stop < 2**31:
        why = f"{taken[0]} is among them" if taken else "they do not fit between 1 and 2147483647"
        raise entry.error("first_con_id", f"its contracts have ids from {ids.start} to {ids.stop}, and {why}")
    return chain


def _is_date(text: str) -> bool:
    try:
        return len(text) == 8 and dt.datetime.strptime(text, "%Y%m%d").year >= 2020
    except ValueError:
        return False
