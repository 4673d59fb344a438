"""Metrics as a scraper reads them."""

import re
from pathlib import Path

import pytest
from prometheus_client.openmetrics.parser import text_string_to_metric_families as parse_open
from prometheus_client.parser import text_string_to_metric_families as parse

from ibkr.core.states import ConnectionState as S
from ibkr.core.states import FarmState
from ibkr.core.stats import Stats, SubscriptionCounts
from ibkr.observe.metrics import Metrics
from ibkr.observe.sink import Relay

DOC = Path(__file__).parents[2] / "docs" / "serve.md"
NAMES = {
    "ibkr_state": "gauge",
    "ibkr_state_seconds": "counter",
    "ibkr_may_trade": "gauge",
    "ibkr_outages": "counter",
    "ibkr_recovery_seconds": "histogram",
    "ibkr_probe_round_trip_seconds": "histogram",
    "ibkr_connection_attempts": "counter",
    "ibkr_received_messages": "counter",
    "ibkr_sent_messages": "counter",
    "ibkr_received_bytes": "counter",
    "ibkr_sent_bytes": "counter",
    "ibkr_subscriptions": "gauge",
    "ibkr_farm_up": "gauge",
    "ibkr_gateway_state": "gauge",
    "ibkr_gateway_restarts": "gauge",
    "ibkr_gateway_next_login_timestamp_seconds": "gauge",
    "ibkr_loop_stalls": "counter",
    "ibkr_loop_stall_seconds": "counter",
    "ibkr_sink_dropped": "counter",
    "ibkr_sink_failures": "counter",
}


class Nothing:
    def handle(self, status) -> None: ...

    def close(self) -> None: ...


@pytest.fixture
def rig(at, tell):
    """Metrics, their clock and stats, after a day with one outage."""
    clock, stats = [100.0], [Stats(at(0, S.READY).since)]
    metrics = Metrics(lambda: stats[0], [Relay(Nothing(), name="history")], clock=lambda: clock[0])
    farms = {"usfarm": FarmState.OK, "ushmds": FarmState.INACTIVE, "eufarm": FarmState.BROKEN}
    for seconds, state in (
        (0, S.CONNECTING),
        (2, S.READY),
        (10, S.RECONNECTING),
        (10.5, S.RECONNECTING),
        (12.5, S.SYNCING),
        (13, S.READY),
    ):
        clock[0] = 100.0 + seconds
        tell(metrics, at(seconds, state, farms=farms if state is S.READY else {}))
    clock[0] = 120.0
    stats[0] = Stats(
        at(20, S.READY).since,
        attempts=3,
        subscriptions=SubscriptionCounts(1, 2, 3, 4),
        bytes_in=1000,
        messages_in=10,
        probes=2,
        round_trips=(0.001, 0.003),
        loop_stalls=1,
        loop_stall_seconds=0.75,
    )
    return metrics, stats


def samples(metrics):
    return {
        (sample.name, *sorted(sample.labels.values())): sample.value
        for family in parse(metrics.render()[1].decode())
        for sample in family.samples
    }


def test_values(rig):
    metrics, stats = rig
    got = samples(metrics)
    assert [state for state in S if got["ibkr_state", state] == 1] == ["READY"]
    seconds = {state: got["ibkr_state_seconds_total", state] for state in S}
    assert seconds == {**dict.fromkeys(S, 0), "CONNECTING": 2, "READY": 8 + 7, "RECONNECTING": 2.5, "SYNCING": 0.5}
    assert got["ibkr_outages_total", "session_lost"] == 1
    assert got["ibkr_outages_total", "upstream_lost"] == 0
    assert (got["ibkr_recovery_seconds_count",], got["ibkr_recovery_seconds_sum",]) == (1, 3)
    assert (got["ibkr_recovery_seconds_bucket", "2.5"], got["ibkr_recovery_seconds_bucket", "5.0"]) == (0, 1)
    assert (got["ibkr_may_trade",], got["ibkr_connection_attempts_total",], got["ibkr_received_bytes_total",]) == (
        1,
        3,
        1000,
    )
    assert [got["ibkr_subscriptions", each] for each in ("wanted", "sent", "live", "refused")] == [1, 2, 3, 4]
    assert [got["ibkr_farm_up", farm] for farm in ("usfarm", "ushmds", "eufarm")] == [1, 1, 0]
    assert (got["ibkr_loop_stalls_total",], got["ibkr_loop_stall_seconds_total",]) == (1, 0.75)
    assert got["ibkr_sink_dropped_total", "history"] == got["ibkr_sink_failures_total", "history"] == 0
    assert got["ibkr_probe_round_trip_seconds_count",] == 2
    assert samples(metrics)["ibkr_probe_round_trip_seconds_count",] == 2, "each probe counts once"
    stats[0] = Stats(stats[0].as_of, probes=300, round_trips=(0.5,) * 120)
    assert samples(metrics)["ibkr_probe_round_trip_seconds_count",] == 122


def test_a_farm_that_is_no_longer_told_of_is_not_up(rig, at, tell):
    metrics, _ = rig
    tell(metrics, at(30, S.RECONNECTING))
    assert samples(metrics)["ibkr_farm_up", "usfarm"] == 0


def test_names_types_and_units(rig):
    kind, text = rig[0].render("application/openmetrics-text; version=1.0.0")
    assert kind.startswith("application/openmetrics-text")
    families = {family.name: family for family in parse_open(text.decode())}
    assert {name: family.type for name, family in families.items()} == NAMES
    for name, family in families.items():
        assert family.documentation.endswith("."), name
        base_unit = name.rpartition("_")[2]
        assert family.unit == (base_unit if base_unit in ("seconds", "bytes") else ""), name
    assert rig[0].render()[0].startswith("text/plain")


def test_the_documentation_has_every_metric_with_its_unit(rig):
    rows = dict(re.findall(r"^\| `(ibkr_\w+)`[^|]*\| \w+ \| ([^|]+?) \|", DOC.read_text(encoding="utf-8"), re.M))
    exposed = {name + ("_total" if kind == "counter" else "") for name, kind in NAMES.items()}
    assert set(rows) == exposed
    for name, unit in rows.items():
        if name.removesuffix("_total").rpartition("_")[2] in ("seconds", "bytes"):
            assert unit == name.removesuffix("_total").rpartition("_")[2]
