"""Where ``ibkr watch`` gets its data: ``OwnConnection``, or ``AttachedProgram`` through the program's web API."""

from __future__ import annotations

import asyncio
import http.client
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Self, TypeAlias

from ibkr.cli.long_running import call_on_stop
from ibkr.cli.side_panels import Details, SidePanels
from ibkr.cli.web_client import WebApiError, WebClient
from ibkr.config import Config
from ibkr.connector import IBConnector
from ibkr.core.errors import ConnectError
from ibkr.core.gap_report import GapReport
from ibkr.core.serialization import sanitize_text
from ibkr.core.states import ConnectionState, FarmState, SessionState, UpstreamState
from ibkr.core.stats import Stats, SubscriptionCounts
from ibkr.core.status import Status

_RETRY_AFTER = 1.0
_DETAILS_EVERY = 2.0
_NO_CONNECTION = (OSError, http.client.HTTPException, WebApiError)
_BLOCKED = "The program's event loop is blocked: this may be out of date"


@dataclass(frozen=True, slots=True)
class GapText:
    """A gap report that came in JSON: its end, and its content in words."""

    end: datetime
    text: str


@dataclass(frozen=True, slots=True)
class Update:
    """Something new, also in JSON types. If ``value`` is a text, it is the reason why nothing new arrives."""

    value: Status | GapReport | GapText | str
    json: dict[str, Any] | None = None


class OwnConnection:
    """A connection of this process, which tries until it succeeds.

    ``updates`` gets each status and gap report, and ``None`` when it is time to stop.
    """

    trouble = gap_text = ""

    def __init__(self, config: Config) -> None:
        self.connector = IBConnector.from_config(config)
        self.show_accounts = config.ibkr.show_accounts
        self.updates: asyncio.Queue[Update | None] = asyncio.Queue()

    def reconnect(self) -> None:
        """Close the session, if there is one, and connect again now."""
        if self.connector.status.state is ConnectionState.FAILED:
            self._connecting = asyncio.create_task(self._connect())
        else:
            self.connector.reconnect()

    @property
    def status(self) -> Status:
        """The current status."""
        return self.connector.status

    @property
    def stats(self) -> Stats:
        """The current counters and round trips."""
        return self.connector.stats

    @property
    def gap(self) -> GapReport | None:
        """The last gap report."""
        return self.connector.last_gap

    @property
    def details(self) -> Details:
        """The subscriptions, orders, positions and messages."""
        return Details.of(self.connector, show_accounts=self.show_accounts)

    async def __aenter__(self) -> Self:
        call_on_stop(lambda: self.updates.put_nowait(None))
        self.connector.on_status(self._put)
        self.connector.on_gap(self._put)
        self._connecting = asyncio.create_task(self._connect())
        return self

    async def __aexit__(self, *_: object) -> None:
        self._connecting.cancel()
        with suppress(asyncio.CancelledError):
            await self._connecting
        await self.connector.disconnect_async()

    def _put(self, value: Status | GapReport) -> None:
        data = value.to_dict(show_accounts=self.show_accounts)
        if isinstance(value, GapReport):
            data = {"gap": data}
        else:
            rows, shown = self.connector.subscriptions, self.show_accounts
            data["stats"] = self.stats.to_dict()
            data["subscriptions"] = [each.to_dict(value.accounts, show_accounts=shown) for each in rows]
        self.updates.put_nowait(Update(value, data))

    async def _connect(self) -> None:
        with suppress(ConnectError):  # the status contains the error, too
            await self.connector.connect_async(wait=True)


class AttachedProgram:
    """The connection of another program, read through its web API in threads.

    ``updates`` also gets each ``trouble``: the reason why nothing new arrives. ``async with`` raises ``WebApiError``
    or ``OSError`` if the program cannot be reached.
    """

    show_accounts = True  # the program itself has masked the ids, unless its page shows them
    gap = None

    def __init__(self, client: WebClient) -> None:
        self.client = client
        self.updates: asyncio.Queue[Update | None] = asyncio.Queue()
        self.trouble = self.gap_text = ""
        self.details = Details()
        self._stopping = threading.Event()

    async def __aenter__(self) -> Self:
        self._loop = asyncio.get_running_loop()
        first = await asyncio.to_thread(self.client.call, "status")
        self._set_status(first)
        with _as_expected():
            self.stats = stats_from_json(first["stats"])
        call_on_stop(lambda: self.updates.put_nowait(None))
        _start_thread(self._follow_events)
        _start_thread(self._poll_details)
        return self

    async def __aexit__(self, *_: object) -> None:
        self._stopping.set()  # do not wait for the threads: one may be reading, and all are daemons

    def reconnect(self) -> None:
        """Tell the program to reconnect."""
        _start_thread(self._send_reconnect)

    def _send_reconnect(self) -> None:
        try:
            self.client.command("reconnect")
        except _NO_CONNECTION as error:
            self._call_in_loop(self._set_trouble, str(error))

    def _follow_events(self) -> None:
        while not self._stopping.is_set():
            reason = "the stream has ended"
            try:
                self.client.read_events(lambda name, data: self._call_in_loop(self._on_event, name, data))
            except _NO_CONNECTION as error:
                reason = str(error) or type(error).__name__
            self._call_in_loop(self._set_trouble, reason)
            self._stopping.wait(_RETRY_AFTER)

    def _poll_details(self) -> None:
        while not self._stopping.is_set():
            # Ignore a failure here, because the event stream also reports it, with the reason.
            with suppress(*_NO_CONNECTION):
                details = details_from_json(self.client.call("details"), self.client.call("messages"))
                self._call_in_loop(setattr, self, "details", details)
            self._stopping.wait(_DETAILS_EVERY)

    def _call_in_loop(self, function: Callable[..., None], *arguments: Any) -> None:
        if not self._loop.is_closed():
            self._loop.call_soon_threadsafe(function, *arguments)

    def _set_trouble(self, reason: str) -> None:
        if not self._stopping.is_set() and self.trouble in ("", _BLOCKED):
            since = datetime.now().astimezone()
            self._report(f"No news from {self.client.url} since {since:%H:%M:%S}: {sanitize_text(reason)}")

    def _report(self, trouble: str) -> None:
        if trouble != self.trouble:
            self.trouble = trouble
            self.updates.put_nowait(Update(trouble))

    def _on_event(self, name: str, data: Any) -> None:
        if name == "quiet":
            self._report(_BLOCKED)
            return
        try:
            self._take_event(name, data)
            if self.trouble and name != "status":
                self.updates.put_nowait(self._last)  # events come again, and the status is still the same
            self.trouble = ""
        except WebApiError as error:
            self._set_trouble(str(error))

    def _take_event(self, name: str, data: Any) -> None:
        if name == "status":
            self._set_status(data)
        elif name == "stats":
            with _as_expected():
                new_round_trips = [float(seconds) for _, seconds in data["new_round_trips"]]
            self.stats = stats_from_json(data, self.stats.round_trips, new_round_trips)
        elif name == "gap":
            gap = _gap_text(data)
            self.gap_text = f"{gap.end.astimezone():%H:%M:%S}, {gap.text}"
            self.updates.put_nowait(Update(gap, {"gap": data}))

    def _set_status(self, data: dict[str, Any]) -> None:
        self.status = status_from_json(data)
        self._last = Update(self.status, data)
        self.updates.put_nowait(self._last)


WatchSource: TypeAlias = OwnConnection | AttachedProgram


@contextmanager
def _as_expected() -> Iterator[None]:
    """Raise ``WebApiError`` if data from the page has another form."""
    try:
        yield
    except (LookupError, TypeError, ValueError, AttributeError) as error:
        raise WebApiError(f"its answer cannot be read; is it another version of ibkr? ({error!r})") from error


def status_from_json(data: dict[str, Any]) -> Status:
    """Return the status from its JSON types. Raises ``WebApiError`` if its version differs too much."""
    with _as_expected():
        return Status(
            ConnectionState(data["state"]),
            sanitize_text(data["reason"]),
            _time(data["since"]),
            _time(data["as_of"]),
            data["may_trade"],
            sanitize_text(data["may_trade_reason"]),
            data["is_connected"],
            sanitize_text(data["endpoint"]),
            int(data["client_id"]),
            server_version=data["server_version"],
            accounts=tuple(map(sanitize_text, data["accounts"])),
            read_only=data["read_only"],
            session=SessionState(data["session"]),
            upstream=UpstreamState(data["upstream"]),
            farms={sanitize_text(name): FarmState(state) for name, state in data["farms"].items()},
            attempt=int(data["attempt"]),
            next_retry_at=_time(data["next_retry_at"]) if data["next_retry_at"] else None,
            outages=int(data["outages"]),
            last_error=sanitize_text(data["last_error"]),
            halted=sanitize_text(data.get("halted", "")),
            alert=sanitize_text(data.get("alert", "")),
        )


def details_from_json(details: Any, messages: Any) -> Details:
    """Return the rows of the panels from their JSON types. Raises ``WebApiError`` if they cannot be shown."""
    with _as_expected():
        rows = {name: details[name]["rows"] for name in ("subscriptions", "orders", "positions")}
        found = Details(**rows, messages=messages["messages"])
        SidePanels(found, 0).panels()
        return found


def stats_from_json(data: dict[str, Any], before: tuple[float, ...] = (), new: list[float] | None = None) -> Stats:
    """Return the stats from their JSON types. Raises ``WebApiError`` if its version differs too much.

    Args:
        data: The JSON types.
        before: The round trips that are already known, in seconds.
        new: The new round trips, in seconds. If ``None``, the last round trip in ``data`` is the only new one.
    """
    counts = ("bytes_in", "bytes_out", "messages_in", "messages_out", "probes", "loop_stalls")
    with _as_expected():
        if new is None:
            new = [float(data["round_trip"])] if data["round_trip"] else []
        return Stats(
            _time(data["as_of"]),
            subscriptions=SubscriptionCounts(**{name: int(each) for name, each in data["subscriptions"].items()}),
            round_trips=(*before, *new)[-120:],
            **{name: int(data[name]) for name in counts},
        )


def _gap_text(data: dict[str, Any]) -> GapText:
    with _as_expected():
        lists = {name: rows for name, rows in data.items() if isinstance(rows, list) and rows}
        found = ", ".join(f"{len(rows)} {name.replace('_', ' ')}" for name, rows in lists.items())
        return GapText(_time(data["end"]), f"of {data['seconds']:.1f} s: {found or 'no change'}")


def _start_thread(work: Callable[[], None]) -> None:
    threading.Thread(target=work, name="ibkr watch", daemon=True).start()


def _time(text: str) -> datetime:
    return datetime.fromisoformat(text).astimezone(UTC)
