"""A gateway that repeats a message without end, or sends more than any gateway has to send."""

from ibkr.core import effects as do
from ibkr.core.data_loss import DATA_LOST
from ibkr.core.events import LimitReached, RowsNotDecoded, StartupRefused, SubscriptionsChanged, Timer
from ibkr.core.machine_state import Phase as P
from ibkr.core.states import ConnectionState as S


def test_1101_time_and_again_is_one_restore_a_second(ready):
    ready.answers_probes = True
    for _ in range(1000):
        ready.code(1101)
    assert ready.orders.count(do.SendStartupRequests(1)) == 1
    ready.answer()
    assert (ready.state, ready.status.reason[:46]) == (S.SYNCING, "the gateway has lost all subscriptions again (")
    ready.advance(1.1)
    assert ready.orders.count(do.SendStartupRequests(1)) == 2
    ready.answer()
    assert ready.state is S.READY
    assert Timer.RESYNC not in ready.timers


RESTORE = do.RestoreSubscriptions(1, same_session=True)


def test_after_1101_a_restore_waits_for_what_is_still_being_sent(ready):
    ready.answers_probes = True
    ready.code(1101)
    ready.event(SubscriptionsChanged(1, 300, held_back=200))
    ready.code(1101)
    ready.advance(5)
    assert (ready.orders.count(do.SendStartupRequests(1)), ready.orders.count(RESTORE)) == (2, 1)
    ready.event(SubscriptionsChanged(1, 300, held_back=0))
    assert ready.orders.count(RESTORE) == 2


def test_after_1101_orders_are_requested_and_compared_while_other_requests_wait_to_be_sent(ready):
    ready.answers_probes = True
    ready.event(SubscriptionsChanged(1, 300, held_back=200))
    ready.code(1100)
    ready.forget()
    ready.code(1101)
    assert ready.orders == [do.SendStartupRequests(1)]
    assert (ready.state, ready.status.may_trade) == (S.SYNCING, False)
    ready.answer()
    assert (ready.state, ready.status.may_trade, ready.machine.phase) == (S.SYNCING, True, P.RESTORING)
    assert ready.status.reason[:46] == "the gateway has lost all subscriptions again ("
    assert ready.orders[1:] == [do.CompareBrokerState(1, DATA_LOST, (), 1)]
    ready.event(SubscriptionsChanged(1, 300, held_back=10))
    ready.advance(60)
    assert (ready.state, ready.machine.phase, ready.orders.count(RESTORE)) == (S.SYNCING, P.RESTORING, 0)
    ready.forget()
    ready.event(SubscriptionsChanged(1, 10, held_back=0))
    assert ready.orders[0] == RESTORE
    ready.moved(0)
    assert (ready.state, ready.orders[-1]) == (S.READY, do.ReportGap(1))


def test_an_answer_to_a_request_from_before_the_last_1101_is_ignored(ready):
    ready.answers_probes = True
    ready.code(1101)
    ready.answer("positions", "open orders")
    ready.code(1100)
    ready.code(1101)
    ready.answer("executions", "completed orders", "account updates")
    ready.event(StartupRefused(1, "account updates", "no", 2101))
    ready.event(RowsNotDecoded(1, ("positions",)))
    ready.answer()
    assert (ready.state, ready.status.may_trade, ready.machine.phase) == (S.SYNCING, False, P.STARTUP)
    assert not [order for order in ready.orders if isinstance(order, do.CompareBrokerState)]
    ready.event(SubscriptionsChanged(1, 0, held_back=0))
    assert ready.orders.count(RESTORE) == 1
    ready.advance(1.1)
    assert (ready.orders.count(do.SendStartupRequests(1)), ready.orders.count(RESTORE)) == (2, 2)
    ready.answer()
    assert (ready.state, ready.status.may_trade) == (S.READY, True)


def test_an_answer_to_a_request_from_before_the_last_1102_is_ignored(ready):
    ready.answers_probes = True
    for _ in range(2):
        ready.code(1100)
        ready.code(1102)
    ready.answer()
    assert (ready.state, ready.status.may_trade) == (S.SYNCING, False)
    ready.advance(1.1)
    assert len([order for order in ready.orders if isinstance(order, do.RequestBrokerState)]) == 2
    ready.answer()
    assert (ready.state, ready.status.may_trade) == (S.READY, True)


def test_after_1101_the_requests_that_a_1102_had_to_delay_are_not_sent_twice(ready):
    ready.answers_probes = True
    ready.code(1102)
    ready.code(1102)
    ready.code(1101)
    ready.forget()
    ready.advance(1.1)
    assert ready.orders == []
    ready.answer()
    assert ready.state is S.READY


def test_more_farms_than_a_gateway_has_are_not_kept(ready):
    for number in range(1000):
        ready.code(2104, f"farm{number}")
    assert len(ready.status.farms) == 64
    assert ready.status.reason.endswith("; more than 64 data farms were named")
    listed = "; ".join(f"farm{number}" for number in range(300))
    ready.code(1102, text=f"All data farms are connected: {listed}.")
    assert len(ready.status.farms) == 64


def test_what_is_limited_is_reported(ready):
    ready.event(LimitReached(1, "too much"))
    assert (ready.state, ready.status.reason) == (S.READY, "session and upstream up; too much")
    ready.moved(0, "AAPL (354)")
    assert (ready.state, ready.status.reason) == (S.DEGRADED, "subscriptions refused: AAPL (354); too much")


def test_1102_time_and_again_asks_for_the_rest_once_a_second(rig):
    rig.answers_probes = True
    rig.connect()
    rig.open_session()
    rig.code(1100)
    rig.answer("positions", "open orders", "completed orders", "executions")
    rig.advance(10)
    for _ in range(100):
        rig.code(1102)
        rig.code(1100)
    rig.code(1102)
    asked = [order for order in rig.orders if isinstance(order, do.RequestBrokerState)]
    assert len(asked) == 1
    rig.advance(1.1)
    assert len([order for order in rig.orders if isinstance(order, do.RequestBrokerState)]) == 2
    rig.answer()
    assert rig.state is S.READY
    rig.advance(5)
    assert len([order for order in rig.orders if isinstance(order, do.RequestBrokerState)]) == 2


def test_a_flood_of_1102_that_ends_in_1100_asks_nothing(ready):
    ready.answers_probes = True
    for _ in range(3):
        ready.code(1102)
    ready.code(1100)
    ready.forget()
    ready.advance(5)
    assert not [order for order in ready.orders if isinstance(order, do.RequestBrokerState)]


def test_1102_while_a_restore_is_due_waits_for_that(ready):
    ready.answers_probes = True
    ready.code(1102)
    ready.code(1101)
    ready.code(1101)
    ready.forget()
    ready.code(1102)
    assert not [order for order in ready.orders if isinstance(order, do.RequestBrokerState)]
    ready.advance(1.1)
    assert do.SendStartupRequests(1) in ready.orders
    ready.answer()
    ready.moved(0)
    assert ready.state is S.READY
