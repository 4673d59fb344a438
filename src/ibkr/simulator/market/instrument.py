"""One contract, and the fields in which messages tell of it."""

from dataclasses import dataclass

_SAME_FOR_ALL: dict[str, object] = {
    "size_multiplier": 1,
    "order_types": "ACTIVETIM,ADJUST,ALERT,ALLOC,BASKET,COND,DAY,GTC,LMT,MKT,STP,TRAIL",
    "price_magnifier": 1,
    "ev_rule": "",
    "ev_multiplier": 0,
    "agg_group": 1,
    "suggested_size": 100,
    "min_size": 1,
    "size_increment": 1,
    "ineligibility_reasons": (),
}
"""Fields of contractDetails that no instrument here differs in."""


@dataclass(frozen=True, slots=True)
class Instrument:
    """One contract with the details that TWS gives of it, and where its price starts.

    `market_data` is what the simulated user is subscribed to: live, delayed (may have it delayed) or none.
    """

    con_id: int
    symbol: str
    sec_type: str
    exchange: str
    local_symbol: str
    price: float
    min_tick: float
    currency: str = "USD"
    primary_exchange: str = ""
    trading_class: str = ""
    long_name: str = ""
    farm: str = "usfarm"
    last_trade_date: str = ""
    contract_month: str = ""
    multiplier: str = ""
    strike: float = 0.0
    right: str = ""
    under_con_id: int = 0
    under_symbol: str = ""
    under_sec_type: str = ""
    stock_type: str = ""
    valid_exchanges: str = ""
    market_rule_id: int = 26
    market_data: str = "live"
    time_zone_id: str = "US/Eastern"
    industry: str = ""
    category: str = ""
    subcategory: str = ""
    isin: str = ""

    @property
    def venue(self) -> str:
        """Where it is listed, or else traded."""
        return self.primary_exchange or self.exchange

    @property
    def has_trades(self) -> bool:
        """Whether it is traded by size: a currency pair is quoted only, an index is computed."""
        return self.sec_type not in ("CASH", "IND")

    def position_fields(self) -> dict[str, object]:
        """The contract as positions and portfolio lines give it, the exchange aside."""
        return {
            "con_id": self.con_id,
            "symbol": self.symbol,
            "sec_type": self.sec_type,
            "last_trade_date": self.last_trade_date,
            "strike": self.strike,
            "right": "0" if self.sec_type == "FUT" else self.right,
            "multiplier": self.multiplier,
            "currency": self.currency,
            "local_symbol": self.local_symbol,
            "trading_class": self.trading_class,
        }

    def details_fields(self) -> dict[str, object]:
        """The fields of contractDetails (message 10); request id and trading hours aside."""
        exchanges = self.valid_exchanges.split(",")
        return {
            **_SAME_FOR_ALL,
            "symbol": self.symbol,
            "sec_type": self.sec_type,
            "last_trade_date_and_time": self.last_trade_date,
            "last_trade_date": self.last_trade_date,
            "strike": self.strike,
            "right": self.right,
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
            "contract_month": self.contract_month,
            "industry": self.industry,
            "category": self.category,
            "subcategory": self.subcategory,
            "time_zone_id": self.time_zone_id,
            "sec_ids": [{"tag": "ISIN", "value": self.isin}] if self.isin else (),
            "under_symbol": self.under_symbol,
            "under_sec_type": self.under_sec_type,
            # One for each exchange, in their order.
            "market_rule_ids": ",".join(str(self.market_rule_id) for _ in exchanges),
            "real_expiration_date": self.last_trade_date,
            "stock_type": self.stock_type,
            "suggested_size_increment": 100 if self.sec_type == "STK" else 1,
        }
