"""Display groups: windows of TWS that show one contract, by a colour; one client's choice is told to all."""

from ibkr.simulator.requests.asking import refuse
from ibkr.simulator.requests.reader import FieldReader
from ibkr.simulator.session import Session
from ibkr.wire import data

GROUPS = range(1, 8)
_NONE = "none"
_STREAM = "subscribeToGroupEvents"


def query(client: Session, fields: FieldReader) -> None:
    """queryDisplayGroups: the groups that there are."""
    fields.int("Version")
    req_id = fields.int("Client Req Id")
    client.send(client.encode(data.DISPLAY_GROUP_LIST, req_id=req_id, groups="|".join(map(str, GROUPS))))


def subscribe(client: Session, fields: FieldReader) -> None:
    """subscribeToGroupEvents: what the group shows, at once and whenever that changes."""
    fields.int("Version")
    req_id, group = fields.int("Client Req Id"), fields.int("Group Id")
    if group not in GROUPS:
        refuse(client, req_id, 322, f"There is no display group {group}")
        return

    def rows() -> list[bytes]:
        shown = client.hub.display_groups.shown.get(group, _NONE)
        return [client.encode(data.DISPLAY_GROUP_UPDATED, req_id=req_id, contract=shown)]

    client.hub.display_groups.followed[client.client_id, req_id] = group
    client.send(*client.account_streams.begin(_STREAM, req_id, rows))


def update(client: Session, fields: FieldReader) -> None:
    """updateDisplayGroup: the group of this subscription shows something else."""
    fields.int("Version")
    req_id, shown = fields.int("Client Req Id"), fields.text("Contract Info")
    if client.account_streams.has(_STREAM, req_id):
        groups = client.hub.display_groups
        groups.shown[groups.followed[client.client_id, req_id]] = shown
        for each in list(client.hub.sessions.values()):
            each.account_streams.book_changed()


def unsubscribe(client: Session, fields: FieldReader) -> None:
    """unsubscribeFromGroupEvents: no answer."""
    fields.int("Version")
    client.account_streams.end(_STREAM, fields.int("Client Req Id"))
