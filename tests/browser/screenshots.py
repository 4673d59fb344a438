"""Make the pictures of the page: ``make screenshots``. Other runs of pytest do not collect this file."""

from __future__ import annotations

import asyncio
import json
import sqlite3
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import pytest
from ib_async import LimitOrder, Stock

from ibkr import ConnectError, IBConnector, Policy
from ibkr.observe.history import History
from ibkr.simulator.threaded_gateway import ThreadedGateway

TOP = Path(__file__).parents[2]
SHOWN = TOP / "docs" / "images"
WIDE = {"width": 1280, "height": 900}
PHONE = {"width": 390, "height": 844}
LOOKS = {
    "light": {"viewport": WIDE, "color_scheme": "light"},
    "dark": {"viewport": WIDE, "color_scheme": "dark"},
    "phone": {"viewport": PHONE, "color_scheme": "light", "is_mobile": True},
}
AAPL = Stock("AAPL", "SMART", "USD", conId=265598)
MSFT = Stock("MSFT", "SMART", "USD", conId=272093)
SPY = Stock("SPY", "SMART", "USD", conId=756733)
POLICY = Policy(region="none", probe_after=1.0, refused_every=8.0, jitter=0.0)


def yesterday(path: Path) -> None:
    """A typical day: the gateway's restart, IB's nightly reset, a bad Wi-Fi connection."""
    History(path).close()
    now = time.time()
    changes = [(-23.9, "READY"), (-14.02, "RECONNECTING"), (-13.97, "SYNCING"), (-13.969, "READY")]
    changes += [(-9.1, "DEGRADED"), (-8.93, "SYNCING"), (-8.929, "READY"), (-3.2, "RECONNECTING"), (-3.196, "READY")]
    outages = [
        (-14.02, -13.969, "session_lost", "session lost: the gateway closed the connection", "", GAP),
        (-9.1, -8.929, "upstream_lost", "the gateway has lost its link to IB's servers", "", None),
        (-3.2, -3.196, "session_lost", "session lost: connection reset by peer", "", None),
    ]
    with sqlite3.connect(path) as db:
        for hours, state in changes:
            db.execute("INSERT INTO changes (at, state, reason) VALUES (?, ?, '')", (now + 3600 * hours, state))
        for began, ended, cause, reason, error, gap in outages:
            db.execute(
                "INSERT INTO outages (began_at, ended_at, outcome, cause, reason, last_error, gap)"
                " VALUES (?, ?, 'recovered', ?, ?, ?, ?)",
                (now + 3600 * began, now + 3600 * ended, cause, reason, error, gap),
            )
        db.execute("INSERT OR REPLACE INTO alive VALUES (1, ?)", (now - 5,))
    db.close()


FILL = {"side": "BOT", "shares": 100, "symbol": "AAPL", "price": 189.42, "time": "2026-03-02T14:31:07Z"}
POSITION = {"symbol": "AAPL", "before": 0, "after": 100, "is_explained": True}
GAP = json.dumps({"executions": [FILL], "positions": [POSITION], "subscriptions_restored": ["AAPL market data"]})


class Camera:
    """Takes each picture in every color scheme and size."""

    def __init__(self, visit: Any) -> None:
        self._visit = visit

    def shoot(self, name: str, url: str, state: str, *, full: bool = False) -> None:
        """Open the page again, wait for the state, and take the pictures."""
        for look, options in LOOKS.items():
            page = self._visit(url, **options).page
            page.wait_for_selector(f'html[data-stream="live"][data-state="{state}"]', timeout=20_000)
            self.keep(page, f"{name}-{look}", full=full)

    def keep(self, page: Any, name: str, *, full: bool = False) -> None:
        """Take the pictures now."""
        page.wait_for_selector("#band rect, #day-words:text('not watched')")
        page.wait_for_timeout(2500)  # the page reads its sections every two seconds
        page.screenshot(path=SHOWN / f"{name}.png", animations="disabled", full_page=full)


@contextmanager
def trading(gateway: ThreadedGateway, history: Path) -> Iterator[tuple[IBConnector, str]]:
    """A program with subscriptions, orders and positions, and a day of history."""
    yesterday(history)
    connector = IBConnector("127.0.0.1", gateway.port, 1, policy=POLICY).start_in_thread()
    url = connector.serve(0, history=history)
    connector.call(lambda ib: [ib.reqMktData(each) for each in (AAPL, MSFT, SPY)])
    for contract, price in ((AAPL, 180.5), (MSFT, 320.0)):
        order = LimitOrder("BUY", 100, price, orderRef="strategy-7")
        connector.call(lambda ib, contract=contract, order=order: ib.placeOrder(contract, order))
    for _ in range(30):
        connector.call(lambda ib: ib.reqContractDetailsAsync(AAPL))
    connector.call(lambda ib: ib.placeOrder(SPY, LimitOrder("BUY", 20, 1.0)))
    gateway.wait_for(lambda gateway: len(gateway.seen.received("placeOrder")) == 3)
    gateway.fill("SPY")
    time.sleep(3)  # in this time, some probes are sent and answered
    yield connector, url
    connector.stop()


@pytest.mark.timeout(400)
def test_pictures_of_a_program(gateway, visit, tmp_path):
    camera = Camera(visit)
    with trading(gateway, tmp_path / "history.db") as (connector, url):
        camera.shoot("ready", url, "READY")
        camera.shoot("sections", url, "READY", full=True)
        connector.halt("the risk limit")
        camera.shoot("halted", url, "READY")
        connector.resume()
        gateway.fault("lose_upstream")
        camera.shoot("degraded", url, "DEGRADED")
        gateway.fault("restore_upstream")
        connector.wait_ready(10)
        gateway.fault("mute", "reqPositions")
        gateway.fault("reset")
        camera.shoot("syncing", url, "SYNCING")
        gateway.fault("restart", 3600)
        camera.shoot("reconnecting", url, "RECONNECTING")
        pages = {look: visit(url, **options).page for look, options in LOOKS.items()}
        for page in pages.values():
            page.wait_for_selector('html[data-stream="live"]')
            page.wait_for_timeout(1000)
    for look, page in pages.items():
        page.wait_for_selector('html[data-stream="lost"]', timeout=20_000)
        camera.keep(page, f"lost-{look}")


def fail(connector: IBConnector) -> None:
    """Wait until the connector is FAILED, in a loop of this thread: Playwright's loop runs in the other thread."""
    loop = asyncio.new_event_loop()
    asyncio.set_event_loop(loop)
    with suppress(ConnectError):
        connector.connect()
    loop.close()


@pytest.mark.timeout(200)
def test_pictures_of_connections_that_never_were(gateway, visit):
    camera = Camera(visit)
    gateway.fault("restart", 3600)
    connectors = [IBConnector("127.0.0.1", gateway.port, number, policy=POLICY) for number in (1, 2, 3)]
    urls = [connector.serve(0) for connector in connectors]
    camera.shoot("disconnected", urls[0], "DISCONNECTED")
    connectors[1].start_in_thread(background=True)
    camera.shoot("connecting", urls[1], "CONNECTING")
    failing = threading.Thread(target=fail, args=(connectors[2],))
    failing.start()
    failing.join()
    camera.shoot("failed", urls[2], "FAILED")
    for connector in connectors:
        connector.stop()
