"""Metrics for Prometheus (extra ``serve``), with names and units by its conventions. docs/serve.md lists them."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any, TypeVar

from prometheus_client import CollectorRegistry, Histogram
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.exposition import choose_encoder

from ibkr.core.gateway_status import GatewayState
from ibkr.core.outage import OutageCause, Outcome
from ibkr.core.states import ConnectionState, FarmState
from ibkr.core.stats import Stats
from ibkr.core.status import Status
from ibkr.core.subscription_info import SubscriptionState
from ibkr.observe.outage_tracker import OutageTracker
from ibkr.observe.sink import Relay

_RECOVERY = (0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0, 300.0, 900.0, 3600.0)
_ROUND_TRIP = (0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0)


_Family = TypeVar("_Family", CounterMetricFamily, GaugeMetricFamily)


class Metrics:
    """A sink that counts. It works in memory, so it needs no relay. Call all methods in the connector's thread.

    Args:
        stats: Returns the stats of the connector.
        relays: The sinks whose lost statuses are shown.
        clock: A monotonic clock, in seconds.
    """

    def __init__(
        self,
        stats: Callable[[], Stats],
        relays: Iterable[Relay] = (),
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._stats = stats
        self._relays = tuple(relays)
        self._clock = clock
        self._status: Status | None = None
        self._state = ConnectionState.DISCONNECTED
        self._since = clock()
        self._seconds = dict.fromkeys(ConnectionState, 0.0)
        self._tracker = OutageTracker()
        self._outages = dict.fromkeys(OutageCause, 0)
        self._outage_since = 0.0
        self._farms: set[str] = set()
        self._probes = 0
        self._registry = CollectorRegistry()
        self._recovery = Histogram(
            "ibkr_recovery_seconds",
            "From READY lost to READY again.",
            unit="seconds",
            buckets=_RECOVERY,
            registry=self._registry,
        )
        self._round_trip = Histogram(
            "ibkr_probe_round_trip_seconds",
            "From a probe sent to its answer.",
            unit="seconds",
            buckets=_ROUND_TRIP,
            registry=self._registry,
        )
        self._registry.register(self)

    def handle(self, status: Status) -> None:
        """Count what this status changes."""
        self._status = status
        self._farms |= status.farms.keys()
        if status.state is not self._state:
            self._add_time()
            self._state = status.state
        was_out, now = self._tracker.current is not None, self._clock()
        outage = self._tracker.update(status)
        if outage is None:
            return
        if not was_out:
            self._outages[outage.cause] += 1
            self._outage_since = now
        if outage.outcome is Outcome.RECOVERED:
            self._recovery.observe(now - self._outage_since)  # now is from the monotonic clock, which nobody can set

    def close(self) -> None:
        """Do nothing: there is nothing to close."""

    def sample(self) -> Stats:
        """Read the stats and count new probes. Call it at least every ten minutes (``KEPT_ROUND_TRIPS``)."""
        stats = self._stats()
        for seconds in stats.round_trips_after(self._probes):
            self._round_trip.observe(seconds)
        self._probes = stats.probes
        return stats

    def render(self, accept: str = "") -> tuple[str, bytes]:
        """Return content type and text: OpenMetrics or Prometheus's own format, as the ``Accept`` header asks."""
        self.sample()  # do this first: the histograms are read before `collect` is called
        try:
            encoder, content_type = choose_encoder(accept)
        except (ValueError, TypeError):  # the parser of the header raises them for a version that is not a number
            encoder, content_type = choose_encoder("")
        return content_type, encoder(self._registry)

    def describe(self) -> Iterable[Metric]:
        """Return nothing, so that the registry does not call ``collect`` before somebody asks."""
        return ()

    def collect(self) -> Iterator[Metric]:
        """Return every metric except the histograms, as of now."""
        stats = self._stats()
        self._add_time()
        yield from self._state_metrics()
        yield from _traffic_metrics(stats)
        yield _labelled(
            GaugeMetricFamily("ibkr_subscriptions", "Subscriptions by state.", labels=["standing"]),
            {state: getattr(stats.subscriptions, state) for state in SubscriptionState},
        )
        yield from self._gateway_metrics()
        up = (FarmState.OK, FarmState.INACTIVE)
        farms = self._status.farms if self._status else {}
        yield _labelled(
            GaugeMetricFamily("ibkr_farm_up", "1 when the data farm is ok or idle, as last reported.", labels=["farm"]),
            {farm: float(farms.get(farm) in up) for farm in sorted(self._farms)},
        )
        yield _labelled(
            CounterMetricFamily("ibkr_sink_dropped", "Statuses that a slow sink lost.", labels=["sink"]),
            {relay.name: relay.dropped for relay in self._relays},
        )
        yield _labelled(
            CounterMetricFamily("ibkr_sink_failures", "Statuses that a sink failed to handle.", labels=["sink"]),
            {relay.name: relay.failed for relay in self._relays},
        )

    def _state_metrics(self) -> Iterator[Metric]:
        yield _labelled(
            GaugeMetricFamily("ibkr_state", "1 for the current state of the connection.", labels=["state"]),
            {state: float(state is self._state) for state in ConnectionState},
        )
        yield _labelled(
            CounterMetricFamily("ibkr_state_seconds", "Time spent in each state.", labels=["state"], unit="seconds"),
            self._seconds,
        )
        may_trade = self._status is not None and self._status.may_trade
        yield GaugeMetricFamily("ibkr_may_trade", "1 when orders may be sent.", float(may_trade))
        yield _labelled(CounterMetricFamily("ibkr_outages", "Outages by cause.", labels=["cause"]), self._outages)

    def _gateway_metrics(self) -> Iterator[Metric]:
        """Return the metrics of the gateway's process; without values if nobody watches it."""
        gateway = self._status.gateway if self._status else None
        yield _labelled(
            GaugeMetricFamily("ibkr_gateway_state", "1 for the state of the gateway's process.", labels=["state"]),
            {state: float(state is gateway.state) for state in GatewayState} if gateway else {},
        )
        restarts = GaugeMetricFamily("ibkr_gateway_restarts", "Restarts by the supervisor in the last 24 hours.")
        login = GaugeMetricFamily(
            "ibkr_gateway_next_login_timestamp_seconds", "When IB next asks for a full login.", unit="seconds"
        )
        if gateway is not None:
            restarts.add_metric([], gateway.restarts)
            login.add_metric([], gateway.next_login.timestamp() if gateway.next_login else 0.0)
        yield restarts
        yield login

    def _add_time(self) -> None:
        now = self._clock()
        self._seconds[self._state] += now - self._since
        self._since = now


def _traffic_metrics(stats: Stats) -> Iterator[Metric]:
    counters = (
        ("ibkr_connection_attempts", "Attempts at a session.", stats.attempts, ""),
        ("ibkr_received_messages", "Messages from the gateway.", stats.messages_in, ""),
        ("ibkr_sent_messages", "Messages to the gateway.", stats.messages_out, ""),
        ("ibkr_received_bytes", "Bytes from the gateway.", stats.bytes_in, "bytes"),
        ("ibkr_sent_bytes", "Bytes to the gateway.", stats.bytes_out, "bytes"),
        (
            "ibkr_loop_stalls",
            "How often the event loop was blocked for 0.5 s or longer. Some shorter blocks are counted, too.",
            stats.loop_stalls,
            "",
        ),
        ("ibkr_loop_stall_seconds", "Total time that the event loop was blocked.", stats.loop_stall_seconds, "seconds"),
    )
    for name, words, value, unit in counters:
        yield CounterMetricFamily(name, words, value, unit=unit)


def _labelled(family: _Family, values: Mapping[Any, float]) -> _Family:
    for label, value in values.items():
        family.add_metric([str(label)], value)
    return family
