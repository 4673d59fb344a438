"""Answers about orders and executions: there are none in this gateway yet."""

from typing import TYPE_CHECKING

from ibkr.simulator.reader import FieldReader
from ibkr.wire import messages

if TYPE_CHECKING:
    from ibkr.simulator.client import Client


def open_orders(client: "Client", fields: FieldReader) -> None:
    """reqOpenOrders and reqAllOpenOrders."""
    fields.int("Version")
    client.send(client.encode(messages.OPEN_ORDER_END))


def auto_open_orders(client: "Client", fields: FieldReader) -> None:
    """reqAutoOpenOrders: for client id 0 only."""
    fields.int("Version")
    fields.bool("Auto Bind")
    if client.client_id != 0:
        client.send_error(-1, 327, "Only the default client (i.e 0) can auto bind orders.")


def completed_orders(client: "Client", fields: FieldReader) -> None:
    """reqCompletedOrders."""
    fields.bool("Api Only")
    client.send(client.encode(messages.COMPLETED_ORDERS_END))


def executions(client: "Client", fields: FieldReader) -> None:
    """reqExecutions."""
    fields.int("Version")
    req_id = fields.int("Client Req Id")
    fields.int("Client Id")
    client.send(client.encode(messages.EXECUTION_DATA_END, req_id=req_id))
