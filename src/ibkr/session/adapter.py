"""The adapter: carries out the machine's orders on an ``IB`` object, and tells what happens there as facts.

The ``IB`` object lives as long as the connector and is reconnected; what of the library would get in the way of that
is replaced on the instance here, with the reason next to it (facts/client-library.md). All that shares the state of one
attempt, and no more, is in this file: one job, in some 400 lines, a third of them imports, docstrings and signatures.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from datetime import UTC, datetime
from functools import partial
from typing import Any

from ibkr.core.codes import Reaction, is_about_farm, is_about_link, is_read_only, is_warning, reaction
from ibkr.core.errors import Failure, FailureKind
from ibkr.core.facts import (
    AttemptFailed,
    CodeReceived,
    Fact,
    Heard,
    Key,
    OrdersUnconfirmed,
    SessionOpened,
    SocketEnded,
    StartupAsked,
    StreamsWatched,
    SubscriptionsMoved,
)
from ibkr.core.policy import Policy
from ibkr.core.state import Feed
from ibkr.core.stats import Stats
from ibkr.session.current_time import KEY, CurrentTime
from ibkr.session.custody import Custody
from ibkr.session.egress import Egress, Limiter, one_write
from ibkr.session.ids import Ids
from ibkr.session.ingest import SmallReads
from ibkr.session.keepalive import keep_alive
from ibkr.session.library import forget_loop, hang_up, let_go, say_goodbye, shut_down, tame
from ibkr.session.orders.desk import Desk
from ibkr.session.packet import Packet
from ibkr.session.startup import StartUp
from ibkr.session.tap import Tap
from ibkr.session.telling import in_words, kept_apart, plain
from ibkr.session.traffic import Traffic

# The library logs each of these as ERROR, again and again and the good news too; the status tells them better.
_TOLD_BY_STATUS = frozenset(
    {
        Reaction.UPSTREAM_LOST,
        Reaction.UPSTREAM_BACK,
        Reaction.UPSTREAM_BACK_DATA_LOST,
        Reaction.CLIENT_ID_IN_USE,
        Reaction.PORT_CHANGED,
        Reaction.TOO_FAST,
    }
)


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
        self._egress = Egress(ib.client, limiter)
        self._host, self._client_id, self._policy = host, client_id, policy
        self._account, self._readonly = account, readonly
        self.post: Callable[[Fact], None] = lambda fact: None
        self._attempt = 0
        self._opening: asyncio.Task[None] | None = None
        self._startup: StartUp | None = None
        self._later: asyncio.TimerHandle | None = None
        self._detail = ""
        self._is_open = False
        self._is_started = False
        self._packet = Packet(lambda fact: self.post(fact))
        self._ended = True
        self._has_socket = False
        self._take_over()

    @property
    def last_byte(self) -> float:
        """When the socket last brought a byte, in the loop's time."""
        return self._tap.last_byte

    @property
    def has_socket(self) -> bool:
        """Whether the newest attempt has one: the port has taken the connection."""
        return self._has_socket

    @property
    def has_ended(self) -> bool:
        """Whether the newest attempt is over and its socket gone."""
        return self._ended

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

    def open(self, attempt: int, port: int) -> None:
        """Begin an attempt. Ends in exactly one ``SocketEnded``."""
        self._attempt = attempt
        self._is_open = False
        self._ended = False
        self._detail = ""
        self._startup = None
        self._packet.begin(attempt)
        self._tap.reset()
        self.custody.begin()
        self.desk.trades.begin()
        self._time.begin()
        self._egress.begin()
        loop = asyncio.get_running_loop()
        self._opening = loop.create_task(self._open(attempt, port), name=f"ibkr-attempt-{attempt}")
        self._opening.add_done_callback(lambda _: self._check_end())

    def close(self) -> None:
        """End the socket in good order: what was written is sent first, and orders that wait for their turn."""
        self._egress.hurry()
        self._leave(abort=False)

    def abort(self) -> None:
        """End the socket now."""
        self._leave(abort=True)

    def start_up(self) -> None:
        """Send the start-up requests."""
        startup = self._startup
        assert startup is not None, "there is a session"
        self._cancel_later()
        self.desk.trades.start_up()
        if self._is_started:
            startup.with_others = self.desk.has_gap
            self.post(StartupAsked(self._attempt, startup.names))
        self._is_started = True
        with one_write(self.ib.client.conn), self.custody.start_up():
            startup.ask()

    def ask_again(self, names: tuple[str, ...], *, shared: bool) -> None:
        """Send these start-up requests once more."""
        if self._startup is not None:
            with self.custody.start_up():
                self._startup.ask_again(names, shared=shared)

    def compare(self, cause: str, unknown: tuple[str, ...]) -> None:
        """Bring the trades up to date, and hold what is against what was known."""
        self.desk.compare(cause, unknown, self.custody)

    def report_gap(self) -> None:
        """Tell what changed in the outage that is over. After the first start-up, see what others have, for later."""
        self.desk.report(self.custody)
        if self._startup is not None and not self._startup.with_others:
            self._startup.with_others = True
            self._ask_others_later(self._startup)

    def _ask_others_later(self, startup: StartUp) -> None:
        """When the burst is free again, for what the program asks for now goes first; and the library's key is."""
        refilled = self._policy.send_burst / self._policy.send_rate

        def ask() -> None:
            if not startup.ask_others():
                self._ask_others_later(startup)

        self._later = asyncio.get_running_loop().call_later(refilled, ask)

    def announce(self) -> None:
        """Tell the library's listeners that the session is up, as its own connect does."""
        kept_apart(self.ib.connectedEvent.emit)

    def restore(self, *, same_session: bool) -> None:
        """Ask for every subscription again."""
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
        with one_write(self.ib.client.conn):
            self.custody.ask_again(req_ids, unless_since)
        self._tell_subscriptions()

    def slow_down(self) -> None:
        """Send fewer messages a second in this session."""
        self._egress.slow_down()

    def release(self) -> None:
        """End the streams that the caller holds: nothing will be restored any more."""
        self._set_events_done()
        self.custody.release()
        self.desk.release()

    def hang_up(self) -> None:
        """Have the system end the socket: the loop cannot."""
        shut_down(self.ib)

    def let_go(self) -> None:
        """Hold the socket no longer, which is another process's."""
        let_go(self.ib)

    def abandon(self) -> None:
        """The loop is gone, and the socket with it: forget both, so that another loop can begin anew."""
        self._stop_sending()
        forget_loop(self.ib)
        self._has_socket = False
        self._opening = None
        self._ended = True
        self.release()

    def _take_over(self) -> None:
        ib, client, wrapper = self.ib, self.ib.client, self.ib.wrapper
        self._set_events_done = tame(ib)
        self._tap = Tap(client, lambda: asyncio.get_running_loop().time())
        self._tap.on_unfit = self._on_unfit
        self._tap.on_packet = self._packet.tell
        self.custody = Custody(ib, self._egress, self._policy, self._tell_subscriptions)
        self.desk = Desk(ib, self._egress, lambda orders: self.post(OrdersUnconfirmed(orders)))
        self.desk.trades.hides_others = lambda: self._startup is not None and self._startup.awaits_others
        self.desk.knows_others = lambda: self._startup is not None and self._startup.knows_others
        self._tap.on_read = self.custody.note_ticks
        Ids(client, lambda: self.custody.is_wanted)
        self._time = CurrentTime(ib, self._egress, self._policy.probe_apart)
        self._traffic = Traffic(client)
        client.conn.data_received = self._tap.data_received
        client.conn.connection_made = self._on_accepted
        client.apiStart.connect(self._on_api_start, keep_ref=True)
        client.conn.disconnected.clear()
        client.conn.disconnected.connect(self._on_socket_end, keep_ref=True)
        # The library's own also raises in every other IB of the process, through globalErrorEvent.
        wrapper.connectionClosed = self._connection_closed
        self._error, wrapper.error = wrapper.error, self._error_received
        self._end_request, wrapper._endReq = wrapper._endReq, self._request_ended

    async def _open(self, attempt: int, port: int) -> None:
        client = self.ib.client
        self.ib.wrapper.clientId = self._client_id
        try:
            await client.connectAsync(self._host, port, self._client_id, None)
        except (OSError, UnicodeError) as error:
            self._detail = in_words(error)
            self.post(AttemptFailed(attempt, Failure(FailureKind.UNREACHABLE, self._detail)))
            return
        self._session_opened(attempt)

    def _leave(self, *, abort: bool) -> None:
        """What the library's own disconnect does, in its order; then the end of the socket, if it must be now."""
        client = self.ib.client
        if self._opening is not None and not self._opening.done():
            self._opening.cancel()
        was_ready = client.isReady()
        self._tap.end()
        client.connState = client.DISCONNECTED
        if abort:
            hang_up(client.conn, abort=True)
        else:
            say_goodbye(client.conn)
        self._stop_sending()
        client.reset()
        if was_ready:
            kept_apart(self.ib.disconnectedEvent.emit)
            self._connection_closed()
        self._check_end()

    def _cancel_later(self) -> None:
        if self._later is not None:
            self._later.cancel()
            self._later = None

    def _stop_sending(self) -> None:
        self._cancel_later()
        self._time.end()
        self._egress.end()

    def _connection_closed(self) -> None:
        wrapper = self.ib.wrapper
        if self._startup is not None:
            self._startup.abandon()
        self.desk.session_ends(self.custody, self._tap.silence)
        self.custody.session_ends()
        wrapper.reset()
        self.custody.session_ended()
        self.desk.trades.session_ended()

    def _on_accepted(self, transport: asyncio.BaseTransport) -> None:
        self._has_socket = True
        transport.set_protocol(SmallReads(self.ib.client.conn))
        keep_alive(transport.get_extra_info("socket"), self._policy.probe_after + self._policy.probe_timeout)

    def _on_api_start(self) -> None:
        """Accounts and next id are in. Told once that packet is read, turns of the loop before connectAsync ends."""
        asyncio.get_running_loop().call_soon(self._session_opened, self._attempt)

    def _session_opened(self, attempt: int) -> None:
        client = self.ib.client
        if attempt != self._attempt or self._is_open or not client.isReady():
            return
        self._is_open = True
        self._is_started = False
        self._egress.opened()
        self.custody.session_opened()
        startup = StartUp(self.ib, self._account, readonly=self._readonly, on_answer=self._answered)
        startup.with_others = self.desk.has_gap
        self._startup = startup
        self.post(SessionOpened(attempt, client.serverVersion(), tuple(client.getAccounts()), startup.names))

    def _on_unfit(self, failure: Failure) -> None:
        self._detail = failure.detail
        if self._is_open:
            hang_up(self.ib.client.conn, abort=True)
        else:
            self.post(AttemptFailed(self._attempt, failure))

    def _on_socket_end(self, message: str) -> None:
        """The machine knows before the library's listeners do: none of them meets a status that is no longer true."""
        client = self.ib.client
        self._tap.finish()
        was_ready = client.isReady()
        self._has_socket = False
        self._stop_sending()
        self._detail = self._detail or (plain(message) or "the gateway closed the connection")
        try:
            if was_ready:
                self._connection_closed()
            client.reset()
        finally:  # whatever else may fail, the end of the socket is told
            if self._opening is not None and not self._opening.done():
                self._opening.cancel()
            self._check_end()
        if was_ready:
            kept_apart(client.apiEnd.emit)

    def _check_end(self) -> None:
        if self._ended or self._has_socket or self.ib.client.conn.isConnected():
            return
        if self._opening is not None and not self._opening.done():
            return
        self._ended = True
        self.post(SocketEnded(self._attempt, self._detail, before_any_byte=not self._tap.any_byte))

    def _request_ended(self, key: Any, result: Any = None, success: bool = True) -> None:
        if key == KEY:
            self._time.answered()
        is_known = key in self.ib.wrapper._futures
        self._end_request(key, result, success)
        if self._startup is not None and is_known and success:
            self._startup.ended(key)

    def _error_received(self, req_id: int, code: int, text: str, advanced: str = "") -> None:
        """Ours first: what the library does with some of these is what we must prevent."""
        about_farm = is_about_farm(code)
        if about_farm:
            self._packet.notice(code, text)
        if not about_farm or not self._tap.is_reading:
            self._packet.tell()
        startup = self._startup
        if startup is not None and not is_warning(code):
            startup.failed(req_id)
        self.desk.code_received(req_id, reaction(code))
        if is_about_link(code) and not about_farm:
            self.post(CodeReceived(self._attempt, code, text))
        if reaction(code) in _TOLD_BY_STATUS:
            self.ib.errorEvent.emit(req_id, code, text, None)
        else:
            self.custody.error_received(req_id, code, text, partial(self._error, req_id, code, text, advanced))
        if startup is not None and is_read_only(code, text):
            startup.read_only()

    def _answered(self, name: str, read_only: bool) -> None:
        """Told with others of its packet; but at once when orders are known, for what comes behind is news."""
        self._packet.answer(name, read_only=read_only)
        startup = self._startup
        if not self._tap.is_reading or startup is None or not startup.awaits_orders:
            self._packet.tell()

    def _tell_subscriptions(self) -> None:
        self._packet.tell()
        ledger = self.custody.ledger
        self.post(
            SubscriptionsMoved(
                self._attempt, ledger.pending, ledger.refused, ledger.ended, ledger.withheld, ledger.held_back
            )
        )
