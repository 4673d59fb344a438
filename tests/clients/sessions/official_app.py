"""The official client as a program that keeps what it is told, for the sessions."""

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
    """Keeps what each callback is given, and goes on to the client's own."""

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
        # (id, code, text), and from 10.33 on (id, time, code, text, json).
        self.keep("error", args if len(args) == 3 else (args[0], *args[2:4]))

    def until(self, name: str, *start: Any) -> tuple[Any, ...]:
        """What the first callback of this name was given, whose first arguments are these."""

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
    # 9.81 has them on, which TWS refuses (10268, 10269).
    made.eTradeOnly = made.firmQuoteOnly = False
    return made


def connected(port: int) -> tuple[App, threading.Thread, Kept]:
    """A client with a session, the thread that reads for it, and what it logs."""
    kept = Kept()
    # At INFO it logs each message of either side.
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
