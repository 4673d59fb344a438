"""The terms of orders: what was sent, what waits to be sent, and what the broker has reported since."""

from __future__ import annotations

import copy
from typing import TYPE_CHECKING, TypeAlias

if TYPE_CHECKING:
    from ib_async import Order as LibraryOrder

OrderKey: TypeAlias = int | tuple[int, int]
"""The library's key of a trade: client id and order id, or the permanent id of an order placed by hand."""
_Terms: TypeAlias = dict[str, object]

_ID_FIELDS = frozenset({"orderId", "clientId", "permId", "parentPermId", "filledQuantity"})
_NOT_REPORTED = frozenset(
    {"whatIf", "transmit", "softDollarTier"}
    | {"activeStartTime", "activeStopTime", "advancedErrorOverride", "algoId", "autoCancelDate", "extOperator"}
    | {"imbalanceOnly", "manualOrderTime", "mifid2DecisionAlgo", "mifid2DecisionMaker", "mifid2ExecutionAlgo"}
    | {"mifid2ExecutionTrader", "orderMiscOptions", "overridePercentageConstraints", "refFuturesConId"}
    | {"routeMarketableToBbo", "scaleTable", "shareholder"}
)
"""Fields that openOrder does not contain (ib_async 2.1.0, ``Decoder.openOrder``), or that are not terms of an order."""

_LIBRARY_FIELDS = frozenset({"totalQuantity", "lmtPrice", "auxPrice", "orderType", "orderRef"})
"""The terms that the library itself takes from an openOrder row (ib_async 2.1.0, ``Wrapper.openOrder``)."""

_LIST_FIELDS = ("orderComboLegs", "algoParams", "smartComboRoutingParams", "conditions", "orderMiscOptions")


class TermsChange:
    """The terms in one message about an order.

    Args:
        order: The program's order.
        versions: The terms in each message about this order, oldest first. The last entry has the terms of this change.
    """

    def __init__(self, order: LibraryOrder, versions: list[_Terms]) -> None:
        self._order, self._versions, self._terms = order, versions, versions[-1]

    def sent(self) -> None:
        """The message was sent, so earlier terms are obsolete."""
        del self._versions[: self._index]

    def revert(self) -> None:
        """The message will never be sent. If no later message waits, the order has the earlier terms again."""
        index = self._index
        if index and self._terms is self._versions[-1]:
            before, current = self._versions[index - 1], _terms_of(self._order)
            for name in _changes(before, self._terms):
                if current[name] == self._terms[name]:  # the program has not changed this term again
                    setattr(self._order, name, copy.deepcopy(before[name]))
        self._versions[:] = [each for each in self._versions if each is not self._terms]

    @property
    def _index(self) -> int:
        return next((index for index, each in enumerate(self._versions) if each is self._terms), 0)


class OrderTerms:
    """Keeps an order object's terms correct: the broker's terms, except for changes that were sent or wait.

    A row about an open order may be older than a change. So an unrequested row is used only for terms that an answer
    has reported since their last change, because the row is newer than that answer.
    """

    def __init__(self) -> None:
        self._versions: dict[OrderKey, list[_Terms]] = {}
        self._changed: dict[OrderKey, dict[str, bool]] = {}
        """The terms that the program has changed, and whether an answer has reported them since."""
        self._placed: dict[OrderKey, LibraryOrder] = {}

    def placed(self, key: OrderKey, order: LibraryOrder, *, is_new: bool) -> TermsChange:
        """Note the terms in a message that goes to the gateway."""
        if is_new:  # an order with this id may have been dropped before
            self.forget(key)
        versions, terms = self._versions.setdefault(key, []), _terms_of(order)
        if versions:
            names = _changes(versions[-1], terms) - _NOT_REPORTED
            self._changed.setdefault(key, {}).update(dict.fromkeys(names, False))
        versions.append(terms)
        self._placed[key] = order
        return TermsChange(order, versions)

    def with_sent_terms(self, key: OrderKey, order: LibraryOrder) -> LibraryOrder:
        """A copy of the order with the terms that were sent last."""
        found = copy.copy(order)
        for name, value in (self._versions.get(key) or [{}])[0].items():
            setattr(found, name, value)
        return found

    def row_arrived(self, key: OrderKey, order: LibraryOrder, row: LibraryOrder, *, is_answer: bool) -> None:
        """Take the broker's terms from a row, before the library reads it.

        While a change waits, the order keeps all its terms. So the terms that the library would take are changed in the
        row. If the program has placed the change with another object, ``order`` gets the broker's terms.
        """
        versions, changed = self._versions.setdefault(key, []), self._changed.get(key, {})
        current, reported = _terms_of(order), _terms_of(row)
        if not versions:
            versions.append(current)
        sent, *waiting = versions
        is_kept = bool(waiting) and self._placed.get(key) is order
        for name in _LIBRARY_FIELDS | changed.keys():
            if reported.get(name, "?") == "?":  # the gateway does not report this term
                continue
            is_newer = is_answer or (changed.get(name, False) and current[name] == sent[name])
            if not is_newer and name not in _LIBRARY_FIELDS:
                continue
            if is_answer and name in changed and all(terms[name] == sent[name] for terms in waiting):
                changed[name] = True
            sent[name] = reported[name]
            if not is_kept:
                setattr(order, name, getattr(row, name))
        for name in _LIBRARY_FIELDS if is_kept else ():
            setattr(row, name, getattr(order, name))

    def forget(self, key: OrderKey) -> None:
        """Forget an order that has ended."""
        for each in (self._versions, self._changed, self._placed):
            each.pop(key, None)

    def clear(self) -> None:
        """Forget all orders."""
        for each in (self._versions, self._changed, self._placed):
            each.clear()


def _terms_of(order: LibraryOrder) -> _Terms:
    """The fields of the library's own class of orders. Other fields and attributes are the program's."""
    fields = [vars(each).get("__dataclass_fields__") for each in type(order).__mro__]
    terms = {name: getattr(order, name) for name in [each for each in fields if each][-1]}
    for name in _LIST_FIELDS:
        terms[name] = copy.deepcopy(list(terms[name] or ()))  # a program may change the list in place
    return terms


def _changes(before: _Terms, terms: _Terms) -> set[str]:
    return {name for name, value in terms.items() if name in before and value != before[name]} - _ID_FIELDS
