"""reqScannerSubscription: scanner results from the answer file."""

from ibkr.simulator.gateway_state import ClientSession
from ibkr.simulator.market.instrument import Instrument
from ibkr.simulator.market.quotes import Quote
from ibkr.simulator.requests.answer_file import Scan
from ibkr.simulator.requests.field_reader import FieldReader
from ibkr.simulator.requests.request_helpers import accept_stream_id, end_stream, refuse, send_no_data
from ibkr.simulator.streams.data_streams import DataStream
from ibkr.wire import data_messages

REQUEST = "reqScannerSubscription"
_MAX_ROWS = 50
_MAX_SCANNERS = 10


class Scanner(DataStream):
    """The results of a scan, sent once. They do not change. Its symbol is the scan code."""

    kind = REQUEST

    def __init__(self, client: ClientSession, req_id: int, scan_code: str, found: list[Instrument]) -> None:
        super().__init__(client, req_id, found[0], "ushmds")
        self.symbol = scan_code
        self._found = found

    def first_messages(self, quote: Quote) -> list[bytes]:
        rows = [
            {
                "rank": rank,
                "con_id": item.con_id,
                "symbol": item.symbol,
                "sec_type": item.sec_type,
                "last_trade_date": item.last_trade_date,
                "strike": item.strike,
                "right": item.right,
                "exchange": item.exchange,
                "currency": item.currency,
                "local_symbol": item.local_symbol,
                "market_name": item.trading_class,
                "trading_class": item.trading_class,
                "distance": "",
                "benchmark": "",
                "projection": "",
                "legs": "",
            }
            for rank, item in enumerate(self._found)
        ]
        return [self.client.encode(data_messages.SCANNER_DATA, req_id=self.req_id, rows=rows)]

    def next_messages(self, quote: Quote) -> list[bytes]:
        return []


def subscribe(client: ClientSession, fields: FieldReader) -> None:
    """reqScannerSubscription: the results, or 162 for an unknown scan code."""
    if client.server_version < 143:
        fields.int("Version")
    req_id = fields.int("Client Req Id")
    rows = fields.text("Number Of Rows")
    fields.skip("Instrument", "Location Code")
    scan_code = fields.text("Scan Code")
    if not accept_stream_id(client, req_id):
        return
    if sum(stream.kind == REQUEST for stream in client.state.streams.of_client(client)) >= _MAX_SCANNERS:
        refuse(client, req_id, 322, f"Only {_MAX_SCANNERS} simultaneous API scanner subscriptions are allowed.")
        return
    known = client.state.instruments.by_symbol
    scan = next((scan for scan in client.state.answers.all(Scan) if scan.scan_code == scan_code), None)
    found = [known[symbol] for symbol in scan.symbols if symbol in known] if scan else []
    if not found:
        client.state.log_once(f"scan {scan_code[:40]}: not in the answer file, answered with 162")
        send_no_data(client, req_id, "no items retrieved")
        return
    limit = int(rows) if rows.isascii() and rows.isdigit() and len(rows) < 9 else _MAX_ROWS
    client.state.streams.start(Scanner(client, req_id, scan_code, found[: min(limit, _MAX_ROWS)]))


def cancel(client: ClientSession, fields: FieldReader) -> None:
    """cancelScannerSubscription: no answer, or 365 if the id has no stream."""
    fields.int("Version")
    req_id = fields.int("Client Req Id")
    end_stream(client, req_id, REQUEST, 365, "No scanner subscription found for ticker id:{}")
