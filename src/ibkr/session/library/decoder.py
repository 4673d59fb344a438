"""Overrides the library's decoder: finds the subscription of each message, and handles rows that cannot be decoded."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Mapping
from functools import partial
from typing import TYPE_CHECKING

from ibkr.core.startup_requests import ACCOUNT_UPDATES, COMPLETED_ORDERS, EXECUTIONS, OPEN_ORDERS, POSITIONS
from ibkr.core.token_bucket import TokenBucket
from ibkr.session.library.account_decoder import install_row_readers
from ibkr.session.library.time_zones import normalize_time_zone
from ibkr.session.library.trade_rows import is_library_method, parse

if TYPE_CHECKING:
    from _typeshed import DataclassInstance
    from ib_async.decoder import Decoder as _Base
    from typing_extensions import override

    from ibkr.session.library.hooks import Hooks
else:
    from ibkr.session.library.mixin_base import Base as _Base
    from ibkr.session.library.mixin_base import override

_Handler = Callable[[list[str]], None]

_STARTUP_ROWS = {
    3: OPEN_ORDERS,  # order status
    5: OPEN_ORDERS,
    7: ACCOUNT_UPDATES,  # portfolio
    11: EXECUTIONS,
    61: POSITIONS,
    101: COMPLETED_ORDERS,
}
"""Rows that answer start-up requests, by message number."""

_OBJECT_UPDATES = {17: 1, 90: 1, 50: 2, 20: 2, 94: 1, 95: 1, 12: 2, 13: 2, 99: 1}
"""Messages of bars, scan results, profit and loss, depth and tick-by-tick, and the position of the request id in each.

Market data is not included, because the library keeps a set of the changed tickers.
"""

_TIME_FIELDS = {11: slice(15, 16), 17: slice(2, None), 88: slice(2, 3), 90: slice(3, 4)}
"""Messages of executions and historical data, and where each may contain a time."""
_ANSWER_ID_FIELDS = {
    **dict.fromkeys(("10", "17", "75", "76", "79", "82", "83", "86", "87", "88", "89"), 1),
    **dict.fromkeys(("96", "97", "98", "104", "105", "106", "107", "108", "18", "21", "11"), 1),
    **dict.fromkeys(("19", "20", "51", "52", "55", "57", "63", "64", "73", "74", "1", "2", "45", "46", "58"), 2),
    "81": 1,
    "90": 1,
}
"""Messages that answer a request, and the position of its id in each."""

_MOST_LATE_IDS = 1000
_LOG_BURST, _LOG_RATE = 20, 0.2
"""How many undecodable messages are logged together, and how many per second after that."""
_MOST_LOGGED = 1000

_NOTICES = frozenset({"57", "58", "81", "84"})
"""Messages that answer a request for market data, but contain none."""


class DecoderOverrides(_Base):
    """``handlers`` is the library's table of readers by message number.

    ``undecoded`` counts the messages that these readers could not read.
    """

    hooks: Hooks
    undecoded: int
    _awaited: Mapping[str, tuple[int, str]]
    _late_ids: dict[str, None]
    _log_bucket: TokenBucket
    _unlogged: int
    _library_handlers: dict[int, _Handler]
    _is_fast: bool

    def adopt(self, hooks: Hooks, *, is_fast: bool) -> None:
        """Set what the constructor of the library's class does not set.

        ``is_fast``: use the faster readers of ``account_decoder`` and ``trade_rows``. The table is changed from the
        inside out: first the readers of the rows, then the functions around them.
        """
        self.hooks = hooks
        self._is_fast = is_fast and is_library_method(self, "parse")
        self._awaited = {}
        self._late_ids: dict[str, None] = {}
        self.undecoded = 0
        self._log_bucket = TokenBucket(_LOG_RATE, _LOG_BURST)
        self._unlogged = 0
        handlers = self.handlers = dict(vars(self).setdefault("_library_handlers", self.handlers))
        if is_fast:
            install_row_readers(handlers, self.wrapper)
        for message, places in _TIME_FIELDS.items():
            handlers[message] = partial(self._read_times, handlers[message], places)
        for message, name in _STARTUP_ROWS.items():
            handlers[message] = partial(self._read_row, handlers[message], name)
        for message, at in _OBJECT_UPDATES.items():
            handlers[message] = partial(self._read_update, handlers[message], at)

    def watch(self, messages: Mapping[str, tuple[int, str]]) -> None:
        """Report these messages to the session before they are read.

        For each message number: the position of its request id, and a name for subscriptions without id (position 0).
        """
        self._awaited = messages

    @property
    def is_watched(self) -> bool:
        """Whether every message must go through ``interpret``, because some messages are awaited."""
        return bool(self._awaited)

    def ignore_late_answer(self, req_id: int) -> None:
        """The request has been abandoned. Ignore late answers to it, without a log message."""
        self._late_ids[str(req_id)] = None
        if len(self._late_ids) > _MOST_LATE_IDS:
            del self._late_ids[next(iter(self._late_ids))]

    def is_late(self, req_id: int) -> bool:
        """Whether this is the id of an abandoned request."""
        return bool(self._late_ids) and str(req_id) in self._late_ids

    @override
    def interpret(self, fields: list[str]) -> None:
        """Read a message. Unlike the library, limit how many unreadable messages are logged, and their length."""
        try:
            if (
                self._late_ids
                and fields[0] in _ANSWER_ID_FIELDS
                and fields[_ANSWER_ID_FIELDS[fields[0]]] in self._late_ids
            ):
                return
            if self._awaited:
                at, name = self._awaited.get(fields[0], (-1, ""))
                if at == 0:
                    self.hooks.incoming.message_seen(name, is_data=True)
                elif len(fields) > at > 0 and (key := id_of(fields[at])) is not None:
                    self.hooks.incoming.message_seen(key, is_data=fields[0] not in _NOTICES)
            self.handlers[int(fields[0])](fields)
        except Exception:
            self._log_undecoded(fields)

    @override
    def parse(self, obj: DataclassInstance) -> None:
        if self._is_fast:
            parse(obj)
        else:
            super().parse(obj)

    def _log_undecoded(self, fields: list[str]) -> None:
        self.undecoded += 1
        if not self._log_bucket.take(time.monotonic()):
            self._unlogged += 1
            if self._unlogged == 1:
                self.hooks.incoming.limit_reached("more undecodable messages arrived than are logged")
            return
        unlogged, self._unlogged = self._unlogged, 0
        more = f" ({unlogged} messages like it were not logged)" if unlogged else ""
        self.logger.exception(
            "Error handling fields: %s%s", shortened(str([each[:200] for each in fields[:100]])), more
        )

    def _read_row(self, read: _Handler, name: str, fields: list[str]) -> None:
        """Report a row that cannot be decoded.

        The library only logs it, and ends the request as if all rows had arrived.
        """
        try:
            read(fields)
        except Exception:
            self.hooks.incoming.row_unreadable(name)
            raise

    def _read_times(self, read: _Handler, places: slice, fields: list[str]) -> None:
        fields[places] = [normalize_time_zone(text) for text in fields[places]]
        read(fields)

    def _read_update(self, read: _Handler, at: int, fields: list[str]) -> None:
        read(fields)
        key = id_of(fields[at])
        if key is not None:
            self.hooks.incoming.object_updated(key)


def id_of(text: str) -> int | None:
    """The request id in a field, or ``None``."""
    return int(text) if len(text) < 11 and text.isdecimal() else None


def shortened(text: str) -> str:
    """The text, shortened for the log."""
    return text if len(text) <= _MOST_LOGGED else f"{text[:_MOST_LOGGED]}..."


def message_table(answers: Iterable[tuple[str, Mapping[str, int]]]) -> dict[str, tuple[int, str]]:
    """The table that ``watch`` takes, made from the names of subscription kinds and their messages."""
    return {message: (at, name) for name, messages in answers for message, at in messages.items()}
