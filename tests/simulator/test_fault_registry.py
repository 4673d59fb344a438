"""The faults by name: documented, called, and called wrongly."""

import pytest

from ibkr.simulator import FAULTS, FaultError


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
            (("restart", "soon"), "SECONDS is of kind float, not 'soon'; write: restart [SECONDS=2.0]"),
            (("restart", -1), "seconds from 0 are needed"),
            (("restart", "nan"), "seconds from 0 are needed"),
            (("reset", 1), "reset: too many arguments, write: reset"),
            (("occupy_client_id",), "CLIENT_ID is missing"),
            (("occupy_client_id", 1.5), "CLIENT_ID is of kind int, not 1.5"),
            (("mute", "reqPosition"), "perhaps: reqPositions"),
            (("lose_upstream", 0), "repeats from 1"),
            (("delay",), "SECONDS is missing, write: delay SECONDS"),
        ],
    )
    async def test_wrong_calls_say_what_to_write(self, gateway, call, words: str) -> None:
        with pytest.raises(FaultError) as caught:
            await gateway.fault(*call)
        assert words in str(caught.value)
        assert not gateway.seen.faults
        assert gateway.is_listening

    async def test_an_unknown_named_argument(self, gateway) -> None:
        with pytest.raises(FaultError, match="restart has no argument 'minutes'"):
            await gateway.fault("restart", minutes=2)
