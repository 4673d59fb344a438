"""The interface of the connector that a session uses."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Protocol, TypeVar

from ibkr.core.events import Event
from ibkr.core.gap_report import GapReport
from ibkr.core.status import Status
from ibkr.core.subscription_info import SubscriptionStatus

T = TypeVar("T")


class ConnectorInterface(Protocol):
    """What a session needs of its connector."""

    def post(self, event: Event) -> None:
        """Process an event."""

    def failed(self, what: str, error: Exception) -> None:
        """An error in our own code occurred while doing ``what``: end the session, and report it."""

    def gap_found(self, report: GapReport) -> None:
        """Publish a gap report, in a separate callback of the loop."""

    @property
    def has_subscription_listeners(self) -> bool:
        """Whether any listener wants changes of single subscriptions."""

    def subscriptions_changed(self, changed: tuple[SubscriptionStatus, ...]) -> None:
        """Publish changed subscriptions, in a separate callback of the loop."""

    @property
    def latest(self) -> Status:
        """The last known status."""

    def orders_sent(self) -> None:
        """Orders or cancels were sent or are waiting. In a plain script, return when they are sent."""

    def check_thread(self) -> None:
        """Raise ``RuntimeError`` if this is not the event loop's thread."""

    def run_blocking(self, work: Callable[[], Awaitable[T]], timeout: float | None) -> T:
        """Run a blocking call of the client library in the event loop."""

    def run_until_over(self) -> None:
        """Block until a connection is no longer requested."""

    def disconnect(self) -> bool:
        """End the connection."""
