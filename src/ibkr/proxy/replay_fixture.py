"""Replays a recording in tests: the gateway of the fixture `ib_recording`, in its own thread."""

import asyncio
import concurrent.futures
import os
import threading
from collections.abc import Iterator
from contextlib import AbstractAsyncContextManager, ExitStack, contextmanager
from typing import Any, Self

from ibkr.proxy.recording_reader import Recording
from ibkr.proxy.replay_gateway import ReplayGateway


class RecordedGateway:
    """A gateway that replays a recording, usable from any thread. The fixture `ib_recording` returns it.

    Raises:
        OSError: The file cannot be read.
        RecordingError: The file is not a recording.
        ValueError: The speed is not greater than 0.
    """

    def __init__(self, path: str | os.PathLike[str], *, speed: float = 1.0) -> None:
        self.recording = Recording.read(path)
        self._replay = ReplayGateway(self.recording, speed=speed)
        self._stack = ExitStack()

    @property
    def host(self) -> str:
        """The address that the gateway listens on."""
        return self._replay.host

    @property
    def port(self) -> int:
        """The API port."""
        return self._replay.port

    @property
    def missing(self) -> list[str]:
        """The requests so far that are not in the recording."""
        return list(self._replay.missing)

    def assert_all_recorded(self) -> None:
        """Assert that every request was in the recording."""
        assert not self.missing, f"not in {self.recording.path.name}: {'; '.join(self.missing)}"

    def __enter__(self) -> Self:
        self._stack.enter_context(run_in_thread(self._replay))
        return self

    def __exit__(self, *_: object) -> None:
        self._stack.close()


@contextmanager
def run_in_thread(server: AbstractAsyncContextManager[Any]) -> Iterator[None]:
    """Run a proxy or a replay in its own thread while the context lasts. Raises the errors of its start."""
    started: concurrent.futures.Future[tuple[asyncio.AbstractEventLoop, asyncio.Event]] = concurrent.futures.Future()

    async def main() -> None:
        stop = asyncio.Event()
        try:
            async with server:
                started.set_result((asyncio.get_running_loop(), stop))
                await stop.wait()
        except BaseException as error:
            if started.done():
                raise
            started.set_exception(error)

    thread = threading.Thread(target=lambda: asyncio.run(main()), name="ibkr-proxy", daemon=True)
    thread.start()
    try:
        loop, stop = started.result()
    except BaseException:
        thread.join()
        raise
    try:
        yield
    finally:
        loop.call_soon_threadsafe(stop.set)
        thread.join()
