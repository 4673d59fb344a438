"""A gateway that only sends bursts of ticks, prepared in advance, so that the benchmark measures the reader.

The gateway answers start-up with empty answers and accepts subscriptions to market data. ``reqMarketDataType`` starts a
burst of ticks for these subscriptions. The ticks have the order of TWS: a price with its size, then the size, for bid,
ask and last in turn. The price of the last tick is ``LAST_PRICE``. The gateway also answers ``reqCurrentTime`` during a
burst, after the data that was already sent. The request ``LOSE_UPSTREAM``, which does not exist in the API, makes the
gateway send 1100 with the monotonic time as text.
"""

from __future__ import annotations

import functools
import itertools
import socket
import sys
import threading
import time

from ibkr.wire import FrameReader, encode_fields, frame, version_frame

HOST = "127.0.0.1"
TICKS = 200_000
LAST_PRICE = -7.0
"""The price of the last tick of a burst. No real tick has it."""

LOSE_UPSTREAM = 9100
_PIECE = 65_536
_HELLO = 4
_START_API, _MARKET_DATA, _BURST, _CURRENT_TIME = "71", "1", "59", "49"
_ANSWERS: dict[str, list[tuple[object, ...]]] = {
    "61": [(62, 1)],  # positions
    "5": [(53, 1)],  # open orders
    "99": [(102,)],  # completed orders
    "6": [(54, 1, "DU1234567")],  # account updates
}


@functools.cache
def burst_over(req_ids: tuple[int, ...]) -> list[bytes]:
    """Return the bytes of a burst, in pieces of complete messages. An answer can be sent between two pieces."""
    made = []
    for number, req_id in zip(range(TICKS - 1), itertools.cycle(req_ids), strict=False):
        step = number // len(req_ids)
        kind, price, size = step % 6, f"{190 + step % 997 / 100:.2f}", 100 + step % 89
        tick_type = (1, 0, 2, 3, 4, 5)[kind]
        if kind % 2:
            made.append(frame(encode_fields(2, 6, req_id, tick_type, size)))
        else:
            made.append(frame(encode_fields(1, 6, req_id, tick_type, price, size, 0)))
    made.append(frame(encode_fields(1, 6, req_ids[0], 4, LAST_PRICE, 1, 0)))
    length = len(made[0])
    return [b"".join(made[at : at + _PIECE // length]) for at in range(0, len(made), _PIECE // length)]


class Session(threading.Thread):
    """One client. This thread reads and answers; another thread sends the bursts."""

    def __init__(self, connection: socket.socket) -> None:
        super().__init__(daemon=True)
        self._connection = connection
        self._turn = threading.Lock()
        self._req_ids: list[int] = []

    def run(self) -> None:
        self._connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        frames = FrameReader()
        try:
            self._connection.recv(_HELLO, socket.MSG_WAITALL)
            while data := self._connection.recv(65_536):
                for body in frames.feed(data):
                    self._answer(body.decode().split("\0"))
        except OSError:
            pass  # the client has disconnected, as it does at the end of each run
        finally:
            self._connection.close()

    def _answer(self, fields: list[str]) -> None:
        kind = fields[0]
        if kind.startswith("v"):
            self._write(version_frame(178, "20260105 09:30:00 EST"))
        elif kind == _START_API:
            self._send(
                (15, 1, "DU1234567"), (9, 1, 1), (4, 2, -1, 2104, "Market data farm connection is OK:usfarm", "")
            )
        elif kind == _MARKET_DATA:
            self._req_ids.append(int(fields[2]))
            self._send((1, 6, fields[2], 1, "190.00", 100, 0))
        elif kind == _BURST:
            threading.Thread(target=self._burst, daemon=True).start()
        elif kind == str(LOSE_UPSTREAM):
            self._send((4, 2, -1, 1100, str(time.monotonic()), ""))
        elif kind == _CURRENT_TIME:
            self._send((49, 1, int(time.time())))
        elif kind == "76":  # account values of one account
            self._send((74, 1, fields[2]))
        elif kind == "7":  # executions
            self._send((55, 1, fields[2]))
        else:
            self._send(*_ANSWERS.get(kind, []))

    def _send(self, *messages: tuple[object, ...]) -> None:
        self._write(b"".join([frame(encode_fields(*fields)) for fields in messages]))

    def _burst(self) -> None:
        try:
            for piece in burst_over(tuple(self._req_ids)):
                self._write(piece)
        except OSError:
            pass  # the client has closed the connection

    def _write(self, data: bytes) -> None:
        with self._turn:
            self._connection.sendall(data)


def main() -> None:
    with socket.create_server((HOST, 0)) as server:
        print(server.getsockname()[1], flush=True)
        while True:
            connection, _ = server.accept()
            Session(connection).start()


if __name__ == "__main__":
    sys.exit(main())
