"""Computes every field of the status: the state, ``may_trade``, and their reasons.

The first condition that is true decides. But a halt replaces every other reason why ``may_trade`` is false.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING, Any

from ibkr.core.attempt_failure import FailureKind
from ibkr.core.codes import TOO_FAST, UPSTREAM_LOST, WITHHELD
from ibkr.core.events import LostStream
from ibkr.core.machine_state import IN_SESSION, Identity, MachineState, Phase, RestoreState, SessionInfo, StartupState
from ibkr.core.policy import Policy
from ibkr.core.startup_requests import MAX_ACCOUNTS, OPEN_ORDERS, POSITIONS, TRADING_STATE
from ibkr.core.states import ConnectionState, FarmState, SessionState, UpstreamState
from ibkr.core.subscription_info import SILENT_AFTER

if TYPE_CHECKING:
    from ibkr.core.status import Status

_OF_THE_PORT = (FailureKind.UNREACHABLE, FailureKind.CLOSED, FailureKind.SILENT)
"""For these failures, the state of the gateway's process is a better explanation."""
_TROUBLE = (ConnectionState.CONNECTING, ConnectionState.RECONNECTING, ConnectionState.DEGRADED)


_READ_ONLY = (
    "the gateway's Read-Only API setting is on: to trade, switch it off in its API settings, then call retry_now()"
)


def _in_session(s: MachineState) -> bool:
    return s.phase in IN_SESSION and s.session.is_usable


def derive_state(s: MachineState, policy: Policy) -> tuple[ConnectionState, str]:
    """The state, and its reason in words."""
    if s.phase is Phase.IDLE:
        return ConnectionState.DISCONNECTED, "disconnected" if s.ever_wanted else "connect() has not been called"
    if s.phase is Phase.FAILED:
        return ConnectionState.FAILED, _last_failure(s) or s.broken_off or "stopped trying"
    if not _in_session(s):
        return ConnectionState.RECONNECTING if s.had_session else ConnectionState.CONNECTING, _disconnected_reason(s)
    session = s.session
    if session.upstream is UpstreamState.DOWN:
        return ConnectionState.DEGRADED, "the gateway has lost its link to IB's servers"
    if session.suspect:
        return ConnectionState.DEGRADED, "a probe is unanswered: the socket may be half-open"
    under_way = _sync_progress(s)
    if under_way:
        return ConnectionState.SYNCING, under_way
    lacking = _missing_parts(s, policy)
    if lacking:
        return ConnectionState.DEGRADED, lacking
    return ConnectionState.READY, _ready_reason(s, policy)


def _sync_progress(s: MachineState) -> str:
    """Return in words why the session is in ``SYNCING``. Empty if it is not."""
    if s.phase is Phase.STARTUP and not s.session.resync_due:
        return "start-up: orders, positions and account values are being received"
    if s.session.restore is RestoreState.DUE and s.phase is not Phase.UP:
        return "the gateway has lost all subscriptions again (1101): they are requested again soon"
    if s.phase is Phase.RESTORING:
        return "restore: subscriptions are being requested again"
    if s.session.upstream is UpstreamState.UNKNOWN:
        return "waiting for the gateway to report its link to IB's servers"
    return ""


def no_trade_reason(s: MachineState, identity: Identity, policy: Policy, reason: str) -> str | None:
    """Why ``may_trade`` is false, in words. ``None`` if ``may_trade`` is true."""
    session = s.session
    if not _in_session(s) or session.suspect or session.upstream is UpstreamState.DOWN:
        return reason
    if s.lease is not None and not s.lease.is_held:
        return s.lease.reason
    if identity.readonly:
        return "this program was configured with readonly = true"
    if session.read_only:
        return _READ_ONLY
    if session.wrong_login:
        return session.wrong_login
    if s.journal_trouble and policy.require_journal:
        return s.journal_trouble
    needed = set(TRADING_STATE) if policy.require_executions else {OPEN_ORDERS}
    if policy.require_positions and len(session.accounts) <= MAX_ACCOUNTS:
        needed.add(POSITIONS)
    unknown = sorted(needed & session.missing)
    if unknown:
        return f"not yet known: {', '.join(unknown)}"
    if session.is_compared and needed & session.asked <= session.answered | session.startup_refused.keys():
        return None
    return "start-up has not ended: orders, executions and positions are not known yet"


def status_fields(s: MachineState, identity: Identity, policy: Policy) -> dict[str, Any]:
    """Every field of the status except its times. This must be fast: it runs at each step."""
    state, trouble = derive_state(s, policy)
    reason = trouble
    if s.maintenance is not None and state in _TROUBLE:
        reason += f" (expected: {s.maintenance})"
    in_session = _in_session(s)
    no_trade = no_trade_reason(s, identity, policy, reason)
    if s.halted:
        no_trade = _halt_text(s.halted)
    session = s.session
    return {
        "state": state,
        "reason": reason,
        "may_trade": no_trade is None,
        "may_trade_reason": no_trade or "",
        "is_connected": in_session and session.startup is not StartupState.FIRST,
        "endpoint": identity.endpoint(s.port),
        "client_id": identity.client_id if s.client_id is None else s.client_id,
        "server_version": session.server_version if in_session else None,
        "accounts": session.accounts if in_session else (),
        "read_only": identity.readonly or (in_session and session.read_only),
        "session": _session_state(s),
        "upstream": session.upstream if in_session else UpstreamState.UNKNOWN,
        "farms": session.farms.copy() if in_session else {},
        "attempt": s.attempts_made,
        "next_retry_at": s.next_retry_at,
        "outages": s.outage.number if s.outage else 0,
        "last_error": str(s.failure) if s.failure else "",
        "maintenance": s.maintenance if s.phase not in (Phase.IDLE, Phase.FAILED) else None,
        "alert": alert_text(s),
        "unconfirmed": s.unconfirmed,
        "halted": s.halted,
        "journal_trouble": s.journal_trouble,
        "trouble": trouble,
        "codes": _codes(session, state, policy),
        "failure": s.failure,
        "gateway": s.gateway,
        "lease": s.lease,
    }


def _halt_text(reason: str) -> str:
    if "'ibkr resume --fleet'" in reason:  # a halt of the fleet: its reason already says how to end it
        return f"halted: {reason}"
    return f"halted: {reason}; connector.resume() or 'ibkr resume' ends the halt"


def _codes(session: SessionInfo, state: ConnectionState, policy: Policy) -> tuple[int, ...]:
    """IB's codes behind the reason: in ``DEGRADED`` those of the missing parts, in ``READY`` those of the problems."""
    if state is ConnectionState.DEGRADED:
        if session.upstream is UpstreamState.DOWN:
            return (UPSTREAM_LOST,)
        if session.suspect or policy.missing_subscriptions != "degrade":
            return ()
    elif state is not ConnectionState.READY:
        return ()
    codes = [stream.code for stream in (*session.refused, *session.ended)]
    codes += [each.code for each in session.startup_refused.values()]
    if state is ConnectionState.READY:
        codes += [WITHHELD] * bool(session.withheld) + [TOO_FAST] * bool(session.too_fast)
    return tuple(dict.fromkeys(code for code in codes if code is not None))


def alert_text(s: MachineState) -> str:
    """Why a person should look: the alerts of the connection, the gateway's process and the journal."""
    of_gateway = s.gateway.alert if s.gateway else ""
    of_journal = s.journal_trouble if s.phase not in (Phase.IDLE, Phase.FAILED) else ""
    return "; ".join(filter(None, (s.alert or s.id_alert, of_gateway, of_journal)))


def connection_alert(status: Status) -> str:
    """The part of a status' alert that is about the connection."""
    alert = status.alert
    for other in (status.journal_trouble, status.gateway.alert if status.gateway else ""):
        if other and alert.endswith(other):
            alert = alert.removesuffix(other).removesuffix("; ")
    return alert


def _ready_reason(s: MachineState, policy: Policy) -> str:
    session = s.session
    parts = ["session and upstream up"]
    if session.upstream is UpstreamState.ASSUMED:
        parts = ["session up; upstream assumed, the gateway has not reported it"]
    broken = [farm for farm, state in session.farms.items() if state is FarmState.BROKEN]
    if broken:
        parts.append(f"data farm broken: {', '.join(broken)}")
    parts += _order_notes(s)
    if session.withheld:
        withheld = _labels(session.withheld)
        parts.append(f"market data withheld while this user is logged in elsewhere ({WITHHELD}): {withheld}")
    silent = [stream for stream in session.silent if stream.tries >= SILENT_AFTER]
    if silent:
        parts.append(f"silent since they were requested again: {_labels(silent)}")
    if policy.missing_subscriptions == "report":
        parts += _missing_subscriptions(session)
    for_now = [stream.words for stream in session.refused if not stream.ran]
    if for_now:
        parts.append(f"subscriptions refused for now, and requested again: {'; '.join(for_now)}")
    parts += session.limited
    if session.too_fast:
        times = _times(session.too_fast)
        parts.append(f"sending slowly: the gateway reported {times} that messages come too fast ({TOO_FAST})")
    return "; ".join(parts)


def _order_notes(s: MachineState) -> list[str]:
    """Why no order can be sent, and which orders are unconfirmed."""
    parts = ["the gateway's API is read-only"] if s.session.read_only else []
    if s.lease is not None and not s.lease.is_leader:
        parts.append(s.lease.reason)
    if s.halted:
        parts.append(f"halted: {s.halted}")
    if s.journal_trouble:
        parts.append(s.journal_trouble)
    return parts + _unconfirmed(s) if s.unconfirmed else parts


def _unconfirmed(s: MachineState) -> list[str]:
    parts = []
    for words, has_left in (("orders unconfirmed, they may be at the broker", True), ("orders not sent", False)):
        orders = [str(order) for order in s.unconfirmed if order.has_left is has_left]
        if orders:
            parts.append(f"{words}: {', '.join(orders)}")
    return parts


def _labels(streams: Iterable[LostStream]) -> str:
    return ", ".join(stream.words for stream in streams)


def _times(number: int) -> str:
    return "once" if number == 1 else f"{number} times"


def _session_state(s: MachineState) -> SessionState:
    if s.phase in (Phase.OPENING, Phase.IDENTIFYING):
        return SessionState.OPENING
    if not _in_session(s):
        return SessionState.NONE
    return SessionState.SUSPECT if s.session.suspect else SessionState.UP


def _disconnected_reason(s: MachineState) -> str:
    # ``lost_because`` says why a session was lost. ``failure`` says why an attempt ended.
    lost_because = (s.phase in IN_SESSION and s.session.transport_closed) or s.lost_because
    parts = [f"session lost: {lost_because}"] if lost_because else []
    failure = _last_failure(s)
    if failure:
        parts.append(failure)
    return "; ".join(parts) or "the first attempt is under way"


def _last_failure(s: MachineState) -> str:
    """Why the last attempt failed, in words. Empty if no attempt has failed."""
    if s.failure is None:
        return ""
    if s.failure.kind is FailureKind.CLIENT_ID_IN_USE and s.lease is not None:
        return f"waiting for client id {s.client_id}, which the former leader may still hold: {s.failure.detail}"
    is_of_port = s.failure.kind in _OF_THE_PORT and not s.failure.unknown_host
    explained = s.gateway.reason if s.gateway and is_of_port else ""
    return explained or s.failure.detail


def _missing_parts(s: MachineState, policy: Policy) -> str:
    parts = [s.session.wrong_login] if s.session.wrong_login else []
    if s.lease is not None and s.lease.is_leader and not s.lease.is_held:
        parts.append(s.lease.reason)
    unanswered = s.session.missing - s.session.unreadable
    if unanswered:
        parts.append(f"start-up requests without an answer: {', '.join(sorted(unanswered))}")
    startup_refused = [
        f"{name} ({each.code}: {each.words})" for name, each in sorted(s.session.startup_refused.items())
    ]
    if startup_refused:
        parts.append(f"start-up refused: {'; '.join(startup_refused)}")
    if s.session.unreadable:
        parts.append(f"could not be decoded, the log has the rows: {', '.join(sorted(s.session.unreadable))}")
    if policy.missing_subscriptions == "degrade":
        parts += _missing_subscriptions(s.session)
    broken = [farm for farm in policy.required_farms if s.session.farms.get(farm) is FarmState.BROKEN]
    if broken:
        parts.append(f"required data farm broken: {', '.join(broken)}")
    unheard_of = [farm for farm in policy.required_farms if farm not in s.session.farms]
    if unheard_of:
        parts.append(f"the gateway does not name the required data farm {', '.join(unheard_of)}")
    return "; ".join([*parts, *s.session.limited]) if parts else ""


def _missing_subscriptions(session: SessionInfo) -> list[str]:
    parts = []
    refused = [stream.words for stream in session.refused if stream.ran]
    if refused:
        parts.append(f"subscriptions refused: {'; '.join(refused)}")
    if session.ended:
        parts.append(f"subscriptions ended by the gateway: {'; '.join(stream.words for stream in session.ended)}")
    return parts
