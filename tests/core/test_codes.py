"""The catalogue of codes, and what is read from their texts."""

import pytest

from ibkr.core.codes import (
    REACTION_TEXTS,
    REACTIONS,
    Category,
    Reaction,
    Scope,
    Severity,
    catalogue,
    connected_farms,
    disconnected_farms,
    farm_name,
    feed_of,
    find,
    is_about_farm,
    is_about_link,
    is_read_only,
    is_temporary_refusal,
    is_warning,
    parse_catalogue,
    reaction,
    search,
)
from ibkr.core.machine_state import Phase
from ibkr.core.states import Feed

OK = "Market data farm connection is OK:"
HMDS = "HMDS data farm connection is OK:"
RESTORED = "Connectivity between IB and Trader Workstation has been restored - data maintained."


def test_the_codes_that_the_machine_reacts_to():
    assert REACTIONS == {
        326: Reaction.CLIENT_ID_IN_USE,
        100: Reaction.TOO_FAST,
        316: Reaction.STREAM_ENDED,
        321: Reaction.READ_ONLY,
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


def test_the_codes_that_the_machine_reacts_to_are_exactly_those_marked_so_in_the_catalogue():
    marked = {code: row.reaction for code, row in catalogue().items() if row.reaction is not Reaction.NONE}
    assert marked == {code: reaction(code) for code in range(-1, 20000) if reaction(code) is not Reaction.NONE}
    assert set(marked) == set(REACTIONS)
    assert set(REACTION_TEXTS) == set(Reaction) - {Reaction.NONE} == set(marked.values())


def test_no_other_code_moves_the_machine(ready):
    before = ready.status
    ready.forget()
    for code in catalogue():
        if not is_about_link(code):
            ready.code(code, text="usfarm:4002")
    assert (ready.status, ready.orders) == (before, [])


@pytest.mark.parametrize("code", [code for code in REACTIONS if is_about_link(code)])
def test_each_of_these_moves_the_machine(code, new_rig, bring):
    rig = new_rig()
    bring(rig, Phase.OPENING if code == 326 else Phase.UP)
    if code in (1101, 1102):
        rig.code(1100)
    before = rig.status
    rig.forget()
    rig.code(code, "newfarm")
    assert rig.status != before or rig.orders


def test_every_code_has_a_meaning_and_stands_once():
    rows = catalogue()
    assert len(rows) >= 490
    assert list(rows) == sorted(rows)
    for code, row in rows.items():
        assert row.code == code
        assert row.meaning.endswith((".", ")")), row
        assert len(row.meaning) > 12, row
    assert {row.category for row in rows.values()} == set(Category)
    assert {row.scope for row in rows.values()} == set(Scope)


def test_codes_about_dates_of_requests_for_history():
    """Logs of ib_insync, backtrader and ibapi show 2174 for a time without a zone, and 10314 for a missing date."""
    for code, severity in ((2174, Severity.WARNING), (10314, Severity.ERROR)):
        row = catalogue()[code]
        assert (row.scope, row.severity, row.category) == (Scope.REQUEST, severity, Category.HISTORY)


ROW = '[354]\nmeaning = "Not subscribed."\ncategory = "orders"\nscope = "request"\n'


@pytest.mark.parametrize(
    ("text", "says"),
    [
        (
            ROW + 'advise = "Subscribe."',
            r"\[354\]: unknown key advise: use meaning, category,",
        ),
        ('[354]\nmeaning = "Not subscribed."\ncategory = "orders"', r"\[354\]: scope is missing: add it"),
        (ROW + 'severity = "bad"', r"\[354\]: severity = 'bad': must be one of good news, warning, error"),
        (ROW + "severity = 1", r"\[354\]: severity = 1: must be one of"),
        (ROW + 'retry_helps = "yes"', r"\[354\]: retry_helps = 'yes': must be true or false"),
        (ROW + "advice = 7", r"\[354\]: advice = 7: must be a text"),
        (ROW + 'advice = ""', r"\[354\]: advice = '': must be a text"),
        (ROW + ROW, r"\(?'354',?\)? twice .*: give each code one row"),
        ("[code]", r"code: a row begins with its code in brackets, such as \[354\]"),
        ("354 = 1", r"354: a row begins with its code in brackets"),
        ("[354]\nmeaning = None", r"not valid: .*: give each code one row, and put each text in double quotes"),
    ],
)
def test_a_wrong_row_of_the_catalogue_is_named_with_what_to_do(text, says):
    with pytest.raises(ValueError, match=says):
        parse_catalogue(text)


def test_what_matters_has_advice():
    """Connecting, data permissions, pacing, and the usual errors of orders."""
    must = {0, 100, 101, 103, 104, 105, 107, 109, 110, 111, 135, 136, 145, 154, 161, 162, 163, 164, 166, 200, 201, 202}
    must |= {203, 300, 309, 316, 317, 320, 321, 322, 323, 326, 327, 334, 354, 357, 366, 382, 383, 386, 387, 388, 392}
    must |= {399, 404, 412, 413, 420, 430, 431, 434, 435, 436, 438, 439, 441, 443, 460, 492}
    must |= {501, 502, 503, 504, 506, 507, 508, 509, *range(510, 516), 517, 1100, 1101, 1102, 1300}
    must |= {2100, 2101, *range(2102, 2111), 2119, 2137, 2152, 2157, 2158, 2187, 2188}
    must |= {10006, 10015, 10089, 10090, 10091, 10092, 10147, 10148, 10149, 10167, 10168, 10182, 10186, 10187, 10189}
    must |= {10190, 10197, 10225, 10243, 10248, 10268, 10285, 10328, 10349}
    assert len(must) >= 80
    assert [code for code in sorted(must) if not catalogue()[code].advice] == []


def test_no_advice_is_to_send_an_order_again_unseen():
    """An order that "could not be sent" may have arrived: see the design, Reactions."""
    assert not find(512).retry_helps
    assert "it may have arrived" in find(512).advice


def test_after_a_warning_what_it_names_lives_on():
    for code, row in catalogue().items():
        if row.scope in (Scope.REQUEST, Scope.ORDER):
            assert is_warning(code) == (row.severity is not Severity.ERROR), row


def test_farms_and_upstream_have_a_reaction_and_the_rest_of_the_catalogue_has_none():
    farms = {code for code, row in catalogue().items() if row.scope is Scope.FARM}
    assert farms == {code for code in REACTIONS if reaction(code).startswith("farm")} | {2159}
    assert {code for code, row in catalogue().items() if row.severity is Severity.GOOD} == {
        *(1102, 2104, 2106, 2107, 2108, 2119, 2158, 2159)
    }


def test_a_code_is_found_by_number_and_by_words():
    assert find(354) is find(354)
    assert {code: find(code) for code in catalogue()} == catalogue()
    assert find(99999) is None
    assert {309, 316, 317, 10092} <= {row.code for row in search("market DEPTH")}
    assert [row.code for row in search("1102")] == [1102]
    assert search("no such words anywhere") == search("  ") == ()


def test_a_code_in_json_s_types():
    assert find(1300).to_dict()["reaction"] == "port changed"
    assert find(200).to_dict() == {
        "code": 200,
        "meaning": "No contract fits the description, or more than one does.",
        "category": "requests",
        "scope": "request",
        "severity": "error",
        "retry_helps": False,
        "advice": find(200).advice,
        "reaction": None,
    }


@pytest.mark.parametrize("code", [322, 10090, 200, -1, 0, 99999])
def test_other_codes_are_left_to_the_caller(code):
    assert reaction(code) is Reaction.NONE


@pytest.mark.parametrize("code", [2100, 2104, 2199, 165, 399, 10090, 10091, 10167, 10197, 10349])
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


def test_a_refusal_for_now_is_a_162_while_the_historical_service_is_away():
    service = "Historical Market Data Service error message:"
    assert is_temporary_refusal(162, f"{service}HMDS connection attempt failed. Connection will be re-attempted...")
    assert not is_temporary_refusal(162, f"{service}HMDS query returned no data")
    assert not is_temporary_refusal(321, "connection attempt failed")


@pytest.mark.parametrize(
    ("text", "farm"),
    [
        # Texts as real gateways sent them.
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
        # In the texts of 2107 and 2108 that real gateways sent, the name of the farm follows a full stop.
        ("HMDS data farm connection is inactive but should be available upon demand.ushmds", "ushmds"),
        ("Market data farm connection is inactive but should be available upon demand.usfarm.nj", "usfarm.nj"),
        ("HMDS data farm connection is inactive but should be available upon demand:ushmds", "ushmds"),
        ("Market data farm is connecting:usfarm", "usfarm"),
        (OK + " usfarm ", "usfarm"),
        # This text was shortened in the log where it was found, so it names no farm.
        ("Market data farm connection is ...", ""),
        ("Market data farm connection is OK:", ""),
        ("Market data farm connection is OK", ""),
        ("", ""),
    ],
)
def test_the_farm_that_a_notice_names(text, farm):
    assert farm_name(text) == farm


def test_the_farms_that_1102_lists():
    # The text as a real gateway sent it, with one more farm at its end.
    text = RESTORED + " All data farms are connected: usfuture; eufarm; cashfarm; eufarmnj; usfarm; euhmds; ushmds;"
    expected = ("usfuture", "eufarm", "cashfarm", "eufarmnj", "usfarm", "euhmds", "ushmds", "secdefeu")
    assert connected_farms(text + " secdefeu.") == expected
    assert connected_farms("All data farms are connected: usfarm.nj; ushmds") == ("usfarm.nj", "ushmds")
    assert connected_farms("All data farms are connected: ") == ()
    assert connected_farms(RESTORED) == disconnected_farms(RESTORED) == ()


def test_the_farms_that_1102_lists_as_not_connected():
    # The text is as a real gateway sent it (issue 143 of IbcAlpha/IBC).
    text = "The following farms are connected: cashfarm; secdefil. The following farms are not connected: cashhmds."
    for restored in (RESTORED, RESTORED.removesuffix("."), RESTORED + "\n"):
        said = f"{restored} {text}"
        assert (connected_farms(said), disconnected_farms(said)) == (("cashfarm", "secdefil"), ("cashhmds",))
    dotted = (
        "The following farms are connected: usfarm.nj; eufarm.The following farms are not connected: ca.hmds; us.nj"
    )
    assert (connected_farms(dotted), disconnected_farms(dotted)) == (("usfarm.nj", "eufarm"), ("ca.hmds", "us.nj"))
    turned = "The following farms are not connected: usfarm.nj. The following farms are connected: ushmds."
    assert (connected_farms(turned), disconnected_farms(turned)) == (("ushmds",), ("usfarm.nj",))
    none = "The following farms are not connected: usfarm."
    assert (connected_farms(none), disconnected_farms(none)) == ((), ("usfarm",))


def test_what_the_machine_itself_must_know_of():
    assert [code for code in REACTIONS if not is_about_link(code)] == [316, 317, 321, 10182, 10197, 10225]
    assert not is_about_link(-1)
    assert [code for code in REACTIONS if is_about_farm(code)] == [2103, 2104, 2105, 2106, 2107, 2108, 2119, 2157, 2158]
    assert not is_about_farm(-1)
    assert not is_about_link(354)


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
