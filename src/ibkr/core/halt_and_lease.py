"""Reactions to events outside the connection: a halt, the journal, the lease of a fleet, the gateway's process.

They store the events in the state. ``status_fields`` computes from the state whether the program may trade.
"""

from __future__ import annotations

from ibkr.core.attempts import change_client_id
from ibkr.core.effects import RecordGlobalCancel, SendGlobalCancel
from ibkr.core.events import (
    GatewayStatusChanged,
    GlobalCancelDelivered,
    Halted,
    JournalOpened,
    JournalTroubleChanged,
    LeaseChanged,
    Resumed,
)
from ibkr.core.machine_state import IN_SESSION
from ibkr.core.states import UpstreamState
from ibkr.core.step import Step


def halted(step: Step, event: Halted) -> None:
    """Refuse new orders from now on.

    ``HaltSwitch`` knows every halt and its cancel, so the event replaces what an earlier event has said.
    """
    s = step.state
    s.halted, s.cancel_all = event.reason, event.cancel_all
    s.session.cancel_sent = False


def resumed(step: Step, _event: Resumed) -> None:
    """Allow orders again, unless something else forbids them."""
    step.state.halted, step.state.cancel_all = "", False


def global_cancel_delivered(step: Step, event: GlobalCancelDelivered) -> None:
    """Record that the gateway has received the global cancel.

    If the gateway could not forward it to IB meanwhile, or if another one was sent later, the cancel is still due.
    """
    s = step.state
    if s.session.cancel_sent and event.number == s.session.cancels:
        s.cancel_all = False
        step.do(RecordGlobalCancel())


def journal_opened(step: Step, event: JournalOpened) -> None:
    """Store what the journal has recorded about earlier sessions."""
    step.state.journal_accounts = event.accounts
    step.state.journal_session = event.had_session


def journal_trouble_changed(step: Step, event: JournalTroubleChanged) -> None:
    """Store why the journal cannot be written, or that it can be written again."""
    step.state.journal_trouble = event.trouble


def lease_changed(step: Step, event: LeaseChanged) -> None:
    """Store the new role and lease. A new client id needs a new session."""
    s = step.state
    was_leader = s.lease is not None and s.lease.is_leader
    s.lease = event.lease
    if event.lease.is_leader and not was_leader:
        s.has_taken_over = True
    if s.client_id != event.lease.client_id:
        change_client_id(
            step, "this program leads now" if event.lease.is_leader else "another member of the fleet leads"
        )


def gateway_status_changed(step: Step, event: GatewayStatusChanged) -> None:
    """Show the state of the gateway's process. The connection itself depends only on its own socket."""
    step.state.gateway = event.gateway


def send_due_cancel(step: Step) -> None:
    """Send a due global cancel as soon as it can reach the broker.

    It is sent once in each session until it is delivered. It is sent again if the gateway could not forward it to IB.
    """
    s = step.state
    session = s.session
    if session.upstream is UpstreamState.DOWN or session.read_only:
        session.cancel_sent = False
        return
    if not s.cancel_all or session.cancel_sent or s.phase not in IN_SESSION or not session.is_usable:
        return
    if session.suspect:
        return
    session.cancel_sent = True
    session.cancels += 1
    step.do(SendGlobalCancel(s.attempt, session.cancels))
