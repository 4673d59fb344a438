"""Answers about the session itself: time, accounts under management, ids."""

from ibkr.simulator.faults.conditions import OnRate
from ibkr.simulator.requests.asking import refuse
from ibkr.simulator.requests.reader import FieldReader
from ibkr.simulator.session import Session
from ibkr.wire import messages


def accept(client: Session, fields: FieldReader) -> None:
    """A request that TWS takes without an answer."""
    fields.text("Version")


def start_again(client: Session, fields: FieldReader) -> None:
    """startApi on a session that has had its own."""
    refuse(client, -1, 321, "startApi was already sent")


def current_time(client: Session, fields: FieldReader) -> None:
    """reqCurrentTime: seconds since the epoch."""
    client.send(client.encode(messages.CURRENT_TIME, time=int(client.hub.time())))


def current_time_in_millis(client: Session, fields: FieldReader) -> None:
    """reqCurrentTimeInMillis: milliseconds since the epoch."""
    client.send(client.encode(messages.CURRENT_TIME_IN_MILLIS, time=int(client.hub.time() * 1000)))


def managed_accounts(client: Session, fields: FieldReader) -> None:
    """reqManagedAccts: the account ids, joined by commas."""
    accounts = ",".join(client.hub.settings.accounts)
    client.send(client.encode(messages.MANAGED_ACCOUNTS, accounts=accounts))


def next_valid_id(client: Session, fields: FieldReader) -> None:
    """reqIds: the next order id, whatever number was asked for."""
    fields.int("Version")
    fields.int("Num Ids")
    order_id = client.hub.desk.next_order_id(client.client_id)
    client.send(client.encode(messages.NEXT_VALID_ID, order_id=order_id))


def configuration(client: Session, fields: FieldReader) -> None:
    """reqConfig: the settings of the API."""
    settings = client.hub.settings
    client.send(
        client.encode(
            messages.CONFIG_RESPONSE,
            req_id=fields.int("Client Req Id"),
            read_only=client.hub.conditions.read_only,
            port=client.transport.get_extra_info("sockname")[1],
            master_client_id=settings.master_client_id,
            is_rate_rejected=client.hub.rate_limit.on_rate == OnRate.REJECT,
        )
    )
