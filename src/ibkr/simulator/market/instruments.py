"""The instruments that the simulated gateway knows, from a TOML file that a user can replace.

The file that ships with the package is `data/instruments.toml`. Its stocks, currency pairs and indices have IB's own
contract ids; those of futures and options are samples.
"""

import datetime as dt
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Final

from ibkr.simulator import toml
from ibkr.simulator.market import sessions
from ibkr.simulator.market.instrument import Instrument
from ibkr.simulator.market.options import Chain, monthlies, weeklies

SHIPPED: Final = Path(__file__).parents[1] / "data" / "instruments.toml"

_KINDS: Final[dict[str, dict[str, object]]] = {
    "STK": {"exchange": "SMART", "min_tick": 0.01, "market_rule_id": 26, "stock_type": "COMMON"},
    "CASH": {"exchange": "IDEALPRO", "min_tick": 0.00005, "market_rule_id": 59, "farm": "usfarm"},
    "FUT": {"min_tick": 0.25, "market_rule_id": 67, "farm": "usfuture", "under_sec_type": "IND", "multiplier": "50"},
    "IND": {"min_tick": 0.01},
}
"""What an entry of the file that does not say otherwise has, by its `sec_type`."""

_BY_RULE: Final = ("strike", "right")
"""Fields that only options have, which chains make."""

_LISTED = ("SMART", "", "BEST")


@dataclass(frozen=True)
class Rule:
    """A market rule: the price increment from each price on."""

    id: int
    increments: list[list[float]]


class Instruments:
    """All instruments of one gateway. Option chains are made when they are first asked for."""

    def __init__(self, listed: list[Instrument], chains: list[Chain], rules: list[Rule]) -> None:
        self.listed = tuple(listed)
        self.chains = tuple(chains)
        self.rules = {rule.id: rule for rule in rules}
        self._listed_by_con_id = {item.con_id: item for item in listed}
        self.by_symbol: dict[str, Instrument] = {}
        for item in listed:
            self.by_symbol.setdefault(item.symbol, item)

    def __iter__(self) -> Iterator[Instrument]:
        yield from self.listed
        for chain in self.chains:
            yield from chain.options

    @property
    def live(self) -> list[Instrument]:
        """Those whose live data the user has, options aside."""
        return [item for item in self.listed if item.market_data == "live"]

    def by_con_id(self, con_id: int) -> Instrument | None:
        """The instrument of this contract id."""
        found = self._listed_by_con_id.get(con_id)
        chains = (chain for chain in self.chains if con_id in chain.con_ids and con_id in chain.by_con_id)
        return found or next((chain.by_con_id[con_id] for chain in chains), None)

    def by_isin(self, isin: str) -> list[Instrument]:
        """The instruments of this ISIN."""
        return [item for item in self.listed if item.isin and item.isin == isin.upper()]

    def chain_of(self, option: Instrument) -> Chain:
        """The chain that an option belongs to."""
        return next(chain for chain in self.chains if chain.by_con_id.get(option.con_id) == option)

    def find(self, query: Mapping[str, str]) -> list[Instrument]:
        """The instruments that a request's contract fields fit; a field left empty fits all.

        A contract id is enough by itself, as it is for TWS.
        """
        con_id = query.get("con_id", "")
        if con_id not in ("", "0"):
            found = self.by_con_id(int(con_id))
            return [found] if found else []
        if not (query.get("symbol") or query.get("local_symbol")):
            return []
        if query.get("sec_type", "").upper() != "OPT":
            return [item for item in self.listed if _fits(item, query)]
        symbol = query.get("symbol", "").upper()
        chains = (chain for chain in self.chains if symbol in ("", chain.under.symbol.upper()))
        return [item for chain in chains for item in chain.options if _fits(item, query)]

    def matching(self, pattern: str) -> list[Instrument]:
        """Up to 16 listed instruments for what somebody has typed: by symbol, else by a word of the name."""
        wanted = pattern.upper()
        found = [item for item in self.listed if item.sec_type in ("STK", "IND", "CASH")]
        by_symbol = [item for item in found if item.symbol.upper().startswith(wanted)]
        by_name = [item for item in found if wanted in item.long_name.upper() and item not in by_symbol]
        return [*sorted(by_symbol, key=lambda item: len(item.symbol)), *by_name][:16]

    def derivatives_of(self, item: Instrument) -> list[str]:
        """The kinds of derivative that there are on an instrument."""
        futures = any(other.sec_type == "FUT" and other.under_con_id == item.con_id for other in self.listed)
        options = any(chain.under.con_id == item.con_id for chain in self.chains)
        return [*(["OPT"] if options else []), *(["FUT"] if futures else [])]


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


def load_instruments(path: str | Path = SHIPPED) -> Instruments:
    """The instruments of a file. Raises `DataError`, which names the file, the entry, the field and the cure."""
    entries = toml.read(path, ("instrument", "chain", "market_rule"))
    listed = [_instrument(entry) for entry in entries["instrument"]]
    toml.check_unique(path, "instrument", "con_id", [item.con_id for item in listed])
    chains: list[Chain] = []
    for entry in entries["chain"]:
        chains.append(_chain(entry, listed, chains))
    rules = [_rule(entry) for entry in entries["market_rule"]]
    return Instruments(listed, chains, rules)


def _rule(entry: toml.Entry) -> Rule:
    rule = entry.build(Rule)
    if not rule.increments or not all(len(pair) == 2 and pair[1] > 0 for pair in rule.increments):
        raise entry.error("increments", "pairs of numbers are needed: [[from this price on, increment], ...]")
    return rule


def _instrument(entry: toml.Entry) -> Instrument:
    kind = entry.choice("sec_type", _KINDS)
    for name in _BY_RULE:
        entry.refuse(name, "options are made by a [[chain]]")
    defaults = {"exchange": "", "local_symbol": entry.text("symbol"), **_KINDS[kind]}
    item = entry.build(Instrument, **defaults)
    if not item.price > 0 or not item.min_tick > 0:
        raise entry.error("price" if item.min_tick > 0 else "min_tick", "more than 0 is needed")
    entry.choice("market_data", ("live", "delayed", "none"), "live")
    if not sessions.is_zone(item.time_zone_id):
        raise entry.error("time_zone_id", "no such time zone, write one such as US/Eastern")
    if not item.exchange:
        raise entry.error("exchange", f"is missing: a {kind} needs one, such as CME or CBOE")
    return replace(
        item,
        trading_class=item.trading_class or item.local_symbol if kind == "CASH" else item.trading_class or item.symbol,
        valid_exchanges=item.valid_exchanges or item.exchange,
        contract_month=item.contract_month or item.last_trade_date[:6],
    )


def _chain(entry: toml.Entry, listed: list[Instrument], others: list[Chain]) -> Chain:
    rule = entry.build(_ChainEntry)
    under = next((item for item in listed if item.symbol == rule.underlying and item.sec_type != "FUT"), None)
    if under is None:
        raise entry.error("underlying", f"{rule.underlying!r} is none of the instruments in this file")
    if not rule.strike_step > 0:
        raise entry.error("strike_step", "more than 0 is needed")
    if not rule.implied_vol > 0:
        raise entry.error("implied_vol", "more than 0 is needed, 0.3 is 30 %")
    if not all(_is_date(expiry) for expiry in rule.expiries):
        raise entry.error("expiries", "dates of the form yyyymmdd are needed")
    today = sessions.today()
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


def _fits(item: Instrument, query: Mapping[str, str]) -> bool:
    for name in ("symbol", "sec_type", "currency", "local_symbol", "multiplier", "trading_class"):
        wanted = query.get(name, "")
        if wanted and wanted.upper() != str(getattr(item, name)).upper():
            return False
    if not item.last_trade_date.startswith(query.get("last_trade_date", "")):
        return False
    if item.sec_type == "OPT" and not _is_strike(item, query):
        return False
    listed = query.get("primary_exchange", "")
    if listed and item.primary_exchange and listed not in (item.primary_exchange, item.exchange):
        return False
    exchange = query.get("exchange", "")
    return exchange in _LISTED or exchange in {*item.valid_exchanges.split(","), item.exchange}


def _is_strike(item: Instrument, query: Mapping[str, str]) -> bool:
    right = query.get("right", "").upper()[:1]
    if right in ("C", "P") and right != item.right:
        return False
    strike = float(query.get("strike") or 0)
    return strike == 0 or strike == item.strike
