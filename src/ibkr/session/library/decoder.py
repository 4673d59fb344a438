"""Messages on their way to the wrapper: which subscription each is for, and rows that cannot be decoded."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from functools import partial
from typing import TYPE_CHECKING

from ibkr.core.startup import ACCOUNT_UPDATES, COMPLETED_ORDERS, EXECUTIONS, OPEN_ORDERS, POSITIONS
from ibkr.session.library.account_decoder import read_rows

if TYPE_CHECKING:
    from ib_async.decoder import Decoder as _Base
    from typing_extensions import override

    from ibkr.session.library.hooks import Hooks
else:
    from ibkr.session.library.unbound import Base as _Base
    from ibkr.session.library.unbound import override

_Handler = Callable[[list[str]], None]

_ROWS_OF = {
    3: OPEN_ORDERS,  # a status
    5: OPEN_ORDERS,
    7: ACCOUNT_UPDATES,  # the portfolio
    11: EXECUTIONS,
    61: POSITIONS,
    101: COMPLETED_ORDERS,
}
"""To which start-up request the rows in these messages belong."""

_UPDATES = {17: 1, 90: 1, 50: 2, 20: 2, 94: 1, 95: 1}
"""Messages of bars, scan results, profit and loss, and where in each the request id is.

Tickers are not here: of those that have changed the library keeps a set.
"""

_NOTICES = frozenset({"57", "58", "81", "84"})
"""Messages that answer a request for market data, but bring none."""


class DecoderOverrides(_Base):
    """``handlers`` is the library's table of readers, by message number."""

    hooks: Hooks
    _awaited: Mapping[str, tuple[int, str]]
    _library_handlers: dict[int, _Handler]

    def adopt(self, hooks: Hooks, *, is_known: bool) -> None:
        """Set what the constructor of the library's class does not. ``is_known``: ours may read rows faster.

        The table is changed from the inside out: how a row is read, then who looks at it.
        """
        self.hooks = hooks
        self._awaited = {}
        handlers = self.handlers = dict(vars(self).setdefault("_library_handlers", self.handlers))
        if is_known:
            read_rows(handlers, self.wrapper)
        for message, name in _ROWS_OF.items():
            handlers[message] = partial(self._read_row, handlers[message], name)
        for message, at in _UPDATES.items():
            handlers[message] = partial(self._read_update, handlers[message], at)

    def watch(self, messages: Mapping[str, tuple[int, str]]) -> None:
        """Tell the session of these messages before they are read.

        Each message number has the place of its request id, and a name for subscriptions that have none (place 0).
        """
        self._awaited = messages

    @property
    def is_watched(self) -> bool:
        """Whether every message must come through ``interpret``, because some are awaited."""
        return bool(self._awaited)

    @override
    def interpret(self, fields: list[str]) -> None:
        if self._awaited and fields:
            at, name = self._awaited.get(fields[0], (-1, ""))
            if at == 0:
                self.hooks.message_seen(name, is_data=True)
            elif len(fields) > at > 0 and fields[at].isdecimal():
                self.hooks.message_seen(int(fields[at]), is_data=fields[0] not in _NOTICES)
        super().interpret(fields)

    def _read_row(self, read: _Handler, name: str, fields: list[str]) -> None:
        """The library only logs a row that it cannot decode, and ends the request as if all had arrived."""
        try:
            read(fields)
        except Exception:
            self.hooks.row_unreadable(name)
            raise

    def _read_update(self, read: _Handler, at: int, fields: list[str]) -> None:
        read(fields)
        self.hooks.object_updated(int(fields[at]))


def merge(answers: Iterable[tuple[str, Mapping[str, int]]]) -> dict[str, tuple[int, str]]:
    """What ``watch`` takes, from the names of kinds of subscriptions and their messages."""
    return {message: (at, name) for name, messages in answers for message, at in messages.items()}
