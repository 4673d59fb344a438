"""Scanner subscriptions (reqScannerSubscription): results from the file of answers."""

from ibkr.simulator.market.instrument import Instrument
from ibkr.simulator.market.walk import Quote
from ibkr.simulator.requests.answers import Scan
from ibkr.simulator.requests.asking import end_stream, is_free, not_had, refuse
from ibkr.simulator.requests.reader import FieldReader
from ibkr.simulator.session import Session
from ibkr.simulator.streams.data_streams import DataStream
from ibkr.wire import data

REQUEST = "reqScannerSubscription"
_MAX_ROWS = 50
_MAX_SCANNERS = 10


class Scanner(DataStream):
    """The results of a scan, sent once; they do not change. In place of a symbol it has its scan code."""

    kind = REQUEST

    def __init__(self, client: Session, req_id: int, scan_code: str, found: list[Instrument]) -> None:
        super().__init__(client, req_id, found[0], "ushmds")
        self.symbol = scan_code
        self._found = found

    def opening(self, quote: Quote) -> list[bytes]:
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
        return [self.client.encode(data.SCANNER_DATA, req_id=self.req_id, rows=rows)]

    def moved(self, quote: Quote) -> list[bytes]:
        return []


def subscribe(client: Session, fields: FieldReader) -> None:
    """reqScannerSubscription: 162 for a scan code that has no answer."""
    if client.server_version < 143:
        fields.int("Version")
    req_id = fields.int("Client Req Id")
    rows = fields.text("Number Of Rows")
    fields.skip("Instrument", "Location Code")
    scan_code = fields.text("Scan Code")
    if not is_free(client, req_id):
        return
    if sum(stream.kind == REQUEST for stream in client.hub.streams.of(client)) >= _MAX_SCANNERS:
        refuse(client, req_id, 322, f"Only {_MAX_SCANNERS} simultaneous API scanner subscriptions are allowed.")
        return
    known = client.hub.instruments.by_symbol
    scan = next((scan for scan in client.hub.answers.all(Scan) if scan.scan_code == scan_code), None)
    found = [known[symbol] for symbol in scan.symbols if symbol in known] if scan else []
    if not found:
        client.hub.log_once(f"scan {scan_code[:40]}: not in the file of answers, answered with 162")
        not_had(client, req_id, "no items retrieved")
        return
    limit = int(rows) if rows.isascii() and rows.isdigit() and len(rows) < 9 else _MAX_ROWS
    client.hub.streams.begin(Scanner(client, req_id, scan_code, found[: min(limit, _MAX_ROWS)]))


def cancel(client: Session, fields: FieldReader) -> None:
    """cancelScannerSubscription: no answer, or 365 if the id has none."""
    fields.int("Version")
    req_id = fields.int("Client Req Id")
    end_stream(client, req_id, REQUEST, 365, "No scanner subscription found for ticker id:{}")
