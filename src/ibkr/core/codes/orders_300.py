"""Codes about orders, from 300 to 399."""

from __future__ import annotations

from functools import partial

from ibkr.core.codes.code import Category, Code, Scope, Severity

_order = partial(Code, category=Category.ORDERS, scope=Scope.ORDER)

CODES = (
    _order(311, "The order's origin field is invalid."),
    _order(312, "The combo description is invalid."),
    _order(313, "One leg of the combo is invalid."),
    _order(314, "A BAG contract needs leg details."),
    _order(315, "Stock legs in a combo must be SMART routed."),
    _order(325, "Discretionary orders are not possible for this exchange and order type."),
    _order(
        328,
        "A trailing stop can only be attached to limit or stop-limit orders.",
        advice="Attach the trailing stop to a limit or stop-limit parent.",
    ),
    _order(
        329,
        "The order cannot be changed to the new order type.",
        advice="Cancel the order and place a new one of the new type.",
    ),
    _order(332, "Account codes in the allocation profile are invalid."),
    _order(333, "Share allocation syntax is invalid."),
    _order(
        334,
        "Good-till-date order is invalid.",
        advice="Write goodTillDate as 'yyyymmdd HH:MM:SS Zone/Name', and set tif = 'GTD'.",
    ),
    _order(335, "Delta has to be between 0 and 100."),
    _order(
        336,
        "Time or time zone is invalid.",
        advice="Write times as 'yyyymmdd HH:MM:SS Zone/Name' with a zone that TWS knows.",
    ),
    _order(
        337,
        "Date, time or time zone is invalid.",
        advice="Write times as 'yyyymmdd HH:MM:SS Zone/Name' with a zone that TWS knows.",
    ),
    _order(338, "Good-after-time orders are off on this exchange."),
    _order(339, "Futures spreads are gone; use combos."),
    _order(340, "Improvement amount of a box auction is invalid."),
    _order(341, "Delta is invalid (1 to 100) for the pegged order."),
    _order(342, "Pegged orders are not possible on this exchange."),
    _order(
        343,
        "Date, time or time zone is invalid.",
        advice="Write times as 'yyyymmdd HH:MM:SS Zone/Name' with a zone that TWS knows.",
    ),
    _order(345, "Generic combos are not available to advisor accounts."),
    _order(346, "Not an institutional or away-clearing account."),
    _order(347, "Short-sale slot must be 1 or 2."),
    _order(348, "A short-sale slot needs action SSHORT."),
    _order(349, "Generic combo does not take a good-after time."),
    _order(350, "Best-combo orders do not take a minimum quantity."),
    _order(351, "The RTH-only flag is not valid for this order."),
    _order(352, "Short-sale slot 2 needs a location."),
    _order(353, "Short-sale slot 1 must not name a location."),
    _order(
        355,
        "Order size breaks the market rule.",
        advice="Round the size to the market's lot: ContractDetails.minSize and sizeIncrement.",
    ),
    _order(356, "Smart combos do not take an OCA group."),
    _order(358, "Smart-combo child orders are not possible."),
    _order(359, "A combo supports only the reduce-without-block OCA type."),
    _order(360, "No what-if check for smart combos."),
    _order(361, "Trigger price is invalid.", advice="Check auxPrice against the increment and the side of the market."),
    _order(362, "Adjusted stop price is invalid."),
    _order(363, "Adjusted stop limit price is invalid."),
    _order(364, "Adjusted trailing amount is invalid."),
    _order(367, "Volatility type must be 1 or 2, and only on VOL orders."),
    _order(368, "Reference price type must be 1 or 2, and only on VOL orders."),
    _order(369, "Volatility orders are for US options only."),
    _order(370, "Dynamic volatility orders need SMART or a price-improvement exchange."),
    _order(371, "VOL orders need a positive volatility; leave it out otherwise."),
    _order(372, "Dynamic volatility attribute is only for VOL orders."),
    _order(373, "Stock range only for VOL or relative-to-stock orders."),
    _order(374, "Lower stock range must be below the upper one."),
    _order(375, "Stock range must not be negative."),
    _order(376, "The order may not be updated continuously on this exchange."),
    _order(377, "The delta-hedge auxiliary price is invalid."),
    _order(378, "This delta-hedge order type needs an auxiliary price."),
    _order(379, "This delta-hedge order type takes no auxiliary price."),
    _order(380, "Order type not possible for delta hedging."),
    _order(
        382,
        "Price breaks the tick-count limit in the presets.",
        advice="Move the price nearer to the market, or raise the limit in the presets' precautionary settings.",
    ),
    _order(
        383,
        "Size breaks the size limit in the presets.",
        advice="Make the order smaller, or raise the size limit in the presets' precautionary settings.",
    ),
    _order(
        387,
        "Order type not supported for this exchange and security type.",
        advice="Choose an order type that ContractDetails.orderTypes lists for this exchange.",
    ),
    _order(388, "Order is smaller than the minimum.", advice="Make the order larger: ContractDetails.minSize."),
    _order(389, "The routed order id is not unique."),
    _order(390, "The routed order id is invalid."),
    _order(391, "Time or time zone is invalid."),
    _order(
        392, "The contract is expired.", advice="Take the next expiry; reqContractDetails lists what can be traded."
    ),
    _order(393, "Short-sale slot here only for delta-hedge orders."),
    _order(394, "Process time must be an integer from 100 to 2000 ms."),
    _order(
        395,
        "System trouble: OCA orders are refused for now.",
        advice="Wait; the trouble is at IB or at the exchange.",
        retry_helps=True,
    ),
    _order(
        396,
        "System trouble: only market and limit orders for this contract for now.",
        advice="Use a market or limit order, or wait; the trouble is at IB or at the exchange.",
        retry_helps=True,
    ),
    _order(
        397,
        "System trouble: only market and limit orders for this contract for now.",
        advice="Use a market or limit order, or wait; the trouble is at IB or at the exchange.",
        retry_helps=True,
    ),
    _order(398, "The instrument cannot trigger a condition."),
    _order(
        399,
        "A remark on an order, mostly a warning (held until the exchange opens, for instance).",
        severity=Severity.WARNING,
        advice=("Read the text; the order lives on. Often it is held until the exchange opens: outsideRth, or wait."),
    ),
)
