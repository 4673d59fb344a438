"""A program's membership in a fleet, usable from any thread. ``membership_thread`` does the work."""

from __future__ import annotations

import concurrent.futures
import os
import secrets
import socket
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from ibkr.core.fleet_settings import Fleet, gateway_token
from ibkr.core.lease import Clocks, LeaseStatus
from ibkr.fleet.election import read_clocks
from ibkr.fleet.membership_thread import MembershipThread

if TYPE_CHECKING:
    from ibkr.core.status import Status


class Member:
    """Joins a fleet with ``start`` and leaves it with ``leave``; may be started again. Thread-safe.

    Args:
        fleet: The settings of the fleet.
        host: The gateway's host.
        port: The gateway's port.
        journal: Identifies the journal of this program; empty if it has none.
        on_lease: Called in the member's thread with each change of the lease.
        on_halt: Called in the member's thread with each change of the fleet's halt; ``None`` when the halt ends.
        read_status: Returns the present status of the program. Called in the member's thread.
        clocks: Returns the present moment.
    """

    def __init__(
        self,
        fleet: Fleet,
        host: str,
        port: int,
        journal: str,
        *,
        on_lease: Callable[[LeaseStatus], None],
        on_halt: Callable[[dict[str, Any] | None], None],
        read_status: Callable[[], Status],
        clocks: Callable[[], Clocks] = read_clocks,
    ) -> None:
        self._fleet, self._read_status, self.clocks = fleet, read_status, clocks
        self._on_lease, self._on_halt = on_lease, on_halt
        this_machine = socket.gethostname()
        self.gateway = gateway_token(fleet, host, port, this_machine)
        self._journal = f"{this_machine}:{journal}" if journal else ""
        self._host = this_machine
        self._thread: MembershipThread | None = None

    def start(self) -> concurrent.futures.Future[None]:
        """Begin to join the fleet, if not begun already. The future is done as soon as it is known who leads."""
        thread = self._thread
        if thread is None or thread.is_leaving:
            instance_info = {"host": self._host, "pid": os.getpid(), "instance": secrets.token_hex(6)}
            self._thread = thread = MembershipThread(
                self._fleet,
                self.gateway,
                instance_info,
                self._journal,
                self.clocks,
                self._on_lease,
                self._on_halt,
                self._read_status,
            )
            thread.start()
        return thread.joined

    def leave(self) -> None:
        """Begin to leave, so that another member may lead."""
        if self._thread is not None:
            self._thread.leave()

    def wait_ended(self, seconds: float) -> None:
        """Wait until this member has left the fleet, at most this many seconds."""
        if self._thread is not None and self._thread.is_leaving:
            self._thread.thread.join(seconds)

    def drop_after_fork(self) -> None:
        """Drop the membership in a forked process: its thread is in the parent."""
        self._thread = None

    @property
    def lease(self) -> LeaseStatus | None:
        """The lease now; ``None`` while it is not known who leads."""
        return self._thread.lease if self._thread is not None else None

    @property
    def trouble(self) -> str:
        """The last failure of the servers, as text; empty if the servers answer."""
        return self._thread.trouble if self._thread is not None else ""

    def why_not_held(self) -> str:
        """Return why the lease may not be trusted at this moment, or an empty text if it may be trusted."""
        thread = self._thread
        if thread is None or thread.is_leaving:
            return "this program has left the fleet"
        why = thread.why_not_held()
        if why:
            # The caller has learned that it may not trade. Publish this, and publish later when it may trade again.
            thread.run_in_thread(lambda thread: thread.report_lease_expired(why))
        return why

    def status_changed(self, status: Status) -> None:
        """Publish a new status to the fleet."""
        if self._thread is not None:
            self._thread.run_in_thread(lambda thread: thread.status_changed(status))

    def all_cancelled(self, at: str) -> None:
        """Record that the gateway has received the global cancel of the halt that began at this time."""
        if self._thread is not None:
            self._thread.run_in_thread(lambda thread: thread.all_cancelled(at))

    def publish(self, kind: str, data: Callable[[], dict[str, Any]]) -> None:
        """Publish an event. ``data`` is called in the member's thread."""
        if self._thread is not None:
            self._thread.run_in_thread(lambda thread: thread.publish(kind, data()))
