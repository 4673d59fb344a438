"""Access control: hosts, tokens, origins, sizes."""

import json
import logging

import pytest

from ibkr.core.errors import ConfigError
from ibkr.web import access_control
from ibkr.web.access_control import LoginLimiter
from ibkr.web.web_settings import WebSettings

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
    assert b" 421 " in await one.visitor.raw(b"GET /healthz HTTP/1.0\r\n\r\n")  # this request has no host header


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
    beyond = WebSettings("0.0.0.0", token=TOKEN, names=("Desk.Example", "full.example.", "10.0.0.5", "[::1]"))
    assert beyond.is_own_name("full.example")
    for name, here in {"192.168.1.5": False, "::1": True, "desk.example": False, "localhost": True}.items():
        assert beyond.is_own_name(name)
        assert WebSettings().is_own_name(name) is here
    assert not beyond.is_own_name("evil.example")


async def test_the_cookie_is_secure_behind_a_proxy_with_tls_and_only_there(served):
    body = json.dumps({"token": TOKEN}).encode()
    one = await served(token=TOKEN)
    plain = (await one.visitor.ask("/api/token", "POST", body)).headers["set-cookie"]
    assert "Secure" not in plain
    for word in ("https", "http", "evil", "https, http"):
        cookie = (await one.visitor.ask("/api/token", "POST", body, X_Forwarded_Proto=word)).headers["set-cookie"]
        assert ("Secure" in cookie) is (word == "https"), word
    proxied = await one.visitor.ask("/api/token", "POST", body, X_Forwarded_Proto="https", X_Forwarded_For="10.1.2.3")
    assert "Secure" in proxied.headers["set-cookie"]


def test_who_may_speak_for_others():
    assert WebSettings(proxies=("10.0.0.1", "10.1.0.0/16", "fd00::/8")).proxies
    for wrong in ("proxy", "*", "10.0.0.1:80", "10.0.0.1/99", ""):
        with pytest.raises(ConfigError, match="trust_proxy"):
            WebSettings(proxies=(wrong,))


async def test_two_sites_on_one_host_do_not_log_each_other_out(served):
    one, other = [await served(token=token, ready=False, held=False) for token in (TOKEN, TOKEN + "2")]
    cookies = []
    for site, token in ((one, TOKEN), (other, TOKEN + "2")):
        answer = await site.visitor.ask("/api/token", "POST", json.dumps({"token": token}).encode())
        cookies.append(answer.headers["set-cookie"].partition(";")[0])
    assert len({cookie.partition("=")[0] for cookie in cookies}) == 2
    for site in (one, other):
        assert (await site.visitor.ask("/api/status", Cookie="; ".join(cookies))).status == 200


async def test_wrong_tokens_are_logged_and_limited(served, caplog, monkeypatch):
    # This rate is so low that no further wrong token is allowed during the test, even on a slow machine.
    monkeypatch.setattr(access_control, "_WRONG_TOKENS_PER_SECOND", 1 / 600)
    one = await served(token=TOKEN)
    ask = one.visitor.ask
    body = json.dumps({"token": TOKEN}).encode()
    cookie = (await ask("/api/token", "POST", body)).headers["set-cookie"].partition(";")[0]
    wrong = [(await ask("/api/token", "POST", b'{"token": "wrong"}')).status for _ in range(15)]
    wrong += [(await ask("/api/status", Authorization="Bearer \x1b[31mwrong")).status for _ in range(15)]
    assert (wrong[0], wrong[-1]) == (401, 429)
    for answer in (await ask("/api/token", "POST", body), await ask("/metrics", Authorization=f"Bearer {TOKEN}")):
        assert (answer.status, int(answer.headers["retry-after"]) <= 600) == (429, True)
    assert (await ask("/api/status", Cookie=cookie)).status == 200, "who is in stays in"
    assert (await ask("/api/token", "POST", body, X_Forwarded_For="10.1.2.3")).status == 204, "others are not concerned"
    told = [record.getMessage() for record in caplog.records if record.name == "ibkr.web"]
    assert (len(told), set(told)) == (20, {"A visitor at 127.0.0.1 gave a wrong token"})


async def test_wrong_tokens_of_many_addresses_take_bounded_memory():
    logins = LoginLimiter(TOKEN, clock=lambda: 0.0)
    for number in range(5000):
        assert logins.refusal({"client": (f"10.0.{number // 256}.{number % 256}", 1)}, "wrong").status_code == 401
    assert len(logins._wrong_tokens) <= 1024
    assert logins.refusal({"client": ("\x1b[2J" + "x" * 9000, 1)}, TOKEN) is None
    now = [0.0]
    logins = LoginLimiter(TOKEN, clock=lambda: now[0])
    for _ in range(30):
        logins.refusal({}, "wrong")
    assert logins.refusal({}, TOKEN).status_code == 429
    now[0] = 6.1
    assert logins.refusal({}, TOKEN) is None
