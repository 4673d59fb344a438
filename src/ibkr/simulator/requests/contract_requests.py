"""Answer the requests about contracts: details, symbols, option parameters, market rules, option calculations."""

from ibkr.simulator.gateway_state import ClientSession
from ibkr.simulator.market import trading_sessions
from ibkr.simulator.market.catalog import current_name
from ibkr.simulator.market.contract_details import bond_details, contract_details
from ibkr.simulator.market.instrument import Instrument
from ibkr.simulator.market.options import Computation, compute, implied_vol, years_to
from ibkr.simulator.requests.field_reader import FieldReader
from ibkr.simulator.requests.request_helpers import NO_DEFINITION, find_instrument, refuse
from ibkr.wire import data_messages, messages

_CUSTOM_OPTION = 53
"""The tick type of answers to option calculations (ibapi: CUST_OPTION_COMPUTATION)."""


def details(client: ClientSession, fields: FieldReader) -> None:
    """reqContractDetails: one message per matching contract, then the end. 200 if no contract matches."""
    fields.int("Version")
    req_id = fields.int("Client Req Id")
    contract = fields.contract()
    fields.bool("Include Expired")
    kind, number = fields.text("Sec Id Type"), fields.text("Sec Id")
    catalog = client.state.instruments
    found = catalog.by_security_id(kind, number) if kind and number else catalog.find(contract)
    if not found:
        client.send_error(req_id, 200, NO_DEFINITION)
        return
    samples = {(item.calendar, item.time_zone_id): item for item in found}
    hours = {
        key: (trading_sessions.hours_text(item, False), trading_sessions.hours_text(item, True))
        for key, item in samples.items()
    }
    exchange = current_name(contract["exchange"])
    client.send(
        *[_encoded(client, req_id, item, exchange, *hours[item.calendar, item.time_zone_id]) for item in found],
        client.encode(messages.CONTRACT_DETAILS_END, req_id=req_id),
    )


def _encoded(client: ClientSession, req_id: int, item: Instrument, exchange: str, trading: str, liquid: str) -> bytes:
    """Encode the details of an instrument for the requested exchange, if it is traded there."""
    hours = {"trading_hours": trading, "liquid_hours": liquid}
    if item.sec_type == "BOND":
        return client.encode(messages.BOND_CONTRACT_DETAILS, req_id=req_id, **hours, **bond_details(item))
    exchange = exchange if exchange in item.valid_exchanges.split(",") else ""
    values = contract_details(item, client.server_version, exchange)
    return client.encode(messages.CONTRACT_DETAILS, req_id=req_id, **hours, **values)


def matching_symbols(client: ClientSession, fields: FieldReader) -> None:
    """reqMatchingSymbols: up to 16 contracts for the start of a symbol or a part of a name."""
    req_id = fields.int("Client Req Id")
    pattern = fields.text("Pattern")
    catalog = client.state.instruments
    rows = [
        {
            "con_id": item.con_id,
            "symbol": item.symbol,
            "sec_type": item.sec_type,
            "primary_exchange": item.venue,
            "currency": item.currency,
            "derivatives": [{"sec_type": kind} for kind in catalog.derivatives_of(item)],
            "description": item.long_name,
            "issuer_id": "",
        }
        for item in (catalog.search(pattern) if pattern else [])
    ]
    client.send(client.encode(data_messages.SYMBOL_SAMPLES, req_id=req_id, contracts=rows))


def option_parameters(client: ClientSession, fields: FieldReader) -> None:
    """reqSecDefOptParams: expiries and strikes of a chain for each exchange, then the end."""
    req_id = fields.int("Client Req Id")
    symbol = fields.text("Underlying Symbol")
    exchange = fields.text("Fut Fop Exchange")
    fields.text("Underlying Sec Type")
    con_id = fields.int("Underlying Con Id")
    under = client.state.instruments.by_con_id(con_id)
    if under is None or under.symbol != symbol:
        refuse(client, req_id, 321, "Invalid contract id")
        return
    bodies = [
        client.encode(
            data_messages.OPTION_PARAMETER,
            req_id=req_id,
            exchange=venue,
            under_con_id=con_id,
            trading_class=chain.trading_class,
            multiplier=chain.multiplier,
            expirations=[{"expiration": expiry} for expiry in chain.expiries],
            strikes=[{"strike": strike} for strike in chain.strikes],
        )
        for chain in client.state.instruments.chains
        if chain.under.con_id == con_id
        for venue in chain.exchanges
        if exchange in ("", venue)
    ]
    client.send(*bodies, client.encode(data_messages.OPTION_PARAMETER_END, req_id=req_id))


def market_rule(client: ClientSession, fields: FieldReader) -> None:
    """reqMarketRule: the price increments of a rule. 321 for an unknown rule."""
    rule_id = fields.int("Market Rule Id")
    rule = client.state.instruments.rules.get(rule_id)
    if rule is None:
        refuse(client, -1, 321, f"Invalid market rule id: {rule_id}")
        return
    rows = [{"low_edge": edge, "increment": increment} for edge, increment in rule.increments]
    client.send(client.encode(data_messages.MARKET_RULE, market_rule_id=rule_id, increments=rows))


def implied_volatility(client: ClientSession, fields: FieldReader) -> None:
    """calculateImpliedVolatility: message 21. 322 if no volatility gives the price."""
    _calculate(client, fields, is_price_given=True)


def option_price(client: ClientSession, fields: FieldReader) -> None:
    """calculateOptionPrice: message 21."""
    _calculate(client, fields, is_price_given=False)


def accept_cancel(client: ClientSession, fields: FieldReader) -> None:
    """cancelCalculateImpliedVolatility, cancelCalculateOptionPrice: do nothing, the request is already answered."""
    fields.int("Version")
    fields.int("Client Req Id")


def _calculate(client: ClientSession, fields: FieldReader, is_price_given: bool) -> None:
    fields.int("Version")
    req_id = fields.int("Client Req Id")
    contract = fields.contract()
    value = fields.float("Option Price" if is_price_given else "Volatility") or 0.0
    under = fields.float("Under Price") or 0.0
    item = find_instrument(client, req_id, contract)
    if item is None:
        return
    if item.sec_type != "OPT" or value <= 0 or under <= 0:
        refuse(client, req_id, 321, "An option, a price or volatility and a price of the underlying are needed")
        return
    years = years_to(item.last_trade_date)
    found = implied_vol(value, under, item.strike, item.right, years) if is_price_given else value
    if found is None or found > 10:
        refuse(client, req_id, 322, f"The volatility cannot be calculated for {item.local_symbol}")
        return
    _send(client, req_id, compute(under, item.strike, item.right, years, found))


def _send(client: ClientSession, req_id: int, found: Computation) -> None:
    values = found._asdict()
    client.send(
        client.encode(
            data_messages.OPTION_COMPUTATION, req_id=req_id, tick_type=_CUSTOM_OPTION, tick_attribute=1, **values
        )
    )
