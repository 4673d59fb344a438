"""The clients of ``ibkr`` with a server that is not ours: they do not trust its answers, and print no traceback."""

from __future__ import annotations

import json
import signal
import sys
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Semaphore, Thread

import pytest

from ibkr.cli import watch_sources
from ibkr.cli.watch_sources import stats_from_json, status_from_json
from ibkr.cli.web_client import WebApiError

Serve = Callable[[str], int]

ANSWERS = {
    "object": "{}",
    "list": "[]",
    "number": "3",
    "null": "null",
    "not ok": '{"ok": "yes", "message": "Halted"}',
    "deep": "[" * 100_000,
    "types": '{"state": 3, "reason": [], "since": "x", "client_id": {}, "ok": {}, "stats": 3}',
}


@pytest.fixture
def serve() -> Iterator[Serve]:
    """Starts a server that gives one answer to every request, or these events, and returns its port."""
    servers = []

    def start(answer: str, events: str = "", on_events: Callable[[], object] = lambda: None) -> int:
        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                self.rfile.read(int(self.headers.get("Content-Length", 0)))
                self.send_response(200)
                self.end_headers()
                is_stream = bool(events) and self.path.endswith("/events")
                self.wfile.write((events if is_stream else answer).encode())
                if is_stream:
                    on_events()

            def do_POST(self) -> None:
                self.do_GET()

            def log_message(self, *_: object) -> None:
                pass

        server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        server.daemon_threads = False  # with this setting, server_close waits for the threads
        thread = Thread(target=server.serve_forever, args=(0.01,))
        thread.start()
        servers.append((server, thread))
        return server.server_port

    yield start
    for server, thread in servers:
        server.shutdown()
        thread.join()
        server.server_close()


@pytest.mark.parametrize("answer", ANSWERS.values(), ids=ANSWERS)
@pytest.mark.parametrize("command", ["halt", "resume"])
def test_only_a_confirmed_halt_is_a_halt(ibkr_here, serve, command, answer):
    done = ibkr_here(command, "--url", f"http://127.0.0.1:{serve(answer)}")
    assert (done.returncode, done.stdout) == (1, "")
    assert "it is not ibkr serve" in done.stderr
    assert "not confirmed" in done.stderr


@pytest.mark.parametrize("answer", ANSWERS.values(), ids=ANSWERS)
@pytest.mark.parametrize("args", [("watch", "--attach"), ("simulate", "fault", "reset", "--control")])
def test_what_is_not_ours_is_reported(ibkr_here, serve, args, answer):
    port = serve(answer)
    done = ibkr_here(*args, port if "fault" in args else f"http://127.0.0.1:{port}")
    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr.startswith("ibkr ")


def test_an_answer_is_printable(ibkr_here, serve):
    told = json.dumps({"ok": True, "message": "a\x1b[31mb", "more": float("inf")})
    done = ibkr_here("halt", "--url", f"http://127.0.0.1:{serve(told)}")
    assert (done.returncode, done.stdout) == (0, "a [31mb\n")
    done = ibkr_here("halt", "--json", "--url", f"http://127.0.0.1:{serve(told)}")
    assert json.loads(done.stdout) == {"ok": True, "message": "a [31mb", "more": None}


STATUS = json.dumps(
    {
        **dict.fromkeys(("reason", "may_trade_reason", "endpoint", "last_error"), ""),
        **dict.fromkeys(("may_trade", "is_connected", "read_only"), False),
        **dict.fromkeys(("client_id", "attempt", "outages"), 1),
        **{"server_version": None, "accounts": [], "farms": {}, "next_retry_at": None},
        **{"state": "CONNECTING", "since": "2026-01-05 10:00+00:00", "as_of": "2026-01-05 10:00+00:00"},
        **{"session": "none", "upstream": "unknown"},
    }
)
STATS = {"as_of": "2026-01-05 10:00+00:00", "subscriptions": {}, "round_trip": None}
STATS |= dict.fromkeys(("bytes_in", "bytes_out", "messages_in", "messages_out", "probes", "loop_stalls"), 1)


@pytest.mark.parametrize(
    ("field", "value"),
    [
        *(("client_id", value) for value in ("\x1b[31m", None, {}, float("inf"))),
        *(("stats", value) for value in (3, [], {"as_of": 1}, STATS | {"probes": "x"}, STATS | {"round_trip": "x"})),
    ],
)
def test_a_status_of_another_form_is_reported(ibkr_here, serve, field, value):
    assert status_from_json(json.loads(STATUS)).client_id == 1
    assert stats_from_json(STATS).probes == 1
    answer = json.dumps(json.loads(STATUS) | {"stats": STATS} | {field: value})
    done = ibkr_here("watch", "--attach", f"http://127.0.0.1:{serve(answer)}")
    assert (done.returncode, done.stdout) == (1, "")
    assert "another version of ibkr" in done.stderr


@pytest.mark.skipif(sys.platform == "win32", reason="there is no SIGINT for one process there")
def test_events_of_another_form_are_no_news(start, serve):
    streams = Semaphore(0)
    forms = ((name, data) for name in ("status", "stats", "gap") for data in ("3", "[]", "{}", '"x"', '{"end": 1}'))
    events = "".join(f"event: {name}\ndata: {data}\n\n" for name, data in forms)
    answer = json.dumps(json.loads(STATUS) | {"stats": STATS})
    watching = start("watch", "--attach", f"http://127.0.0.1:{serve(answer, events, streams.release)}")
    assert "CONNECTING" in watching.stdout.readline()
    for _ in range(2):  # the command reads the events again one second after their end
        assert streams.acquire(timeout=20)
    watching.send_signal(signal.SIGINT)
    out, err = watching.communicate(timeout=20)
    assert (watching.returncode, out) == (0, "")
    assert err.count("\n") == 1
    assert "its answer cannot be read; is it another version of ibkr?" in err


@pytest.mark.parametrize("row", [{}, 3, {"symbol": 1}, {"symbol": "A", "quantity": "x"}])
def test_rows_of_another_form_are_refused(row):
    rows = {"rows": []}
    details = {"subscriptions": rows, "orders": rows, "positions": {"rows": [row]}}
    with pytest.raises(WebApiError, match="another version"):
        watch_sources.details_from_json(details, {"messages": []})
