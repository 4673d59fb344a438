"""The callbacks of a connector: ``on_status``, ``on_state_change``, ``on_outage``, ``on_gap``, ``on_subscription``."""

from __future__ import annotations

from collections.abc import Callable

from ibkr.core.gap_report import GapReport
from ibkr.core.outage import Outage
from ibkr.core.status import Status
from ibkr.core.subscription_info import SubscriptionStatus
from ibkr.observe.connection_log import log_gap
from ibkr.observe.outage_tracker import OutageNotifier
from ibkr.runtime.listeners import Listeners, StateChangeFilter


class ConnectorCallbacks:
    """Base class of ``IBConnector`` with the methods that register callbacks.

    Callbacks are plain functions and run in the event loop's thread. If a callback raises, the exception is logged,
    and the others are still called. Each method returns a function that unsubscribes, and raises ``TypeError`` for a
    coroutine function.
    """

    def __init__(self, last_status: Callable[[], Status]) -> None:
        self._last_status = last_status
        self._listeners = Listeners[Status]("status", "use 'async for status in connector.changes()', or ")
        self._state_listeners = Listeners[Status]("state_change")
        self._outage_listeners = Listeners[Outage]("outage")
        self._gap_listeners = Listeners[GapReport]("gap")
        self._gap_listeners.add(log_gap)
        self._subscription_listeners = Listeners[SubscriptionStatus]("subscription")
        self._watches_states = self._watches_outages = False

    def on_status(self, callback: Callable[[Status], object]) -> Callable[[], None]:
        """Call a function with every new status.

        Like every callback of a connector, the function must be a plain function. It runs in the event loop's thread.

        Returns:
            A function that unsubscribes.

        Raises:
            TypeError: ``callback`` is a coroutine function, or not a function.
        """
        return self._listeners.add(callback)

    def on_state_change(self, callback: Callable[[Status], object]) -> Callable[[], None]:
        """Call a function with the status when ``state`` or ``may_trade`` has changed.

        The function is not called if only texts change. It is also not called for a ``SYNCING`` that lasts less than a
        second, if ``may_trade`` is false before and during this ``SYNCING``.

        Returns:
            A function that unsubscribes.
        """
        if not self._watches_states:
            self._watches_states = True
            self._listeners.add(StateChangeFilter(self._state_listeners.notify, self._last_status()))
        return self._state_listeners.add(callback)

    def on_outage(self, callback: Callable[[Outage], object]) -> Callable[[], None]:
        """Call a function when an outage begins, and again when it has ended. Returns a function that unsubscribes."""
        if not self._watches_outages:
            self._watches_outages = True
            self._listeners.add(OutageNotifier(self._outage_listeners.notify))
        return self._outage_listeners.add(callback)

    def on_gap(self, callback: Callable[[GapReport], object]) -> Callable[[], None]:
        """Call a function with the gap report of each outage, when everything is restored or the next outage begins.

        A time without a connection between ``disconnect()`` and ``connect()`` is reported, too. With a journal, the
        time in which the program did not run is also reported. If late answers change a report, the function gets the
        report again, with ``is_amended``.

        Returns:
            A function that unsubscribes.
        """
        return self._gap_listeners.add(callback)

    def on_subscription(self, callback: Callable[[SubscriptionStatus], object]) -> Callable[[], None]:
        """Call a function when a subscription's state or last error has changed.

        Returns:
            A function that unsubscribes.
        """
        return self._subscription_listeners.add(callback)
