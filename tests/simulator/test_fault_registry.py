"""The faults by name: documentation, calls, and the errors of wrong calls."""

import socket

import pytest

from ibkr.simulator import FAULTS, FaultError, Gateway

ALLOWED = {("seconds", 10**12), ("interval", 10**12), ("times", 10**12), ("name", "no-such"), ("text", "no-such")}
"""Values that are correct: a time can be long, a time zone can have any name, and a code can have any text."""


class TestRegistry:
    def test_every_fault_has_one_line_of_doc_and_a_usage(self) -> None:
        for name, fault in FAULTS.items():
            assert fault.name == name
            assert 20 <= len(fault.doc) <= 110
            assert fault.usage.split()[0] == name

    def test_the_numbers_are_aliases(self) -> None:
        aliases = {alias: fault.name for fault in FAULTS.values() for alias in fault.aliases}
        assert aliases == {
            "1100": "lose_upstream",
            "1101": "restore_upstream_data_lost",
            "1102": "restore_upstream",
            "2110": "upstream_down_at_connect",
        }

    async def test_the_same_by_method(self, gateway, connect) -> None:
        client = await connect(gateway.port, 1)
        gateway.faults.reset()
        assert await client.ended() == "reset"
        assert list(gateway.seen.faults) == ["reset"]

    @pytest.mark.parametrize(
        ("call", "words"),
        [
            (("resett",), "no fault 'resett'; perhaps: reset"),
            (("xyz",), "perhaps: break_farm, change_port, clear"),
            (("restart", "soon"), "SECONDS must be of type float, not 'soon'; write: restart [SECONDS=2.0]"),
            (("restart", -1), "seconds from 0 are needed"),
            (("restart", "nan"), "seconds from 0 are needed"),
            (("reset", 1), "reset: too many arguments, write: reset"),
            (("occupy_client_id",), "CLIENT_ID is missing"),
            (("occupy_client_id", 1.5), "CLIENT_ID must be of type int, not 1.5"),
            (("mute", "reqPosition"), "perhaps: reqPositions"),
            (("lose_upstream", 0), "repeats from 1"),
            (("delay",), "SECONDS is missing, write: delay SECONDS"),
            (("delay", 10**400), "SECONDS must be of type float, not 1000"),
            (("drop_message", "execDetails", 1.5), "TIMES is wrong: whole times from 1 are needed, not 1.5"),
            (("drop_message", "execDetails", "nan"), "TIMES is wrong: whole times from 1 are needed, not nan"),
            (("break_farm", "nofarm"), "no farm 'nofarm'; known: cashfarm, cashhmds,"),
            (("mend_farm", ""), "no farm ''; known: cashfarm,"),
            (("flap_farm", "usfram", 0.01), "no farm 'usfram'; known: cashfarm,"),
            (("stall_stream", "APPL"), "no symbol 'APPL'; perhaps: AAPL"),
            (("end_stream", ""), "no symbol ''; perhaps: "),
            (("end_stream", "AAPL", -3), "the value for CODE is wrong: codes from 1 are needed, not -3"),
            (("occupy_client_id", -1), "the value for CLIENT_ID is wrong: client ids from 0 are needed, not -1"),
            ((1100,), "the name of a fault must be a text, not 1100"),
        ],
    )
    async def test_wrong_calls_say_what_to_write(self, gateway, call, words: str) -> None:
        with pytest.raises(FaultError) as caught:
            await gateway.fault(*call)
        assert words in str(caught.value)
        assert not gateway.seen.faults
        assert gateway.is_listening

    @pytest.mark.parametrize(
        ("name", "parameter", "value"),
        [
            (name, item.name, value)
            for name, fault in FAULTS.items()
            for item in fault.parameters
            for value in (["no-such"] if item.kind is str else ["x", "nan", -(10**12), 10**12])
            if (item.name, value) not in ALLOWED
        ],
    )
    async def test_every_wrong_argument_is_named_with_its_value_and_the_cure(
        self, gateway, name: str, parameter: str, value: object
    ) -> None:
        samples = {"seconds": 1, "client_id": 7, "request": "reqIds", "bytes_per_second": 1, "message": "error"}
        required = {item.name: samples[item.name] for item in FAULTS[name].parameters if item.is_required}
        with pytest.raises(FaultError) as caught:
            await gateway.fault(name, **{**required, parameter: value})
        text = str(caught.value)
        assert text.startswith(f"{name}: ")
        assert parameter.upper() in text
        assert str(value) in text
        assert f"write: {FAULTS[name].usage}" in text
        assert not gateway.seen.faults

    async def test_an_unknown_named_argument(self, gateway) -> None:
        with pytest.raises(FaultError, match="restart has no argument 'minutes'"):
            await gateway.fault("restart", minutes=2)

    @pytest.mark.parametrize("times", ["inf", 2, "3.0"])
    async def test_times_are_integers_or_endless(self, gateway, times) -> None:
        await gateway.fault("drop_message", "execDetails", times)
        assert list(gateway.seen.faults) == ["drop_message"]

    async def test_an_argument_given_in_order_and_by_name(self, gateway) -> None:
        with pytest.raises(FaultError, match=r"restart: SECONDS is given twice, write: restart \[SECONDS=2.0\]"):
            await gateway.fault("restart", 2, seconds=3)

    async def test_a_port_that_another_program_has(self, gateway) -> None:
        with socket.create_server(("127.0.0.1", 0)) as other:
            port = other.getsockname()[1]
            with pytest.raises(FaultError, match=rf"cannot listen on port {port}: .*; choose another"):
                await gateway.fault("change_port", port)
        assert gateway.is_listening
        await gateway.fault("change_port", port)
        assert gateway.port == port

    async def test_a_farm_that_only_the_users_instruments_have(self, tmp_path) -> None:
        entry = 'symbol = "X"\nsec_type = "STK"\ncon_id = 1\nprice = 10.0\nfarm = "ownfarm"\n'
        (file := tmp_path / "own.toml").write_text(f"[[instrument]]\n{entry}")
        async with Gateway(instruments=file) as gateway:
            await gateway.fault("break_farm", "ownfarm")
            with pytest.raises(FaultError, match=r"known: .*ownfarm"):
                await gateway.fault("break_farm", "nofarm")
