"""Policy: the design's numbers, and the refusal of values that cannot work."""

import math
from dataclasses import FrozenInstanceError, fields
from datetime import UTC, datetime
from zoneinfo import ZoneInfo

import pytest

from ibkr.core.errors import ConfigError
from ibkr.core.policy import Policy

NUMBERS = [field.name for field in fields(Policy) if type(field.default) in (int, float)]


def test_the_numbers_of_the_design():
    policy = Policy()
    assert (policy.connect_attempts, policy.connect_pause) == (3, 1.0)
    assert (policy.close_grace, policy.disconnect_grace) == (0.05, 0.5)
    assert (policy.refused_every, policy.refused_every_later, policy.later_after) == (0.25, 1.0, 600.0)
    assert (policy.closed_every, policy.closed_every_later) == (0.5, 2.0)
    assert (policy.backoff_first, policy.backoff_cap, policy.jitter) == (1.0, 10.0, 0.1)
    assert policy.syn_timeout == 2.0
    assert (policy.client_id_every, policy.client_id_every_later, policy.client_id_every_last) == (0.25, 1.0, 5.0)
    assert (policy.client_id_later_after, policy.client_id_last_after, policy.client_id_grace) == (5.0, 65.0, 60.0)
    assert (policy.flap_limit, policy.flap_window, policy.flap_pause) == (20, 60.0, 1.0)
    assert (policy.probe_after, policy.suspect_after, policy.probe_timeout) == (5.0, 1.0, 5.0)
    assert (policy.request_timeout, policy.upstream_grace, policy.restore_grace) == (10.0, 0.25, 0.25)
    assert (policy.stream_silence, policy.stream_silence_factor) == (5.0, 5.0)
    assert (policy.stream_history, policy.stream_ticks) == (300.0, 10)
    assert (policy.suspend_jump, policy.loop_block_warning) == (5.0, 1.0)
    assert (policy.required_farms, policy.maintenance, policy.daily_restart) == ((), (), "")


def test_it_is_frozen():
    with pytest.raises(FrozenInstanceError):
        Policy().jitter = 0.5


@pytest.mark.parametrize("bad", [0, -1])
def test_every_number_must_be_greater_than_nothing(bad):
    for name in set(NUMBERS) - {"jitter", "read_only_every", "order_ack_after"}:
        with pytest.raises(ConfigError) as caught:
            Policy(**{name: bad})
        assert (caught.value.key, caught.value.value) == (f"ibkr.{name}", bad)
        assert caught.value.cure == "must be greater than 0"


@pytest.mark.parametrize("bad", ["5", None, True, math.inf, math.nan])
def test_every_number_must_be_one(bad):
    for name in NUMBERS:
        with pytest.raises(ConfigError) as caught:
            Policy(**{name: bad})
        assert caught.value.key == f"ibkr.{name}"
        assert caught.value.value is bad
        assert "number" in caught.value.cure


@pytest.mark.parametrize("name", ["connect_attempts", "flap_limit"])
def test_what_is_counted_is_whole(name):
    with pytest.raises(ConfigError, match="must be a whole number"):
        Policy(**{name: 2.5})


def test_read_only_every_may_be_never():
    assert Policy(read_only_every=0).read_only_every == 0
    with pytest.raises(ConfigError, match="or 0 for never"):
        Policy(read_only_every=-1)


@pytest.mark.parametrize("bad", [-0.1, 1, 1.5])
def test_jitter_is_a_share(bad):
    with pytest.raises(ConfigError, match="must be from 0 to below 1"):
        Policy(jitter=bad)


def test_no_jitter_is_a_choice():
    assert Policy(jitter=0).jitter == 0


@pytest.mark.parametrize(("name", "value"), [("loop_block_warning", 0.4), ("suspend_jump", 0.5)])
def test_what_could_not_be_noticed_is_refused(name, value):
    with pytest.raises(ConfigError, match=f"{name}.*or more"):
        Policy(**{name: value})


def test_of_two_numbers_that_do_not_fit_the_one_that_was_set_is_named():
    with pytest.raises(ConfigError, match=r"ibkr\.probe_timeout = 0.5: must not be shorter than suspect_after \(1.0\)"):
        Policy(probe_timeout=0.5)


def test_a_session_is_suspect_before_it_is_dead():
    with pytest.raises(ConfigError, match="suspect_after"):
        Policy(suspect_after=2.0, probe_timeout=1.0)
    assert Policy(suspect_after=1.0, probe_timeout=1.0)


@pytest.mark.parametrize("bad", ["usfarm", None, ("usfarm", 1), 7, ["usfarm"]])
def test_required_farms_are_names(bad):
    with pytest.raises(ConfigError, match=r"required_farms.*names of data farms"):
        Policy(required_farms=bad)


def test_required_farms_may_be_any_tuple_of_names():
    assert Policy(required_farms=("usfarm", "ushmds")).required_farms == ("usfarm", "ushmds")


@pytest.mark.parametrize("bad", ["nightly", ["nightly"], (1,), None])
def test_maintenance_windows_are_texts(bad):
    with pytest.raises(ConfigError, match=r"maintenance.*windows, such as"):
        Policy(maintenance=bad)


@pytest.mark.parametrize("name", ["region", "daily_restart", "missing_subscriptions"])
def test_region_and_daily_restart_are_text(name):
    with pytest.raises(ConfigError, match=f"{name}.*must be text"):
        Policy(**{name: 7})


def test_the_region_is_one_of_those_that_have_a_calendar():
    with pytest.raises(ConfigError, match=r"region = 'mars': must be one of america, europe, asia, none"):
        Policy(region="mars")


def test_what_a_missing_subscription_does_is_one_of_two():
    assert Policy().missing_subscriptions == "degrade"
    assert Policy(missing_subscriptions="report").missing_subscriptions == "report"
    with pytest.raises(ConfigError, match=r"missing_subscriptions = 'ignore': must be degrade or report"):
        Policy(missing_subscriptions="ignore")


def test_its_calendar_knows_the_region_and_the_windows_of_your_own():
    saturday = datetime(2026, 11, 21, 2, 30, tzinfo=UTC)
    mine = Policy(region="none", maintenance=("backup: Sat 02:00-03:30 Europe/London",)).calendar(ZoneInfo)
    window, holds_until = mine.window_at(saturday)
    assert window is not None
    assert window.name == "backup"
    assert holds_until == datetime(2026, 11, 21, 3, 30, tzinfo=UTC)
    assert Policy(region="none").calendar(ZoneInfo).window_at(saturday)[0] is None


@pytest.mark.parametrize("bad", [0, 1, "true", None])
def test_a_switch_is_true_or_false(bad):
    with pytest.raises(ConfigError, match="must be true or false"):
        Policy(require_positions=bad)
