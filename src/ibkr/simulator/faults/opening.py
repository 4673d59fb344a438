"""Faults of the first bytes of a connection: what else than a gateway answers, and the time zone of the hello."""

from typing import Annotated

from ibkr.simulator.connection.time_zone import TimeZone
from ibkr.simulator.faults.conditions import WEB_SERVER_ENDS, WebServer
from ibkr.simulator.faults.control import FaultControl
from ibkr.simulator.faults.registry import FAULTS, FaultError, Seconds, fault, one_of


@fault()
def web_server(
    faults: FaultControl,
    seconds: Seconds = 5.0,
    end: Annotated[str, one_of(WEB_SERVER_ENDS, "end")] = WEB_SERVER_ENDS[0],
) -> None:
    """New connections meet a web server that waits this long for a request, then sends 400 or closes."""
    faults.hub.conditions.greeting = "web_server"
    faults.hub.conditions.web_server = WebServer(seconds, end)


@fault()
def time_zone(faults: FaultControl, name: str = "British Summer Time", encoding: str = "utf-8") -> None:
    """Tell new connections this time zone: British Summer Time, America/New_York."""
    try:
        faults.hub.conditions.time_zone = TimeZone(name, encoding)
    except ValueError as error:
        raise FaultError(f"{error}; write: {FAULTS['time_zone'].usage}") from None
