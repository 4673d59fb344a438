"""Codes that client libraries make themselves; no gateway sends them."""

from __future__ import annotations

from functools import partial

from ibkr.core.codes.code import Category, Code, Scope

_client = partial(Code, category=Category.CLIENT, scope=Scope.SESSION)

_UNSENT = {
    510: "market data request",
    511: "market data cancel",
    513: "account update request",
    514: "executions request",
    515: "order cancel",
    516: "open orders request",
    518: "contract details request",
    519: "market depth request",
    521: "server log level",
    522: "FA configuration request",
    523: "FA configuration replacement",
    524: "scanner subscription",
    525: "scanner cancel",
    526: "scanner parameters request",
    527: "historical data request",
    528: "historical data cancel",
    529: "real-time bars request",
    530: "real-time bars cancel (also SSL failure in old Python clients)",
    531: "current time request",
    532: "fundamental data request",
    533: "fundamental data cancel",
    534: "implied volatility calculation",
    535: "option price calculation",
    536: "implied volatility cancel",
    537: "option price cancel",
    538: "global cancel",
    539: "market data type",
    540: "positions request",
    541: "positions cancel",
    542: "account data request",
    543: "account data cancel",
    544: "verify request",
    545: "verify message",
    546: "display group query",
    547: "group event subscription",
    548: "display group update",
    549: "group event unsubscription",
    550: "startApi",
    551: "verify-and-auth request",
    552: "verify-and-auth message",
    553: "multi positions request",
    554: "multi positions cancel",
    555: "multi account updates request",
    556: "multi account updates cancel",
    557: "option chain parameters request",
    558: "soft dollar tiers request",
    559: "family codes request",
    560: "symbol search",
    561: "depth exchanges request",
    562: "smart components request",
    563: "news providers request",
    564: "news article request",
    565: "historical news request",
    566: "head timestamp request",
    567: "histogram request",
    568: "histogram cancel",
    569: "head timestamp cancel",
    570: "market rule request",
    571: "PnL request",
    572: "PnL cancel",
    573: "single-position PnL request",
    574: "single-position PnL cancel",
    575: "historical ticks request",
    576: "tick-by-tick request",
    577: "tick-by-tick cancel",
    578: "completed orders request",
    580: "WSH metadata request",
    581: "WSH metadata cancel",
    582: "WSH event request",
    583: "WSH event cancel",
    584: "user info request",
    587: "current time in ms request",
    589: "market depth cancel",
    590: "contract details cancel",
    591: "historical ticks cancel",
    592: "configuration request",
    593: "configuration update",
}
"""Requests that a client library could not send."""
_SEND_AGAIN = "The socket is gone or going: wait until the connection is ready, then send again."

CODES = (
    _client(357, "The client's protocol version is too old.", advice="Update the client library."),
    _client(381, "The DDE library is too old."),
    _client(
        501,
        "A connect was asked for while already connected.",
        advice="Keep one connection per client object: disconnect first, or use the one that stands.",
    ),
    _client(
        502,
        "Nothing answers at the port: gateway down, its API off, wrong port, or 32 clients connected already.",
        advice=(
            "Start TWS or IB Gateway and log in; switch on 'Enable ActiveX and Socket Clients' in its API"
            " settings; check host and port (7496, 7497, 4001, 4002). 'ibkr doctor' finds out which it"
            " is."
        ),
        retry_helps=True,
    ),
    _client(
        503,
        "The connected TWS is too old for the request or for the client.",
        advice="Update TWS or IB Gateway to the current stable version.",
    ),
    _client(
        504,
        "There is no connection.",
        advice=("Connect first, and wait until the connection is ready; a session that was lost needs a new connect."),
        retry_helps=True,
    ),
    _client(
        505,
        "A message with an unknown id arrived; fatal.",
        advice="Update the client library: the gateway speaks a newer protocol than it asked for.",
    ),
    _client(
        506,
        "The server's version is not supported by the client.",
        advice="Update TWS or IB Gateway (972 or later is needed), or the client library.",
    ),
    _client(
        507,
        "The connection ended in the middle of a message.",
        advice=(
            "The session ended: the client id is taken, TWS was closed or locked, or this address is not"
            " trusted. 'ibkr doctor' finds out which."
        ),
        retry_helps=True,
    ),
    _client(
        508,
        "A message could not be decoded.",
        advice="Update the client library, and report the message to its authors.",
    ),
    _client(
        509,
        "Exception on the socket (read, or send in some clients).",
        advice="The socket broke; connect again. The connector does so by itself.",
        retry_helps=True,
    ),
    _client(
        512,
        "Sending failed: order.",
        advice=(
            "Do not send it again at once: it may have arrived. Connect, ask for open orders and executions, compare,"
            " and only then decide; the connector keeps such an order as unconfirmed."
        ),
    ),
    _client(
        517,
        "Unknown contract; check the description (not used by all clients).",
        advice="Check the contract as for 200.",
    ),
    _client(
        520,
        "The socket could not be created (older clients: sending the depth cancel failed).",
        advice="The machine gave no socket: look at its limits on open files.",
        retry_helps=True,
    ),
    _client(
        579,
        "A string field holds a character outside printable ASCII.",
        advice="Use plain letters in symbols, names and order references.",
    ),
    _client(
        585, "FA profiles are gone (server version 177); use groups.", advice="Use advisor groups in place of profiles."
    ),
    _client(
        586,
        "Reading failed because not connected (Java client).",
        advice="Connect first, and wait for the connection to be ready.",
        retry_helps=True,
    ),
    _client(588, "A protobuf message could not be encoded.", advice="Update the client library."),
    _client(
        10285,
        "The client's API version (below 163) cannot take fractional sizes; upgrade.",
        advice="Update the client library to one that speaks API version 163 or later.",
    ),
    *(
        _client(code, f"Sending failed: {what}.", advice=_SEND_AGAIN, retry_helps=True)
        for code, what in _UNSENT.items()
    ),
)
