"""A log that another program writes, and that cannot be read or is removed."""

from __future__ import annotations

from contextlib import closing

from ibkr.gateway.log_tail import LogTail


def test_a_log_that_cannot_be_read_is_reported_once(tmp_path, caplog):
    tail = LogTail(tmp_path / "log")
    tail.path.mkdir()
    assert [list(tail.new_lines()) for _ in range(3)] == [[], [], []]
    assert caplog.text.count("cannot be read") == 1
    tail.path.rmdir()
    tail.path.write_text("line\n")
    tail.offset = 0
    assert list(tail.new_lines()) == ["line"]


def test_a_log_that_is_removed_is_read_on_and_its_successor_from_the_beginning(tmp_path):
    path = tmp_path / "log"
    with path.open("w") as old, closing(LogTail(path, keeps_open=True)) as tail:
        print("one", file=old, flush=True)
        assert list(tail.new_lines()) == ["one"]
        path.unlink()
        print("two", file=old, flush=True)
        assert list(tail.new_lines()) == ["two"]
        path.write_text("the first line of the next log\n")
        assert list(tail.new_lines()) == ["the first line of the next log"]
