"""Moments at which something is to be done: exactly then, not a turn of the loop later."""

import difflib
from collections import deque
from collections.abc import Callable

from ibkr.simulator.requests.registry import REQUESTS

CONNECTION, HELLO, VERSION, END = "connection", "hello", "version", "end"
"""Besides requests: the connection was accepted and nothing read; the hello was received; the version was sent as its
answer; the client has ended its side (FIN)."""

_OTHERS = (CONNECTION, HELLO, VERSION, END)


class Moments:
    """What is to be done when the gateway gets so far. Each action is done once."""

    def __init__(self) -> None:
        self._actions: dict[str, deque[Callable[[], object]]] = {}
        self._listeners: list[Callable[[str], object]] = []

    def add(self, name: str, action: Callable[[], object]) -> None:
        """Do this the next time; behind those that wait for the same. Raises `ValueError` for an unknown name."""
        if name not in REQUESTS and name not in _OTHERS:
            near = difflib.get_close_matches(name, [*REQUESTS, *_OTHERS], n=3) or list(_OTHERS)
            raise ValueError(f"no moment {name!r}; perhaps: {', '.join(near)}")
        self._actions.setdefault(name, deque()).append(action)

    def listen(self, listener: Callable[[str], object]) -> Callable[[], None]:
        """Call `listener(name)` each time that the gateway has got anywhere; returns what ends that."""
        self._listeners.append(listener)
        return lambda: self._listeners.remove(listener)

    def reached(self, name: str) -> None:
        """The gateway has got so far."""
        for listener in tuple(self._listeners):
            listener(name)
        waiting = self._actions.get(name)
        if waiting:
            waiting.popleft()()
