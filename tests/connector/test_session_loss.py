"""The end of a session shows in the status before anything else, and unsent messages stay unsent."""

from __future__ import annotations

import socket
import struct
import sys

import pytest
from ib_async import LimitOrder

from ibkr import ConnectionState, IBConnector, NotReady, Status
from ibkr.simulator import Gateway
from tests.fixture_types import AAPL, Back, Make, StateOf

READY = ConnectionState.READY


def order() -> LimitOrder:
    return LimitOrder("BUY", 1, 1.0)


@pytest.mark.parametrize("end", ["reset", "close"])
@pytest.mark.parametrize("behind", ["1102", "farm"])
async def test_no_status_says_ready_once_the_transport_has_ended(
    end: str, behind: str, gateway: Gateway, make: Make, back: Back, state_of: StateOf
) -> None:
    """The gateway's last messages and its end come in one packet. A status about them must not allow orders."""
    connector = make()
    await connector.connect_async()
    shown: list[tuple[bool, bool]] = []
    sent: list[int] = []

    def look(status: Status) -> None:
        transport = connector.ib.client.conn.transport
        lives = transport is not None and not transport.is_closing()
        shown.append((status.may_trade, lives))
        if status.may_trade and connector.may_trade:
            try:
                sent.append(connector.ib.placeOrder(AAPL, order()).order.orderId)
            except NotReady:
                sent.append(-1)

    await gateway.fault("1100")
    await state_of(connector, lambda status: not status.may_trade)
    connector.on_status(look)
    await gateway.fault("1102" if behind == "1102" else "mend_farm")
    await gateway.fault("1102")
    await gateway.fault(end)
    await back(connector)
    assert (True, False) not in shown
    assert -1 not in sent

    def known(gateway: Gateway) -> set[int]:
        at_broker = {placed.order_id for placed in gateway.orders if placed.client_id == 7}
        return at_broker | {each.order_id for each in connector.status.unconfirmed}

    await gateway.wait_for(lambda gateway: set(sent) <= known(gateway))


async def test_without_a_transport_nothing_is_sent(gateway: Gateway, make: Make, back: Back) -> None:
    """The test runs between the end of the transport and the moment when the loop reports this end."""
    connector = make()
    await connector.connect_async()
    before = connector.ib.client._reqIdSeq
    connector.ib.client.conn.transport.abort()
    assert not connector.may_trade
    assert connector.status.state is ConnectionState.RECONNECTING
    with pytest.raises(NotReady, match="session lost"):
        connector.ib.placeOrder(AAPL, order())
    with pytest.raises(NotReady, match="there is no session"):
        connector.ib.client.cancelOrder(5, "")
    assert connector.ib.client._reqIdSeq == before
    await back(connector)


def _lingers(connector: IBConnector) -> bool:
    """Whether a closed socket still delivers unsent bytes."""
    raw = connector.ib.client.conn.transport.get_extra_info("socket")
    kind = "hh" if sys.platform == "win32" else "ii"
    on, seconds = struct.unpack(kind, raw.getsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.calcsize(kind)))
    return not (on and seconds == 0)


async def test_a_suspect_session_discards_unsent_messages_however_it_ends(
    gateway: Gateway, make: Make, state_of: StateOf
) -> None:
    connector = make(probe_after=0.1, suspect_after=0.1, probe_timeout=5, disconnect_grace=0.1)
    await connector.connect_async()
    assert _lingers(connector)
    await gateway.fault("freeze")
    await state_of(connector, lambda status: status.session == "suspect")
    assert not _lingers(connector)
    await gateway.fault("thaw")
    await state_of(connector, lambda status: status.state is READY)
    assert _lingers(connector)
