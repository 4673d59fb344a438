"""The start-up check: sends the requests that every program begins with, all together, and times each answer."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass

from ibkr.core.codes import is_read_only
from ibkr.doctor.api_client import Message, Session, is_message, parse_notice
from ibkr.doctor.check import Check, Finding, fail, ok, warn
from ibkr.doctor.context import Context
from ibkr.wire import messages

_TIMEOUT = 4.0
_STILL_COMING = 1.0
"""If the last byte came within this many seconds, answers are still coming: they are late, not missing."""
_SLOW = 2.0


@dataclass(slots=True)
class _Request:
    """One request, and how to recognise the end of its answer. ``seconds`` is set when the request is answered."""

    name: str
    fields: tuple[object, ...]
    is_end: Callable[[Message], bool]
    is_order: bool = False
    is_account: bool = False
    seconds: float | None = None


async def _check_startup(context: Context) -> list[Finding]:
    session = context.open_session
    requests = _requests(session, context)
    began = time.monotonic()
    for request in requests:
        session.send(*request.fields)
    await session.wait_for(lambda message: _all_answered(requests, message, time.monotonic() - began), _TIMEOUT)
    missing = ", ".join(request.name for request in requests if request.seconds is None)
    listed = ", ".join(f"{each.name} {1000 * each.seconds:.0f} ms" for each in requests if each.seconds is not None)
    slow = (
        "The gateway's machine is too busy, or the network is slow. Check both. Give TWS more memory (Global"
        " Configuration, General)."
    )
    if missing and time.monotonic() - session.last_byte_at < _STILL_COMING:
        return warn("slow", f"incomplete after {_TIMEOUT:g} s: {missing}; answered: {listed or 'none'}", slow)
    if missing:
        message = f"no answer for {_TIMEOUT:g} s: {missing}; answered: {listed or 'none'}"
        advice = (
            "A program waits for this when it starts. In most cases, restart the gateway. Other causes: an account that"
            " is not fully opened, and very many orders or positions."
        )
        return fail("unanswered", message, advice)
    if max(request.seconds or 0.0 for request in requests) > _SLOW:
        return warn("slow", listed, slow)
    return ok(listed)


def _all_answered(requests: list[_Request], message: Message, seconds: float) -> bool:
    notice = parse_notice(message)
    refused = notice is not None and is_read_only(notice.code, notice.text)
    for request in requests:
        if request.seconds is None and (request.is_end(message) or (refused and request.is_order)):
            request.seconds = seconds
            break  # a notice refuses only one request
    return all(request.seconds is not None for request in requests)


def _requests(session: Session, context: Context) -> list[_Request]:
    """Return the requests of the connector's start-up, with the protocol's numbers, executions last."""
    account = context.ibkr.account or next(iter(session.accounts), "")
    multi, executions = session.new_id(), session.new_id()
    filters = ("",) * 6
    requests = [
        _Request("positions", (61, 1), is_message(messages.POSITION_END.message_id)),
        _Request("open orders", (5, 1), is_message(messages.OPEN_ORDER_END.message_id), is_order=True),
        _Request("completed orders", (99, False), is_message(messages.COMPLETED_ORDERS_END.message_id), is_order=True),
        _Request(
            "account updates",
            (6, 2, True, account),
            is_message(messages.ACCOUNT_DOWNLOAD_END.message_id),
            is_account=True,
        ),
        _Request(
            "account values",
            (76, 1, multi, account, "", False),
            is_message(messages.ACCOUNT_UPDATE_MULTI_END.message_id),
            is_account=True,
        ),
        _Request("executions", (7, 3, executions, 0, *filters), is_message(messages.EXECUTION_DATA_END.message_id)),
    ]
    if not account:
        requests = [request for request in requests if not request.is_account]
    return [request for request in requests if not (context.ibkr.readonly and request.is_order)]


START_UP = Check("start-up", "Start-up requests", _check_startup, needs=("session", "upstream"))
