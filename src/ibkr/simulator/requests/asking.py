"""What many requests have in common: the contract that is asked for, the end of a stream, the refusals."""

from collections.abc import Mapping, Sequence

from ibkr.simulator.market.combos import LegRequest, combo_of
from ibkr.simulator.market.instrument import Instrument
from ibkr.simulator.requests.reader import FieldReader
from ibkr.simulator.session import Session

NO_ID = "Can't find EId with tickerId:{}"
NO_DEFINITION = "No security definition has been found for the request"
AMBIGUOUS = "The contract description specified for {} is ambiguous."
BAD_WHAT = "What to show field is missing or incorrect."
"""Of `whatToShow`."""


def read_legs(fields: FieldReader, contract: Mapping[str, str]) -> list[LegRequest]:
    """The legs that a request about a combination has here."""
    if contract["sec_type"] != "BAG":
        return []
    return [LegRequest(*leg) for leg in fields.legs()]


def the_one(
    client: Session, req_id: int, contract: Mapping[str, str], legs: Sequence[LegRequest] = ()
) -> Instrument | None:
    """The only instrument that a contract fits; else the client is told 200, and it is None."""
    instruments = client.hub.instruments
    found: list[Instrument] = []
    if contract["sec_type"] != "BAG":
        found = instruments.find(contract)
    elif combo := combo_of(contract["symbol"], contract["exchange"], contract["currency"], legs, instruments.by_con_id):
        found = [combo]
    if len(found) == 1:
        return found[0]
    text = NO_DEFINITION if not found else AMBIGUOUS.format(contract["symbol"][:20])
    client.send_error(req_id, 200, text)
    return None


def is_free(client: Session, req_id: int) -> bool:
    """Whether this request id may begin a stream; else the client is told 322."""
    if client.hub.streams.get(client, req_id) is None:
        return True
    refuse(client, req_id, 322, "Duplicate ticker id")
    return False


def end_stream(client: Session, req_id: int, kind: str, code: int = 300, text: str = NO_ID) -> bool:
    """End the stream of this id and kind. Whether there was one; else the client is told so, in `text` with the id."""
    if stream := client.hub.streams.get(client, req_id, kind):
        client.hub.streams.end(stream)
        return True
    client.send_error(req_id, code, text.format(req_id))
    return False


def refuse(client: Session, req_id: int, code: int, cause: str) -> None:
    """321 (cannot be right) or 322 (cannot be done), in the words of TWS."""
    what = "validating" if code == 321 else "processing"
    client.send_error(req_id, code, f"Error {what} request.-'bN' : cause - {cause}")


def not_had(client: Session, req_id: int, why: str) -> None:
    """162: history or a scan cannot be had."""
    client.send_error(req_id, 162, f"Historical Market Data Service error message:{why}")


def no_permission(client: Session, req_id: int, code: int, prefix: str, item: Instrument) -> bool:
    """Whether the user has no live data of an instrument; then the client is told so."""
    if item.market_data == "live":
        return False
    client.send_error(req_id, code, f"{prefix}No market data permissions for {item.venue} {item.sec_type}")
    return True
