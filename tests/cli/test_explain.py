"""``ibkr explain``, as users run it."""

import json

import pytest


def test_codes_in_full(ibkr):
    done = ibkr("explain", 1100, 2104, 326, 10197)
    assert (done.returncode, done.stderr) == (0, "")
    words = " ".join(done.stdout.split())
    for part in (
        "1100 error connection, about the gateway's link to IB",
        "it recovers automatically",
        "2104 good news connection, about a data farm",
        "What to do Nothing to do.",
        "326 error connection, about the session",
        "give this one its own id",
        "10197 warning market data, about a request",
        "Retry later may help",
        "IBConnector reports it, and watches the stream until its next tick",
    ):
        assert part in words
    assert max(map(len, done.stdout.splitlines())) <= 80


def test_codes_as_json(ibkr_here):
    rows = json.loads(ibkr_here("explain", "--json", 326, 200).stdout)
    assert [(row["code"], row["severity"], row["reaction"]) for row in rows] == [
        (326, "error", "client id in use"),
        (200, "error", None),
    ]


def test_words_are_searched(ibkr_here):
    done = ibkr_here("explain", "--search", "market depth")
    assert (done.returncode, done.stderr) == (0, "")
    assert {"309", "317", "10092"} <= {line.split()[0] for line in done.stdout.splitlines()}


def test_a_code_that_nobody_knows_is_1_and_the_others_are_reported(ibkr_here):
    done = ibkr_here("explain", 1100, 3260)
    assert done.returncode == 1
    assert done.stdout.startswith("1100 ")
    assert "3260 is not in the catalogue; similar codes: " in done.stderr
    assert " 326" in done.stderr


@pytest.mark.parametrize("args", [["--search", "nonsuch"], ["--search", "nonsuch", "--json"]])
def test_words_without_a_match_exit_with_1(ibkr_here, args):
    done = ibkr_here("explain", *args)
    assert done.returncode == 1
    assert done.stdout in ("", "[]\n")
    assert "no code contains all of these words: nonsuch" in done.stderr


@pytest.mark.parametrize("option", [(), ("--json",)])
def test_words_without_a_match_exit_with_1_also_beside_a_code(ibkr, option):
    done = ibkr("explain", 1100, "nonsuch", *option)
    assert (done.returncode, "1100" in done.stdout) == (1, True)
    assert "no code contains all of these words: nonsuch" in done.stderr


@pytest.mark.parametrize(("args", "word"), [([], "words"), ([" "], "words"), (["--search", " "], "words")])
def test_no_question_exits_with_2(ibkr_here, args, word):
    done = ibkr_here("explain", *args)
    assert (done.returncode, done.stdout) == (2, "")
    assert word in done.stderr


@pytest.mark.parametrize("args", [["pacing"], ["market", "depth"], ["market depth"], ["market", "--search", "depth"]])
def test_words_need_no_option(ibkr_here, args):
    done = ibkr_here("explain", *args)
    assert (done.returncode, done.stderr) == (0, "")
    codes = {line.split()[0] for line in done.stdout.splitlines()}
    assert ({"162", "420"} if args == ["pacing"] else {"309", "317", "10092"}) <= codes


def test_codes_and_words_together(ibkr_here):
    rows = json.loads(ibkr_here("explain", "--json", 326, "pacing").stdout)
    assert [row["code"] for row in rows][:2] == [326, 162]
