"""Positions: rows of them (message 61) and of the portfolio (7), read in a quarter of the library's time.

Each new session begins with one of both for every position, and the library spends most of a row on a text for its log
that is thrown away, and on a contract made twice. Written after ib_async 2.1.0: ``Decoder.position`` and
``updatePortfolio`` with the methods of ``Wrapper`` of the same names. What cannot be read, and all when something of
that has been replaced or the text is wanted, is left to the library.
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from typing import Any

_Handler = Callable[[list[str]], None]


def read_positions(client: Any) -> None:
    """Have the decoder of an ib_async client read these rows by the functions here."""
    from ib_async.decoder import Decoder
    from ib_async.wrapper import Wrapper

    handlers = client.decoder.handlers
    for message, handler_of, name in ((7, _portfolio_reader, "updatePortfolio"), (61, _position_reader, "position")):
        theirs = handlers[message]
        if getattr(theirs, "__func__", None) is getattr(Decoder, name):
            handlers[message] = handler_of(client.wrapper, theirs, getattr(Wrapper, name))


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
