"""`Instrument`: one contract with its details."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Instrument:
    """One contract with the details that TWS reports, and its first price.

    `market_data` is the user's subscription: live, delayed (delayed data is allowed), or none. `last_trade_time` is
    `HH:MM` in the instrument's time zone. The fields from `cusip` on are for bonds. There, `last_trade_date` is the
    maturity, and `coupon` is in percent.
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
        """The exchange where the instrument is listed, or where it is traded if that is not given."""
        return self.primary_exchange or self.exchange

    @property
    def has_trades(self) -> bool:
        """Whether trades with a size exist. A currency pair is only quoted, an index is computed."""
        return self.sec_type not in ("CASH", "IND", "CFD", "CMDTY", "FUND", "BAG")

    def position_fields(self) -> dict[str, object]:
        """Return the contract fields of positions and portfolio lines, without the exchange."""
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
