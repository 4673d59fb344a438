"""The official client as a program that records its callbacks, for the sessions in this folder."""

import logging
import threading
from collections import defaultdict
from typing import Any

from ibapi.client import EClient
from ibapi.contract import Contract
from ibapi.order import Order
from ibapi.wrapper import EWrapper
from told import Kept

try:
    from ibapi.order_cancel import OrderCancel
except ImportError:  # 9.81
    OrderCancel = None

TIMEOUT = 10.0


class App(EWrapper, EClient):
    """Records the arguments of each callback, and calls the client's own."""

    def __init__(self) -> None:
        EClient.__init__(self, self)
        self.heard: dict[str, list[tuple[Any, ...]]] = defaultdict(list)
        self.changed = threading.Condition()

    def keep(self, name: str, args: tuple[Any, ...]) -> None:
        with self.changed:
            self.heard[name].append(args)
            self.changed.notify_all()

    def error(self, *args: Any) -> None:
        super().error(*args)
        # The arguments are (id, code, text), and from 10.33 on (id, time, code, text, json).
        self.keep("error", args if len(args) == 3 else (args[0], *args[2:4]))

    def until(self, name: str, *start: Any) -> tuple[Any, ...]:
        """The arguments of the first callback with this name and these first arguments."""

        def found() -> "tuple[Any, ...] | None":
            return next((args for args in self.heard[name] if args[: len(start)] == start), None)

        with self.changed:
            assert self.changed.wait_for(lambda: found() is not None, TIMEOUT), f"no {name} {start}: {self.heard}"
            return found() or ()


def keeper(name: str) -> Any:
    def callback(self: App, *args: Any) -> None:
        getattr(EWrapper, name)(self, *args)
        self.keep(name, args)

    return callback


for name in dir(EWrapper):
    if (
        callable(getattr(EWrapper, name))
        and not name.startswith("_")
        and not hasattr(EClient, name)
        and name != "error"
    ):
        setattr(App, name, keeper(name))


def stock(symbol: str) -> Contract:
    made = Contract()
    made.symbol, made.secType, made.exchange, made.currency = symbol, "STK", "SMART", "USD"
    return made


def order(kind: str, quantity: int, price: float = 0.0, **more: Any) -> Order:
    made = Order()
    made.action, made.orderType, made.totalQuantity = "BUY", kind, quantity
    if price:
        made.lmtPrice = price
    for name, value in more.items():
        setattr(made, name, value)
    # ibapi 9.81 sets these two flags to true by default, and TWS refuses such orders (10268, 10269).
    made.eTradeOnly = made.firmQuoteOnly = False
    return made


def connected(port: int) -> tuple[App, threading.Thread, Kept]:
    """A client with a session, its reader thread, and its log."""
    kept = Kept()
    # At level INFO, ibapi logs every message in both directions.
    logging.basicConfig(level=logging.WARNING, handlers=[kept])
    logging.captureWarnings(True)
    app = App()
    app.connect("127.0.0.1", port, 7)
    thread = threading.Thread(target=app.run, daemon=True)
    thread.start()
    app.until("nextValidId")
    return app, thread, kept


def disconnected(app: App, thread: threading.Thread) -> None:
    """End the session."""
    app.disconnect()
    thread.join(TIMEOUT)
    assert not thread.is_alive(), "its reader did not end"
