"""Answers about contracts: details, matching symbols, option parameters, market rules."""

from ibkr.simulator.market import sessions
from ibkr.simulator.market.catalog import renamed
from ibkr.simulator.market.details import bond_details, contract_details
from ibkr.simulator.market.instrument import Instrument
from ibkr.simulator.requests.asking import NO_DEFINITION, refuse
from ibkr.simulator.requests.reader import FieldReader
from ibkr.simulator.session import Session
from ibkr.wire import data, messages


def details(client: Session, fields: FieldReader) -> None:
    """reqContractDetails: one message for each contract that fits, then the end; 200 if none."""
    fields.int("Version")
    req_id = fields.int("Client Req Id")
    contract = fields.contract()
    fields.bool("Include Expired")
    kind, number = fields.text("Sec Id Type"), fields.text("Sec Id")
    book = client.hub.instruments
    found = book.by_number(kind, number) if kind and number else book.find(contract)
    if not found:
        client.send_error(req_id, 200, NO_DEFINITION)
        return
    samples = {(item.calendar, item.time_zone_id): item for item in found}
    hours = {key: (sessions.hours_text(item, False), sessions.hours_text(item, True)) for key, item in samples.items()}
    exchange = renamed(contract["exchange"])
    client.send(
        *[_encoded(client, req_id, item, exchange, *hours[item.calendar, item.time_zone_id]) for item in found],
        client.encode(messages.CONTRACT_DETAILS_END, req_id=req_id),
    )


def _encoded(client: Session, req_id: int, item: Instrument, exchange: str, trading: str, liquid: str) -> bytes:
    """Details of an instrument at the exchange that was asked for, if it is traded there."""
    hours = {"trading_hours": trading, "liquid_hours": liquid}
    if item.sec_type == "BOND":
        return client.encode(messages.BOND_CONTRACT_DETAILS, req_id=req_id, **hours, **bond_details(item))
    exchange = exchange if exchange in item.valid_exchanges.split(",") else ""
    values = contract_details(item, client.server_version, exchange)
    return client.encode(messages.CONTRACT_DETAILS, req_id=req_id, **hours, **values)


def matching_symbols(client: Session, fields: FieldReader) -> None:
    """reqMatchingSymbols: up to 16 contracts for the beginning of a symbol or a part of a name."""
    req_id = fields.int("Client Req Id")
    pattern = fields.text("Pattern")
    book = client.hub.instruments
    rows = [
        {
            "con_id": item.con_id,
            "symbol": item.symbol,
            "sec_type": item.sec_type,
            "primary_exchange": item.venue,
            "currency": item.currency,
            "derivatives": [{"sec_type": kind} for kind in book.derivatives_of(item)],
            "description": item.long_name,
            "issuer_id": "",
        }
        for item in (book.matching(pattern) if pattern else [])
    ]
    client.send(client.encode(data.SYMBOL_SAMPLES, req_id=req_id, contracts=rows))


def option_parameters(client: Session, fields: FieldReader) -> None:
    """reqSecDefOptParams: expiries and strikes of a chain for each exchange, then the end."""
    req_id = fields.int("Client Req Id")
    symbol = fields.text("Underlying Symbol")
    exchange = fields.text("Fut Fop Exchange")
    fields.text("Underlying Sec Type")
    con_id = fields.int("Underlying Con Id")
    under = client.hub.instruments.by_con_id(con_id)
    if under is None or under.symbol != symbol:
        refuse(client, req_id, 321, "Invalid contract id")
        return
    bodies = [
        client.encode(
            data.OPTION_PARAMETER,
            req_id=req_id,
            exchange=venue,
            under_con_id=con_id,
            trading_class=chain.trading_class,
            multiplier=chain.multiplier,
            expirations=[{"expiration": expiry} for expiry in chain.expiries],
            strikes=[{"strike": strike} for strike in chain.strikes],
        )
        for chain in client.hub.instruments.chains
        if chain.under.con_id == con_id
        for venue in chain.exchanges
        if exchange in ("", venue)
    ]
    client.send(*bodies, client.encode(data.OPTION_PARAMETER_END, req_id=req_id))


def market_rule(client: Session, fields: FieldReader) -> None:
    """reqMarketRule: the price increments of a rule; 321 for one that is not known."""
    rule_id = fields.int("Market Rule Id")
    rule = client.hub.instruments.rules.get(rule_id)
    if rule is None:
        refuse(client, -1, 321, f"Invalid market rule id: {rule_id}")
        return
    rows = [{"low_edge": edge, "increment": increment} for edge, increment in rule.increments]
    client.send(client.encode(data.MARKET_RULE, market_rule_id=rule_id, increments=rows))
