"""The order types, times in force and algorithms that TWS takes, and how each of them trades."""

from typing import Final

TRAILING: Final = ("TRAIL", "TRAIL LIMIT")
STOPS: Final = ("STP", "STP LMT", "STP PRT", *TRAILING)
"""Wait until the market moves against them."""

TOUCHED: Final = ("MIT", "LIT")
"""Wait until the market moves in their favour."""

ON_CLOSE: Final = ("MOC", "LOC")

MARKET_TO_LIMIT: Final = "MTL"
MARKET: Final = ("MKT", MARKET_TO_LIMIT, "MKT PRT", "STP", "STP PRT", "TRAIL", "MIT", "MOC")
"""Trade without a limit, once they trade."""

SNAPPED: Final = ("SNAP MKT", "SNAP MID", "SNAP PRIM")
"""Become limit orders at the market's price of the moment."""

RELATIVE: Final = "REL"
TO_BENCHMARK: Final = "PEG BENCH"
PEGGED: Final = (RELATIVE, "MIDPRICE", "PEG MID", "PEG BEST", "PEG STK", TO_BENCHMARK, "VOL")
"""Follow the market without crossing it: they rest until they are filled by hand. Their limit is a cap."""

NEED_LIMIT: Final = ("LMT", "STP LMT", "LIT", "LOC")
NEED_TRIGGER: Final = ("STP", "STP LMT", "STP PRT", "MIT", "LIT")

UNSUPPORTED: Final = ("PEG MKT",)
"""TWS knows them, and no exchange here takes them (recorded by ibkr-go for AAPL at SMART)."""

ORDER_TYPES: Final = frozenset((*STOPS, *TOUCHED, *ON_CLOSE, *MARKET, *SNAPPED, *PEGGED, "LMT"))
"""All that are taken."""

AT_OPENING: Final = "OPG"
TIMES_IN_FORCE: Final = ("DAY", "GTC", "GTD", "IOC", "FOK", "DTC", "GTX", "AUC", AT_OPENING)

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
"""IB's own algorithms (IBKR Campus, "IB Algorithms"); an order with one trades as it would without it."""

_BY_COMPACT_NAME: Final = {name.replace(" ", ""): name for name in ORDER_TYPES}
_AUCTION_TYPES: Final = {"MOO": "MKT", "LOO": "LMT"}


def canonical(order_type: str, tif: str) -> tuple[str, str]:
    """Order type and time in force as TWS names them: `STPLMT` is `STP LMT`, `MOO` is `MKT` with `OPG`."""
    if order_type in _AUCTION_TYPES:
        return _AUCTION_TYPES[order_type], AT_OPENING
    return _BY_COMPACT_NAME.get(order_type.replace(" ", ""), order_type), tif or "DAY"
