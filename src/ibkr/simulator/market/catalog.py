"""`Instruments`: all instruments of one gateway, and the search by contract fields."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Final

from ibkr.simulator.market import trading_sessions
from ibkr.simulator.market.instrument import Instrument
from ibkr.simulator.market.options import Chain

_LISTED: Final = ("SMART", "", "BEST")
_OTHER_NAMES: Final = {"ISLAND": "NASDAQ", "GLOBEX": "CME", "ECBOT": "CBOT"}
"""Exchanges that TWS has renamed. TWS accepts the old names, too."""

_NUMBERS: Final = ("isin", "cusip", "figi")


@dataclass(frozen=True)
class Rule:
    """A market rule: the price increment from each price on."""

    id: int
    increments: list[list[float]]


class Instruments:
    """All instruments of one gateway. Option chains are created at their first use."""

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
        """The instruments with live data for the user, without options."""
        return [item for item in self.listed if item.market_data == "live"]

    def by_con_id(self, con_id: int) -> Instrument | None:
        """Return the instrument of this contract id."""
        found = self._listed_by_con_id.get(con_id)
        chains = (chain for chain in self.chains if con_id in chain.con_ids and con_id in chain.by_con_id)
        return found or next((chain.by_con_id[con_id] for chain in chains), None)

    def by_security_id(self, kind: str, number: str) -> list[Instrument]:
        """Return the instruments of this ISIN, CUSIP, or FIGI."""
        name = kind.lower()
        if name not in _NUMBERS or not number:
            return []
        return [item for item in self.listed if getattr(item, name) == number.upper()]

    def chain_of(self, option: Instrument) -> Chain:
        """Return the chain of an option."""
        return next(chain for chain in self.chains if option.con_id in chain.con_ids)

    def find(self, query: Mapping[str, str]) -> list[Instrument]:
        """Return the instruments that match the contract fields of a request. An empty field matches all.

        A contract id alone is enough, as in TWS.
        """
        con_id, kind = query.get("con_id", ""), query.get("sec_type", "").upper()
        if con_id not in ("", "0"):
            found = self.by_con_id(int(con_id))
            if found and found.sec_type == "FUT" and kind == "CONTFUT":
                return [replace(found, sec_type="CONTFUT")]
            return [found] if found else []
        if not (query.get("symbol") or query.get("local_symbol") or kind == "NEWS"):
            return []
        if kind in ("CONTFUT", "FUT+CONTFUT"):
            futures = [item for item in self.listed if _matches(item, {**query, "sec_type": "FUT"})]
            return [*(_by_date(futures) if kind != "CONTFUT" else []), *_continuous_futures(futures)]
        if kind not in ("OPT", "FOP"):
            fitting = [item for item in self.listed if _matches(item, query)]
            # If no type is given, use the first security type that has this symbol.
            return _by_date([item for item in fitting if kind or item.sec_type == fitting[0].sec_type])
        symbol = query.get("symbol", "").upper()
        chains = (chain for chain in self.chains if symbol in ("", chain.under.symbol.upper()))
        return [item for chain in chains for item in chain.options if _matches(item, query)]

    def search(self, pattern: str) -> list[Instrument]:
        """Return up to 16 listed instruments whose symbol starts with the pattern, or whose name contains it."""
        wanted = pattern.upper()
        found = [item for item in self.listed if item.sec_type in ("STK", "IND", "CASH", "CRYPTO")]
        by_symbol = [item for item in found if item.symbol.upper().startswith(wanted)]
        by_name = [item for item in found if wanted in item.long_name.upper() and item not in by_symbol]
        return [*sorted(by_symbol, key=lambda item: len(item.symbol)), *by_name][:16]

    def derivatives_of(self, item: Instrument) -> list[str]:
        """Return the kinds of derivatives of an instrument."""
        if item.sec_type == "STK":
            return ["CFD", "OPT", "IOPT", "WAR", "BAG"] if item.currency == "USD" else ["CFD", "IOPT"]
        futures = any(other.sec_type == "FUT" and other.under_con_id == item.con_id for other in self.listed)
        options = any(chain.under.con_id == item.con_id for chain in self.chains)
        return [*(["OPT"] if options else []), *(["FUT"] if futures else []), *(["BAG"] if futures or options else [])]


def _by_date(found: list[Instrument]) -> list[Instrument]:
    """Sort futures by their last trade date, and keep the order of all other instruments."""
    return sorted(found, key=lambda item: item.last_trade_date if item.sec_type == "FUT" else "")


def _continuous_futures(futures: list[Instrument]) -> list[Instrument]:
    """Return the continuous future of each trading class: the first that still trades, with its own contract id."""
    today = f"{trading_sessions.today():%Y%m%d}"
    front: dict[str, Instrument] = {}
    for item in _by_date(futures):
        if item.last_trade_date >= today:
            front.setdefault(item.trading_class, item)
    return [replace(item, sec_type="CONTFUT") for item in front.values()]


def _matches(item: Instrument, query: Mapping[str, str]) -> bool:
    for name in ("sec_type", "currency", "local_symbol", "multiplier", "trading_class"):
        wanted = query.get(name, "")
        if wanted and wanted.upper() != str(getattr(item, name)).upper():
            return False
    symbol = query.get("symbol", "").upper()
    if symbol and symbol not in (item.symbol.upper(), *((item.cusip, item.isin) if item.sec_type == "BOND" else ())):
        return False
    if not item.last_trade_date.startswith(query.get("last_trade_date", "")):
        return False
    if item.strike and not _is_strike(item, query):
        return False
    listed = current_name(query.get("primary_exchange", ""))
    if listed and item.primary_exchange and listed not in (item.primary_exchange, item.exchange):
        return False
    exchange = current_name(query.get("exchange", ""))
    return exchange in _LISTED or exchange in {*item.valid_exchanges.split(","), item.exchange}


def current_name(exchange: str) -> str:
    """Return the current name of an exchange."""
    return _OTHER_NAMES.get(exchange, exchange)


def _is_strike(item: Instrument, query: Mapping[str, str]) -> bool:
    right = query.get("right", "").upper()[:1]
    if right in ("C", "P") and right != item.right:
        return False
    strike = float(query.get("strike") or 0)
    return strike == 0 or strike == item.strike
