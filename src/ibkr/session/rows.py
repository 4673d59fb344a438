"""Rows of answers: those that cannot be decoded are noticed, and those of what an account holds are read faster.

Rows of what an account holds are in a part of the library's time: positions (message 61), portfolio (7), values.

Each new session begins with all of them, and the program waits. The library spends most of a row of positions on a text
for its log that is thrown away, and on a contract made twice; of a value (6, and 73 of one model) on finding out how to
call its own method. Written after ib_async 2.1.0: ``Decoder.position``, ``updatePortfolio`` and ``wrap`` with those
methods of ``Wrapper`` that they call. What cannot be read, and all when something of that has been replaced or the
text is wanted, is left to the library.
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from typing import Any

from ibkr.core.startup import ACCOUNT_UPDATES, COMPLETED_ORDERS, EXECUTIONS, OPEN_ORDERS, POSITIONS

_Handler = Callable[[list[str]], None]
_ROWS_OF = {
    3: OPEN_ORDERS,  # a status
    5: OPEN_ORDERS,
    7: ACCOUNT_UPDATES,  # the portfolio
    11: EXECUTIONS,
    61: POSITIONS,
    101: COMPLETED_ORDERS,
}
"""To which start-up request the rows belong that are told in these messages."""


def read_rows(client: Any) -> None:
    """Have the decoder of an ib_async client read these rows by the functions here."""
    from ib_async import wrapper

    handlers = client.decoder.handlers
    for message, reader, name in (
        (6, _value_reader, "updateAccountValue"),
        (7, _portfolio_reader, "updatePortfolio"),
        (61, _position_reader, "position"),
        (73, _model_value_reader, "accountUpdateMulti"),
    ):
        theirs, method = handlers[message], getattr(wrapper.Wrapper, name)
        if _decodes(theirs, name) and _is_of(wrapper, method):
            handlers[message] = reader(client.wrapper, theirs, method)


def watch_rows(decoder: Any, on_unreadable: Callable[[str], None]) -> None:
    """Have ``on_unreadable`` called with the name of the start-up request to which a row belongs that raises.

    The library only logs such a row, and ends the request as if all had been told.
    """

    def watched(read: _Handler, name: str) -> _Handler:
        def read_row(fields: list[str]) -> None:
            try:
                read(fields)
            except Exception:
                on_unreadable(name)
                raise

        return read_row

    for message, name in _ROWS_OF.items():
        decoder.handlers[message] = watched(decoder.handlers[message], name)


def _decodes(handler: Any, name: str) -> bool:
    """Whether it is the library's own, and calls this method of the wrapper."""
    from ib_async import decoder

    if not _is_of(decoder, handler):
        return False
    cells = dict(zip(handler.__code__.co_freevars, handler.__closure__ or (), strict=True))
    called = cells["methodName"].cell_contents if "methodName" in cells else handler.__name__
    return bool(called == name)


def _is_of(module: Any, function: Any) -> bool:
    """Whether it was written in this module: what is put in its place may have taken over its name."""
    return getattr(function, "__globals__", None) is vars(module)


def _value_reader(wrapper: Any, theirs: _Handler, original: object) -> _Handler:
    from ib_async.objects import AccountValue

    def read(fields: list[str]) -> None:
        if len(fields) != 6 or getattr(wrapper.updateAccountValue, "__func__", None) is not original:
            theirs(fields)
            return
        _, _, tag, text, currency, account = fields
        value = AccountValue(account, tag, text, currency, "")
        wrapper.accountValues[account, tag, currency, ""] = value
        wrapper.ib.accountValueEvent.emit(value)

    return read


def _model_value_reader(wrapper: Any, theirs: _Handler, original: object) -> _Handler:
    from ib_async.objects import AccountValue

    def read(fields: list[str]) -> None:
        method = wrapper.accountUpdateMulti
        if len(fields) != 8 or not fields[2].isdecimal() or getattr(method, "__func__", None) is not original:
            theirs(fields)
            return
        _, _, _, account, model, tag, text, currency = fields
        value = AccountValue(account, tag, text, currency, model)
        wrapper.accountValues[account, tag, currency, model] = value
        wrapper.ib.accountValueEvent.emit(value)

    return read


def _position_reader(wrapper: Any, theirs: _Handler, original: object) -> _Handler:
    from ib_async.contract import Contract
    from ib_async.objects import Position

    def read(fields: list[str]) -> None:
        try:
            _, _, account, *contract_fields, size_text, cost_text = fields
            size, cost = float(size_text or 0), float(cost_text or 0)
            contract = _contract(Contract.create, contract_fields, has_primary=False)
        except ValueError:
            contract = None
        if contract is None or not _is_plain(wrapper, wrapper.position, original):
            theirs(fields)
            return
        position = Position(account, contract, size, cost)
        _keep(wrapper.positions[account], position)
        results = wrapper._results.get("positions")
        if results is not None:
            results.append(position)
        wrapper.ib.positionEvent.emit(position)

    return read


def _portfolio_reader(wrapper: Any, theirs: _Handler, original: object) -> _Handler:
    from ib_async.contract import Contract
    from ib_async.objects import PortfolioItem

    def read(fields: list[str]) -> None:
        try:
            _, _, *contract_fields, size, price, value, cost, unrealized, realized, account = fields
            numbers = float(size), float(price), float(value), float(cost), float(unrealized), float(realized)
            contract = _contract(Contract.create, contract_fields, has_primary=True)
        except ValueError:
            contract = None
        if contract is None or not _is_plain(wrapper, wrapper.updatePortfolio, original):
            theirs(fields)
            return
        item = PortfolioItem(contract, *numbers, account)
        _keep(wrapper.portfolio[account], item)
        wrapper.ib.updatePortfolioEvent.emit(item)

    return read


def _is_plain(wrapper: Any, method: Any, original: object) -> bool:
    return getattr(method, "__func__", None) is original and not wrapper._logger.isEnabledFor(logging.INFO)


def _keep(held: dict[int, Any], row: Any) -> None:
    if row.position == 0:
        held.pop(row.contract.conId, None)
    else:
        held[row.contract.conId] = row


def _contract(create: Callable[..., Any], fields: list[str], *, has_primary: bool) -> Any:
    """Raises ``ValueError`` for what is not the eleven fields of a contract."""
    con_id, symbol, sec_type, expiry, strike, right, multiplier, exchange, currency, local, trading_class = fields
    return create(
        conId=int(con_id or 0),
        symbol=symbol,
        secType=sec_type,
        lastTradeDateOrContractMonth=expiry,
        strike=float(strike or 0),
        right=right,
        multiplier=multiplier,
        exchange="" if has_primary else exchange,  # never left out: a Forex would have one of its own
        primaryExchange=exchange if has_primary else "",
        currency=currency,
        localSymbol=local,
        tradingClass=trading_class,
    )
