"""Account ids in what people and files see."""

import pytest

from ibkr.core.accounts import mask_account, mask_accounts


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
    assert mask_accounts("start-up unanswered: positions", [""]) == "start-up unanswered: positions"


def test_an_id_that_begins_like_another_hides_both():
    assert mask_accounts("X123456 and X1234567", ["X123456", "X1234567"]) == "X***56 and X***67"
