"""The actions of an operator of a fleet: read its board, halt it, hand over the lead, release client ids."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime
from typing import Any, TypeVar

from ibkr.core.errors import FleetError, IbkrError
from ibkr.core.fleet_settings import Fleet, check_name
from ibkr.fleet.board import Board
from ibkr.fleet.nats_package import KeyWrongLastSequenceError, nats
from ibkr.fleet.nats_store import (
    NATS_FAILURES,
    REQUEST_TIMEOUT,
    FleetStore,
    cancel_id,
    connect,
    decode_entry,
    error_text,
    open_store,
    read_entries,
    run_until_first_ends,
)
from ibkr.fleet.subjects import HALT_KEY, LEASES, command_subject

T = TypeVar("T")

_TIMEOUT = 5.0


async def with_store(fleet: Fleet, work: Callable[[FleetStore], Awaitable[T]]) -> T:
    """Run ``work`` on the fleet's data and return its result. Raises ``FleetError`` if no server answers, and every
    error that ``work`` raises.
    """
    trouble = ["no answer"]
    try:
        async with asyncio.timeout(_TIMEOUT):
            async with connect(fleet, fleet.name, lambda words: trouble.append(words), lambda: None) as client:
                return await work(await open_store(client, fleet))
    except IbkrError:
        raise
    except NATS_FAILURES as error:
        words = trouble[-1] if isinstance(error, TimeoutError) else error_text(error)
        raise FleetError(f"the fleet's servers ({fleet.shown_servers}) cannot be reached: {words}") from error


async def read_board(fleet: Fleet) -> dict[str, Any]:
    """Return the fleet's board as of now.

    Raises ``FleetError`` if no server answers, and ``ConfigError`` if the settings cannot work.
    """
    board = Board(fleet)
    try:
        async with asyncio.timeout(_TIMEOUT):
            await run_until_first_ends(board.run(), _wait_complete(board))
        return board.to_dict()
    except IbkrError:
        raise
    except NATS_FAILURES as error:
        words = board.trouble or "no answer"
        raise FleetError(f"the fleet's servers ({fleet.shown_servers}) cannot be reached: {words}") from error


async def _wait_complete(board: Board) -> None:
    await board.is_complete.wait()


async def halt(store: FleetStore, reason: str, by: str, *, cancel_all: bool) -> None:
    """Stop new orders of every program in the fleet, until ``resume``. Raises one of ``NATS_FAILURES``.

    Some gateways may not have received the global cancel of an earlier halt yet. So a halt that replaces it keeps the
    cancel, with the time of the halt that requested it.
    """
    at = datetime.now(UTC).isoformat(timespec="milliseconds")
    while True:
        value = {"reason": reason, "by": by, "at": at, "cancel_all": cancel_all}
        entry = (await read_entries(store.halt, HALT_KEY)).get(HALT_KEY)
        earlier = entry and decode_entry(entry)
        if earlier and earlier.get("cancel_all") and not cancel_all:
            value |= {"cancel_all": True, "cancel_at": cancel_id(earlier)}
        try:
            if entry is None:
                await store.halt.create(HALT_KEY, json.dumps(value).encode())
            else:
                await store.halt.update(HALT_KEY, json.dumps(value).encode(), last=entry.revision)
        except KeyWrongLastSequenceError:
            continue  # another halt, or its end, came first
        return


async def resume(store: FleetStore) -> bool:
    """End the halt. Returns whether there was one."""
    was_halted = HALT_KEY in await read_entries(store.halt, HALT_KEY)
    await store.halt.delete(HALT_KEY)
    return was_halted


async def hand_over(store: FleetStore, name: str, gateway: str) -> list[tuple[str, str]]:
    """Make the leaders of this name hand over, at one gateway or at all gateways.

    Returns:
        For each gateway its name, and why the leader does not hand over, or an empty text if the leader hands over.

    Raises:
        ConfigError: No program can have this name.
    """
    check_name(name)
    answers = []
    for key, entry in (await read_entries(store.leases, f"{gateway or '*'}.{name}.0")).items():
        if decode_entry(entry) is not None:
            where = key.partition(".")[0]
            answers.append((where, await _request_hand_over(store, where, name)))
    return answers


async def _request_hand_over(store: FleetStore, gateway: str, name: str) -> str:
    try:
        answer = await store.nc.request(command_subject(gateway, name), b"hand-over", REQUEST_TIMEOUT)
    except nats.errors.NoRespondersError:
        return "the leader does not answer"
    except nats.errors.TimeoutError:
        return "the leader did not answer in time"
    try:
        return str(json.loads(answer.data)["words"])
    except (ValueError, LookupError, TypeError, RecursionError):
        return "the leader's answer cannot be read"


async def release_client_ids(store: FleetStore, name: str) -> int:
    """Release the client ids of a name and return how many.

    Raises ``FleetError`` if a program of this name still runs, and ``ConfigError`` if no program can have this name.
    """
    check_name(name)
    if any(decode_entry(entry) is not None for entry in (await read_entries(store.leases, f"*.{name}.*")).values()):
        raise FleetError(f"a program with the name {name} still runs, according to the bucket {LEASES}: stop it first")
    released = 0
    for key, entry in (await read_entries(store.ids, ">")).items():
        if str((decode_entry(entry) or {}).get("owner", "")).rpartition(".")[0] == name:
            await store.ids.delete(key, last=entry.revision)
            released += 1
    return released
