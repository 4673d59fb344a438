"""Alerts for people, sent through apprise (extra ``alerts``): each URL gets each alert only one time, and in order.

Programs use ``Alerts``. ``ibkr serve`` and ``ibkr gateway run`` send alerts by themselves.
"""

from __future__ import annotations

import asyncio
import logging
import time
import warnings
from collections import Counter, deque
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from enum import StrEnum
from typing import Any, Protocol, Self

from ibkr.core.account_masking import mask_accounts
from ibkr.core.alert_settings import AlertSettings
from ibkr.core.errors import ConfigError
from ibkr.core.order_records import SentOrder
from ibkr.core.serialization import sanitize_text
from ibkr.core.states import ConnectionState
from ibkr.core.status import Status
from ibkr.core.status_fields import connection_alert
from ibkr.core.token_bucket import TokenBucket
from ibkr.observe.connection_log import cure
from ibkr.observe.heartbeat import LivenessReporter
from ibkr.observe.sink import Relay

_MAX_QUEUED = 100
_MAX_ORDERS = 1000
_FIRST_RETRY, _MAX_RETRY = 5.0, 300.0
_LOGS_SECRETS = ("apprise", "urllib3")
"""Loggers whose DEBUG lines show the URLs of the services. DEBUG is switched off for these loggers."""


class AlertKind(StrEnum):
    """What an alert is about."""

    OUTAGE = "outage"
    RECOVERY = "recovery"
    ORDER = "order"
    HALT = "halt"
    JOURNAL = "journal"
    GATEWAY = "gateway"
    FLEET = "fleet"
    TEST = "test"


@dataclass(frozen=True, slots=True)
class Alert:
    """One message. ``is_good`` is true if a problem is over."""

    kind: AlertKind
    title: str
    body: str
    is_good: bool = False


class AlertRules:
    """Decides which new alerts a status causes. An order must be unconfirmed for ``order_after`` seconds."""

    def __init__(
        self, order_after: float, *, show_accounts: bool = False, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._order_after = order_after
        self._show_accounts = show_accounts
        self._clock = clock
        self._last_status: Status | None = None
        self._outage_since: float | None = None
        self._halted = self._journal = self._gateway = ""
        self._orders: dict[SentOrder, float | None] = {}

    def evaluate(self, status: Status) -> list[Alert]:
        """Return the alerts that this status causes, immediately or because a problem has lasted long enough."""
        self._last_status = status
        return [*self._outage_alerts(status), *self._order_alerts(status), *self._lasting_alerts(status)]

    def finish(self) -> list[Alert]:
        """Return the alerts for the end of the program: each unconfirmed order, without waiting for ``order_after``."""
        self._order_after = 0.0
        return [] if self._last_status is None else list(self._order_alerts(self._last_status))

    def _outage_alerts(self, status: Status) -> Iterator[Alert]:
        now = self._clock()
        is_alert = bool(connection_alert(status)) or status.state is ConnectionState.FAILED
        if is_alert and self._outage_since is None:
            self._outage_since = now
            words = ". ".join(filter(None, (status.reason, connection_alert(status), cure(status))))
            yield self._alert(AlertKind.OUTAGE, f"{status.state}", words, status)
        elif self._outage_since is not None and status.state is ConnectionState.READY:
            seconds, outage = now - self._outage_since, status.outage
            if outage is not None and outage.seconds is not None:
                seconds = outage.seconds
            self._outage_since = None
            yield self._alert(
                AlertKind.RECOVERY, "READY again", f"after {_duration(seconds)}: {status.reason}", status, is_good=True
            )
        elif status.state is ConnectionState.DISCONNECTED:
            self._outage_since = None  # the program has disconnected, which is neither an outage nor a recovery

    def _order_alerts(self, status: Status) -> Iterator[Alert]:
        now, known = self._clock(), self._orders
        # The value is None if the alert about the order was sent. An order that is found and lost again is a new order.
        self._orders = {order: known.get(order, now) for order in status.unconfirmed[:_MAX_ORDERS]}
        new = [order for order, since in self._orders.items() if since is not None and now - since >= self._order_after]
        for has_left, title in ((True, "orders unconfirmed, they may be at the broker"), (False, "orders not sent")):
            orders = [order for order in new if order.has_left is has_left]
            if orders:
                yield self._alert(AlertKind.ORDER, title, ", ".join(map(str, orders)), status)
        self._orders |= dict.fromkeys(new)

    def _lasting_alerts(self, status: Status) -> Iterator[Alert]:
        """Yield one alert when a lasting problem begins, one when its text changes, and one when it ends."""
        was, self._halted = self._halted, status.halted
        yield from self._change(AlertKind.HALT, was, status.halted, ("halted: no new orders", "resumed"), status)
        was, self._journal = self._journal, status.journal_trouble
        words = ("the journal cannot be written", "the journal is written again")
        yield from self._change(AlertKind.JOURNAL, was, status.journal_trouble, words, status)
        if status.gateway is not None:  # otherwise nothing watches the gateway now, so the problem may continue
            was, self._gateway = self._gateway, status.gateway.alert
            words = ("look at the gateway", "the gateway works again")
            yield from self._change(AlertKind.GATEWAY, was, self._gateway, words, status, status.gateway.advice)

    def _change(
        self, kind: AlertKind, was: str, now: str, titles: tuple[str, str], status: Status, advice: str = ""
    ) -> Iterator[Alert]:
        if now and now != was:
            yield self._alert(kind, titles[0], f"{now}. {advice}" if advice else now, status)
        elif was and not now:
            yield self._alert(kind, titles[1], status.reason, status, is_good=True)

    def _alert(self, kind: AlertKind, title: str, body: str, status: Status, *, is_good: bool = False) -> Alert:
        text = body if self._show_accounts else mask_accounts(body, status.accounts)
        where = f"{status.endpoint} as client {status.client_id}"
        return Alert(kind, f"IBKR {where}: {title}", sanitize_text(text), is_good)


class AlertSink:
    """Sends alerts to one URL. Give each sink its own ``Relay``, so that a slow service does not delay the others.

    An alert that cannot be sent is sent again after 5 s. Then the waiting time doubles after each failure, up to 5
    minutes. Later alerts wait until this alert is sent. Raises ``ConfigError`` if apprise does not know the URL.
    """

    def __init__(
        self,
        url: str,
        settings: AlertSettings,
        *,
        show_accounts: bool = False,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._service = _make_service(url)
        self._rules = AlertRules(settings.order_after, show_accounts=show_accounts, clock=clock)
        self._clock = clock
        self._rate = TokenBucket(settings.per_hour / 3600, settings.per_hour)
        self._left_out_count = 0
        self._queue: deque[Alert] = deque(maxlen=_MAX_QUEUED)
        self._retry_wait = _FIRST_RETRY
        self._retry_at = 0.0
        self.name = url.partition("://")[0].lower()
        """The kind of the service. The rest of the URL can be secret, even the host: for ntfy, it is the topic."""

    def handle(self, status: Status) -> None:
        """Send the alerts that this status causes, and the alerts in the queue."""
        for alert in self._rules.evaluate(status):
            self.enqueue(alert)
        if self._queue and self._clock() >= self._retry_at:
            self._send_queue()

    def handle_alert(self, alert: dict[str, Any]) -> None:
        """Queue an alert about more than one connection, such as an alert of a fleet. ``words`` is its text."""
        self.enqueue(Alert(AlertKind.FLEET, "IBKR: the fleet", sanitize_text(str(alert["words"]))))

    def enqueue(self, alert: Alert) -> None:
        """Queue an alert, unless there were too many in the last hour. If the queue is full, drop the oldest."""
        is_accepted = self._rate.take(self._clock())
        if not is_accepted or len(self._queue) == _MAX_QUEUED:
            self._left_out_count += 1
        if is_accepted:
            self._queue.append(alert)

    def send(self, alert: Alert) -> bool:
        """Send an alert now. Returns False if the service did not accept it."""
        from apprise import NotifyFormat, NotifyType

        kind = NotifyType.SUCCESS if alert.is_good else NotifyType.INFO
        if not alert.is_good and alert.kind is not AlertKind.TEST:
            kind = NotifyType.FAILURE if alert.kind is AlertKind.OUTAGE else NotifyType.WARNING
        left_out = f" ({self._left_out_count} alerts before this one were not sent)" if self._left_out_count else ""
        body = (alert.body or alert.title) + left_out
        # Call the service directly: the threads of apprise would delay the end of the program.
        is_sent = bool(
            self._service.notify(body=body, title=alert.title, notify_type=kind, body_format=NotifyFormat.TEXT)
        )
        if is_sent:
            self._left_out_count = 0
        return is_sent

    def close(self) -> None:
        """Try again to send the queued alerts, and send alerts about orders that are still unconfirmed."""
        for alert in self._rules.finish():
            self.enqueue(alert)
        if self._queue:
            self._send_queue()

    def _send_queue(self) -> None:
        while self._queue:
            wait, self._retry_wait = self._retry_wait, min(2 * self._retry_wait, _MAX_RETRY)
            self._retry_at = self._clock() + wait  # set to 0 below if the service accepts the alert
            if not self.send(self._queue[0]):
                raise ConnectionError(f"{self.name} does not accept an alert; next attempt in {wait:.0f} s")
            self._queue.popleft()
            self._retry_wait, self._retry_at = _FIRST_RETRY, 0.0


class StatusSource(Protocol):
    """The part of a connector that alerts need."""

    @property
    def status(self) -> Status:
        """The current status."""

    def on_status(self, callback: Callable[[Status], None]) -> Callable[[], None]:
        """Call a function with each status. Returns a function that unsubscribes."""


class Alerts:
    """Sends alerts and heartbeats for one connector, from ``open`` to ``close``, or as ``async with``.

    Use it in the event loop of the connector. Raises ``ConfigError`` if apprise does not know a URL or is not
    installed.
    """

    def __init__(self, connector: StatusSource, settings: AlertSettings, *, show_accounts: bool = False) -> None:
        self._connector = connector
        self._relays = [Relay(sink) for sink in alert_sinks(settings, show_accounts=show_accounts)]
        self._liveness = LivenessReporter(settings)
        self._unsubscribe: list[Callable[[], None]] = []

    def open(self) -> None:
        """Start to watch the connector."""
        self._liveness.open()
        for relay in self._relays:
            relay(self._connector.status)
            self._unsubscribe.append(self._connector.on_status(relay))

    async def close(self, within: float = 1.0) -> None:
        """Stop. Sends what is queued, for at most ``within`` seconds."""
        for unsubscribe in self._unsubscribe:
            unsubscribe()
        self._liveness.close()
        await asyncio.gather(*(asyncio.to_thread(relay.close, within) for relay in self._relays))

    async def __aenter__(self) -> Self:
        self.open()
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.close()


def alert_sinks(settings: AlertSettings, *, show_accounts: bool = False) -> list[AlertSink]:
    """Make a sink for each URL. Raises ``ConfigError`` if apprise does not know a URL or is not installed."""
    sinks = [AlertSink(url, settings, show_accounts=show_accounts) for url in settings.urls]
    kinds: Counter[str] = Counter()
    for sink in sinks:
        kinds[sink.name] += 1
        if (number := kinds[sink.name]) > 1:  # two services need two names in the metrics
            sink.name = f"{sink.name} {number}"
    return sinks


def _make_service(url: str) -> Any:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # apprise loads the modules of all its services, and some of them warn
        try:
            from apprise import Apprise
        except ImportError as error:
            cure = "need the package apprise, which is not installed: install the extra alerts (docs/alerts.md)"
            raise ConfigError("ibkr.alerts.urls", "***", cure) from error
        for name in _LOGS_SECRETS:
            log = logging.getLogger(name)
            log.setLevel(max(log.level, logging.INFO))
        service = Apprise.instantiate(url)
    if service is None:
        scheme = url.partition("://")[0]
        cure = f"apprise does not know {scheme}:// URLs, or a part of this one is missing; see docs/alerts.md"
        raise ConfigError("ibkr.alerts.urls", "***", cure)
    return service


def _duration(seconds: float) -> str:
    return f"{seconds / 60:.0f} minutes" if seconds >= 120 else f"{seconds:.1f} s"
