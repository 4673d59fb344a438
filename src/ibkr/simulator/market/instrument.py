"""One contract, and the fields in which messages tell of it."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Instrument:
    """One contract with the details that TWS gives of it, and where its price starts.

    `market_data` is what the simulated user is subscribed to: live, delayed (may have it delayed) or none.
    `last_trade_time` is `HH:MM` in the instrument's zone. The fields from `cusip` on are those of bonds, of which
    `last_trade_date` is the maturity and `coupon` is in percent.
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
    last_trade_time: str = ""
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
    calendar: str = "NYSE"
    industry: str = ""
    category: str = ""
    subcategory: str = ""
    isin: str = ""
    figi: str = ""
    cusip: str = ""
    coupon: float = 0.0
    issue_date: str = ""
    ratings: str = ""
    bond_type: str = ""

    @property
    def venue(self) -> str:
        """Where it is listed, or else traded."""
        return self.primary_exchange or self.exchange

    @property
    def has_trades(self) -> bool:
        """Whether it is traded by size: a currency pair is only quoted, an index is computed."""
        return self.sec_type not in ("CASH", "IND", "CFD", "CMDTY", "FUND", "BAG")

    def position_fields(self) -> dict[str, object]:
        """The contract as positions and portfolio lines give it, the exchange aside."""
        return {
            "con_id": self.con_id,
            "symbol": self.symbol,
            "sec_type": self.sec_type,
            "last_trade_date": self.last_trade_date,
            "strike": self.strike,
            "right": self.right,
            "multiplier": self.multiplier,
            "currency": self.currency,
            "local_symbol": self.local_symbol,
            "trading_class": self.trading_class,
        }
