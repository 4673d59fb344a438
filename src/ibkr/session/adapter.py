"""The adapter: carries out the machine's orders on an ``IB`` object, and tells what happens there as facts.

The ``IB`` object lives as long as the connector and is reconnected. Over 300 lines, because every part of a session is
made and connected here.
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime
from functools import partial
from typing import Any

from ibkr.core.codes import is_about_farm, is_about_link, is_read_only, is_warning, reaction
from ibkr.core.facts import (
    CodeReceived,
    Fact,
    Heard,
    Key,
    OrdersUnconfirmed,
    RowsUnreadable,
    SessionOpened,
    StartupAsked,
    StreamsWatched,
    SubscriptionsMoved,
)
from ibkr.core.policy import Policy
from ibkr.core.startup import ACCOUNT_UPDATES
from ibkr.core.state import Feed
from ibkr.core.stats import Stats
from ibkr.core.status import Status
from ibkr.session.current_time import KEY, CurrentTime
from ibkr.session.custody import Custody
from ibkr.session.egress import Egress, Limiter, one_write
from ibkr.session.holdings import Holdings
from ibkr.session.ids import Ids
from ibkr.session.library import tame
from ibkr.session.orders.desk import Desk
from ibkr.session.orders.guard import Guard
from ibkr.session.packet import Packet
from ibkr.session.rows import watch_rows
from ibkr.session.socket import Socket
from ibkr.session.startup import StartUp
from ibkr.session.tap import Tap
from ibkr.session.telling import kept_apart
from ibkr.session.traffic import Traffic


class Adapter:
    """One ``IB`` object under supervision. ``post`` takes the facts; set it before ``open``."""

    def __init__(
        self,
        ib: Any,
        host: str,
        client_id: int,
        policy: Policy,
        limiter: Limiter,
        *,
        account: str = "",
        readonly: bool = False,
    ) -> None:
        self.ib = ib
        self._policy = policy
        self._account, self._readonly = account, readonly
        self.post: Callable[[Fact], None] = lambda fact: None
        self._attempt = 0
        self._startup: StartUp | None = None

        def post(fact: Fact) -> None:
            self.post(fact)

        self._set_events_done = tame(ib)
        self._egress = Egress(ib.client, limiter)
        self._tap = Tap(ib.client)
        self._packet = Packet(self._tap, post)
        self.custody = Custody(ib, self._egress, policy, self._tell_subscriptions)
        self._tap.on_read = self.custody.note_ticks
        self.holdings = Holdings(ib.wrapper)
        self.desk = self._new_desk()
        self._time = CurrentTime(ib, self._egress, policy.probe_apart)
        watch_rows(ib.client.decoder, self._row_unreadable)
        self._traffic = Traffic(ib.client)
        self._socket = Socket(
            ib, host, client_id, policy, self._tap, post, on_open=self._session_opened, on_end=self._stop_sending
        )
        self._take_over()

    def guard_orders(self, status: Callable[[], Status], wait: Callable[[], None]) -> None:
        """Refuse orders while ``status`` does not allow them; see ``Guard``."""
        Guard(self.ib, self._egress, self.desk, status, wait)

    @property
    def last_byte(self) -> float:
        """When the socket last brought a byte, in the loop's time."""
        return self._tap.last_byte

    @property
    def has_socket(self) -> bool:
        """Whether the newest attempt has one: the port has taken the connection."""
        return self._socket.is_there

    @property
    def lost_transport(self) -> str:
        """Why the connection is ending, before the loop reports its end; empty while messages can be sent."""
        return self._socket.lost_transport

    @property
    def has_ended(self) -> bool:
        """Whether the newest attempt is over and its socket gone."""
        return self._socket.has_ended

    def stats(self) -> Stats:
        """What this side counts and measures; the connector adds what others do."""
        bytes_in, bytes_out, messages_in, messages_out = self._traffic.so_far
        return Stats(
            as_of=datetime.now(UTC),
            subscriptions=self.custody.ledger.standings,
            bytes_in=bytes_in,
            bytes_out=bytes_out,
            messages_in=messages_in,
            messages_out=messages_out,
            probes=self._time.answers,
            round_trips=tuple(self._time.round_trips),
        )

    def open(self, attempt: int, port: int, *, from_lost_address: bool) -> None:
        """Begin an attempt. Ends in exactly one ``SocketEnded``."""
        self._attempt = attempt
        self._startup = None
        self._packet.begin(attempt)
        self.custody.begin()
        self.desk.trades.begin()
        self.holdings.begin()
        self._time.begin()
        self._egress.begin()
        self._socket.open(attempt, port, from_lost_address=from_lost_address)

    def close(self) -> None:
        """End the socket in good order: what was written is sent first, and orders that wait for their turn."""
        self._egress.hurry()
        self._socket.close()

    def abort(self) -> None:
        """End the socket now."""
        self._socket.abort()

    def discard_unsent(self, discard: bool) -> None:
        """Throw away what has not reached the gateway when the socket ends, or have it delivered."""
        self._socket.discard_unsent(discard)

    def start_up(self) -> None:
        """Send the start-up requests."""
        startup = self._startup
        assert startup is not None, "there is a session"
        if self._has_no_session():
            return
        self.desk.trades.start_up()
        if startup.was_asked:
            startup.with_others = self.desk.has_gap
            self.post(StartupAsked(self._attempt, startup.names))
        self.holdings.start_up(startup.names)
        with one_write(self.ib.client.conn), self.custody.start_up():
            startup.ask()

    def ask_again(self, names: tuple[str, ...], *, shared: bool) -> None:
        """Send these start-up requests once more."""
        startup = self._startup
        if startup is not None and not self._has_no_session():
            known = tuple(name for name in names if name in startup.names)
            self.holdings.asked(known)
            with self.custody.start_up():
                startup.ask_again(known, shared=shared)

    def compare(self, cause: str, unknown: tuple[str, ...]) -> None:
        """Bring the trades up to date, and hold what is against what was known."""
        self.desk.compare(cause, unknown)

    def report_gap(self) -> None:
        """Tell what changed in the outage that is over. After the first start-up, see what others have, for later."""
        self.desk.report()
        if self._startup is not None:
            # When the burst is free again, for what the program asks for now goes first.
            self._startup.ask_others_later(self._policy.send_burst / self._policy.send_rate)

    def announce(self) -> None:
        """Tell the library's listeners that the session is up, as its own connect does."""
        if len(self.ib.connectedEvent):
            with self.custody.announcement():
                kept_apart(self.ib.connectedEvent.emit)

    def restore(self, *, same_session: bool) -> None:
        """Ask for every subscription again."""
        if self._has_no_session():
            return
        with one_write(self.ib.client.conn):
            self.custody.restore(same_session=same_session)
        self._tell_subscriptions()

    def probe(self) -> None:
        """Ask for the gateway's time. Any byte answers."""
        attempt = self._attempt
        self._tap.on_byte = lambda: self.post(Heard(attempt))
        self._tap.listen()
        self._time.probe()

    def watch(self, feed: Feed | None, since: float, farm: str) -> None:
        """Tell which streams ticked before the trouble."""
        self.post(StreamsWatched(self._attempt, farm, self.custody.used_to_tick(feed, since)))

    def ask_streams(self, req_ids: tuple[Key, ...], unless_since: float | None) -> None:
        """Ask for single streams again on the live socket."""
        if self._has_no_session():
            return
        with one_write(self.ib.client.conn):
            self.custody.ask_again(req_ids, unless_since)
        self._tell_subscriptions()

    def refuse_orders(self, why: str) -> None:
        """Orders that wait for their turn are not sent any more; cancels are."""
        self._egress.refuse_orders(why)

    def slow_down(self) -> None:
        """Send fewer messages a second in this session."""
        self._egress.slow_down()

    def release(self) -> None:
        """End the streams that the caller holds: nothing will be restored any more."""
        self._set_events_done()
        self.custody.release()
        self.desk.release()
        self.holdings.release()

    def hang_up(self) -> None:
        """Have the system end the socket: the loop cannot."""
        self._socket.shut_down()

    def let_go(self) -> None:
        """Hold the socket no longer, which is another process's."""
        self._socket.let_go()

    def abandon(self) -> None:
        """The loop is gone, and the socket with it: forget both, so that another loop can begin anew."""
        wrapper = self.ib.wrapper
        self._stop_sending()
        self.desk.abandon()
        self._socket.forget()
        wrapper._futures.clear()
        wrapper._timeoutHandle = None
        wrapper.reset()
        self.release()

    def _new_desk(self) -> Desk:
        desk = Desk(
            self.ib,
            self._egress,
            self.custody,
            Ids(self.ib.client, lambda: self.custody.is_wanted),
            self._policy,
            ask_again=lambda names: self.ask_again(names, shared=True),
            on_unconfirmed=lambda orders: self.post(OrdersUnconfirmed(orders)),
        )
        desk.trades.hides_others = lambda: self._startup is not None and self._startup.awaits_others
        desk.knows_others = lambda: self._startup is not None and self._startup.knows_others
        return desk

    def _take_over(self) -> None:
        wrapper = self.ib.wrapper
        # The library's own also raises in every other IB of the process, through globalErrorEvent.
        wrapper.connectionClosed = self._session_ended
        self._error, wrapper.error = wrapper.error, self._error_received
        self._end_request, wrapper._endReq = wrapper._endReq, self._request_ended

    def _has_no_session(self) -> bool:
        """Not any more: its end waits its turn, behind a callback that turned the loop, and what came before it."""
        return not self.ib.client.isReady()

    def _stop_sending(self) -> None:
        self._time.end()
        self._egress.end()

    def _session_ended(self) -> None:
        wrapper = self.ib.wrapper
        if self._startup is not None:
            self._startup.abandon()
        self.desk.session_ends(self._tap.silence)
        self.custody.session_ends()
        self.holdings.session_ends()
        wrapper.reset()
        self.custody.session_ended()
        self.desk.trades.session_ended()
        self.holdings.session_ended()

    def _session_opened(self) -> None:
        client = self.ib.client
        self._egress.opened()
        self.custody.session_opened()
        startup = StartUp(
            self.ib,
            self._account,
            readonly=self._readonly,
            on_answer=self._answered,
            on_unreadable=self._answer_unreadable,
        )
        startup.with_others = self.desk.has_gap
        self._startup = startup
        version, accounts = client.serverVersion(), tuple(client.getAccounts())
        self.post(SessionOpened(self._attempt, version, accounts, startup.names, self.custody.has_to_restore))

    def _request_ended(self, key: Any, result: Any = None, success: bool = True) -> None:
        if key == KEY:
            self._time.answered()
        is_known = key in self.ib.wrapper._futures
        self._end_request(key, result, success)
        if self._startup is not None and is_known and success:
            self._startup.ended(key)

    def _error_received(self, req_id: int, code: int, text: str, advanced: str = "") -> None:
        """Ours first: what the library does with some of these is what we must prevent."""
        if is_about_farm(code):
            self._packet.notice(code, text)
            self._tell_library(req_id, code, text, advanced)
            return
        self._packet.tell()
        startup = self._startup
        if startup is not None and not is_warning(code):
            startup.failed(req_id)
        self.desk.code_received(reaction(code))
        if is_about_link(code):
            self.post(CodeReceived(self._attempt, code, text))
            # The library logs each of these as ERROR, again and again and the good news too; the status says it better.
            if not self.desk.errors.received(req_id, code, text, advanced):
                self.ib.errorEvent.emit(req_id, code, text, None)
        else:
            self.custody.error_received(req_id, code, text, partial(self._tell_library, req_id, code, text, advanced))
        if startup is not None and is_read_only(code, text):
            startup.read_only()

    def _tell_library(self, req_id: int, code: int, text: str, advanced: str) -> None:
        """The library hears of what names no order: those it would end."""
        if not self.desk.errors.received(req_id, code, text, advanced):
            self._error(req_id, code, text, advanced)

    def _row_unreadable(self, name: str) -> None:
        if name == ACCOUNT_UPDATES:
            self.holdings.portfolio_unreadable()
        if self._startup is not None:
            self._startup.row_unreadable(name)

    def _answer_unreadable(self, name: str) -> None:
        self._packet.tell()
        self.post(RowsUnreadable(self._attempt, (name,)))
        self.desk.row_unreadable(name)

    def _answered(self, name: str, read_only: bool) -> None:
        """Told with others of its packet; but at once when orders are known, for what comes behind is news."""
        startup = self._startup
        self.holdings.answered(name)
        self.desk.answered(name)
        self._packet.answer(name, read_only=read_only, at_once=startup is None or not startup.awaits_orders)

    def _tell_subscriptions(self) -> None:
        self._packet.tell()
        ledger = self.custody.ledger
        self.post(
            SubscriptionsMoved(
                self._attempt, ledger.pending, ledger.refused, ledger.ended, ledger.withheld, ledger.held_back
            )
        )
