"""The state of a fleet in one place: every gateway and program, who leads, who may trade, and what went wrong."""

from __future__ import annotations

import asyncio
import json
import logging
import time
from collections.abc import Callable, Iterable
from datetime import UTC, datetime, timedelta
from typing import Any

from ibkr.core.fleet_settings import Fleet
from ibkr.core.serialization import sanitize_text
from ibkr.fleet.membership_thread import HEARTBEAT
from ibkr.fleet.nats_package import ConsumerConfig, DeliverPolicy, KeyValue, Msg
from ibkr.fleet.nats_store import (
    NATS_FAILURES,
    RETRY_AFTER,
    FleetStore,
    connect,
    decode_entry,
    decode_halt,
    error_text,
    ignore_failures,
    open_store,
    read_server_ahead,
    run_until_first_ends,
    watch_keys,
)
from ibkr.fleet.subjects import EVENTS, HALT_KEY, MEMBER_TTL

logger = logging.getLogger("ibkr.fleet")

LOST_AFTER = 3 * HEARTBEAT
"""Seconds without a heartbeat after which a program is shown as lost."""
OUTAGE_HOURS = 24
"""The board lists the outages of this many hours."""
_CHECK_EVERY = 1.0
_MAX_OUTAGES = 1000
JsonObject = dict[str, Any]


class Board:
    """Collects the state of the fleet while ``run`` runs, in one event loop.

    Args:
        fleet: The servers to read from.
        on_change: Called after every change.
        on_alert: Called one time with each new alert.
    """

    def __init__(
        self,
        fleet: Fleet,
        on_change: Callable[[], None] = lambda: None,
        on_alert: Callable[[JsonObject], None] = lambda alert: None,
    ) -> None:
        self._fleet, self._on_change, self._on_alert = fleet, on_change, on_alert
        self._members: dict[str, tuple[JsonObject, float]] = {}
        self._revisions: dict[str, int | None] = {}
        self._halt: JsonObject | None = None
        self._outages: dict[tuple[Any, ...], JsonObject] = {}
        self._watch_restarts = [asyncio.Event(), asyncio.Event()]
        self._alerted: set[str] = set()
        self._last_heartbeat_at = 0.0
        self._server_ahead = timedelta()
        self._complete_watches = 0
        self.is_complete = asyncio.Event()
        """Set when everything that the servers had stored is known."""
        self.store: FleetStore | None = None
        self.trouble = ""
        """Why the servers do not answer, or an empty text if they answer."""

    def to_dict(self) -> JsonObject:
        """Return the board in JSON's types. Account ids are masked."""
        now = time.monotonic()
        programs = [program_row(value, now - at) for value, at in self._members.values()]
        return {
            "as_of": datetime.now(UTC).isoformat(timespec="milliseconds"),
            "servers": self._fleet.shown_servers,
            "trouble": self.trouble,
            "halt": self._halt,
            "gateways": group_by_gateway(programs),
            "alerts": find_alerts(programs),
            "outages": sorted(self._outages.values(), key=lambda outage: str(outage.get("began_at")), reverse=True),
        }

    async def run(self) -> None:
        """Follow the fleet until cancelled. Raises ``ConfigError`` and ``OSError`` if the settings cannot work."""
        try:
            await self._follow()
        except Exception as error:
            self._connection_failed(error_text(error))
            raise

    async def _follow(self) -> None:
        async with connect(self._fleet, self._fleet.name, self._connection_failed, self._connection_restored) as client:
            self.store = store = await self._open_store(client)
            self._last_heartbeat_at = time.monotonic()
            self._server_ahead = await read_server_ahead(store)
            await run_until_first_ends(
                watch_keys(store.members, ">", self._handle_heartbeat, self._watch_restarts[0]),
                watch_keys(store.halt, HALT_KEY, self._handle_halt, self._watch_restarts[1]),
                self._follow_outages(store),
                self._check_members(),
            )

    async def _open_store(self, client: Any) -> FleetStore:
        while True:
            try:
                store = await open_store(client, self._fleet)
            except NATS_FAILURES as error:
                self._connection_failed(error_text(error))
                await asyncio.sleep(RETRY_AFTER)
            else:
                self.trouble = ""
                return store

    def _connection_failed(self, words: str) -> None:
        self.trouble = words
        self._on_change()

    def _connection_restored(self) -> None:
        self.trouble = ""
        for watch_restart in self._watch_restarts:
            watch_restart.set()

    def _handle_heartbeat(self, entry: KeyValue.Entry | None) -> None:
        self._last_heartbeat_at = now = time.monotonic()
        if entry is None:
            self._watch_complete()
        elif (value := decode_entry(entry)) is None:
            self._forget_member(entry.key)
        elif entry.revision != self._revisions.get(entry.key):  # a restarted watch repeats known entries
            self._revisions[entry.key] = entry.revision
            # The first values of a watch may be old. The servers know when they received each value.
            age = 0.0 if self._complete_watches >= 2 else _age(entry.created, self._server_ahead)
            self._members[entry.key] = value, now - age
        self._on_change()

    def _forget_member(self, key: str) -> None:
        self._members.pop(key, None)
        self._revisions.pop(key, None)

    def _handle_halt(self, entry: KeyValue.Entry | None) -> None:
        if entry is None:
            self._watch_complete()
        else:
            halt = decode_halt(entry)
            self._halt = None if halt is None else {str(key): _as_text(value) for key, value in halt.items()}
            self._on_change()

    def _watch_complete(self) -> None:
        self._complete_watches += 1
        if self._complete_watches >= 2:
            self.is_complete.set()

    async def _follow_outages(self, store: FleetStore) -> None:
        async def handle_event(message: Msg) -> None:
            try:
                event = json.loads(message.data)
                data = {str(key): _as_text(value) for key, value in event["data"].items()}
                who = {name: _as_text(event[name]) for name in ("gateway", "name", "instance")}
                self._outages[(*who.values(), data["began_at"])] = who | data
            except (ValueError, KeyError, TypeError, AttributeError, RecursionError):
                logger.debug("An event of %s cannot be read", message.subject)
                return
            while len(self._outages) > _MAX_OUTAGES:
                del self._outages[next(iter(self._outages))]
            self._on_change()

        since = datetime.now(UTC) - timedelta(hours=OUTAGE_HOURS)
        config = ConsumerConfig(deliver_policy=DeliverPolicy.BY_START_TIME, opt_start_time=since)
        subject = "ibkr.events.*.*.outage"
        while True:
            try:
                subscription = await store.js.subscribe(
                    subject, stream=EVENTS, cb=handle_event, ordered_consumer=True, config=config
                )
                break
            except NATS_FAILURES as error:
                logger.info("The fleet's outages cannot be read: %s", error_text(error))
                await asyncio.sleep(RETRY_AFTER * 4)
        try:
            await asyncio.Event().wait()
        finally:
            await ignore_failures(subscription.unsubscribe)

    async def _check_members(self) -> None:
        """Look for new alerts, and restart the watch of the heartbeats when it seems to be dead."""
        while True:
            oldest = time.monotonic() - MEMBER_TTL
            for key in [key for key, (_, at) in self._members.items() if at < oldest]:
                self._forget_member(key)
                self._on_change()
            alerts = {alert["key"]: alert for alert in self.to_dict()["alerts"]}
            for key in alerts.keys() - self._alerted:
                logger.warning("Alert: %s", alerts[key]["words"])
                self._on_alert(alerts[key])
            if alerts.keys() != self._alerted:
                self._alerted = set(alerts)
                self._on_change()
            if time.monotonic() - self._last_heartbeat_at > LOST_AFTER and self._members:
                self._last_heartbeat_at = time.monotonic()
                self._watch_restarts[0].set()
            await asyncio.sleep(_CHECK_EVERY)


def _age(created: Any, server_ahead: timedelta) -> float:  # a datetime, although its type says int
    age = timedelta() if created is None else datetime.now(UTC) + server_ahead - created
    return max(0.0, age.total_seconds())


def program_row(heartbeat: JsonObject, age: float) -> JsonObject:
    """Return one program's row, from its last heartbeat ``age`` seconds ago. The heartbeat's values are not trusted."""
    status, is_lost = _as_dict(heartbeat.get("status")), age > LOST_AFTER
    lease = _as_dict(status.get("lease"))
    silence = f"no heartbeat for {age:.0f} s" if is_lost else ""
    return {
        **{name: _as_text(heartbeat.get(name)) for name in ("gateway", "name", "host", "pid")},
        **{
            name: _as_text(status.get(name))
            for name in ("endpoint", "client_id", "state", "upstream", "session", "alert")
        },
        "role": _as_text(lease.get("role")),
        "since": _as_text(lease.get("since")),
        "may_trade": status.get("may_trade") is True and not is_lost,
        "reason": silence or _as_text(status.get("may_trade_reason") or status.get("reason")),
        "is_lost": is_lost,
        "age": round(age, 1),
    }


def _as_dict(value: object) -> JsonObject:
    return value if isinstance(value, dict) else {}


def _as_text(value: object) -> Any:
    """Return a number or ``None`` unchanged, and anything else as short, printable text."""
    return value if value is None or type(value) is int else sanitize_text(str(value))


def group_by_gateway(programs: Iterable[JsonObject]) -> list[JsonObject]:
    """Group the programs by gateway, leaders first."""
    found: dict[str, list[JsonObject]] = {}
    for program in programs:
        found.setdefault(str(program["gateway"]), []).append(program)
    return [
        {
            "gateway": gateway,
            "may_trade": sum(each["may_trade"] for each in found[gateway]),
            "programs": sorted(
                found[gateway], key=lambda each: (str(each["name"]), each["role"] != "leader", str(each["host"]))
            ),
        }
        for gateway in sorted(found)
    ]


def find_alerts(programs: Iterable[JsonObject]) -> list[JsonObject]:
    """Return one alert per cause, even if the cause affects many programs, such as a gateway or a host that is down."""
    found: dict[str, list[JsonObject]] = {}
    words: dict[str, str] = {}
    for program in programs:
        if program["is_lost"]:
            key, text = f"lost {program['host']}", f"no heartbeat from {program['host']}"
        elif not program["alert"]:
            continue
        elif "(326)" in str(program["alert"]):
            key, text = f"id {program['gateway']} {program['name']}", str(program["alert"])
        elif program["session"] in ("none", "opening", "suspect"):
            key, text = f"gateway {program['gateway']}", f"gateway {program['gateway']}: {program['reason']}"
        elif program["upstream"] == "down":
            key = f"upstream {program['gateway']}"
            text = f"gateway {program['gateway']} has lost its link to IB's servers"
        else:
            key = f"program {program['gateway']} {program['name']} {program['alert']}"
            text = f"{program['name']} at {program['gateway']}: {program['reason']}"
        found.setdefault(key, []).append(program)
        words.setdefault(key, text)
    return [
        {"key": key, "words": f"{words[key]} ({_names(found[key])})", "programs": [each["name"] for each in found[key]]}
        for key in sorted(found)
    ]


def _names(programs: list[JsonObject]) -> str:
    names = sorted({str(each["name"]) for each in programs})
    return ", ".join(names) if len(names) <= 3 else f"{', '.join(names[:3])} and {len(names) - 3} more"
