"""What the simulator's log says about messages."""

import logging

from ibkr.simulator.connection.message_text import request_text
from ibkr.wire import encode_fields


class TestRequests:
    def test_what_its_fields_hold(self) -> None:
        assert request_text("reqMktData", ("1", "11", "9", "", "AAPL", "")) == "reqMktData 11 9 AAPL"

    def test_what_could_control_a_terminal_is_shown(self) -> None:
        assert request_text("unknown(5)", ("5", "a\x1b[2Jb", "c\nd")) == r"unknown(5) a\x1b[2Jb c\nd"

    def test_a_long_one_is_cut(self) -> None:
        assert request_text("placeOrder", ("3", "x" * 1000)) == f"placeOrder {'x' * 149}..."


async def test_every_message_and_who_comes_and_goes(gateway, connect, caplog) -> None:
    caplog.set_level(logging.DEBUG, "ibkr.simulator")
    client = await connect(gateway.port, 7)
    client.send_raw(b"\0\0\0\x05" + encode_fields(49, 1))
    await client.until(49)
    await client.close()
    await gateway.wait_for(lambda gateway: gateway.client_ids == [])
    told = [record.getMessage() for record in caplog.records]
    assert told[0].startswith("connection from ('127.0.0.1', ")
    assert told[1:3] == ["client -1: startApi 2 7", "client 7: session started, version 178"]
    assert told[3:5] == ["client 7 <- managedAccounts 1 DU1234567", "client 7 <- nextValidId 1 1"]
    assert told[-3] == "client 7: reqCurrentTime 1"
    assert told[-2].startswith("client 7 <- currentTime 1 1")
    assert told[-1] == "client 7: the session has ended"
