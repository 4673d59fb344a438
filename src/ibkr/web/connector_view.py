"""``ConnectorView``: one connector as the site shows it. The page's data comes from here."""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections import deque
from collections.abc import Callable, Coroutine, Iterable, Sequence
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from ibkr.connector import IBConnector
from ibkr.core.activity import AnswerTime, Message
from ibkr.core.errors import ConnectError, NotReady
from ibkr.core.gap_report import GapReport
from ibkr.core.gateway_settings import GatewaySettings
from ibkr.core.serialization import mask_json
from ibkr.core.states import ConnectionState
from ibkr.core.stats import Stats
from ibkr.core.status import Status
from ibkr.gateway.follower import GatewayFollower
from ibkr.gateway.gateway_store import SupervisorAnswer
from ibkr.journal.halt_file import HaltFile, new_halt
from ibkr.observe.connection_log import cure
from ibkr.observe.history import History
from ibkr.observe.metrics import Metrics
from ibkr.observe.outage_tracker import OutageTracker
from ibkr.observe.sink import Relay, Sink, SupportsAlerts
from ibkr.web.cross_loop import CrossLoopCaller, LoopBusy
from ibkr.web.event_stream import EventPublisher
from ibkr.web.page_details import CachedAnswer, DetailsSnapshot, answer_rows, message_rows
from ibkr.web.web_settings import WebSettings
from ibkr.web.worker_thread import WorkerThread

if TYPE_CHECKING:
    from ibkr.core.fleet_settings import Fleet
    from ibkr.fleet.board import Board

_log = logging.getLogger("ibkr.web")

_MAX_ROUND_TRIPS = 720
_SINK_TIMEOUT = 0.5


class ConnectorView:
    """Watches a connector from ``open`` to ``close``, and publishes, counts and stores what it sees.

    Use it in the server's event loop. Methods that ask the connector raise ``LoopBusy`` if its loop does not run.

    Args:
        connector: May run in another event loop.
        settings: Limits, intervals, and whether account ids are shown.
        history: Stores outages and state changes. Default: in memory. The view closes the history.
        sinks: Other sinks that get every status. The view closes these sinks.
        gateway: The gateway whose process the page can restart.
        halt_file: The halt file of the program that trades, if another program trades.
        fleet: The fleet to show next to the connector.
        is_held: The connection belongs to the site. If it has ``FAILED``, the view starts it again.
    """

    def __init__(
        self,
        connector: IBConnector,
        settings: WebSettings | None = None,
        *,
        history: History | None = None,
        sinks: Sequence[Sink] = (),
        gateway: GatewaySettings | None = None,
        halt_file: HaltFile | None = None,
        fleet: Fleet | None = None,
        is_held: bool = False,
    ) -> None:
        self.settings = settings or WebSettings()
        self.history = history or History(show_accounts=self.settings.show_accounts)
        self.worker = WorkerThread()
        self.publisher = EventPublisher(lambda: [("status", self.status())], readers=self.settings.readers)
        self.round_trips: deque[tuple[str, float]] = deque(maxlen=_MAX_ROUND_TRIPS)
        """When each of the last probes was answered, and after how many seconds."""
        self.board = self._make_board(fleet) if fleet is not None else None
        self._connector, self._halt_file, self._is_held = connector, halt_file, is_held
        self._history_relay = Relay(self.history, name="history")
        self._relays = [self._history_relay, *(Relay(sink) for sink in sinks)]
        self.metrics = Metrics(lambda: connector.stats, self._relays)
        self._outages = OutageTracker()
        self._follower = GatewayFollower(gateway, connector.tell_gateway) if gateway and gateway.driver else None
        self._last_probe = self._last_message = self._last_answer = 0
        self._details = CachedAnswer(self._make_details)
        self._unsubscribe: list[Callable[[], None]] = []
        self._tasks: set[asyncio.Task[None]] = set()

    def open(self) -> None:
        """Start to watch."""
        self._caller = CrossLoopCaller(self._connector)
        self._connector.call_soon(self._subscribe)
        self._start(self._publish_stats())
        if self.board is not None:
            self._start(self.board.run())

    def _subscribe(self) -> None:
        """Subscribe to the connector. Runs in its loop."""
        handlers: list[Callable[[Status], None]] = [
            self.metrics.handle,
            self._caller.callback(self._handle_status),
            *self._relays,
        ]
        status = self._connector.status
        for handle in handlers:
            if status.state is not ConnectionState.DISCONNECTED:  # the connection began before the view
                handle(status)
            self._unsubscribe.append(self._connector.on_status(handle))
        self._unsubscribe.append(self._connector.on_gap(self._caller.callback(self._handle_gap)))

    async def close(self, within: float = _SINK_TIMEOUT) -> None:
        """End every stream, and let the sinks handle what is queued, for at most ``within`` seconds."""
        self.publisher.close()
        for unsubscribe in self._unsubscribe:
            unsubscribe()
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        await self._details.close()
        closing = [asyncio.to_thread(relay.close, within) for relay in self._relays]
        await asyncio.gather(self.worker.close(), *closing)

    async def reconnect(self) -> None:
        """End the session and connect again now. A connection that belongs to the site and has ended is started again.

        Raises:
            NotReady: The connection belongs to the program, and the program has not requested a session.
        """
        if self._is_held and self._connector.status.state.is_over:
            self._start(self._connect())
        else:
            await self._caller.call(self._connector.reconnect)

    async def restart_gateway(self) -> SupervisorAnswer:
        """Ask the supervisor of the gateway's process for a restart."""
        if self._follower is None:
            return SupervisorAnswer(is_done=False, message="no driver is configured for the gateway's process")
        return await self._follower.restart("the page")

    async def halt(self, reason: str, *, cancel_all: bool) -> None:
        """Stop new orders of the program that trades.

        Raises:
            NotReady: That program is not known.
            OSError: The halt file cannot be written.
            LoopBusy: The program's loop does not run now. The halt begins when the loop runs again.
        """
        if self._halt_file is not None:
            self._halt_file.write(new_halt(reason, "the page", cancel_all=cancel_all))
        else:
            self._require_trader()
            await self._caller.call(lambda: self._connector.halt(reason, cancel_all=cancel_all))

    async def resume(self) -> None:
        """End the halt. Raises as ``halt`` does."""
        if self._halt_file is not None:
            self._halt_file.remove()
        else:
            self._require_trader()
            await self._caller.call(self._connector.resume)

    def _require_trader(self) -> None:
        if not self.can_halt:
            raise NotReady(
                "no program that trades is known here: set ibkr.journal to its journal", self._connector.status
            )

    @property
    def can_halt(self) -> bool:
        """Whether a program that trades is known. A connection that belongs to the site does not trade."""
        return self._halt_file is not None or not self._is_held

    def status(self) -> dict[str, Any]:
        """Return the status in JSON types, with ``cure``: what to do about a problem."""
        return self._to_dict(self._connector.status)

    async def stats(self) -> dict[str, Any]:
        """Return the stats in JSON types, without the list of round trips."""
        return _stats_to_dict(await self._caller.call(lambda: self._connector.stats))

    async def subscriptions(self) -> list[dict[str, Any]]:
        """Return every subscription with its state, in JSON types."""
        accounts, show = self._connector.status.accounts, self.settings.show_accounts
        subscriptions = await self._caller.call(lambda: self._connector.subscriptions)
        return [each.to_dict(accounts, show_accounts=show) for each in subscriptions]

    async def details(self) -> str:
        """Return subscriptions, orders and positions as JSON, at most a second old."""
        return await self._details.get()

    async def _make_details(self) -> str:
        snapshot = await self._caller.call(lambda: DetailsSnapshot.of(self._connector))
        return await self.worker.run(lambda: snapshot.to_json(show_accounts=self.settings.show_accounts))

    async def render_metrics(self, accept: str) -> tuple[str, bytes]:
        """Return content type and text of the metrics, for this ``Accept`` header."""
        return await self._caller.call(lambda: self.metrics.render(accept))

    async def messages(self) -> list[dict[str, Any]]:
        """Return the last messages of the gateway, oldest first, in JSON types."""
        return self._message_rows(await self._caller.call(lambda: self._connector.messages))

    async def answer_times(self) -> list[tuple[str, float, str]]:
        """Return, for each of the last requests: when it was answered, after how many seconds, and its name."""
        return answer_rows(await self._caller.call(lambda: self._connector.answer_times))

    def _message_rows(self, messages: Iterable[Message]) -> list[dict[str, Any]]:
        return message_rows(messages, self._connector.status.accounts, show_accounts=self.settings.show_accounts)

    @property
    def ready(self) -> tuple[bool, str]:
        """Whether the state is ``READY`` and not outdated, and the state with its reason as text."""
        status, outdated = self.status(), self._caller.why_outdated
        is_ready = status["state"] == ConnectionState.READY and not outdated
        return is_ready, outdated or f"{status['state']}: {status['reason']}"

    def _to_dict(self, status: Status) -> dict[str, Any]:
        shown = status.to_dict(show_accounts=self.settings.show_accounts)
        if self._halt_file is not None:  # another program trades
            halt = self._halt_file.read()
            shown["halted"] = halt.reason if halt else ""
        return {**shown, "cure": cure(status), "can_halt": self.can_halt}

    def _handle_status(self, status: Status) -> None:
        self.publisher.publish("status", self._to_dict(status))
        if self._is_held and status.state is ConnectionState.FAILED:
            self._start(self._connect_again())
        outage = self._outages.update(status)
        if outage is not None:
            row = outage.to_dict()
            self.publisher.publish("outage", row if self.settings.show_accounts else mask_json(row, status.accounts))

    def _handle_gap(self, report: GapReport) -> None:
        self._history_relay.submit(self.history.add_gap_report, report)
        self.publisher.publish("gap", report.to_dict(show_accounts=self.settings.show_accounts))

    def _make_board(self, fleet: Fleet) -> Board:
        from ibkr.fleet.board import Board  # this import needs the extra fleet

        return Board(fleet, on_alert=self._handle_fleet_alert)

    def _handle_fleet_alert(self, alert: dict[str, Any]) -> None:
        for relay in self._relays:
            if isinstance(relay.sink, SupportsAlerts):
                relay.submit(relay.sink.handle_alert, alert)

    async def _connect(self) -> None:
        with contextlib.suppress(ConnectError):  # the state is then FAILED: the status and the log say why
            await self._connector.connect_async(wait=True)

    async def _connect_again(self) -> None:
        await asyncio.sleep(self.settings.again_after)
        if self._connector.status.state is ConnectionState.FAILED:
            await self._connect()

    async def _publish_stats(self) -> None:
        while True:
            try:
                await self._publish_new_stats()
            except LoopBusy:
                self.publisher.publish_transient("quiet", {"since": self.status()["as_of"]})
            await asyncio.sleep(self.settings.stats_every)

    async def _publish_new_stats(self) -> None:
        stats, messages, times = await self._caller.call(self._read_new)
        now = datetime.now(UTC).isoformat(timespec="milliseconds")
        points = [(now, seconds) for seconds in stats.round_trips_after(self._last_probe)]
        self._last_probe = stats.probes
        self.round_trips.extend(points)
        new = {"new_round_trips": points, "new_answers": answer_rows(times)}
        self.publisher.publish_transient("stats", {**_stats_to_dict(stats), **new, "halted": self.status()["halted"]})
        if messages:
            self.publisher.publish_transient("messages", {"messages": self._message_rows(messages)})

    def _read_new(self) -> tuple[Stats, list[Message], list[AnswerTime]]:
        """Return the stats, and the messages and answer times since the last call. Runs in the connector's loop."""
        messages = [each for each in self._connector.messages if each.number > self._last_message]
        times = [each for each in self._connector.answer_times if each.number > self._last_answer]
        self._last_message = messages[-1].number if messages else self._last_message
        self._last_answer = times[-1].number if times else self._last_answer
        return self.metrics.sample(), messages, times

    def _start(self, work: Coroutine[Any, Any, None]) -> None:
        task = asyncio.get_running_loop().create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._task_ended)

    def _task_ended(self, task: asyncio.Task[None]) -> None:
        self._tasks.discard(task)
        if not task.cancelled() and (error := task.exception()) is not None:
            _log.error("A task of the web site has failed; the site continues", exc_info=error)


def _stats_to_dict(stats: Stats) -> dict[str, Any]:
    values = stats.to_dict()
    del values["round_trips"]
    return values
