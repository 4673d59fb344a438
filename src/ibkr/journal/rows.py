"""Converts records to rows of the journal, and back."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Any, TypeVar

from ibkr.core.frozen_record import FrozenRecord, replace
from ibkr.core.gap_report import BrokerSnapshot
from ibkr.core.journal_records import Intent, IntentKind, IntentState, LastKnownState
from ibkr.core.order_records import Execution, LostOrder, Order, Position, SentOrder

V = TypeVar("V", bound=FrozenRecord)

UNREADABLE = (ValueError, LookupError, TypeError, AttributeError, OverflowError, RecursionError)
"""The errors that a damaged row may cause."""
_TIMES = ("time", "ended_at")
_PRICES = ("limit_price", "stop_price")
OPEN_INTENTS = "kind NOT IN ('cancel', 'global cancel') AND state NOT IN ('acknowledged', 'cleared')"
"""Selects the intents whose outcome is unknown."""


def utc_text(at: datetime) -> str:
    """A time as text that sorts in time order."""
    return at.astimezone(UTC).isoformat(timespec="microseconds")


def to_json(value: FrozenRecord) -> str:
    """A flat record as JSON."""
    return json.dumps(vars(value), default=utc_text)


def terms_to_json(intent: Intent) -> str:
    """The content of an intent as JSON: the order as it is sent, and its prices."""
    prices = {name: getattr(intent, name) for name in _PRICES}
    return json.dumps({**vars(intent.order), **{name: price for name, price in prices.items() if price is not None}})


def from_json(kind: type[V], text: str) -> V:
    """The record that ``to_json`` has written. Raises ``ValueError`` for any other text."""
    values: dict[str, Any] = json.loads(text)
    fields = {name: values[name] for name in kind.__match_args__ if name in values}
    for name in _TIMES:
        if fields.get(name):
            fields[name] = datetime.fromisoformat(fields[name])
    if "leg_ids" in fields:
        fields["leg_ids"] = tuple(fields["leg_ids"])
    try:
        return kind(**fields)
    except TypeError as error:
        raise ValueError(f"a row of the journal cannot be read: {error}") from error


def read_intents(database: sqlite3.Connection, where: str = "1", *values: object) -> Iterator[Intent]:
    """The matching intents, the oldest first."""
    columns = "number, at, kind, state, perm_id, knew_ended, terms"
    rows = database.execute(f"SELECT {columns} FROM intents WHERE {where} ORDER BY number", values)
    for number, at, kind, state, perm_id, knew_ended, terms in rows:
        fields = json.loads(terms)
        yield Intent(
            number,
            datetime.fromisoformat(at),
            IntentKind(kind),
            from_json(SentOrder, terms),
            fields.get("limit_price"),
            fields.get("stop_price"),
            bool(knew_ended),
            IntentState(state),
            perm_id,
        )


def read_notes(database: sqlite3.Connection) -> dict[str, Any]:
    """The notes by name: client_id, accounts, until, knows_others."""
    return {name: json.loads(value) for name, value in database.execute("SELECT name, value FROM facts")}


def read_known(database: sqlite3.Connection, since: datetime) -> LastKnownState:
    """Return what the last program knew. Executions and completed orders from before ``since`` are not included."""
    notes = read_notes(database)
    live, ended = {}, set()
    for perm_id, state, row in database.execute(
        "SELECT perm_id, state, row FROM orders WHERE state = 'live' OR state = 'ended' AND at > ?", (utc_text(since),)
    ):
        if state == "live":
            live[perm_id] = from_json(Order, row)
        else:
            ended.add(perm_id)
    found = database.execute("SELECT row FROM executions WHERE at > ? ORDER BY rowid", (utc_text(since),))
    executions = {each.exec_id: each for (row,) in found for each in (from_json(Execution, row),)}
    held = (from_json(Position, row) for (row,) in database.execute("SELECT row FROM positions"))
    positions = {(each.account, each.con_id): each for each in held}
    until = notes.get("until")
    return LastKnownState(
        BrokerSnapshot(live, executions, positions, frozenset(ended)),
        until and datetime.fromisoformat(until),
        notes.get("knows_others", False),
        tuple(notes.get("accounts", ())),
        read_lost(database),
        _highest_id(database, notes.get("client_id", -1)),
        database.execute("SELECT coalesce(max(number), 0) FROM intents").fetchone()[0],
    )


def read_lost(database: sqlite3.Connection) -> dict[int, LostOrder]:
    """The unconfirmed orders of the last program, by the numbers of their intents.

    An order that was about to be sent is included, because it may have been sent. An order or change that was not sent
    is included until the order was placed again, or a later change was sent.
    """
    changes: dict[int, list[Intent]] = {}
    orders: list[Intent] = []
    found: dict[int, LostOrder] = {}
    dropped: dict[int, Intent] = {}
    for intent in read_intents(database, OPEN_INTENTS):
        order_id = intent.order.order_id
        is_dropped = not _may_have_left(intent)
        if is_dropped and not _is_last(database, intent):
            continue
        if intent.kind is not IntentKind.CHANGE:
            orders.append(intent)
            continue
        changes.setdefault(order_id, []).append(intent)
        if is_dropped:
            dropped[order_id] = intent
    for first in orders:
        later = [change for change in changes.get(first.order.order_id, ()) if change.number > first.number]
        left = [each for each in (first, *later) if _may_have_left(each)]
        terms = tuple(replace(each.order, has_left=bool(left)) for each in left or (first, *later))
        found[first.number] = LostOrder(terms, first.perm_id, first.knew_ended)
    for intent in dropped.values():
        found[intent.number] = LostOrder((replace(intent.order, has_left=False, is_change=True),))
    return found


def _is_last(database: sqlite3.Connection, intent: Intent) -> bool:
    """Whether no later intent of this kind is about the same order."""
    statement = "SELECT 1 FROM intents WHERE order_id = ? AND kind = ? AND number > ?"
    values = intent.order.order_id, intent.kind.value, intent.number
    return database.execute(statement, values).fetchone() is None


def _may_have_left(intent: Intent) -> bool:
    return intent.state not in (IntentState.WAITING, IntentState.NOT_SENT)


def _highest_id(database: sqlite3.Connection, client_id: int) -> int:
    """The highest order id that this client id has used."""
    (highest,) = database.execute(
        "SELECT max(coalesce((SELECT max(order_id) FROM intents), 0),"
        " coalesce((SELECT max(order_id) FROM orders WHERE client_id = ?), 0),"
        " coalesce((SELECT max(order_id) FROM executions WHERE client_id = ?), 0))",
        (client_id, client_id),
    ).fetchone()
    return int(highest)
