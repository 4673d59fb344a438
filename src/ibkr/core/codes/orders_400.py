"""Codes about orders, from 400 on, and warnings about them."""

from __future__ import annotations

from functools import partial

from ibkr.core.codes.code import Category, Code, Scope, Severity

_order = partial(Code, category=Category.ORDERS, scope=Scope.ORDER)

CODES = (
    _order(400, "Problem with an algo order."),
    _order(402, "Conditions are not possible for this contract."),
    _order(
        403, "Stop price is invalid.", advice="Put the stop on the right side of the market and on the price increment."
    ),
    _order(
        404,
        "Shares to short must be located first; the order is held meanwhile.",
        severity=Severity.WARNING,
        advice=(
            "Wait for the shares to be located, or cancel; reqMktData with generic tick 236 tells what may be borrowed."
        ),
    ),
    _order(405, "Child quantity should equal the parent's."),
    _order(406, "The currency is not allowed."),
    _order(408, "Scale price increment is invalid."),
    _order(409, "A scale order needs a component size."),
    _order(410, "Subsequent component size of the scale order is invalid."),
    _order(411, "The outside-RTH flag is not valid for this order."),
    _order(
        412,
        "The contract cannot be traded.",
        advice="Check the contract: expired, delisted, or for information only (an index).",
    ),
    _order(413, "A what-if order must have transmit on.", advice="Set transmit = True together with whatIf = True."),
    _order(415, "Wait for the earlier RFQ to end."),
    _order(416, "RFQ does not apply to this contract."),
    _order(417, "Initial component size of the scale order is invalid."),
    _order(418, "Profit offset of the scale order is invalid."),
    _order(419, "Initial component size of the scale order is missing."),
    _order(421, "Route is invalid."),
    _order(422, "Account and clearing fields of the order may not change."),
    _order(423, "The cross order's RFQ has run out."),
    _order(424, "An advisor order needs an allocation."),
    _order(425, "An advisor order needs manual allocation per account."),
    _order(426, "No account holds enough shares."),
    _order(427, "A mutual-fund order needs a cash amount."),
    _order(428, "A mutual-fund sale needs a share count."),
    _order(429, "Delta-neutral orders only on combos."),
    _order(432, "Commission may not be negative."),
    _order(433, "Restore-size setting not valid for a multi-account scale order."),
    _order(434, "Order size may not be zero.", advice="Set totalQuantity above 0, or cashQty where that is meant."),
    _order(435, "An account must be named.", advice="Set order.account: this login has several."),
    _order(
        436,
        "An allocation (account, group or profile) must be named.",
        advice="Set order.account, faGroup or a preset allocation: this login has several accounts.",
    ),
    _order(437, "Only one of outside-RTH and pre-open may be set."),
    _order(439, "The algo is unknown.", advice="Check algoStrategy: names are case sensitive (Adaptive, Twap, Vwap)."),
    _order(440, "The algo of an order cannot be changed."),
    _order(
        441,
        "Algo parameters failed validation.",
        advice="Check algoParams against the algo's documentation: names and formats are exact.",
    ),
    _order(
        442,
        "The algo is not allowed on this order.",
        advice="Use the algo with the instruments and order types that it is for.",
    ),
    _order(443, "Unknown algo parameter.", advice="Check the names in algoParams: they are case sensitive."),
    _order(444, "A volatility combo is not yet acknowledged; no changes now."),
    _order(445, "The RFQ of this order is no longer valid."),
    _order(446, "Profit offset of the scale order is missing."),
    _order(447, "Price adjustment amount or interval of the scale order is missing."),
    _order(448, "Price adjustment interval is invalid."),
    _order(449, "Price adjustment amount or interval is not expected here."),
    _order(
        450,
        "An order warning that others list as harmless; its text is not known.",
        severity=Severity.WARNING,
        advice="Read the text; the order lives on.",
    ),
    _order(
        460,
        "No trading permission for this product.",
        advice="Ask for the trading permission in Client Portal (Settings, Trading Permissions).",
    ),
    _order(463, "An order error that others list as final; its text is not known."),
    _order(
        481,
        "The order size was reduced.",
        severity=Severity.WARNING,
        advice="Nothing to do, or send another order for the rest.",
    ),
    _order(
        2102,
        "The order is still being processed and cannot be modified yet.",
        severity=Severity.WARNING,
        advice="Wait for the order's next status, then modify it.",
        retry_helps=True,
    ),
    _order(
        2109,
        "The outside-RTH flag is ignored for this order type/destination; the order goes on.",
        severity=Severity.WARNING,
        advice="Nothing to do; leave outsideRth out to be rid of the warning.",
    ),
    _order(2111, "The algo's start/end time was moved to the next trading date.", severity=Severity.WARNING),
    _order(
        2113,
        "Bond order size is a nominal par amount and must be a multiple of the denomination.",
        severity=Severity.WARNING,
    ),
    _order(2130, "The product trades with a price factor.", severity=Severity.WARNING),
    _order(
        2137,
        "Cross-side warning: the order would turn the position from long to short or the other way round.",
        severity=Severity.WARNING,
        advice="Check the side and size: the order turns a position round.",
    ),
    _order(
        2148,
        "An order warning that others list as harmless; its text is not known.",
        severity=Severity.WARNING,
        advice="Read the text; the order lives on.",
    ),
    _order(
        2168,
        "The eTradeOnly attribute is no longer supported (warning).",
        severity=Severity.WARNING,
        advice="Leave eTradeOnly out, or update the client library.",
    ),
    _order(
        2169,
        "The firmQuoteOnly attribute is no longer supported (warning).",
        severity=Severity.WARNING,
        advice="Leave firmQuoteOnly out, or update the client library.",
    ),
    _order(
        2176,
        "Fractional-share size rule warning (newer servers).",
        severity=Severity.WARNING,
        advice="Update the client library: from API version 163 on sizes may be fractions.",
    ),
)
