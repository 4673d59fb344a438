"""Sends the requests of a recording to a gateway, one after the other, and records the answers."""

import asyncio
import itertools
import time
from collections.abc import Callable
from dataclasses import replace

from ibkr.proxy.cleaning import Cleaner
from ibkr.proxy.connection_parser import ConnectionParser
from ibkr.proxy.message_catalog import STREAM_MESSAGES
from ibkr.proxy.recording_reader import Entry, Recording
from ibkr.proxy.recording_writer import to_json
from ibkr.wire import ClientHello, frame, hello_bytes

ANSWER_TIMEOUT = 1.0
"""Seconds to wait for recorded messages that do not come. If they did not come after an earlier request of this name,
wait a tenth of this time."""

_SETTLE_TIME = 0.3
"""Seconds to wait at the end for messages that nobody has asked for."""


class RequestReplayer:
    """Sends the requests of a recording's client to the gateway at a port of this computer."""

    def __init__(self, recording: Recording, port: int) -> None:
        self._recording = recording
        self._port = port
        self._parser = ConnectionParser()
        # Clean the answers in the same way as the recording was cleaned, because they are compared with it.
        self._cleaner = Cleaner(keeps_private=recording.header.is_private)
        self._entries: list[Entry] = []
        self._started_at = 0.0
        self._missing_answers: set[tuple[str, frozenset[str]]] = set()

    async def replay(self) -> Recording:
        """Send all requests in order, and return them and the answers as a recording."""
        reader, writer = await asyncio.open_connection("127.0.0.1", self._port)
        self._started_at = time.monotonic()
        try:
            version = self._recording.header.server_version
            hello = hello_bytes(ClientHello(min(100, version), version))
            self._parser.client_sent(hello)
            writer.write(hello)
            await self._read_until(reader, lambda: self._parser.server_version > 0, ANSWER_TIMEOUT)
            await self._send_all(reader, writer)
            await self._read_until(reader, lambda: False, _SETTLE_TIME)
        finally:
            writer.close()
        header = replace(self._recording.header, server_version=self._parser.server_version)
        return Recording(self._recording.path, header, self._entries)

    async def _send_all(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Send each request after the answers to the earlier request have come."""
        entries = self._recording.entries
        for number, entry in enumerate(entries):
            if entry.is_request and entry.body is not None:
                self._entries.append(replace(entry, at=time.monotonic() - self._started_at))
                writer.write(frame(entry.body))
                rest = itertools.islice(entries, number + 1, None)
                between = itertools.takewhile(lambda each: not each.is_request, rest)
                await self._wait_for(reader, entry.name, frozenset(each.name for each in between))

    async def _wait_for(self, reader: asyncio.StreamReader, request: str, wanted: frozenset[str]) -> None:
        """Wait until messages of all these names have come."""
        first = len(self._entries)

        def missing() -> frozenset[str]:
            return wanted - {entry.name for entry in self._entries[first:]}

        timeout = (
            ANSWER_TIMEOUT / 10
            if (request, wanted) in self._missing_answers or wanted <= STREAM_MESSAGES
            else ANSWER_TIMEOUT
        )
        await self._read_until(reader, lambda: not missing(), timeout)
        if missing():
            self._missing_answers.add((request, wanted))

    async def _read_until(self, reader: asyncio.StreamReader, holds: Callable[[], bool], seconds: float) -> None:
        try:
            async with asyncio.timeout(seconds):
                while not holds():
                    data = await reader.read(1 << 16)
                    if not data:
                        return
                    self._take(data)
        except TimeoutError:
            return

    def _take(self, data: bytes) -> None:
        parser, now = self._parser, time.monotonic() - self._started_at
        for body in parser.take_version(parser.gateway_sent(data)):
            cleaned = self._cleaner.clean(body, parser.server_version, is_request=False)
            fields = None if cleaned.fields is None else to_json(cleaned.fields)
            self._entries.append(Entry(now, False, cleaned.name, fields, cleaned.body))
