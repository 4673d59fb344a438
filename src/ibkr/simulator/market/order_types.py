"""The order types and order attributes that contract details name, by kind of instrument.

The lists of stocks and futures are those of AAPL and MES from a paper account (2026), the others are from public
transcripts.
"""

from typing import Final

_COMMON: Final = (
    "ACTIVETIM,AD,ADJUST,ALERT,ALLOC,AVGCOST,BASKET,COND,CONDORDER,DAY,DEACT,DEACTDIS,DEACTEOD,GAT,GTC,GTD,GTT,HID,"
    "IOC,LIT,LMT,MIT,MKT,NONALGO,OCA,SCALE,SCALERST,STP,STPLMT,TRAIL,TRAILLIT,TRAILLMT,TRAILMIT,WHATIF"
)

_MORE: Final = {
    "STK": (
        "ADDONT,ALGO,AON,BENCHPX,CASHQTY,DARKONLY,DARKPOLL,DIS,DUR,IBKRATS,ICE,IMB,LOC,MIDPX,MOC,MTL,NGCOMB,NODARK,OPG,"
        "OPGREROUT,PEGBENCH,PEGMID,POSTATS,POSTONLY,PREOPGRTH,PRICECHK,REL,REL2MID,RELPCTOFS,RPI,RTH,SCALEODD,SIZECHK,"
        "SMARTSTG,SNAPMID,SNAPMKT,SNAPREL,SWEEP"
    ),
    "FUT": "ALGO,BENCHPX,ICE,LTH,MTL,NGCOMB,PEGBENCH,SNAPMID,SNAPMKT,SNAPREL",
    "OPT": (
        "ALGO,AON,DIS,FOK,ICE,MTL,NGCOMB,OPENCLOSE,PEGMIDVOL,PEGMKTVOL,PEGPRMVOL,PEGSRFVOL,PRICECHK,REL,RELPCTOFS,"
        "SIZECHK,SNAPMID,SNAPMKT,SNAPREL,SWEEP,VOLAT"
    ),
    "CASH": "ALGO,CASHQTY,REL,RELPCTOFS",
    "CFD": "ALGO,CASHQTY,REL,RELPCTOFS,SNAPMID,SNAPMKT,SNAPREL",
    "CRYPTO": "CASHQTY",
    "BOND": "NGCOMB",
}
_LIKE: Final = {"FOP": "OPT", "CONTFUT": "FUT"}


def order_types_of(sec_type: str) -> str:
    """The field `orderTypes` for a kind of instrument: sorted, separated by commas. An index cannot be traded."""
    if sec_type == "IND":
        return ""
    more = _MORE.get(_LIKE.get(sec_type, sec_type), "")
    return ",".join(sorted({*_COMMON.split(","), *filter(None, more.split(","))}))
