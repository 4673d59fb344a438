"""Every fault that the gateway can be put through, one method each."""

import asyncio
import difflib
import math

from ibkr.simulator.conditions import FARMS, Conditions, farm_notice
from ibkr.simulator.fault import FaultError, fault, find_fault
from ibkr.simulator.hub import Hub
from ibkr.simulator.listener import Listener
from ibkr.simulator.requests import REQUESTS

_LOST = "Connectivity between IB and Trader Workstation has been lost."
_MOVED = "Socket port has been reset and this connection is being dropped. Please reconnect on the new port"
_ENDED = {
    316: "Market depth data has been HALTED. Please re-subscribe",
    317: "Market depth data has been RESET. Please empty deep book contents before applying any new entries",
    10182: "Failed to request live updates (disconnected).",
    10225: "Bust event occurred, current subscription is deactivated. Please resubscribe real-time bars immediately",
}
_RESTORED = "Connectivity between IB and Trader Workstation has been restored - "


class Faults:
    """The faults as methods; `FAULTS` has the same by name. To be called in the gateway's loop.

    Those that change what a new connection meets (silent, http, ...) replace one another and hold
    until `clear`.
    """

    def __init__(self, hub: Hub, listener: Listener) -> None:
        self._hub = hub
        self._listener = listener
        self._repeats: asyncio.TimerHandle | None = None

    def call(self, name: str, /, *args: object, **named: object) -> None:
        """Carry out the fault of this name or alias. Raises `FaultError`."""
        found = find_fault(name)
        found.method(self, **found.arguments(args, named))

    def recorded(self, name: str) -> None:
        """Called after each fault that was carried out."""
        self._hub.seen.faults.append(name)
        self._hub.changed()

    def stop(self) -> None:
        """No more repeats."""
        if self._repeats is not None:
            self._repeats.cancel()
            self._repeats = None

    # --- the sessions that stand -----------------------------------------------------------------

    @fault()
    def reset(self) -> None:
        """Reset every connection (RST), as a firewall or a crashed host does."""
        for client in list(self._hub.clients):
            client.abort(is_reset=True)

    @fault()
    def close(self) -> None:
        """Close every connection in good order (FIN); the port goes on listening."""
        for client in list(self._hub.clients):
            if self._hub.conditions.frozen:  # nothing waiting can be sent first
                client.abort()
            else:
                client.close()

    @fault()
    def restart(self, seconds: float = 2.0) -> None:
        """End every connection, refuse for so many seconds, then listen again: the daily restart."""
        _check(0 <= seconds < math.inf, "restart", "seconds from 0", seconds)
        self._listener.shut()
        self.stop()
        for client in list(self._hub.clients):
            client.abort()
        self._hub.conditions.frozen = False
        self._hub.conditions.upstream_up = True
        self._hub.conditions.broken_farms.clear()
        self._listener.reopen_after(seconds)

    @fault()
    def change_port(self, port: int = 0) -> None:
        """The API port is changed, 0 takes any: code 1300 with the new port, then every connection ends."""
        _check(0 <= port < 65536, "change_port", "port numbers up to 65535", port)
        self._listener.move(port)
        for client in list(self._hub.clients):
            if client.client_id >= 0:
                client.send_error(-1, 1300, f"{_MOVED} - {self._listener.port}")
            client.close()

    @fault()
    def warn_of_pace(self) -> None:
        """Every session is told once that its messages come too fast: code 100."""
        self._hub.notify_all(100, "Max rate of messages per second has been exceeded")

    @fault()
    def freeze(self) -> None:
        """Neither read nor write, on connections that stand and on new ones: half-open."""
        self._hub.conditions.frozen = True
        for client in list(self._hub.clients):
            client.freeze()

    @fault()
    def thaw(self) -> None:
        """End a freeze: what arrived in it is read and acted on now."""
        self._hub.conditions.frozen = False
        for client in list(self._hub.clients):
            client.thaw()

    # --- upstream and farms ----------------------------------------------------------------------

    @fault("1100")
    def lose_upstream(self, repeats: int = 1, interval: float = 2.0) -> None:
        """Lose the link to IB: code 1100, so many times, interval seconds apart; ticks stop."""
        _check(repeats >= 1, "lose_upstream", "repeats from 1", repeats)
        self.stop()
        self._hub.conditions.upstream_up = False
        self._tell_lost(repeats, interval)

    @fault("1101")
    def restore_upstream_data_lost(self) -> None:
        """The link to IB is back, all subscriptions are forgotten: code 1101."""
        self._upstream_is_back()
        self._hub.market.forget_all()
        self._hub.notify_all(1101, _RESTORED + "data lost.")

    @fault("1102")
    def restore_upstream(self) -> None:
        """The link to IB is back, subscriptions go on: code 1102 with the list of farms."""
        self._upstream_is_back()
        farms = "; ".join(FARMS)
        self._hub.notify_all(1102, f"{_RESTORED}data maintained. All data farms are connected: {farms}.")

    @fault("2110")
    def upstream_down_at_connect(self) -> None:
        """New sessions are told 2110 in place of the farms; those that stand are told nothing."""
        self.stop()
        self._hub.conditions.upstream_up = False

    @fault()
    def break_farm(self, farm: str = "usfarm") -> None:
        """One data farm breaks (2103, 2105 or 2157 by its kind); its ticks stop."""
        self._hub.conditions.broken_farms.add(farm)
        self._hub.notify_all(*farm_notice(farm, is_up=False))

    @fault()
    def mend_farm(self, farm: str = "usfarm") -> None:
        """One data farm is back (2104, 2106 or 2158 by its kind); its ticks go on."""
        self._hub.conditions.broken_farms.discard(farm)
        self._hub.notify_all(*farm_notice(farm, is_up=True))

    # --- single streams --------------------------------------------------------------------------

    @fault()
    def stall_stream(self, symbol: str = "AAPL") -> None:
        """The ticks of one symbol stop in silence, until they are asked for again."""
        for _, item in self._hub.market.streams(symbol):
            item.is_stalled = True

    @fault()
    def end_stream(self, symbol: str = "AAPL", code: int = 10182) -> None:
        """The market data of one symbol ends, with this error code for each request."""
        for client, item in self._hub.market.streams(symbol):
            self._hub.market.cancel(client, item.req_id)
            client.send_error(item.req_id, code, _ENDED.get(code, "The stream has ended."))

    @fault()
    def competing_login(self) -> None:
        """The user logs in elsewhere: 10197 to every stream of market data, and no more ticks."""
        self._hub.conditions.competing = True
        for client, item in self._hub.market.streams():
            client.send_error(item.req_id, 10197, "No market data during competing live session")

    @fault()
    def end_competing_login(self) -> None:
        """The user has logged out elsewhere: the ticks go on."""
        self._hub.conditions.competing = False

    # --- client ids ------------------------------------------------------------------------------

    @fault()
    def occupy_client_id(self, client_id: int, seconds: float = math.inf) -> None:
        """Somebody else has this client id, for so many seconds: new sessions with it get 326."""
        self._hub.take_id(client_id, seconds)

    # --- what a new connection meets -------------------------------------------------------------

    @fault()
    def silent(self) -> None:
        """New connections are accepted, then nothing: a login or dialog is waiting."""
        self._greet("silent")

    @fault()
    def http(self) -> None:
        """New connections meet a web server: 400 Bad Request once bytes arrive."""
        self._greet("http")

    @fault()
    def ssh(self) -> None:
        """New connections meet an SSH server."""
        self._greet("ssh")

    @fault()
    def garbage(self) -> None:
        """New connections are answered with an absurd frame length and junk after it."""
        self._greet("garbage")

    @fault()
    def close_on_accept(self) -> None:
        """New connections are closed before any byte: a forwarder with nothing behind it."""
        self._greet("close_on_accept")

    @fault()
    def close_after_handshake(self) -> None:
        """New connections are closed after startApi, without a message."""
        self._greet("close_after_handshake")

    @fault()
    def old_version(self) -> None:
        """New connections are told server version 100, below what current clients take."""
        self._greet("old_version")

    # --- how requests are answered ---------------------------------------------------------------

    @fault()
    def read_only(self) -> None:
        """Requests about orders get error 321, as with the Read-Only API setting."""
        self._hub.conditions.read_only = True

    @fault()
    def mute(self, request: str) -> None:
        """Requests of this name, such as reqPositions, get no answer."""
        if request not in REQUESTS:
            near = difflib.get_close_matches(request, REQUESTS, n=3) or ["reqPositions", "reqExecutions"]
            raise FaultError(f"mute: no request {request!r}; perhaps: {', '.join(near)}")
        self._hub.conditions.muted.add(request)

    @fault()
    def delay(self, seconds: float) -> None:
        """Everything is sent so many seconds later; 0 ends it."""
        _check(0 <= seconds < math.inf, "delay", "seconds from 0", seconds)
        self._hub.conditions.delay = seconds

    @fault()
    def clear(self) -> None:
        """End all modes, thaw, upstream and port back, silently; sessions and ticks go on."""
        is_frozen = self._hub.conditions.frozen
        self.stop()
        self._hub.conditions = Conditions()
        for _, item in self._hub.market.streams():
            item.is_stalled = False
        self._hub.release_ids()
        if is_frozen:
            for client in list(self._hub.clients):
                client.thaw()
        self._listener.go_home()
        self._listener.reopen_now()

    def _greet(self, name: str) -> None:
        self._hub.conditions.greeting = name

    def _upstream_is_back(self) -> None:
        self.stop()
        self._hub.conditions.upstream_up = True
        self._hub.conditions.broken_farms.clear()

    def _tell_lost(self, times: int, interval: float) -> None:
        self._hub.notify_all(1100, _LOST)
        if times > 1:
            self._repeats = self._hub.loop.call_later(interval, self._tell_lost, times - 1, interval)


def _check(is_fine: bool, name: str, wanted: str, value: object) -> None:
    if not is_fine:
        raise FaultError(f"{name}: {wanted} are needed, not {value!r}")
