"""`Faults`: all faults as methods. The faults of connections, upstream, farms, and answers are defined here.

The faults of messages, orders, and streams, and the faults that continue by themselves, are functions in other modules.
`fault_registry` says how to add a fault.
"""

import functools
import math
from collections.abc import Callable
from typing import Annotated, TypeAlias

from ibkr.simulator.connection.connection_time import TimeZone
from ibkr.simulator.faults import message_faults, order_faults, stream_faults, timed_faults  # noqa: F401
from ibkr.simulator.faults.conditions import WEB_SERVER_ENDS, Conditions, Refusal, WebServer
from ibkr.simulator.faults.fault_context import Farm, FaultContext
from ibkr.simulator.faults.fault_registry import (
    FAULTS,
    MAX_INT,
    FaultError,
    Seconds,
    SecondsOrInfinite,
    fault,
    find_fault,
    number_from,
    one_of,
)
from ibkr.simulator.requests.request_names import REQUESTS

_MOVED = "Socket port has been reset and this connection is being dropped. Please reconnect on the new port"

Port: TypeAlias = Annotated[int, number_from(0, "port numbers", 65535)]
ClientId: TypeAlias = Annotated[int, number_from(0, "client ids", MAX_INT)]
Repeats: TypeAlias = Annotated[int, number_from(1, "repeats", MAX_INT)]


class Faults(FaultContext):
    """All faults as methods. `FAULTS` has the same faults by name. Call them in the gateway's event loop.

    A fault that changes how new connections are treated (silent, http, ...) replaces the earlier fault of this kind,
    and lasts until `clear`. Every fault raises `FaultError` for wrong arguments.
    """

    def __getattr__(self, name: str) -> Callable[..., None]:
        """Return a fault of another module as a method."""
        if name not in FAULTS:
            raise AttributeError(f"no fault {name!r}")
        return functools.partial(FAULTS[name].method, self)

    def __dir__(self) -> list[str]:
        return sorted({*super().__dir__(), *FAULTS})

    def call(self, name: str, /, *args: object, **named: object) -> None:
        """Run the fault of this name or alias. Raises `FaultError` if the name or an argument is wrong."""
        find_fault(name).method(self, *args, **named)

    # --- existing connections ---------------------------------------------------------------------

    @fault()
    def reset(self) -> None:
        """Reset every connection (RST), as a firewall or a crashed host does."""
        for client in list(self.state.clients):
            client.abort(is_reset=True)

    @fault()
    def close(self) -> None:
        """Close every connection properly (FIN). The port stays open."""
        for client in list(self.state.clients):
            if self.state.conditions.frozen:  # a frozen gateway cannot send waiting data before it closes
                client.abort()
            else:
                client.close()

    @fault()
    def restart(self, seconds: Seconds = 2.0) -> None:
        """The daily restart: end every connection, refuse new ones for this many seconds, then listen again."""
        self.listener.stop_listening()
        self.stop()
        for client in list(self.state.clients):
            client.abort()
        self.state.conditions.frozen = False
        self.state.conditions.upstream_up = True
        self.state.conditions.broken_farms.clear()
        self.listener.reopen_after(seconds)

    @fault()
    def change_port(self, port: Port = 0) -> None:
        """Change the API port (0 chooses a free port): send 1300 with the new port, then end every connection."""
        try:
            self.listener.check(port)
        except OSError as error:
            raise FaultError(
                f"change_port: cannot listen on port {port}: {error.strerror}; choose another port, or 0"
            ) from error
        self.listener.move(port)
        for client in list(self.state.clients):
            if client.client_id >= 0:
                client.send_error(-1, 1300, f"{_MOVED} - {self.listener.port}")
            client.close()

    @fault()
    def freeze(self) -> None:
        """Stop reading and writing on all connections, old and new: they are half-open."""
        self.state.conditions.frozen = True
        for client in list(self.state.clients):
            client.freeze()

    @fault()
    def thaw(self) -> None:
        """End a freeze. The gateway reads what has arrived."""
        self.state.conditions.frozen = False
        for client in list(self.state.clients):
            client.thaw()

    # --- upstream and farms ----------------------------------------------------------------------

    @fault("1100")
    def lose_upstream(self, repeats: Repeats = 1, interval: Seconds = 2.0) -> None:
        """Lose the connection to IB: 1100, this many times, interval seconds apart. Ticks stop."""
        self.stop()
        self.set_upstream_down(repeats, interval)

    @fault("1101")
    def restore_upstream_data_lost(self) -> None:
        """The connection to IB is back and all subscriptions are lost: 1101."""
        self.set_upstream_up(is_data_lost=True)

    @fault("1102")
    def restore_upstream(self) -> None:
        """The connection to IB is back and subscriptions continue: 1102, with the list of farms."""
        self.set_upstream_up(is_data_lost=False)

    @fault("2110")
    def upstream_down_at_connect(self) -> None:
        """New sessions get 2110 instead of the list of farms. Existing sessions get no message."""
        self.stop()
        self.state.conditions.upstream_up = False

    @fault()
    def break_farm(self, farm: Farm = "usfarm") -> None:
        """A data farm breaks: 2103, 2105, or 2157, by its kind. Its ticks stop."""
        self.set_farm(farm, is_up=False)

    @fault()
    def mend_farm(self, farm: Farm = "usfarm") -> None:
        """A data farm works again: 2104, 2106, or 2158, by its kind. Its ticks continue."""
        self.set_farm(farm, is_up=True)

    # --- client ids ------------------------------------------------------------------------------

    @fault()
    def occupy_client_id(self, client_id: ClientId, seconds: SecondsOrInfinite = math.inf) -> None:
        """Another program uses this client id for this many seconds. New sessions with it get 326."""
        self.state.reserve_id(client_id, seconds)

    # --- new connections --------------------------------------------------------------------------

    @fault()
    def silent(self) -> None:
        """Accept new connections and never answer, as when a login or a dialog waits."""
        self._set_behavior("silent")

    @fault()
    def http(self) -> None:
        """Act as a web server on new connections: answer 400 Bad Request to the first bytes."""
        self._set_behavior("http")

    @fault()
    def web_server(
        self,
        seconds: Seconds = 5.0,
        end: Annotated[str, one_of(WEB_SERVER_ENDS, "end")] = WEB_SERVER_ENDS[0],
    ) -> None:
        """Act as a web server on new connections: wait this long for a request, then send 400 or close."""
        self._set_behavior("web_server")
        self.state.conditions.web_server = WebServer(seconds, end)

    @fault()
    def ssh(self) -> None:
        """Act as an SSH server on new connections."""
        self._set_behavior("ssh")

    @fault()
    def garbage(self) -> None:
        """Answer new connections with an impossible frame length, and random bytes after it."""
        self._set_behavior("garbage")

    @fault()
    def close_on_accept(self) -> None:
        """Close new connections immediately, as a port forwarder without a server behind it does."""
        self._set_behavior("close_on_accept")

    @fault()
    def close_after_handshake(self) -> None:
        """Close new connections after startApi, without a message."""
        self._set_behavior("close_after_handshake")

    @fault()
    def old_version(self) -> None:
        """Announce server version 100 to new connections, which is too low for current clients."""
        self._set_behavior("old_version")

    @fault()
    def time_zone(self, name: str = "British Summer Time", encoding: str = "utf-8") -> None:
        """Send this time zone to new connections: British Summer Time, America/New_York."""
        try:
            self.state.conditions.time_zone = TimeZone(name, encoding)
        except ValueError as error:
            why = str(error).partition(": ")[2]  # without the name of the argument of `Gateway`
            raise FaultError(f"time_zone: {why}; write: {FAULTS['time_zone'].usage}") from None

    @fault()
    def clock_off(self, seconds: Annotated[float, number_from(-1e9, "seconds", 1e9)]) -> None:
        """Set the gateway's clock wrong by this many seconds. 0 ends it."""
        self.state.conditions.clock_off = seconds

    # --- answers to requests ----------------------------------------------------------------------

    @fault()
    def read_only(self) -> None:
        """Answer requests about orders with error 321, as with the Read-Only API setting."""
        self.state.conditions.read_only = True

    @fault()
    def end_read_only(self) -> None:
        """Turn the Read-Only API setting off: requests about orders get answers again."""
        self.state.conditions.read_only = False

    @fault()
    def mute(self, request: Annotated[str, one_of(REQUESTS, "request")]) -> None:
        """Do not answer requests of this name, such as reqPositions."""
        self.state.conditions.muted.add(request)

    @fault()
    def refuse(
        self,
        request: Annotated[str, one_of(REQUESTS, "request")],
        code: Annotated[int, number_from(1, "codes", MAX_INT)] = 322,
        seconds: SecondsOrInfinite = math.inf,
        text: str = "Error processing request.",
    ) -> None:
        """Answer requests of this name, such as reqMktData, with an error of this code, for this many seconds."""
        self.state.conditions.refused[request] = Refusal(code, text, self.state.loop.time() + seconds)

    @fault()
    def delay(self, seconds: Seconds) -> None:
        """Send everything this many seconds later. 0 ends it."""
        self.state.conditions.change_send_profile(delay=seconds)

    @fault()
    def clear(self) -> None:
        """End all faults, without a message. Sessions and subscriptions continue."""
        self.stop()
        self.state.conditions = Conditions()
        self.state.streams.resume()
        self.state.release_ids()
        for client in list(self.state.clients):
            client.clear()
        self.listener.return_to_first_port()
        self.listener.reopen_now()

    def _set_behavior(self, name: str) -> None:
        self.state.conditions.behavior = name
