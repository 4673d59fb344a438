"""The names of messages that a gateway sends, by id, as in ibapi's `EWrapper`.

Source: ibapi 10.46 `message.py` and the methods that its `decoder.py` calls.
"""

from collections.abc import Iterator

from ibkr.wire import protobuf_schema
from ibkr.wire.frame import BINARY_IDS, split_id
from ibkr.wire.layout_items import LayoutError

_TABLE = """
1 tickPrice 2 tickSize 3 orderStatus 4 error 5 openOrder 6 updateAccountValue 7 updatePortfolio 8 updateAccountTime
9 nextValidId 10 contractDetails 11 execDetails 12 updateMktDepth 13 updateMktDepthL2 14 updateNewsBulletin
15 managedAccounts 16 receiveFA 17 historicalData 18 bondContractDetails 19 scannerParameters 20 scannerData
21 tickOptionComputation 45 tickGeneric 46 tickString 47 tickEFP 49 currentTime 50 realtimeBar 51 fundamentalData
52 contractDetailsEnd 53 openOrderEnd 54 accountDownloadEnd 55 execDetailsEnd 56 deltaNeutralValidation
57 tickSnapshotEnd 58 marketDataType 59 commissionReport 61 position 62 positionEnd 63 accountSummary
64 accountSummaryEnd 65 verifyMessageAPI 66 verifyCompleted 67 displayGroupList 68 displayGroupUpdated
69 verifyAndAuthMessageAPI 70 verifyAndAuthCompleted 71 positionMulti 72 positionMultiEnd 73 accountUpdateMulti
74 accountUpdateMultiEnd 75 securityDefinitionOptionParameter 76 securityDefinitionOptionParameterEnd
77 softDollarTiers 78 familyCodes 79 symbolSamples 80 mktDepthExchanges 81 tickReqParams 82 smartComponents
83 newsArticle 84 tickNews 85 newsProviders 86 historicalNews 87 historicalNewsEnd 88 headTimestamp 89 histogramData
90 historicalDataUpdate 91 rerouteMktDataReq 92 rerouteMktDepthReq 93 marketRule 94 pnl 95 pnlSingle
96 historicalTicks 97 historicalTicksBidAsk 98 historicalTicksLast 99 tickByTick 100 orderBound 101 completedOrder
102 completedOrdersEnd 103 replaceFAEnd 104 wshMetaData 105 wshEventData 106 historicalSchedule 107 userInfo
108 historicalDataEnd 109 currentTimeInMillis 110 configResponse 111 updateConfigResponse
"""


def _pairs() -> Iterator[tuple[int, str]]:
    words = iter(_TABLE.split())
    for number in words:
        yield int(number), next(words)


_BY_ID = {str(number).encode(): name for number, name in _pairs()}
_TICK_BY_TICK = {
    b"1": "tickByTickAllLast",
    b"2": "tickByTickAllLast",
    b"3": "tickByTickBidAsk",
    b"4": "tickByTickMidPoint",
}
"""The name of message 99 depends on its third field, the tick type."""

MESSAGE_NAMES = frozenset(_BY_ID.values()) - {"tickByTick"} | frozenset(_TICK_BY_TICK.values())
"""All names."""


def message_name(body: bytes) -> str:
    """Return the name of a message from its body, in either encoding, or `unknown`."""
    if body[:1] == b"\0":  # a binary id; text starts with a digit
        return _binary_name(body)
    head = body.split(b"\0", 3)
    if head[0] == b"99" and len(head) > 2:
        return _TICK_BY_TICK.get(head[2], "unknown")
    return _BY_ID.get(head[0], "unknown")


def _binary_name(body: bytes) -> str:
    number, is_protobuf, rest = split_id(body, BINARY_IDS)
    if number != 99:
        return _BY_ID.get(b"%d" % number, "unknown")
    if not is_protobuf:
        return _TICK_BY_TICK.get(rest.split(b"\0")[1] if rest.count(b"\0") > 1 else b"", "unknown")
    try:
        kind = protobuf_schema.parse("TickByTickData", rest).tickType
    except LayoutError:
        return "unknown"
    return _TICK_BY_TICK.get(b"%d" % kind, "unknown")
