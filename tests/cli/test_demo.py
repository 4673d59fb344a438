"""``ibkr demo`` as a process. Failures that a process cannot show are tested with the demo runner itself."""

import asyncio
import json
import re
import signal
import sys
from dataclasses import replace

import pytest
import typer

from ibkr.cli import demo_command
from ibkr.cli.demo_cases import CASES, CLIENT_ID, POLICY, TIMEOUT, DemoCase
from ibkr.cli.demo_runner import CaseResult, DemoRunner
from ibkr.connector import IBConnector
from ibkr.simulator import FAULTS, ThreadedGateway
from ibkr.simulator.faults.fault_registry import find_fault

NOT_PLAYED = {
    "clock_off": "no connection notices",
    "delay_message": "no connection notices",
    "deny_market_data": "a matter of the login, not of the connection",
    "duplicate_message": "no connection notices",
    "end_read_only": "ends another fault; the demo resets instead",
    "extra_separators": "no connection notices",
    "late_executions": "about orders, and the demo places none",
    "limit_rate": "a connector that keeps the limit does not notice",
    "merge_frames": "no connection notices",
    "nightly_reset": "made of others",
    "note_new_orders": "about orders, and the demo places none",
    "note_orders": "about orders, and the demo places none",
    "refuse_cancels": "about orders, and the demo places none",
    "refuse_changes": "about orders, and the demo places none",
    "reject_orders": "about orders, and the demo places none",
    "roll_back_order_id": "no connection notices",
    "slow": "no connection notices",
    "split_frames": "no connection notices",
    "time_zone": "no connection notices",
    "web_server": "to a connection the same as silent",
}


def test_every_simulator_fault_is_played():
    calls = [call[0] for case in CASES for call in (*case.start_calls, *case.end_calls)]
    assert {find_fault(name).name for name in calls} == set(FAULTS) - set(NOT_PLAYED)
    assert set(NOT_PLAYED) <= set(FAULTS)


def test_keys_are_unique_and_titles_fit_the_table():
    assert len({case.key for case in CASES}) == len(CASES)
    assert max(len(case.title) for case in CASES) <= 41


@pytest.mark.rest
@pytest.mark.timeout(150)
def test_the_complete_demo(ibkr):
    done = ibkr("demo")
    assert done.returncode == 0, done.stderr
    for case in CASES:
        assert case.title in done.stdout
        assert f"  {case.key}: {case.title}\n" in done.stderr
    assert "never" not in done.stdout
    count = len(CASES)
    assert f"Recovered from {count} of {count} faults" in done.stderr
    assert done.stderr.count("✓ recovered") == count
    assert done.stdout.count("✓") == count
    assert max(map(len, (done.stdout + done.stderr).splitlines())) <= 80
    played = re.split(r"^ *\d+/\d+  (\w+): ", done.stderr, flags=re.MULTILINE)[1:]
    refused = {key for key, text in zip(played[::2], played[1::2], strict=True) if "connection refused" in text}
    assert refused <= {"restart", "1300"}, "no case shows effects of another case"
    last = (done.stdout + done.stderr.splitlines()[-1]).splitlines()[-29:]
    assert any("noticed" in line and "ticking" in line for line in last), "headings on a screen of 30 lines"
    assert "\x1b" not in done.stdout + done.stderr


def test_some_faults_as_json(ibkr):
    done = ibkr("demo", "--json", "1101", "reset")
    assert done.returncode == 0, done.stderr
    reset, lost = json.loads(done.stdout)
    assert (reset["fault"], reset["lasted"], reset["recovered"]) == ("reset", None, True)
    assert lost["fault"] == "1101"
    assert lost["lasted"] >= 1.0
    assert lost["recovered"]
    assert None not in (lost["ready_after"], lost["ticking_after"])


def test_an_unknown_fault_is_wrong_usage(ibkr):
    done = ibkr("demo", "resett")
    assert (done.returncode, done.stdout) == (2, "")
    assert "did you mean 'reset'?" in done.stderr


class RecordingListener:
    """A listener that records what happens in the demo."""

    def __init__(self) -> None:
        self.actions: list[str] = []
        self.states: list[str] = []
        self.results: list[bool] = []
        self.ticks = 0

    def on_case(self, number, case):
        self.states.clear()

    def on_action(self, seconds, text):
        self.actions.append(text)

    def on_status(self, seconds, status):
        self.states.append(status.state)

    def on_tick(self, seconds, price):
        self.ticks += 1

    def on_result(self, result):
        self.results.append(result.recovered)


@pytest.fixture
def policy():
    return POLICY


@pytest.fixture
async def runner(policy):
    listener = RecordingListener()
    with ThreadedGateway(id_hold=0) as gateway:
        connector = IBConnector(gateway.host, gateway.port, CLIENT_ID, TIMEOUT, policy=policy)
        runner = DemoRunner(gateway, connector, listener, limit=1.0)
        try:
            await runner.set_up()
            yield runner, listener
        finally:
            await runner.tear_down()
            # The demo runner calls the gateway in the threads of this executor. Without this call, these threads would
            # end only with the loop.
            await asyncio.get_running_loop().shutdown_default_executor()


async def test_an_unnoticed_fault_is_reported(runner):
    runner, _ = runner
    result = await runner.play(1, DemoCase("none", "nothing", ()))
    assert result == CaseResult("none")
    assert not result.recovered


async def test_a_missing_recovery_is_reported_and_the_next_case_runs(runner):
    runner, listener = runner
    result = await runner.play(1, DemoCase("lasting", "a fault without an end", (("http",), ("reset",))))
    assert result.noticed_after is not None
    assert (result.ready_after, result.ticking_after, result.recovered) == (None, None, False)
    result = await runner.play(2, DemoCase("reset", "the next one", (("reset",),)))
    assert result.recovered
    assert listener.states[-1] == "READY"


@pytest.mark.parametrize("policy", [replace(POLICY, required_farms=())])
async def test_a_subscription_that_does_not_tick_is_not_recovered(runner):
    runner, listener = runner
    result = await runner.play(1, DemoCase("farm", "no ticks", (("break_farm", "usfarm"), ("reset",))))
    assert result.ready_after is not None
    assert (result.ticking_after, result.recovered) == (None, False)
    assert listener.ticks == 0


async def test_ready_during_the_fault_does_not_count(runner):
    runner, _ = runner
    twice = DemoCase("twice", "reset, and once more", (("reset",),), hold=0.3, end_calls=(("reset",),))
    result = await runner.play(1, twice)
    assert result.recovered
    assert result.ready_after is not None
    assert result.ready_after >= 0, "counted from the end of the fault"


def test_a_missing_recovery_exits_with_1_and_names_the_fault(monkeypatch, capsys):
    async def play(cases, output, results):
        results.append(CaseResult("lasting", noticed_after=0.1))
        return 7

    monkeypatch.setattr(demo_command, "CASES", (DemoCase("lasting", "without an end", (("http",),)),))
    monkeypatch.setattr(demo_command, "_play", play)
    with pytest.raises(typer.Exit) as caught:
        demo_command.demo()
    assert caught.value.exit_code == 1
    shown = capsys.readouterr()
    assert shown.out.split("without an end")[1].split()[:4] == ["0.100", "-", "never", "never"]
    assert "Recovered from 0 of 1 faults; not from: lasting." in shown.err


@pytest.mark.skipif(sys.platform == "win32", reason="a process there gets no Ctrl-C of its own")
def test_ctrl_c_shows_the_results_so_far(start):
    process = start("demo", "reset", "close", "restart")
    for line in process.stderr:
        if " 2/3  close" in line:
            break
    process.send_signal(signal.SIGINT)
    shown, said = process.communicate(timeout=30)
    assert process.returncode == 130
    assert "connection reset by the network" in shown
    assert "gateway restarts" not in shown
    assert "Stopped after" in said
    assert "Traceback" not in said


def test_a_terminal_without_unicode_gets_words(ibkr):
    done = ibkr("demo", "reset", PYTHONIOENCODING="ascii")
    assert done.returncode == 0, done.stderr
    assert "ok recovered" in done.stderr
    assert "ok" in done.stdout
