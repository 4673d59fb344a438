"""A request of the official client reads the same in protobuf as in text, by the names of its fields."""

from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from ibkr.simulator.requests.field_reader import FieldReader
from ibkr.simulator.requests.request_names import parse_request

pytestmark = pytest.mark.ibapi

WORDS = st.text("ABCabc019.-", max_size=6)
CONTRACT = {
    "conId": st.integers(0, 2**31 - 2),
    "symbol": WORDS,
    "secType": st.sampled_from(["STK", "OPT", "FUT", "CASH"]),
    "lastTradeDateOrContractMonth": st.sampled_from(["", "202701", "20270115"]),
    "strike": st.floats(0.5, 1e6),
    "right": st.sampled_from(["", "C", "P"]),
    "multiplier": st.sampled_from(["", "50", "100", "0.1"]),
    "exchange": WORDS,
    "primaryExchange": WORDS,
    "currency": WORDS,
    "localSymbol": WORDS,
    "tradingClass": WORDS,
}
HEAD = ("int Client Req Id", "contract")
HISTORY = ("bool Include Expired", "text End Date Time", "text Bar Size", "text Duration", "bool Use RTH")
TICKS = ("bool Include Expired", "text Start Date Time", "text End Date Time", "int Number Of Ticks")
REQUESTS: dict[str, tuple[Callable[[Any, Any], object], tuple[str, ...]]] = {
    "reqMktData": (
        lambda client, it: client.reqMktData(5, it, "233,236", True, False, []),
        (
            "int Version",
            "int Client Req Id",
            "contract",
            "bool Delta Neutral",
            "text Generic Tick List",
            "bool Snapshot",
        ),
    ),
    "reqMktDepth": (
        lambda client, it: client.reqMktDepth(5, it, 3, True, []),
        ("int Version", *HEAD, "int Num Rows", "bool Is Smart Depth"),
    ),
    "reqHistoricalData": (
        lambda client, it: client.reqHistoricalData(5, it, "20260105 10:00:00", "2 D", "1 min", "BID", 1, 2, False, []),
        (*HEAD, *HISTORY, "text What To Show", "int Format Date"),
    ),
    "reqHistoricalTicks": (
        lambda client, it: client.reqHistoricalTicks(5, it, "", "20260105-10:00:00", 7, "TRADES", 1, True, []),
        (*HEAD, *TICKS, "text What To Show", "bool Use RTH", "bool Ignore Size"),
    ),
    "reqTickByTickData": (
        lambda client, it: client.reqTickByTickData(5, it, "BidAsk", 3, True),
        (*HEAD, "text Tick Type", "int Number Of Ticks", "bool Ignore Size"),
    ),
    "reqHistogramData": (
        lambda client, it: client.reqHistogramData(5, it, True, "3 days"),
        (*HEAD, "bool Include Expired", "bool Use RTH", "text Time Period"),
    ),
    "calculateImpliedVolatility": (
        lambda client, it: client.calculateImpliedVolatility(5, it, 12.5, 230.25, []),
        ("int Version", *HEAD, "float Option Price", "float Under Price"),
    ),
    "reqAccountUpdates": (
        lambda client, it: client.reqAccountUpdates(True, "DU1"),
        ("int Version", "bool Subscribe", "text Account Code"),
    ),
    "reqAccountSummary": (
        lambda client, it: client.reqAccountSummary(5, "All", "NetLiquidation,BuyingPower"),
        ("int Version", "int Client Req Id", "text Group", "text Tags"),
    ),
    "reqPnLSingle": (
        lambda client, it: client.reqPnLSingle(5, "DU1", "model", 265598),
        ("int Client Req Id", "text Account", "text Model Code", "int Con Id"),
    ),
    "reqSecDefOptParams": (
        lambda client, it: client.reqSecDefOptParams(5, "AAPL", "CME", "STK", 265598),
        (
            "int Client Req Id",
            "text Underlying Symbol",
            "text Fut Fop Exchange",
            "text Underlying Sec Type",
            "int Underlying Con Id",
        ),
    ),
    "reqHistoricalNews": (
        lambda client, it: client.reqHistoricalNews(5, 265598, "BRFG+DJNL", "2026-01-05", "2026-01-06", 9, []),
        (
            "int Client Req Id",
            "int Con Id",
            "text Provider Codes",
            "text Start Date Time",
            "text End Date Time",
            "int Total Results",
        ),
    ),
    "reqContractDetails": (
        lambda client, it: client.reqContractDetails(5, it),
        ("int Version", *HEAD, "bool Include Expired", "text Sec Id Type", "text Sec Id"),
    ),
}


def read(fields: FieldReader, words: tuple[str, ...]) -> list[object]:
    """Return what the gateway reads. The result does not include the version field of a text message."""
    found: list[object] = []
    for word in words:
        kind, _, name = word.partition(" ")
        value = fields.contract() if kind == "contract" else getattr(fields, kind)(name)
        found += [] if name == "Version" else [value]
    return found


@pytest.mark.parametrize("name", REQUESTS)
@settings(max_examples=30, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(values=st.fixed_dictionaries({}, optional=CONTRACT))
def test_it_reads_the_same_in_both_encodings(library, name: str, values: dict[str, Any]) -> None:
    action, words = REQUESTS[name]
    if 213 not in library.spoken:  # the library has no protobuf messages to compare with
        return
    contract = library.classes.Contract()
    for field, value in values.items():
        setattr(contract, field, value)
    texts, *others = (
        parse_request(library.sent(version, lambda client: action(client, contract)), version)
        for version in (200, 213, 225)
    )
    wanted = read(texts.fields, words)
    for other in others:
        assert other.name == texts.name == name
        assert read(other.fields, words) == wanted
