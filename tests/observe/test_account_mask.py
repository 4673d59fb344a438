"""A logger with an account mask writes no account id."""

import gc
import logging

import pytest

from ibkr.observe.log_filter import LIBRARY_LOGGERS, OUR_LOGGERS, AccountMask, mask_loggers


@pytest.fixture
def lines(caplog):
    caplog.set_level(logging.DEBUG)
    return lambda: [caplog.handler.format(record) for record in caplog.records]


@pytest.fixture
def mask():
    """A mask that knows one id of an unusual form, on two loggers during the test."""
    mask = AccountMask()
    mask.add_accounts(["ODD-ACCOUNT-9", ""])
    undo = mask_loggers(["ibkr.test", "ib_async.test"], mask)
    yield mask
    undo()


@pytest.mark.parametrize("logger", ["ibkr.test", "ib_async.test"])
def test_messages_and_their_arguments(mask, lines, logger):
    log = logging.getLogger(logger)
    log.info("account U7654321 and %s and %s", "DU1234567", ["ODD-ACCOUNT-9"])
    (line,) = lines()
    assert "account U***21 and DU***67 and ['OD***-9']" in line


def test_a_record_without_an_account_is_left_as_it_was(mask, caplog):
    logging.getLogger("ibkr.test").warning("port %d", 7497)
    (record,) = caplog.records
    assert (record.msg, record.args) == ("port %d", (7497,))


def test_the_text_of_an_exception(mask, lines, caplog):
    try:
        raise ValueError("no such account: DU1234567")
    except ValueError:
        logging.getLogger("ibkr.test").exception("refused")
    (text,) = lines()
    assert "ValueError: no such account: DU***67" in text
    assert "Traceback" in text
    assert "DU1234567" not in text
    # A handler that formats exceptions itself must find no exception, because its text could show the account.
    assert caplog.records[0].exc_info is None


def test_an_exception_without_an_account_is_left_to_the_handlers(mask, caplog):
    try:
        raise ValueError("no")
    except ValueError:
        logging.getLogger("ibkr.test").exception("refused")
    assert isinstance(caplog.records[0].exc_info[1], ValueError)


def test_the_stack_of_a_record(mask, caplog):
    logging.getLogger("ibkr.test").warning("here: %s", "DU1234567", stack_info=True)
    (record,) = caplog.records
    assert 'warning("here: %s", "DU***67", stack_info=True)' in record.stack_info


def test_arguments_that_do_not_fit_are_masked_too(mask, lines):
    logging.getLogger("ibkr.test").info("%d shares", "DU1234567")
    (line,) = lines()
    assert "'%d shares' with arguments ('DU***67',)" in line


def test_an_id_that_begins_with_another_is_masked_whole(mask, lines):
    mask.add_accounts(["ACC-1", "ACC-1-LONG"])
    logging.getLogger("ibkr.test").info("ACC-1-LONG")
    assert lines()[0].endswith("AC***NG")


def test_show_accounts_turns_it_off(mask, lines):
    mask.show_accounts = True
    logging.getLogger("ibkr.test").info("DU1234567 ODD-ACCOUNT-9")
    assert "DU1234567 ODD-ACCOUNT-9" in lines()[0]


def test_a_mask_on_a_handler(lines, caplog):
    mask = AccountMask()
    caplog.handler.addFilter(mask)
    try:
        logging.getLogger("elsewhere").info("DU1234567")
        mask.show_accounts = True
        logging.getLogger("elsewhere").info("DU1234567")
    finally:
        caplog.handler.removeFilter(mask)
    assert [line.split()[-1] for line in lines()] == ["DU***67", "DU1234567"]


def test_the_last_of_several_takes_it_off(lines):
    log = logging.getLogger("ibkr.several")
    log.addFilter(logging.Filter())
    first, second, showing = AccountMask(), AccountMask(), AccountMask(show_accounts=True)
    first.add_accounts(["ODD-1"])
    undo_first = mask_loggers([log.name], first)
    twin = AccountMask()
    twin.add_accounts(["ODD-1"])
    undo_twin = mask_loggers([log.name], twin)
    undo_second = mask_loggers([log.name], second)
    undo_showing = mask_loggers([log.name], showing)
    assert len(log.filters) == 2

    undo_first()
    undo_first()  # a second call changes nothing
    log.info("ODD-1 DU1234567")
    assert lines()[-1].endswith("OD***-1 DU***67")
    undo_twin()
    log.info("ODD-1 DU1234567")
    assert lines()[-1].endswith("ODD-1 DU***67")
    undo_second()
    log.info("ODD-1 DU1234567")
    assert lines()[-1].endswith("ODD-1 DU1234567")
    undo_showing()
    assert len(log.filters) == 1


def test_a_mask_goes_with_its_owner(lines):
    log = logging.getLogger("ibkr.forgotten")
    mask = AccountMask()
    mask_loggers([log.name], mask)
    del mask
    gc.collect()
    log.info("DU1234567")
    assert lines()[-1].endswith("DU1234567")


def test_the_loggers_that_the_client_library_has():
    """The names of the loggers are the library's own. The test fails if the library renames a logger."""
    import eventkit.event
    import ib_async

    ib = ib_async.IB()
    used = {
        ib._logger.name,
        ib.client._logger.name,
        ib.client.decoder.logger.name,
        ib.wrapper._logger.name,
        eventkit.event.logger.name,
    }
    assert used == {name for name in LIBRARY_LOGGERS if not name.startswith("ib_insync")}


def test_our_loggers_are_those_that_our_modules_have():
    from pathlib import Path

    import ibkr

    named = set()
    for file in Path(ibkr.__file__).parent.rglob("*.py"):
        for part in file.read_text(encoding="utf-8").split('getLogger("')[1:]:
            named.add(part.partition('"')[0])
    assert named - {"ibkr.simulator"} <= set(OUR_LOGGERS)
