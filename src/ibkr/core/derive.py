"""The status as a function of what is known. The first line that holds wins (design, States)."""

from __future__ import annotations

from typing import Any

from ibkr.core.codes import TOO_FAST, UPSTREAM_LOST, WITHHELD
from ibkr.core.failure import FailureKind
from ibkr.core.policy import Policy
from ibkr.core.situation import IN_SESSION, Identity, Phase, Session, Situation, StartupState
from ibkr.core.startup import MAX_ACCOUNTS, POSITIONS, TRADED
from ibkr.core.state import ConnectionState, FarmState, SessionState, UpstreamState

_OF_THE_PORT = (FailureKind.UNREACHABLE, FailureKind.CLOSED, FailureKind.SILENT)
"""Failures that the state of the gateway's process explains better than its port does."""
_TROUBLE = (ConnectionState.CONNECTING, ConnectionState.RECONNECTING, ConnectionState.DEGRADED)


def _in_session(s: Situation) -> bool:
    return s.phase in IN_SESSION and s.session.is_usable


def derive(s: Situation, policy: Policy) -> tuple[ConnectionState, str]:
    """The state and its reason in words."""
    if s.phase is Phase.IDLE:
        return ConnectionState.DISCONNECTED, "disconnected" if s.ever_wanted else "connect() has not been called"
    if s.phase is Phase.FAILED:
        return ConnectionState.FAILED, _last_failure(s) or s.broken_off or "given up"
    if not _in_session(s):
        return ConnectionState.RECONNECTING if s.had_session else ConnectionState.CONNECTING, _why_out(s)
    session = s.session
    if session.upstream is UpstreamState.DOWN:
        return ConnectionState.DEGRADED, "the gateway has lost its link to IB's servers"
    if session.suspect:
        return ConnectionState.DEGRADED, "a probe is unanswered: the socket may be half-open"
    if s.phase is Phase.STARTUP:
        return ConnectionState.SYNCING, "start-up: orders, positions and account values are being received"
    if s.phase is Phase.RESTORING:
        return ConnectionState.SYNCING, "restore: subscriptions are being asked for again"
    if session.upstream is UpstreamState.UNKNOWN:
        return ConnectionState.SYNCING, "waiting for the gateway to say how its link to IB's servers is"
    lacking = _lacking(s, policy)
    if lacking:
        return ConnectionState.DEGRADED, lacking
    return ConnectionState.READY, _ready(s, policy)


def why_no_trade(s: Situation, identity: Identity, policy: Policy, reason: str) -> str | None:
    """Why orders are refused now, in words; None when they are not."""
    session = s.session
    if not _in_session(s):
        return reason
    if session.suspect or session.upstream is UpstreamState.DOWN:
        return reason
    if identity.readonly:
        return "this program was configured with readonly = true"
    if session.read_only:
        return "the gateway's Read-Only API setting is on: switch it off in its API settings to trade"
    if session.wrong_login:
        return session.wrong_login
    needed = set(TRADED)
    if policy.require_positions and len(session.accounts) <= MAX_ACCOUNTS:
        needed.add(POSITIONS)
    unknown = sorted(needed & session.missing)
    if unknown:
        return f"not yet known: {', '.join(unknown)}"
    if session.startup is StartupState.COMPARED and needed & session.asked <= session.answered:
        return None
    return "start-up has not ended: orders, executions and positions are not known yet"


def view_of(s: Situation, identity: Identity, policy: Policy) -> dict[str, Any]:
    """Every field of the status but its times. Cheap enough to be made and compared at each step."""
    state, trouble = derive(s, policy)
    reason = trouble
    if s.maintenance is not None and state in _TROUBLE:
        reason += f" (expected: {s.maintenance})"
    in_session = _in_session(s)
    no_trade = why_no_trade(s, identity, policy, reason)
    session = s.session
    return {
        "state": state,
        "reason": reason,
        "may_trade": no_trade is None,
        "may_trade_reason": no_trade or "",
        "is_connected": in_session and session.startup is not StartupState.FIRST,
        "endpoint": identity.endpoint(s.port),
        "client_id": identity.client_id,
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
        "alert": alert_of(s),
        "unconfirmed": s.unconfirmed,
        "trouble": trouble,
        "codes": _codes(session, state, policy),
        "failure": s.failure,
        "gateway": s.gateway,
    }


def _codes(session: Session, state: ConnectionState, policy: Policy) -> tuple[int, ...]:
    """IB's codes behind the reason: of what is lost in ``DEGRADED``, of what is noted in ``READY``."""
    if state is ConnectionState.DEGRADED:
        if session.upstream is UpstreamState.DOWN:
            return (UPSTREAM_LOST,)
        if session.suspect or policy.missing_subscriptions != "degrade":
            return ()
    elif state is not ConnectionState.READY:
        return ()
    codes = [stream.code for stream in session.refused] + [stream.code for stream in session.ended]
    if state is ConnectionState.READY:
        codes += [WITHHELD] * bool(session.withheld) + [TOO_FAST] * bool(session.too_fast)
    return tuple(dict.fromkeys(code for code in codes if code is not None))


def alert_of(s: Situation) -> str:
    """Why somebody should look: at the connection, and at the gateway's process."""
    of_gateway = s.gateway.alert if s.gateway else ""
    return "; ".join(filter(None, (s.alert or s.id_alert, of_gateway)))


def _ready(s: Situation, policy: Policy) -> str:
    session = s.session
    parts = ["session and upstream up"]
    if session.upstream is UpstreamState.ASSUMED:
        parts = ["session up; upstream assumed, the gateway has not said"]
    broken = [farm for farm, state in session.farms.items() if state is FarmState.BROKEN]
    if broken:
        parts.append(f"data farm broken: {', '.join(broken)}")
    if session.read_only:
        parts.append("the gateway's API is read-only")
    if s.unconfirmed:
        parts += _unconfirmed(s)
    if session.withheld:
        withheld = ", ".join(session.withheld)
        parts.append(f"market data withheld while this user is logged in elsewhere ({WITHHELD}): {withheld}")
    if policy.missing_subscriptions == "report":
        parts += _missing_subscriptions(session)
    if session.too_fast:
        times = _times(session.too_fast)
        parts.append(f"sending slowly: the gateway said {times} that messages come too fast ({TOO_FAST})")
    return "; ".join(parts)


def _unconfirmed(s: Situation) -> list[str]:
    parts = []
    for words, has_left in (("orders unconfirmed, they may be at the broker", True), ("orders not sent", False)):
        orders = [str(order) for order in s.unconfirmed if order.has_left is has_left]
        if orders:
            parts.append(f"{words}: {', '.join(orders)}")
    return parts


def _times(number: int) -> str:
    return "once" if number == 1 else f"{number} times"


def _session_state(s: Situation) -> SessionState:
    if s.phase in (Phase.OPENING, Phase.LOOKING):
        return SessionState.OPENING
    if not _in_session(s):
        return SessionState.NONE
    return SessionState.SUSPECT if s.session.suspect else SessionState.UP


def _why_out(s: Situation) -> str:
    lost_because = s.session.transport_ended or s.lost_because
    parts = [f"session lost: {lost_because}"] if lost_because else []
    failure = _last_failure(s)
    if failure:
        parts.append(failure)
    return "; ".join(parts) or "the first attempt is under way"


def _last_failure(s: Situation) -> str:
    """Why the last attempt failed, in words; empty if none did."""
    if s.failure is None:
        return ""
    explained = s.gateway.reason if s.gateway and s.failure.kind in _OF_THE_PORT else ""
    return explained or s.failure.detail


def _lacking(s: Situation, policy: Policy) -> str:
    parts = [s.session.wrong_login] if s.session.wrong_login else []
    unanswered = s.session.missing - s.session.unreadable
    if unanswered:
        parts.append(f"start-up unanswered: {', '.join(sorted(unanswered))}")
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
    return "; ".join(parts)


def _missing_subscriptions(session: Session) -> list[str]:
    parts = []
    if session.refused:
        parts.append(f"subscriptions refused: {'; '.join(stream.words for stream in session.refused)}")
    if session.ended:
        parts.append(f"subscriptions ended by the gateway: {'; '.join(stream.words for stream in session.ended)}")
    return parts
