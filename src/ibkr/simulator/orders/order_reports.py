"""The messages that tell a client what has happened to an order."""

from ibkr.simulator.broker.events import Charged, Event, Executed, OrderChanged, Previewed, Refused
from ibkr.simulator.orders import order_fields
from ibkr.simulator.state import Peer
from ibkr.wire import order_messages


def bodies(client: Peer, event: Event) -> list[bytes]:
    """The messages by which a client is told of an event."""
    match event:
        case OrderChanged(order, is_status_only):
            report = client.encode(order_messages.ORDER_STATUS, **order_fields.status(order))
            if is_status_only:
                return [report]
            return [client.encode(order_messages.OPEN_ORDER, **order_fields.open_order(order)), report]
        case Executed(execution):
            values = order_fields.execution_details(execution, client.server_version)
            return [client.encode(order_messages.EXEC_DETAILS, **values)]
        case Charged(execution):
            return [
                client.encode(order_messages.OPEN_ORDER, **order_fields.charged_order(execution)),
                client.encode(order_messages.COMMISSION_REPORT, **order_fields.commission_report(execution)),
            ]
        case Previewed():
            return [client.encode(order_messages.OPEN_ORDER, **order_fields.preview(event))]
        case Refused(_, order_id, code, text):
            return [client.error(order_id, code, text)]
