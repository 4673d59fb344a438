"""A history with unexpected content: odd rows, other programs' files, flipped bits; and its file permissions."""

import contextlib
import json
import os
import sqlite3
import stat
import sys
from datetime import UTC, datetime, timedelta

import pytest

from ibkr.core.errors import ConfigError
from ibkr.core.gap_report import GapReport
from ibkr.core.serialization import to_json
from ibkr.core.states import ConnectionState as S
from ibkr.observe.history import NOT_WATCHED, History
from ibkr.web.timeline import build_timeline

NOW = datetime(2026, 3, 2, 15, tzinfo=UTC)
GOOD = (NOW.timestamp() - 60, NOW.timestamp() - 50, "recovered", "session_lost", "lost", "", None)
ODD = [
    "\x1b[2J\x07",
    b"\xff\x00",
    1e300,
    -1e300,
    float("inf"),
    2**62,
    "",
    "x" * 50_000,
    "\ud800".encode("utf-8", "surrogatepass"),
]


@pytest.fixture
def path(tmp_path):
    return tmp_path / "history.db"


def write(path, statement, *rows):
    History(path).close()
    with sqlite3.connect(path) as db:
        db.executemany(statement, rows)
    db.close()


def outages_of(path):
    history = History(path)
    try:
        return json.loads(to_json(history.outages()), parse_constant=pytest.fail)
    finally:
        history.close()


@pytest.mark.parametrize("odd", ODD, ids=lambda odd: repr(odd)[:12])
@pytest.mark.parametrize("column", range(7))
def test_one_odd_field_costs_no_other_row(path, odd, column, caplog):
    row = [*GOOD]
    row[column] = odd
    statement = (
        "INSERT INTO outages (began_at, ended_at, outcome, cause, reason, last_error, gap) VALUES (?,?,?,?,?,?,?)"
    )
    write(path, statement, GOOD, row, GOOD)
    found = outages_of(path)
    assert [found[0]["cause"], found[2]["cause"]] == ["session_lost"] * 2
    assert found[1]["id"] == 2
    assert all(text.isprintable() for text in found[1].values() if isinstance(text, str))
    told = [record for record in caplog.records if "cannot be read" in record.message]
    if found[1]["cause"] == "unreadable" or (column == 6 and odd is not None):
        assert told
        assert len({record.message for record in told}) == len(told), "each once"
        assert all(record.message.isprintable() for record in told)
    history = History(path)
    history.outages()
    history.outages()
    history.close()


@pytest.mark.parametrize(
    ("gap", "read"),
    [
        *((text, None) for text in ("{", "[]", "5", "NaN", "[" * 5000, "nul\0")),
        ('{"seconds": NaN}', {"seconds": None}),
        ('{"a": 1e999}', {"a": None}),
        ('{"a": "\\u001b"}', {"a": " "}),
    ],
)
def test_a_gap_report_that_cannot_be_read_is_left_out(path, gap, read):
    write(
        path,
        "INSERT INTO outages (began_at, ended_at, outcome, cause, reason, last_error, gap) VALUES (?,?,?,?,?,?,?)",
        (*GOOD[:6], gap),
    )
    [outage] = outages_of(path)
    assert outage["cause"] == "session_lost"
    assert outage["gap"] == read


def test_no_number_of_a_report_makes_bad_json(at, path, tell):
    history = History(path)
    for status in (at(1, S.READY), at(5, S.RECONNECTING), at(7, S.READY)):
        tell(history, status)
    report = GapReport(at(5, S.READY).since, at(7, S.READY).since, "a\x1b[2J\ncause", outage=1)
    history.add_gap_report(report)
    history.close()
    with sqlite3.connect(path) as db:
        [(gap,)] = db.execute("SELECT gap FROM outages").fetchall()
    db.close()
    assert json.loads(gap, parse_constant=pytest.fail)["cause"] == "a [2J cause"


@pytest.mark.parametrize("odd", ODD, ids=lambda odd: repr(odd)[:12])
@pytest.mark.parametrize("column", ["at", "state", "reason"])
def test_the_time_line_goes_on_over_an_odd_row(path, odd, column):
    row = {"at": NOW.timestamp() - 60, "state": "READY", "reason": ""} | {column: odd}
    good = {"at": NOW.timestamp() - 30, "state": "READY", "reason": ""}
    write(path, "INSERT INTO changes (at, state, reason) VALUES (:at, :state, :reason)", row, good)
    history = History(path, clock=NOW.timestamp)
    changes = history.changes(NOW - timedelta(hours=24))
    assert ("READY", NOW - timedelta(seconds=30)) in [(each.state, each.at) for each in changes]
    assert {each.state for each in changes} <= {"READY", NOT_WATCHED}
    json.dumps(build_timeline(changes, NOW), allow_nan=False)
    history.close()


@pytest.mark.parametrize("content", [b"not a database", b"SQLite format 3\x00" + bytes(500), os.urandom(8192)])
def test_a_file_that_is_no_history_is_refused_with_a_cure(path, content):
    path.write_bytes(content)
    with pytest.raises(ConfigError, match=r"move it away \(mv .*history.db") as caught:
        History(path)
    assert str(caught.value).isprintable()
    assert path.read_bytes() == content, "and left as it is"


@pytest.mark.parametrize("seed", range(12))
def test_flipped_bits_are_refused_or_survived(path, seed):
    write(path, "INSERT INTO changes (at, state, reason) VALUES (?, 'READY', ?)", *((n, "x" * 200) for n in range(500)))
    content = bytearray(path.read_bytes())
    for place in range(seed * 37, len(content), 3001):
        content[place] ^= 1 << (seed % 8)
    path.write_bytes(content)
    try:
        history = History(path)
    except ConfigError as error:
        refusal = str(error)
    else:
        refusal = ""
        # The web server answers 503 to an error of SQLite; any other exception fails this test.
        with contextlib.closing(history), contextlib.suppress(sqlite3.Error):
            history.outages()
            history.changes()
    assert not refusal or "move it away" in refusal or "newer version" in refusal


@pytest.mark.skipif(sys.platform == "win32", reason="files have other rights there")
def test_nobody_else_may_read_it(path):
    old = os.umask(0o022)
    try:
        history = History(path)
        files = [each for each in path.parent.iterdir()]
        assert {stat.S_IMODE(each.stat().st_mode) for each in files} == {0o600}, files
        history.close()
        path.chmod(0o644)  # an earlier version made the file with these rights
        History(path).close()
        assert stat.S_IMODE(path.stat().st_mode) == 0o640
    finally:
        os.umask(old)


@pytest.mark.parametrize(
    "schema",
    [
        "CREATE TABLE mine (x)",
        "CREATE TABLE changes (id INTEGER PRIMARY KEY, at REAL)",
        "CREATE TABLE outages (id INTEGER PRIMARY KEY, foo)",
        "PRAGMA application_id = 7; PRAGMA user_version = 2; CREATE TABLE orders (x)",
    ],
)
def test_a_database_of_another_program_is_refused_and_not_changed(path, schema):
    with contextlib.closing(sqlite3.connect(path)) as db:
        db.executescript(schema)
    before = path.read_bytes()
    with pytest.raises(ConfigError, match="name another file"):
        History(path)
    assert path.read_bytes() == before


def test_a_history_without_a_column_is_refused(path):
    History(path).close()
    with contextlib.closing(sqlite3.connect(path)) as db:
        db.execute("ALTER TABLE outages DROP COLUMN gap")
    with pytest.raises(ConfigError, match="no such column: gap"):
        History(path)


def test_a_schema_that_is_no_text_is_refused(path):
    History(path).close()
    data = path.read_bytes()
    assert data.count(b"tableoutagesoutages") == 1
    path.write_bytes(data.replace(b"tableoutagesoutages", b"table\xe8utagesoutages"))
    with pytest.raises(ConfigError, match="is damaged"):
        History(path)
