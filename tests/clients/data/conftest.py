"""The values that a layout encodes, and the values that a client's decoder reads, both in the order of the wire."""

from __future__ import annotations

import datetime as dt
import importlib.util
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any

import pytest
from hypothesis import strategies as st

from ibkr.wire import data_messages
from ibkr.wire.layout import Field, Layout, Repeat

if importlib.util.find_spec("ibapi") is None:  # ibapi exists only in the environments of the official clients
    collect_ignore = ["test_ibapi_decoder.py", "test_ibapi_session.py"]

# These letters cannot form a number. There is no backslash, because some clients read it as an escape.
TEXT = st.text("bcgXYZ -:;", max_size=8)

_VALUES: dict[str, st.SearchStrategy[object]] = {
    "int": st.integers(0, 2**31 - 2),
    "float": st.floats(0.01, 1e9),
    "size": st.integers(0, 2**31 - 2),
    "bool": st.booleans(),
    "text": TEXT,
    "name": TEXT,
}
_SPECIAL: dict[str, st.SearchStrategy[object]] = {
    "attributes": st.sampled_from((0, 3)),  # no bit or both bits: their order differs in messages 97 and 99
    "tick_type": st.sampled_from((1, 2)),
    "letter": st.text("ABC", min_size=1, max_size=1),  # not empty: in protobuf, ibapi replaces None by a blank
}


def values_of(fields: Iterable[Field | Repeat]) -> st.SearchStrategy[dict[str, Any]]:
    """Values for these fields. The rows of a repeat differ and are sorted, because some clients use a set."""

    def strategy(item: Field | Repeat) -> st.SearchStrategy[Any]:
        if isinstance(item, Repeat):
            rows = st.lists(values_of(item.fields), max_size=2, unique_by=lambda row: str(next(iter(row.values()))))
            return rows.map(lambda rows: sorted(rows, key=lambda row: str(next(iter(row.values())))))
        return _SPECIAL[item.name] if item.name in _SPECIAL else _VALUES[item.kind]

    return st.fixed_dictionaries(
        {item.name: strategy(item) for item in fields if isinstance(item, Repeat) or item.constant is None}
    )


_ORDER = {
    "BarData": "date open high low close volume {average} barCount",
    "HistogramData": "price {size}",
    "PriceIncrement": "lowEdge increment",
    "HistoricalTick": "time price size",
    "HistoricalTickBidAsk": "time {attribBidAsk} priceBid priceAsk sizeBid sizeAsk",
    "HistoricalTickLast": "time {attribLast} price size exchange specialConditions",
    "FamilyCode": "accountID familyCodeStr",
    "SoftDollarTier": "name val displayName",
    "NewsProvider": "code name",
    "DepthMktDataDescription": "exchange secType listingExch serviceDataType aggGroup",
    "SmartComponent": "bitNumber exchange exchangeLetter",
    "HistoricalSession": "startDateTime endDateTime refDate",
    "TickAttribLast": "pastLimit",
    "TickAttribBidAsk": "bidPastLow",
}
_OTHER_NAMES = {
    "{average}": ("average", "wap"),
    "{size}": ("size", "count"),
    "{attribBidAsk}": ("tickAttribBidAsk",),
    "{attribLast}": ("tickAttribLast",),
}
_CONTRACT = "conId symbol secType lastTradeDateOrContractMonth strike right exchange currency localSymbol"


def leaves(value: Any) -> Iterator[object]:
    """The plain values in an argument of a client's wrapper, in the order of the wire."""
    name = type(value).__name__
    if isinstance(value, (list, tuple)):
        for item in value:
            yield from leaves(item)
    elif isinstance(value, set):
        yield from leaves(sorted(value, key=str))
    elif isinstance(value, dict):
        # When ibapi reads protobuf, it makes plain tuples without the key. So the key is added here.
        yield from leaves([(key, *item) if type(item) is tuple else item for key, item in value.items()])
    elif isinstance(value, dt.datetime):
        yield value.timestamp()
    elif name == "ContractDescription":
        contract = value.contract
        yield from (getattr(contract, key) for key in ("conId", "symbol", "secType", "primaryExchange", "currency"))
        yield from value.derivativeSecTypes
        yield from (contract.description, contract.issuerId) if hasattr(contract, "description") else ()
    elif name == "ContractDetails":
        yield from (getattr(value.contract, key) for key in _CONTRACT.split())
        yield from (value.marketName, value.contract.tradingClass)
    elif name in _ORDER:
        for key in _ORDER[name].split():
            names = _OTHER_NAMES.get(key, (key,))
            yield from leaves(next(getattr(value, found) for found in names if hasattr(value, found)))
    else:
        yield value


def plain(values: Iterable[object]) -> list[object]:
    """Numbers and flags as floats, texts unchanged."""
    return [_number(value) for value in values if value != ""]


def _number(value: object) -> object:
    try:
        return float(value)  # type: ignore[arg-type]
    except ValueError:
        return value


def _sent(fields: Iterable[Field | Repeat], version: int, values: Mapping[str, Any]) -> Iterator[object]:
    for item in fields:
        if not item.since <= version < item.before:
            continue
        if isinstance(item, Repeat):
            for row in values[item.name]:
                yield from _sent(item.fields, version, row)
        elif item.constant is None:
            yield bool(values[item.name]) if item.name == "attributes" else values[item.name]


def expected(layout: Layout, version: int, values: Mapping[str, Any]) -> list[object]:
    """The values that a client must read, in any number of calls."""
    req_id = values.get("req_id")
    if layout is data_messages.HISTORICAL_DATA:
        bars = layout.fields[-1]
        assert isinstance(bars, Repeat)
        rows = [[req_id, *_sent(bars.fields, version, row)] for row in values["bars"]]
        end = [req_id, values["start"], values["end"]] if version < 196 else []
        return plain([*(leaf for row in rows for leaf in row), *end])
    if layout is data_messages.SCANNER_DATA:
        found = layout.fields[-1]
        assert isinstance(found, Repeat)
        rows = [[req_id, *_sent(found.fields, version, row)] for row in values["rows"]]
        return plain([*(leaf for row in rows for leaf in row), req_id])
    if layout is data_messages.HISTORICAL_DATA_UPDATE:
        names = "req_id date open high low close volume wap count"
        return plain(values[name] for name in names.split())
    return plain(_sent(layout.fields, version, values))


class RecordingWrapper:
    """Replaces a client's wrapper: keeps the arguments of each call."""

    def __init__(self) -> None:
        self.calls: list[tuple[str, tuple[Any, ...]]] = []
        self.defaultTimezone = dt.UTC

    def __getattr__(self, name: str) -> Callable[..., None]:
        def call(*args: Any, **_: Any) -> None:
            self.calls.append((name, args))

        return call

    @property
    def values(self) -> list[object]:
        return plain(leaves([args for _, args in self.calls]))


class Wire:
    """The helpers above, for tests that cannot import this file."""

    RecordingWrapper = RecordingWrapper
    values_of = staticmethod(values_of)
    expected = staticmethod(expected)


@pytest.fixture(scope="session")
def wire() -> type[Wire]:
    return Wire
