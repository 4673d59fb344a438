"""``ibkr explain``, as its users run it."""

import json

import pytest


def test_codes_in_full(ibkr):
    done = ibkr("explain", 1100, 2104, 326, 10197)
    assert (done.returncode, done.stderr) == (0, "")
    words = " ".join(done.stdout.split())
    for part in (
        "1100 error connection, about the gateway's link to IB",
        "the gateway comes back by itself",
        "2104 good news connection, about a data farm",
        "What to do Nothing to do.",
        "326 error connection, about the session",
        "give this one an id of its own",
        "10197 warning market data, about a request",
        "Again later may help",
        "IBConnector says so, and watches the stream until its next tick",
    ):
        assert part in words
    assert max(map(len, done.stdout.splitlines())) <= 80


def test_codes_as_json(ibkr):
    rows = json.loads(ibkr("explain", "--json", 326, 200).stdout)
    assert [(row["code"], row["severity"], row["reaction"]) for row in rows] == [
        (326, "error", "client id in use"),
        (200, "error", None),
    ]


def test_words_are_searched(ibkr):
    done = ibkr("explain", "--search", "market depth")
    assert (done.returncode, done.stderr) == (0, "")
    assert {"309", "317", "10092"} <= {line.split()[0] for line in done.stdout.splitlines()}


def test_a_code_that_nobody_knows_is_1_and_the_others_are_told(ibkr):
    done = ibkr("explain", 1100, 3260)
    assert done.returncode == 1
    assert done.stdout.startswith("1100 ")
    assert "3260 is not in the catalogue; near it: " in done.stderr
    assert " 326" in done.stderr


@pytest.mark.parametrize("args", [["--search", "nonsuch"], ["--search", "nonsuch", "--json"]])
def test_words_that_nothing_has_are_1(ibkr, args):
    done = ibkr("explain", *args)
    assert done.returncode == 1
    assert done.stdout in ("", "[]\n")
    assert "no code has all of these words: nonsuch" in done.stderr


@pytest.mark.parametrize(("args", "word"), [([], "--search"), (["x"], "x"), (["--search", " "], "--search")])
def test_no_question_is_2(ibkr, args, word):
    done = ibkr("explain", *args)
    assert (done.returncode, done.stdout) == (2, "")
    assert word in done.stderr
