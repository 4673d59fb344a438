"""The order types, times in force, and algorithms that TWS accepts, and how each of them trades."""

from typing import Final

TRAILING: Final = ("TRAIL", "TRAIL LIMIT")
STOPS: Final = ("STP", "STP LMT", "STP PRT", *TRAILING)
"""Order types that wait until the market moves against the order."""

TOUCHED: Final = ("MIT", "LIT")
"""Order types that wait until the market moves in favour of the order."""

ON_CLOSE: Final = ("MOC", "LOC")

MARKET_TO_LIMIT: Final = "MTL"
MARKET: Final = ("MKT", MARKET_TO_LIMIT, "MKT PRT", "STP", "STP PRT", "TRAIL", "MIT", "MOC")
"""Order types that trade without a limit price."""

SNAPPED: Final = ("SNAP MKT", "SNAP MID", "SNAP PRIM")
"""Order types that become limit orders at the current market price."""

RELATIVE: Final = "REL"
TO_BENCHMARK: Final = "PEG BENCH"
PEGGED: Final = (RELATIVE, "MIDPRICE", "PEG MID", "PEG BEST", "PEG STK", TO_BENCHMARK, "VOL")
"""Order types that follow the market without crossing it. Only `Gateway.fill` fills them. The limit price is a cap."""

NEED_LIMIT: Final = ("LMT", "STP LMT", "LIT", "LOC")
NEED_TRIGGER: Final = ("STP", "STP LMT", "STP PRT", "MIT", "LIT")

UNSUPPORTED: Final = ("PEG MKT",)
"""Order types that TWS knows, but that no exchange here accepts (recorded by ibkr-go for AAPL at SMART)."""

ORDER_TYPES: Final = frozenset((*STOPS, *TOUCHED, *ON_CLOSE, *MARKET, *SNAPPED, *PEGGED, "LMT"))
"""All accepted order types."""

AT_OPENING: Final = "OPG"
GOOD_TILL_DATE: Final = "GTD"
TIMES_IN_FORCE: Final = ("DAY", "GTC", GOOD_TILL_DATE, "IOC", "FOK", "DTC", "GTX", "AUC", AT_OPENING)

ALGOS: Final = (
    "Adaptive",
    "Twap",
    "Vwap",
    "ArrivalPx",
    "DarkIce",
    "PctVol",
    "PctVolPx",
    "PctVolSz",
    "PctVolTm",
    "AD",
    "ClosePx",
    "MinImpact",
    "BalanceImpactRisk",
)
"""IB's own algorithms (IBKR Campus, "IB Algorithms"). Here, an algorithm does not change how an order trades."""

_BY_COMPACT_NAME: Final = {name.replace(" ", ""): name for name in ORDER_TYPES}
_AUCTION_TYPES: Final = {"MOO": "MKT", "LOO": "LMT"}


def canonical(order_type: str, tif: str) -> tuple[str, str]:
    """Return order type and time in force as TWS names them: `STPLMT` is `STP LMT`, `MOO` is `MKT` with `OPG`."""
    if order_type in _AUCTION_TYPES:
        return _AUCTION_TYPES[order_type], AT_OPENING
    return _BY_COMPACT_NAME.get(order_type.replace(" ", ""), order_type), tif or "DAY"
