"""`Answers`: answers from a TOML file that a user can replace: scanners, news, calendars, FA, the user.

The file of the package is `data/answers.toml`.
"""

import datetime as dt
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Final, TypeVar

from ibkr.simulator import data_files
from ibkr.simulator.market.instrument import Instrument

_T = TypeVar("_T")

SHIPPED: Final = Path(__file__).parents[1] / "data" / "answers.toml"


@dataclass(frozen=True)
class User:
    """The logged-in user."""

    white_branding_id: str = ""
    family_code: str = ""


@dataclass(frozen=True)
class Tier:
    """A soft dollar tier."""

    name: str
    value: str
    display_name: str


@dataclass(frozen=True)
class DepthExchange:
    """An exchange that offers market depth."""

    exchange: str
    sec_type: str
    listing_exchange: str = ""
    service_data_type: str = "Deep"
    agg_group: int = 2147483647


@dataclass(frozen=True)
class Component:
    """An exchange within SMART, with its letter in quotes."""

    bit: int
    exchange: str
    letter: str


@dataclass(frozen=True)
class Scan:
    """The result of a scanner: symbols by rank."""

    scan_code: str
    symbols: list[str]


@dataclass(frozen=True)
class Parameters:
    """The scanner parameters, as XML."""

    xml: str


@dataclass(frozen=True)
class Provider:
    """A news provider."""

    code: str
    name: str


@dataclass(frozen=True)
class Article:
    """A news article. `time` is `yyyy-mm-dd HH:MM:SS.0`. A `live` article is sent with generic tick 292."""

    provider: str
    id: str
    time: str
    headline: str
    text: str
    symbols: list[str] = field(default_factory=list)
    live: bool = False
    type: int = 0

    @property
    def milliseconds(self) -> int:
        """The time in milliseconds since the epoch. Raises `ValueError` if `time` has another form."""
        return int(dt.datetime.fromisoformat(self.time).replace(tzinfo=dt.UTC).timestamp() * 1000)


@dataclass(frozen=True)
class Bulletin:
    """A bulletin of the day. `kind`: 1 regular, 2 exchange no longer available, 3 available again."""

    id: int
    text: str
    exchange: str = ""
    kind: int = 1


@dataclass(frozen=True)
class Report:
    """Fundamental data of a symbol."""

    symbol: str
    report: str
    xml: str


@dataclass(frozen=True)
class Calendar:
    """The calendar data of Wall Street Horizon (WSH) as JSON.

    These are the events of a symbol, or the meta data if the symbol is empty.
    """

    json: str
    symbol: str = ""


@dataclass(frozen=True)
class Advisor:
    """FA configuration. `kind`: 1 groups, 2 profiles, 3 aliases."""

    kind: int
    xml: str


_KINDS: Final[dict[str, type]] = {
    "user": User,
    "soft_dollar_tier": Tier,
    "depth_exchange": DepthExchange,
    "smart_component": Component,
    "scan": Scan,
    "scanner_parameters": Parameters,
    "news_provider": Provider,
    "news": Article,
    "bulletin": Bulletin,
    "fundamental": Report,
    "wsh": Calendar,
    "advisor": Advisor,
}


class Answers:
    """The entries of a file by kind."""

    def __init__(self, entries: Mapping[str, list[object]]) -> None:
        self._entries = entries
        self.user = next(iter(self.all(User)), User())

    def all(self, kind: type[_T]) -> list[_T]:
        """Return all entries of a kind, in order."""
        return [entry for entry in self._entries[_name(kind)] if isinstance(entry, kind)]

    def rows(self, kind: type[object]) -> list[dict[str, object]]:
        """Return all entries of a kind as mappings, for a layout."""
        # Every kind is a dataclass, but the type `type[object]` does not show this.
        return [asdict(entry) for entry in self.all(kind)]  # type: ignore[call-overload]

    def tick_news(self, item: Instrument) -> list[dict[str, object]]:
        """Return the fields of message 84 for the live news of an instrument, or of a provider for a NEWS contract."""
        return [
            {
                "time": news.milliseconds,
                "provider": news.provider,
                "article_id": news.id,
                "headline": news.headline,
                "extra": "",
            }
            for news in self.all(Article)
            if news.live
            and (news.provider == item.exchange if item.sec_type == "NEWS" else item.symbol in news.symbols)
        ]


def _name(kind: type[object]) -> str:
    return next(name for name, found in _KINDS.items() if found is kind)


def load_answers(path: str | Path = SHIPPED) -> Answers:
    """Load the answers of a file. Raises `DataError`, which names the file, the entry, and the field."""
    entries = data_files.read(path, tuple(_KINDS))
    for entry in entries["news"]:
        try:
            _ = entry.build(Article).milliseconds
        except data_files.DataError:
            raise
        except ValueError:
            raise entry.error("time", "a time such as 2026-01-05 14:31:00.0 is needed") from None
    return Answers({kind: [entry.build(_KINDS[kind]) for entry in found] for kind, found in entries.items()})
