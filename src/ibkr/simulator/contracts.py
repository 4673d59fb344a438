"""Answers about contracts."""

from typing import TYPE_CHECKING

from ibkr.simulator.instruments import find_instruments
from ibkr.simulator.reader import FieldReader
from ibkr.wire import messages

if TYPE_CHECKING:
    from ibkr.simulator.client import Client

NO_DEFINITION = "No security definition has been found for the request"


def details(client: "Client", fields: FieldReader) -> None:
    """reqContractDetails: one message for each contract that fits, then the end; 200 if none."""
    fields.int("Version")
    req_id = fields.int("Client Req Id")
    found = find_instruments(fields.contract())
    if not found:
        client.send_error(req_id, 200, NO_DEFINITION)
        return
    client.send(
        *[client.encode(messages.CONTRACT_DETAILS, req_id=req_id, **item.details_fields()) for item in found],
        client.encode(messages.CONTRACT_DETAILS_END, req_id=req_id),
    )
