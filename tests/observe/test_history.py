"""The history in a real file: its content, its limits, and what it contains after a SIGKILL."""

import sqlite3
import subprocess
import sys
from datetime import UTC, datetime, timedelta

import pytest

from ibkr.core.errors import ConfigError
from ibkr.core.gap_report import GapReport
from ibkr.core.states import ConnectionState as S
from ibkr.observe.history import NOT_WATCHED, History
from ibkr.web.timeline import build_timeline


@pytest.fixture
def now(at):
    return [at(0, S.READY).since.timestamp()]


@pytest.fixture
def path(tmp_path):
    return tmp_path / "history.db"


def test_outages_and_changes_are_there_after_a_restart(at, path, now, tell):
    history = History(path, clock=lambda: now[0])
    for status in (
        at(0, S.CONNECTING),
        at(1, S.READY),
        at(5, S.RECONNECTING, "session lost: DU1234567"),
        at(5, S.RECONNECTING, "session lost: DU1234567", last_error="closed: by DU1234567", accounts=("DU1234567",)),
        at(7, S.READY),
    ):
        tell(history, status)
    history.add_gap_report(
        GapReport(at(5, S.READY).since, at(7, S.READY).since, "reset", incomplete=("DU1234567",) * 300, outage=1)
    )
    now[0] += 9
    history.close()
    now[0] += 100
    history = History(path, clock=lambda: now[0])
    [outage] = history.outages()
    gap = outage.pop("gap")
    assert (gap["cause"], gap["seconds"], gap["cut_from"]) == ("reset", 2.0, {"incomplete": 300})
    assert gap["incomplete"] == ["DU***67"] * 100
    assert outage == {
        "id": 1,
        "began_at": "2026-03-02T14:30:05.000+00:00",
        "ended_at": "2026-03-02T14:30:07.000+00:00",
        "seconds": 2.0,
        "cause": "session_lost",
        "reason": "session lost: DU***67",
        "last_error": "closed: by DU***67",
        "outcome": "recovered",
    }
    seen = [(change.state, (change.at - at(0, S.READY).since).total_seconds()) for change in history.changes()]
    assert seen == [("CONNECTING", 0), ("READY", 1), ("RECONNECTING", 5), ("READY", 7), (NOT_WATCHED, 9)]
    since = at(6, S.READY).since
    assert [change.state for change in history.changes(since)] == ["RECONNECTING", "READY", NOT_WATCHED]
    history.close()
    assert len(history_states(path)) == 5  # no status came after NOT_WATCHED, so it is not written again


def history_states(path):
    db = sqlite3.connect(path)
    try:
        return [state for (state,) in db.execute("SELECT state FROM changes ORDER BY id")]
    finally:
        db.close()


def test_it_is_bounded(at, path, tell):
    history = History(path, keep_changes=10, keep_outages=3)
    for number in range(50):
        tell(history, at(2 * number, S.READY))
        tell(history, at(2 * number + 1, S.DEGRADED))
    assert len(history.changes()) == 10
    assert [outage["id"] for outage in history.outages()] == [50, 49, 48]
    assert [outage["id"] for outage in history.outages(limit=1)] == [50]
    history.close()


def test_a_gap_report_goes_to_its_own_outage_though_the_next_has_begun(at, tell):
    history = History()
    history.add_gap_report(
        report := GapReport(at(4.99, S.READY).since, at(6, S.READY).since, "reset", outage=1)
    )  # the history has no outage for this report yet
    for seconds, state in ((0, S.READY), (5, S.RECONNECTING), (6, S.READY), (6.1, S.RECONNECTING)):
        tell(history, at(seconds, state))
    history.add_gap_report(report)
    assert [outage["gap"] is not None for outage in history.outages()] == [False, True]
    history.add_gap_report(GapReport(report.start, report.end, "the program had disconnected"))
    assert [outage["gap"] and outage["gap"]["cause"] for outage in history.outages()] == [None, "reset"]
    history.close()


def test_an_outage_whose_end_was_dropped_on_the_way_does_not_last_for_ever(at, tell):
    class Slow(list):
        handle = list.append

    statuses = Slow()
    for seconds, state in ((0, S.READY), (1, S.RECONNECTING), (2, S.READY), (3, S.RECONNECTING), (4, S.READY)):
        tell(statuses, at(seconds, state))
    history = History()
    for number in (0, 1, 3, 4):
        history.handle(statuses[number])
    ends = [(outage["seconds"], outage["outcome"]) for outage in history.outages()]
    assert ends == [(1.0, "recovered"), (2.0, "unknown")]
    history.close()


def test_it_works_in_memory(at, tell):
    history = History()
    tell(history, at(0, S.READY))
    assert [change.state for change in history.changes()] == ["READY"]
    history.close()


def test_what_could_not_be_written_is_written_with_the_next_status(at, path, tell):
    history = History(path)
    tell(history, at(0, S.READY))
    history._db.execute("PRAGMA query_only = ON")  # this has the effect of a full disk
    with pytest.raises(sqlite3.OperationalError):
        tell(history, lost := at(1, S.RECONNECTING))
    history._db.execute("PRAGMA query_only = OFF")
    tell(history, lost)
    assert [change.state for change in history.changes()] == ["READY", "RECONNECTING"]
    assert len(history.outages()) == 1
    history.close()


WRITER = """
import sys
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from ibkr.core.outage import update_outage
from ibkr.core.states import ConnectionState as S
from ibkr.core.status import Status
from ibkr.observe.history import History

history = History(sys.argv[1])
number, outage, before = 0, None, S.DISCONNECTED
while True:
    number += 1
    now = datetime(2026, 1, 1, tzinfo=UTC) + timedelta(seconds=number)
    state = S.READY if number % 2 else S.RECONNECTING
    status = Status(state, str(number), now, now, False, "", False, "here", 1)
    outage = update_outage(outage, before, vars(status), now)
    before = state
    history.handle(replace(status, outage=outage))
    print(number, flush=True)
"""


@pytest.mark.parametrize("after", [1, 2, 151])
def test_killed_in_the_middle_of_writing_nothing_before_the_last_change_is_lost(path, after):
    with subprocess.Popen([sys.executable, "-c", WRITER, str(path)], stdout=subprocess.PIPE, text=True) as writer:
        while int(writer.stdout.readline()) < after:
            pass
        writer.kill()
        told = [int(line) for line in writer.stdout if line.endswith("\n")]
    last = told[-1] if told else after
    history = History(path)
    *changes, end = history.changes()
    assert end.state == NOT_WATCHED
    written = [int(change.reason) for change in changes]
    assert written == list(range(1, len(written) + 1))
    assert len(written) in (last, last + 1)  # the kill may come when a change is written and not yet printed
    outages = history.outages(limit=1000)
    assert len(outages) == len(written) // 2
    assert all(outage["outcome"] for outage in outages), "one left open by the dead has no end"
    assert history._db.execute("PRAGMA integrity_check").fetchone()[0] == "ok"
    history.close()


def test_time_that_nobody_watched_begins_with_the_last_sign_of_life(at, path, now, tell):
    history = History(path, clock=lambda: now[0], monotonic=lambda: now[0])
    tell(history, ready := at(0, S.READY))
    for _ in range(7):
        now[0] += 9
        tell(history, ready)
    history._files.close()  # this has the effect of a kill
    history = History(path, clock=lambda: now[0])
    assert history.changes()[-1].at - ready.since == timedelta(seconds=54)
    history.close()


@pytest.mark.parametrize("jump", [86400.0, 90.0, -90.0, -86400.0])
@pytest.mark.parametrize("told", [True, False])
def test_a_clock_that_jumps_adds_nothing_to_what_was_watched(at, now, jump, told):
    """The clock is set, or the machine sleeps; with or without a status afterwards."""
    ahead = [0.0]
    history = History(clock=lambda: now[0] + ahead[0], monotonic=lambda: now[0])
    history.handle(ready := at(0, S.READY))
    now[0] += 5
    ahead[0] = jump
    if told:
        history.handle(ready)
    now[0] += 5
    changes = history.changes()
    now[0] += 5
    assert history.changes() == changes, "once for each jump"
    until = datetime.fromtimestamp(now[0] + ahead[0], UTC)
    seconds = build_timeline(changes, until)
    if jump > 0:
        assert seconds["watched_seconds"] >= 5
    assert seconds["ready_seconds"] == seconds["watched_seconds"] <= 15
    assert [change.state for change in changes] == ["READY", NOT_WATCHED, "READY"]
    history.close()


def test_a_clock_that_is_slewed_is_no_jump(at, now):
    ahead = [0.0]
    history = History(clock=lambda: now[0] + ahead[0], monotonic=lambda: now[0])
    history.handle(ready := at(0, S.READY))
    for _ in range(100):
        now[0] += 60
        ahead[0] += 0.03
        history.handle(ready)
    assert [change.state for change in history.changes()] == ["READY"]
    history.close()


@pytest.mark.parametrize("where", [None, ":memory:"])
def test_a_history_in_memory_leaves_no_file(where, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    History(where).close()
    assert not list(tmp_path.iterdir())


def test_a_claim_that_cannot_be_made_is_not_another_programs(path):
    claim = path.with_name("history.db-owner")
    claim.mkdir()
    with pytest.raises(
        ConfigError, match=r"history.*history\.db-owner.*used.*check that this user may write"
    ) as refused:
        History(path)
    assert "another program" not in str(refused.value)
    claim.rmdir()
    History(path).close()


def test_a_file_that_another_writes_is_refused_and_may_be_read(at, path, monkeypatch, tell):
    history = History(path)
    tell(history, at(0, S.READY))
    monkeypatch.chdir(path.parent)
    for name in (path, path.name):
        with pytest.raises(ConfigError, match=r"history.*history\.db.*another program.*name another file"):
            History(name)
    assert history_states(path) == ["READY"]
    tell(history, at(1, S.RECONNECTING))
    history.close()
    History(path).close()


def test_files_that_are_no_history_are_refused(tmp_path, path):
    with pytest.raises(ConfigError, match="folder"):
        History(tmp_path / "no" / "folder.db")
    (tmp_path / "text.db").write_text("something else altogether, and long enough\n" * 99)
    with pytest.raises(ConfigError, match="not a database"):
        History(tmp_path / "text.db")
    db = sqlite3.connect(path)
    db.execute("PRAGMA user_version = 99")
    db.close()
    with pytest.raises(ConfigError, match="newer"):
        History(path)
