"""A gateway that puts control characters into every text: none of them reaches logs, status or errors."""

from __future__ import annotations

import asyncio
import json
import logging
import re
from typing import Any

import pytest
from ib_async import LimitOrder

from ibkr import ConnectError, GapReport, IBConnector, Status
from ibkr.core.serialization import sanitize, to_json
from ibkr.observe.connection_log import cure
from ibkr.observe.log_filter import PrintableFormatter
from ibkr.simulator import Gateway
from ibkr.simulator.connection.client_connection import ClientConnection
from tests.fixture_types import AAPL, Make

EVIL = b"\x1b]0;owned\x07\x1b[2J\r\n\x9b31m\xe2\x80\xae"
_TEXT = re.compile(rb"[A-Za-z][A-Za-z .:'-]{2,}")


SAYINGS = [
    (2103, "Market data farm connection is broken:usfarm"),
    (2104, "Market data farm connection is OK:eufarm"),
    (201, "Order rejected - reason: DU1234567"),
    (2110, "Connectivity between TWS and server is broken"),
    (1102, "restored"),
    (354, "Requested market data is not subscribed"),
    (321, "Error validating request: cause - something"),
    (99999, "An unknown code"),
]


def spoiled(body: bytes) -> bytes:
    """The message with control characters appended to every text in it."""
    kind, *fields = body.split(b"\0")
    return b"\0".join([kind, *(field + EVIL if _is_text(kind, field) else field for field in fields)])


def _is_text(kind: bytes, field: bytes) -> bool:
    if kind == b"15":  # this message is the list of accounts
        return True
    return bool(_TEXT.fullmatch(field)) or (b" " in field and not field[:1].isdigit())


@pytest.fixture
def evil(monkeypatch: pytest.MonkeyPatch) -> list[bool]:
    """Whether the simulated gateway currently adds control characters."""
    on = [True]
    send = ClientConnection.send
    monkeypatch.setattr(
        ClientConnection, "send", lambda self, *bodies: send(self, *(map(spoiled, bodies) if on[0] else bodies))
    )
    return on


def is_clean(value: Any) -> bool:
    if isinstance(value, dict):
        return all(is_clean(each) for pair in value.items() for each in pair)
    if isinstance(value, (list, tuple)):
        return all(map(is_clean, value))
    return not isinstance(value, str) or value.isprintable()


async def test_no_control_character_of_a_gateway_reaches_anybody(
    gateway: Gateway, make: Make, evil: list[bool], caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    logging.getLogger("ib_async.client").setLevel(logging.INFO)  # at level DEBUG, the log must show the raw fields
    connector = make(require_executions=False, request_timeout=0.2)
    told: list[Status | GapReport] = []
    connector.on_status(told.append)
    connector.on_gap(told.append)
    await connector.connect_async()
    connector.ib.reqMktData(AAPL)
    connector.ib.placeOrder(AAPL, LimitOrder("BUY", 1, 1.0, orderRef="a\x1b[31m\nreference"))
    session = gateway._state.sessions[7]
    for code, text in SAYINGS:
        for req_id in (-1, *connector.ib.wrapper.ticker2ReqId["mktData"].values(), 3):
            session.send_error(req_id, code, text)
    await connector.ib.reqCurrentTimeAsync()
    gateway.fill("AAPL")
    gateway.on_received("startApi", lambda gateway: gateway.place_order("MSFT", "BUY", 5, limit_price=1.0, client_id=7))
    await gateway.fault("reset")
    async with asyncio.timeout(10):
        while connector.last_gap is None:
            await connector.ib.updateEvent
    logging.getLogger("ib_async.client").error("Peer said %s", EVIL.decode(errors="replace"))
    assert connector.last_gap.orders_appeared
    assert all(sanitize(value) is value for value in told), "programs get them clean, too"
    surfaces = [*map(str, told), *map(str, connector.subscriptions), str(connector.last_gap)]
    surfaces += [cure(status) for status in told if isinstance(status, Status)]
    assert all(text.isprintable() for text in surfaces), [text for text in surfaces if not text.isprintable()]
    values = [each.to_dict(show_accounts=show) for each in told for show in (True, False)]
    values += [each.to_dict() for each in connector.subscriptions]
    for value in values:
        assert is_clean(value)
        assert is_clean(json.loads(to_json(value)))
    lines = [record.getMessage() for record in caplog.records if not record.name.startswith("ibkr.simulator")]
    assert all(line.isprintable() for line in lines), [line for line in lines if not line.isprintable()]
    assert not any("\x1b" in (record.exc_text or "") for record in caplog.records)


@pytest.mark.parametrize(
    "said", [b"HTTP/1.1 200 \x1b[2J\r\n\r\n", b"SSH-2.0-\x07evil\r\n", EVIL * 20, b"\0\0\0\x10" + EVIL]
)
async def test_whatever_is_at_the_port_the_error_is_printable(said: bytes) -> None:
    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(said)
        await reader.read()
        writer.close()

    async with await asyncio.start_server(answer, "127.0.0.1", 0) as server:
        connector = IBConnector("127.0.0.1", server.sockets[0].getsockname()[1], 7, timeout=0.3)
        with pytest.raises(ConnectError) as raised:
            await connector.connect_async(wait=False)
        for text in (str(raised.value), raised.value.advice, str(connector.status)):
            assert text.isprintable()


def test_a_log_line_of_any_logger_is_one_line_and_a_traceback_stays_readable() -> None:
    record = logging.LogRecord("any", logging.INFO, __file__, 1, "a %s", ("\x1b[2J\nWARNING forged",), None)
    assert PrintableFormatter("%(levelname)s %(message)s").format(record) == "INFO a  [2J WARNING forged"
    try:
        raise ValueError("\x1b[2J")
    except ValueError as error:
        record.exc_info = (type(error), error, error.__traceback__)
    text = PrintableFormatter("%(message)s").format(record)
    assert "\x1b" not in text
    assert "Traceback (most recent call last):\n" in text
