"""Ears: which subscription a message is for, at no cost for messages that nobody waits for."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from ibkr.core.facts import Key
from ibkr.session.custody.kinds import KINDS, NOTICES

# Where each message has its request id; the names of those subscriptions that have none.
_AT = {message: at for kind in KINDS for message, at in kind.answers.items()}
_NAMED = {message: kind.name for kind in KINDS for message, at in kind.answers.items() if at == 0}


class Ears:
    """Looks at each message while somebody waits for one, and always at those that come seldom.

    ``on_message(key, is_data)`` is called for each answer before the library reads it, while ``waiting``;
    ``on_heard(key)`` after it has read one of bars, scan results, or profit and loss.
    """

    def __init__(self, decoder: Any, on_message: Callable[[Key, bool], None], on_heard: Callable[[Key], None]) -> None:
        self._decoder = decoder
        self._on_message = on_message
        self._on_heard = on_heard
        self._interpret = decoder.interpret
        for kind in KINDS:
            if kind.home.hears_messages:
                for message, at in kind.answers.items():
                    self._listen(int(message), at)

    def wait(self) -> None:
        """Somebody waits for a first message, or for the next one."""
        self._decoder.interpret = self._look

    def rest(self) -> None:
        """Nobody waits."""
        self._decoder.interpret = self._interpret

    def _look(self, fields: list[str]) -> None:
        message = fields[0]
        at = _AT.get(message)
        if at is not None and len(fields) > at:
            self._on_message(int(fields[at]) if at else _NAMED[message], message not in NOTICES)
        self._interpret(fields)

    def _listen(self, message: int, at: int) -> None:
        read = self._decoder.handlers[message]

        def heard(fields: list[str]) -> None:
            read(fields)
            self._on_heard(int(fields[at]))

        self._decoder.handlers[message] = heard
