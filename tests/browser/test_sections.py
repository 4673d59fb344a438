"""The sections of the page: everything that a trader must be able to see quickly.

This file has over 300 lines because each section is shown in each of its states.
"""

from __future__ import annotations

import asyncio
import json
import threading
import urllib.request
from collections.abc import Iterator
from queue import SimpleQueue
from typing import Any

import pytest
from ib_async import LimitOrder, Stock

from ibkr import IBConnector, Policy
from ibkr.simulator.threaded_gateway import ThreadedGateway

from .conftest import AXE
from .screenshots import yesterday

AAPL = Stock("AAPL", "SMART", "USD", conId=265598)
MSFT = Stock("MSFT", "SMART", "USD", conId=272093)
POLICY = Policy(region="none", probe_after=0.5, suspect_after=0.25, probe_timeout=60.0, refused_every=1.0)


@pytest.fixture
def connectors(gateway: ThreadedGateway) -> Iterator[list[IBConnector]]:
    """Two connectors of two programs. The first one is served."""
    made = [IBConnector("127.0.0.1", gateway.port, number, policy=POLICY).start_in_thread() for number in (1, 2)]
    yield made
    for connector in made:
        connector.stop()


class Program:
    """A program with its page."""

    def __init__(self, connector: IBConnector, page: Any, url: str) -> None:
        self.connector, self.page, self.url = connector, page, url

    def waits_for(self, script: str, *arg: object) -> None:
        self.page.wait_for_function(script, arg=list(arg), timeout=15_000)

    def shows(self, selector: str, text: str) -> None:
        """Wait until this text is there."""
        self.waits_for("([where, text]) => document.querySelector(where)?.innerText.includes(text)", selector, text)


@pytest.fixture
def program(connectors: list[IBConnector], visit: Any) -> Iterator[Program]:
    url = connectors[0].serve(0)
    watched = visit(url)
    watched.page.wait_for_selector('html[data-stream="live"][data-state="READY"]')
    yield Program(connectors[0], watched.page, url)
    assert watched.complaints == []
    assert [each for each in watched.requests if not each.startswith((url, "data:"))] == []


def bottom(page: Any, selector: str) -> float:
    box = page.locator(selector).bounding_box()
    return float(box["y"] + box["height"])


def test_state_reason_and_the_last_three_outages_need_no_scrolling(server, visit, tmp_path):
    yesterday(tmp_path / "history.db")
    server.start()
    page = visit(server.url).page
    page.wait_for_selector("#outage-rows tr:nth-child(3)")
    page.wait_for_selector('html[data-state="READY"]')
    assert page.evaluate("scrollY") == 0
    assert bottom(page, "#head") < 225, "a quarter of the screen"
    for selector in ("#state", "#reason", "#trade", "#outage-rows tr:nth-child(3)"):
        assert bottom(page, selector) <= 900, selector


def test_the_band_is_not_grey_before_watching_began_and_has_other_ranges(program):
    page = program.page
    page.wait_for_selector("#band rect")
    assert page.evaluate("() => document.querySelector('#band rect:first-of-type').dataset.state !== 'NOT_WATCHED'"), (
        "it begins where watching began"
    )
    for hours, words in (("1", "hour"), ("168", "7 days"), ("720", "30 days"), ("24", "24 hours")):
        with page.expect_response(lambda answer, hours=hours: f"hours={hours}" in answer.url):
            page.locator(f'#ranges input[value="{hours}"]').check()
        program.shows("#day-words", f"in the last {words}")
    page.locator('#ranges input[value="720"]').check()
    page.reload()
    assert page.locator('#ranges input[value="720"]').is_checked(), "it is remembered"


def test_the_words_of_the_band_come_with_the_first_second(program):
    def youngest(route):
        answer = route.fetch()
        route.fulfill(response=answer, json={**answer.json(), "ready_seconds": 0, "watched_seconds": 0})

    page = program.page
    page.route("**/api/timeline*", youngest)
    page.reload()
    program.shows("#day-words", "not watched yet")
    program.shows("#day-words", "watched in the last 24 hours")


def test_farms_are_not_shown_as_fine_while_nobody_can_tell(program, gateway):
    page = program.page
    page.wait_for_selector('#farms [data-farm="ok"]')
    gateway.fault("lose_upstream")
    program.shows("#farms-words", "the link to IB is down")
    assert page.locator('#farms [data-farm="ok"]').count() == 0
    gateway.fault("restore_upstream")
    page.wait_for_selector('#farms [data-farm="ok"]')
    gateway.fault("restart", 3600)
    program.shows("#farms-words", "there is no session")
    assert page.locator('#farms [data-farm="ok"]').count() == 0


def test_latency_is_a_picture_of_requests_too_while_ticks_flow(program):
    page = program.page
    program.connector.call(lambda ib: ib.reqMktData(AAPL))
    for _ in range(5):
        program.connector.call(lambda ib: ib.reqContractDetailsAsync(AAPL))
    program.shows("#request-words", "of 5")
    assert "reqContractDetails" in page.locator("#request-words").inner_text()
    marks = "document.querySelector('#trip-plot .dots.request').getAttribute('d').split('M').length - 1"
    assert page.evaluate(marks) == 5, "each one is to be seen"


def test_no_word_for_refused_orders_reads_as_if_there_were_none(program, gateway):
    gateway.fault("lose_upstream")
    program.shows("#trade-word", "New orders are refused")
    text = program.page.locator("#content").inner_text()
    assert "No orders" not in text


def test_subscriptions_have_their_state_explained_their_age_and_a_filter(program, gateway):
    page = program.page
    program.connector.call(lambda ib: [ib.reqMktData(each) for each in (AAPL, MSFT)])
    program.shows("#subscriptions-words", "2 live: messages arrive")
    program.shows("#subscriptions", "under 1 s ago")
    page.get_by_label("Filter").first.fill("msft")
    assert page.locator("#subscriptions tbody tr").count() == 1
    assert page.locator("#subscriptions-total").inner_text() == "1 of 2"
    page.get_by_label("Filter").first.fill("no such thing")
    program.shows("#no-subscriptions", "None matches")
    page.get_by_label("Filter").first.fill("")
    gateway.fault("lose_upstream")
    program.shows("#subscriptions-words", "2 paused: it was live; nothing can arrive")
    gateway.fault("restore_upstream")
    program.shows("#subscriptions-words", "2 live: messages arrive")
    gateway.fault("refuse", "reqMktData", 322)
    gateway.fault("reset")
    program.shows("#subscriptions-words", "2 refused: the gateway refuses it")
    program.shows("#subscriptions", "322")


def test_orders_by_where_they_are_and_positions(program, gateway):
    program.shows("#no-orders", "No order of client 1 is open")
    program.connector.call(lambda ib: ib.placeOrder(AAPL, LimitOrder("BUY", 10, 1.0, orderRef="mine")))
    program.connector.call(lambda ib: ib.placeOrder(MSFT, LimitOrder("BUY", 7, 1.0)))
    program.shows("#orders", "BUY 10 AAPL LMT at 1")
    gateway.fill("MSFT")
    program.shows("#orders-words", "1 open: the broker has it")
    program.shows("#positions", "MSFT")
    assert "DU1234567" not in program.page.locator("#content").inner_text()
    gateway.fault("mute", "placeOrder")
    program.connector.call(lambda ib: ib.placeOrder(AAPL, LimitOrder("BUY", 33, 1.0)))
    program.shows("#orders-words", "1 sent: sent, and not acknowledged yet")
    gateway.fault("reset")
    program.shows("#orders-words", "1 unconfirmed")
    program.shows("#unconfirmed", "BUY 33 AAPL")
    first = program.page.locator("#orders tbody tr").first
    assert first.inner_text().startswith("unconfirmed"), "what needs a look comes first"


def test_messages_can_be_filtered_by_code(program, gateway):
    page = program.page
    gateway.fault("1100")
    program.shows("#messages", "Connectivity between")
    page.get_by_label("Filter").last.fill("1100")
    assert page.locator("#messages tbody tr").count() == 1
    assert page.locator("#messages tbody tr td:nth-child(3)").inner_text() == "error"
    page.get_by_label("Filter").last.fill("110")
    assert page.locator("#messages tbody tr").count() == 0, "a code, not a part of one"
    page.get_by_label("Filter").last.fill("2104 2106 farm")
    assert page.locator("#messages tbody tr").count() >= 2


HOSTILE = "<img src=x onerror=window.hacked=1><script>window.hacked=1</script>\x1b[31m\r\n‮" + "x" * 5000


def test_text_of_the_gateway_is_only_text(program, gateway):
    page = program.page

    program.connector.call(lambda ib: ib.placeOrder(AAPL, LimitOrder("BUY", 10, 1.0)))
    program.shows("#orders", "BUY 10 AAPL")
    gateway.note_order("AAPL", 399, HOSTILE)
    page.get_by_label("Filter").last.fill("399")
    program.shows("#messages", "<img src=x")
    assert page.evaluate("window.hacked === undefined && !document.querySelector('#content img, #content script')")
    text = page.locator("#messages").inner_text()
    assert "\x1b" not in text
    assert len(text) < 2500
    assert page.evaluate("document.documentElement.scrollWidth <= innerWidth")


def test_halt_asks_first_and_resume_too(program):
    page = program.page
    page.get_by_role("button", name="Halt").click()
    assert page.locator("#sure-halt").is_visible()
    page.keyboard.press("Escape")
    assert program.connector.may_trade, "asked, and left"
    page.get_by_role("button", name="Halt").click()
    page.get_by_label("Reason").fill("the risk limit")
    page.locator("#sure-halt button[value=yes]").click()
    program.shows("#halt-words", "halted: the risk limit")
    assert program.connector.status.halted == "the risk limit"
    page.get_by_role("button", name="Resume").click()
    assert "the risk limit" in page.locator("#sure-resume").inner_text()
    page.locator("#sure-resume button[value=yes]").click()
    program.shows("#halt-words", "not halted")
    assert program.connector.may_trade


def test_no_session_is_dropped_on_one_click(program, gateway):
    page = program.page
    page.get_by_role("button", name="Reconnect").click()
    page.get_by_role("button", name="Go back").click()
    assert program.connector.status.outages == 0
    gateway.fault("mute", "reqPositions")
    gateway.fault("reset")
    page.wait_for_selector('html[data-state="SYNCING"]')
    page.get_by_role("button", name="Reconnect").click()
    assert page.locator("#sure").is_visible()
    page.keyboard.press("Escape")
    gateway.fault("clear")


def test_a_service_without_a_program_that_trades_offers_no_halt(server, visit):
    server.start()
    page = visit(server.url).page
    page.wait_for_selector('html[data-state="READY"]')
    assert not page.get_by_role("button", name="Halt").is_visible()
    assert page.locator("#halt-words").inner_text() == "no program that trades is known here"


def test_several_connectors_have_a_switcher(program, connectors, gateway):
    page = program.page
    assert not page.get_by_label("Connector").is_visible()
    connectors[1].serve(int(program.url.rstrip("/").rpartition(":")[2]))
    page.wait_for_selector("#switch:not([hidden])", timeout=10_000)
    assert page.get_by_label("Connector").locator("option").all_inner_texts() == [
        f"127.0.0.1:{gateway.port}, client {number}: READY" for number in (1, 2)
    ]
    page.get_by_label("Connector").select_option("2")
    page.wait_for_url("**connector=2")
    program.shows("#gateway", "client 2")
    connectors[1].call(lambda ib: ib.reqMktData(MSFT))
    program.shows("#subscriptions", "MSFT")
    connectors[1].reconnect()
    page.wait_for_selector("#outage-rows tr")
    with urllib.request.urlopen(f"{program.url}api/outages") as answer:
        assert json.load(answer)["outages"] == [], "outages of the other connector"


def test_it_says_when_the_program_does_not_run_its_loop(gateway, visit):
    told: SimpleQueue[str] = SimpleQueue()
    may_end = threading.Event()

    def script() -> None:  # this needs a separate thread, because Playwright's loop runs in the test's thread
        loop = asyncio.new_event_loop()
        asyncio.set_event_loop(loop)
        with IBConnector("127.0.0.1", gateway.port, 1) as connector:
            told.put(connector.serve(0))
            may_end.wait(30)
        loop.close()

    thread = threading.Thread(target=script)
    thread.start()
    try:
        page = visit(told.get(timeout=10)).page
        page.wait_for_selector('html[data-state="READY"]')
        page.wait_for_selector("#quiet:not([hidden])", timeout=10_000)
        assert "has not run its event loop since" in page.locator("#quiet").inner_text()
        assert page.evaluate("document.documentElement.dataset.stream") == "live"
    finally:
        may_end.set()
        thread.join(10)


@pytest.mark.parametrize("scheme", ["dark", "light"])
def test_axe_finds_nothing_serious_with_everything_filled_in(program, gateway, visit, scheme):
    program.connector.call(lambda ib: [ib.reqMktData(each) for each in (AAPL, MSFT)])
    program.connector.call(lambda ib: ib.placeOrder(AAPL, LimitOrder("BUY", 10, 1.0)))
    for each in (visit(program.url, color_scheme=scheme), visit(program.url, color_scheme=scheme, **PHONE)):
        page = each.page
        page.wait_for_selector("#orders tbody tr")
        page.wait_for_selector("#messages tbody tr")
        page.evaluate(AXE.read_text(encoding="utf-8"))
        assert page.evaluate("document.documentElement.scrollWidth <= innerWidth"), "nothing sticks out"
        for dialog in ("", "sure-halt", "sure-resume"):
            if dialog:
                page.evaluate("id => document.getElementById(id).showModal()", dialog)
            found = page.evaluate("axe.run().then(found => found.violations)")
            bad = [f"{one['id']}: {one['nodes'][0]['html']}" for one in found if one["impact"] != "minor"]
            assert not bad, (dialog, bad)
            if dialog:
                page.keyboard.press("Escape")


PHONE = {"viewport": {"width": 390, "height": 844}, "is_mobile": True}
