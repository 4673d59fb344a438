"""Compares a recording with the simulated gateway: sends the same requests, and lists how the answers differ.

Only the form of the answers is compared, not their values.
"""

import dataclasses
import tempfile
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ibkr.proxy.cleaning import Cleaner
from ibkr.proxy.message_catalog import GATEWAY_MESSAGES, STREAM_MESSAGES
from ibkr.proxy.message_format import describe_format, missing_formats
from ibkr.proxy.recording_reader import Entry, Recording
from ibkr.proxy.request_replayer import RequestReplayer
from ibkr.proxy.response_script import RecordedAnswer, RecordedRequest, ResponseScript
from ibkr.proxy.simulator_setup import gateway_options
from ibkr.simulator import Gateway

MARKET_EXCUSE = "market data"
ORDERS_EXCUSE = "orders of the account"
_MARKET_MESSAGES = STREAM_MESSAGES | {"tickSnapshotEnd", "rerouteMktDataReq"}
_FILL_MESSAGES = frozenset({"execDetails", "commissionReport"})
_ORDER_ROWS = frozenset({"openOrder", "orderStatus", "execDetails", "commissionReport", "completedOrder", "orderBound"})
_ORDER_REQUESTS = frozenset(
    {
        *("startApi", "reqOpenOrders", "reqAllOpenOrders", "reqAutoOpenOrders", "reqExecutions", "reqCompletedOrders"),
    }
)
_KEY_FIELDS = {
    "updateAccountValue": ("key", "currency"),
    "accountUpdateMulti": ("key", "currency"),
    "accountSummary": ("tag", "currency"),
    "position": ("con_id",),
    "positionMulti": ("con_id",),
    "updatePortfolio": ("con_id",),
    "contractDetails": ("con_id",),
    "error": ("code",),
    "tickPrice": ("tick_type",),
    "tickSize": ("tick_type",),
    "tickString": ("tick_type",),
    "tickGeneric": ("tick_type",),
}
"""The fields that identify a row of an answer."""


@dataclass(frozen=True, slots=True)
class Difference:
    """One difference between the recorded and the simulated answers.

    `kind` is message, order, count, fields, format or text. `excuse` says why the difference is perhaps not an error
    of the simulator: market data, or the positions of the account. It is empty if there is no such reason. `times` is
    how often the difference was found.
    """

    request: str
    message: str
    kind: str
    text: str
    excuse: str = ""
    times: int = 1

    def to_dict(self) -> dict[str, Any]:
        return dataclasses.asdict(self)


@dataclass(frozen=True, slots=True)
class Comparison:
    """The differences, those without an excuse first, and the number of compared requests."""

    asked: int
    differences: tuple[Difference, ...]

    @property
    def unexcused(self) -> list[Difference]:
        """The differences that have no excuse."""
        return [found for found in self.differences if not found.excuse]

    def to_dict(self) -> dict[str, Any]:
        return {"asked": self.asked, "differences": [found.to_dict() for found in self.differences]}


async def compare(recording: Recording) -> Comparison:
    """Send the requests of a recording to a simulated gateway with the same accounts, instruments and positions."""
    recorded = ResponseScript(recording)
    with tempfile.TemporaryDirectory() as folder:
        options = gateway_options(recording, Path(folder))
        async with Gateway(**options) as gateway:
            simulated = ResponseScript(await RequestReplayer(recording, gateway.port).replay())
    pairs = [(recorded.start, simulated.start), *zip(recorded.requests, simulated.requests, strict=False)]
    found: Counter[Difference] = Counter()
    cleaner = Cleaner()
    for entry in recording.entries:  # an uncleaned recording shows the cleaner which values are personal
        if entry.body is not None:
            cleaner.clean(entry.body, recorded.version, is_request=entry.is_request)
    for one, other in pairs:
        found.update(_differences(one, other, recorded.version, cleaner))
    listed = [dataclasses.replace(difference, times=times) for difference, times in found.items()]
    return Comparison(len(pairs), tuple(sorted(listed, key=lambda each: (bool(each.excuse), each.request))))


@dataclass(frozen=True)
class AnswersByName:
    """The answers to one request, by the names of the messages."""

    by_name: dict[str, list[Entry]]
    order: list[str]

    @classmethod
    def of(cls, played: Iterable[RecordedAnswer], version: int) -> "AnswersByName":
        by_name: dict[str, list[Entry]] = defaultdict(list)
        reader = Cleaner(keeps_private=True)
        for each in played:
            fields = reader.clean(each.body, version, is_request=False).fields
            by_name[each.name].append(Entry(each.delay, False, each.name, fields, each.body))
        order = [name for name in by_name if name not in _MARKET_MESSAGES and name != "error"]
        return cls(dict(by_name), order)


def _differences(one: RecordedRequest, other: RecordedRequest, version: int, cleaner: Cleaner) -> Iterator[Difference]:
    recorded, simulated = AnswersByName.of(one.answers, version), AnswersByName.of(other.answers, version)
    has_fill = [bool(_FILL_MESSAGES & answers.by_name.keys()) for answers in (recorded, simulated)]
    fills_differ = has_fill[0] is not has_fill[1]
    for name in recorded.by_name.keys() | simulated.by_name.keys():
        for kind, text in _message_differences(name, recorded, simulated, version, cleaner):
            excuse = _excuse(one.name, name, kind, fills_differ=fills_differ)
            yield Difference(one.name, name, kind, text, excuse)
    common = [name for name in recorded.order if name in simulated.by_name]
    theirs = [name for name in simulated.order if name in recorded.by_name]
    if common != theirs:
        excuse = _excuse(one.name, common[0], "order", fills_differ=fills_differ)
        yield Difference(
            one.name, common[0], "order", f"recorded: {', '.join(common)}; simulated: {', '.join(theirs)}", excuse
        )


def _excuse(request: str, message: str, kind: str, *, fills_differ: bool) -> str:
    if message in _MARKET_MESSAGES and kind in ("message", "count"):
        return MARKET_EXCUSE
    if message in _ORDER_ROWS and kind in ("message", "count", "order"):
        if request in _ORDER_REQUESTS:
            return ORDERS_EXCUSE
        return MARKET_EXCUSE if fills_differ else ""
    return ""


def _message_differences(
    name: str, recorded: AnswersByName, simulated: AnswersByName, version: int, cleaner: Cleaner
) -> Iterator[tuple[str, str]]:
    """Yield the kind and the text of each difference in the messages of a name."""
    one, other = recorded.by_name.get(name, []), simulated.by_name.get(name, [])
    if not other:
        yield "message", f"only in the recording{_rows(name, one)}"
    elif not one:
        yield "message", f"only in the simulated gateway{_rows(name, other)}"
    if one and other:
        yield from _row_differences(name, one, other)
    if name == "error":
        yield from _error_text_differences(one, other, cleaner)
    yield from _format_differences(name, one, other, version)


def _rows(name: str, entries: list[Entry]) -> str:
    rows = _row_keys(name, entries)
    return f": {', '.join(sorted(rows))}" if rows else ""


def _row_keys(name: str, entries: list[Entry]) -> set[str]:
    by = _KEY_FIELDS.get(name, ())
    return {" ".join(str(entry.fields.get(field)) for field in by) for entry in entries if entry.fields and by}


def _row_differences(name: str, one: list[Entry], other: list[Entry]) -> Iterator[tuple[str, str]]:
    mine, theirs = _row_keys(name, one), _row_keys(name, other)
    if rows := mine - theirs:
        yield "message", f"only in the recording: {', '.join(sorted(rows))}"
    if rows := theirs - mine:
        yield "message", f"only in the simulated gateway: {', '.join(sorted(rows))}"
    if (name.endswith("End") or not _repeats(name)) and len(one) != len(other):
        yield "count", f"recorded {len(one)} times, simulated {len(other)} times"


def _repeats(name: str) -> bool:
    """Whether an answer may contain several messages of this name."""
    layout = GATEWAY_MESSAGES.get(name)
    single = ("nextValidId", "managedAccounts", "currentTime", "marketRule", "familyCodes", "symbolSamples")
    return layout is None or name not in single


def _error_text_differences(one: list[Entry], other: list[Entry], cleaner: Cleaner) -> Iterator[tuple[str, str]]:
    """Compare the texts of each error code, without numbers and names."""
    texts: list[dict[int, set[str]]] = []
    for entries in (one, other):
        by_code: dict[int, set[str]] = defaultdict(set)
        for entry in entries:
            if entry.fields:
                by_code[entry.fields["code"]].add(_wording(cleaner.clean_sentence(str(entry.fields["text"]))))
        texts.append(by_code)
    for code in texts[0].keys() & texts[1].keys():
        if not texts[0][code] & texts[1][code]:
            yield "text", f"{code}: recorded {sorted(texts[0][code])[0]!r}, simulated {sorted(texts[1][code])[0]!r}"


def _wording(text: str) -> str:
    """Return the words of a sentence up to its colon. The words after the colon name what the sentence is about."""
    head, colon, _ = text.partition(":")
    return "".join("9" if letter.isdigit() else letter for letter in head + colon)


def _format_differences(name: str, one: list[Entry], other: list[Entry], version: int) -> Iterator[tuple[str, str]]:
    common = _row_keys(name, one) & _row_keys(name, other)
    if name in _KEY_FIELDS:  # a row that only one side has is already reported
        one, other = ([each for each in rows if _row_keys(name, [each]) <= common] for rows in (one, other))
    mine, misfits = _collect_formats(one, version)
    theirs, _ = _collect_formats(other, version)
    for misfit in sorted(misfits):
        yield "fields", misfit
    if not theirs:
        return
    for path, formats in mine.items():
        if path not in theirs:
            if not misfits:
                yield "format", f"{path}: recorded {_listed(formats)}, simulated unset"
            continue
        for found in missing_formats(formats, theirs[path]):
            yield "format", f"{path}: recorded {found}, simulated {_listed(theirs[path])}"
    for path in theirs.keys() - mine.keys():
        if not misfits and mine:
            yield "format", f"{path}: recorded unset, simulated {_listed(theirs[path])}"


def _listed(formats: set[str]) -> str:
    return " or ".join(sorted(formats))


def _collect_formats(entries: list[Entry], version: int) -> tuple[dict[str, set[str]], set[str]]:
    """Return the formats of all fields in some messages of one name, and why messages do not fit their layout."""
    found: dict[str, set[str]] = defaultdict(set)
    misfits: set[str] = set()
    for entry in entries:
        if entry.body is None:
            continue
        written = describe_format(entry.body, version)
        if written.misfit:
            misfits.add(written.misfit)
        prefix = _row_prefix(entry)
        for path, formats in written.formats.items():
            found[prefix + path] |= formats
    return found, misfits


def _row_prefix(entry: Entry) -> str:
    """Return a prefix that distinguishes rows of different meaning: account values by key, ticks by type."""
    if entry.name in ("position", "positionMulti", "contractDetails", "updatePortfolio") or not entry.fields:
        return ""
    by = _KEY_FIELDS.get(entry.name, ())
    return f"{' '.join(str(entry.fields.get(field)) for field in by)}: " if by else ""
