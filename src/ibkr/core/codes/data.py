"""Codes about market data, live and historical."""

from __future__ import annotations

from functools import partial

from ibkr.core.codes.code import Category, Code, Scope, Severity

_data = partial(Code, category=Category.MARKET_DATA, scope=Scope.REQUEST)
_history = partial(Code, category=Category.HISTORY, scope=Scope.REQUEST)

CODES = (
    _data(
        101,
        "No market-data lines left: the number of simultaneous active subscriptions is at the account's limit.",
        advice=(
            "Cancel subscriptions that are no longer needed, or buy quote booster packs; 100 lines are"
            " the least there are."
        ),
        retry_helps=True,
    ),
    _data(
        102,
        "The ticker id is already used by another active request.",
        advice=(
            "Take a new request id for each request; the client library does so by itself, so look for ids set by hand."
        ),
        retry_helps=True,
    ),
    _history(
        162,
        "The historical data service refuses; the text tells why: pacing violation, no data, no permission.",
        advice=(
            "Read the text. Pacing: at most 60 requests in 10 minutes and no identical one within 15 s."
            " No data: check dates and whatToShow. No permissions: subscribe to the data in Client"
            " Portal."
        ),
        retry_helps=True,
    ),
    _history(
        165,
        "Informational/query message from the historical data service.",
        severity=Severity.WARNING,
        advice="Nothing to do as a rule: it tells how a request for historical data goes on.",
    ),
    _history(
        166,
        "The contract is expired, so no historical data for it.",
        advice=(
            "Set includeExpired = True; history of expired options is not kept at all, that of futures for two years."
        ),
    ),
    _data(
        300,
        "No active subscription has this ticker id (typical after cancelling one that is gone).",
        advice=(
            "Nothing to do: the subscription was gone already. At the start of a session: ids from an"
            " earlier one are void."
        ),
    ),
    _data(
        309,
        "Too many market-depth subscriptions (three distinct ones by default).",
        advice="Cancel one market depth subscription first: three at a time with the least number of lines.",
        retry_helps=True,
    ),
    _data(310, "No depth subscription has this ticker id.", advice="Nothing to do: the subscription was gone already."),
    _data(
        354,
        "This login has no live market-data subscription for the instrument.",
        advice=(
            "Subscribe to this exchange's data in Client Portal (Settings, Market Data Subscriptions) and"
            " sign the API agreement there, or take delayed data: reqMarketDataType(3) first. A paper"
            " account shares the live one's data only if that is switched on."
        ),
    ),
    _data(365, "No scanner subscription has this id.", advice="Nothing to do: the scanner was gone already."),
    _history(
        366,
        "No historical-data request has this id (finished or cancelled).",
        advice="Nothing to do: the request has ended already.",
    ),
    _data(385, "Scanner subscription id already in use.", advice="Take a new request id.", retry_helps=True),
    _history(
        386,
        "Historical-data request id already in use.",
        advice="Take a new request id; one request for historical data ends with its last bar.",
        retry_helps=True,
    ),
    _data(
        414,
        "Snapshots cannot be combined with generic ticks.",
        advice="Leave genericTickList empty for a snapshot, or subscribe without snapshot.",
    ),
    _data(
        420,
        "Invalid real-time query (pacing violation or no permission for real-time bars).",
        advice=(
            "Pacing: at most 60 new requests for real-time bars in 10 minutes. Else the data permission"
            " is missing: as for 354."
        ),
        retry_helps=True,
    ),
    _data(
        430,
        "No fundamental data for this security.",
        advice="Subscribe to fundamentals in Client Portal, or use an instrument that has them.",
    ),
    _history(
        431,
        "The whatToShow value is missing or wrong.",
        advice=("Use a whatToShow that the instrument has: TRADES, MIDPOINT, BID, ASK ...; currencies have no TRADES."),
    ),
    _data(
        492,
        "Scanner result may be imprecise: further permissions are needed for exact results.",
        severity=Severity.WARNING,
        advice="Subscribe to the data that the scanner reads; its result is otherwise a guess.",
    ),
    _data(
        2129,
        "Indicative product: IB does not vouch for its valuation.",
        severity=Severity.WARNING,
        advice="Take the product's price for an indication only.",
    ),
    _data(
        2152,
        "Lists the exchanges of smart depth (and those lacking a subscription).",
        severity=Severity.WARNING,
        advice=(
            "Depth comes from the exchanges listed; subscribe to those that are named as missing to see the whole book."
        ),
    ),
    _data(
        2187,
        "Some generic ticks are not available with delayed data (newer servers).",
        severity=Severity.WARNING,
        advice="Drop the generic ticks that the text names, or subscribe to live data.",
    ),
    _data(
        2188,
        "Up-to-the-second history needs a further subscription; the rest of the history is still sent.",
        severity=Severity.WARNING,
        advice="Subscribe to the live data for the last minutes of history; the rest has come.",
    ),
    _data(
        10089,
        "Live data needs a further API subscription; delayed data is available and may follow.",
        advice=(
            "Subscribe to the exchange's data in Client Portal (Settings, Market Data Subscriptions) and"
            " sign the API acknowledgement there; or take delayed data: reqMarketDataType(3) first."
        ),
    ),
    _data(
        10090,
        "Part of the requested data is not subscribed; the rest is sent.",
        severity=Severity.WARNING,
        advice="Subscribe to the part that the text names; the rest comes.",
    ),
    _data(
        10091,
        "Part of the requested data needs a further API subscription; what is allowed is still sent.",
        severity=Severity.WARNING,
        advice="Subscribe to the part that the text names; the rest comes.",
    ),
    _data(
        10092,
        "Market depth is not supported for this security type and exchange.",
        advice="Ask reqMktDepthExchanges which exchanges have depth for this kind of instrument.",
    ),
    _data(
        10167,
        "Delayed data is sent for want of a live subscription.",
        severity=Severity.WARNING,
        advice=(
            "Nothing to do for delayed data; for live data subscribe to it in Client Portal (Settings,"
            " Market Data Subscriptions)."
        ),
    ),
    _data(
        10168,
        "Not subscribed, and delayed data is not enabled.",
        advice=(
            "Ask for delayed data before subscribing: reqMarketDataType(3), or subscribe to the live data"
            " in Client Portal."
        ),
    ),
    _data(
        10172,
        "A news article request failed (no data).",
        advice="Check provider and article id; ask again later.",
        retry_helps=True,
    ),
    _data(
        10186,
        "Not subscribed, and delayed data is not enabled.",
        advice=(
            "Ask for delayed data before subscribing: reqMarketDataType(3), or subscribe to the live data"
            " in Client Portal."
        ),
    ),
    _history(
        10187,
        "Historical ticks failed (no permission or other reason).",
        advice="Read the text: historical ticks need the same data subscription as live ones.",
    ),
    _data(
        10189,
        "Tick-by-tick request failed (invalid query, other IP in session, or no permission).",
        advice=(
            "Read the text: tick-by-tick needs a live subscription and no other session of this user; it"
            " is not there for options."
        ),
        retry_helps=True,
    ),
    _data(
        10190,
        "Too many tick-by-tick subscriptions.",
        advice=(
            "Cancel a tick-by-tick subscription first: as many as market depth, three with the least number of lines."
        ),
        retry_helps=True,
    ),
    _data(
        10276, "The news feed is not allowed for this client.", advice="Subscribe to the news feed in Client Portal."
    ),
    _data(10277, "News feed permission is missing.", advice="Subscribe to the news feed in Client Portal."),
    _data(10278, "A WSH metadata request is already pending."),
    _data(10279, "WSH metadata request failed."),
    _data(10280, "WSH metadata cancel failed."),
    _data(10281, "A WSH event request is already pending."),
    _data(10282, "WSH metadata must be requested first."),
    _data(10283, "WSH event request failed."),
    _data(10284, "WSH event cancel failed."),
    _history(10295, "Two meanings: schedules come at daily resolution only; or a loss-harvest order must be DAY."),
    _history(
        10299,
        "Another whatToShow is expected (e.g. AGGTRADES for crypto).",
        advice="Use the whatToShow that the text names.",
    ),
    _data(10309, "Invalid WSH event request."),
    _history(
        10339, "No end date allowed with continuous futures.", advice="Leave endDateTime empty for a continuous future."
    ),
    _data(
        10346,
        "No data: the same instrument is displayed by another client.",
        advice="Close the instrument in the other client, then ask again.",
        retry_helps=True,
    ),
    _data(10358, "Fundamentals data is not allowed.", advice="Subscribe to fundamentals in Client Portal."),
)
