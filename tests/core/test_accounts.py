"""Masked account ids in output, and a login with other accounts than before."""

import pytest

from ibkr.core.account_masking import mask_account, mask_accounts
from ibkr.core.states import ConnectionState as S


@pytest.mark.parametrize(
    ("account", "masked"),
    [
        ("DU1234567", "DU***67"),
        ("U1234567", "U***67"),
        ("F1234567", "F***67"),
        ("DF1234567", "DF***67"),
        ("DUH12345", "DU***45"),
        ("12345678", "***78"),
        ("DU12", "***"),
        ("", "***"),
    ],
)
def test_the_middle_is_hidden(account, masked):
    assert mask_account(account) == masked


def test_all_that_looks_like_an_account_is_masked():
    text = "positions of DU1234567, U7654321 and DF111222333; not of AAPL, EU1234567, 178 or U12"
    assert mask_accounts(text) == "positions of DU***67, U***21 and DF***33; not of AAPL, EU1234567, 178 or U12"


def test_what_is_known_is_masked_whatever_it_looks_like():
    assert mask_accounts("values of model-7/9", ["model-7/9"]) == "values of ***/9"


def test_no_account_known_leaves_the_rest_as_it_is():
    reason = "start-up requests without an answer: positions"
    assert mask_accounts(reason, [""]) == reason


def test_an_id_that_begins_like_another_hides_both():
    assert mask_accounts("X123456 and X1234567", ["X123456", "X1234567"]) == "X***56 and X***67"


def test_a_login_with_none_of_the_accounts_of_before_may_not_trade(ready):
    ready.end()
    ready.open_session(accounts=("U7654321",))
    assert (ready.state, ready.status.may_trade) == (S.SYNCING, False)
    ready.code(2104, "usfarm")
    ready.answer()
    told = "the gateway is logged in with other accounts than before: "
    assert ready.state is S.DEGRADED
    assert ready.status.reason.startswith(told)
    assert (ready.status.may_trade, ready.status.may_trade_reason) == (False, ready.status.reason)
    assert "U76" not in ready.status.reason
    ready.end()
    ready.come_up()
    assert (ready.state, ready.status.may_trade) == (S.READY, True)


def test_what_the_caller_has_connected_to_himself_may_be_traded(ready):
    ready.disconnect()
    ready.end()
    ready.connect()
    ready.open_session(accounts=("U7654321",))
    ready.answer()
    assert ready.status.may_trade


@pytest.mark.parametrize(
    ("account", "may_trade"), [("DU1234567", True), ("DU1234567A", True), ("DU123456", False), ("U7", False)]
)
def test_a_login_without_the_account_that_was_configured_may_not_trade(new_rig, account, may_trade):
    rig = new_rig(account=account)
    rig.connect()
    rig.come_up()
    assert rig.status.may_trade is may_trade
    assert rig.state is (S.READY if may_trade else S.DEGRADED)
    told = "the gateway's login does not have the configured account: "
    assert rig.status.may_trade_reason.startswith(told) is not may_trade


def test_the_account_that_was_configured_is_what_counts(new_rig):
    rig = new_rig(account="DU1234567")
    rig.connect()
    rig.open_session(accounts=("U7",))
    rig.answer()
    assert not rig.status.may_trade
    rig.end()
    rig.come_up()
    assert rig.status.may_trade


@pytest.mark.parametrize("accounts", [("DU7", "DU1234567"), ()], ids=["one more", "none named"])
def test_a_login_that_keeps_an_account_or_names_none_may_trade(ready, accounts):
    ready.end()
    ready.open_session(accounts=accounts)
    ready.answer()
    assert ready.status.may_trade
