"""Where the library keeps what streams: its wrapper's maps."""

from __future__ import annotations

from collections.abc import Callable, Hashable
from typing import Any

from ibkr.session.backend import backend_of
from ibkr.session.custody.kind import Arguments, Held


class InTickers:
    """A ``Ticker``, shared by all that streams about one contract; ``type_of`` gives the library's word for the rest.

    The library finds it by the contract, each in its own way.
    """

    hears_messages = False

    def __init__(self, type_of: Callable[[Arguments], str]) -> None:
        self._type_of = type_of

    def find(self, wrapper: Any, key: Any) -> Any:
        return wrapper.reqId2Ticker.get(key)

    def put_back(self, wrapper: Any, key: Any, held: Held) -> None:
        if held.thing is None:  # asked for at the client, past the library
            return
        contract = held.arguments[0]
        wrapper.tickers[backend_of(wrapper).place_of(held.thing, contract)] = held.thing
        wrapper.reqId2Ticker[key] = held.thing
        wrapper.ticker2ReqId[self._type_of(held.arguments)][held.thing] = key
        wrapper._reqId2Contract[key] = contract

    def take_out(self, wrapper: Any, key: Any, held: Held) -> None:
        wrapper._reqId2Contract.pop(key, None)
        for of_type in wrapper.ticker2ReqId.values():
            if of_type.get(held.thing) == key:
                del of_type[held.thing]

    def let_go(self, wrapper: Any, key: Any, held: Held) -> None:
        wrapper.reqId2Ticker.pop(key, None)
        if held.thing is None or any(ticker is held.thing for ticker in wrapper.reqId2Ticker.values()):
            return
        for place in [place for place, ticker in wrapper.tickers.items() if ticker is held.thing]:
            del wrapper.tickers[place]

    def slot(self, held: Held) -> Hashable:
        return None if held.thing is None else (self._type_of(held.arguments), id(held.thing))


class InSubscribers:
    """A list of bars or of scan results, by request id, which the list itself knows too."""

    hears_messages = True

    def find(self, wrapper: Any, key: Any) -> Any:
        return wrapper.reqId2Subscriber.get(key)

    def put_back(self, wrapper: Any, key: Any, held: Held) -> None:
        if held.thing is None:
            return
        held.thing.reqId = key
        wrapper.startSubscription(key, held.thing, getattr(held.thing, "contract", None))

    def take_out(self, wrapper: Any, key: Any, held: Held) -> None:
        wrapper.reqId2Subscriber.pop(key, None)
        wrapper._reqId2Contract.pop(key, None)
        wrapper._results.pop(key, None)

    def let_go(self, wrapper: Any, key: Any, held: Held) -> None:
        return

    def slot(self, held: Held) -> Hashable:
        return held.asked_on_connect  # otherwise each request has a list of its own


class InProfits:
    """A ``PnL`` or ``PnLSingle``, in the map ``objects``; ``keys`` has its id by account, model and contract."""

    hears_messages = True

    def __init__(self, objects: str, keys: str) -> None:
        self._objects, self._keys = objects, keys

    def find(self, wrapper: Any, key: Any) -> Any:
        return getattr(wrapper, self._objects).get(key)

    def put_back(self, wrapper: Any, key: Any, held: Held) -> None:
        if held.thing is None:
            return
        getattr(wrapper, self._objects)[key] = held.thing
        getattr(wrapper, self._keys)[held.arguments] = key

    def take_out(self, wrapper: Any, key: Any, held: Held) -> None:
        getattr(wrapper, self._objects).pop(key, None)
        keys = getattr(wrapper, self._keys)
        if keys.get(held.arguments) == key:
            del keys[held.arguments]

    def let_go(self, wrapper: Any, key: Any, held: Held) -> None:
        return

    def slot(self, held: Held) -> Hashable:
        return None  # the library refuses a second one


class InAttribute:
    """No object: the library keeps nothing but the request id, in an attribute, 0 for none."""

    hears_messages = False

    def __init__(self, attribute: str) -> None:
        self._attribute = attribute

    def find(self, wrapper: Any, key: Any) -> Any:
        return None

    def put_back(self, wrapper: Any, key: Any, held: Held) -> None:
        setattr(wrapper, self._attribute, key)

    def take_out(self, wrapper: Any, key: Any, held: Held) -> None:
        if getattr(wrapper, self._attribute) == key:
            setattr(wrapper, self._attribute, 0)

    def let_go(self, wrapper: Any, key: Any, held: Held) -> None:
        return

    def slot(self, held: Held) -> Hashable:
        return (held.kind.name,)


class Nowhere:
    """The library keeps values, but nothing of the request: a second one for the same is not wanted twice."""

    hears_messages = False

    def find(self, wrapper: Any, key: Any) -> Any:
        return None

    def put_back(self, wrapper: Any, key: Any, held: Held) -> None:
        return

    def take_out(self, wrapper: Any, key: Any, held: Held) -> None:
        return

    def let_go(self, wrapper: Any, key: Any, held: Held) -> None:
        return

    def slot(self, held: Held) -> Hashable:
        return (held.kind.name, held.arguments) if held.kind.has_id else None
