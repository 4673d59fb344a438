"""Answer the requests about the session: time, accounts, ids, configuration, display groups of TWS."""

from ibkr.simulator.faults.conditions import OnRate
from ibkr.simulator.gateway_state import ClientSession
from ibkr.simulator.requests.field_reader import FieldReader
from ibkr.simulator.requests.request_helpers import refuse
from ibkr.wire import data_messages, messages

GROUPS = range(1, 8)
_NONE = "none"
_STREAM = "subscribeToGroupEvents"


def accept(client: ClientSession, fields: FieldReader) -> None:
    """Accept a request that has no answer."""
    fields.text("Version")


def repeated_start_api(client: ClientSession, fields: FieldReader) -> None:
    """startApi in a session that has already started."""
    refuse(client, -1, 321, "startApi was already sent")


def current_time(client: ClientSession, fields: FieldReader) -> None:
    """reqCurrentTime: seconds since the epoch."""
    client.send(client.encode(messages.CURRENT_TIME, time=int(client.state.time())))


def current_time_in_millis(client: ClientSession, fields: FieldReader) -> None:
    """reqCurrentTimeInMillis: milliseconds since the epoch."""
    client.send(client.encode(messages.CURRENT_TIME_IN_MILLIS, time=int(client.state.time() * 1000)))


def managed_accounts(client: ClientSession, fields: FieldReader) -> None:
    """reqManagedAccts: the account ids, joined by commas."""
    accounts = ",".join(client.state.settings.accounts)
    client.send(client.encode(messages.MANAGED_ACCOUNTS, accounts=accounts))


def next_valid_id(client: ClientSession, fields: FieldReader) -> None:
    """reqIds: the next order id. The requested number is ignored."""
    fields.int("Version")
    fields.int("Num Ids")
    order_id = client.state.order_handler.next_order_id(client.client_id)
    client.send(client.encode(messages.NEXT_VALID_ID, order_id=order_id))


def configuration(client: ClientSession, fields: FieldReader) -> None:
    """reqConfig: the settings of the API."""
    settings = client.state.settings
    client.send(
        client.encode(
            messages.CONFIG_RESPONSE,
            req_id=fields.int("Client Req Id"),
            read_only=client.state.conditions.read_only,
            port=client.transport.get_extra_info("sockname")[1],
            master_client_id=settings.master_client_id,
            is_rate_rejected=client.state.rate_limit.on_rate == OnRate.REJECT,
        )
    )


def display_groups(client: ClientSession, fields: FieldReader) -> None:
    """queryDisplayGroups: the existing groups."""
    fields.int("Version")
    req_id = fields.int("Client Req Id")
    client.send(client.encode(data_messages.DISPLAY_GROUP_LIST, req_id=req_id, groups="|".join(map(str, GROUPS))))


def subscribe_group(client: ClientSession, fields: FieldReader) -> None:
    """subscribeToGroupEvents: the contract that the group shows, now and after each change."""
    fields.int("Version")
    req_id, group = fields.int("Client Req Id"), fields.int("Group Id")
    if group not in GROUPS:
        refuse(client, req_id, 322, f"There is no display group {group}")
        return

    def rows() -> list[bytes]:
        shown = client.state.display_groups.shown.get(group, _NONE)
        return [client.encode(data_messages.DISPLAY_GROUP_UPDATED, req_id=req_id, contract=shown)]

    client.state.display_groups.followed[client.client_id, req_id] = group
    client.send(*client.account_streams.start(_STREAM, req_id, rows))


def update_group(client: ClientSession, fields: FieldReader) -> None:
    """updateDisplayGroup: change the contract that the group of this subscription shows, for all clients."""
    fields.int("Version")
    req_id, shown = fields.int("Client Req Id"), fields.text("Contract Info")
    if client.account_streams.has(_STREAM, req_id):
        groups = client.state.display_groups
        groups.shown[groups.followed[client.client_id, req_id]] = shown
        for each in list(client.state.sessions.values()):
            each.account_streams.portfolio_changed()


def unsubscribe_group(client: ClientSession, fields: FieldReader) -> None:
    """unsubscribeFromGroupEvents: no answer."""
    fields.int("Version")
    client.account_streams.end(_STREAM, fields.int("Client Req Id"))
