"""Connects a connector with its fleet: leases and halts go to the event loop; statuses and reports go to the fleet."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Callable
from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING, Any

from ibkr.core.connection_settings import ConnectionSettings
from ibkr.core.errors import FleetError
from ibkr.core.events import LeaseChanged
from ibkr.core.fleet_settings import Fleet
from ibkr.core.gap_report import GapReport
from ibkr.core.lease import LeaseStatus
from ibkr.core.outage import Outage
from ibkr.core.serialization import mask_json
from ibkr.core.status import Status
from ibkr.fleet.member import Member
from ibkr.fleet.nats_store import cancel_id
from ibkr.journal.halt_file import new_halt
from ibkr.runtime.listeners import Listeners
from ibkr.runtime.loop_context import LoopContext

if TYPE_CHECKING:
    from ibkr.runtime.supervision import Supervision
    from ibkr.session.session import Session

_LEAVE_SECONDS = 1.5
"""Seconds that leaving the fleet may take."""


class FleetLink:
    """One connector's membership in a fleet."""

    def __init__(
        self,
        fleet: Fleet,
        settings: ConnectionSettings,
        context: LoopContext,
        supervision: Supervision[Session],
    ) -> None:
        self._fleet, self._context = fleet, context
        self._supervision, self._halt = supervision, supervision.session.halt
        self._is_wanted = self._has_begun = False
        self._joining: asyncio.Task[None] | None = None
        self._fleet_halt: dict[str, Any] | None = None
        self._lead_listeners = Listeners[Status]("lead")
        self._standby_listeners = Listeners[Status]("standby")
        self._notify_lead = LeadChanges(self._lead_listeners.notify, self._standby_listeners.notify)
        journal = os.path.abspath(os.path.expanduser(settings.journal)) if settings.journal else ""
        self.member = Member(
            fleet,
            settings.host,
            settings.port,
            journal,
            on_lease=self._lease_changed,
            on_halt=self._halt_changed,
            read_status=lambda: supervision.status,
        )
        self.on_lead, self.on_standby = self._lead_listeners.add, self._standby_listeners.add

    def begin(self) -> None:
        """Join the fleet in the running loop, without a time limit. Then request a connection."""
        if self._joining is None or self._joining.done():
            self._joining = asyncio.get_running_loop().create_task(self._join_and_begin(), name="ibkr-fleet")

    async def _join_and_begin(self) -> None:
        await self.join(None)
        self._supervision.begin(wait=True)

    async def connect(self, *, wait: bool, timeout: float) -> bool:  # noqa: ASYNC109 - the timeout of one attempt
        """Join the fleet, then connect. See ``IBConnector.connect``. Also raises ``FleetError``."""
        if not self._supervision.is_over:
            return await self._supervision.connect(wait=wait)
        await self.join(None if wait else timeout)
        try:
            return await self._supervision.connect(wait=wait)
        finally:
            if self._supervision.is_over:
                await self.leave()

    async def join(self, timeout: float | None) -> None:  # noqa: ASYNC109 - the timeout of one attempt, as in the connector
        """Join the fleet in the running loop, and wait until the leader is known.

        Raises ``FleetError`` if the leader is not known after ``timeout`` seconds.
        """
        self._is_wanted = True
        joined = self.member.start()
        try:
            async with asyncio.timeout(timeout):
                await asyncio.shield(asyncio.wrap_future(joined))
        except TimeoutError as error:
            trouble = self.member.trouble or "no answer"
            await self.leave()
            raise FleetError(
                f"the fleet's servers ({self._fleet.shown_servers}) did not answer within {timeout:g} s: {trouble}."
                " Start them, or correct ibkr.fleet; connect(wait=True) waits for them"
            ) from error
        except BaseException:
            self.member.leave()
            raise
        self._apply_halt()
        assert self.member.lease is not None, "it has joined"
        self._apply_lease(self.member.lease)

    async def leave(self) -> None:
        """Leave the fleet. Wait for the end without blocking the loop."""
        self._is_wanted = False
        self.member.leave()
        await asyncio.to_thread(self.member.wait_ended, _LEAVE_SECONDS)

    def leave_now(self) -> None:
        """Leave the fleet if no loop runs here, and wait for the end."""
        self._is_wanted = False
        self.member.leave()
        self.member.wait_ended(_LEAVE_SECONDS)

    def why_not_held(self) -> str:
        """Why the lease cannot be trusted now. Empty if it can be trusted."""
        return self.member.why_not_held()

    def after_fork(self) -> None:
        """In a forked process: leave the membership to the parent."""
        self.member.drop_after_fork()

    def status_changed(self, status: Status) -> None:
        """Publish a new status. If a connection is no longer requested, release the lease."""
        if not status.state.is_over:
            self._has_begun = True
            self.member.status_changed(status)
        elif self._has_begun:
            self._has_begun = self._is_wanted = False
            self.member.leave()
        self._notify_lead(status)

    def outage_changed(self, outage: Outage) -> None:
        """Publish that an outage has begun or ended."""
        accounts = self._supervision.latest.accounts
        self.member.publish("outage", lambda: mask_json(outage.to_dict(), accounts))

    def gap_reported(self, report: GapReport) -> None:
        """Publish a gap report."""
        self.member.publish("gap", report.to_dict)

    # The methods below run in the member's thread.

    def _lease_changed(self, lease: LeaseStatus) -> None:
        self._in_loop(partial(self._apply_lease, lease))

    def _halt_changed(self, halt: dict[str, Any] | None) -> None:
        self._fleet_halt = halt
        self._in_loop(self._apply_halt)

    def _in_loop(self, act: Callable[[], None]) -> None:
        loop = self._context.loop
        if loop is not None and not loop.is_closed():
            try:
                loop.call_soon_threadsafe(act)
            except RuntimeError:  # the loop has just been closed: nobody waits for this call
                return

    # The methods below run in the connector's loop.

    def _apply_lease(self, lease: LeaseStatus) -> None:
        if self._is_wanted:
            self._supervision.post(LeaseChanged(lease))

    def _apply_halt(self) -> None:
        halt_values = self._fleet_halt
        if halt_values is None:
            self._halt.set_fleet_halt(None, self.member.all_cancelled)
            return
        reason = (
            f"{halt_values.get('reason')} (all of the fleet, by {halt_values.get('by')}; 'ibkr resume --fleet' ends it)"
        )
        halt = new_halt(reason, str(halt_values.get("by")), cancel_all=bool(halt_values.get("cancel_all")))
        halt = replace(halt, at=str(cancel_id(halt_values)), cancelled_at=str(halt_values.get("cancelled_at") or ""))
        self._halt.set_fleet_halt(halt, self.member.all_cancelled)


class LeadChanges:
    """Calls ``on_lead`` when a program leads and has a session of its own, and ``on_standby`` when another leads."""

    def __init__(self, on_lead: Callable[[Status], None], on_standby: Callable[[Status], None]) -> None:
        self._on_lead, self._on_standby = on_lead, on_standby
        self._leads: bool | None = None

    def __call__(self, status: Status) -> None:
        """Check a new status."""
        lease = status.lease
        if status.state.is_over or lease is None:
            self._leads = None
        elif not lease.is_leader and self._leads is not False:
            self._leads = False
            self._on_standby(status)
        elif not self._leads and lease.is_leader and _has_session_of(lease, status):
            self._leads = True
            self._on_lead(status)


def _has_session_of(lease: LeaseStatus, status: Status) -> bool:
    """Whether the session has the client id of the lease, and is usable."""
    return status.client_id == lease.client_id and (status.is_connected or status.may_trade)
