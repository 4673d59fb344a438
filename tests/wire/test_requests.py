"""The layouts of requests fit what ib_async sends, and each has its place in protobuf."""

from __future__ import annotations

import inspect
from typing import Any

import pytest
from ib_async import ComboLeg, Contract, DeltaNeutralContract, ExecutionFilter, LimitOrder, ScannerSubscription, Stock
from ib_async.client import Client
from ib_async.objects import WshEventData

from ibkr.simulator.requests.request_names import REQUESTS as KNOWN
from ibkr.wire import protobuf_codec, protobuf_schema
from ibkr.wire.frame import split_id
from ibkr.wire.request_layouts import LAYOUTS

_COMBO = Contract(
    symbol="SPY", secType="BAG", exchange="SMART", currency="USD",
    comboLegs=[ComboLeg(1, 1, "BUY", "SMART"), ComboLeg(2, 2, "SELL", "SMART")],
    deltaNeutralContract=DeltaNeutralContract(3, 0.5, 1.25),
)  # fmt: skip
_VALUES: dict[str, Any] = {
    "contract": Stock("AAPL", "SMART", "USD"),
    "order": LimitOrder("BUY", 1, 2.5, orderRef="x"),
    "execFilter": ExecutionFilter(acctCode="DU1"),
    "subscription": ScannerSubscription(scanCode="TOP"),
    "data": WshEventData(conId=5),
    "numRows": 5, "formatDate": 1, "barSize": 5, "numberOfTicks": 3, "totalResults": 4, "exerciseAction": 1,
    "exerciseQuantity": 1, "optionPrice": 1.5, "volatility": 0.2, "underPrice": 3.5, "logLevel": 1, "groupId": 1,
    "faData": 1, "numIds": 1, "underlyingConId": 7, "conId": 7, "conid": 7, "marketDataType": 3, "marketRuleId": 26,
}  # fmt: skip
_NOT_IN_THE_API = {"sendMsg", "send", "reset", "connectAsync", "connect", "disconnect", "startApi", "getReqId"}


class _Sent(Client):
    """A client that keeps what it would send."""

    def __init__(self, version: int) -> None:
        super().__init__(wrapper=None)
        self._serverVersion = version
        self.bodies: list[bytes] = []

    def isConnected(self) -> bool:
        return True

    def sendMsg(self, msg: str) -> None:
        self.bodies.append(msg.encode())


def _argument(name: str) -> Any:
    if name.lower().endswith("options"):
        return []
    if name in _VALUES:
        return _VALUES[name]
    return 9 if name.endswith("Id") or name in ("tickerId",) else True if name.startswith("use") else "text"


def _requests() -> list[str]:
    return [name for name in LAYOUTS if hasattr(Client, name) and name not in _NOT_IN_THE_API]


def sent(name: str, version: int, **given: Any) -> bytes:
    client = _Sent(version)
    method = getattr(client, name)
    method(**{key: given.get(key, _argument(key)) for key in inspect.signature(method).parameters})
    [body] = client.bodies
    return body


@pytest.mark.parametrize("version", [157, 165, 169, 171, 173, 176, 178])
@pytest.mark.parametrize("name", _requests())
def test_what_ib_async_sends_fits_its_layout(name: str, version: int) -> None:
    _fits(name, version, sent(name, version))


@pytest.mark.parametrize("name", ["reqMktData", "reqHistoricalData", "placeOrder"])
def test_combinations_fit_too(name: str) -> None:
    values = _fits(name, 178, sent(name, 178, contract=_COMBO))
    assert [leg["con_id"] for leg in values["combo_legs"]] == [1, 2]
    if name == "reqMktData":
        assert values["delta_neutral_contract_delta"] == 0.5


def _fits(name: str, version: int, body: bytes) -> dict[str, Any]:
    layout = LAYOUTS[name]
    texts = split_id(body, version)[2].decode().split("\0")[:-1]
    if name.startswith("calculate"):  # ib_async sends the number of options first
        assert texts.pop() == ""
    return layout.decode(version, b"\0".join([b"%d" % layout.message_id, *map(str.encode, texts), b""]))


def test_each_request_has_its_layout() -> None:
    assert {name: (item.message_id, item.protobuf) for name, item in KNOWN.items()} == {
        name: (layout.message_id, (layout.protobuf or (0, ""))[1]) for name, layout in LAYOUTS.items()
    }


@pytest.mark.parametrize("name", list(LAYOUTS))
def test_each_field_has_its_place_in_protobuf(name: str) -> None:
    layout = LAYOUTS[name]
    assert layout.protobuf is not None
    assert protobuf_codec.decode(layout, 226, protobuf_schema.message_class(layout.protobuf[1])()) is not None
