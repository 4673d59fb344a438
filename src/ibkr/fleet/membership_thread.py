"""The thread that maintains one program's membership in a fleet.

The thread has its own event loop. So a program can keep its lease, or release it, even if the program's own event loop
is idle, is blocked or has ended.

This file has over 300 lines because everything that this one thread does is here.
"""

from __future__ import annotations

import asyncio
import concurrent.futures
import json
import logging
import threading
from collections import deque
from collections.abc import Callable
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from ibkr.core.fleet_settings import Fleet
from ibkr.core.lease import Clocks, LeaseStatus
from ibkr.fleet.election import Election
from ibkr.fleet.nats_package import KV_DEL, KV_OP, KeyValue, Msg
from ibkr.fleet.nats_store import (
    NATS_FAILURES,
    RETRY_AFTER,
    FleetStore,
    cancel_id,
    connect,
    decode_entry,
    decode_halt,
    error_text,
    open_store,
    run_until_first_ends,
    watch_keys,
)
from ibkr.fleet.subjects import HALT_KEY, command_subject, event_subject

if TYPE_CHECKING:
    from ibkr.core.status import Status

logger = logging.getLogger("ibkr.fleet")

HEARTBEAT = 5.0
"""Seconds from one heartbeat to the next."""
_HEARTBEAT_DELAY = 0.05
"""Seconds for which changes of the status are collected into one heartbeat."""
_MAX_EVENTS = 1000
"""How many events to keep while the servers do not answer. If there are more, the oldest are dropped."""
_CANCEL_EVERY = 5.0
"""Seconds between two cancellations of the thread's work: the NATS client sometimes ignores a cancellation."""
_LEAVE_TIMEOUT = 1.0
"""Seconds that leaving may take."""


class MembershipThread:
    """One membership: a thread with its own event loop and connection to the servers."""

    def __init__(
        self,
        fleet: Fleet,
        gateway: str,
        instance_info: dict[str, Any],
        journal: str,
        clocks: Callable[[], Clocks],
        on_lease: Callable[[LeaseStatus], None],
        on_halt: Callable[[dict[str, Any] | None], None],
        read_status: Callable[[], Status],
    ) -> None:
        self._fleet, self._gateway, self._instance_info, self._journal = fleet, gateway, instance_info, journal
        self._clocks, self._on_lease, self._on_halt, self._read_status = clocks, on_lease, on_halt, read_status
        self.joined: concurrent.futures.Future[None] = concurrent.futures.Future()
        self.thread = threading.Thread(target=self._run_thread, name=f"ibkr-fleet {fleet.name}", daemon=True)
        self.is_leaving = False
        self.lease: LeaseStatus | None = None
        self.trouble = ""
        self._loop: asyncio.AbstractEventLoop | None = None
        self._loop_running = threading.Event()
        self._election: Election | None = None
        self._membership_task: asyncio.Task[None] | None = None
        self._events: deque[tuple[str, bytes]] = deque(maxlen=_MAX_EVENTS)
        self._has_events = asyncio.Event()
        self._heartbeat_due = asyncio.Event()
        self._halt_watch_restart = asyncio.Event()
        self._last_published: tuple[object, ...] = ()
        self._halt: dict[str, Any] | None = None
        self._cancelled: str | None = None
        self._store: FleetStore | None = None
        self._cancelled_write: asyncio.Task[None] | None = None

    # --- called from other threads ----------------------------------------------------------------

    def start(self) -> None:
        """Start the thread, and return when its loop runs."""
        self.thread.start()
        self._loop_running.wait()

    def leave(self) -> None:
        """Begin to leave the fleet."""
        self.is_leaving = True
        self.run_in_thread(
            lambda thread: thread._membership_task.cancel() if thread._membership_task is not None else None
        )

    def run_in_thread(self, act: Callable[[MembershipThread], object]) -> None:
        """Call ``act`` in the thread, if the thread still runs."""
        loop = self._loop
        if loop is not None and self.thread.is_alive():
            try:
                loop.call_soon_threadsafe(act, self)
            except RuntimeError:  # the loop was closed at the same time
                logger.debug("The fleet's thread has ended")

    def why_not_held(self) -> str:
        """Return why the lease may not be trusted at this moment, or an empty text if it may be trusted."""
        lease, election = self.lease, self._election
        if lease is None or election is None:
            return "it is not known yet who leads in the fleet"
        if not lease.is_held:
            return lease.reason
        term = election.term
        return "the fleet's lease is not held" if term is None else term.why_not(self._clocks())

    # --- called in the thread ---------------------------------------------------------------------

    def report_lease_expired(self, why: str) -> None:
        """Record that a caller knows that the lease may not be trusted."""
        if self._election is not None:
            self._election.report_expired(why)

    def _run_thread(self) -> None:
        try:
            asyncio.run(self._run_loop())
        finally:
            self.joined.cancel()

    async def _run_loop(self) -> None:
        self._loop = asyncio.get_running_loop()
        self._membership_task = work = self._loop.create_task(self._run_membership())
        self._loop_running.set()
        while not work.done():
            await asyncio.wait({work}, timeout=_CANCEL_EVERY)
            if self.is_leaving:
                work.cancel()

    async def _run_membership(self) -> None:
        try:
            async with connect(
                self._fleet, self._fleet.name, self._connection_failed, self._connection_restored
            ) as client:
                await self._run_tasks(await self._open_store(client))
        except asyncio.CancelledError:
            raise
        except BaseException as error:
            self.trouble = str(error)
            if not self.joined.done():
                self.joined.set_exception(error)
                return
            logger.critical("Internal error in the fleet's thread. Please report this.", exc_info=error)
            if self._election is not None:
                self._election.term = None
            if self.lease is not None and self.lease.is_held:
                from dataclasses import replace

                self._handle_lease(
                    replace(self.lease, is_held=False, reason=f"internal error in the fleet's thread: {error!r}")
                )

    async def _open_store(self, client: Any) -> FleetStore:
        while True:
            try:
                store = await open_store(client, self._fleet)
                if store.lifetime != self._fleet.lease:
                    words = "The fleet's leases last %g s, as stored on its servers, not %g s as configured"
                    logger.warning(words, store.lifetime, self._fleet.lease)
                return store
            except NATS_FAILURES as error:
                self._connection_failed(str(error) or f"no answer from JetStream ({type(error).__name__})")
                await asyncio.sleep(RETRY_AFTER)

    async def _run_tasks(self, store: FleetStore) -> None:
        election = Election(
            self._fleet, store, self._gateway, self._instance_info, self._journal, self._clocks, self._handle_lease
        )
        self._election, self._store = election, store
        halt_known = asyncio.Event()
        subject = command_subject(self._gateway, self._fleet.name)
        try:
            await store.nc.subscribe(subject, cb=self._handle_command)
            await run_until_first_ends(
                watch_keys(store.halt, ">", self._halt_handler(halt_known), self._halt_watch_restart),
                election.watch_leader(),
                election.watch_expiry(),
                self._run_election(election, halt_known),
                self._send_heartbeats(store),
                self._send_events(store),
            )
        finally:
            await self._leave_fleet(store, election)

    async def _run_election(self, election: Election, halt_known: asyncio.Event) -> None:
        await halt_known.wait()  # a program must not trade before it knows whether the fleet is halted
        await election.run()

    async def _leave_fleet(self, store: FleetStore, election: Election) -> None:
        if not store.nc.is_connected:
            return
        try:
            async with asyncio.timeout(_LEAVE_TIMEOUT):
                # ``nc.publish`` does not wait for the server. A slow server must not delay the release of the lease.
                await store.nc.publish(self._member_subject(store), headers={KV_OP: KV_DEL})
                await election.release_all()
                while self._events:
                    subject, data = self._events.popleft()
                    await store.js.publish(subject, data)
        except NATS_FAILURES as error:
            logger.info(
                "This program has left the fleet, but could not report this to the servers: %s", error_text(error)
            )

    def _connection_failed(self, words: str) -> None:
        if words != self.trouble:
            logger.warning("The fleet's servers (%s): %s", self._fleet.shown_servers, words)
            self.trouble = words

    def _connection_restored(self) -> None:
        logger.info("The fleet's servers are back")
        self.trouble = ""
        self._halt_watch_restart.set()
        if self._election is not None:
            self._election.watch_restart.set()

    def _handle_lease(self, lease: LeaseStatus) -> None:
        self.lease = lease
        self._heartbeat_due.set()
        self._on_lease(lease)
        if not self.joined.done():
            self.trouble = ""
            self.joined.set_result(None)

    def _halt_handler(self, known: asyncio.Event) -> Callable[[KeyValue.Entry | None], None]:
        def handle_entry(entry: KeyValue.Entry | None) -> None:
            if entry is None:
                known.set()
                return
            if entry.key == HALT_KEY:
                self._halt = decode_halt(entry)
            elif entry.key == self._cancelled_key:
                self._cancelled = (decode_entry(entry) or {}).get("at")
            else:
                return
            halt = self._halt
            is_cancelled = halt is not None and cancel_id(halt) == self._cancelled
            self._on_halt(None if halt is None else {**halt, "cancelled_at": self._cancelled if is_cancelled else ""})

        return handle_entry

    @property
    def _cancelled_key(self) -> str:
        return f"cancelled.{self._gateway}"

    async def _write_cancelled(self, at: str) -> None:
        store = self._store
        if store is not None:
            try:
                await store.halt.put(self._cancelled_key, json.dumps({"at": at, **self._instance_info}).encode())
            except NATS_FAILURES as error:
                logger.warning("The fleet did not receive the message that all orders are cancelled: %s", error)

    def all_cancelled(self, at: str) -> None:
        """Record that the gateway has received the global cancel of the halt that began at this time."""
        self._cancelled_write = asyncio.get_running_loop().create_task(self._write_cancelled(at))

    async def _handle_command(self, message: Msg) -> None:
        election = self._election
        if election is None or not election.is_leader or message.data != b"hand-over":
            return
        try:
            why_not = await election.hand_over()
            await message.respond(json.dumps({"ok": not why_not, "words": why_not}).encode())
        except NATS_FAILURES as error:
            logger.info("A hand-over could not begin: %s", error)

    # --- what other members see -------------------------------------------------------------------

    @property
    def _member_key(self) -> str:
        return f"{self._gateway}.{self._fleet.name}.{self._instance_info['instance']}"

    def status_changed(self, status: Status) -> None:
        """Publish a new status in the heartbeat, and as an event if an important field has changed."""
        self._heartbeat_due.set()
        if self._election is not None:
            self._election.client_id_changed(status.client_id)
        key = status.state, status.may_trade, status.alert, status.lease and status.lease.role
        if key != self._last_published:
            self._last_published = key
            self.publish("status", status.to_dict())

    def publish(self, kind: str, data: dict[str, Any]) -> None:
        """Send an event as soon as the servers accept it."""
        at = datetime.now(UTC).isoformat(timespec="milliseconds")
        event = {
            "at": at,
            "gateway": self._gateway,
            "name": self._fleet.name,
            **self._instance_info,
            "kind": kind,
            "data": data,
        }
        subject = event_subject(self._gateway, self._fleet.name, kind)
        self._events.append((subject, json.dumps(event).encode()))
        self._has_events.set()

    async def _send_events(self, store: FleetStore) -> None:
        while True:
            await self._has_events.wait()
            self._has_events.clear()
            while self._events:
                subject, data = self._events[0]
                try:
                    await store.js.publish(subject, data)
                except NATS_FAILURES:
                    await asyncio.sleep(RETRY_AFTER * 4)
                    continue
                if self._events and self._events[0][1] is data:
                    self._events.popleft()

    def _member_subject(self, store: FleetStore) -> str:
        return f"$KV.{store.members._name}.{self._member_key}"

    async def _send_heartbeats(self, store: FleetStore) -> None:
        subject = self._member_subject(store)
        while True:
            self._heartbeat_due.clear()
            status = self._read_status()
            heartbeat = {
                **self._instance_info,
                "gateway": self._gateway,
                "name": self._fleet.name,
                "sent_at": datetime.now(UTC).isoformat(timespec="milliseconds"),
                "status": status.to_dict(),
            }
            if store.nc.is_connected:
                await store.nc.publish(subject, json.dumps(heartbeat).encode())
            try:
                async with asyncio.timeout(HEARTBEAT):
                    await self._heartbeat_due.wait()
                    await asyncio.sleep(_HEARTBEAT_DELAY)
            except TimeoutError:
                continue
