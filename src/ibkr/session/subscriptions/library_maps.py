"""The maps in which the client library's wrapper keeps streamed objects."""

from __future__ import annotations

from collections.abc import Callable, Hashable
from typing import Any

from ibkr.session.library import Arguments
from ibkr.session.library.wrapper import WrapperOverrides
from ibkr.session.subscriptions.subscription import Subscription


class NoMap:
    """For requests that the library does not keep. Identical requests are one subscription."""

    def find(self, wrapper: WrapperOverrides, key: Any) -> Any:
        return None

    def insert(self, wrapper: WrapperOverrides, key: Any, sub: Subscription) -> None:
        return

    def remove(self, wrapper: WrapperOverrides, key: Any, sub: Subscription) -> None:
        return

    def forget_object(self, wrapper: WrapperOverrides, key: Any, sub: Subscription) -> None:
        return

    def slot(self, sub: Subscription) -> Hashable:
        return (sub.kind.name, *sub.arguments.values()) if sub.kind.has_id else None


class TickerMap:
    """For a ``Ticker``, which all streams of one contract share. ``type_of`` returns the library's name of the stream.

    ib_async and ib_insync find the ticker by the contract in different ways.
    """

    def __init__(self, type_of: Callable[[Arguments], str]) -> None:
        self._type_of = type_of

    def find(self, wrapper: WrapperOverrides, key: Any) -> Any:
        return wrapper.reqId2Ticker.get(key)

    def insert(self, wrapper: WrapperOverrides, key: Any, sub: Subscription) -> None:
        if sub.obj is None:  # requested with the client, not with the library's IB object
            return
        contract = sub.arguments["contract"]
        wrapper.tickers[wrapper.ticker_key(sub.obj, contract)] = sub.obj
        wrapper.reqId2Ticker[key] = sub.obj
        wrapper.ticker2ReqId[self._type_of(sub.arguments)][sub.obj] = key
        wrapper.contracts[key] = contract

    def remove(self, wrapper: WrapperOverrides, key: Any, sub: Subscription) -> None:
        wrapper.contracts.pop(key, None)
        for of_type in wrapper.ticker2ReqId.values():
            if of_type.get(sub.obj) == key:
                del of_type[sub.obj]

    def forget_object(self, wrapper: WrapperOverrides, key: Any, sub: Subscription) -> None:
        wrapper.reqId2Ticker.pop(key, None)
        if sub.obj is None or any(ticker is sub.obj for ticker in wrapper.reqId2Ticker.values()):
            return
        for place in [place for place, ticker in wrapper.tickers.items() if ticker is sub.obj]:
            del wrapper.tickers[place]

    def slot(self, sub: Subscription) -> Hashable:
        return None if sub.obj is None else (self._type_of(sub.arguments), id(sub.obj))


class SubscriberMap(NoMap):
    """For a list of bars or scan results. The map has it by request id. The list itself has this id, too."""

    def find(self, wrapper: WrapperOverrides, key: Any) -> Any:
        return wrapper.reqId2Subscriber.get(key)

    def insert(self, wrapper: WrapperOverrides, key: Any, sub: Subscription) -> None:
        if sub.obj is None:
            return
        sub.obj.reqId = key
        wrapper.startSubscription(key, sub.obj, getattr(sub.obj, "contract", None))

    def remove(self, wrapper: WrapperOverrides, key: Any, sub: Subscription) -> None:
        wrapper.reqId2Subscriber.pop(key, None)
        wrapper.contracts.pop(key, None)
        wrapper.results.pop(key, None)

    def slot(self, sub: Subscription) -> Hashable:
        return sub.requested_on_connect  # otherwise each request has its own list


class PnLMap(NoMap):
    """For a ``PnL`` or ``PnLSingle``: ``objects`` is the name of its map.

    ``keys`` is the name of the map with its request id, by account, model and contract.
    """

    def __init__(self, objects: str, keys: str) -> None:
        self._objects, self._keys = objects, keys

    def find(self, wrapper: WrapperOverrides, key: Any) -> Any:
        return getattr(wrapper, self._objects).get(key)

    def insert(self, wrapper: WrapperOverrides, key: Any, sub: Subscription) -> None:
        if sub.obj is None:
            return
        getattr(wrapper, self._objects)[key] = sub.obj
        getattr(wrapper, self._keys)[tuple(sub.arguments.values())] = key

    def remove(self, wrapper: WrapperOverrides, key: Any, sub: Subscription) -> None:
        getattr(wrapper, self._objects).pop(key, None)
        keys = getattr(wrapper, self._keys)
        of_whom = tuple(sub.arguments.values())
        if keys.get(of_whom) == key:
            del keys[of_whom]

    def slot(self, sub: Subscription) -> Hashable:
        return None  # a second request is refused, or gets the restored object: see ``reqPnL`` in ``ib.py``


class IdAttribute(NoMap):
    """For requests without an object. The library keeps only the request id, in an attribute. 0 means no request."""

    def __init__(self, attribute: str) -> None:
        self._attribute = attribute

    def insert(self, wrapper: WrapperOverrides, key: Any, sub: Subscription) -> None:
        setattr(wrapper, self._attribute, key)

    def remove(self, wrapper: WrapperOverrides, key: Any, sub: Subscription) -> None:
        if getattr(wrapper, self._attribute) == key:
            setattr(wrapper, self._attribute, 0)

    def slot(self, sub: Subscription) -> Hashable:
        return (sub.kind.name,)
