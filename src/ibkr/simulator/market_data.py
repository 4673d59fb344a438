"""Answers to requests for market data."""

from typing import TYPE_CHECKING

from ibkr.simulator.contracts import NO_DEFINITION
from ibkr.simulator.instruments import find_instruments
from ibkr.simulator.reader import FieldReader

if TYPE_CHECKING:
    from ibkr.simulator.client import Client

_BAG_LEG_FIELDS = 4


def subscribe(client: "Client", fields: FieldReader) -> None:
    """reqMktData: 58, 81 and first ticks at once, then ticks until it is cancelled."""
    fields.int("Version")
    req_id = fields.int("Client Req Id")
    contract = fields.contract()
    if contract["sec_type"] == "BAG":
        for _ in range(fields.int("Legs") * _BAG_LEG_FIELDS):
            fields.text("Leg")
    if fields.bool("Delta Neutral"):
        fields.int("Delta Neutral Con Id")
        fields.skip_float("Delta")
        fields.skip_float("Delta Neutral Price")
    fields.text("Generic Tick List")
    is_snapshot = fields.bool("Snapshot")
    market = client.hub.market
    if market.is_live(client, req_id):
        client.send_error(req_id, 322, "Error processing request.-'bN' : cause - Duplicate ticker id")
        return
    found = find_instruments(contract)
    if len(found) != 1:
        client.send_error(req_id, 200, NO_DEFINITION)
    elif is_snapshot:
        market.snapshot(client, req_id, found[0])
    else:
        market.subscribe(client, req_id, found[0])


def cancel(client: "Client", fields: FieldReader) -> None:
    """cancelMktData: no answer, or 300 if the id has no subscription."""
    fields.int("Version")
    req_id = fields.int("Client Req Id")
    if client.hub.market.is_live(client, req_id):
        client.hub.market.cancel(client, req_id)
    else:
        client.send_error(req_id, 300, f"Can't find EId with tickerId:{req_id}")
