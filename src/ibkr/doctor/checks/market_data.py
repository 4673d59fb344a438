"""Market-data permission on one contract: live, delayed, or none. The subscription is cancelled at once."""

from __future__ import annotations

from collections.abc import Callable

from ibkr.core.codes import is_warning
from ibkr.doctor.api import Message, is_a, notice_of
from ibkr.doctor.check import Check, advised, ok, warn
from ibkr.doctor.finding import Finding
from ibkr.doctor.patient import Patient
from ibkr.wire import messages

_NAME = "market data"
_SECONDS = 2.0
_DELAYED = 3
_REQUEST, _CANCEL, _SET_TYPE = 1, 2, 59
_KINDS = {"1": "live", "2": "live, frozen: the market is shut", "3": "delayed", "4": "delayed, frozen"}
_DELAYED_NOTICE = 10167


async def _look(patient: Patient) -> list[Finding]:
    session, req_id = patient.open_session, patient.open_session.new_id()
    # Who has live data gets it all the same: one question tells all three.
    session.send(_SET_TYPE, 1, _DELAYED)
    session.send(*_subscription(req_id, patient.symbol))
    answer = await session.until(_answers(req_id), _SECONDS)
    session.send(_CANCEL, 1, req_id)
    if answer is None:
        message = f"no answer about {patient.symbol} within {_SECONDS:g} s, neither data nor a refusal"
        advice = "Look at the data farms above, and again when the market is open."
        return warn(_NAME, "no_market_data", message, advice)
    notice = notice_of(answer)
    if notice is None:
        kind = _KINDS.get(answer[3], "of an unknown kind")
        return ok(_NAME, f"{patient.symbol}: {kind}") if answer[3] in "12" else _delayed(patient, _DELAYED_NOTICE)
    advice = advised(notice.code) or "Read the text."
    if notice.code == 10197:
        return warn(_NAME, "competing_session", f"{patient.symbol}: withheld ({notice.code})", advice)
    if notice.code == 200:
        advice = "Name an instrument that this login knows: --symbol IBM."
        return warn(_NAME, "unknown_symbol", f"{patient.symbol} is no stock on SMART in USD ({notice.code})", advice)
    if is_warning(notice.code):
        return _delayed(patient, notice.code)
    message = f"{patient.symbol}: none ({notice.code}: {notice.text})"
    return warn(_NAME, "no_market_data", message, advice)


def _delayed(patient: Patient, code: int) -> list[Finding]:
    message = f"{patient.symbol}: delayed, by 10 to 15 minutes ({code})"
    return warn(_NAME, "delayed_market_data", message, advised(code))


def _answers(req_id: int) -> Callable[[Message], bool]:
    """The kind of data that is told first, or a notice about this request."""
    is_kind = is_a(messages.MARKET_DATA_TYPE.message_id, fields=4)

    def answers(message: Message) -> bool:
        notice = notice_of(message)
        return notice.req_id == req_id if notice else is_kind(message) and message[2] == str(req_id)

    return answers


def _subscription(req_id: int, symbol: str) -> tuple[object, ...]:
    contract = (0, symbol, "STK", "", 0.0, "", "", "SMART", "", "USD", "", "")
    delta_neutral, generics, snapshot, regulatory, options = False, "", False, False, ""
    return (_REQUEST, 11, req_id, *contract, delta_neutral, generics, snapshot, regulatory, options)


CHECK = Check(_NAME, "Market data", _look, needs=("session", "upstream"))
