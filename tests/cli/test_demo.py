"""``ibkr demo``: by its process, and its stage where the process cannot be made to fail."""

import asyncio
import json
from dataclasses import replace

import pytest
import typer

from ibkr.cli import demo
from ibkr.cli.scenes import CLIENT_ID, POLICY, SCENES, TIMEOUT, Scene
from ibkr.cli.stage import Outcome, Stage
from ibkr.connector import IBConnector
from ibkr.simulator import FAULTS, ThreadedGateway
from ibkr.simulator.faults.registry import find_fault

NOT_PLAYED = {
    "clock_off": "no connection notices",
    "delay_message": "no connection notices",
    "deny_market_data": "a matter of the login, not of the connection",
    "duplicate_message": "no connection notices",
    "end_read_only": "ends another one; the demo resets instead",
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


def test_every_fault_that_the_simulator_has_is_played():
    calls = [call[0] for scene in SCENES for call in (*scene.begins, *scene.ends)]
    assert {find_fault(name).name for name in calls} == set(FAULTS) - set(NOT_PLAYED)
    assert set(NOT_PLAYED) <= set(FAULTS)


def test_keys_are_unique_and_titles_fit_the_table():
    assert len({scene.key for scene in SCENES}) == len(SCENES)
    assert max(len(scene.title) for scene in SCENES) <= 41


@pytest.mark.slow
@pytest.mark.timeout(150)
def test_the_whole_demo(ibkr):
    done = ibkr("demo")
    assert done.returncode == 0, done.stderr
    for scene in SCENES:
        assert scene.title in done.stdout
        assert f"  {scene.key}: {scene.title}\n" in done.stderr
    assert "never" not in done.stdout
    count = len(SCENES)
    assert f"Recovered from {count} of {count} faults" in done.stderr
    assert max(map(len, (done.stdout + done.stderr).splitlines())) <= 80
    assert "\x1b" not in done.stdout + done.stderr


def test_some_faults_as_json(ibkr):
    done = ibkr("demo", "--json", "1101", "reset")
    assert done.returncode == 0, done.stderr
    reset, lost = json.loads(done.stdout)
    assert (reset["fault"], reset["lasted"], reset["recovered"]) == ("reset", None, True)
    assert lost["fault"] == "1101"
    assert lost["lasted"] >= 1.0
    assert 0 <= lost["ready_after"] <= lost["ticking_after"]


def test_an_unknown_fault_is_wrong_usage(ibkr):
    done = ibkr("demo", "resett")
    assert (done.returncode, done.stdout) == (2, "")
    assert "did you mean 'reset'?" in done.stderr


class Notes:
    """An audience that keeps what it is told."""

    def __init__(self) -> None:
        self.acts: list[str] = []
        self.states: list[str] = []
        self.ticks = 0

    def scene(self, number, scene):
        self.states.clear()

    def act(self, seconds, what):
        self.acts.append(what)

    def status(self, seconds, status):
        self.states.append(status.state)

    def tick(self, seconds, price):
        self.ticks += 1


@pytest.fixture
def policy():
    return POLICY


@pytest.fixture
async def stage(policy):
    notes = Notes()
    with ThreadedGateway(id_hold=0) as gateway:
        connector = IBConnector(gateway.host, gateway.port, CLIENT_ID, TIMEOUT, policy=policy)
        stage = Stage(gateway, connector, notes, limit=1.0)
        try:
            await stage.set_up()
            yield stage, notes
        finally:
            await stage.tear_down()
            # The stage talks to the gateway by way of these threads, which live as long as the loop.
            await asyncio.get_running_loop().shutdown_default_executor()


async def test_what_goes_unnoticed_is_said_to_be(stage):
    stage, _ = stage
    outcome = await stage.play(1, Scene("none", "nothing", ()))
    assert outcome == Outcome("none")
    assert not outcome.recovered


async def test_what_does_not_recover_is_said_so_and_the_next_scene_can_be_played(stage):
    stage, notes = stage
    outcome = await stage.play(1, Scene("lasting", "a fault without an end", (("http",), ("reset",))))
    assert outcome.noticed_after is not None
    assert (outcome.ready_after, outcome.ticking_after, outcome.recovered) == (None, None, False)
    outcome = await stage.play(2, Scene("reset", "the next one", (("reset",),)))
    assert outcome.recovered
    assert notes.states[-1] == "READY"


@pytest.mark.parametrize("policy", [replace(POLICY, required_farms=())])
async def test_a_subscription_that_does_not_tick_is_not_recovered(stage):
    stage, notes = stage
    outcome = await stage.play(1, Scene("farm", "no ticks", (("break_farm", "usfarm"), ("reset",))))
    assert outcome.ready_after is not None
    assert (outcome.ticking_after, outcome.recovered) == (None, False)
    assert notes.ticks == 0


async def test_what_was_ready_while_the_fault_lasted_does_not_count(stage):
    stage, _ = stage
    twice = Scene("twice", "reset, and once more", (("reset",),), hold=0.3, ends=(("reset",),))
    outcome = await stage.play(1, twice)
    assert outcome.recovered
    assert outcome.ready_after >= 0


def test_a_demo_that_did_not_recover_exits_1_and_says_which(monkeypatch, capsys):
    async def play(chosen, playbill):
        return [Outcome("lasting", noticed_after=0.1)], 7

    monkeypatch.setattr(demo, "SCENES", (Scene("lasting", "without an end", (("http",),)),))
    monkeypatch.setattr(demo, "_play", play)
    with pytest.raises(typer.Exit) as caught:
        demo.demo()
    assert caught.value.exit_code == 1
    shown = capsys.readouterr()
    assert shown.out.split("without an end")[1].split()[:4] == ["0.100", "-", "never", "never"]
    assert "Recovered from 0 of 1 faults; not from: lasting." in shown.err
