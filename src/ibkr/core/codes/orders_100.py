"""Codes about orders, up to 299."""

from __future__ import annotations

from functools import partial

from ibkr.core.codes.code import Category, Code, Scope, Severity

_order = partial(Code, category=Category.ORDERS, scope=Scope.ORDER)

CODES = (
    _order(
        103,
        "The order id was used before, or is not greater than the ids that this client used before.",
        advice=(
            "Take the id from nextValidId and count up, never reuse one: ids outlive sessions. Two"
            " programs need two client ids."
        ),
        retry_helps=True,
    ),
    _order(
        104,
        "Modification refused: the order is already filled.",
        advice="Nothing is left to modify: look at the executions, then place a new order if one is wanted.",
    ),
    _order(
        105,
        "The modification does not match the original order (fields that may not change were changed).",
        advice=(
            "Change only price, quantity and time-in-force; for anything else cancel the order and place a new one."
        ),
    ),
    _order(
        106,
        "The order with this id cannot be transmitted.",
        advice=(
            "Look at the order in TWS: a parent that is not transmitted, or a precaution in the presets, holds it back."
        ),
    ),
    _order(
        107,
        "The order is incomplete and cannot be transmitted.",
        advice=("Set action, quantity, order type and the prices that the type needs, and name a complete contract."),
    ),
    _order(
        109,
        "Price is too far from the market per the precautionary percentage setting; not transmitted.",
        advice=(
            "Move the price nearer to the market, or raise the percentage in TWS: Global Configuration,"
            " Presets, Precautionary."
        ),
    ),
    _order(
        110,
        "Price does not fit the contract's minimum price increment.",
        advice=(
            "Round the price to the increment: ContractDetails.minTick, or reqMarketRule where it depends on the price."
        ),
    ),
    _order(
        111,
        "Time-in-force and order type do not go together.",
        advice=(
            "Choose a time-in-force that the order type takes at this exchange:"
            " ContractDetails.orderTypes lists the types."
        ),
    ),
    _order(113, "MOC and LOC orders must use time-in-force DAY.", advice="Set tif = 'DAY'."),
    _order(114, "Relative orders are only for stocks."),
    _order(115, "US-stock relative orders may only go to a few destinations (SMART etc.)."),
    _order(116, "The target exchange is not live.", advice="Route to SMART, or wait until the exchange trades."),
    _order(117, "Block orders need a size of at least 50."),
    _order(118, "VWAP orders must be routed to the VWAP exchange."),
    _order(119, "The VWAP exchange takes VWAP orders only."),
    _order(120, "Too late today for a VWAP order."),
    _order(121, "The BD flag of the order is invalid."),
    _order(122, "No request tag found for the order."),
    _order(123, "No record for this conId."),
    _order(124, "No market rule for this conId."),
    _order(125, "The buy price has to equal the best ask."),
    _order(126, "The sell price has to equal the best bid."),
    _order(127, "Linkage orders are not possible on this exchange (legacy)."),
    _order(128, "Linkage customers may not send non-linkage option orders (legacy)."),
    _order(129, "VWAP orders must come at least three minutes before their start."),
    _order(
        131,
        "Sweep-to-fill and display size only work for SMART-routed US stocks; ignored.",
        severity=Severity.WARNING,
        advice="Route to SMART, or leave these attributes out; the order goes on without them.",
    ),
    _order(
        132,
        "A clearing account is missing.",
        advice="Set clearingAccount, or ask IB whether this account clears elsewhere.",
    ),
    _order(
        133,
        "Submitting the new order failed.",
        advice="Read the text that follows the code, and look at the open orders before it is sent again.",
    ),
    _order(134, "Modifying the order failed.", advice="Read the text; the order works on as it was."),
    _order(
        135,
        "No order with the given id was found.",
        advice=(
            "The id belongs to another client id or to an order that is done: ask with reqOpenOrders from"
            " the client that placed it."
        ),
    ),
    _order(
        136,
        "This order cannot be cancelled.",
        advice="Look at its status: it may be filled, cancelled, or already in cancellation.",
    ),
    _order(137, "A VWAP order can only be cancelled until three minutes before its start."),
    _order(142, "The institutional account carries no account information."),
    _order(144, "Order size does not equal the sum of the allocations."),
    _order(
        145,
        "A field of the order failed validation.",
        advice="The text names the field: correct it and send the order again.",
    ),
    _order(146, "Trigger method is invalid."),
    _order(147, "The contract of a condition is incomplete."),
    _order(148, "Conditions are only accepted with certain order types (limit, market, relative, snap ...)."),
    _order(151, "A user name is required to transmit this order."),
    _order(152, "The hidden attribute is not allowed on this order."),
    _order(153, "EFP orders must be limit orders."),
    _order(
        154,
        "The security is halted; order not transmitted.",
        advice="Wait for the halt to end; tick type 49 (halted) tells.",
        retry_helps=True,
    ),
    _order(155, "A sizeOp order needs user name and account."),
    _order(156, "A sizeOp order has to go to IBSX."),
    _order(157, "An order is either iceberg or discretionary, not both."),
    _order(158, "An offset amount or percentage is required."),
    _order(159, "Percent offset must lie between 0 and 100."),
    _order(160, "Size may not be zero."),
    _order(
        161,
        "The order is not in a state in which it can be cancelled.",
        advice=(
            "Look at its status: a PendingSubmit order is not yet at the exchange, a filled one cannot be called back."
        ),
    ),
    _order(
        163,
        "Price would break the percentage limit in the default order settings.",
        advice=("Move the price nearer to the market, or raise the percentage in the presets' precautionary settings."),
    ),
    _order(
        164,
        "No market data available to run the percentage check on the price.",
        advice="Subscribe to the instrument's market data, or switch the precaution off in the presets.",
        retry_helps=True,
    ),
    _order(167, "The VWAP time must be in the future."),
    _order(168, "Discretionary amount does not fit the price increment."),
    _order(
        201,
        "Order rejected; the text gives the reason.",
        advice=(
            "The text gives the reason: margin, permission, price limits, size. A new order is not at the exchange:"
            " correct it before you send it again. After a refused change the order still works on its old terms:"
            " look at its status, and do not send it again."
        ),
    ),
    _order(
        202,
        "The order is cancelled: the normal answer to a cancel, or the text says why.",
        advice=(
            "Nothing to do if you cancelled it. Else the text says who did: an exchange, a risk check,"
            " its OCA group or its time."
        ),
    ),
    _order(
        203,
        "The account may not trade this security.",
        advice=(
            "Ask for the trading permission in Client Portal (Settings, Trading Permissions), or use an"
            " account that has it."
        ),
    ),
)
