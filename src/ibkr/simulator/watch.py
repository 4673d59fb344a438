"""Waiting for something to become true, without polling."""

import asyncio
from collections.abc import Callable


class Watch:
    """Predicates that are looked at again after every event; see `changed`."""

    def __init__(self) -> None:
        self._waiting: list[tuple[Callable[[], bool], asyncio.Future[None]]] = []

    def changed(self) -> None:
        """Something happened: wake those whose predicate has become true."""
        for entry in list(self._waiting):
            predicate, future = entry
            if future.done():
                continue
            try:
                if predicate():
                    future.set_result(None)
            except Exception as error:  # it belongs to the one who waits, who gets it
                future.set_exception(error)

    async def wait(self, predicate: Callable[[], bool], seconds: float, describe: Callable[[], str]) -> None:
        """Return as soon as `predicate()` holds.

        Raises `TimeoutError` after so many `seconds`, with what `describe()` says then.
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
