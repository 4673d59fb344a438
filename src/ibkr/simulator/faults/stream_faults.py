"""Faults of market data and other streams: stalled, ended, competing login, denied."""

from typing import Annotated, Any, TypeAlias

from ibkr.simulator.faults.fault_context import FaultContext
from ibkr.simulator.faults.fault_registry import MAX_INT, GatewayCheck, fault, number_from, one_of
from ibkr.simulator.streams.data_streams import LOST
from ibkr.simulator.streams.market_data_requests import COMPETING, DENIALS
from ibkr.simulator.streams.market_data_requests import REQUEST as MARKET_DATA

_ENDED = {
    316: "Market depth data has been HALTED. Please re-subscribe",
    317: "Market depth data has been RESET. Please empty deep book contents before applying any new entries",
    LOST[0]: LOST[1],
    10225: "Bust event occurred, current subscription is deactivated. Please resubscribe real-time bars immediately",
}


def _check_symbol(faults: FaultContext, symbol: str) -> str:
    return one_of(faults.state.instruments.by_symbol, "symbol")(symbol)


Symbol: TypeAlias = Annotated[str, GatewayCheck(_check_symbol)]
Code: TypeAlias = Annotated[int, number_from(1, "codes", MAX_INT)]


@fault()
def stall_stream(faults: FaultContext, symbol: Symbol = "AAPL") -> None:
    """Stop the streams of a symbol without a message, until they are requested again."""
    faults.state.streams.stall(symbol)


@fault()
def end_stream(faults: FaultContext, symbol: Symbol = "AAPL", code: Code = 10182) -> None:
    """End all streams of a symbol, each with an error of this code."""
    faults.state.streams.end_symbol(symbol, code, _ENDED.get(code, "The stream has ended."))


@fault()
def competing_login(faults: FaultContext) -> None:
    """The user logs in at another place: every market data stream gets 10197 and stops."""
    faults.state.conditions.competing = True
    for stream in faults.state.streams:
        if stream.kind == MARKET_DATA:
            stream.client.send_error(stream.req_id, *COMPETING)


@fault()
def end_competing_login(faults: FaultContext) -> None:
    """The user has logged out at the other place. Ticks continue."""
    faults.state.conditions.competing = False


def _check_denial(code: Any) -> str:
    return "" if code in DENIALS else f"one of the codes {', '.join(map(str, DENIALS))} is needed, not {code}"


@fault()
def deny_market_data(faults: FaultContext, code: Annotated[int, _check_denial] = 354) -> None:
    """The user has no market data: new subscriptions get 354, 10089, 10168, or 10186."""
    faults.state.conditions.denied_by = code
