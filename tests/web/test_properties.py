"""For any history, gateway text or request, the answer is valid JSON without control characters, and not status 500.

Every run tests each property with a few examples. ``make thorough`` uses 34,000 random examples.
"""

from __future__ import annotations

import asyncio
import contextlib
import http.client
import json
import math
import sqlite3
import threading
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime
from types import MappingProxyType
from typing import Any
from urllib.parse import quote

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from ibkr import IBConnector
from ibkr.core.attempt_failure import Failure, FailureKind
from ibkr.core.gap_report import GapReport
from ibkr.core.order_records import Order, SentOrder
from ibkr.core.serialization import sanitize, sanitize_text, to_json
from ibkr.core.states import ConnectionState, FarmState
from ibkr.core.status import Status
from ibkr.web.connector_view import ConnectorView
from ibkr.web.http_server import listen, serve
from ibkr.web.view_registry import ViewRegistry
from ibkr.web.web_settings import WebSettings

NOW = datetime(2026, 3, 2, 14, 30, tzinfo=UTC)
FEW = settings(deadline=None, suppress_health_check=list(HealthCheck))
MANY = settings(FEW, max_examples=34_000, derandomize=False)


class Asked:
    """A server in its own thread, and one connection to it that is kept open."""

    def __init__(self) -> None:
        self._loop, self._stop, self._is_up = asyncio.new_event_loop(), asyncio.Event(), threading.Event()
        self._thread = threading.Thread(target=self._run, name="served")
        self._thread.start()
        assert self._is_up.wait(10)
        self._connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=20)

    def _run(self) -> None:
        with contextlib.closing(self._loop) as loop:
            loop.run_until_complete(self._serve())
            loop.run_until_complete(loop.shutdown_default_executor())

    async def _serve(self) -> None:
        web = WebSettings(port=0)
        self.view = ConnectorView(IBConnector("127.0.0.1", 1, 7), web)
        listening = listen(web)
        self.port = listening.getsockname()[1]
        self.view.open()
        self._is_up.set()
        await serve(ViewRegistry(web, self.view), listening, self._stop)
        await self.view.close()

    def get(self, path: str, **headers: str) -> tuple[int, str]:
        """Return the answer. Opens a new connection if a request has ended the old connection."""
        try:
            self._connection.request(
                "GET", path, headers={name.replace("_", "-"): text for name, text in headers.items()}
            )
            answer = self._connection.getresponse()
            if "event-stream" in answer.headers.get("Content-Type", ""):
                first = answer.read1(65536).decode()
                self._connection.close()
                return answer.status, first
            return answer.status, answer.read().decode()
        except (http.client.HTTPException, ConnectionError):
            self._connection.close()
            return 0, ""

    def close(self) -> None:
        self._connection.close()
        self._loop.call_soon_threadsafe(self._stop.set)
        self._thread.join(20)


@pytest.fixture
def asked() -> Iterator[Asked]:
    made = Asked()
    yield made
    made.close()


def check(text: str) -> Any:
    """Check that the answer is valid standard JSON without control characters."""
    found = json.loads(text, parse_constant=pytest.fail)
    assert text.isprintable()
    assert_clean(found)
    return found


def assert_clean(value: Any) -> None:
    if isinstance(value, dict):
        for name, each in value.items():
            assert name.isprintable()
            assert_clean(each)
    elif isinstance(value, list):
        for each in value:
            assert_clean(each)
    elif isinstance(value, str):
        assert value.isprintable(), value
    elif isinstance(value, float):
        assert math.isfinite(value)


TEXTS = st.one_of(
    st.text(st.characters(exclude_categories=["Cs"]), max_size=30),
    st.sampled_from(["\x1b[2J", "\x1b]0;x\x07", "a\nb", "\u202e", "x" * 3000, "DU1234567", "", "\x85", "\ufeff"]),
)
CELLS = st.one_of(
    TEXTS,
    st.binary(max_size=12),
    st.integers(-(2**63), 2**63 - 1),
    st.floats(allow_nan=False),
    st.floats(1.7e9, 1.9e9),
    st.sampled_from(
        [*ConnectionState, "NOT_WATCHED", "session_lost", "recovered", "failed", "{}", '{"a": NaN}', "[[[["]
    ),
)
OUTAGES = st.tuples(CELLS, st.none() | CELLS, st.none() | CELLS, CELLS, CELLS, CELLS, st.none() | CELLS)
HISTORIES = st.tuples(st.lists(OUTAGES, max_size=4), st.lists(st.tuples(CELLS, CELLS, CELLS), max_size=4))


def histories(asked: Asked, rows: Any) -> None:
    outages, changes = rows
    with asked.view.history._transaction() as db:
        db.execute("DELETE FROM outages")
        db.execute("DELETE FROM changes")
        # IntegrityError: SQLite stores NaN and infinity as NULL, and these columns do not allow NULL.
        with contextlib.suppress(sqlite3.IntegrityError):
            db.executemany(
                "INSERT INTO outages (began_at, ended_at, outcome, cause, reason, last_error, gap)"
                " VALUES (?, ?, ?, ?, ?, ?, ?)",
                outages,
            )
        with contextlib.suppress(sqlite3.IntegrityError):
            db.executemany("INSERT INTO changes (at, state, reason) VALUES (?, ?, ?)", changes)
    for path in ("/api/outages", "/api/timeline"):
        status, text = asked.get(path)
        assert status == 200, text
        check(text)


QUERIES = st.tuples(
    st.sampled_from(["/api/outages", "/api/timeline", "/api/status", "/api/events", "/readyz", "/metrics", "/", "/x"]),
    st.dictionaries(
        st.sampled_from(["limit", "before", "last_event_id", "x"]),
        st.one_of(
            TEXTS, st.integers().map(str), st.integers(0, 5000).map(lambda number: f"{number:040}"), st.just("9" * 5000)
        ),
        max_size=3,
    ),
    st.binary(max_size=40),
)


def queries(asked: Asked, query: Any) -> None:
    path, values, raw = query
    text = "&".join(f"{name}={quote(value, errors='surrogatepass')}" for name, value in values.items())
    header = raw.decode("latin-1").translate(dict.fromkeys((*range(32), 127, *range(128, 160)), "x")).strip()
    status, answer = asked.get(f"{path}?{text}{quote(raw)}", Last_Event_ID=header)
    assert status in (0, 200, 400, 404, 431, 503), answer
    assert all(letter.isprintable() or letter == "\n" for letter in answer) or path == "/"
    if status == 200 and path.startswith("/api/") and path != "/api/events":
        check(answer)


NUMBERS = st.floats(allow_nan=True, allow_infinity=True)
ORDERS = st.builds(SentOrder, st.integers(), TEXTS, st.integers(), TEXTS, TEXTS, NUMBERS, TEXTS, TEXTS)
STATUS = Status(ConnectionState.READY, "", NOW, NOW, True, "", True, "127.0.0.1:7497", 7)
STATUSES = st.builds(
    lambda reason, error, farms, accounts, orders: replace(
        STATUS,
        reason=reason,
        last_error=error,
        farms=MappingProxyType(farms),
        accounts=tuple(accounts),
        unconfirmed=tuple(orders),
        failure=Failure(FailureKind.CLOSED, error),
    ),
    TEXTS,
    TEXTS,
    st.dictionaries(TEXTS, st.sampled_from(FarmState), max_size=3),
    st.lists(TEXTS, max_size=3),
    st.lists(ORDERS, max_size=2),
)
BROKERS = st.builds(
    Order,
    *(st.integers(), st.integers(), st.integers(), TEXTS, st.integers(), TEXTS, TEXTS, NUMBERS, TEXTS),
    *(st.none() | NUMBERS, st.none() | NUMBERS, TEXTS, TEXTS, NUMBERS, NUMBERS, st.booleans()),
)
REPORTS = st.builds(
    lambda cause, orders, incomplete: GapReport(
        NOW, NOW, cause, orders_appeared=tuple(orders), incomplete=tuple(incomplete)
    ),
    TEXTS,
    st.lists(BROKERS, max_size=2),
    st.lists(TEXTS, max_size=3),
)


def texts(value: Any) -> None:
    for show in (True, False):
        check(to_json(value.to_dict(show_accounts=show)))
    clean = sanitize(value)
    assert sanitize(clean) is clean
    assert sanitize_text(str(clean)).isprintable()
    if isinstance(clean, GapReport):
        assert str(clean).isprintable()


@FEW
@given(rows=HISTORIES)
def test_no_history_breaks_an_answer(asked: Asked, rows: Any) -> None:
    histories(asked, rows)


@FEW
@given(query=QUERIES)
def test_no_question_breaks_an_answer(asked: Asked, query: Any) -> None:
    queries(asked, query)


@FEW
@given(value=STATUSES | REPORTS)
def test_no_text_or_number_gets_through(value: Any) -> None:
    texts(value)


@pytest.mark.rest
@pytest.mark.timeout(1200)
@MANY
@given(rows=HISTORIES)
def test_no_history_breaks_an_answer_many_times(asked: Asked, rows: Any) -> None:
    histories(asked, rows)


@pytest.mark.rest
@pytest.mark.timeout(1200)
@MANY
@given(query=QUERIES)
def test_no_question_breaks_an_answer_many_times(asked: Asked, query: Any) -> None:
    queries(asked, query)


@pytest.mark.rest
@pytest.mark.timeout(1200)
@MANY
@given(value=STATUSES | REPORTS)
def test_no_text_or_number_gets_through_many_times(value: Any) -> None:
    texts(value)
