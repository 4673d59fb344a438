"""Start-up: the requests that every program begins with, in one go, each timed."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass

from ibkr.core.codes import is_read_only
from ibkr.doctor.api import Message, Session, is_a, notice_of
from ibkr.doctor.check import Check, fail, ok, warn
from ibkr.doctor.finding import Finding
from ibkr.doctor.patient import Patient
from ibkr.wire import messages

_NAME = "start-up"
_SECONDS = 4.0
_STILL_COMING = 1.0
"""Seconds since the last byte within which the answers are late, and not missing."""
_LATE = 2.0


@dataclass(slots=True)
class _Request:
    """One request, and how its answer is known. ``took``: seconds, once it is answered."""

    name: str
    fields: tuple[object, ...]
    is_end: Callable[[Message], bool]
    is_order: bool = False
    is_account: bool = False
    took: float | None = None


async def _look(patient: Patient) -> list[Finding]:
    session = patient.open_session
    requests = _requests(session, patient)
    began = time.monotonic()
    for request in requests:
        session.send(*request.fields)
    await session.until(lambda message: _all_answered(requests, message, time.monotonic() - began), _SECONDS)
    missing = [request.name for request in requests if request.took is None]
    listed = ", ".join(f"{each.name} {1000 * each.took:.0f} ms" for each in requests if each.took is not None)
    slow = "A loaded machine or a slow line: look at both; give TWS more memory (Global Configuration, General)."
    if missing and time.monotonic() - session.last_byte < _STILL_COMING:
        message = f"still coming after {_SECONDS:g} s: {', '.join(missing)}; answered: {listed or 'none'}"
        return warn(_NAME, "slow", message, slow)
    if missing:
        message = f"unanswered for {_SECONDS:g} s: {', '.join(missing)}; answered: {listed or 'none'}"
        advice = (
            "A program waits for this at its start: restart the gateway, which cures most of these; an account that is"
            " not fully opened, and very many orders or positions, do the same."
        )
        return fail(_NAME, "unanswered", message, advice)
    if max(request.took or 0.0 for request in requests) > _LATE:
        return warn(_NAME, "slow", listed, slow)
    return ok(_NAME, listed)


def _all_answered(requests: list[_Request], message: Message, took: float) -> bool:
    notice = notice_of(message)
    refused = notice is not None and is_read_only(notice.code, notice.text)
    for request in requests:
        if request.took is None and (request.is_end(message) or (refused and request.is_order)):
            request.took = took
            break  # one refusal for each
    return all(request.took is not None for request in requests)


def _requests(session: Session, patient: Patient) -> list[_Request]:
    """As the connector asks, with the numbers of the protocol; executions come last there, too."""
    account = patient.ibkr.account or next(iter(session.accounts), "")
    multi, executions = session.new_id(), session.new_id()
    filters = ("",) * 6
    requests = [
        _Request("positions", (61, 1), is_a(messages.POSITION_END.message_id)),
        _Request("open orders", (5, 1), is_a(messages.OPEN_ORDER_END.message_id), is_order=True),
        _Request("completed orders", (99, False), is_a(messages.COMPLETED_ORDERS_END.message_id), is_order=True),
        _Request(
            "account updates",
            (6, 2, True, account),
            is_a(messages.ACCOUNT_DOWNLOAD_END.message_id),
            is_account=True,
        ),
        _Request(
            "account values",
            (76, 1, multi, account, "", False),
            is_a(messages.ACCOUNT_UPDATE_MULTI_END.message_id),
            is_account=True,
        ),
        _Request("executions", (7, 3, executions, 0, *filters), is_a(messages.EXECUTION_DATA_END.message_id)),
    ]
    if not account:
        requests = [request for request in requests if not request.is_account]
    return [request for request in requests if not (patient.ibkr.readonly and request.is_order)]


CHECK = Check(_NAME, "Start-up requests", _look, needs=("session", "upstream"))
