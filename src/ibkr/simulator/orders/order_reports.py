"""The messages that report an event of the broker to a client."""

from ibkr.simulator.broker.order_events import Charged, Executed, OrderChanged, OrderEvent, OrderNotice, Previewed
from ibkr.simulator.orders import order_fields
from ibkr.simulator.shared_state import BaseClient
from ibkr.wire import order_messages


def event_messages(client: BaseClient, event: OrderEvent) -> list[bytes]:
    """Return the messages that report an event to this client."""
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
        case OrderNotice(_, order_id, code, text):
            return [client.error(order_id, code, text)]
