"""Elects the leader of a name: takes, renews, loses and hands over the lease, and assigns client ids.

This file has over 300 lines because all its code reads and writes the state of one member.
"""

from __future__ import annotations

import asyncio
import json
import logging
import sys
import time
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

from ibkr.core.fleet_settings import Fleet
from ibkr.core.frozen_record import replace
from ibkr.core.lease import Clocks, LeaseRole, LeaseStatus, LeaseTerm
from ibkr.core.serialization import sanitize_text
from ibkr.fleet.nats_package import KeyDeletedError, KeyNotFoundError, KeyValue, KeyWrongLastSequenceError
from ibkr.fleet.nats_store import (
    NATS_FAILURES,
    REQUEST_TIMEOUT,
    RETRY_AFTER,
    FleetStore,
    decode_entry,
    error_text,
    read_entries,
    watch_keys,
)
from ibkr.fleet.subjects import STANDBY_SLOTS, lease_key

logger = logging.getLogger("ibkr.fleet")

_RENEWALS = 5
"""Renewals sent within the lifetime of a lease."""
_SWITCH_TIMEOUT = 3.0
"""Seconds to wait, at a hand-over, for a session with another client id."""
_YIELD_FOR = 5.0
"""Seconds for which a member does not try to lead after it has handed over."""
_LEADER_SLOT = 0


def read_clocks() -> Clocks:
    """Return the present moment by both clocks."""
    return Clocks(_seconds_since_boot(), time.time())


def _seconds_since_boot() -> float:
    """Return the time of a clock that also runs while the computer sleeps."""
    if sys.platform == "win32":
        return time.monotonic()  # on Windows it runs during sleep
    else:
        # On macOS CLOCK_MONOTONIC runs during sleep.
        return time.clock_gettime(getattr(time, "CLOCK_BOOTTIME", time.CLOCK_MONOTONIC))


class NoFreeClientId(Exception):
    """Every client id of the range is assigned."""


class Election:
    """One member's part in the election, in the event loop that runs ``run``.

    Args:
        fleet: The settings of the fleet.
        store: The fleet's data in NATS.
        gateway: The gateway's name in NATS subjects, see ``core.fleet_settings.gateway_token``.
        instance_info: What the other members see of this process: ``host``, ``pid`` and the unique ``instance``.
        journal: Identifies the journal that this member writes as leader; empty if it writes none.
        clocks: Returns the present moment.
        on_lease: Called with each change of ``lease``.
    """

    def __init__(
        self,
        fleet: Fleet,
        store: FleetStore,
        gateway: str,
        instance_info: dict[str, Any],
        journal: str,
        clocks: Callable[[], Clocks],
        on_lease: Callable[[LeaseStatus], None],
    ) -> None:
        self._fleet, self._store, self._gateway, self._instance_info = fleet, store, gateway, instance_info
        self._journal, self._clocks, self._on_lease = journal, clocks, on_lease
        self.lease: LeaseStatus | None = None
        self.term: LeaseTerm | None = None
        self.client_id_in_use = 0
        """The client id of the program's newest session."""
        self.watch_restart = asyncio.Event()
        """Set this event to restart the watch of the leader."""
        self._held_slots: dict[int, int] = {}
        """The slots that this member holds, each with the revision of its entry."""
        self._leader: dict[str, Any] | None = None
        self._leader_revision: int | None = None
        self._leader_until = 0.0
        """When the leader's lease expires, as far as this member knows, in the loop's time."""
        self._changed = asyncio.Event()
        self._yields_until = 0.0
        self._is_handing_over = False

    @property
    def is_leader(self) -> bool:
        """Whether this member leads, as far as it knows."""
        return _LEADER_SLOT in self._held_slots

    async def run(self) -> None:
        """Lead or stand by, until cancelled. Run ``watch_leader`` and ``watch_expiry`` at the same time."""
        while True:
            try:
                if self.is_leader or (self._may_lead() and await self._claim(_LEADER_SLOT)):
                    await self._lead()
                else:
                    await self._stand_by()
            except NATS_FAILURES as error:
                logger.info("The fleet's servers did not answer: %s", error_text(error))
                await asyncio.sleep(RETRY_AFTER)
            except NoFreeClientId as error:
                logger.error("%s", error)
                await asyncio.sleep(5)

    async def watch_leader(self) -> None:
        """Follow who leads, until cancelled."""
        await watch_keys(self._store.leases, self._key(_LEADER_SLOT), self._handle_leader_entry, self.watch_restart)

    async def release_all(self) -> None:
        """Release all slots of this member. Another member can then lead immediately.

        Raises one of ``NATS_FAILURES``.
        """
        self.term = None
        for slot in list(self._held_slots):
            await self._release(slot)

    async def hand_over(self) -> str:
        """Let another member lead. Returns why no other will, or an empty text. Raises one of ``NATS_FAILURES``."""
        if not self.is_leader:
            return "this program does not lead"
        others = await read_entries(self._store.leases, f"{self._gateway}.{self._fleet.name}.*")
        if not any(decode_entry(entry) and not key.endswith(f".{_LEADER_SLOT}") for key, entry in others.items()):
            return "no other program of this name stands by"
        self._is_handing_over = True
        self._changed.set()
        return ""

    def client_id_changed(self, client_id: int) -> None:
        """Record that the program has ended its session and starts a session with this client id."""
        self.client_id_in_use = client_id
        self._changed.set()

    def _key(self, slot: int) -> str:
        return lease_key(self._gateway, self._fleet.name, slot)

    def _handle_leader_entry(self, entry: KeyValue.Entry | None) -> None:
        if entry is None:
            return
        self._leader = decode_entry(entry)
        # The servers delete an expired lease with a delay. If the leader has not renewed its lease in time, check the
        # lease again soon.
        lifetime = self._store.lifetime if entry.revision != self._leader_revision else RETRY_AFTER / 2
        self._leader_revision = entry.revision
        self._leader_until = asyncio.get_running_loop().time() + (lifetime if self._leader is not None else 0.0)
        self._changed.set()

    # --- one slot ---------------------------------------------------------------------------------

    def _lease_value(self) -> bytes:
        return json.dumps({**self._instance_info, "since": self._since}).encode()

    _since = ""

    async def _claim(self, slot: int) -> bool:
        """Take a free slot. Returns whether this member holds it now. Raises one of ``NATS_FAILURES``."""
        self._since = datetime.now(UTC).isoformat(timespec="seconds")
        sent = self._clocks()
        try:
            revision = await self._store.leases.create(self._key(slot), self._lease_value())
        except KeyWrongLastSequenceError:
            entry = await self._entry(slot)
            value = decode_entry(entry)
            if entry is None or entry.revision is None or value is None:
                return False
            if value.get("instance") != self._instance_info["instance"]:
                if slot == _LEADER_SLOT:
                    self._handle_leader_entry(entry)
                return False
            # The server has received an earlier claim of this member, but the server's answer was lost.
            sent = self._clocks()
            revision = await self._store.leases.update(self._key(slot), self._lease_value(), last=entry.revision)
        self._held_slots[slot] = revision
        if slot == _LEADER_SLOT:
            self.term = LeaseTerm(sent, self._store.lifetime)
        return True

    async def _renew(self, slot: int) -> bool:
        """Renew a slot. Returns whether this member still holds it. Raises one of ``NATS_FAILURES``."""
        sent = self._clocks()
        try:
            async with asyncio.timeout(min(REQUEST_TIMEOUT, self._store.lifetime / _RENEWALS)):
                last = self._held_slots[slot]
                self._held_slots[slot] = await self._store.leases.update(
                    self._key(slot), self._lease_value(), last=last
                )
        except KeyWrongLastSequenceError:
            since = self._since
            if not await self._claim(slot):
                del self._held_slots[slot]
                return False
            self._since = since
            return True
        if slot == _LEADER_SLOT:
            self.term = LeaseTerm(sent, self._store.lifetime)
        return True

    async def _release(self, slot: int) -> None:
        revision = self._held_slots.pop(slot)
        await self._store.leases.delete(self._key(slot), last=revision)

    async def _entry(self, slot: int) -> KeyValue.Entry | None:
        try:
            return await self._store.leases.get(self._key(slot))
        except (KeyNotFoundError, KeyDeletedError):
            return None

    # --- the leader -------------------------------------------------------------------------------

    def _may_lead(self) -> bool:
        now = asyncio.get_running_loop().time()
        leader = self._leader
        if leader is None or leader.get("instance") == self._instance_info["instance"]:
            # The lease can be this member's own: the servers received its claim, but their answer was lost.
            return now >= self._yields_until
        return now >= max(self._leader_until, self._yields_until)

    async def _lead(self) -> None:
        """Lead until the lease is lost or handed over. Raises one of ``NATS_FAILURES`` if a hand-over fails.

        It also raises one of these if the start fails. Then nothing was published.
        """
        client_id, knows_former = await self._assign_client_id(_LEADER_SLOT)
        for slot in [slot for slot in self._held_slots if slot != _LEADER_SLOT]:
            await self._release(slot)
        self._is_handing_over = False
        since = datetime.fromisoformat(self._since)
        self._publish(
            LeaseStatus(
                self._fleet.name,
                LeaseRole.LEADER,
                client_id,
                True,
                "",
                _holder_text(self._instance_info),
                since,
                knows_former,
            )
        )
        every = self._store.lifetime / _RENEWALS
        while True:
            await self._wait(every, lambda: self._is_handing_over)
            if self._is_handing_over:
                await self._step_down()
                return
            try:
                if not await self._renew(_LEADER_SLOT):
                    break
            except NATS_FAILURES as error:
                logger.info("The lease of %s could not be renewed: %s", self._fleet.name, error_text(error))
                every = RETRY_AFTER
                continue
            every = self._store.lifetime / _RENEWALS
            self._show_held()
        self.term = None
        self._show_expired(f"the fleet's lease was lost: {_holder_text(self._leader)} leads")

    async def _step_down(self) -> None:
        """Hand over the lead: first end the session with the name's client id, then release the lease."""
        self._yields_until = asyncio.get_running_loop().time() + self._store.lifetime + _YIELD_FOR
        self._is_handing_over = False
        standby_id = await self._take_standby_slot()
        if standby_id is None:
            return
        self._show_standby(standby_id, "standby: the lead is being handed over")
        await self._wait(_SWITCH_TIMEOUT, lambda: self.client_id_in_use == standby_id)
        self.term = None
        if _LEADER_SLOT in self._held_slots:
            await self._release(_LEADER_SLOT)

    def _show_held(self) -> None:
        """Publish that the lease was renewed."""
        lease = self.lease
        if lease is not None and lease.is_leader and not lease.is_held:
            self._publish(replace(lease, is_held=True, reason=""))

    def _show_expired(self, why: str) -> None:
        lease = self.lease
        if lease is not None and lease.is_leader and lease.is_held:
            self._publish(replace(lease, is_held=False, reason=why))

    def report_expired(self, why: str) -> None:
        """Publish that the lease may not be trusted, and later that it may be trusted again."""
        self._show_expired(why)
        if self.term is not None and not self.term.why_not(self._clocks()):
            self._show_held()

    async def watch_expiry(self) -> None:
        """Publish that the lease has expired, as soon as one of the clocks shows it."""
        while True:
            lease, term = self.lease, self.term
            wait = 0.5
            if lease is not None and lease.is_leader and lease.is_held and term is not None:
                now = self._clocks()
                if why := term.why_not(now):
                    logger.warning("%s may not trade: %s", self._fleet.name, why)
                    self._show_expired(why)
                else:
                    wait = min(wait, term.left(now))
            await asyncio.sleep(wait)

    # --- a standby --------------------------------------------------------------------------------

    async def _stand_by(self) -> None:
        """Stand by until there seems to be no leader. Raises one of ``NATS_FAILURES``."""
        standby_id = await self._take_standby_slot()
        every = self._store.lifetime / _RENEWALS
        loop = asyncio.get_running_loop()
        due = loop.time() + every
        while not self._may_lead():
            if standby_id is not None:
                self._show_standby(standby_id, _standby_reason(self._leader))
            until = max(self._leader_until if self._leader is not None else 0.0, self._yields_until)
            await self._wait(max(min(due, until) - loop.time(), 0.01), lambda: False)
            if loop.time() >= due:
                due = loop.time() + every
                for slot in list(self._held_slots):
                    if not await self._renew(slot):
                        return

    async def _take_standby_slot(self) -> int | None:
        """Take a slot and return its client id; ``None`` if all are taken. Raises one of ``NATS_FAILURES``."""
        for slot in (*(slot for slot in self._held_slots if slot != _LEADER_SLOT), *STANDBY_SLOTS):
            if slot in self._held_slots or await self._claim(slot):
                client_id, _ = await self._assign_client_id(slot)
                return client_id
        logger.error("The fleet has no free slot for another standby of %s", self._fleet.name)
        return None

    def _show_standby(self, client_id: int, reason: str) -> None:
        leader = self._leader or {}
        self._publish(
            LeaseStatus(
                self._fleet.name,
                LeaseRole.STANDBY,
                client_id,
                False,
                reason,
                _holder_text(leader) if leader else "",
                _parse_time(leader.get("since")),
            )
        )

    def _publish(self, lease: LeaseStatus) -> None:
        if lease != self.lease:
            before = self.lease
            self.lease = lease
            if before is None or before.role is not lease.role:
                words = f"leads with client id {lease.client_id}" if lease.is_leader else lease.reason
                logger.info("%s at %s: %s", self._fleet.name, self._gateway, words)
            self._on_lease(lease)

    async def _wait(self, seconds: float, enough: Callable[[], bool]) -> None:
        """Wait at most this many seconds: a leader until ``enough`` is true, a standby only until the next change."""
        loop = asyncio.get_running_loop()
        end = loop.time() + seconds
        while not enough() and (left := end - loop.time()) > 0:
            self._changed.clear()
            try:
                async with asyncio.timeout(left):
                    await self._changed.wait()
            except TimeoutError:
                return
            if not self.is_leader:
                return

    # --- client ids -------------------------------------------------------------------------------

    async def _assign_client_id(self, slot: int) -> tuple[int, bool]:
        """Return the client id of the name's slot, and whether this member knows the former leader's orders.

        The second value is true if nobody led before, or if the last leader wrote the same journal.

        Raises:
            NoFreeClientId: All client ids are assigned.
            NATS_FAILURES: One of these errors, if a request to the servers fails.
        """
        owner, prefix = f"{self._fleet.name}.{slot}", f"{self._gateway}."
        mine = {"owner": owner, "journal": self._journal, "host": self._instance_info["host"]}
        given = await read_entries(self._store.ids, f"{prefix}*")
        for key, entry in sorted(given.items()):
            value = decode_entry(entry)
            if value is not None and value.get("owner") == owner:
                if value != mine:
                    await self._store.ids.update(key, json.dumps(mine).encode(), last=entry.revision)
                former = value.get("journal", "")
                return int(key.removeprefix(prefix)), bool(former) and former == self._journal
        for client_id in self._fleet.client_id_range:
            key = f"{prefix}{client_id}"
            if key in given:
                continue
            try:
                await self._store.ids.create(key, json.dumps(mine).encode())
            except KeyWrongLastSequenceError:
                continue  # another program has taken this client id first
            return client_id, True
        raise NoFreeClientId(
            f"The client ids {self._fleet.client_ids} of the fleet are all assigned at {self._gateway}: widen"
            " client_ids of every program, or release ids with 'ibkr fleet forget NAME'"
        )


def _holder_text(instance_info: dict[str, Any] | None) -> str:
    instance_info = instance_info or {}
    return sanitize_text(f"{instance_info.get('host', 'another program')} (process {instance_info.get('pid', '?')})")


def _parse_time(text: object) -> datetime | None:
    """Parse a time in ISO format; ``None`` if it is not a time, or has no zone."""
    try:
        moment = datetime.fromisoformat(str(text))
    except ValueError:
        return None
    return moment if moment.tzinfo is not None else None


def _standby_reason(leader: dict[str, Any] | None) -> str:
    if leader is None:
        return "standby: nobody leads at the moment"
    since = _parse_time(leader.get("since"))
    return f"standby: {_holder_text(leader)} leads" + (f" since {since:%Y-%m-%d %H:%M:%S} UTC" if since else "")
