"""Connects to NATS, and reads and watches what the fleet stores there."""

from __future__ import annotations

import asyncio
import importlib.util
import json
import logging
import ssl
from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

from ibkr.core.errors import ConfigError
from ibkr.core.extras import install_hint
from ibkr.core.fleet_settings import Fleet
from ibkr.fleet.nats_package import Client, JetStreamContext, KeyValue, KeyValueConfig, Srv, StreamConfig, nats
from ibkr.fleet.subjects import EVENT_MAX_AGE, EVENTS, HALT, IDS, LEASES, MEMBER_TTL, MEMBERS

logger = logging.getLogger("ibkr.fleet")

NATS_FAILURES = (nats.errors.Error, OSError, asyncio.TimeoutError, ValueError)
"""The errors that the NATS client raises when something cannot be done now. The caller may try again."""
REQUEST_TIMEOUT = 2.0
"""Seconds that a server may take for an answer."""
RETRY_AFTER = 0.25
"""Seconds from a failure to the next try."""
_PING_EVERY = 2.0
_CLOSE_TIMEOUT = 1.0
_CANCEL_EVERY = 0.05


@dataclass(frozen=True, slots=True)
class FleetStore:
    """The fleet's buckets in NATS. ``lifetime``: seconds after which a lease expires unless it is renewed."""

    nc: Client
    js: JetStreamContext
    leases: KeyValue
    ids: KeyValue
    members: KeyValue
    halt: KeyValue
    lifetime: float


class _Client(Client):
    """A client of NATS that leaves no socket open.

    When an attempt to reconnect fails, nats-py 2.16.0 forgets its socket without closing it.
    """

    async def _connect_to_server(self, s: Srv) -> None:
        self._abort_connection()
        await super()._connect_to_server(s)

    def _abort_connection(self) -> None:
        writer = getattr(self._transport, "_io_writer", None)
        if writer is not None:
            writer.transport.abort()

    async def end(self) -> None:
        """Close the connection. After a second, or if this is cancelled, do not wait until the server has read all."""
        closing = asyncio.ensure_future(ignore_failures(self.close))
        try:
            await asyncio.wait({closing}, timeout=_CLOSE_TIMEOUT)
        finally:
            closing.cancel()
            self._abort_connection()


@asynccontextmanager
async def connect(
    fleet: Fleet, name: str, on_error: Callable[[str], None], on_back: Callable[[], None]
) -> AsyncIterator[Client]:
    """Connect, and try until it works. Ends the connection when the block ends.

    The client connects again by itself when the connection is lost.

    ``on_error`` gets the text of every failure. ``on_back`` is called when a lost connection is restored.
    """

    async def lost() -> None:
        if not client.is_closed:
            on_error("the connection was lost")

    async def back() -> None:
        on_back()

    client, login = _Client(), _login(fleet)
    try:
        await client.connect(
            fleet.urls,
            name=f"ibkr {name}",
            error_cb=_failure_callback(on_error),
            disconnected_cb=lost,
            reconnected_cb=back,
            max_reconnect_attempts=-1,
            reconnect_time_wait=RETRY_AFTER,  # type: ignore[arg-type]  # a fraction of a second works, too
            connect_timeout=REQUEST_TIMEOUT,  # type: ignore[arg-type]
            ping_interval=min(_PING_EVERY, fleet.lease / 5),  # type: ignore[arg-type]
            max_outstanding_pings=2,
            inbox_prefix=f"_INBOX_{name}",
            **login,
        )
        yield client
    finally:
        await client.end()


def _failure_callback(on_error: Callable[[str], None]) -> Callable[[Exception], Awaitable[None]]:
    """Return a callback that reports each failure. If a refused login closes the connection, it reports the refusal."""
    refusal = ""

    async def failed(error: Exception) -> None:
        nonlocal refusal
        text = error_text(error)
        if "authorization" in text.lower():
            refusal = text
        elif isinstance(error, ConnectionResetError) and refusal:
            text = refusal
        on_error(text)

    return failed


def _login(fleet: Fleet) -> dict[str, Any]:
    login: dict[str, Any] = {}
    if fleet.tls_ca or fleet.tls_cert:
        login["tls"] = _tls(fleet)
    if fleet.credentials:
        login["user_credentials"] = _credentials(fleet)
    return login


def _credentials(fleet: Fleet) -> str:
    key = "ibkr.fleet.credentials"
    if importlib.util.find_spec("nkeys") is None:  # without nkeys, nats-py would raise ModuleNotFoundError
        raise ConfigError(key, fleet.credentials, install_hint("a file of credentials", "fleet", "nkeys"))
    try:
        open(fleet.credentials, "rb").close()
    except OSError as error:
        raise ConfigError(key, fleet.credentials, f"cannot be used: {error}") from error
    return fleet.credentials


def _tls(fleet: Fleet) -> ssl.SSLContext:
    setting, file = "tls_ca", fleet.tls_ca
    try:
        context = ssl.create_default_context(cafile=fleet.tls_ca or None)
        if fleet.tls_cert:
            setting, file = "tls_cert", fleet.tls_cert
            context.load_cert_chain(fleet.tls_cert, fleet.tls_key)
    except OSError as error:
        raise ConfigError(f"ibkr.fleet.{setting}", file, f"cannot be used: {error}") from error
    return context


async def open_store(client: Client, fleet: Fleet) -> FleetStore:
    """Open the fleet's buckets. Creates the buckets that do not exist. Raises one of ``NATS_FAILURES``."""
    js = client.jetstream(timeout=REQUEST_TIMEOUT)
    leases = await _bucket(js, LEASES, fleet.replicas, fleet.lease)
    ids = await _bucket(js, IDS, fleet.replicas)
    members = await _bucket(js, MEMBERS, fleet.replicas, MEMBER_TTL)
    halt = await _bucket(js, HALT, fleet.replicas)
    try:
        await js.stream_info(EVENTS)
    except nats.js.errors.NotFoundError:
        await js.add_stream(
            StreamConfig(EVENTS, subjects=["ibkr.events.>"], max_age=EVENT_MAX_AGE, num_replicas=fleet.replicas)
        )
    lifetime = (await leases.status()).ttl or fleet.lease
    return FleetStore(client, js, leases, ids, members, halt, lifetime)


async def _bucket(js: JetStreamContext, bucket: str, replicas: int, ttl: float | None = None) -> KeyValue:
    try:
        return await js.key_value(bucket)
    except nats.js.errors.BucketNotFoundError:
        return await js.create_key_value(KeyValueConfig(bucket, ttl=ttl, replicas=replicas))


async def read_server_ahead(store: FleetStore) -> timedelta:
    """Return by how much the servers' clock is ahead of this computer's; 0 if they do not report their time."""
    try:
        answer = await store.nc.request(f"$JS.API.STREAM.INFO.KV_{MEMBERS}", b"", REQUEST_TIMEOUT)
        return datetime.fromisoformat(json.loads(answer.data)["ts"]) - datetime.now(UTC)
    except (*NATS_FAILURES, LookupError, TypeError):
        return timedelta()


async def read_entries(bucket: KeyValue, pattern: str) -> dict[str, KeyValue.Entry]:
    """Return the present entries whose keys match this pattern, by key. Raises one of ``NATS_FAILURES``."""
    watcher = await bucket.watch(pattern, ignore_deletes=True)
    try:
        found = {}
        while (entry := await watcher.updates(REQUEST_TIMEOUT)) is not None:
            found[entry.key] = entry
        return found
    finally:
        await watcher.stop()


async def watch_keys(
    bucket: KeyValue, pattern: str, handle_entry: Callable[[KeyValue.Entry | None], None], watch_restart: asyncio.Event
) -> None:
    """Handle all entries whose keys match this pattern: first the present ones, then ``None``, then each change.

    Set ``watch_restart`` to restart the watch: servers forget the watch of a client that was away for too long.
    """
    while True:
        watch_restart.clear()
        try:
            watcher = await bucket.watch(pattern)
        except NATS_FAILURES:
            await asyncio.sleep(RETRY_AFTER)
            continue
        try:
            async for entry in _updates(watcher, watch_restart):
                handle_entry(entry)
        finally:
            await ignore_failures(watcher.stop)


async def _updates(watcher: KeyValue.KeyWatcher, watch_restart: asyncio.Event) -> AsyncIterator[KeyValue.Entry | None]:
    """Yield the updates of a watch until ``watch_restart`` is set."""
    ends = asyncio.ensure_future(watch_restart.wait())
    try:
        while True:
            update = asyncio.ensure_future(_next(watcher))
            try:
                await asyncio.wait({update, ends}, return_when=asyncio.FIRST_COMPLETED)
                if not update.done():
                    return
                yield update.result()
            finally:
                update.cancel()
    finally:
        ends.cancel()


async def _next(watcher: KeyValue.KeyWatcher) -> KeyValue.Entry | None:
    entry: KeyValue.Entry | None = await anext(watcher)
    return entry


async def run_until_first_ends(*work: Coroutine[Any, Any, None]) -> None:
    """Run these coroutines until one ends, or until this is cancelled. Raises the error of the coroutine that ended."""
    tasks = [asyncio.ensure_future(each) for each in work]
    try:
        done, _ = await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
        for task in done:
            task.result()
    finally:
        left = set(tasks)
        while left:  # cancel more than once, because the NATS client sometimes ignores a cancellation
            for task in left:
                task.cancel()
            _, left = await asyncio.wait(left, timeout=_CANCEL_EVERY)


async def ignore_failures(end: Callable[[], Awaitable[object]]) -> None:
    """Await ``end()``, which ends a watch, a subscription or the connection. Ignore a failure of NATS."""
    try:
        await end()
    except NATS_FAILURES as error:
        logger.debug("Could not end a watch, a subscription or the connection: %s", error)


def error_text(error: BaseException) -> str:
    """Return the text of an error. If it is empty, as for many errors of NATS, return the name of the error."""
    return str(error) or type(error).__name__


def decode_entry(entry: KeyValue.Entry | None) -> dict[str, Any] | None:
    """Return the JSON object in an entry. Return ``None`` if the entry has no object that can be read."""
    if entry is None or entry.operation is not None or not entry.value:
        return None
    try:
        value = json.loads(entry.value)
    except (ValueError, RecursionError):
        return None
    return value if isinstance(value, dict) else None


def cancel_id(halt: dict[str, Any]) -> Any:
    """Return what identifies the global cancel of a halt of the fleet: when a halt requested it."""
    return halt.get("cancel_at") or halt.get("at")


def decode_halt(entry: KeyValue.Entry) -> dict[str, Any] | None:
    """Return the halt in an entry; ``None`` if it is deleted. An entry that cannot be read is treated as a halt."""
    halt = decode_entry(entry)
    if halt is None and entry.operation is None:
        return {"reason": "the fleet's halt cannot be read", "by": "an operator", "at": "", "cancel_all": False}
    return halt
