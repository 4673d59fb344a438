"""``connector.serve()`` needs one line in every way to use a connector, and ends with the connector."""

from __future__ import annotations

import asyncio
import json
import threading
import time
import urllib.error
import urllib.request
from typing import Any

import pytest

from ibkr import ConfigError, IBConnector
from ibkr.simulator import Gateway, ThreadedGateway
from ibkr.web import cross_loop
from tests.fixture_types import AAPL


def ask(url: str, body: bytes | None = None, **headers: str) -> Any:
    request = urllib.request.Request(url, data=body, headers=headers)
    with urllib.request.urlopen(request, timeout=5) as answer:
        text = answer.read().decode()
    return json.loads(text) if text.startswith("{") else text


def is_gone(url: str) -> bool:
    try:
        ask(url)
    except urllib.error.HTTPError as error:
        error.close()
        return False
    except OSError:
        return not any(thread.name.startswith("ibkr page") for thread in threading.enumerate())
    return False


@pytest.mark.usefixtures("script_loop")
def test_in_a_plain_script_it_answers_while_the_script_sleeps(threaded_gateway: ThreadedGateway) -> None:
    with IBConnector("127.0.0.1", threaded_gateway.port, 1) as connector:
        url = connector.serve(0)
        with pytest.raises(RuntimeError, match="already served"):
            connector.serve(0)
        told: dict[str, Any] = {}

        def visit() -> None:
            told["status"] = ask(f"{url}api/status")
            told["details"] = ask(f"{url}api/details")

        visitor = threading.Thread(target=visit)
        visitor.start()
        while visitor.is_alive():
            connector.sleep(0.02)
        assert told["status"]["state"] == "READY"
        assert told["details"]["positions"]["total"] == 2
        assert ask(f"{url}readyz").startswith("READY"), "also while the script does something else"
    assert is_gone(url)


async def test_in_a_running_loop_with_an_order_halted_from_the_page(gateway: Gateway) -> None:
    connector = IBConnector("127.0.0.1", gateway.port, 1)
    url = await connector.serve_async(0)
    assert "may not trade" not in await asyncio.to_thread(ask, f"{url}healthz")
    async with connector:
        connector.ib.reqMktData(AAPL)
        await asyncio.to_thread(ask, f"{url}api/halt", b'{"reason": "the risk limit"}')
        assert connector.status.halted == "the risk limit"
        await asyncio.to_thread(ask, f"{url}api/resume", b"")
        assert connector.may_trade
        details = await asyncio.to_thread(ask, f"{url}api/details")
        assert [each["kind"] for each in details["subscriptions"]["rows"]] == ["market data"]
    assert is_gone(url)


def test_in_a_thread_of_its_own(threaded_gateway: ThreadedGateway) -> None:
    connector = IBConnector("127.0.0.1", threaded_gateway.port, 1).start_in_thread()
    url = connector.serve(0)
    assert ask(f"{url}api/status")["may_trade"]
    connector.stop()
    assert is_gone(url)


def test_two_connectors_share_a_page_which_ends_with_the_last(threaded_gateway: ThreadedGateway) -> None:
    one, two = (IBConnector("127.0.0.1", threaded_gateway.port, client_id).start_in_thread() for client_id in (1, 2))
    url = one.serve(0)
    port = int(url.rstrip("/").rpartition(":")[2])
    with pytest.raises(ConfigError, match="another token"):
        two.serve(port, token="a-token-of-good-length")
    assert two.serve(port) == f"{url}?connector=2"
    shown = ask(f"{url}api/connectors")["connectors"]
    assert [(each["number"], each["client_id"], each["state"]) for each in shown] == [(1, 1, "READY"), (2, 2, "READY")]
    assert ask(f"{url}c/2/api/status")["client_id"] == 2
    one.stop()
    assert [each["number"] for each in ask(f"{url}api/connectors")["connectors"]] == [2]
    assert ask(f"{url}readyz").startswith("READY")
    with pytest.raises(urllib.error.HTTPError, match="404") as caught:
        ask(f"{url}c/1/api/status")
    caught.value.close()
    two.stop()
    assert is_gone(url)


@pytest.mark.usefixtures("script_loop")
def test_a_program_that_keeps_its_loop_at_rest_is_said_to(threaded_gateway: ThreadedGateway) -> None:
    with IBConnector("127.0.0.1", threaded_gateway.port, 1) as connector:
        url = connector.serve(0)
        with pytest.raises(urllib.error.HTTPError, match="503") as caught:
            ask(f"{url}api/details")
        assert "busy or does not run" in caught.value.read().decode()
        caught.value.close()
        with pytest.raises(urllib.error.HTTPError, match="503") as caught:
            ask(f"{url}api/halt", b'{"reason": "risk"}')
        caught.value.close()
        connector.sleep(0.01)
        assert connector.status.halted == "risk", "told as soon as it ran"


def readiness(url: str) -> str:
    try:
        return str(ask(f"{url}readyz"))
    except urllib.error.HTTPError as error:
        with error:
            return f"{error.code}: {error.read().decode()}"


@pytest.mark.usefixtures("script_loop")
def test_a_program_that_keeps_its_loop_at_rest_for_long_is_not_ready(
    threaded_gateway: ThreadedGateway, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(cross_loop, "LONGEST_REST", 0.2)
    with IBConnector("127.0.0.1", threaded_gateway.port, 1) as connector:
        url = connector.serve(0)
        until = time.monotonic() + 10
        while "has not run its event loop" not in (said := readiness(url)):
            assert said.startswith("READY")
            assert time.monotonic() < until
        assert said.startswith("503")
        while not readiness(url).startswith("READY"):
            assert time.monotonic() < until
            connector.sleep(0.01)
    assert is_gone(url)


async def test_what_cannot_work_leaves_nothing_behind() -> None:
    connector = IBConnector("127.0.0.1", 1, 1)
    with pytest.raises(ConfigError, match="set a token"):
        connector.serve(0, host="0.0.0.0")
    with pytest.raises(ConfigError, match=r"serve.port"):
        connector.serve(70000)
    assert not any(thread.name.startswith("ibkr page") for thread in threading.enumerate())
