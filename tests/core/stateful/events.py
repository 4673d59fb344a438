"""What may happen to a rig: each in words, and as a function."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

from ibkr.core.errors import Failure
from ibkr.core.errors import FailureKind as K
from ibkr.core.facts import (
    AttemptFailed,
    ClockJumped,
    CodeReceived,
    EndedStream,
    FarmsTold,
    GatewayTold,
    Heard,
    OrdersUnconfirmed,
    PeerSeen,
    ProbeWanted,
    RetryWanted,
    RowsUnreadable,
    SessionOpened,
    SocketEnded,
    StartupAnswered,
    StartupAsked,
    StreamsWatched,
    SubscriptionsMoved,
    TransportEnded,
    WatchedStream,
)
from ibkr.core.gateway import GatewayState, GatewayStatus
from ibkr.core.orders import SentOrder
from ibkr.core.situation import Phase as P
from ibkr.core.state import Feed

from .sayings import FARMS, IN_USE, NO_MATTER, PACE, PORTS, UPSTREAM

# When maintenance windows begin, soon after the rig's clock does.
WINDOWS = datetime(2026, 3, 2, 14, 30, 3, tzinfo=UTC)
SESSION = (P.STARTUP, P.RESTORING, P.UP)
TICKER = EndedStream(1, Feed.MARKET, "AAPL (10182: Failed to request live updates)")
BARS = EndedStream(2, Feed.HISTORY, "AAPL bars (10182: Failed to request live updates)")
DEPTH = EndedStream(3, Feed.MARKET, "AAPL depth (316: halted)")
ORDER = SentOrder(5, "DU1234567", 265598, "AAPL", "BUY", 100.0, "MKT", "", has_left=True)
RESTARTING = GatewayStatus(GatewayState.RESTARTING, WINDOWS)

COMMANDS = {
    "connect": lambda rig: rig.connect(),
    "connect once": lambda rig: rig.connect(1),
    "connect and wait": lambda rig: rig.connect(None),
    "reconnect": lambda rig: rig.reconnect(),
    "retry now": lambda rig: rig.fact(RetryWanted()),
    "probe now": lambda rig: rig.fact(ProbeWanted()),
    "an order unconfirmed": lambda rig: rig.fact(OrdersUnconfirmed((ORDER,))),
    "no order unconfirmed": lambda rig: rig.fact(OrdersUnconfirmed(())),
    "the gateway restarts": lambda rig: rig.fact(GatewayTold(RESTARTING)),
    "nobody watches the gateway": lambda rig: rig.fact(GatewayTold(None)),
    "disconnect": lambda rig: rig.disconnect(),
    "disconnect at once": lambda rig: rig.disconnect(abort=True),
    "cancel a subscription": lambda rig: rig.opened and rig.moved(0),
    "sleep for a minute": lambda rig: rig.jump(60.0),
    "sleep until the next day's windows": lambda rig: sleep_until_windows(rig),
}
ATTEMPT = {
    "client id in use": lambda rig: say(rig, IN_USE),
    **{f"{code} {text}": lambda rig, told=(code, text): say(rig, told) for code, text in (*UPSTREAM, *PORTS)},
    "a farm": lambda rig: rig.code(2104, "usfarm"),
    "farms, broken and back": lambda rig: [say(rig, each) for each in FARMS],
    "too fast": lambda rig: say(rig, PACE),
    "no matter": lambda rig: [say(rig, each) for each in NO_MATTER],
    "closed": lambda rig: rig.end("EOF"),
    "accepted": lambda rig: rig.accept(),
    "accepted, then silent": lambda rig: (rig.accept(), rig.advance(5.0)),
    "nothing answers": lambda rig: rig.advance(2.0),
    "the transport ends": lambda rig: end_transport(rig),
    "closed before any byte": lambda rig: rig.end("EOF", before_any_byte=True),
    **{f"fails: {kind}": lambda rig, kind=kind: fail(rig, kind) for kind in K},
    **{f"fails and ends: {kind}": lambda rig, kind=kind: rig.refuse(kind, f"it is {kind}") for kind in K},
}
OPENED = {
    "a session": lambda rig: open_session(rig, subscriptions=0),
    "a session, answered": lambda rig: open_session(rig, answered=True, subscriptions=0),
    "a session, nothing to restore": lambda rig: open_session(rig, subscriptions=0, to_restore=False),
    "a session, answered, nothing to restore": lambda rig: open_session(
        rig, answered=True, subscriptions=0, to_restore=False
    ),
    "a session, told and answered": lambda rig: open_session(rig, told=True, answered=True, subscriptions=0),
    "a session, something to restore": lambda rig: open_session(rig, answered=True, subscriptions=1),
    "a session, positions missing": lambda rig: (open_session(rig, subscriptions=0), miss(rig, "positions")),
    "a session, executions missing": lambda rig: (open_session(rig, subscriptions=1), miss(rig, "executions")),
    "a session, the rest asked for": lambda rig: (open_session(rig, subscriptions=0), miss(rig, "executions", 1102)),
    "a session of another login": lambda rig: open_session(rig, answered=True, subscriptions=3, accounts=("U7",)),
    "a session, told, something to restore": lambda rig: open_session(rig, told=True, answered=True, subscriptions=2),
    "a session, little answered": lambda rig: open_session(rig, told=True, subscriptions=1),
}
TOLD = {
    **{f"{code} {text}": lambda rig, told=(code, text): say(rig, told) for code, text in (*UPSTREAM, *PORTS, *FARMS)},
    "too fast": lambda rig: say(rig, PACE),
    "no matter": lambda rig: [say(rig, each) for each in (*NO_MATTER, IN_USE)],
}
STREAMS = {
    "a ticker ended": lambda rig: stand(rig, TICKER),
    "bars ended": lambda rig: stand(rig, BARS),
    "all ended": lambda rig: stand(rig, TICKER, BARS, DEPTH),
    "ended, and again": lambda rig: (stand(rig, TICKER), stand(rig, TICKER)),
    "ended, and again, for a while": lambda rig: (stand(rig, BARS), stand(rig, BARS), rig.advance(3.0)),
    "withheld": lambda rig: rig.fact(SubscriptionsMoved(rig.attempt, 0, (), (), ("AAPL", "MSFT"))),
    "one awaited": lambda rig: rig.moved(1),
    "all live": lambda rig: rig.moved(0),
    "refused": lambda rig: rig.moved(0, "AAPL (354)"),
    "all farms in one packet": lambda rig: rig.farms(*FARMS),
    "a farm broken and back": lambda rig: (rig.code(2103, "usfarm"), rig.code(2104, "usfarm")),
    "a farm flaps": lambda rig: [(rig.advance(0.1), rig.code(code, "usfarm")) for code in (2103, 2103, 2104, 2103)],
    "upstream lost and back": lambda rig: (rig.code(1100), rig.code(1102)),
    **{f"late: {farm or 'all'} watched": lambda rig, farm=farm: watch(rig, farm) for farm in ("", "usfarm")},
}
ANSWERS = {
    "open orders": lambda rig: rig.answer("open orders"),
    "executions": lambda rig: rig.answer("executions"),
    "account updates": lambda rig: rig.answer("account updates"),
    "all but positions": lambda rig: answer_all_but(rig, "positions"),
    "all but executions": lambda rig: answer_all_but(rig, "executions"),
    "all but open orders": lambda rig: answer_all_but(rig, "open orders"),
    "no executions while upstream is down": lambda rig: rig.machine.phase is P.STARTUP and miss(rig, "executions"),
    "all": lambda rig: rig.answer(),
    "all again": lambda rig: rig.answer(),
    **{f"unreadable: {name}": lambda rig, name=name: unreadable(rig, name) for name in ("positions", "executions")},
    "all but one, unreadable": lambda rig: (answer_all_but(rig, "positions"), unreadable(rig, "positions")),
    "the transport ends": lambda rig: end_transport(rig),
    "read-only": lambda rig: rig.answer("open orders", read_only=True),
    "a byte": lambda rig: rig.hear(),
    "a moment": lambda rig: rig.advance(0.1),
    "a grace": lambda rig: rig.advance(0.25),
    **{f"the socket ends: {why}": lambda rig, why=why: rig.end(why) for why in ("EOF", "an absurd frame")},
}
LOOKING = {
    "silent to everybody": lambda rig: rig.fact(PeerSeen(rig.attempt, None)),
    "a web server": lambda rig: rig.fact(PeerSeen(rig.attempt, Failure(K.NOT_A_GATEWAY, "a web server answers"))),
    "its socket ends": lambda rig: rig.socket is None or rig.end(),
    "an order unconfirmed": COMMANDS["an order unconfirmed"],
    "sleep for a minute": COMMANDS["sleep for a minute"],
}
LEAVING = {
    "the socket ends": lambda rig: rig.end(),
    "late news": lambda rig: tell(rig, news(rig.attempt)),
    "late news, then the end": lambda rig: tell(rig, [*news(rig.attempt), SocketEnded(rig.attempt, "EOF")]),
}
TIMES = {
    "at once": lambda rig: rig.advance(0.0),
    "to the next timer": lambda rig: rig.advance(max(0.0, min(rig.timers.values(), default=0.0) - rig.mono)),
    **{f"{seconds} s": lambda rig, seconds=seconds: rig.advance(seconds) for seconds in (0.05, 0.3, 1, 5, 20)},
    **{f"blocked for {seconds} s": lambda rig, seconds=seconds: rig.block(seconds) for seconds in (0.2, 1.3, 30)},
    "the clock goes ahead, unnoticed": lambda rig: rig.jump(9.0, noticed=False),
    "the clock is found to be ahead": lambda rig: rig.fact(ClockJumped(9.0)),
}


def sleep_until_windows(rig) -> None:
    """To the tenth of a second before they begin."""
    rig.jump((WINDOWS - timedelta(seconds=0.1) - rig.now.wall).total_seconds() % 86400)


def say(rig, told: tuple[int, str]) -> None:
    """The gateway says so, if anybody listens still."""
    code, text = told
    rig.code(code, text=text)


def stand(rig, *ended: EndedStream) -> None:
    rig.fact(SubscriptionsMoved(rig.attempt, 0, (), ended))


def fail(rig, kind: K) -> None:
    """The attempt fails; its socket is still ending."""
    rig.fact(AttemptFailed(rig.attempt, Failure(kind, f"it is {kind}")))


def open_session(
    rig,
    *,
    told: bool = False,
    answered: bool = False,
    subscriptions: int,
    accounts: tuple[str, ...] = ("DU1234567",),
    to_restore: bool = True,
) -> None:
    rig.subscriptions = subscriptions
    if told:
        rig.accept()
    rig.open_session(accounts=accounts, to_restore=to_restore)
    if told:
        rig.code(2104, "usfarm")
    if answered:
        rig.answer()


def watch(rig, farm: str) -> None:
    """The session says so later than it was asked."""
    rig.fact(StreamsWatched(rig.attempt, farm, rig.tickers))


def miss(rig, missing: str, *then: int) -> None:
    """Start-up ends without this answer, while upstream is down."""
    rig.code(1100)
    answer_all_but(rig, missing)
    while rig.machine.phase is P.STARTUP:
        rig.advance(2.5)
        rig.hear()
    for code in then:
        rig.code(code)


def answer_all_but(rig, missing: str) -> None:
    rig.answer(*[name for name in rig.names if name != missing])


def unreadable(rig, name: str) -> None:
    """A row of this answer, in start-up or behind it, cannot be decoded."""
    rig.fact(RowsUnreadable(rig.attempt, (name,)))


def end_transport(rig) -> None:
    """Nothing can be sent any more, and what had come is still to be read."""
    rig.fact(TransportEnded(rig.attempt, "EOF"))


def tell(rig, facts: list) -> None:
    for fact in facts:
        rig.fact(fact)


def news(attempt: int) -> list:
    """All that may still be told of an attempt that counts no more."""
    return [
        CodeReceived(attempt, 1100, ""),
        FarmsTold(attempt, ((2103, "Market data farm connection is broken:usfarm"),)),
        CodeReceived(attempt, *PORTS[0]),
        SessionOpened(attempt, 178, ("DU1234567",), ("positions",)),
        AttemptFailed(attempt, Failure(K.SILENT, "late")),
        PeerSeen(attempt, Failure(K.NOT_A_GATEWAY, "late")),
        StartupAsked(attempt, ("positions",)),
        StartupAnswered(attempt, ("positions",), True),
        SubscriptionsMoved(attempt, 3, ("AAPL",), (TICKER,), ("MSFT",)),
        StreamsWatched(attempt, "usfarm", (WatchedStream(1, 5.0),)),
        Heard(attempt),
        RowsUnreadable(attempt, ("positions",)),
        TransportEnded(attempt, "EOF"),
    ]


def possible(rig) -> list:
    """What may happen now, in words and as a function; what leads on stands in the list more often."""
    phase = rig.machine.phase
    if phase in SESSION:
        own = [*TOLD.items(), *STREAMS.items(), *ANSWERS.items()]
        # a restore is soon over
        own += [*COMMANDS.items()] * 2 if phase is P.RESTORING else [*TIMES.items()] * 2
    elif phase is P.OPENING:
        own = [*ATTEMPT.items(), *OPENED.items(), *OPENED.items()]
    elif phase is P.LOOKING:
        own = [*LOOKING.items()] * 6
    elif rig.socket is not None:
        own = [*LEAVING.items()] * 2 + [("the socket ends", LEAVING["the socket ends"])] * 8
    else:
        own = [(name, COMMANDS[name]) for name in ("connect", "connect once", "connect and wait")] * 2
    return [*own, *TIMES.items(), *COMMANDS.items()]
