"""The instruments that the simulated gateway knows.

Stocks and the currency pair have IB's own contract ids; the future's id and dates are samples.
"""

from collections.abc import Mapping
from dataclasses import dataclass

_HOURS = "20261201:0930-20261201:1600;20261202:0930-20261202:1600"


_SAME_FOR_ALL: dict[str, object] = {
    "right": "",
    "size_multiplier": 1,
    "order_types": "ACTIVETIM,ADJUST,ALERT,ALLOC,BASKET,COND,DAY,GTC,LMT,MKT,STP,TRAIL",
    "price_magnifier": 1,
    "industry": "",
    "category": "",
    "subcategory": "",
    "time_zone_id": "US/Eastern",
    "trading_hours": _HOURS,
    "liquid_hours": _HOURS,
    "ev_rule": "",
    "ev_multiplier": 0,
    "sec_ids": (),
    "agg_group": 1,
    "market_rule_ids": "26",
    "suggested_size": 100,
    "min_size": 1,
    "size_increment": 1,
    "ineligibility_reasons": (),
}
"""Fields of contractDetails that no sample differs in."""


@dataclass(frozen=True, slots=True)
class Instrument:
    """One contract with the details that TWS gives of it, and where its price starts."""

    con_id: int
    symbol: str
    sec_type: str
    exchange: str
    primary_exchange: str
    currency: str
    local_symbol: str
    trading_class: str
    long_name: str
    price: float
    min_tick: float
    farm: str = "usfarm"
    last_trade_date: str = ""
    multiplier: str = ""
    under_con_id: int = 0
    under_symbol: str = ""
    under_sec_type: str = ""
    stock_type: str = ""
    valid_exchanges: str = "SMART"

    def position_fields(self) -> dict[str, object]:
        """The contract as positions and portfolio lines give it, the exchange aside."""
        return {
            "con_id": self.con_id,
            "symbol": self.symbol,
            "sec_type": self.sec_type,
            "last_trade_date": self.last_trade_date,
            "strike": 0.0,
            "right": "" if self.sec_type != "FUT" else "0",
            "multiplier": self.multiplier,
            "currency": self.currency,
            "local_symbol": self.local_symbol,
            "trading_class": self.trading_class,
        }

    def details_fields(self) -> dict[str, object]:
        """The fields of contractDetails (message 10), the request id aside."""
        return {
            **_SAME_FOR_ALL,
            "symbol": self.symbol,
            "sec_type": self.sec_type,
            "last_trade_date_and_time": self.last_trade_date,
            "last_trade_date": self.last_trade_date,
            "strike": 0.0,
            "exchange": self.exchange,
            "currency": self.currency,
            "local_symbol": self.local_symbol,
            "market_name": self.trading_class,
            "trading_class": self.trading_class,
            "con_id": self.con_id,
            "min_tick": self.min_tick,
            "multiplier": self.multiplier,
            "valid_exchanges": self.valid_exchanges,
            "under_con_id": self.under_con_id,
            "long_name": self.long_name,
            "primary_exchange": self.primary_exchange,
            "contract_month": self.last_trade_date[:6],
            "under_symbol": self.under_symbol,
            "under_sec_type": self.under_sec_type,
            "real_expiration_date": self.last_trade_date,
            "stock_type": self.stock_type,
            "suggested_size_increment": 100 if self.sec_type == "STK" else 1,
        }


def _stock(con_id: int, symbol: str, listed: str, name: str, price: float) -> Instrument:
    return Instrument(
        con_id=con_id,
        symbol=symbol,
        sec_type="STK",
        exchange="SMART",
        primary_exchange=listed,
        currency="USD",
        local_symbol=symbol,
        trading_class="NMS" if listed == "NASDAQ" else symbol,
        long_name=name,
        price=price,
        min_tick=0.01,
        stock_type="ETF" if listed == "ARCA" else "COMMON",
        valid_exchanges=f"SMART,AMEX,NYSE,{listed},IBKRATS",
    )


INSTRUMENTS: tuple[Instrument, ...] = (
    _stock(265598, "AAPL", "NASDAQ", "APPLE INC", 230.0),
    _stock(272093, "MSFT", "NASDAQ", "MICROSOFT CORP", 430.0),
    _stock(208813719, "GOOGL", "NASDAQ", "ALPHABET INC-CL A", 175.0),
    _stock(76792991, "TSLA", "NASDAQ", "TESLA INC", 250.0),
    _stock(756733, "SPY", "ARCA", "SS SPDR S&P 500 ETF TRUST-US", 560.0),
    _stock(3691937, "AMZN", "NASDAQ", "AMAZON.COM INC", 185.0),
    _stock(107113386, "META", "NASDAQ", "META PLATFORMS INC-CLASS A", 510.0),
    _stock(4815747, "NVDA", "NASDAQ", "NVIDIA CORP", 120.0),
    _stock(15124833, "NFLX", "NASDAQ", "NETFLIX INC", 680.0),
    _stock(270639, "INTC", "NASDAQ", "INTEL CORP", 21.0),
    _stock(268084, "CSCO", "NASDAQ", "CISCO SYSTEMS INC", 50.0),
    _stock(4391, "AMD", "NASDAQ", "ADVANCED MICRO DEVICES", 150.0),
    _stock(8314, "IBM", "NYSE", "INTL BUSINESS MACHINES CORP", 200.0),
    _stock(1520593, "JPM", "NYSE", "JPMORGAN CHASE & CO", 210.0),
    _stock(10098, "BAC", "NYSE", "BANK OF AMERICA CORP", 40.0),
    _stock(8894, "KO", "NYSE", "COCA-COLA CO/THE", 70.0),
    _stock(13977, "XOM", "NYSE", "EXXON MOBIL CORP", 115.0),
    _stock(6459, "DIS", "NYSE", "WALT DISNEY CO/THE", 90.0),
    _stock(9579970, "IWM", "ARCA", "ISHARES RUSSELL 2000 ETF", 215.0),
    Instrument(
        con_id=12087792,
        symbol="EUR",
        sec_type="CASH",
        exchange="IDEALPRO",
        primary_exchange="",
        currency="USD",
        local_symbol="EUR.USD",
        trading_class="EUR.USD",
        long_name="European Monetary Union Euro",
        price=1.08,
        min_tick=0.00005,
        valid_exchanges="IDEALPRO",
    ),
    Instrument(
        con_id=495512563,
        symbol="ES",
        sec_type="FUT",
        exchange="CME",
        primary_exchange="",
        currency="USD",
        local_symbol="ESZ7",
        trading_class="ES",
        long_name="E-mini S&P 500",
        price=5600.0,
        min_tick=0.25,
        farm="usfuture",
        last_trade_date="20271217",
        multiplier="50",
        under_con_id=11004968,
        under_symbol="ES",
        under_sec_type="IND",
        valid_exchanges="CME,QBALGO",
    ),
)

BY_SYMBOL: dict[str, Instrument] = {item.symbol: item for item in INSTRUMENTS}

_LISTED = ("SMART", "")


def find_instruments(query: Mapping[str, str]) -> list[Instrument]:
    """The instruments that a request's contract fields fit; a field left empty fits all.

    A contract id is enough by itself, as it is for TWS.
    """
    con_id = query.get("con_id", "")
    if con_id not in ("", "0"):
        return [item for item in INSTRUMENTS if str(item.con_id) == con_id]
    if not (query.get("symbol") or query.get("local_symbol")):
        return []
    return [item for item in INSTRUMENTS if _fits(item, query)]


def _fits(item: Instrument, query: Mapping[str, str]) -> bool:
    for name in ("symbol", "sec_type", "currency", "local_symbol", "multiplier"):
        wanted = query.get(name, "")
        if wanted and wanted.upper() != str(getattr(item, name)).upper():
            return False
    if not item.last_trade_date.startswith(query.get("last_trade_date", "")):
        return False
    exchange = query.get("exchange", "")
    return exchange in _LISTED or exchange in {*item.valid_exchanges.split(","), item.exchange}
