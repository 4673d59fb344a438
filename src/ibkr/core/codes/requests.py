"""Codes about other requests, and about the session as a whole."""

from __future__ import annotations

from functools import partial

from ibkr.core.codes.code import Category, Code, Scope, Severity

_request = partial(Code, category=Category.REQUESTS, scope=Scope.REQUEST)
_session = partial(Code, category=Category.CONNECTION, scope=Scope.SESSION)
_farm = partial(Code, category=Category.CONNECTION, scope=Scope.FARM)

CODES = (
    _session(
        0,
        "Seen from TWS as a notice that the client is getting close to the 50 messages/s limit.",
        severity=Severity.WARNING,
        advice=(
            "Send fewer messages: at the limit the gateway cuts or slows the client. The connector keeps"
            " to 40 a second."
        ),
        retry_helps=True,
    ),
    _request(138, "The ticker request could not be parsed."),
    _request(139, "A request could not be parsed."),
    _request(140, "Size must be an integer."),
    _request(141, "Price must be a floating-point number."),
    _request(143, "The given id is not an integer."),
    _request(
        200,
        "No contract fits the description, or more than one does.",
        advice=(
            "Give symbol, secType, exchange, currency, and for derivatives expiry, strike, right and"
            " multiplier; reqContractDetails shows what fits. Several matches: add primaryExchange or"
            " conId."
        ),
    ),
    _request(301, "Invalid ticker action (DDE)."),
    _request(302, "The ticker string to stop could not be parsed (DDE)."),
    _request(303, "Invalid action in the request."),
    _request(304, "Invalid account-value action (DDE)."),
    _request(305, "The request could not be parsed and was ignored."),
    _request(306, "A DDE request failed."),
    _request(307, "Invalid request topic (DDE)."),
    _request(308, "TWS cannot open its API page: too many pages."),
    _request(319, "Log level is invalid."),
    _request(
        320,
        "TWS failed to read/decode a client request (malformed message or wrong type in a field).",
        advice=(
            "A field has the wrong type or a character that the protocol cannot carry; the text shows"
            " where. Update the client library if it is old."
        ),
    ),
    _request(
        322,
        "TWS failed while processing a client request (e.g. too many account-summary or other limited subscriptions).",
        advice=(
            "The text gives the cause. Too many requests of a kind: cancel the old ones (account"
            " summaries: two at once). Duplicate id: take a new one."
        ),
        retry_helps=True,
    ),
    _request(
        323, "Server error with a given cause.", advice="The text gives the cause; ask again later.", retry_helps=True
    ),
    _request(324, "A DDE client request lacked information."),
    _request(
        327,
        "Only client id 0 may switch on automatic binding of TWS orders.",
        advice=("Connect with client id 0 to bind orders that are placed by hand, or leave reqAutoOpenOrders out."),
    ),
    _request(330, "Managed-account list is only for advisor or STL logins."),
    _request(331, "Internal: the FA/STL login has no managed accounts."),
    _request(344, "The logged-in account is not an advisor account."),
    _request(384, "Invalid DDE array request."),
    _request(401, "A field is too long."),
    _request(
        407,
        "The symbol must not contain non-ASCII characters.",
        advice="Use the exchange's own symbol in plain letters, or the conId.",
    ),
    _session(438, "TWS is locked.", advice="Unlock TWS, or restart it and log in.", retry_helps=True),
    _request(
        2100,
        "Account-updates subscription moved to another account; the earlier one was ended.",
        severity=Severity.WARNING,
        advice="Follow one account at a time with reqAccountUpdates; for several use reqAccountUpdatesMulti.",
    ),
    _request(
        2101,
        "The account subscription is refused: other clients hold one on a different account.",
        severity=Severity.WARNING,
        advice=(
            "One account at a time can be followed with reqAccountUpdates: cancel the other client's, or"
            " use reqAccountUpdatesMulti."
        ),
        retry_helps=True,
    ),
    _request(2150, "Position's trade-derived value is invalid.", severity=Severity.WARNING),
    _farm(
        2159,
        "The security-definition farm link is idle (reported by users; not in the table).",
        severity=Severity.GOOD,
        advice="Nothing to do: it connects when definitions are asked for.",
    ),
    _request(10005, "Models are read-only.", advice="Edit the model in TWS."),
    _request(
        10230,
        "Unsaved FA changes; repeat the FA request once the replace is done.",
        advice="Wait for the replacement to end, then ask again.",
        retry_helps=True,
    ),
    _request(10231, "Some FA groups/profiles contain invalid accounts."),
    _request(10238, "Talking to the advisor setup web app failed."),
    _request(
        10322, "Requests for All accounts do not work with dynamic account addition.", advice="Name single accounts."
    ),
    _request(10337, "Unknown key in misc options."),
    _request(10338, "Bad value in misc options."),
)
