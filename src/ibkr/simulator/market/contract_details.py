"""The fields of contract details: message 10, and message 18 for bonds, without request id and hours."""

from typing import Final

from ibkr.simulator.market.instrument import Instrument

_TIME_WITH_SECONDS: Final = 182
"""The server version from which the last trade time has seconds, and the date has its own field."""

_AGG_GROUP: Final = {"STK": 1, "OPT": 2, "CASH": 4}
_NO_GROUP: Final = 2147483647
_LOTS: Final = {"STK": (1.0, 1.0, 100.0), "CRYPTO": (1e-8, 1e-8, 1e-8), "FUND": (0.001, 0.001, 0.001)}
"""Smallest size, size increment, and suggested increment, by security type. For other types, all three are 1."""
_COMMON: Final = (
    "ACTIVETIM,AD,ADJUST,ALERT,ALLOC,AVGCOST,BASKET,COND,CONDORDER,DAY,DEACT,DEACTDIS,DEACTEOD,GAT,GTC,GTD,GTT,HID,"
    "IOC,LIT,LMT,MIT,MKT,NONALGO,OCA,SCALE,SCALERST,STP,STPLMT,TRAIL,TRAILLIT,TRAILLMT,TRAILMIT,WHATIF"
)

_MORE: Final = {
    "STK": (
        "ADDONT,ALGO,AON,BENCHPX,CASHQTY,DARKONLY,DARKPOLL,DIS,DUR,IBKRATS,ICE,IMB,LOC,MIDPX,MOC,MTL,NGCOMB,NODARK,OPG,"
        "OPGREROUT,PEGBENCH,PEGMID,POSTATS,POSTONLY,PREOPGRTH,PRICECHK,REL,REL2MID,RELPCTOFS,RPI,RTH,SCALEODD,SIZECHK,"
        "SMARTSTG,SNAPMID,SNAPMKT,SNAPREL,SWEEP"
    ),
    "FUT": "ALGO,BENCHPX,ICE,LTH,MTL,NGCOMB,PEGBENCH,SNAPMID,SNAPMKT,SNAPREL",
    "OPT": (
        "ALGO,AON,DIS,FOK,ICE,MTL,NGCOMB,OPENCLOSE,PEGMIDVOL,PEGMKTVOL,PEGPRMVOL,PEGSRFVOL,PRICECHK,REL,RELPCTOFS,"
        "SIZECHK,SNAPMID,SNAPMKT,SNAPREL,SWEEP,VOLAT"
    ),
    "CASH": "ALGO,CASHQTY,REL,RELPCTOFS",
    "CFD": "ALGO,CASHQTY,REL,RELPCTOFS,SNAPMID,SNAPMKT,SNAPREL",
    "CRYPTO": "CASHQTY",
    "BOND": "NGCOMB",
}
_LIKE: Final = {"FOP": "OPT", "CONTFUT": "FUT"}


def contract_details(item: Instrument, server_version: int, exchange: str = "") -> dict[str, object]:
    """Return the fields of message 10, for the requested exchange."""
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
    """Return the fields that only funds have, from version 179 on."""
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
    """Return the fields of message 18."""
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
    """Return the last trade as in message 10: the date, and for futures also the time and the zone of the exchange."""
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
        # One market rule for each exchange, in the order of `valid_exchanges`.
        "market_rule_ids": ",".join(str(item.market_rule_id) for _ in item.valid_exchanges.split(",")),
        **_lots(item),
    }


def _lots(item: Instrument) -> dict[str, float]:
    names = ("min_size", "size_increment", "suggested_size_increment")
    return dict(zip(names, _LOTS.get(item.sec_type, (1.0, 1.0, 1.0)), strict=True))


def order_types_of(sec_type: str) -> str:
    """Return the field `orderTypes` of a security type: sorted, separated by commas. Indices and news cannot be traded.

    A paper account (2026) sent the lists of AAPL and MES, which are used for stocks and futures. The other lists are
    from public transcripts.
    """
    if sec_type in ("IND", "NEWS"):
        return ""
    more = _MORE.get(_LIKE.get(sec_type, sec_type), "")
    return ",".join(sorted({*_COMMON.split(","), *filter(None, more.split(","))}))
