"""The control port."""

import asyncio
import json

import pytest

from ibkr.simulator import FAULTS, Gateway


class TestControl:
    @pytest.fixture
    async def ask(self, connect):
        async with Gateway(control_port=0) as gateway:
            control = await connect(gateway.control_port)

            async def ask(line: str) -> dict[str, object]:
                control.send_raw(line.encode() + b"\r\n")
                return json.loads(await asyncio.wait_for(control.reader.readline(), 2))

            ask.gateway = gateway  # type: ignore[attr-defined]
            yield ask

    async def test_a_fault_in_a_line(self, ask, connect) -> None:
        client = await connect(ask.gateway.port, 7)
        assert await ask("reset") == {"ok": True, "done": "reset"}
        assert await client.ended() == "reset"
        assert (await ask("restart 0.01"))["ok"] is True
        await ask.gateway.wait_for(lambda gateway: gateway.is_listening)
        assert (await ask("1100 interval=0.5 repeats=2"))["ok"] is True
        assert list(ask.gateway.seen.faults) == ["reset", "restart", "lose_upstream"]

    async def test_seen(self, ask, connect) -> None:
        client = await connect(ask.gateway.port, 7)
        client.subscribe(5)
        await client.until(58)
        seen = await ask("seen")
        assert seen["ok"] is True
        assert seen["port"] == ask.gateway.port
        assert seen["connected_client_ids"] == [7]
        assert seen["requests"] == {"startApi": 1, "reqMktData": 1}
        assert seen["live_subscriptions"] == {"7": {"5": "AAPL"}}

    async def test_faults_and_help(self, ask) -> None:
        faults = await ask("faults")
        assert {row["name"] for row in faults["faults"]} == set(FAULTS)
        assert all(row["doc"] and row["usage"] for row in faults["faults"])
        assert (await ask("help"))["faults"] == sorted(FAULTS)

    @pytest.mark.parametrize(
        ("line", "words"),
        [
            ("", "an empty line; write a fault"),
            ("frezee", "no fault 'frezee'; perhaps: freeze"),
            ("restart soon", "write: restart [SECONDS=2.0] (try: help)"),
            ("seen all", "seen takes no arguments"),
            ("restart hours=1", "no argument 'hours'"),
        ],
    )
    async def test_an_error_names_the_command_and_the_cure(self, ask, line: str, words: str) -> None:
        answer = await ask(line)
        assert answer["ok"] is False
        assert words in str(answer["error"])

    async def test_an_endless_line_is_cut(self, ask, connect) -> None:
        control = await connect(ask.gateway.control_port)
        control.send_raw(b"x" * 5000)
        answer = json.loads(await control.reader.readline())
        assert "a line of more than 4096 bytes" in answer["error"]
        assert await control.ended() in ("closed", "reset")
