"""The control port: HTTP and JSON."""

import asyncio
import json
from dataclasses import dataclass

import pytest

from ibkr.simulator import FAULTS, Gateway
from ibkr.simulator.control_port import MAX_CONNECTIONS


@dataclass
class Control:
    """Sends requests to a gateway's control port. ``ask`` returns the status and the answer."""

    gateway: Gateway
    connect: object

    async def send(self, data: bytes) -> tuple[int, dict[str, object]]:
        client = await self.connect(self.gateway.control_port)  # type: ignore[operator]
        client.send_raw(data)
        head, _, body = (await asyncio.wait_for(client.reader.read(), 10)).partition(b"\r\n\r\n")
        assert f"Content-Length: {len(body)}".encode() in head
        return int(head.split()[1]), json.loads(body)

    async def ask(self, what: str, body: object = None, **headers: str) -> tuple[int, dict[str, object]]:
        data = b"" if body is None else json.dumps(body).encode()
        named = {"Host": f"127.0.0.1:{self.gateway.control_port}", "Content-Length": str(len(data)), **headers}
        lines = [f"{what} HTTP/1.1", *(f"{name}: {value}" for name, value in named.items() if value)]
        return await self.send("\r\n".join([*lines, "", ""]).encode() + data)


@pytest.fixture
async def control(connect):
    async with Gateway(control_port=0) as gateway:
        yield Control(gateway, connect)


class TestControl:
    async def test_a_fault(self, control, connect) -> None:
        client = await connect(control.gateway.port, 7)
        assert await control.ask("POST /faults/reset") == (200, {"ok": True, "done": "reset"})
        assert await client.ended() == "reset"
        assert (await control.ask("POST /faults/restart", {"args": [0.01]}))[0] == 200
        await control.gateway.wait_for(lambda gateway: gateway.is_listening)
        status, answer = await control.ask("POST /faults/1100", {"args": {"interval": "0.5", "repeats": 2}})
        assert (status, answer) == (200, {"ok": True, "done": "lose_upstream"})
        assert list(control.gateway.seen.faults) == ["reset", "restart", "lose_upstream"]

    async def test_seen(self, control, connect) -> None:
        client = await connect(control.gateway.port, 7)
        client.subscribe(5)
        await client.until(58)
        status, seen = await control.ask("GET /seen")
        assert (status, seen["ok"]) == (200, True)
        assert seen["port"] == control.gateway.port
        assert seen["connected_client_ids"] == [7]
        assert seen["requests"] == {"startApi": 1, "reqMktData": 1}
        assert seen["live_subscriptions"] == {"7": {"5": "AAPL"}}

    async def test_what_there_is(self, control) -> None:
        _, faults = await control.ask("GET /faults")
        assert [row["name"] for row in faults["faults"]] == sorted(FAULTS)
        assert all(row["doc"] and row["usage"] for row in faults["faults"])
        _, root = await control.ask("GET /")
        assert root["port"] == control.gateway.port
        assert set(root["routes"]) == {"GET /", "GET /faults", "POST /faults/NAME", "GET /seen"}

    @pytest.mark.parametrize(
        ("what", "body", "status", "words"),
        [
            ("POST /faults/frezee", None, 404, "no fault 'frezee'; perhaps: freeze"),
            ("POST /faults/restart", {"args": ["soon"]}, 400, "write: restart [SECONDS=2.0]"),
            ("POST /faults/restart", {"args": {"hours": 1}}, 400, "no argument 'hours'"),
            ("POST /faults/restart", {"args": [True]}, 400, "SECONDS must be of type float, not True"),
            ("POST /faults/break_farm", {"args": ["nofarm"]}, 400, "no farm 'nofarm'; known: "),
            ("POST /faults/restart", {"args": 2}, 400, "a list or an object is needed, not 2"),
            ("POST /faults/restart", {"seconds": 2}, 400, 'write {"args": [2]}'),
            ("POST /faults/restart", [2], 400, 'write {"args": [2]}'),
            ("GET /faults/restart", None, 404, "unknown request GET /faults/restart; known: GET /"),
            ("GET /nothing", None, 404, "POST /faults/NAME"),
        ],
    )
    async def test_an_error_names_what_was_asked_and_the_cure(self, control, what, body, status, words) -> None:
        told, answer = await control.ask(what, body)
        assert (told, answer["ok"]) == (status, False)
        assert words in str(answer["error"])
        assert not control.gateway.seen.faults


class TestWebPages:
    """What a web page in a browser on this machine can send."""

    @pytest.mark.parametrize("origin", ["https://evil.example", "null", "http://127.0.0.1:7498"])
    @pytest.mark.parametrize("what", ["POST /faults/reset", "GET /seen"])
    async def test_an_origin_is_refused(self, control, what: str, origin: str) -> None:
        status, answer = await control.ask(what, origin=origin)
        assert (status, answer["ok"]) == (403, False)
        assert not control.gateway.seen.faults

    @pytest.mark.parametrize("host", ["evil.example", "127.0.0.1", "127.0.0.1:1", "localhost.evil.example:{port}", ""])
    async def test_a_foreign_host_is_refused(self, control, host: str) -> None:
        status, answer = await control.ask("POST /faults/reset", Host=host.format(port=control.gateway.control_port))
        assert (status, answer["ok"]) == (403, False)
        assert f"write http://127.0.0.1:{control.gateway.control_port}" in str(answer["error"])
        assert not control.gateway.seen.faults

    async def test_localhost_is_this_machine(self, control) -> None:
        assert (await control.ask("GET /", Host=f"localhost:{control.gateway.control_port}"))[0] == 200


class TestStrangers:
    @pytest.mark.parametrize(
        ("data", "status"),
        [
            (b"restart 2\r\n", 400),
            (b"x" * 70_000, 413),
            (b"GET / HTTP/1.1\r\n" + b"A: b\r\n" * 20_000, 413),
            (b"POST /faults/reset HTTP/1.1\r\nContent-Length: -1\r\n\r\n", 411),
            (b"POST /faults/reset HTTP/1.1\r\nContent-Length: 999999\r\n\r\n", 411),
            (b"POST /faults/reset HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n", 411),
        ],
    )
    async def test_what_is_not_a_request_is_told_so(self, control, data: bytes, status: int) -> None:
        assert (await control.send(data))[0] == status
        assert not control.gateway.seen.faults

    @pytest.mark.parametrize("body", [b"{", b"[" * 50_000, b"\xff"])
    async def test_a_body_that_is_not_json(self, control, body: bytes) -> None:
        host = f"127.0.0.1:{control.gateway.control_port}"
        head = f"POST /faults/reset HTTP/1.1\r\nHost: {host}\r\nContent-Length: {len(body)}\r\n\r\n"
        status, answer = await control.send(head.encode() + body)
        assert status == 400
        assert "not JSON" in str(answer["error"])

    async def test_a_request_in_pieces(self, control, connect) -> None:
        client = await connect(control.gateway.control_port)
        host = f"127.0.0.1:{control.gateway.control_port}".encode()
        data = b"POST /faults/delay HTTP/1.1\r\nhost: " + host + b'\r\ncontent-length: 13\r\n\r\n{"args": [3]}'
        for i in range(len(data)):
            client.send_raw(data[i : i + 1])
            await asyncio.sleep(0)
        assert json.loads((await client.reader.read()).partition(b"\r\n\r\n")[2]) == {"ok": True, "done": "delay"}
        assert control.gateway.faults.state.conditions.send_profile.delay == 3

    async def test_it_listens_on_loopback_alone(self) -> None:
        async with Gateway("0.0.0.0", control_port=0) as gateway:
            assert gateway._control is not None
            (listening,) = gateway._control._server.sockets
            assert listening.getsockname()[0] == "127.0.0.1"


class TestVisitors:
    async def test_half_requests_hold_neither_the_port_nor_memory(self, control, connect) -> None:
        half = b"POST /faults/reset HTTP/1.1\r\nX: " + b"x" * 60_000
        for _ in range(100):
            client = await connect(control.gateway.control_port)
            client.send_raw(half)
        assert (await control.ask("GET /seen"))[0] == 200
        own = control.gateway._control
        assert len(own.connections) <= MAX_CONNECTIONS
        assert control.gateway.seen.connects == 0

    async def test_one_that_is_not_complete_in_time_is_told_so(self, control, connect) -> None:
        control.gateway._control.timeout = 0.05
        status, answer = await control.send(b"GET / HT")
        assert (status, answer) == (408, {"ok": False, "error": "no complete request within 0.05 s"})

    async def test_one_that_says_nothing_is_ended(self, control, connect) -> None:
        control.gateway._control.timeout = 0.05
        client = await connect(control.gateway.control_port)
        assert (await client.reader.read()).startswith(b"HTTP/1.1 408 ")

    async def test_one_that_does_not_read_its_answer_is_ended(self, control, connect) -> None:
        control.gateway._control.timeout = 0.2
        for number in range(9000):  # the answer becomes too long for any socket buffer
            control.gateway.seen.request(1, f"{number}" * 500, ["1"], 0.0)
        client = await connect(control.gateway.control_port)
        client.writer.transport.pause_reading()
        host = f"127.0.0.1:{control.gateway.control_port}"
        client.send_raw(f"GET /seen HTTP/1.1\r\nHost: {host}\r\n\r\n".encode())
        await asyncio.sleep(0.4)  # this is longer than a connection may stay without progress
        client.writer.transport.resume_reading()
        head, _, body = (await asyncio.wait_for(client.reader.read(), 10)).partition(b"\r\n\r\n")
        assert b"200 OK" in head
        assert f"Content-Length: {len(body)}".encode() not in head
