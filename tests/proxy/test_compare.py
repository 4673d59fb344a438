"""A comparison finds no difference in a recording of the simulator itself, and each difference that is inserted."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Callable

import pytest
from ib_async import IB

from ibkr.proxy import Recording
from ibkr.proxy.compare import MARKET_EXCUSE, ORDERS_EXCUSE, compare
from ibkr.proxy.recording_reader import Entry
from ibkr.proxy.recording_writer import SUFFIX
from ibkr.simulator import Gateway
from ibkr.wire import decode_fields, encode_fields
from tests.proxy.random_program import ACCOUNTS, Program
from tests.proxy.raw_session import raw_session


@pytest.fixture
async def recorded(new_proxy, tmp_path):
    """Records a random program with the simulated gateway."""

    async def make(
        seed: int = 0, steps: int = 0, accounts: tuple[str, ...] = ACCOUNTS[:1], *, keeps_private: bool = False
    ) -> Recording:
        folder = tmp_path / f"{seed}"
        async with Gateway(accounts=accounts, id_hold=0, on_rate="off") as gateway:
            proxy = await new_proxy(gateway.port, record=folder, keeps_private=keeps_private)
            await Program(seed, steps).run(IB(), proxy.port)
            await proxy.wait_for(lambda proxy: not proxy.connections)
        [path] = folder.glob(f"*{SUFFIX}")
        return Recording.read(path)

    return make


@pytest.mark.parametrize("seed", range(3))
async def test_the_simulator_does_not_differ_from_itself(recorded, seed):
    comparison = await compare(await recorded(seed, 10, ACCOUNTS))
    assert comparison.asked > 10
    assert comparison.unexcused == []


@pytest.mark.parametrize("version", [157, 200, 206, 226])
async def test_the_simulator_does_not_differ_from_itself_in_protobuf(new_proxy, connect, tmp_path, version):
    async with Gateway(accounts=ACCOUNTS, server_version=version, id_hold=0) as gateway:
        proxy = await new_proxy(gateway.port, record=tmp_path)
        await raw_session(connect, proxy, version, ACCOUNTS, "mine")
    [path] = tmp_path.glob(f"*{SUFFIX}")
    comparison = await compare(Recording.read(path))
    assert comparison.asked > 10
    assert comparison.unexcused == []


@pytest.mark.rest
@pytest.mark.parametrize("seed", range(200, 220))
async def test_the_simulator_does_not_differ_from_itself_in_long_sessions(recorded, seed):
    assert (await compare(await recorded(seed, 40, ACCOUNTS))).unexcused == []


def changed(recording: Recording, name: str, change: Callable[[list[str]], list[str]], times: int = 1) -> None:
    """Changes the first messages with this name."""
    for at, entry in enumerate(recording.entries):
        if entry.name == name and not entry.is_request and times:
            assert entry.body is not None
            body = encode_fields(*change(decode_fields(entry.body)))
            recording.entries[at] = dataclasses.replace(entry, body=body)
            times -= 1
    assert not times


def at(index: int, text: str) -> Callable[[list[str]], list[str]]:
    def change(fields: list[str]) -> list[str]:
        assert fields[index] != text
        return [*fields[:index], text, *fields[index + 1 :]]

    return change


def find(recording: Recording, name: str) -> int:
    return next(at for at, entry in enumerate(recording.entries) if entry.name == name and not entry.is_request)


def drop(recording: Recording, name: str) -> None:
    del recording.entries[find(recording, name)]


def insert(recording: Recording, name: str, *fields: object) -> None:
    """Inserts a message directly after the first message with the name."""
    number = find(recording, name)
    values = dict(recording.entries[number].fields or {}) | {"code": fields[3] if fields[0] == 4 else None}
    entry = recording.entries[number]
    recording.entries.insert(number + 1, Entry(entry.at, False, entry.name, values, encode_fields(*fields)))


def swap(recording: Recording, one: str, other: str) -> None:
    first, second = find(recording, one), find(recording, other)
    entries = recording.entries
    moved = dataclasses.replace(entries[second], at=entries[first].at)
    del entries[second]
    entries.insert(first, moved)


PLANTED: dict[str, tuple[Callable[[Recording], None], str, str, str]] = {
    "format of a number": (
        lambda it: changed(it, "contractDetails", at(5, "0.0")), "contractDetails", "format", "strike: recorded"
    ),
    "an exponent": (
        lambda it: changed(it, "contractDetails", at(13, "1E-02")), "contractDetails", "format", "min_tick: rec"
    ),
    "a message less": (
        lambda it: drop(it, "contractDetailsEnd"), "contractDetailsEnd", "message", "only in the simulated gateway"
    ),
    "a message more": (
        lambda it: insert(it, "error", 4, 2, -1, 2107, "HMDS data farm connection is inactive:ushmds", ""),
        "error", "message", "only in the recording: 2107",
    ),
    "another order": (lambda it: swap(it, "position", "positionEnd"), "positionEnd", "order", "recorded: positionEnd"),
    "a field less": (
        lambda it: changed(it, "accountDownloadEnd", lambda fields: fields[:-1]),
        "accountDownloadEnd", "fields", "too few",
    ),
    "a field more": (
        lambda it: changed(it, "execDetailsEnd", lambda fields: [*fields, ""]),
        "execDetailsEnd", "fields", "1 more fields",
    ),
    "a value that is not set": (
        lambda it: changed(it, "orderStatus", at(11, "1.7976931348623157E308")), "orderStatus", "format",
        "mkt_cap_price: recorded the unset double",
    ),
    "a time without its zone": (
        lambda it: changed(it, "execDetails", at(15, "20261129 10:00:00")), "execDetails", "format",
        "time: recorded like 99999999 99:99:99,",
    ),
    "other words": (
        lambda it: changed(it, "commissionReport", at(4, "")), "commissionReport", "format", "currency: recorded empty"
    ),
}  # fmt: skip


async def test_ten_planted_differences_are_found(recorded):
    recording = await recorded()
    for plant, *_ in PLANTED.values():
        plant(recording)
    found = (await compare(recording)).unexcused
    for what, (_, message, kind, text) in PLANTED.items():
        fitting = [each for each in found if each.message == message and text in each.text]
        assert fitting, f"{what} is not among {found}"
        assert fitting[0].kind == kind
    assert len(found) == len(PLANTED)


@pytest.mark.rest
@pytest.mark.parametrize("what", list(PLANTED))
async def test_each_of_them_alone(recorded, what):
    recording = await recorded()
    PLANTED[what][0](recording)
    assert len((await compare(recording)).unexcused) == 1


async def test_other_words_of_an_error(recorded):
    recording = await recorded()
    for number, entry in enumerate(recording.entries):
        if entry.name == "error" and entry.fields["code"] == 200:
            fields = {**entry.fields, "text": "Nothing known"}
            body = encode_fields(4, 2, fields["req_id"], 200, "Nothing known", "")
            recording.entries[number] = dataclasses.replace(entry, fields=fields, body=body)
    [difference] = (await compare(recording)).unexcused
    assert (difference.kind, difference.message) == ("text", "error")
    assert "Nothing known" in difference.text


async def test_market_data_is_recognized(recorded):
    recording = await recorded()
    recording.entries[:] = [entry for entry in recording.entries if entry.name != "tickPrice"]
    comparison = await compare(recording)
    assert comparison.unexcused == []
    assert {each.excuse for each in comparison.differences} == {MARKET_EXCUSE}


async def test_what_the_account_holds_is_recognized(recorded):
    recording = await recorded()
    number = find(recording, "completedOrdersEnd")
    one = recording.entries[find(recording, "openOrder")]
    recording.entries.insert(number, dataclasses.replace(one, at=recording.entries[number].at, name="completedOrder"))
    comparison = await compare(recording)
    assert comparison.unexcused == []
    assert {each.excuse for each in comparison.differences if each.message == "completedOrder"} == {ORDERS_EXCUSE}


async def test_instruments_that_the_simulator_does_not_know_are_made(recorded):
    recording = await recorded()
    texts = [(entry.body or b"").replace(b"265598", b"77265598") for entry in recording.entries]
    again = [
        dataclasses.replace(entry, body=body, fields=json.loads(json.dumps(entry.fields).replace("265598", "77265598")))
        for entry, body in zip(recording.entries, texts, strict=True)
    ]
    recording.entries[:] = again
    found = [each for each in (await compare(recording)).unexcused if each.kind in ("message", "count")]
    assert found == []


@pytest.mark.parametrize("keeps_private", [False, True])
async def test_no_private_data_is_in_the_report(recorded, keeps_private):
    recording = await recorded(keeps_private=keeps_private)
    for plant, *_ in PLANTED.values():
        plant(recording)
    said = "Hello Jane, your DU7654321 has an order resting of Jane"
    insert(recording, "error", 4, 2, -1, 2104, said, "")
    report = json.dumps((await compare(recording)).to_dict())
    assert "DU7654321" not in report
    assert "resting of Jane" not in report
