"""The clients' decoders read what our layouts of session, account, contract and tick messages encode."""

import functools
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from ib_async.decoder import Decoder as AsyncDecoder

from ibkr.wire import messages
from ibkr.wire.layout import Field, Layout, Repeat
from tests.clients import official
from tests.recording_wrapper import RecordingWrapper

VERSIONS = (*range(157, 201), 201, 204, 205, 206, 207, 213, 225, 226)
CONTRACT = {
    "con_id": "conId",
    "symbol": "symbol",
    "sec_type": "secType",
    "last_trade_date": "lastTradeDateOrContractMonth",
    "strike": "strike",
    "right": "right",
    "multiplier": "multiplier",
    "exchange": "exchange",
    "primary_exchange": "primaryExchange",
    "currency": "currency",
    "local_symbol": "localSymbol",
    "trading_class": "tradingClass",
}
DETAILS = {
    "last_trade_date_and_time": "lastTradeDateOrContractMonth",
    "size_multiplier": "mdSizeMultiplier",
    "ineligibility_reasons": "ineligibilityReasonList",
    "sec_ids": "secIdList",
    "id": "id_",
    "last_trade_date": "lastTradeDate",
}
# These letters cannot form a number. There are no blanks and no dashes, because they separate a date from its time.
TEXT = st.text("bcgXYZ:;", min_size=1, max_size=8)
KINDS: dict[str, st.SearchStrategy[Any]] = {
    "int": st.integers(0, 2**31 - 2),
    "float": st.floats(0.01, 1e9),
    "size": st.integers(1, 2**31 - 2),
    "bool": st.booleans(),
    "text": TEXT,
    "name": TEXT,
}
SPECIAL_VALUES: dict[str, st.SearchStrategy[Any]] = {
    "multiplier": st.integers(1, 1000).map(str),  # in protobuf, this is a number
}
Decode = Callable[[int, bytes], list[tuple[str, tuple[Any, ...]]]]


def with_ib_async() -> tuple[Sequence[int], Decode]:
    def decode(version: int, body: bytes) -> list[tuple[str, tuple[Any, ...]]]:
        heard = RecordingWrapper()
        AsyncDecoder(heard, version).interpret(body.decode().split("\0")[:-1])  # type: ignore[arg-type]
        return heard.calls

    return range(157, 179), decode  # ib_async offers no newer version


def with_ibapi() -> tuple[Sequence[int], Decode]:
    def decode(version: int, body: bytes) -> list[tuple[str, tuple[Any, ...]]]:
        heard = RecordingWrapper()
        official.interpret(heard, version, body)
        return heard.calls

    return official.versions(*VERSIONS), decode


CLIENTS = {"ib_async": with_ib_async, "ibapi": with_ibapi}


@pytest.fixture(scope="module", params=["ib_async", pytest.param("ibapi", marks=pytest.mark.ibapi)])
def client(request: pytest.FixtureRequest) -> tuple[Sequence[int], Decode]:
    return CLIENTS[request.param]()


def values_of(owner: Layout | Repeat) -> st.SearchStrategy[dict[str, Any]]:
    return st.fixed_dictionaries(
        {
            item.name: st.lists(values_of(item), max_size=2, unique_by=lambda row: row.get("tag", str(row)))
            if isinstance(item, Repeat)
            else SPECIAL_VALUES.get(item.name, KINDS[item.kind])
            for item in owner.fields
            if isinstance(item, Repeat) or (isinstance(item, Field) and item.constant is None)
        }
    )


def there(layout: Layout, version: int) -> list[str]:
    """Return the names of a message's values at this version, in the order of the wire."""
    items = (item for item in layout.fields if item.since <= version < item.before)
    return [
        item.name for item in items if isinstance(item, Repeat) or (isinstance(item, Field) and item.constant is None)
    ]


def plain(value: Any) -> Any:
    """Numbers of any type as floats."""
    try:
        return float(value)
    except (TypeError, ValueError):
        return value


def arguments(layout: Layout, version: int, args: tuple[Any, ...]) -> Iterator[Any]:
    """The arguments of a call; a contract becomes its fields, in the order of the wire."""
    for arg in args:
        if hasattr(arg, "conId"):
            yield from (plain(getattr(arg, CONTRACT[name])) for name in there(layout, version) if name in CONTRACT)
        else:
            yield plain(arg)


DETAILS_LAYOUTS = (messages.CONTRACT_DETAILS, messages.BOND_CONTRACT_DETAILS)
SPECIAL = {
    messages.ERROR.name,
    messages.TICK_PRICE.name,
    messages.CURRENT_TIME_IN_MILLIS.name,
    messages.CONFIG_RESPONSE.name,  # this message exists only in protobuf
    *(layout.name for layout in DETAILS_LAYOUTS),
}


@pytest.mark.parametrize(
    "layout",
    [layout for layout in messages.LAYOUTS.values() if layout.name not in SPECIAL],
    ids=lambda layout: layout.name,
)
@settings(max_examples=10)
@given(draw=st.data())
def test_it_hears_what_was_sent(client: Any, layout: Layout, draw: st.DataObject) -> None:
    versions, decode = client
    values = draw.draw(values_of(layout))
    for version in versions:
        ((name, args),) = decode(version, layout.encode(version, **values))
        assert name == layout.name
        assert list(arguments(layout, version, args)) == [plain(values[key]) for key in there(layout, version)]


@settings(max_examples=10)
@given(draw=st.data())
def test_an_error(client: Any, draw: st.DataObject) -> None:
    versions, decode = client
    values = draw.draw(values_of(messages.ERROR))
    for version in versions:
        ((name, args),) = decode(version, messages.ERROR.encode(version, **values))
        assert name == "error"
        reject = values["advanced_order_reject"] if version >= 166 else ""
        told = [values["req_id"], values["code"], values["text"], reject]
        if len(args) == 3:  # 9.81
            del told[3]
        elif len(args) == 5:  # 10.46
            told.insert(1, values["error_time"] if version >= 194 else 0)
        assert list(args) == told


@settings(max_examples=10)
@given(draw=st.data(), tick_type=st.sampled_from([1, 2, 4]))
def test_a_price_and_its_size(client: Any, draw: st.DataObject, tick_type: int) -> None:
    versions, decode = client
    values = draw.draw(values_of(messages.TICK_PRICE))
    values["tick_type"] = tick_type
    for version in versions:
        first, *rest = decode(version, messages.TICK_PRICE.encode(version, **values))
        assert first[1][:3] == (values["req_id"], tick_type, values["price"])
        if first[0] == "priceSizeTick":
            assert (first[1][3], rest) == (values["size"], [])
            continue
        bits = (first[1][3].canAutoExecute, first[1][3].pastLimit, first[1][3].preOpen)
        assert bits == tuple(bool(values["attributes"] >> bit & 1) for bit in range(3))
        size_type = {1: 0, 2: 3, 4: 5}[tick_type]
        assert [(name, list(map(plain, args))) for name, args in rest] == [
            ("tickSize", [values["req_id"], size_type, values["size"]])
        ]


@settings(max_examples=10)
@given(millis=st.integers(0, 2**52))
def test_the_time_in_milliseconds_from_the_version_that_brought_it(client: Any, millis: int) -> None:
    versions, decode = client
    for version in (version for version in versions if version >= 197):
        assert decode(version, messages.CURRENT_TIME_IN_MILLIS.encode(version, time=millis)) == [
            ("currentTimeInMillis", (millis,))
        ]


@pytest.mark.parametrize("layout", DETAILS_LAYOUTS, ids=lambda layout: layout.name)
@settings(max_examples=10)
@given(draw=st.data())
def test_contract_details(client: Any, layout: Layout, draw: st.DataObject) -> None:
    versions, decode = client
    values = draw.draw(values_of(layout))
    values["size_multiplier"] = 1  # ib_async skips it
    for version in versions:
        ((name, (req_id, found)),) = decode(version, layout.encode(version, **values))
        assert (name, req_id) == (layout.name, values["req_id"])
        missing = set()
        for key in there(layout, version)[1:]:
            holder = next((item for item in (found.contract, found) if hasattr(item, attribute(key))), None)
            if holder is None:
                missing.add(key)
            else:
                check(getattr(holder, attribute(key)), values[key])
        assert missing <= {"size_multiplier", "last_trade_date", "ineligibility_reasons", "suggested_size"}


def attribute(name: str) -> str:
    if name in DETAILS:
        return DETAILS[name]
    first, *rest = name.split("_")
    return first + "".join(word.capitalize() for word in rest)


def check(found: Any, wanted: Any) -> None:
    if not isinstance(wanted, list):
        assert plain(found) == plain(wanted)
        return
    assert len(found or []) == len(wanted)
    rows = [{key: getattr(row, attribute(key)) for key in wanted[0]} for row in found or []]
    in_order = functools.partial(sorted, key=lambda row: sorted(row.items()))  # a map of protobuf has no order
    assert in_order(rows) == in_order(wanted)
