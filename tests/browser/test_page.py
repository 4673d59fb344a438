"""The page in a real browser: correct text immediately, accessible, and with requests to this host only."""

from __future__ import annotations

import json
import signal
import urllib.request

import pytest

from ibkr.simulator import FAULTS

from .conftest import AXE

WITHIN = 1000  # milliseconds from the connector's change until the page shows it

# This script notes when the page changed, and what it showed then.
NOTE = """() => {
  window.seen = [];
  const note = () => window.seen.push([Date.now(), document.documentElement.dataset.state, document.querySelector('#reason').textContent]);
  note();
  new MutationObserver(note).observe(document.body, { subtree: true, childList: true, characterData: true });
}"""  # noqa: E501


@pytest.fixture
def live(server, visit):
    """A page that is connected and READY. At its end, the fixture checks the page's errors and requests."""
    pages = []

    def live(url: str = "", **options):
        if not pages:
            server.start()
        watched = visit(url or server.url, **options)
        pages.append(watched)
        watched.page.wait_for_selector('html[data-stream="live"][data-state="READY"]')
        return watched.page

    yield live
    for watched in pages:
        assert watched.complaints == []
        assert [url for url in watched.requests if not url.startswith((server.url, "data:"))] == []


STORY = [
    # In each row: a fault, the state that it causes, words of the reason, and the fault that ends it.
    ("lose_upstream", "DEGRADED", "lost its link to IB's servers", "restore_upstream"),
    ("lose_upstream", "DEGRADED", "lost its link to IB's servers", "restore_upstream_data_lost"),
    ("restart 3600", "RECONNECTING", "nothing listens at this port", "clear"),
    ("freeze", "DEGRADED", "the socket may be half-open", "thaw"),
    ("break_farm usfarm", "READY", "data farm broken: usfarm", "mend_farm usfarm"),
    ("competing_login", "READY", "session and upstream up", "end_competing_login"),
]


def test_each_fault_changes_the_page_to_the_right_words(live, gateway, server):
    page = live()
    page.evaluate(NOTE)
    for fault, state, words, end in STORY:
        run(gateway, fault)
        wait_for(page, state, words)
        since = json.load(urllib.request.urlopen(f"{server.url}api/status"))["since"]
        lag = page.evaluate(
            """([state, since]) => {
              const begun = Date.parse(since);
              const shown = window.seen.find(([at, each]) => at >= begun && each === state);
              return shown ? shown[0] - begun : null;
            }""",
            [state, since],
        )
        if state != "READY":
            assert lag is not None
            assert lag < WITHIN, f"{fault}: {lag} ms"
        word = "Orders may be sent" if state == "READY" else "New orders are refused"
        assert page.locator("#trade-word").text_content() == word
        if fault.startswith("break_farm"):
            assert "usfarm broken" in page.locator("#farms").inner_text()
        if state == "RECONNECTING":
            assert page.locator("#countdown").text_content().endswith(" s")
            assert page.title() == "RECONNECTING · ibkr"
            assert page.locator("#session").inner_text().endswith("none")
            gateway.place_order("AAPL", "BUY", 10)
        run(gateway, end)
        if state == "RECONNECTING":
            page.get_by_role("button", name="Try now").click()
        wait_for(page, "READY", "session and upstream up")
    page.locator("#all-outages").click()
    assert page.locator("#outage-rows tr").count() == 4
    report = page.locator("#outage-rows tr", has_text="nothing listens").locator("details")
    assert report.inner_text().startswith("Gap report: 1 new order")
    report.locator("summary").click()
    assert "buy 10 AAPL MKT" in report.inner_text()
    assert page.locator("#band rect").count() >= 8


def test_round_trips_of_any_length_are_drawn(live):
    drawn = live().evaluate("""async () => {
      const { setRoundTrips } = await import("/static/latency.js");
      const drawn = {};
      for (let tenths = 10; tenths < 100; tenths++) {
        for (const size of [1e-5, 1e-4, 1e-3, 1e-2, 1e-1, 1]) {
          const seconds = tenths * size;
          setRoundTrips([[new Date().toISOString(), seconds]]);
          drawn[seconds] = document.querySelector("#trip-plot .curve").getAttribute("d");
        }
      }
      return drawn;
    }""")
    assert [length for length, path in drawn.items() if "NaN" in path or "-" in path] == []


CLIENT_ID = "77"

# The arguments of the faults that need arguments. Every other fault, also a new one, is tested without arguments.
ARGUMENTS = {
    "clock_off": "30",
    "delay": "0.05",
    "delay_message": "execDetails 0.1",
    "drop_message": "execDetails",
    "duplicate_message": "execDetails",
    "mute": "reqPositions",
    "nightly_reset": "1",
    "occupy_client_id": CLIENT_ID,
    "refuse": "reqNewsBulletins",
    "slow": "4000",
}


@pytest.mark.timeout(240)
@pytest.mark.slow
def test_every_fault_that_there_is_shows_as_the_status_has_it(live, gateway, server):
    page = live()
    page.evaluate(NOTE)

    def check() -> None:
        with urllib.request.urlopen(f"{server.url}api/status") as answer:
            told = json.load(answer)
        shown = "([state, why]) => window.seen.some(([_, each, words]) => each === state && words === why)"
        page.wait_for_function(shown, arg=[told["state"], told["reason"]], timeout=WITHIN)

    for name in sorted(FAULTS):
        run(gateway, f"{name} {ARGUMENTS.get(name, '')}")
        check()
        gateway.fault("reset")  # some faults affect only new sessions
        check()
        gateway.fault("clear")
        page.wait_for_selector('html[data-state="READY"]', timeout=20_000)
        check()


def run(gateway, fault: str) -> None:
    name, *args = fault.split()
    gateway.fault(name, *args)


def wait_for(page, state: str, words: str) -> None:
    page.wait_for_function(
        """([state, words]) => document.documentElement.dataset.state === state
            && document.querySelector('#reason').textContent.includes(words)""",
        arg=[state, words],
        timeout=20_000,
    )


def test_before_it_has_data_it_does_not_say_that_there_is_nothing(server, visit):
    server.start()
    page = visit(server.url, java_script_enabled=False).page
    text = page.locator("body").inner_text()
    assert "Outages" in text
    assert "None" not in text


def test_it_says_when_the_stream_is_lost_and_comes_back_by_itself(live, server):
    page = live()
    page.evaluate("window.isTheSame = true")
    server.stop()
    page.wait_for_selector('html[data-stream="lost"]', timeout=WITHIN)
    assert "No data from the server since" in page.locator("#stream").inner_text()
    assert page.locator("#trade-word").text_content() == "Not known whether orders may be sent"
    assert page.title() == "no data · ibkr"
    server.start()
    page.wait_for_selector('html[data-stream="live"][data-state="READY"]')
    assert page.locator("#trade-word").text_content() == "Orders may be sent"
    # Wait until the page has read the timeline again.
    page.wait_for_function("() => document.querySelector('#legend').innerText.includes('not watched')")
    assert page.evaluate("window.isTheSame"), "not reloaded"


@pytest.mark.slow
def test_a_server_that_hangs_is_a_lost_stream(live, server):
    page = live()
    server._process.send_signal(signal.SIGSTOP)
    try:
        page.wait_for_selector('html[data-stream="lost"]', timeout=20_000)
    finally:
        server._process.send_signal(signal.SIGCONT)
    page.wait_for_selector('html[data-stream="live"]', timeout=20_000)


@pytest.mark.parametrize("scheme", ["dark", "light"])
def test_axe_finds_nothing_serious_in_any_state(live, gateway, server, scheme):
    wide = live(color_scheme=scheme)
    phone = live(color_scheme=scheme, viewport={"width": 360, "height": 740}, is_mobile=True)
    for page in (wide, phone):
        page.evaluate(AXE.read_text(encoding="utf-8"))
        assert page.evaluate("document.documentElement.scrollWidth <= innerWidth"), "nothing sticks out"

    def check(name: str) -> None:
        for page in (wide, phone):
            page.wait_for_timeout(350)  # in this time, the colors change gradually
            found = page.evaluate("axe.run().then(found => found.violations)")
            bad = [f"{each['id']}: {each['nodes'][0]['html']}" for each in found if each["impact"] != "minor"]
            assert not bad, (name, bad)

    check("READY")
    gateway.fault("lose_upstream")
    for page in (wide, phone):
        wait_for(page, "DEGRADED", "")
    check("DEGRADED")
    gateway.fault("restart", 3600)
    for page in (wide, phone):
        wait_for(page, "RECONNECTING", "")
    check("RECONNECTING")
    wide.evaluate("document.querySelector('#sure').showModal()")
    check("the question")
    server.stop()
    for page in (wide, phone):
        page.wait_for_selector('html[data-stream="lost"]')
    check("the stream lost")


def test_everything_by_keyboard(live):
    page = live()
    page.keyboard.press("Tab")
    assert page.evaluate("document.activeElement.textContent") == "Skip to the state"
    names = []
    for _ in range(4):
        page.keyboard.press("Tab")
        names.append(page.evaluate("document.activeElement.id"))
    assert names[:2] == ["theme", "reconnect"]
    page.locator("#theme").focus()
    page.keyboard.press("Enter")
    assert page.evaluate("document.documentElement.dataset.theme") == "dark"  # the browser's own scheme was light
    page.locator("#reconnect").focus()
    page.keyboard.press("Enter")
    assert page.locator("#sure").is_visible()
    page.keyboard.press("Escape")
    assert not page.locator("#sure").is_visible()
    page.keyboard.press("Enter")
    page.keyboard.press("Tab")
    page.keyboard.press("Enter")
    page.wait_for_selector("#outage-rows tr")
    page.wait_for_selector('html[data-state="READY"]')
    assert "session lost" in page.locator("#outage-rows").inner_text()


def test_the_token_is_requested_once(server, visit):
    token = "a-token-of-good-length"
    server.start(IBKR_HTTP_TOKEN=token, IBKR_HTTP="")
    watched = visit(server.url)
    page = watched.page
    page.get_by_label("Token").fill("not-the-token-at-all")
    page.keyboard.press("Enter")
    page.wait_for_function("() => document.querySelector('#login-words').textContent === 'That is not the token.'")
    assert not page.locator("#content").is_visible()
    page.evaluate(AXE.read_text(encoding="utf-8"))
    found = page.evaluate(
        "axe.run().then(found => found.violations.filter(each => each.impact !== 'minor').map(e => e.id))"
    )
    assert found == []
    page.get_by_label("Token").fill(token)
    page.keyboard.press("Enter")
    page.wait_for_selector('html[data-stream="live"][data-state="READY"]')
    page.reload()
    page.wait_for_selector('html[data-stream="live"][data-state="READY"]')
    assert watched.complaints == []
