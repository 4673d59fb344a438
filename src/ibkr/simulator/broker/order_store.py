"""The orders of a broker, and how to find them."""

from collections.abc import Callable
from dataclasses import replace

from ibkr.simulator.broker.order import PENDING_SUBMIT, Execution, Order


class OrderStore:
    """All orders and executions since the start. `clock` returns seconds since the epoch."""

    def __init__(self, clock: Callable[[], float]) -> None:
        self.orders: dict[int, Order] = {}
        self.executions: list[Execution] = []
        self._live: dict[int, None] = {}
        self._newest: dict[tuple[int, int], int] = {}
        self._highest: dict[int, int] = {}
        self._clock = clock

    def find(self, client_id: int, order_id: int) -> Order | None:
        """Return the newest order of this client with this id."""
        perm_id = self._newest.get((client_id, order_id))
        return None if perm_id is None else self.orders[perm_id]

    def highest_id(self, client_id: int) -> int:
        """Return the highest order id that this client has used, or 0."""
        return self._highest.get(client_id, 0)

    def live(self) -> list[Order]:
        """Return the transmitted orders that have not ended, oldest first."""
        # TWS does not report orders that wait for their transmission (ib_insync issues 346, 416).
        return [item for item in self._active() if item.terms.transmit or item.status != PENDING_SUBMIT]

    def _active(self) -> list[Order]:
        return [self.orders[perm_id] for perm_id in self._live]

    def _store(self, order: Order) -> Order:
        self.orders[order.perm_id] = order
        if order.order_id:  # an order that was entered in TWS has no order id
            self._newest[order.client_id, order.order_id] = order.perm_id
        self._highest[order.client_id] = max(order.order_id, self.highest_id(order.client_id))
        if order.is_live:
            self._live[order.perm_id] = None
        else:
            self._live.pop(order.perm_id, None)
        return order

    def _end(self, order: Order, status: str, reason: str) -> Order:
        return self._store(replace(order, status=status, reason=reason, ended_at=self._clock()))
