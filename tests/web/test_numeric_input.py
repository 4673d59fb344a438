"""Numbers and ids in the requests of visitors."""

import asyncio
import gc
import time

import pytest

from ibkr.web.access_control import parse_number

WRONG = [
    *(
        "0",
        "-1",
        "1001",
        "000000001999",
        "9" * 18,
        "9" * 19,
        "9" * 5000,
        "1e3",
        "0x10",
        "1_000",
        "+5",
        " 5",
        "5.0",
        "",
        "%00",
    ),
    *("%C2%B2", "%D9%A5", "NaN", "%1b[2J", "null", "5%0a"),
]


async def test_a_limit_that_is_none_is_refused(served):
    one = await served(ready=False)
    for text in WRONG:
        assert (await one.visitor.ask(f"/api/outages?limit={text}")).status == 400, text
        if text not in ("0", "1001", "000000001999", "9" * 18):
            assert (await one.visitor.ask(f"/api/outages?before={text}")).status == 400, text


async def test_an_event_id_may_be_anything(served):
    one = await served()
    run = one.view.publisher._run
    for text in (f"{run}-{'0' * 30}1", f"{run}-{'9' * 5000}", f"{run}-\u0665", f"{run}--1", "-", "\xff", "x" * 9000):
        async with one.visitor.events(Last_Event_ID=text.encode("utf-8", "replace").decode("latin-1")) as events:
            assert (await anext(events))["data"]["state"] == "READY", text[:40]


async def test_a_content_length_has_no_way_around_its_limit(served):
    one = await served(ready=False)
    for length in ("00000000000000000000009999999", "9" * 5000, "5x", "-1", "\u0665"):
        answer = await one.visitor.raw(
            b"POST /api/token HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Length: " + length.encode() + b"\r\n\r\n"
        )
        assert answer[9:12] in (b"400", b"413"), answer[:40]


@pytest.mark.parametrize(
    ("text", "number"), [("0", 0), ("7", 7), ("007", 7), ("9", 9), ("10", None), ("\u0665", None), ("", None)]
)
def test_integers(text, number):
    assert parse_number(text, 9) == number


async def test_long_answers_come_in_pages_and_hold_nobody_up(served):
    """A thousand outages, each with a gap report of 60 kB."""
    one = await served()
    gap = '{"note": "' + "x" * 60_000 + '"}'
    with one.view.history._transaction() as db:
        db.executemany(
            "INSERT INTO outages VALUES (?, 1, 2, 'recovered', 'session_lost', 'lost', '', ?)",
            [(number, gap) for number in range(1, 301)],
        )
    gc.collect()
    longest = 0.0
    asking = [asyncio.create_task(one.visitor.ask("/api/outages?limit=1000")) for _ in range(20)]
    while not all(task.done() for task in asking):
        began = time.thread_time()
        await asyncio.sleep(0.001)
        longest = max(longest, time.thread_time() - began)
    assert {task.result().status for task in asking} == {200}
    assert {len(task.result().body) < 1_200_000 for task in asking} == {True}
    assert longest < 0.5, "processor time of the loop's thread in one turn"
    ids, more = [], ""
    while True:
        page = (await one.visitor.ask(f"/api/outages?limit=1000{more}")).json
        ids += [outage["id"] for outage in page["outages"]]
        if "next" not in page:
            break
        more = f"&before={page['next']}"
    assert ids == list(range(300, 0, -1))


async def test_too_many_long_answers_are_refused_not_queued(served):
    one = await served(connections=300)
    with one.view.history._lock:  # this has the effect of a slow disk
        paths = [f"/api/outages?limit={number}" for number in range(1, 101)]
        asking = [asyncio.create_task(one.visitor.ask(path)) for path in (*paths, *["/api/timeline"] * 50)]
        done, _ = await asyncio.wait(asking, return_when=asyncio.FIRST_COMPLETED)
        assert {task.result().status for task in done} == {503}
        assert (await one.visitor.ask("/healthz")).status == 200
    assert {(await task).status for task in asking} == {200, 503}


async def test_who_asks_for_the_same_shares_one_reading(served):
    one = await served()
    with one.view.history._lock:
        asking = [asyncio.create_task(one.visitor.ask("/api/outages")) for _ in range(100)]
        while not one.view.worker._running:
            await one.visitor.ask("/healthz")
        asking[0].cancel()  # one visitor closes the connection
        await asyncio.wait(asking[:1])
    assert {(await task).status for task in asking[1:]} == {200}


async def test_a_connector_number_that_is_none_is_not_found(served):
    one = await served()
    for text in ("0", "2", "-1", "1.0", "9" * 18, "9" * 19, "9" * 5000, "%D9%A1", "%20", "1%0a"):
        for method in ("GET", "HEAD"):
            assert (await one.visitor.ask(f"/c/{text}/readyz", method)).status == 404, text[:40]
    assert (await one.visitor.ask("/c/1/readyz")).status == 200


async def test_an_accept_header_may_be_anything(served):
    one = await served()
    for text in (
        "application/openmetrics-text; version=a.b",
        "text/plain; version=\xb2",
        "application/openmetrics-text",
    ):
        for more in ("", ";", "; escaping=x", "; version", "; version=" + "9" * 5000):
            answer = await one.visitor.ask("/metrics", Accept=text + more)
            assert (answer.status, b"ibkr_may_trade 1" in answer.body) == (200, True), text
