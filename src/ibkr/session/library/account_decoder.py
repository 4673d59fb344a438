"""Decodes rows of positions (message 61), portfolio (7) and account values (6 and 73) faster than the library does.

Each session begins with all of these rows, and the program waits. For a row of positions, the library spends most of
its time on a log text that is discarded, and on making a contract twice. For an account value, it spends most of the
time on a search for one of its own methods.

Written after ib_async 2.1.0: ``Decoder.position``, ``updatePortfolio`` and ``wrap``, and the methods of ``Wrapper``
that they call. The library reads a row itself if the row cannot be read here, if one of these methods has been
replaced, or if the log text is needed.
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


def install_row_readers(handlers: dict[int, _Handler], wrapper: Wrapper) -> None:
    """Put the readers of this module into the handler table of an ib_async decoder."""
    from ib_async import wrapper as module

    for message, reader, name in (
        (6, _value_reader, "updateAccountValue"),
        (7, _portfolio_reader, "updatePortfolio"),
        (61, _position_reader, "position"),
        (73, _model_value_reader, "accountUpdateMulti"),
    ):
        library_handler, method = handlers[message], getattr(module.Wrapper, name)
        if _is_library_handler(library_handler, name) and _is_defined_in(module, method):
            handlers[message] = reader(wrapper, library_handler, method)


def _is_library_handler(handler: _Handler, name: str) -> bool:
    """Whether this is the library's own handler, which calls this method of the wrapper."""
    from ib_async import decoder

    if not _is_defined_in(decoder, handler):
        return False
    cells = dict(zip(handler.__code__.co_freevars, handler.__closure__ or (), strict=True))
    called = cells["methodName"].cell_contents if "methodName" in cells else handler.__name__
    return bool(called == name)


def _is_defined_in(module: ModuleType, function: object) -> bool:
    """Whether the function was defined in this module. A replacement may have the same name."""
    return getattr(function, "__globals__", None) is vars(module)


def _value_reader(wrapper: Wrapper, library_handler: _Handler, original: object) -> _Handler:
    from ib_async.objects import AccountValue

    def read(fields: list[str]) -> None:
        if len(fields) != 6 or getattr(wrapper.updateAccountValue, "__func__", None) is not original:
            library_handler(fields)
            return
        _, _, tag, text, currency, account = fields
        value = AccountValue(account, tag, text, currency, "")
        wrapper.accountValues[account, tag, currency, ""] = value
        wrapper.ib.accountValueEvent.emit(value)

    return read


def _model_value_reader(wrapper: Wrapper, library_handler: _Handler, original: object) -> _Handler:
    from ib_async.objects import AccountValue

    def read(fields: list[str]) -> None:
        method = wrapper.accountUpdateMulti
        if len(fields) != 8 or not fields[2].isdecimal() or getattr(method, "__func__", None) is not original:
            library_handler(fields)
            return
        _, _, _, account, model, tag, text, currency = fields
        value = AccountValue(account, tag, text, currency, model)
        wrapper.accountValues[account, tag, currency, model] = value
        wrapper.ib.accountValueEvent.emit(value)

    return read


def _position_reader(wrapper: Wrapper, library_handler: _Handler, original: object) -> _Handler:
    from ib_async.contract import Contract
    from ib_async.objects import Position

    def read(fields: list[str]) -> None:
        try:
            _, _, account, *contract_fields, size_text, cost_text = fields
            size, cost = float(size_text or 0), float(cost_text or 0)
            contract = _contract(Contract.create, contract_fields, has_primary=False)
        except ValueError:
            contract = None
        if contract is None or not _is_unmodified(wrapper, wrapper.position, original):
            library_handler(fields)
            return
        position = Position(account, contract, size, cost)
        _store_row(wrapper.positions[account], position)
        results = wrapper._results.get("positions")
        if results is not None:
            results.append(position)
        wrapper.ib.positionEvent.emit(position)

    return read


def _portfolio_reader(wrapper: Wrapper, library_handler: _Handler, original: object) -> _Handler:
    from ib_async.contract import Contract
    from ib_async.objects import PortfolioItem

    def read(fields: list[str]) -> None:
        try:
            _, _, *contract_fields, size, price, value, cost, unrealized, realized, account = fields
            numbers = float(size), float(price), float(value), float(cost), float(unrealized), float(realized)
            contract = _contract(Contract.create, contract_fields, has_primary=True)
        except ValueError:
            contract = None
        if contract is None or not _is_unmodified(wrapper, wrapper.updatePortfolio, original):
            library_handler(fields)
            return
        item = PortfolioItem(contract, *numbers, account)
        _store_row(wrapper.portfolio[account], item)
        wrapper.ib.updatePortfolioEvent.emit(item)

    return read


def _is_unmodified(wrapper: Wrapper, method: Callable[..., None], original: object) -> bool:
    return getattr(method, "__func__", None) is original and not wrapper._logger.isEnabledFor(logging.INFO)


def _store_row(held: dict[int, Any], row: Any) -> None:
    if row.position == 0:
        held.pop(row.contract.conId, None)
    else:
        held[row.contract.conId] = row


def _contract(create: Callable[..., Contract], fields: list[str], *, has_primary: bool) -> Contract:
    """Make a contract of eleven fields. Raises ``ValueError`` if the count differs, or a number cannot be read."""
    con_id, symbol, sec_type, expiry, strike, right, multiplier, exchange, currency, local, trading_class = fields
    return create(
        conId=int(con_id or 0),
        symbol=symbol,
        secType=sec_type,
        lastTradeDateOrContractMonth=expiry,
        strike=float(strike or 0),
        right=right,
        multiplier=multiplier,
        # always pass the exchange, even if it is empty: without it, a Forex sets its own exchange
        exchange="" if has_primary else exchange,
        primaryExchange=exchange if has_primary else "",
        currency=currency,
        localSymbol=local,
        tradingClass=trading_class,
    )
