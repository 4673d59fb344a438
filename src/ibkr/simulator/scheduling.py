"""`Waiters` for conditions, `Hooks` for actions at a request, `Timers` for actions after a delay."""

import asyncio
import difflib
from collections import deque
from collections.abc import Callable

from ibkr.simulator.requests.request_names import REQUESTS

CONNECTION, HELLO, VERSION, END = "connection", "hello", "version", "end"
"""The hooks that are not names of requests: connection accepted, hello received, version sent, client sent its FIN."""

_OTHERS = (CONNECTION, HELLO, VERSION, END)


class Waiters:
    """Coroutines that wait for a predicate. `changed` checks the predicates again, so nothing polls."""

    def __init__(self) -> None:
        self._waiting: list[tuple[Callable[[], bool], asyncio.Future[None]]] = []

    def changed(self) -> None:
        """Check all predicates after an event, and wake the waiters whose predicate is true."""
        for entry in list(self._waiting):
            predicate, future = entry
            if future.done():
                continue
            try:
                if predicate():
                    future.set_result(None)
            except Exception as error:  # the error is raised in the coroutine that waits
                future.set_exception(error)

    async def wait(self, predicate: Callable[[], bool], seconds: float, describe: Callable[[], str]) -> None:
        """Return as soon as `predicate()` is true.

        Raises `TimeoutError` after `seconds`, with the text that `describe()` returns at that time.
        """
        if predicate():
            return
        entry = predicate, asyncio.get_running_loop().create_future()
        self._waiting.append(entry)
        try:
            await asyncio.wait_for(entry[1], seconds)
        except TimeoutError:
            raise TimeoutError(f"not true after {seconds:g} s; {describe()}") from None
        finally:
            self._waiting.remove(entry)


class Hooks:
    """Actions to run when the gateway reaches a point in a connection: a request, or one of the names above."""

    def __init__(self) -> None:
        self._actions: dict[str, deque[Callable[[], object]]] = {}
        self._listeners: list[tuple[Callable[[str], object], Callable[[str, float], object]]] = []

    def add(self, name: str, action: Callable[[], object]) -> None:
        """Run an action once, when this point is reached. If several actions wait, the oldest one runs each time.

        Raises `ValueError` for an unknown name.
        """
        if name not in REQUESTS and name not in _OTHERS:
            near = difflib.get_close_matches(name, [*REQUESTS, *_OTHERS], n=3) or list(_OTHERS)
            raise ValueError(f"no hook {name!r}; perhaps: {', '.join(near)}")
        self._actions.setdefault(name, deque()).append(action)

    def listen(self, reached: Callable[[str], object], answered: Callable[[str, float], object]) -> Callable[[], None]:
        """Call `reached(name)` at every point, and `answered(name, at)` after each processed request.

        `at` is the event loop's time at which the answer is sent, or 0 if it is sent now.

        Returns:
            A function that removes both callbacks.
        """
        listener = reached, answered
        self._listeners.append(listener)
        return lambda: self._listeners.remove(listener)

    def answered(self, name: str, at: float) -> None:
        """Tell the listeners that a request is processed. Its answer is sent at the loop's time `at`; 0 is now."""
        for _, answered in tuple(self._listeners):
            answered(name, at)

    def run(self, name: str) -> None:
        """Call the listeners, then the next action for this point."""
        for reached, _ in tuple(self._listeners):
            reached(name)
        waiting = self._actions.get(name)
        if waiting:
            waiting.popleft()()


class Timers:
    """Calls to make later in the running event loop, unless `stop` comes first."""

    def __init__(self) -> None:
        self._handles: set[asyncio.TimerHandle] = set()

    def later(self, seconds: float, action: Callable[..., object], *args: object) -> None:
        """Call `action(*args)` after this many seconds."""

        def act() -> None:
            self._handles.discard(handle)
            action(*args)

        handle = asyncio.get_running_loop().call_later(seconds, act)
        self._handles.add(handle)

    def stop(self) -> None:
        """Cancel all pending calls."""
        for handle in self._handles:
            handle.cancel()
        self._handles.clear()
