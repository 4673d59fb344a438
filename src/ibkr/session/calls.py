"""The library's blocking calls (``ib.sleep``, ``ib.reqPositions``), run in the connector's event loop.

The library's own way, ``util.run``, is broken off by the process-wide ``globalErrorEvent``: the end of one session
raises in whatever call of any other ``IB`` blocks just then.
"""

from __future__ import annotations

import asyncio
import datetime as dt
from collections.abc import Awaitable, Callable, Iterator
from typing import Any

Run = Callable[[Callable[[], Awaitable[Any]], float | None], Any]
Moment = dt.datetime | dt.time


class Calls:
    """Stands in for every blocking call of ``ib``. ``run`` does one, within its timeout; ``run_on`` is ``ib.run()``."""

    def __init__(self, ib: Any, run: Run, run_on: Callable[[], None]) -> None:
        self._ib, self._run, self._run_on = ib, run, run_on
        ib.run, ib._run, ib.sleep = self._all, self._request, self._sleep
        ib.waitUntil, ib.timeRange, ib.waitOnUpdate = self._wait_until, self._time_range, self._wait_on_update

    def _all(self, *awaitables: Awaitable[Any], timeout: float | None = None) -> Any:
        if not awaitables:
            return self._run_on()

        async def work() -> Any:
            return await (awaitables[0] if len(awaitables) == 1 else asyncio.gather(*awaitables))

        try:
            return self._run(work, timeout or None)
        finally:
            for awaitable in awaitables:  # one that was refused will never be awaited
                if asyncio.iscoroutine(awaitable):
                    awaitable.close()
                elif asyncio.isfuture(awaitable):
                    awaitable.cancel()

    def _request(self, *awaitables: Awaitable[Any]) -> Any:
        return self._all(*awaitables, timeout=self._ib.RequestTimeout)

    def _sleep(self, secs: float = 0.02) -> bool:
        self._run(lambda: asyncio.sleep(secs), None)
        return True

    def _wait_until(self, t: Moment) -> bool:
        moment = dt.datetime.combine(dt.date.today(), t) if isinstance(t, dt.time) else t
        return self._sleep((moment - dt.datetime.now(moment.tzinfo)).total_seconds())

    def _time_range(self, start: Moment, end: Moment, step: float) -> Iterator[dt.datetime]:
        moments = self._ib.timeRangeAsync(start, end, step)
        while (moment := self._run(lambda: anext(moments, None), None)) is not None:
            yield moment

    def _wait_on_update(self, timeout: float = 0) -> bool:
        async def update() -> None:
            await self._ib.updateEvent

        try:
            self._run(update, timeout or None)
        except TimeoutError:
            return False
        return True


def keep_thread(ib: Any, check: Callable[[], None]) -> None:
    """Have every request of ``ib`` begin with ``check``, which raises in another thread than that of its loop.

    One ``IB`` that is used by two threads is corrupted, and whoever holds it can do that. Every request begins with an
    id, with a future for its answer, or with the message itself.
    """

    def checked(method: Callable[..., Any]) -> Callable[..., Any]:
        def call(*args: Any, **named: Any) -> Any:
            check()
            return method(*args, **named)

        return call

    client, wrapper = ib.client, ib.wrapper
    client.getReqId, client.sendMsg = checked(client.getReqId), checked(client.sendMsg)
    wrapper.startReq = checked(wrapper.startReq)
