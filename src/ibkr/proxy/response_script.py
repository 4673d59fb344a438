"""Assigns the recorded answers to the recorded requests, so that a gateway can send them."""

from collections import deque
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from ibkr.proxy.message_catalog import (
    ANSWERS_BY_REQUEST,
    CANCELLED_REQUEST,
    ORDER_MESSAGES,
    REQUESTS_BY_ANSWER,
    identify_message,
)
from ibkr.proxy.message_ids import ID_FIELDS, read_id
from ibkr.proxy.personal_fields import PUBLIC_FIELDS
from ibkr.proxy.recording_reader import Entry, Recording

START = "startApi"
_OPEN_ORDERS = ("reqOpenOrders", "reqAllOpenOrders", "reqAutoOpenOrders")
_ORDER_ROWS = frozenset({"openOrder", "orderStatus", "orderBound"})
_FINAL_ANSWERS = frozenset(
    {
        *("positionEnd", "openOrderEnd", "accountDownloadEnd", "completedOrdersEnd", "currentTime"),
        *("currentTimeInMillis", "nextValidId", "familyCodes", "mktDepthExchanges", "newsProviders"),
        *("scannerParameters", "receiveFA", "marketRule"),
    }
)
"""The last message of an answer to a request without an id."""

_TIMES = frozenset(
    {
        *("start", "end", "start_date", "end_date", "time", "good_after_time", "good_till_date"),
        *("manual_order_time", "manual_cancel_order_time"),
    }
)
"""Fields with a time. A request of another day has another time."""

Key = tuple[str, tuple[tuple[str, Any], ...]]


@dataclass(frozen=True, slots=True)
class RecordedAnswer:
    """An answer. `delay` is the time after its request, in seconds."""

    delay: float
    name: str
    body: bytes


@dataclass(eq=False)
class RecordedRequest:
    """A recorded request and its answers.

    `number` is its request or order id. `needs_earlier_id` is true if the request refers to an earlier
    request or order.
    """

    name: str
    at: float
    fields: Mapping[str, Any]
    number: int | None
    needs_earlier_id: bool = False
    answers: list[RecordedAnswer] = field(default_factory=list)

    @property
    def key(self) -> Key:
        """The name and contents that a client's request must share with this request to get its answers."""
        return request_key(self.name, self.fields)

    def similarity(self, fields: Mapping[str, Any]) -> int:
        """Count how many fields are the same."""
        return sum(self.fields.get(name) == value for name, value in fields.items())


class ResponseScript:
    """The requests of a recording with their answers.

    `start` is the startApi request; it also has the messages that no request asked for. `requests` are the others, in
    order.
    """

    def __init__(self, recording: Recording) -> None:
        self.version = recording.header.server_version
        self.start = RecordedRequest(START, 0.0, {}, None)
        self.requests: list[RecordedRequest] = []
        self.client_id: int | None = None
        self._by_number: dict[int, RecordedRequest] = {}
        self._by_name: dict[str, RecordedRequest] = {}
        self._open: dict[str, deque[RecordedRequest]] = {START: deque([self.start])}
        self._by_execution: dict[str, RecordedRequest] = {}
        self._placed: set[int] = set()
        for entry in recording.entries:
            if entry.is_request:
                self._add_request(entry)
            elif entry.body is not None:
                request = self._find_request(entry, entry.body)
                request.answers.append(RecordedAnswer(max(0.0, entry.at - request.at), entry.name, entry.body))

    def _add_request(self, entry: Entry) -> None:
        fields = entry.fields or {}
        if entry.name == START:
            self.start.at, self.client_id = entry.at, fields.get("client_id")
            return
        number = request_id(fields)
        needs_earlier_id = entry.name in CANCELLED_REQUEST or (entry.name == "placeOrder" and number in self._placed)
        request = RecordedRequest(entry.name, entry.at, fields, number, needs_earlier_id or entry.name == "cancelOrder")
        self.requests.append(request)
        self._by_name[entry.name] = request
        if number is None:
            self._open.setdefault(entry.name, deque()).append(request)
        else:
            self._by_number[number] = request
        if entry.name in ("placeOrder", "exerciseOptions") and number is not None:
            self._placed.add(number)
        if entry.name == "reqGlobalCancel":
            self._by_number.update(dict.fromkeys(self._placed, request))

    def _find_request(self, entry: Entry, body: bytes) -> RecordedRequest:
        """Return the request that a message answers; startApi for a message that nobody requested."""
        info = identify_message(body, self.version, is_request=False)
        name = entry.name
        req_id, order_id = (read_id(info, self.version, what) for what in ("req_id", "order_id"))
        if name == "commissionReport":
            return self._by_execution.get(str((entry.fields or {}).get("exec_id")), self.start)
        if name in _ORDER_ROWS and (request := self._first_open(_OPEN_ORDERS)):
            changed = self._by_number.get(order_id if order_id is not None else -1)
            return request if changed is None or changed.answers else changed
        number = req_id if req_id is not None and req_id >= 0 else order_id
        if name == "nextValidId":
            number = None
        if number is not None or req_id is not None:
            request = self._by_number.get(-1 if number is None else number, self.start)
        else:
            request = self._find_by_name(name)
        if name == "execDetails" and entry.fields:
            self._by_execution[str(entry.fields.get("exec_id"))] = request
        return request

    def _find_by_name(self, name: str) -> RecordedRequest:
        """Return the request without an id that a message of this name answers."""
        names = REQUESTS_BY_ANSWER.get(name, ())
        request = self._first_open(names)
        if request is None:
            latest = [self._by_name[each] for each in names if each in self._by_name]
            return max(latest, key=lambda each: each.at, default=self.start)
        if name in _FINAL_ANSWERS:
            self._open[request.name].popleft()
        return request

    def _first_open(self, names: tuple[str, ...]) -> RecordedRequest | None:
        found = [self._open[name][0] for name in names if self._open.get(name)]
        return min(found, key=lambda each: each.at, default=None)


def request_id(fields: Mapping[str, Any]) -> int | None:
    """Return the request or order id in the fields of a request."""
    return next((fields[name] for name in ("req_id", "order_id") if isinstance(fields.get(name), int)), None)


def request_key(name: str, fields: Mapping[str, Any]) -> Key:
    """Return the name of a request and what it asks for, without ids, times and values that a recording replaces."""
    return name, tuple(_request_values(fields))


def _request_values(fields: Mapping[str, Any]) -> Iterator[tuple[str, Any]]:
    for name, value in fields.items():
        if isinstance(value, list):
            yield name, tuple(tuple(_request_values(row)) for row in value if isinstance(row, Mapping))
        elif name not in ID_FIELDS and name not in _TIMES and (not isinstance(value, str) or name in PUBLIC_FIELDS):
            yield name, value


def changes_orders(name: str) -> bool:
    """Whether a request changes orders. Each recorded request of this kind answers only one request."""
    return name in ORDER_MESSAGES and name in ("placeOrder", "cancelOrder", "exerciseOptions", "reqGlobalCancel")


def is_answered(name: str) -> bool:
    """Whether a request of this name can get an answer that is not an error."""
    return bool(ANSWERS_BY_REQUEST.get(name))
