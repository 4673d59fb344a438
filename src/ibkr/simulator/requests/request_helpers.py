"""Helpers of request handlers: find the contract, check ids, end a stream, send an error."""

from collections.abc import Mapping, Sequence

from ibkr.simulator.gateway_state import ClientSession
from ibkr.simulator.market.combos import LegRequest, build_combo
from ibkr.simulator.market.instrument import Instrument
from ibkr.simulator.requests.field_reader import FieldReader

NO_ID = "Can't find EId with tickerId:{}"
NO_DEFINITION = "No security definition has been found for the request"
AMBIGUOUS = "The contract description specified for {} is ambiguous."
BAD_WHAT = "What to show field is missing or incorrect."
"""The text for an invalid `whatToShow`."""


def read_combo_legs(fields: FieldReader, contract: Mapping[str, str]) -> list[LegRequest]:
    """Read the legs, if the request is about a combination."""
    if contract["sec_type"] != "BAG":
        return []
    return [LegRequest(*leg) for leg in fields.legs()]


def find_instrument(
    client: ClientSession, req_id: int, contract: Mapping[str, str], legs: Sequence[LegRequest] = ()
) -> Instrument | None:
    """Return the instrument that matches a contract. If not exactly one matches, send 200 and return `None`."""
    instruments = client.state.instruments
    found: list[Instrument] = []
    if contract["sec_type"] != "BAG":
        found = instruments.find(contract)
    elif combo := build_combo(
        contract["symbol"], contract["exchange"], contract["currency"], legs, instruments.by_con_id
    ):
        found = [combo]
    if len(found) == 1:
        return found[0]
    text = NO_DEFINITION if not found else AMBIGUOUS.format(contract["symbol"][:20])
    client.send_error(req_id, 200, text)
    return None


def accept_stream_id(client: ClientSession, req_id: int) -> bool:
    """Return whether this request id can start a stream. If not, send 322."""
    if client.state.streams.get(client, req_id) is None:
        return True
    refuse(client, req_id, 322, "Duplicate ticker id")
    return False


def end_stream(client: ClientSession, req_id: int, kind: str, code: int = 300, text: str = NO_ID) -> bool:
    """End the stream of this id and kind. If no such stream runs, send an error with `text` and return false."""
    if stream := client.state.streams.get(client, req_id, kind):
        client.state.streams.end(stream)
        return True
    client.send_error(req_id, code, text.format(req_id))
    return False


def refuse(client: ClientSession, req_id: int, code: int, cause: str) -> None:
    """Send 321 (invalid request), 322 (cannot be processed), or another code, with the text of TWS."""
    what = {321: "Error validating request.-'bN' : cause - ", 322: "Error processing request.-'bN' : cause - "}
    client.send_error(req_id, code, what.get(code, "") + cause)


def send_no_data(client: ClientSession, req_id: int, why: str) -> None:
    """Send 162: no history or scan data."""
    client.send_error(req_id, 162, f"Historical Market Data Service error message:{why}")


def lacks_permission(client: ClientSession, req_id: int, code: int, prefix: str, item: Instrument) -> bool:
    """Return whether the user has no live data of an instrument. If so, send an error."""
    if item.market_data == "live":
        return False
    client.send_error(req_id, code, f"{prefix}No market data permissions for {item.venue} {item.sec_type}")
    return True
