"""Ears: which subscription a message is for, at no cost for messages that nobody waits for."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from functools import partial
from typing import Any

from ibkr.core.facts import Key
from ibkr.session.custody.kinds import KINDS, NOTICES

_ANSWERS = {kind.name: kind.answers for kind in KINDS}
# Of those subscriptions that have no request id.
_NAMED = {message: kind.name for kind in KINDS for message, at in kind.answers.items() if at == 0}


class Ears:
    """Looks at messages while somebody waits for one of their kind, and always at those that come seldom.

    ``on_message(key, is_data)`` is called for each that is waited for, before the library reads it; ``on_heard(key)``
    after it has read one of bars, scan results, or profit and loss.
    """

    def __init__(self, decoder: Any, on_message: Callable[[Key, bool], None], on_heard: Callable[[Key], None]) -> None:
        self._decoder = decoder
        self._on_message = on_message
        self._on_heard = on_heard
        self._interpret = decoder.interpret
        self._at: dict[str, int] = {}  # where each message that is waited for has its request id
        for kind in KINDS:
            if kind.home.hears_messages:
                for message, at in kind.answers.items():
                    self._listen(int(message), at)

    def wait(self, kinds: Iterable[str]) -> None:
        """Look at the messages of these kinds alone; at none, where nobody waits."""
        self._at = {message: at for kind in kinds for message, at in _ANSWERS[kind].items()}
        self._decoder.interpret = self._look if self._at else self._interpret

    def _look(self, fields: list[str]) -> None:
        message = fields[0] if fields else ""
        at = self._at.get(message)
        if at == 0:
            self._on_message(_NAMED[message], True)
        elif at is not None and len(fields) > at and fields[at].isdecimal():
            self._on_message(int(fields[at]), message not in NOTICES)
        self._interpret(fields)

    def _listen(self, message: int, at: int) -> None:
        self._decoder.handlers[message] = partial(self._hear, self._decoder.handlers[message], at)

    def _hear(self, read: Callable[[list[str]], None], at: int, fields: list[str]) -> None:
        read(fields)
        self._on_heard(int(fields[at]))
