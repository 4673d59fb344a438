"""The proxy's control port: its own faults, and the protocol of the simulated gateway's control port."""

from __future__ import annotations

import asyncio
import json
import socket

import pytest

from ibkr.proxy import Proxy
from ibkr.proxy.proxy_faults import PROXY_FAULTS
from ibkr.proxy.replay_fixture import run_in_thread
from ibkr.wire import ClientHello, encode_fields, frame, hello_bytes, version_frame


async def ask(proxy, method, path, body=""):
    """The status and the answer of a request."""
    reader, writer = await asyncio.open_connection("127.0.0.1", proxy.control_port)
    head = f"{method} {path} HTTP/1.1\r\nHost: localhost:{proxy.control_port}\r\nContent-Length: {len(body)}\r\n\r\n"
    writer.write((head + body).encode())
    answer = (await reader.read()).decode()
    writer.close()
    head, _, body = answer.partition("\r\n\r\n")
    return int(head.split()[1]), json.loads(body)


async def test_it_lists_and_carries_out(plain, new_proxy, connect):
    proxy = await new_proxy(plain.port, control_port=0)
    client = await connect(proxy.port)
    await plain.next()
    _, listed = await ask(proxy, "GET", "/faults")
    assert [row["name"] for row in listed["faults"]] == sorted(PROXY_FAULTS)
    assert await ask(proxy, "POST", "/faults/close") == (200, {"ok": True, "done": "close"})
    assert await client.read_to_end() == b""
    _, seen = await ask(proxy, "GET", "/seen")
    assert (seen["connects"], seen["faults"], seen["listening"]) == (1, ["close"], True)


@pytest.mark.parametrize(
    ("path", "body", "status", "said"),
    [
        ("restart", "", 404, "no fault 'restart'; perhaps: reset"),
        ("delay", '{"args": [-1]}', 400, "seconds from 0"),
        ("mute", '{"args": ["reqNothing"]}', 400, "no request 'reqNothing'"),
        ("error", "", 400, "CODE is missing"),
    ],
)
async def test_what_cannot_be(plain, new_proxy, path, body, status, said):
    proxy = await new_proxy(plain.port, control_port=0)
    found, answer = await ask(proxy, "POST", f"/faults/{path}", body)
    assert found == status
    assert said in answer["error"]


async def test_a_live_account_is_refused(plain, new_proxy, connect):
    proxy = await new_proxy(plain.port, control_port=0)
    client = await connect(proxy.port)
    peer = await plain.next()
    await client.write(hello_bytes(ClientHello(157, 178)))
    await peer.write(version_frame(178, "x") + frame(encode_fields(15, 1, "U1234567")))
    await client.read(20)
    status, answer = await ask(proxy, "POST", "/faults/reset")
    assert status == 400
    assert "the account is live" in answer["error"]


def test_in_a_thread_a_port_that_is_taken_is_reported():
    with socket.create_server(("127.0.0.1", 0)) as taken:
        proxy = Proxy(port=taken.getsockname()[1])
        with pytest.raises(OSError, match="in use"), run_in_thread(proxy):
            pass
