"""Moments at which something is to be done: exactly then, not a turn of the loop later."""

import difflib
from collections import deque
from collections.abc import Callable

from ibkr.simulator.requests.table import REQUESTS

CONNECTION, HELLO, VERSION, END = "connection", "hello", "version", "end"
"""Besides requests: the connection was accepted and nothing read; the hello was received; the version was sent as its
answer; the client has ended its side (FIN)."""

_OTHERS = (CONNECTION, HELLO, VERSION, END)


class Moments:
    """What is to be done when the gateway gets so far. Each action is done once."""

    def __init__(self) -> None:
        self._actions: dict[str, deque[Callable[[], object]]] = {}
        self._listeners: list[tuple[Callable[[str], object], Callable[[str, float], object]]] = []

    def add(self, name: str, action: Callable[[], object]) -> None:
        """Do this the next time; behind those that wait for the same. Raises `ValueError` for an unknown name."""
        if name not in REQUESTS and name not in _OTHERS:
            near = difflib.get_close_matches(name, [*REQUESTS, *_OTHERS], n=3) or list(_OTHERS)
            raise ValueError(f"no moment {name!r}; perhaps: {', '.join(near)}")
        self._actions.setdefault(name, deque()).append(action)

    def listen(self, reached: Callable[[str], object], answered: Callable[[str, float], object]) -> Callable[[], None]:
        """Call `reached(name)` at every moment, and `answered(name, at)` when a request has been worked on.

        `at` is the time of the loop at which its answer leaves; 0 is now.

        Returns:
            A function that ends both.
        """
        listener = reached, answered
        self._listeners.append(listener)
        return lambda: self._listeners.remove(listener)

    def answered(self, name: str, at: float) -> None:
        """A request has been worked on, and its answer leaves at this time of the loop."""
        for _, answered in tuple(self._listeners):
            answered(name, at)

    def reached(self, name: str) -> None:
        """The gateway has got so far."""
        for reached, _ in tuple(self._listeners):
            reached(name)
        waiting = self._actions.get(name)
        if waiting:
            waiting.popleft()()
