"""Our decoder of positions, portfolio and account values gives the same objects, events and errors as the library's."""

from __future__ import annotations

import functools
import logging
from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from ib_async import IB
from ib_async.decoder import Decoder
from ib_async.wrapper import Wrapper

from ibkr.observe.log_filter import log_rate_limit
from ibkr.session.library.account_decoder import install_row_readers

ACCOUNTS = st.sampled_from(["DU1", "DU2", ""])
CON_IDS = st.sampled_from(["1", "2", "0", "", "x", "\u0663"])
TYPES = st.sampled_from(["STK", "OPT", "FUT", "CONTFUT", "CASH", "IND", "CFD", "BOND", "CMDTY", "FOP", "FUND", "WAR"])
MORE_TYPES = st.sampled_from(["IOPT", "BAG", "CRYPTO", "NEWS", "EVENT", "EC", "", "NEW"])
TEXTS = st.sampled_from(["", "AAPL", "EUR", "1,5"])
NUMBERS = st.sampled_from(["", "0", "-0.0", "100", "2.50", "1e3", "nan", "inf", "1_0", " 3", "y"])
CONTRACT = st.tuples(CON_IDS, TEXTS, TYPES | MORE_TYPES, TEXTS, NUMBERS, TEXTS, TEXTS, TEXTS, TEXTS, TEXTS, TEXTS)
POSITION = st.builds(
    lambda account, contract, *numbers: ["61", "3", account, *contract, *numbers], ACCOUNTS, CONTRACT, NUMBERS, NUMBERS
)
ITEM = st.builds(
    lambda contract, account, numbers: ["7", "8", *contract, *numbers, account],
    CONTRACT,
    ACCOUNTS,
    st.lists(NUMBERS, min_size=6, max_size=6),
)
VALUE = st.tuples(st.just("6"), st.just("2"), TEXTS, TEXTS, TEXTS, ACCOUNTS).map(list)
OF_MODEL = st.tuples(st.just("73"), st.just("1"), CON_IDS, ACCOUNTS, TEXTS, TEXTS, TEXTS, TEXTS).map(list)
ROWS = st.one_of(POSITION, ITEM, VALUE, OF_MODEL).flatmap(
    lambda row: st.sampled_from([row, row, row, row, row[:-1], [*row, "1"]])
)


class Observed(logging.Handler):
    """The events, logs and state of an ``IB`` object after rows."""

    def __init__(self, prepare: Callable[[Any], None]) -> None:
        super().__init__()
        self.ib = IB()
        self.log: list[str] = []
        self.ib.wrapper.startReq("positions")
        prepare(self.ib.client)
        for event in (self.ib.positionEvent, self.ib.updatePortfolioEvent, self.ib.accountValueEvent):
            event.connect(lambda row: self.log.append(self._in_full(row)), keep_ref=True)

    def emit(self, record: logging.LogRecord) -> None:
        self.log.append(record.getMessage())

    def feed(self, rows: list[list[str]]) -> list[str]:
        logger = logging.getLogger("ib_async")
        logger.addHandler(self)
        try:
            for row in rows:
                self.ib.client.decoder.interpret(list(row))
        finally:
            logger.removeHandler(self)
        wrapper = self.ib.wrapper
        held = [*wrapper.positions.items(), *wrapper.portfolio.items(), *enumerate(wrapper._results["positions"])]
        held += wrapper.accountValues.items()
        return [*self.log, *(f"{key}: {self._in_full(rows)}" for key, rows in held)]

    def _in_full(self, told: Any) -> str:
        rows = list(told.values()) if isinstance(told, dict) else [told]
        contracts = [getattr(row, "contract", None) for row in rows]
        return str(
            [
                (type(row), tuple(row), type(each), each and vars(each))
                for row, each in zip(rows, contracts, strict=True)
            ]
        )


@pytest.fixture(autouse=True)
async def loop() -> None:
    """The library's requests make futures, which need a loop."""


def by_us(client: Any) -> None:
    install_row_readers(client.decoder.handlers, client.wrapper)


def by_library(client: Any) -> None:
    return


@given(st.lists(ROWS, max_size=5))
@example([["61", "3", "DU1", "1", "EUR", "CASH", "", "0.0", "", "", "", "USD", "", "", "5", "1.1"]])
@example([["7", "8", "1", "EUR", "CASH", "", "0", "", "", "", "USD", "", "", "5", "1", "1", "1", "1", "0", "DU1"]])
@example([["61", "3", "DU1", "1", "A", "STK", "", "", "", "", "", "", "", "", size, ""] for size in ("5", "0", "6")])
def test_objects_and_events_are_the_librarys(rows: list[list[str]]) -> None:
    told = []
    for by in (by_us, by_library):
        log_rate_limit._places.clear()
        told.append(Observed(by).feed(rows))
    assert told[0] == told[1]


POSITION_ROW = ["61", "3", "DU1", "1", "A", "STK", "", "0", "", "", "SMART", "USD", "A", "A", "5", "1.5"]
ITEM_ROW = ["7", "8", "1", "A", "STK", "", "0", "", "", "SMART", "USD", "A", "A", "5", "1", "5", "1", "0", "0", "DU1"]
VALUE_ROW = ["6", "2", "NetLiquidation", "100000.00", "USD", "DU1"]
OF_MODEL_ROW = ["73", "1", "5", "DU1", "", "NetLiquidation", "100000.00", "USD"]
METHODS = ("position", "updatePortfolio", "updateAccountValue", "accountUpdateMulti")


def replace_methods(client: Any, seen: Callable[..., None]) -> None:
    for name in METHODS:
        setattr(client.wrapper, name, seen)


def replace_class(client: Any, seen: Callable[..., None]) -> None:
    methods = {name: lambda self, *arguments: seen(*arguments) for name in METHODS}
    client.wrapper.__class__ = type("Mine", (Wrapper,), methods)


def replace_handlers(client: Any, seen: Callable[..., None]) -> None:
    client.decoder.handlers.update(dict.fromkeys((6, 7, 61, 73), seen))


def wrap_handlers(client: Any, seen: Callable[..., None]) -> None:
    """A recorder that calls the original with the same arguments. Only its code object differs from the library's."""
    handlers = client.decoder.handlers
    handlers.update(
        {message: functools.wraps(handlers[message])(lambda fields: seen(fields)) for message in (6, 7, 61, 73)}
    )


def make_others(client: Any, seen: Callable[..., None]) -> None:
    client.wrapper.mine = seen
    client.decoder.handlers.update({message: client.decoder.wrap("mine", [str]) for message in (6, 7, 61, 73)})


def want_the_log(client: Any, seen: Callable[..., None]) -> None:
    client.wrapper._logger = logging.Logger("rows", logging.INFO)
    client.wrapper._logger.info = seen


@pytest.mark.parametrize("replace", [replace_methods, replace_class, replace_handlers, wrap_handlers, make_others])
@pytest.mark.parametrize("before", [True, False])
def test_who_takes_the_librarys_place_gets_every_row(
    replace: Callable[[Any, Callable[..., None]], None], before: bool
) -> None:
    assert len(told_instead(replace, before=before)) == 4


@pytest.mark.parametrize("before", [True, False])
def test_who_wants_the_log_gets_every_text_of_it(before: bool) -> None:
    assert len(told_instead(want_the_log, before=before)) == 2


@pytest.mark.parametrize("before", [True, False])
def test_who_patches_the_librarys_class_gets_every_row(monkeypatch: pytest.MonkeyPatch, before: bool) -> None:
    def patch(client: Any, seen: Callable[..., None]) -> None:
        for name in METHODS:
            theirs = getattr(Wrapper, name)
            monkeypatch.setattr(Wrapper, name, functools.wraps(theirs)(lambda self, *arguments: seen(*arguments)))

    assert len(told_instead(patch, before=before)) == 4


def test_who_patches_the_decoders_class_before_gets_every_row(monkeypatch: pytest.MonkeyPatch) -> None:
    def patch(client: Any, seen: Callable[..., None]) -> None:
        for name in ("position", "updatePortfolio"):
            monkeypatch.setattr(Decoder, name, lambda self, fields: seen(fields))
        monkeypatch.setattr(Decoder, "wrap", lambda self, *_, **__: lambda fields: seen(fields))
        client.decoder.__init__(client.wrapper, 0)

    assert len(told_instead(patch, before=True)) == 4


def told_instead(replace: Callable[[Any, Callable[..., None]], None], *, before: bool) -> list[Any]:
    """What a replacement of the library's method receives, one row of each kind, installed before or after adoption."""
    seen: list[Any] = []

    def see(*arguments: Any) -> None:
        seen.append(arguments)

    def prepare(client: Any) -> None:
        if before:
            replace(client, see)
        by_us(client)
        if not before:
            replace(client, see)

    Observed(prepare).feed([POSITION_ROW, ITEM_ROW, VALUE_ROW, OF_MODEL_ROW])
    return seen
