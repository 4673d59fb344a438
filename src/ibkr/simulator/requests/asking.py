"""What many requests have in common: the contract that is asked for, and the refusals."""

from collections.abc import Mapping
from typing import TYPE_CHECKING

from ibkr.simulator.market.instrument import Instrument
from ibkr.simulator.requests.reader import FieldReader

if TYPE_CHECKING:
    from ibkr.simulator.connection.client import Client

NO_DEFINITION = "No security definition has been found for the request"
AMBIGUOUS = "The contract description specified for {} is ambiguous."

_BAG_LEG_FIELDS = 4


def skip_legs(fields: FieldReader, contract: Mapping[str, str]) -> None:
    """The legs that a request about a BAG has here."""
    if contract["sec_type"] == "BAG":
        for _ in range(fields.int("Legs") * _BAG_LEG_FIELDS):
            fields.text("Leg")


def the_one(client: "Client", req_id: int, contract: Mapping[str, str]) -> Instrument | None:
    """The only instrument that a contract fits; else the client is told 200, and it is None."""
    found = client.hub.instruments.find(contract)
    if len(found) == 1:
        return found[0]
    text = NO_DEFINITION if not found else AMBIGUOUS.format(contract["symbol"][:20])
    client.send_error(req_id, 200, text)
    return None


def is_free(client: "Client", req_id: int) -> bool:
    """Whether this request id may begin a stream; else the client is told 322."""
    if client.hub.streams.get(client, req_id) is None:
        return True
    refuse(client, req_id, 322, "Duplicate ticker id")
    return False


def refuse(client: "Client", req_id: int, code: int, cause: str) -> None:
    """321 (cannot be right) or 322 (cannot be done), in the words of TWS."""
    what = "validating" if code == 321 else "processing"
    client.send_error(req_id, code, f"Error {what} request.-'bN' : cause - {cause}")


def no_permission(client: "Client", req_id: int, code: int, prefix: str, item: Instrument) -> bool:
    """Whether the user has no live data of an instrument; then the client is told so."""
    if item.market_data == "live":
        return False
    where = item.primary_exchange or item.exchange
    client.send_error(req_id, code, f"{prefix}No market data permissions for {where} {item.sec_type}")
    return True
