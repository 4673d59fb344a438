"""The named data farms, each with its own state; the required farms."""

import pytest

from ibkr.core import effects as do
from ibkr.core.states import ConnectionState as S
from ibkr.core.states import FarmState, Feed
from tests.core.rig import TEXTS


@pytest.mark.parametrize(
    ("code", "state"),
    [
        (2103, FarmState.BROKEN),
        (2104, FarmState.OK),
        (2105, FarmState.BROKEN),
        (2106, FarmState.OK),
        (2107, FarmState.INACTIVE),
        (2108, FarmState.INACTIVE),
        (2119, FarmState.CONNECTING),
        (2157, FarmState.BROKEN),
        (2158, FarmState.OK),
    ],
)
def test_each_farm_has_its_own_state(ready, code, state):
    ready.code(code, "cashfarm")
    assert dict(ready.status.farms) == {"usfarm": FarmState.OK, "cashfarm": state}
    assert (ready.state, ready.status.may_trade) == (S.READY, True)
    assert len(ready.published) == 1


def test_the_notices_of_one_packet_are_reported_at_once_and_the_last_word_of_each_farm_counts(ready):
    told = ((2103, "usfarm"), (2119, "eufarm"), (2104, "usfarm"))
    ready.farms(*((code, TEXTS[code].format(farm)) for code, farm in told))
    assert dict(ready.status.farms) == {"usfarm": FarmState.OK, "eufarm": FarmState.CONNECTING}
    assert len(ready.published) == 1


def test_a_notice_that_names_no_farm_changes_none(ready):
    ready.code(2103, text="Market data farm connection is broken")
    assert dict(ready.status.farms) == {"usfarm": FarmState.OK}
    assert ready.published == []


def test_the_list_of_1102_replaces_ours(ready):
    ready.code(2103, "eufarm")
    ready.code(1102, text="... restored - data maintained. All data farms are connected: usfuture; ushmds.")
    assert dict(ready.status.farms) == {"usfuture": FarmState.OK, "ushmds": FarmState.OK}
    ready.code(1102)
    assert dict(ready.status.farms) == {"usfuture": FarmState.OK, "ushmds": FarmState.OK}


LISTS = (
    "... restored. The following farms are connected: usfarm.nj; secdefil. The following farms are not connected: {}."
)


@pytest.mark.parametrize("code", [1101, 1102])
def test_a_farm_that_is_listed_as_not_connected_is_broken(new_rig, code):
    rig = new_rig(required_farms=("ushmds",))
    rig.connect()
    rig.come_up()
    rig.code(2106, "ushmds")
    rig.code(2103, "usfarm.nj")
    rig.code(1100)
    rig.code(code, text=LISTS.format("ushmds"))
    rig.answer()
    states = {"usfarm.nj": FarmState.OK, "secdefil": FarmState.OK, "ushmds": FarmState.BROKEN}
    assert dict(rig.status.farms) == states
    assert (rig.state, rig.status.reason) == (S.DEGRADED, "required data farm broken: ushmds")
    rig.code(2106, "ushmds")
    assert rig.state is S.READY


def test_no_farm_is_connected(ready):
    ready.code(1102, text="The following farms are not connected: usfarm; ushmds.")
    ready.answer()
    assert set(ready.status.farms.values()) == {FarmState.BROKEN}
    many = "; ".join(f"farm{number}" for number in range(300))
    ready.code(1102, text=LISTS.format(many))
    assert len(ready.status.farms) == 64


def test_streams_of_a_farm_that_1102_lists_as_not_connected_are_looked_for_when_it_is_back(ready):
    ready.code(2105, "ushmds")
    ready.advance(1)
    ready.code(1100)
    ready.advance(1)
    ready.code(1102, text=LISTS.format("ushmds; usfarm"))
    ready.answer()
    ready.forget()
    ready.code(2106, "ushmds")
    ready.code(2104, "usfarm")
    looked = [each for each in ready.orders if isinstance(each, do.FindActiveStreams)]
    assert looked == [
        do.FindActiveStreams(1, Feed.HISTORY, 1000.0, "ushmds"),
        do.FindActiveStreams(1, Feed.MARKET, 1001.0, "usfarm"),
    ]


def test_a_published_status_is_not_altered_by_later_notices(ready):
    ready.code(2103, "cashfarm")
    shown = ready.published[-1]
    ready.code(2104, "cashfarm")
    assert shown.farms["cashfarm"] is FarmState.BROKEN
    with pytest.raises(TypeError):
        shown.farms["cashfarm"] = FarmState.OK


@pytest.mark.parametrize("code", [2107, 2108, 2119])
def test_a_required_farm_that_sleeps_or_connects_is_not_broken(new_rig, code):
    rig = new_rig(required_farms=("usfarm",))
    rig.connect()
    rig.come_up()
    rig.code(code, "usfarm")
    assert rig.state is S.READY


def test_a_required_farm_broken_degrades_and_is_named(new_rig):
    rig = new_rig(required_farms=("usfarm", "ushmds"))
    rig.connect()
    rig.come_up()
    assert (rig.state, rig.status.may_trade) == (S.DEGRADED, True)
    assert rig.status.reason == "the gateway does not name the required data farm ushmds"
    rig.code(2106, "ushmds")
    rig.code(2103, "eufarm")
    assert (rig.state, rig.status.reason) == (S.READY, "session and upstream up; data farm broken: eufarm")
    rig.code(2103, "usfarm")
    rig.code(2105, "ushmds")
    assert (rig.state, rig.status.may_trade) == (S.DEGRADED, True)
    assert rig.status.reason == "required data farm broken: usfarm, ushmds"
    rig.code(2104, "usfarm")
    rig.code(2107, "ushmds")
    assert rig.state is S.READY


def test_all_that_lacks_is_named(new_rig):
    rig = new_rig(required_farms=("usfarm",))
    rig.connect()
    rig.open_session()
    rig.code(2103, "usfarm")
    rig.answer(*[name for name in rig.names if name != "account updates"])
    rig.answers_probes = True
    rig.advance(20)
    rig.moved(0, "AAPL (354)")
    assert rig.status.reason == (
        "start-up requests without an answer: account updates; subscriptions refused: AAPL (354);"
        " required data farm broken: usfarm"
    )


def test_missing_subscriptions_may_be_reported_only(new_rig):
    rig = new_rig(missing_subscriptions="report")
    rig.connect()
    rig.come_up()
    rig.moved(0, "AAPL (354)")
    assert (rig.state, rig.status.may_trade) == (S.READY, True)
    assert rig.status.reason.endswith("subscriptions refused: AAPL (354)")
