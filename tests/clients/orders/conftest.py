"""The client libraries of this environment, each as a decoder and an encoder of orders.

ib_async is always there. ``ibapi`` is either the official package (9.81) or nautilus-ibapi (10.46). Both have the same
name, so each needs an environment of its own.
"""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC
from types import SimpleNamespace
from typing import Any

import pytest
from ib_async import Client as AsyncClient
from ib_async.decoder import Decoder as AsyncDecoder

from ibkr.wire.layout import Layout
from tests.clients import official
from tests.recording_wrapper import RecordingWrapper

VERSIONS = (*range(157, 201), 201, 203, 204, 206, 211, 213, 217, 225, 226)


@dataclass(frozen=True, repr=False)
class Library:
    """A client library. ``decode(layout, version, body)`` returns the arguments of the wrapper's call. ``sent(version,
    action)`` returns the body that the library writes."""

    versions: tuple[int, ...]
    decode: Callable[[Layout, int, bytes], tuple[Any, ...]]
    sent: Callable[[int, Callable[[Any], None]], bytes]
    classes: Any
    newest: int
    cancel_arguments: tuple[Any, ...] = ()

    @property
    def spoken(self) -> tuple[int, ...]:
        """The versions that the library negotiates. ib_async also decodes newer versions, but does not write them."""
        return tuple(version for version in self.versions if version <= self.newest)


def ib_async_library() -> Library:
    import ib_async

    def decode(layout: Layout, version: int, body: bytes) -> tuple[Any, ...]:
        heard = RecordingWrapper()
        heard.defaultTimezone = UTC  # type: ignore[assignment]
        AsyncDecoder(heard, version).interpret(body.decode().split("\0")[:-1])  # type: ignore[arg-type]
        ((_, args),) = heard.calls
        return args

    def sent(version: int, action: Callable[[Any], None]) -> bytes:
        client = AsyncClient(RecordingWrapper())
        messages: list[str] = []
        client._serverVersion = version
        client.isConnected = lambda: True  # type: ignore[method-assign]
        client.sendMsg = messages.append  # type: ignore[method-assign,assignment]
        action(client)
        (message,) = messages
        return message.encode()

    # ib_async does not know ``duration`` of version 158, nor the new fields inside openOrder from version 195 on.
    return Library(
        tuple(v for v in VERSIONS if v != 158 and v < 195), decode, sent, ib_async, AsyncClient.MaxClientVersion
    )


def ibapi_library() -> Library:
    is_new = not official.is_old()
    from ibapi import contract, order, order_condition, server_versions, tag_value
    from ibapi.client import EClient
    from ibapi.execution import ExecutionFilter

    top = getattr(server_versions, "MAX_CLIENT_VER", server_versions.MIN_SERVER_VER_PRICE_BASED_VOLATILITY + 1)

    def decode(layout: Layout, version: int, body: bytes) -> tuple[Any, ...]:
        heard = RecordingWrapper()
        official.interpret(heard, version, body)
        ((_, args),) = heard.calls
        return args

    def sent(version: int, action: Callable[[Any], None]) -> bytes:
        client = EClient(RecordingWrapper())
        messages: list[bytes] = []
        client.serverVersion_ = version
        client.conn = SimpleNamespace(isConnected=lambda: True, sendMsg=messages.append)
        client.connState = EClient.CONNECTED
        action(client)
        assert messages, client.wrapper.calls
        return messages[0][4:]

    classes = SimpleNamespace(**vars(contract), ExecutionFilter=ExecutionFilter, TagValue=tag_value.TagValue)
    classes.Order, classes.OrderComboLeg = order.Order, order.OrderComboLeg
    for name in ("PriceCondition", "TimeCondition", "ExecutionCondition"):
        setattr(classes, name, getattr(order_condition, name))
    cancels: tuple[Any, ...] = ()
    if is_new:
        from ibapi.order_cancel import OrderCancel

        cancels = (OrderCancel(),)
    return Library(tuple(v for v in VERSIONS if v <= top), decode, sent, classes, top, cancels)


LIBRARIES = {"ib_async": ib_async_library, "ibapi": ibapi_library}


@pytest.fixture(scope="module", params=["ib_async", pytest.param("ibapi", marks=pytest.mark.ibapi)])
def library(request: pytest.FixtureRequest) -> Library:
    return LIBRARIES[request.param]()
