"""The events that can happen to a rig. Each event has a description and a function.

This file has over 300 lines because it is the list of all events.
"""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

from ibkr.core.errors import Failure
from ibkr.core.errors import FailureKind as K
from ibkr.core.events import (
    ActiveStream,
    ActiveStreamsFound,
    AttemptFailed,
    ClockJumped,
    CodeReceived,
    FarmStatusReceived,
    GatewayStatusChanged,
    GlobalCancelDelivered,
    Halted,
    JournalTroubleChanged,
    LimitReached,
    LostStream,
    PeerIdentified,
    ProbeAnswered,
    ProbeRequested,
    Resumed,
    RetryRequested,
    RowsNotDecoded,
    SessionOpened,
    SocketClosed,
    StartupAnswered,
    StartupRefused,
    StartupRequested,
    SubscriptionsChanged,
    TransportClosed,
    UnconfirmedOrdersChanged,
)
from ibkr.core.gateway_status import GatewayState, GatewayStatus
from ibkr.core.machine_state import Phase as P
from ibkr.core.order_records import SentOrder
from ibkr.core.states import Feed

from .gateway_messages import FARMS, IN_USE, NO_MATTER, PACE, PORTS, READ_ONLY, UPSTREAM
from .gateway_model import JOURNAL_FAILS

# WINDOWS is when the maintenance windows start, soon after the start of the rig's clock.
WINDOWS = datetime(2026, 3, 2, 14, 30, 3, tzinfo=UTC)
SESSION = (P.STARTUP, P.RESTORING, P.UP)
TICKER = LostStream(1, Feed.MARKET, "AAPL (10182: Failed to request live updates)")
BARS = LostStream(2, Feed.HISTORY, "AAPL bars (10182: Failed to request live updates)")
DEPTH = LostStream(3, Feed.MARKET, "AAPL depth (316: halted)")
PACED = LostStream(1, Feed.MARKET, "AAPL (101)", 101, 2, 1010.0, ran=False)
ORDER = SentOrder(5, "DU1234567", 265598, "AAPL", "BUY", 100.0, "MKT", "", has_left=True)
RESTARTING = GatewayStatus(GatewayState.RESTARTING, WINDOWS)

COMMANDS = {
    "connect": lambda rig: rig.connect(),
    "connect once": lambda rig: rig.connect(1),
    "connect and wait": lambda rig: rig.connect(None),
    "reconnect": lambda rig: rig.reconnect(),
    "retry now": lambda rig: rig.event(RetryRequested()),
    "probe now": lambda rig: rig.event(ProbeRequested()),
    "an order unconfirmed": lambda rig: rig.event(UnconfirmedOrdersChanged((ORDER,))),
    "no order unconfirmed": lambda rig: rig.event(UnconfirmedOrdersChanged(())),
    "the gateway restarts": lambda rig: rig.event(GatewayStatusChanged(RESTARTING)),
    "nobody watches the gateway": lambda rig: rig.event(GatewayStatusChanged(None)),
    "halt": lambda rig: rig.event(Halted("the risk limit", cancel_all=True)),
    "resume": lambda rig: resume(rig),
    "the journal fails": lambda rig: rig.event(JournalTroubleChanged(JOURNAL_FAILS)),
    "the journal works": lambda rig: rig.event(JournalTroubleChanged("")),
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
    "too much": lambda rig: rig.event(LimitReached(rig.attempt, "too much")),
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
    "too much": lambda rig: rig.event(LimitReached(rig.attempt, "too much")),
    "no matter": lambda rig: [say(rig, each) for each in (*NO_MATTER, IN_USE)],
    "read-only, to a request": lambda rig: say(rig, READ_ONLY),
}
STREAMS = {
    "a ticker ended": lambda rig: stand(rig, TICKER),
    "bars ended": lambda rig: stand(rig, BARS),
    "all ended": lambda rig: stand(rig, TICKER, BARS, DEPTH),
    "ended, and again": lambda rig: (stand(rig, TICKER), stand(rig, TICKER)),
    "ended, and again, for a while": lambda rig: (stand(rig, BARS), stand(rig, BARS), rig.advance(3.0)),
    "withheld": lambda rig: rig.event(
        SubscriptionsChanged(rig.attempt, 0, (), (), (LostStream(1, Feed.MARKET, "AAPL"),))
    ),
    "one awaited": lambda rig: rig.moved(1),
    "all live": lambda rig: rig.moved(0),
    "refused": lambda rig: rig.moved(0, "AAPL (354)"),
    "refused and silent": lambda rig: rig.event(
        SubscriptionsChanged(rig.attempt, 0, (PACED,), (), (), 0, (LostStream(2, Feed.MARKET, "MSFT", None, 3),))
    ),
    "some wait to be sent": lambda rig: rig.event(SubscriptionsChanged(rig.attempt, 9, held_back=9)),
    "1101 while some wait to be sent": lambda rig: (
        rig.event(SubscriptionsChanged(rig.attempt, 9, held_back=9)),
        rig.code(1101),
    ),
    "1101 twice": lambda rig: (rig.code(1101), rig.code(1101)),
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
    **{f"refused: {name}": lambda rig, name=name: decline(rig, name) for name in ("account updates", "executions")},
    "all but one, unreadable": lambda rig: (answer_all_but(rig, "positions"), unreadable(rig, "positions")),
    "the transport ends": lambda rig: end_transport(rig),
    "read-only": lambda rig: rig.answer("open orders", read_only=True),
    "a byte": lambda rig: rig.hear(),
    "a moment": lambda rig: rig.advance(0.1),
    "a grace": lambda rig: rig.advance(0.25),
    **{f"the socket ends: {why}": lambda rig, why=why: rig.end(why) for why in ("EOF", "an absurd frame")},
}
LOOKING = {
    "silent to everybody": lambda rig: rig.event(PeerIdentified(rig.attempt, None)),
    "a web server": lambda rig: rig.event(
        PeerIdentified(rig.attempt, Failure(K.NOT_A_GATEWAY, "a web server answers"))
    ),
    "its socket ends": lambda rig: rig.socket is None or rig.end(),
    "an order unconfirmed": COMMANDS["an order unconfirmed"],
    "sleep for a minute": COMMANDS["sleep for a minute"],
    "connect": COMMANDS["connect"],
}
LEAVING = {
    "the socket ends": lambda rig: rig.end(),
    "late news": lambda rig: tell(rig, news(rig.attempt)),
    "late news, then the end": lambda rig: tell(rig, [*news(rig.attempt), SocketClosed(rig.attempt, "EOF")]),
}
TIMES = {
    "at once": lambda rig: rig.advance(0.0),
    "to the next timer": lambda rig: rig.advance(max(0.0, min(rig.timers.values(), default=0.0) - rig.mono)),
    **{f"{seconds} s": lambda rig, seconds=seconds: rig.advance(seconds) for seconds in (0.05, 0.3, 1, 5, 20)},
    **{f"blocked for {seconds} s": lambda rig, seconds=seconds: rig.block(seconds) for seconds in (0.2, 1.3, 30)},
    "the clock goes ahead, unnoticed": lambda rig: rig.jump(9.0, noticed=False),
    "the clock is found to be ahead": lambda rig: rig.event(ClockJumped(9.0)),
}


def sleep_until_windows(rig) -> None:
    """Advance until the windows begin, to the tenth of a second."""
    rig.jump((WINDOWS - timedelta(seconds=0.1) - rig.now.wall).total_seconds() % 86400)


def say(rig, told: tuple[int, str]) -> None:
    """The gateway sends this code, if anybody still listens."""
    code, text = told
    rig.code(code, text=text)


def resume(rig) -> None:
    """Resume trading after the global cancel, if there was one, has arrived."""
    if rig.opened:
        number = rig.machine._state.session.cancels
        rig.event(GlobalCancelDelivered(rig.attempt, number - 1))  # the answer to an earlier cancel
        rig.event(GlobalCancelDelivered(rig.attempt, number))
    rig.event(Resumed())


def stand(rig, *ended: LostStream) -> None:
    rig.event(SubscriptionsChanged(rig.attempt, 0, (), ended))


def fail(rig, kind: K) -> None:
    """The attempt fails; its socket is still ending."""
    rig.event(AttemptFailed(rig.attempt, Failure(kind, f"it is {kind}")))


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
    """The session reports the watched streams some time after the request for them."""
    rig.event(ActiveStreamsFound(rig.attempt, farm, rig.tickers))


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
    """A row of this answer, during start-up or after it, cannot be decoded."""
    rig.event(RowsNotDecoded(rig.attempt, (name,)))


def decline(rig, name: str) -> None:
    """The gateway refuses a start-up request, or a stream of one."""
    rig.event(StartupRefused(rig.attempt, name, "no", 2101))


def end_transport(rig) -> None:
    """Nothing more can be sent, and received data is still to be read."""
    rig.event(TransportClosed(rig.attempt, "EOF"))


def tell(rig, events: list) -> None:
    for event in events:
        rig.event(event)


def news(attempt: int) -> list:
    """All events that can still come from an old attempt."""
    return [
        CodeReceived(attempt, 1100, ""),
        FarmStatusReceived(attempt, ((2103, "Market data farm connection is broken:usfarm"),)),
        CodeReceived(attempt, *PORTS[0]),
        SessionOpened(attempt, 178, ("DU1234567",), ("positions",)),
        AttemptFailed(attempt, Failure(K.SILENT, "late")),
        PeerIdentified(attempt, Failure(K.NOT_A_GATEWAY, "late")),
        StartupRequested(attempt, ("positions",)),
        StartupAnswered(attempt, ("positions",), True),
        SubscriptionsChanged(attempt, 3, (PACED,), (TICKER,), (BARS,)),
        LimitReached(attempt, "too much"),
        StartupRefused(attempt, "positions", "no", 322),
        ActiveStreamsFound(attempt, "usfarm", (ActiveStream(1, 5.0),)),
        ProbeAnswered(attempt),
        RowsNotDecoded(attempt, ("positions",)),
        TransportClosed(attempt, "EOF"),
    ]


def possible(rig) -> list:
    """Return descriptions and functions of what can happen now. Events that make progress are listed several times."""
    phase = rig.machine.phase
    if phase in SESSION:
        own = [*TOLD.items(), *STREAMS.items(), *ANSWERS.items()]
        # During a restore, a command takes the place of a passage of time, because a restore ends soon.
        own += [*COMMANDS.items()] * 2 if phase is P.RESTORING else [*TIMES.items()] * 2
    elif phase is P.OPENING:
        own = [*ATTEMPT.items(), *OPENED.items(), *OPENED.items()]
    elif phase is P.IDENTIFYING:
        own = [*LOOKING.items()] * 6
    elif rig.socket is not None:
        own = [*LEAVING.items()] * 2 + [("the socket ends", LEAVING["the socket ends"])] * 8
    else:
        own = [(name, COMMANDS[name]) for name in ("connect", "connect once", "connect and wait")] * 2
    return [*own, *TIMES.items(), *COMMANDS.items()]
