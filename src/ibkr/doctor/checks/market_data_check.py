"""The market data check: is data of one stock live, delayed or refused? It cancels the subscription immediately."""

from __future__ import annotations

from collections.abc import Callable

from ibkr.core.codes import is_warning
from ibkr.doctor.api_client import Message, is_message, parse_notice
from ibkr.doctor.check import Check, Finding, code_advice, ok, warn
from ibkr.doctor.context import Context
from ibkr.wire import messages

_TIMEOUT = 2.0
_DELAYED = 3
_REQUEST, _CANCEL, _SET_TYPE = 1, 2, 59
_DATA_TYPES = {"1": "live", "2": "live, frozen: the market is closed", "3": "delayed", "4": "delayed, frozen"}
_DELAYED_NOTICE = 10167


async def _check_market_data(context: Context) -> list[Finding]:
    session, req_id = context.open_session, context.open_session.new_id()
    # A user with live data still gets live data after this. So one subscription shows live, delayed or no data.
    session.send(_SET_TYPE, 1, _DELAYED)
    session.send(*_subscription(req_id, context.symbol))
    answer = await session.wait_for(_is_answer(req_id), _TIMEOUT)
    session.send(_CANCEL, 1, req_id)
    if answer is None:
        message = f"no answer about {context.symbol} within {_TIMEOUT:g} s: no data and no refusal"
        advice = "Look at the data farms above. Run this again when the market is open."
        return warn("no_market_data", message, advice)
    notice = parse_notice(answer)
    if notice is None:
        data_type = _DATA_TYPES.get(answer[3], "of an unknown type")
        return ok(f"{context.symbol}: {data_type}") if answer[3] in "12" else _delayed(context, _DELAYED_NOTICE)
    advice = code_advice(notice.code) or "Read the text of the message."
    if notice.code == 10197:
        return warn("competing_session", f"{context.symbol}: withheld ({notice.code})", advice)
    if notice.code == 200:
        message = f"{context.symbol} is not a stock on SMART in USD ({notice.code})"
        return warn("unknown_symbol", message, "Name a stock that this login knows: --symbol IBM.")
    if is_warning(notice.code):
        return _delayed(context, notice.code)
    return warn("no_market_data", f"{context.symbol}: none ({notice.code}: {notice.text})", advice)


def _delayed(context: Context, code: int) -> list[Finding]:
    message = f"{context.symbol}: delayed by 10 to 15 minutes ({code})"
    return warn("delayed_market_data", message, code_advice(code))


def _is_answer(req_id: int) -> Callable[[Message], bool]:
    """Return a test for the first answer: the type of the data, or a notice about this request."""
    is_data_type = is_message(messages.MARKET_DATA_TYPE.message_id, fields=4)

    def is_answer(message: Message) -> bool:
        notice = parse_notice(message)
        return notice.req_id == req_id if notice else is_data_type(message) and message[2] == str(req_id)

    return is_answer


def _subscription(req_id: int, symbol: str) -> tuple[object, ...]:
    contract = (0, symbol, "STK", "", 0.0, "", "", "SMART", "", "USD", "", "")
    delta_neutral, generics, snapshot, regulatory, options = False, "", False, False, ""
    return (_REQUEST, 11, req_id, *contract, delta_neutral, generics, snapshot, regulatory, options)


MARKET_DATA = Check("market data", "Market data", _check_market_data, needs=("session", "upstream"))
