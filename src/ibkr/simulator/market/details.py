"""The fields of contract details: message 10, and message 18 for bonds. The request id and the hours are not here."""

from typing import Final

from ibkr.simulator.market.instrument import Instrument
from ibkr.simulator.market.order_types import order_types_of

_TIME_WITH_SECONDS: Final = 182
"""The server version from which the last trade has seconds, and a field of its own has the date."""

_AGG_GROUP: Final = {"STK": 1, "OPT": 2, "CASH": 4}
_NO_GROUP: Final = 2147483647
_LOTS: Final = {"STK": (1.0, 1.0, 100.0), "CRYPTO": (1e-8, 1e-8, 1e-8), "FUND": (0.001, 0.001, 0.001)}
"""Smallest size, size increment and suggested increment, by kind of instrument; 1 for the others."""


def contract_details(item: Instrument, server_version: int, exchange: str = "") -> dict[str, object]:
    """The fields of message 10, at the exchange that was asked for."""
    return {
        **_common(item, exchange),
        "last_trade_date_and_time": last_trade(item, server_version),
        "last_trade_date": item.last_trade_date,
        "strike": item.strike,
        "right": item.right,
        "local_symbol": item.local_symbol,
        "multiplier": item.multiplier,
        "price_magnifier": 1,
        "under_con_id": item.under_con_id,
        "primary_exchange": item.primary_exchange,
        "contract_month": item.contract_month,
        "industry": item.industry,
        "category": item.category,
        "subcategory": item.subcategory,
        "under_symbol": item.under_symbol,
        "under_sec_type": item.under_sec_type,
        "real_expiration_date": item.last_trade_date,
        "stock_type": item.stock_type,
        "suggested_size": _lots(item)["suggested_size_increment"],
        "ineligibility_reasons": (),
        **(_fund(item) if item.sec_type == "FUND" else {}),
    }


def _fund(item: Instrument) -> dict[str, object]:
    """The fields that only funds have, from version 179 on."""
    texts = (
        "front_load back_load back_load_time_interval management_fee notify_amount minimum_initial_purchase "
        "subsequent_minimum_purchase blue_sky_states blue_sky_territories"
    )
    flags = "closed closed_for_new_investors closed_for_new_money"
    return {
        **{f"fund_{name}": "" for name in texts.split()},
        **{f"fund_{name}": False for name in flags.split()},
        "fund_name": item.long_name,
        "fund_family": item.long_name.partition(" ")[0],
        "fund_type": "Equity",
        "fund_distribution_policy": "N",
        "fund_asset_type": "Equity",
    }


def bond_details(item: Instrument) -> dict[str, object]:
    """The fields of message 18."""
    return {
        **_common(item, ""),
        "cusip": item.cusip,
        "coupon": item.coupon,
        "maturity": item.last_trade_date,
        "issue_date": item.issue_date,
        "ratings": item.ratings,
        "bond_type": item.bond_type,
        "coupon_type": "FIXED",
        "convertible": False,
        "callable": False,
        "putable": False,
        "desc_append": f"{item.trading_class} {item.coupon:g} {item.last_trade_date}",
        "next_option_date": "",
        "next_option_type": "",
        "next_option_partial": False,
        "notes": "",
    }


def last_trade(item: Instrument, server_version: int) -> str:
    """The last trade as message 10 tells it: the date, and for futures the time and zone of the exchange."""
    if not item.last_trade_time:
        return item.last_trade_date
    seconds = ":00" if server_version >= _TIME_WITH_SECONDS else ""
    return f"{item.last_trade_date} {item.last_trade_time}{seconds} {item.time_zone_id}"


def _common(item: Instrument, exchange: str) -> dict[str, object]:
    numbers = {"ISIN": item.isin, "CUSIP": item.cusip}
    return {
        "symbol": item.symbol,
        "sec_type": item.sec_type,
        "exchange": exchange or item.exchange,
        "currency": item.currency,
        "market_name": item.trading_class,
        "trading_class": item.trading_class,
        "con_id": item.con_id,
        "min_tick": item.min_tick,
        "size_multiplier": 1,
        "order_types": order_types_of(item.sec_type),
        "valid_exchanges": item.valid_exchanges,
        "long_name": item.long_name,
        "time_zone_id": item.time_zone_id,
        "ev_rule": "",
        "ev_multiplier": None,
        "sec_ids": [{"tag": tag, "value": value} for tag, value in numbers.items() if value],
        "agg_group": _AGG_GROUP.get(item.sec_type, _NO_GROUP),
        # One for each exchange, in their order.
        "market_rule_ids": ",".join(str(item.market_rule_id) for _ in item.valid_exchanges.split(",")),
        **_lots(item),
    }


def _lots(item: Instrument) -> dict[str, float]:
    names = ("min_size", "size_increment", "suggested_size_increment")
    return dict(zip(names, _LOTS.get(item.sec_type, (1.0, 1.0, 1.0)), strict=True))
