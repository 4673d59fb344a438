"""The private parts of a connector that tests may use. Only this file uses a connector's private attributes.

Use the public interface if it shows the same facts: ``connector.status``, ``stats``, ``subscriptions`` and ``ib``.
``tests/package/test_source_rules.py`` refuses ``connector._name`` everywhere else.
"""

from __future__ import annotations

import asyncio
import threading
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from ibkr import IBConnector
    from ibkr.core.machine import Machine
    from ibkr.fleet.member import Member
    from ibkr.journal.journal_store import Journal
    from ibkr.runtime.driver import Driver
    from ibkr.runtime.rate_limiter import RateLimiter
    from ibkr.session.session import Session


def machine(connector: IBConnector) -> Machine:
    """The state machine in ``core``."""
    return connector._machine


def session(connector: IBConnector) -> Session:
    """The one object that all API sessions of this connector share."""
    return connector._session


def driver(connector: IBConnector) -> Driver:
    """The driver that runs the machine and carries out its effects."""
    return connector._driver


def timers(connector: IBConnector) -> dict[Any, asyncio.TimerHandle]:
    """The machine's timers that are running."""
    return connector._driver._timers


def is_loop_monitored(connector: IBConnector) -> bool:
    """Whether the connector listens to the monitor of its event loop."""
    return connector._driver._monitor is not None


def rate_limiter(connector: IBConnector) -> RateLimiter:
    """The limiter for outgoing messages."""
    limiter: Any = connector._session.sender._limiter
    return limiter  # type: ignore[no-any-return]


def messages_in_window(connector: IBConnector) -> int:
    """How many messages the limiter counts in the current second."""
    return len(rate_limiter(connector)._sent)


def request_timers(connector: IBConnector) -> dict[Any, asyncio.TimerHandle]:
    """The timers of request deadlines that are running."""
    return connector._session._deadlines._timers


def kept_timeouts(connector: IBConnector) -> dict[Any, TimeoutError]:
    """The errors of overdue requests that nobody has taken yet."""
    return connector._session._deadlines._errors


def has_acknowledgement_timer(connector: IBConnector) -> bool:
    """Whether a timer for order acknowledgements is running."""
    return connector._session._orders._ack_timer._timer is not None


def is_restore_complete(connector: IBConnector) -> bool:
    """Whether every subscription was sent and answered."""
    ledger = connector._session.subscriptions.tracker
    return ledger.pending == 0


def has_held_back_subscriptions(connector: IBConnector) -> bool:
    """Whether subscriptions are waiting to be sent."""
    return bool(connector._session.subscriptions.tracker.held_back)


def subscription_ids(connector: IBConnector, *standings: Any) -> list[Any]:
    """The request ids of the subscriptions that are in one of these states, or of all."""
    return list(connector._session.subscriptions.tracker.ids(*standings))


def request_name(connector: IBConnector, key: Any) -> str:
    """The API request that the subscription with this id was made with."""
    return connector._session.subscriptions._registry.active[key].kind.request


def subscription_kind(connector: IBConnector, key: Any) -> str:
    """The kind of the subscription with this id, such as ``"market data"``."""
    return connector._session.subscriptions._registry.active[key].kind.name


def journal(connector: IBConnector) -> Journal:
    """The open journal."""
    opened: Any = connector._session.recorder._journal
    return opened  # type: ignore[no-any-return]


def journal_lock(connector: IBConnector) -> threading.Lock:
    """The lock that every commit takes."""
    lock: Any = journal(connector)._lock
    return lock  # type: ignore[no-any-return]


def break_gap_reports(connector: IBConnector) -> None:
    """Make the next comparison with the broker raise an internal error. `mend_gap_reports` ends this."""
    connector._session.gaps.compare = None  # type: ignore[method-assign,assignment]


def mend_gap_reports(connector: IBConnector) -> None:
    """Undo `break_gap_reports`."""
    del connector._session.gaps.compare


def fleet_member(connector: IBConnector) -> Member:
    """This connector's membership in its fleet."""
    assert connector._fleet is not None
    return connector._fleet.member


def stop_serving(connector: IBConnector) -> None:
    """End the web page of `IBConnector.serve`, but not the connection."""
    connector._end_page()
