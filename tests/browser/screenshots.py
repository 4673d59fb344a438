"""Makes the pictures of the page: ``make screenshots``. Not collected otherwise."""

from __future__ import annotations

import json
import random
import sqlite3
import time
from pathlib import Path

from ibkr.observe.history import History

TOP = Path(__file__).parents[2]
SHOWN = TOP / "docs" / "images"
"""Those that the documents show; the others are to be looked at, in .browser/images."""
WIDE = {"width": 1440, "height": 960}
PHONE = {"width": 390, "height": 844}


def yesterday(path: Path) -> None:
    """A day as they are: the gateway's restart, IB's nightly reset, a broken wifi."""
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


def probes(page) -> None:
    """Half an hour of round-trips, drawn by the page's own code."""
    roll = random.Random(7)
    now = time.time()
    rows = [
        [time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(now - 5 * number)), 0.0011 + roll.expovariate(4000)]
        for number in range(350, 0, -1)
    ]
    page.evaluate("rows => import('/static/chart.js').then(chart => chart.setRoundTrips(rows))", rows)


def shoot(watched, name: str, folder: Path = TOP / ".browser" / "images") -> None:
    page = watched.page
    folder.mkdir(parents=True, exist_ok=True)
    page.wait_for_timeout(400)  # for transitions, not for news
    page.screenshot(path=folder / f"{name}.png", animations="disabled")


def wait(watched, state: str):
    watched.page.wait_for_selector(f'html[data-stream="live"][data-state="{state}"]', timeout=20_000)
    return watched


def test_pictures(server, gateway, visit, tmp_path):
    yesterday(tmp_path / "history.db")
    server.start(IBKR_PROBE_AFTER="5", IBKR_BACKOFF_FIRST="9", IBKR_REFUSED_EVERY="8")
    options = {"dark": {"color_scheme": "dark"}, "light": {"color_scheme": "light"}}
    dark = visit(server.url, viewport=WIDE, **options["dark"])
    light = visit(server.url, viewport=WIDE, **options["light"])
    phone = visit(server.url, viewport=PHONE, device_scale_factor=2, is_mobile=True, **options["dark"])
    for watched in (dark, light, phone):
        wait(watched, "READY")
        probes(watched.page)
    shoot(dark, "ready-dark", SHOWN)
    shoot(light, "ready-light")
    shoot(phone, "ready-phone", SHOWN)
    gateway.fault("lose_upstream")
    shoot(wait(light, "DEGRADED"), "degraded-light", SHOWN)
    shoot(wait(phone, "DEGRADED"), "degraded-phone")
    gateway.fault("restore_upstream")
    wait(dark, "READY")
    gateway.fault("restart", 3600)
    shoot(wait(dark, "RECONNECTING"), "reconnecting-dark")
    server.stop()
    dark.page.wait_for_selector('html[data-stream="lost"]')
    shoot(dark, "lost-dark")
