"""Every fault that the gateway can be put through: those of sockets, upstream and answers stand here as methods.

Those of bytes, messages, orders, streams, limits and sequences stand in modules of their own, as functions of `Faults`.
"""

import functools
import math
from collections.abc import Callable
from typing import Annotated, TypeAlias

from ibkr.simulator.faults import (  # noqa: F401  (they register themselves)
    limits,
    messages,
    opening,
    orders,
    sequence,
    streams,
)
from ibkr.simulator.faults.conditions import Conditions
from ibkr.simulator.faults.control import FaultControl
from ibkr.simulator.faults.farms import Farm
from ibkr.simulator.faults.registry import (
    FAULTS,
    MOST,
    Endless,
    FaultError,
    Seconds,
    fault,
    find_fault,
    number_from,
    one_of,
)
from ibkr.simulator.requests.table import REQUESTS

_MOVED = "Socket port has been reset and this connection is being dropped. Please reconnect on the new port"

Port: TypeAlias = Annotated[int, number_from(0, "port numbers", 65535)]
ClientId: TypeAlias = Annotated[int, number_from(0, "client ids", MOST)]
Repeats: TypeAlias = Annotated[int, number_from(1, "repeats", MOST)]


class Faults(FaultControl):
    """The faults as methods; `FAULTS` has the same by name. To be called in the gateway's loop.

    Those that change what a new connection meets (silent, http, ...) replace one another and hold
    until `clear`. Every one raises `FaultError` for arguments that it does not take.
    """

    def __getattr__(self, name: str) -> Callable[..., None]:
        """Those of the other modules, which are methods like the rest to the caller."""
        if name not in FAULTS:
            raise AttributeError(f"no fault {name!r}")
        return functools.partial(FAULTS[name].method, self)

    def __dir__(self) -> list[str]:
        return sorted({*super().__dir__(), *FAULTS})

    def call(self, name: str, /, *args: object, **named: object) -> None:
        """Carry out the fault of this name or alias. Raises `FaultError`."""
        find_fault(name).method(self, *args, **named)

    # --- the sessions that stand -----------------------------------------------------------------

    @fault()
    def reset(self) -> None:
        """Reset every connection (RST), as a firewall or a crashed host does."""
        for client in list(self.hub.clients):
            client.abort(is_reset=True)

    @fault()
    def close(self) -> None:
        """Close every connection in good order (FIN). The port stays open."""
        for client in list(self.hub.clients):
            if self.hub.conditions.frozen:  # nothing waiting can be sent first
                client.abort()
            else:
                client.close()

    @fault()
    def restart(self, seconds: Seconds = 2.0) -> None:
        """The daily restart: end every connection, refuse new ones for this many seconds, then listen again."""
        self.listener.shut()
        self.stop()
        for client in list(self.hub.clients):
            client.abort()
        self.hub.conditions.frozen = False
        self.hub.conditions.upstream_up = True
        self.hub.conditions.broken_farms.clear()
        self.listener.reopen_after(seconds)

    @fault()
    def change_port(self, port: Port = 0) -> None:
        """Change the API port (0 takes a free one): send 1300 with the new port, then end every connection."""
        try:
            self.listener.check(port)
        except OSError as error:
            raise FaultError(
                f"change_port: cannot listen on port {port}: {error.strerror}; choose another, or 0 for any"
            ) from error
        self.listener.move(port)
        for client in list(self.hub.clients):
            if client.client_id >= 0:
                client.send_error(-1, 1300, f"{_MOVED} - {self.listener.port}")
            client.close()

    @fault()
    def freeze(self) -> None:
        """Stop reading and writing on all connections, old and new: they are half-open."""
        self.hub.conditions.frozen = True
        for client in list(self.hub.clients):
            client.freeze()

    @fault()
    def thaw(self) -> None:
        """End a freeze. What has arrived meanwhile is read now."""
        self.hub.conditions.frozen = False
        for client in list(self.hub.clients):
            client.thaw()

    # --- upstream and farms ----------------------------------------------------------------------

    @fault("1100")
    def lose_upstream(self, repeats: Repeats = 1, interval: Seconds = 2.0) -> None:
        """Lose the connection to IB: 1100, this many times, interval seconds apart. Ticks stop."""
        self.stop()
        self.upstream_lost(repeats, interval)

    @fault("1101")
    def restore_upstream_data_lost(self) -> None:
        """The connection to IB is back and all subscriptions are lost: 1101."""
        self.upstream_back(is_data_lost=True)

    @fault("1102")
    def restore_upstream(self) -> None:
        """The connection to IB is back and subscriptions go on: 1102, with the list of farms."""
        self.upstream_back(is_data_lost=False)

    @fault("2110")
    def upstream_down_at_connect(self) -> None:
        """New sessions get 2110 instead of the list of farms. Existing sessions get no message."""
        self.stop()
        self.hub.conditions.upstream_up = False

    @fault()
    def break_farm(self, farm: Farm = "usfarm") -> None:
        """A data farm breaks: 2103, 2105 or 2157, by its kind. Its ticks stop."""
        self.tell_farm(farm, is_up=False)

    @fault()
    def mend_farm(self, farm: Farm = "usfarm") -> None:
        """A data farm works again: 2104, 2106 or 2158, by its kind. Its ticks go on."""
        self.tell_farm(farm, is_up=True)

    # --- client ids ------------------------------------------------------------------------------

    @fault()
    def occupy_client_id(self, client_id: ClientId, seconds: Endless = math.inf) -> None:
        """Another program has this client id for this many seconds. New sessions with it get 326."""
        self.hub.take_id(client_id, seconds)

    # --- what a new connection meets -------------------------------------------------------------

    @fault()
    def silent(self) -> None:
        """New connections are accepted and get no answer, as when a login or a dialog waits."""
        self._greet("silent")

    @fault()
    def http(self) -> None:
        """New connections meet a web server that answers 400 Bad Request to the first bytes."""
        self._greet("http")

    @fault()
    def ssh(self) -> None:
        """New connections meet an SSH server."""
        self._greet("ssh")

    @fault()
    def garbage(self) -> None:
        """New connections get an impossible frame length as answer, and random bytes after it."""
        self._greet("garbage")

    @fault()
    def close_on_accept(self) -> None:
        """New connections are closed at once, as by a port forwarder without a server behind it."""
        self._greet("close_on_accept")

    @fault()
    def close_after_handshake(self) -> None:
        """New connections are closed after startApi, without a message."""
        self._greet("close_after_handshake")

    @fault()
    def old_version(self) -> None:
        """New connections are told server version 100, which is too low for current clients."""
        self._greet("old_version")

    # --- how requests are answered ---------------------------------------------------------------

    @fault()
    def read_only(self) -> None:
        """Requests about orders get error 321, as with the Read-Only API setting."""
        self.hub.conditions.read_only = True

    @fault()
    def end_read_only(self) -> None:
        """Switch the Read-Only API setting off: requests about orders are answered again."""
        self.hub.conditions.read_only = False

    @fault()
    def mute(self, request: Annotated[str, one_of(REQUESTS, "request")]) -> None:
        """Requests of this name, such as reqPositions, get no answer."""
        self.hub.conditions.muted.add(request)

    @fault()
    def delay(self, seconds: Seconds) -> None:
        """Send everything this many seconds later. 0 ends it."""
        self.hub.conditions.change_flow(delay=seconds)

    @fault()
    def clear(self) -> None:
        """End all faults, without a message. Sessions and subscriptions go on."""
        self.stop()
        self.hub.conditions = Conditions()
        self.hub.streams.resume()
        self.hub.release_ids()
        for client in list(self.hub.clients):
            client.clear()
        self.listener.go_home()
        self.listener.reopen_now()

    def _greet(self, name: str) -> None:
        self.hub.conditions.greeting = name
