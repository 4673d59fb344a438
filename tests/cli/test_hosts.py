"""Impossible hosts and addresses: each command names the problem and its cure."""

from __future__ import annotations

import json

import pytest

HEADER = {
    **{"ibkr_recording": 1, "started": "", "program": "", "server_version": 178, "connection_time": ""},
    **{"client_versions": None, "is_private": False},
}
SERVERS = {
    "simulate": ("simulate", "--port", 0, "--host", "{}"),
    "replay": ("replay", "recording.jsonl", "--port", 0, "--host", "{}"),
    "proxy": ("proxy", "--listen", "{}:0"),
    "serve": ("serve", "--http", "{}:0", "--port", 1),
}
NOT_OWN = {
    "no name": "a..b",
    "too long": f"{'a' * 70}.com",
    "unknown": "no-such-host.invalid",
    "foreign": "203.0.113.1",
}


@pytest.mark.parametrize("host", NOT_OWN.values(), ids=NOT_OWN)
@pytest.mark.parametrize("args", SERVERS.values(), ids=SERVERS)
def test_a_server_that_cannot_listen_there(ibkr, tmp_path, args, host):
    (tmp_path / "recording.jsonl").write_text(json.dumps(HEADER) + "\n")
    done = ibkr(*(str(word).format(host) for word in args), IBKR_HTTP_TOKEN="a-token-of-good-length")
    assert (done.returncode, done.stdout) == (1, "")
    assert "Traceback" not in done.stderr
    assert "This machine does not have that address" in done.stderr
    assert "Another program" not in done.stderr


@pytest.mark.parametrize("host", [NOT_OWN["no name"], NOT_OWN["too long"]])
@pytest.mark.parametrize("command", [("watch", "--attach"), ("halt", "--url"), ("resume", "--url")])
def test_a_url_whose_host_cannot_be(ibkr_here, command, host):
    done = ibkr_here(*command, f"http://{host}:8080/")
    assert (done.returncode, done.stdout) == (2, "")
    assert "is not a URL" in done.stderr


@pytest.mark.parametrize(
    "url", ["http://me:a-secret@127.0.0.1:1/", "ftp://me:a-secret@host/", "http://me:a-secret@[::1"]
)
@pytest.mark.parametrize("command", [("watch", "--attach"), ("halt", "--url")])
def test_a_password_in_a_url_is_refused_and_not_shown(ibkr_here, command, url):
    done = ibkr_here(*command, url)
    assert (done.returncode, done.stdout) == (2, "")
    assert f"{command[1]} = '***'" in done.stderr
    assert "a-secret" not in done.stderr


@pytest.mark.parametrize(
    "token", ["a-token\nof-good-length", "a token of good length", "s\xe9cret-of-good-length", "\u20ac" * 16]
)
@pytest.mark.parametrize("command", [("watch", "--attach"), ("halt", "--url")])
def test_a_token_that_cannot_be_sent_is_refused(ibkr_here, tmp_path, command, token):
    done = ibkr_here(*command, "http://127.0.0.1:1/", IBKR_HTTP_TOKEN=token)
    assert (done.returncode, done.stdout) == (2, "")
    assert "IBKR_HTTP_TOKEN = '***': must be of printable ASCII characters, without spaces" in done.stderr
    (tmp_path / "token").write_text(token, encoding="utf-8")
    done = ibkr_here(*command, "http://127.0.0.1:1/", "--token-file", tmp_path / "token")
    assert (done.returncode, done.stdout) == (2, "")
    assert "must be of printable ASCII characters" in done.stderr
