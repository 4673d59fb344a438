"""Rows of positions (message 61), portfolio (7) and account values (6 and 73), read in a part of the library's time.

Each new session begins with all of them, and the program waits. The library spends most of a row of positions on a text
for its log that is discarded, and on a contract made twice; of a value on finding out how to call its own method.
Written after ib_async 2.1.0: ``Decoder.position``, ``updatePortfolio`` and ``wrap`` with those methods of ``Wrapper``
that they call. What cannot be read, and everything if something of that has been replaced or the text is wanted, is
left to the library.
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from types import ModuleType
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from ib_async import Contract
    from ib_async.wrapper import Wrapper

_Handler = Callable[[list[str]], None]


def read_rows(handlers: dict[int, _Handler], wrapper: Wrapper) -> None:
    """Put the readers of this module into an ib_async decoder's table of handlers."""
    from ib_async import wrapper as module

    for message, reader, name in (
        (6, _value_reader, "updateAccountValue"),
        (7, _portfolio_reader, "updatePortfolio"),
        (61, _position_reader, "position"),
        (73, _model_value_reader, "accountUpdateMulti"),
    ):
        theirs, method = handlers[message], getattr(module.Wrapper, name)
        if _decodes(theirs, name) and _is_of(module, method):
            handlers[message] = reader(wrapper, theirs, method)


def _decodes(handler: _Handler, name: str) -> bool:
    """Whether it is the library's own, and calls this method of the wrapper."""
    from ib_async import decoder

    if not _is_of(decoder, handler):
        return False
    cells = dict(zip(handler.__code__.co_freevars, handler.__closure__ or (), strict=True))
    called = cells["methodName"].cell_contents if "methodName" in cells else handler.__name__
    return bool(called == name)


def _is_of(module: ModuleType, function: object) -> bool:
    """Whether it was written in this module: what is put in its place may have taken over its name."""
    return getattr(function, "__globals__", None) is vars(module)


def _value_reader(wrapper: Wrapper, theirs: _Handler, original: object) -> _Handler:
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


def _model_value_reader(wrapper: Wrapper, theirs: _Handler, original: object) -> _Handler:
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


def _position_reader(wrapper: Wrapper, theirs: _Handler, original: object) -> _Handler:
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


def _portfolio_reader(wrapper: Wrapper, theirs: _Handler, original: object) -> _Handler:
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


def _is_plain(wrapper: Wrapper, method: Callable[..., None], original: object) -> bool:
    return getattr(method, "__func__", None) is original and not wrapper._logger.isEnabledFor(logging.INFO)


def _keep(held: dict[int, Any], row: Any) -> None:
    if row.position == 0:
        held.pop(row.contract.conId, None)
    else:
        held[row.contract.conId] = row


def _contract(create: Callable[..., Contract], fields: list[str], *, has_primary: bool) -> Contract:
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
