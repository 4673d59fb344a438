"""The publisher of events by itself."""

import pytest

from ibkr.web.event_stream import EventPublisher, TooManyReaders


def make_publisher(**more):
    return EventPublisher(lambda: [("status", "now")], **more)


async def events(reader, count):
    stream = reader.events()
    return [await anext(stream) for _ in range(count)]


async def test_replay_is_of_what_was_missed_or_else_of_everything():
    one = make_publisher(keep=3)
    run = one._run
    assert (await events(one.add_reader(), 2))[1] == f'id: {run}-0\nevent: status\ndata: "now"\n\n'.encode()
    for number in range(1, 6):
        one.publish("status", number)
    kept = [f"id: {run}-{number}\nevent: status\ndata: {number}\n\n".encode() for number in (3, 4, 5)]
    now = f'id: {run}-5\nevent: status\ndata: "now"\n\n'.encode()
    for last_id, expected in {
        f"{run}-2": kept,
        f"{run}-4": kept[2:],
        f"{run}-5": [],
        f"{run}-1": [now],  # event 1 is too old: the server no longer has event 2
        f"{run}-6": [now],
        f"{run}-{'9' * 30}": [now],
        f"{run}-x": [now],
        "other-4": [now],
        "": [now],
    }.items():
        reader = one.add_reader(last_id)
        assert (await events(reader, 1 + len(expected)))[1:] == expected, last_id
        one.remove_reader(reader)


async def test_passing_events_are_not_kept():
    one = make_publisher()
    one.publish_transient("stats", 1)
    reader = one.add_reader()
    one.publish_transient("stats", 2)
    assert (await events(reader, 3))[2] == b"event: stats\ndata: 2\n\n"


async def test_readers_are_limited_and_leave():
    one = make_publisher(readers=1)
    reader = one.add_reader()
    with pytest.raises(TooManyReaders):
        one.add_reader()
    one.remove_reader(reader)
    one.remove_reader(reader)
    reader = one.add_reader()
    one.close()
    assert [event async for event in reader.events()] == []
    with pytest.raises(TooManyReaders):
        one.add_reader()
