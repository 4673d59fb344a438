"""Who may ask what: hosts, tokens, origins, sizes."""

import json
import logging

import pytest

from ibkr.core.errors import ConfigError
from ibkr.web.settings import WebSettings

from .conftest import TOKEN


async def test_a_foreign_host_is_refused(served):
    one = await served(names=("desk.example",))
    port = one.visitor.port
    for host in (f"127.0.0.1:{port}", f"localhost:{port}", "LOCALHOST.", "[::1]:80", "desk.example"):
        assert (await one.visitor.ask("/healthz", host=host)).status == 200, host
    foreign = ("evil.example", "127.0.0.1.evil.example", "10.0.0.7", "", "a@127.0.0.1", "[", "127.0.0.1:x", "\xff")
    for host in foreign:
        answer = await one.visitor.raw(
            f"GET /api/status HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\n\r\n".encode("latin-1")
        )
        assert answer[9:12] in (b"421", b"400"), host
        assert b"READY" not in answer
    assert b" 421 " in await one.visitor.raw(b"GET /healthz HTTP/1.0\r\n\r\n")  # no host at all


async def test_no_token_no_answer_but_for_the_page_itself(served, caplog):
    caplog.set_level(logging.DEBUG)
    one = await served(host="0.0.0.0", token=TOKEN)
    ask = one.visitor.ask
    guarded = ("/api/status", "/api/events", "/api/outages", "/api/timeline", "/api/round-trips", "/readyz", "/metrics")
    for path in (*guarded, "/api/nothing"):
        for headers in ({}, {"Authorization": "Bearer wrong"}, {"Authorization": TOKEN}, {"Cookie": "ibkr_page=x"}):
            answer = await ask(path, **headers)
            assert answer.status == 401, path
            assert answer.headers["www-authenticate"] == "Bearer"
    assert (await ask("/api/reconnect", "POST", Authorization="Bearer wrong")).status == 401
    for path in ("/", "/healthz"):
        assert (await ask(path)).status == 200
    for path in guarded[2:]:
        assert (await ask(path, Authorization=f"Bearer {TOKEN}")).status == 200
    assert (await ask("/api/reconnect", "POST", Authorization=f"Bearer {TOKEN}")).status == 202
    assert TOKEN not in caplog.text


async def test_the_page_takes_the_token_once_for_a_cookie(served):
    one = await served(token=TOKEN)
    ask = one.visitor.ask
    for body in (b"", b"x", b"[]", b'{"token": 5}', b'{"token": "wrong"}', b"[" * 4000, b'{"token": "\xff"}'):
        assert (await ask("/api/token", "POST", body)).status in (400, 401), body
    answer = await ask("/api/token", "POST", json.dumps({"token": TOKEN}).encode())
    assert answer.status == 204
    cookie, *attributes = answer.headers["set-cookie"].split("; ")
    assert TOKEN not in cookie
    assert {"HttpOnly", "SameSite=strict", "Path=/"} <= set(attributes)
    assert (await ask("/api/status", Cookie=cookie)).status == 200
    assert (await ask("/api/status", Cookie=cookie[:-1])).status == 401


async def test_other_sites_pages_change_nothing_and_read_nothing(served):
    one = await served()
    own = f"http://127.0.0.1:{one.visitor.port}"
    for headers in (
        {"Origin": "https://evil.example"},
        {"Origin": "null"},
        {"Origin": "http://["},
        {"Origin": f"{own}1"},
        {"Origin": own, "Sec_Fetch_Site": "cross-site"},
        {"Sec_Fetch_Site": "same-site"},
    ):
        answer = await one.visitor.ask("/api/reconnect", "POST", **headers)
        assert answer.status == 403, headers
        assert not [name for name in answer.headers if name.startswith("access-control")]
    assert one.connector.stats.attempts == 1
    assert (await one.visitor.ask("/api/reconnect", "POST", Origin=own, Sec_Fetch_Site="same-origin")).status == 202
    for path in ("/", "/api/status", "/nothing"):
        headers = (await one.visitor.ask(path, Origin="https://evil.example")).headers
        assert "default-src 'none'" in headers["content-security-policy"]
        assert "unsafe" not in headers["content-security-policy"]
        assert headers["x-content-type-options"] == "nosniff"
        assert headers["cache-control"] == "no-store"
        assert not [name for name in headers if name.startswith("access-control")]


async def test_bodies_and_heads_are_limited(served):
    one = await served()
    assert (await one.visitor.ask("/healthz", X="x" * 16_000)).status == 200
    assert (await one.visitor.ask("/healthz", X="x" * 17_000)).status in (400, 431)
    assert (await one.visitor.ask(f"/healthz?{'x' * 17_000}")).status in (400, 431)
    assert (await one.visitor.ask("/api/token", "POST", b"x" * 5000)).status == 413
    head = f"POST /api/token HTTP/1.1\r\nHost: 127.0.0.1:{one.visitor.port}\r\nTransfer-Encoding: chunked\r\n\r\n"
    answer = await one.visitor.raw(head.encode() + b"1000\r\n" + b"x" * 4096 + b"\r\n" + b"5\r\nxxxxx\r\n0\r\n\r\n")
    assert b" 413 " in answer[:20]
    answer = await one.visitor.ask("/api/status", Content_Length="-5")
    assert answer.status == 400


def test_settings_that_would_be_open_to_all_are_refused():
    for host in ("0.0.0.0", "::", "192.168.1.5", "example.com"):
        with pytest.raises(ConfigError, match="set a token"):
            WebSettings(host)
        assert WebSettings(host, token=TOKEN)
    for token in ("short", "with spaces in between", "unprintable-\x07-------", "ünïcode-token-xxxxx"):
        with pytest.raises(ConfigError) as caught:
            WebSettings(token=token)
        assert token not in str(caught.value)
    assert TOKEN not in repr(WebSettings(token=TOKEN))
    with pytest.raises(ConfigError, match="65535"):
        WebSettings(port=70000)


def test_names_that_the_site_may_be_called_by():
    beyond = WebSettings("0.0.0.0", token=TOKEN, names=("Desk.Example",))
    for name, here in {"192.168.1.5": False, "::1": True, "desk.example": False, "localhost": True}.items():
        assert beyond.is_own_name(name)
        assert WebSettings().is_own_name(name) is here
    assert not beyond.is_own_name("evil.example")
