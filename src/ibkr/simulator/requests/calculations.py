"""Option computations on demand: volatility of a price, price at a volatility."""

from ibkr.simulator.market.options import Computation, compute, implied_vol, years_to
from ibkr.simulator.requests.asking import refuse, the_one
from ibkr.simulator.requests.reader import FieldReader
from ibkr.simulator.session import Session
from ibkr.wire import data

_CUSTOM_OPTION = 53
"""The tick type of an answer to these requests (ibapi: CUST_OPTION_COMPUTATION)."""


def volatility(client: Session, fields: FieldReader) -> None:
    """calculateImpliedVolatility: message 21; 322 if there is no volatility that gives the price."""
    _calculate(client, fields, is_price_given=True)


def price(client: Session, fields: FieldReader) -> None:
    """calculateOptionPrice: message 21."""
    _calculate(client, fields, is_price_given=False)


def accept_cancel(client: Session, fields: FieldReader) -> None:
    """cancelCalculateImpliedVolatility, cancelCalculateOptionPrice: they have been answered already."""
    fields.int("Version")
    fields.int("Client Req Id")


def _calculate(client: Session, fields: FieldReader, is_price_given: bool) -> None:
    fields.int("Version")
    req_id = fields.int("Client Req Id")
    contract = fields.contract()
    given = fields.float("Option Price" if is_price_given else "Volatility") or 0.0
    under = fields.float("Under Price") or 0.0
    item = the_one(client, req_id, contract)
    if item is None:
        return
    if item.sec_type != "OPT" or given <= 0 or under <= 0:
        refuse(client, req_id, 321, "An option, a price or volatility and a price of the underlying are needed")
        return
    years = years_to(item.last_trade_date)
    found = implied_vol(given, under, item.strike, item.right, years) if is_price_given else given
    if found is None or found > 10:
        refuse(client, req_id, 322, f"The volatility cannot be calculated for {item.local_symbol}")
        return
    _send(client, req_id, compute(under, item.strike, item.right, years, found))


def _send(client: Session, req_id: int, found: Computation) -> None:
    values = found._asdict()
    client.send(
        client.encode(data.OPTION_COMPUTATION, req_id=req_id, tick_type=_CUSTOM_OPTION, tick_attribute=1, **values)
    )
