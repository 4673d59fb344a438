"""Sends commands to IBC's command server: one command per line, answered by a line with ``OK`` or ``ERROR``."""

from __future__ import annotations

import asyncio

from ibkr.core.gateway_status import clean_text
from ibkr.gateway.driver_interface import DriverError

_TIMEOUT = 10.0
_LINE_LIMIT = 4096


async def send_command(host: str, port: int, command: str, seconds: float = _TIMEOUT) -> str:
    """Send one command, and return the text after ``OK``. Raises ``DriverError`` if there is no such answer in time."""
    where = f"IBC's command server at {host}:{port}"
    try:
        async with asyncio.timeout(seconds):
            reader, writer = await asyncio.open_connection(host, port, limit=_LINE_LIMIT)
            try:
                writer.write(f"{command}\n".encode("ascii"))
                return await _read_answer(reader, command, where)
            finally:
                writer.close()
    except TimeoutError as error:
        raise DriverError(f"{where} does not answer {command} within {seconds:.0f} s") from error
    except (OSError, ValueError, OverflowError) as error:  # the line has no end, or the port does not exist
        reason = getattr(error, "strerror", None) or error
        raise DriverError(f"cannot send {command} to {where}: {reason}") from error


async def _read_answer(reader: asyncio.StreamReader, command: str, where: str) -> str:
    """Return the text after ``OK``. The line can begin with a prompt, and lines of information can come before it."""
    async for raw in reader:
        line = raw.decode(errors="replace").strip()
        for verdict in ("OK", "ERROR"):
            begin = line.find(f"{verdict} ") if f"{verdict} " in line else (0 if line == verdict else -1)
            if begin < 0 or line.startswith("INFO "):
                continue
            words = clean_text(line[begin + len(verdict) :])
            if verdict == "ERROR":
                raise DriverError(f"{where} refuses {command}: {words}")
            return words
    raise DriverError(f"{where} closed the connection without an answer to {command}")
