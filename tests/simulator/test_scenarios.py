"""Scenarios: what a file may contain, the errors for an unusable one, and the times of its steps."""

import asyncio
import logging
import math
import re
from pathlib import Path

import pytest

from ibkr.simulator import FAULTS, Gateway, ScenarioError, load_scenario, shipped_scenarios
from ibkr.simulator.scenarios import scenario as module
from ibkr.simulator.scenarios.scenario import Scenario


@pytest.fixture
def written(tmp_path):
    """Writes a scenario file from the text of its steps, or with ``whole`` from all of its text."""

    def written(steps: str, *, whole: bool = False) -> Path:
        file = tmp_path / "mine.toml"
        file.write_text(steps if whole else f'about = "Mine."\n{steps}', encoding="utf-8")
        return file

    return written


@pytest.fixture
def scenario(written):
    """A scenario of these steps, which all run ``delay`` with their number."""

    def scenario(*triggers: str) -> Scenario:
        steps = [f'[[step]]\n{text}\nfault = "delay"\nargs = [{i}e-9]' for i, text in enumerate(triggers, 1)]
        return load_scenario(written("\n".join(steps)))

    return scenario


class TestFiles:
    def test_all_that_a_step_may_hold(self, written) -> None:
        file = written("""
            [[step]]
            at = 2
            every = 10.5
            fault = "1100"
            args = { repeats = 3 }
            [[step]]
            after = "placeOrder"
            count = 3
            fault = "restart"
            args = [5]
            [[step]]
            when = "reqPositions"
            fault = "reset"
        """)
        scenario = load_scenario(file)
        assert (scenario.name, scenario.about) == ("mine", "Mine.")
        first, second, third = scenario.steps
        assert (first.at, first.every, first.fault.name, first.arguments) == (2, 10.5, "lose_upstream", {"repeats": 3})
        assert (second.after, second.count, second.arguments) == ("placeOrder", 3, {"seconds": 5.0})
        assert (third.when, third.count, third.at, third.every) == ("reqPositions", 1, None, None)
        assert str(second) == f"{file}, step 2: restart"

    @pytest.mark.parametrize(
        ("steps", "words"),
        [
            ('at = 1\nfault = "frezee"', "step 1: fault = 'frezee': no fault 'frezee'; perhaps: freeze"),
            ("at = 1", 'step 1: fault = None: a fault\'s name is needed; write: fault = "reset"'),
            ('fault = "reset"', "at, every, when and after are all missing: write one of them, such as at = 2.5"),
            ('at = 1\nwhen = "reqIds"\nfault = "reset"', "at and when cannot be used together: write only one of at,"),
            ('at = 1\nevery = 1\nwhen = "reqIds"\nfault = "reset"', "at, every and when cannot be used together"),
            ('at = -1\nfault = "reset"', "step 1: at = -1: seconds from 0 are needed; write: at = 2.5"),
            ('at = "soon"\nfault = "reset"', "step 1: at = 'soon': seconds"),
            ('at = inf\nfault = "reset"', "step 1: at = inf: seconds"),
            ('at = true\nfault = "reset"', "step 1: at = True: seconds"),
            ('every = 0\nfault = "reset"', "step 1: every = 0: seconds from 0.001 are needed"),
            ('when = "reqPosition"\nfault = "reset"', "step 1: when = 'reqPosition': no such request; perhaps: reqPos"),
            ('after = 3\nfault = "reset"', "step 1: after = 3: no such request; perhaps: placeOrder"),
            (
                'at = 1\ncount = 3\nfault = "reset"',
                "step 1: count = 3: only steps with when or after count requests",
            ),
            ('when = "reqIds"\ncount = 0\nfault = "reset"', "step 1: count = 0: a number from 1 is needed"),
            (
                'at = 1\nfault = "restart"\nargs = [-1]',
                "step 1: args = [-1]: restart: the value for SECONDS is wrong: seconds from 0 are needed, not -1",
            ),
            ('at = 1\nfault = "restart"\nargs = {hours=1}', "restart has no argument 'hours', write: restart [SECONDS"),
            ('at = 1\nfault = "restart"\nargs = 2', "step 1: args = 2: write: args = [2.5]"),
            (
                'at = 1\nfault = "mute"\nargs = ["reqPosition"]',
                "mute: the value for REQUEST is wrong: no request 'reqPosition'; perhaps: reqPositions",
            ),
            ('att = 1\nfault = "reset"', "step 1: att = 1: no such key; perhaps: at"),
        ],
    )
    def test_a_step_that_cannot_be(self, written, steps: str, words: str) -> None:
        file = written(f"[[step]]\n{steps}")
        with pytest.raises(ScenarioError) as caught:
            load_scenario(file)
        assert str(caught.value).startswith(f"{file}, step 1: ")
        assert words in str(caught.value)

    @pytest.mark.parametrize(
        ("content", "words"),
        [
            ("about", "not TOML: "),
            ('[[step]]\nat = 1\nfault = "reset"', "about: one line that says what it is, not None; write: about"),
            ('about = "x"', "step: at least one is needed, not None; write: [[step]]"),
            ('about = "x"\nstep = [1]', "step 1: a table is needed, not 1"),
            ('about = "x"\nsteps = 1', "steps = 1: no such key; perhaps: step"),
        ],
    )
    def test_a_file_that_cannot_be(self, written, content: str, words: str) -> None:
        file = written(content, whole=True)
        with pytest.raises(ScenarioError) as caught:
            load_scenario(file)
        assert str(caught.value).startswith(str(file))
        assert words in str(caught.value)

    def test_no_file_at_all(self, tmp_path) -> None:
        with pytest.raises(ScenarioError, match=r"wekend: no such scenario, and no file .*; perhaps: weekend"):
            load_scenario("wekend")
        (tmp_path / "latin.toml").write_bytes('about = "é"'.encode("latin-1"))
        with pytest.raises(ScenarioError, match="not UTF-8"):
            load_scenario(tmp_path / "latin.toml")

    def test_the_example_of_the_module_is_one(self, written) -> None:
        example = str(module.__doc__).split("::\n")[1].split("\nEach step")[0]
        assert len(load_scenario(written(example, whole=True)).steps) == 1


class TestTimes:
    async def test_at_and_every(self, gateway: Gateway, scenario) -> None:
        gateway.play(scenario("at = 0.05", "every = 0.02", "at = 0.01\nevery = 1000"))
        began = asyncio.get_running_loop().time()
        await gateway.wait_for(lambda gateway: len(gateway.seen.faults) == 5)
        assert asyncio.get_running_loop().time() - began >= 0.05
        gateway.end_scenario()

    async def test_those_of_the_same_time_come_in_their_order(self, gateway: Gateway, scenario, caplog) -> None:
        caplog.set_level(logging.INFO, "ibkr.simulator")
        gateway.play(scenario(*["at = 0.01"] * 50))
        await gateway.wait_for(lambda gateway: len(gateway.seen.faults) == 50)
        steps = re.findall(r"mine.toml, step (\d+): delay", caplog.text)
        assert steps == [str(number) for number in range(1, 51)]

    async def test_speed_divides_them(self, gateway: Gateway, scenario) -> None:
        gateway.play(scenario("at = 100", "every = 200"), speed=10_000)
        await gateway.wait_for(lambda gateway: len(gateway.seen.faults) == 3)
        gateway.end_scenario()
        with pytest.raises(ValueError, match="speed: more than 0 is needed, not 0"):
            gateway.play(scenario("at = 1"), speed=0)

    async def test_a_name_is_no_scenario(self, gateway: Gateway) -> None:
        with pytest.raises(TypeError, match=r"write load_scenario\('nightly-reset'\)"):
            gateway.play("nightly-reset")  # type: ignore[arg-type]

    async def test_another_takes_its_place(self, gateway: Gateway, scenario) -> None:
        gateway.play(scenario("every = 0.001"))
        gateway.play(scenario("at = 1000", "at = 0.03"))
        await gateway.wait_for(lambda gateway: gateway.seen.faults)
        assert list(gateway.seen.faults) == ["delay"]


class TestRequests:
    async def test_when_is_before_the_answer_and_after_is_after_it(self, gateway: Gateway, connect, written) -> None:
        client = await connect(gateway.port, 1)
        steps = '[[step]]\n{} = "reqCurrentTime"\nfault = "break_farm"'
        for trigger, order in (("when", ["4", "49"]), ("after", ["49", "4"])):
            gateway.play(load_scenario(written(steps.format(trigger))))
            client.send(49, 1)
            assert [(await client.receive())[0] for _ in range(2)] == order

    async def test_the_third_is_counted_by_each_step_on_its_own(self, gateway: Gateway, connect, scenario) -> None:
        client = await connect(gateway.port, 1)
        gateway.play(scenario(*[f'when = "reqCurrentTime"\ncount = {count}' for count in (3, 1, 3)]))
        seen = []
        for _ in range(4):
            await client.caught_up()
            seen.append(len(gateway.seen.faults))
        assert seen == [1, 1, 3, 3]

    async def test_a_step_that_this_gateway_cannot_carry_out_is_reported_and_hurts_nobody(
        self, gateway: Gateway, connect, written, caplog
    ) -> None:
        client = await connect(gateway.port, 1)
        step = '[[step]]\nwhen = "reqCurrentTime"\nfault = "break_farm"\nargs = ["nofarm"]'
        gateway.play(load_scenario(written(step)))
        client.send(49, 1)
        assert (await client.receive())[0] == "49"
        assert "step 1: break_farm: the value for FARM is wrong: no farm 'nofarm'; known: " in caplog.text

    async def test_once_it_is_over_nothing_comes(self, gateway: Gateway, connect, scenario) -> None:
        client = await connect(gateway.port, 1)
        gateway.play(scenario('when = "reqCurrentTime"', 'after = "reqCurrentTime"'))
        gateway.end_scenario()
        await client.caught_up()
        assert not gateway.seen.faults


class TestShipped:
    def test_each_says_in_one_line_what_it_is(self) -> None:
        for item in shipped_scenarios():
            assert 20 <= len(item.about) <= 120
            assert "\n" not in item.about

    @pytest.mark.parametrize("name", [item.name for item in shipped_scenarios()])
    async def test_each_plays_to_its_end_and_leaves_a_gateway_that_serves(self, connect, name: str) -> None:
        async with Gateway() as gateway:
            await connect(gateway.port, 1)
            scenario = load_scenario(name)
            gateway.play(scenario, speed=100)
            steps = [step.fault.name for step in scenario.steps]
            await gateway.wait_for(lambda gateway: set(gateway.seen.faults) >= set(steps))
            if not any(step.every for step in scenario.steps):
                assert list(gateway.seen.faults) == steps
            gateway.end_scenario()
            await gateway.fault("clear")
            await connect(gateway.port, 2)

    async def test_the_nightly_reset_is_the_trace(self, gateway: Gateway, connect) -> None:
        client = await connect(gateway.port, 1)
        gateway.play(load_scenario("nightly-reset"), speed=100)
        codes = [(await client.error())[1] for _ in range(12)]
        assert codes == [2103, 2104, *[1100] * 5, 2103, 2103, 1102, 2104, 2104]

    def test_scaled_arguments_what_lasts_lasts_shorter_and_nothing_else_changes(self) -> None:
        assert FAULTS["restart"].scaled_arguments({}, 4) == {"seconds": 0.5}
        assert FAULTS["restart"].scaled_arguments({"seconds": 20.0}, 10) == {"seconds": 2.0}
        assert FAULTS["clock_off"].scaled_arguments({"seconds": 20.0}, 10) == {"seconds": 20.0}
        assert FAULTS["lose_upstream"].scaled_arguments({"repeats": 3}, 2) == {"repeats": 3, "interval": 1.0}
        assert FAULTS["occupy_client_id"].scaled_arguments({"client_id": 3}, 2) == {"client_id": 3, "seconds": math.inf}


class TestReset:
    async def test_all_is_as_new_on_the_same_port(self, gateway: Gateway, connect, scenario) -> None:
        port, first = gateway.port, await connect(gateway.port, 7)
        first.subscribe(5)
        before = await first.until(1, "5")
        gateway.play(scenario("every = 0.001"))
        for fault in (("freeze",), ("occupy_client_id", 9), ("change_port",), ("restart", 1000), ("silent",)):
            await gateway.fault(*fault)
        gateway.on_received("reqCurrentTime", lambda gateway: gateway.faults.reset())
        await gateway.reset()
        await first.ended()
        assert (gateway.port, gateway.is_listening, gateway.client_ids) == (port, True, [])
        assert (gateway.seen.connects, len(gateway.seen.faults)) == (0, 0)
        again = await connect(port, 9)
        await again.caught_up()
        again.subscribe(5)
        assert (await again.until(1, "5"))[-1] == before[-1], "the market begins anew"
