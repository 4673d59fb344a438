"""Faults of single streams."""

from typing import Annotated, Any, TypeAlias

from ibkr.simulator.faults.control import FaultControl
from ibkr.simulator.faults.registry import MOST, ByGateway, fault, number_from, one_of
from ibkr.simulator.streams.data_streams import LOST
from ibkr.simulator.streams.market_data import COMPETING, DENIALS
from ibkr.simulator.streams.market_data import REQUEST as MARKET_DATA

_ENDED = {
    316: "Market depth data has been HALTED. Please re-subscribe",
    317: "Market depth data has been RESET. Please empty deep book contents before applying any new entries",
    LOST[0]: LOST[1],
    10225: "Bust event occurred, current subscription is deactivated. Please resubscribe real-time bars immediately",
}


def _a_symbol(faults: FaultControl, symbol: str) -> str:
    return one_of(faults.hub.instruments.by_symbol, "symbol")(symbol)


Symbol: TypeAlias = Annotated[str, ByGateway(_a_symbol)]
Code: TypeAlias = Annotated[int, number_from(1, "codes", MOST)]


@fault()
def stall_stream(faults: FaultControl, symbol: Symbol = "AAPL") -> None:
    """The streams of a symbol stop without a message, until they are requested again."""
    faults.hub.streams.stall(symbol)


@fault()
def end_stream(faults: FaultControl, symbol: Symbol = "AAPL", code: Code = 10182) -> None:
    """All streams of a symbol end, each with an error of this code."""
    faults.hub.streams.lose(symbol, code, _ENDED.get(code, "The stream has ended."))


@fault()
def competing_login(faults: FaultControl) -> None:
    """The user logs in at another place: every stream of market data gets 10197 and stops."""
    faults.hub.conditions.competing = True
    for stream in faults.hub.streams:
        if stream.kind == MARKET_DATA:
            stream.client.send_error(stream.req_id, *COMPETING)


@fault()
def end_competing_login(faults: FaultControl) -> None:
    """The user has logged out at the other place. Ticks go on."""
    faults.hub.conditions.competing = False


def _a_denial(code: Any) -> str:
    return "" if code in DENIALS else f"one of the codes {', '.join(map(str, DENIALS))} is needed, not {code}"


@fault()
def deny_market_data(faults: FaultControl, code: Annotated[int, _a_denial] = 354) -> None:
    """The user has no market data: new subscriptions get 354, 10089, 10168 or 10186."""
    faults.hub.conditions.denied_by = code
