"""Codes as data, and what is read from their words (facts/traces.md, facts/tws-protocol.md)."""

import pytest

from ibkr.core.codes import (
    CODES,
    Reaction,
    Scope,
    connected_farms,
    farm_name,
    feed_of,
    is_about_stream,
    is_read_only,
    is_warning,
    reaction,
)
from ibkr.core.state import Feed

OK = "Market data farm connection is OK:"
HMDS = "HMDS data farm connection is OK:"
RESTORED = "Connectivity between IB and Trader Workstation has been restored - data maintained."


def test_the_codes_that_the_machine_reacts_to():
    assert {code: row.reaction for code, row in CODES.items() if row.reaction is not Reaction.NONE} == {
        326: Reaction.CLIENT_ID_IN_USE,
        100: Reaction.TOO_FAST,
        316: Reaction.STREAM_ENDED,
        317: Reaction.STREAM_ENDED,
        10182: Reaction.STREAM_ENDED,
        10197: Reaction.STREAM_WITHHELD,
        10225: Reaction.STREAM_ENDED,
        1300: Reaction.PORT_CHANGED,
        1100: Reaction.UPSTREAM_LOST,
        1101: Reaction.UPSTREAM_BACK_DATA_LOST,
        1102: Reaction.UPSTREAM_BACK,
        2103: Reaction.FARM_BROKEN,
        2104: Reaction.FARM_OK,
        2105: Reaction.FARM_BROKEN,
        2106: Reaction.FARM_OK,
        2107: Reaction.FARM_INACTIVE,
        2108: Reaction.FARM_INACTIVE,
        2110: Reaction.UPSTREAM_LOST,
        2119: Reaction.FARM_CONNECTING,
        2157: Reaction.FARM_BROKEN,
        2158: Reaction.FARM_OK,
    }


def test_each_row_stands_under_its_code_with_a_meaning():
    assert all(row.code == code and row.meaning.endswith(".") for code, row in CODES.items())
    assert all((row.scope is Scope.FARM) == row.reaction.startswith("farm") for row in CODES.values())


@pytest.mark.parametrize("code", [321, 10090, 200, -1, 0, 99999])
def test_other_codes_are_left_to_the_caller(code):
    assert reaction(code) is Reaction.NONE


@pytest.mark.parametrize("code", [2100, 2104, 2199, 10090, 10167, 10197])
def test_a_request_lives_on_after_a_warning(code):
    assert is_warning(code)


@pytest.mark.parametrize("code", [200, 321, 326, 354, 1100, 2099, 2200, 10089])
def test_other_codes_are_no_warnings(code):
    assert not is_warning(code)


def test_read_only_is_a_321_that_says_so():
    text = "Error validating request.-'bH' : cause - The API interface is currently in Read-Only mode."
    assert is_read_only(321, text)
    assert not is_read_only(321, "Error validating request: size")
    assert not is_read_only(322, text)


@pytest.mark.parametrize(
    ("text", "farm"),
    [
        # traces 7 and 8
        ("Market data farm connection is broken:usfarm", "usfarm"),
        (OK + "usfarm", "usfarm"),
        (OK + "usfarm.nj", "usfarm.nj"),
        (OK + "usfuture", "usfuture"),
        (OK + "hfarm", "hfarm"),
        (OK + "cashfarm", "cashfarm"),
        (OK + "usfarm.us", "usfarm.us"),
        (HMDS + "hthmds", "hthmds"),
        (HMDS + "cashhmds", "cashhmds"),
        (HMDS + "ushmds", "ushmds"),
        ("Sec-def data farm connection is OK:secdefil", "secdefil"),
        ("Sec-def data farm connection is OK:secdefnj", "secdefnj"),
        ("Sec-def data farm connection is broken:secdefeu", "secdefeu"),
        # trace 3: 2107 and 2108 name it after a full stop
        ("HMDS data farm connection is inactive but should be available upon demand.ushmds", "ushmds"),
        ("Market data farm connection is inactive but should be available upon demand.usfarm.nj", "usfarm.nj"),
        ("HMDS data farm connection is inactive but should be available upon demand:ushmds", "ushmds"),
        ("Market data farm is connecting:usfarm", "usfarm"),
        (OK + " usfarm ", "usfarm"),
        # trace 2 has the text cut short
        ("Market data farm connection is ...", ""),
        ("Market data farm connection is OK:", ""),
        ("Market data farm connection is OK", ""),
        ("", ""),
    ],
)
def test_the_farm_that_a_notice_names(text, farm):
    assert farm_name(text) == farm


def test_the_farms_that_1102_lists():
    # trace 6
    text = RESTORED + " All data farms are connected: usfuture; eufarm; cashfarm; eufarmnj; usfarm; euhmds; ushmds;"
    expected = ("usfuture", "eufarm", "cashfarm", "eufarmnj", "usfarm", "euhmds", "ushmds", "secdefeu")
    assert connected_farms(text + " secdefeu.") == expected
    assert connected_farms("All data farms are connected: usfarm.nj; ushmds") == ("usfarm.nj", "ushmds")
    assert connected_farms("All data farms are connected: ") == ()
    assert connected_farms(RESTORED) == ()


def test_what_is_about_one_stream():
    assert [code for code in CODES if is_about_stream(code)] == [316, 317, 10182, 10197, 10225]
    assert not is_about_stream(-1)


@pytest.mark.parametrize(
    ("text", "farm"),
    [("Market data farm connection is OK:us-farm", "us-farm"), ("... upon demand.ushmds-2", "ushmds-2")],
)
def test_a_farm_may_have_a_hyphen(text, farm):
    assert farm_name(text) == farm


def test_what_a_farm_delivers_shows_in_its_name():
    assert {feed_of(name) for name in ("ushmds", "USHMDS", "euhmds")} == {Feed.HISTORY}
    assert {feed_of(name) for name in ("secdefnj", "SECDEFIL")} == {Feed.DEFINITIONS}
    assert {feed_of(name) for name in ("usfarm", "cashfarm", "usfuture")} == {Feed.MARKET}
