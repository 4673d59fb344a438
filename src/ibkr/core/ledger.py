"""What the program has asked to be streamed: wanted, sent, live, refused. By request id, kind and label only."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from enum import StrEnum

from ibkr.core.facts import EndedStream
from ibkr.core.state import Feed


class Standing(StrEnum):
    """How far one subscription has come in this session."""

    WANTED = "wanted"
    QUEUED = "queued"
    """Asked for, but held back by the limiter."""
    SENT = "sent"
    LIVE = "live"
    REFUSED = "refused"
    ENDED = "ended"


@dataclass(slots=True)
class Entry:
    """One subscription. ``ran`` is True once it has been live in any session, ``cause`` why it is not now."""

    label: str
    feed: Feed
    standing: Standing = Standing.WANTED
    ran: bool = False
    cause: str = ""
    is_withheld: bool = False


class Ledger:
    """The list of subscriptions. A message about an id that it does not know changes nothing."""

    def __init__(self) -> None:
        self._entries: dict[int, Entry] = {}
        self._count: Counter[Standing] = Counter()

    def want(self, req_id: int, label: str, feed: Feed = Feed.MARKET) -> None:
        """A new subscription under this request id."""
        self.forget(req_id)
        self._entries[req_id] = entry = Entry(label, feed)
        self._count[entry.standing] += 1

    def forget(self, req_id: int) -> None:
        """It is cancelled."""
        entry = self._entries.pop(req_id, None)
        if entry is not None:
            self._count[entry.standing] -= 1

    def clear(self) -> None:
        """Forget everything."""
        self._entries.clear()
        self._count.clear()

    def move(self, old: int, new: int) -> None:
        """It goes on under another request id."""
        self._entries[new] = self._entries.pop(old)

    def queued(self, req_id: int) -> None:
        """It is being asked for in this session."""
        entry = self._entries[req_id]
        self._stand(entry, Standing.QUEUED)
        entry.is_withheld = False

    def sent(self, req_id: int) -> bool:
        """The request for it has left; True if that was awaited."""
        entry = self._entries.get(req_id)
        if entry is None or entry.standing is not Standing.QUEUED:
            return False
        self._stand(entry, Standing.SENT)
        return True

    def live(self, req_id: int) -> bool:
        """Its first message came; True if it was awaited."""
        entry = self._entries.get(req_id)
        if entry is None or entry.standing is not Standing.SENT:
            return False
        self._stand(entry, Standing.LIVE)
        entry.ran = True
        return True

    def refuse(self, req_id: int, why: str) -> bool:
        """The gateway will not stream it; True if it was awaited.

        What ran before stays on the list as refused; what is refused when first asked for is dropped.
        """
        entry = self._entries.get(req_id)
        if entry is None or entry.standing is not Standing.SENT:
            return False
        if entry.ran:
            self._stand(entry, Standing.REFUSED)
            entry.cause = why
        else:
            self.forget(req_id)
        return True

    def end(self, req_id: int, why: str) -> bool:
        """The gateway has ended the stream; True if it was sent or live."""
        entry = self._entries.get(req_id)
        if entry is None or entry.standing not in (Standing.SENT, Standing.LIVE):
            return False
        self._stand(entry, Standing.ENDED)
        entry.cause = why
        return True

    def withhold(self, req_id: int) -> bool:
        """The gateway has silenced the stream for a while (10197); True if that is news."""
        entry = self._entries.get(req_id)
        if entry is None or entry.is_withheld:
            return False
        entry.is_withheld = True
        return True

    def ticked(self, req_id: int) -> bool:
        """Data came; True if it had been withheld."""
        entry = self._entries.get(req_id)
        if entry is None or not entry.is_withheld:
            return False
        entry.is_withheld = False
        return True

    def unsend(self) -> None:
        """The gateway has forgotten all of it: the session ended, or it said so (1101)."""
        for entry in self._entries.values():
            self._stand(entry, Standing.WANTED)
            entry.is_withheld = False

    def label(self, req_id: int) -> str:
        """What it is called. Raises ``KeyError`` for an id that is not on the list."""
        return self._entries[req_id].label

    def ids(self, *standings: Standing) -> list[int]:
        """The request ids in the order of asking; only those of the given standings, if any are given."""
        return [req_id for req_id, entry in self._entries.items() if not standings or entry.standing in standings]

    @property
    def held_back(self) -> int:
        """How many wait to be sent."""
        return self._count[Standing.QUEUED]

    @property
    def pending(self) -> int:
        """How many wait to be sent, or for their first message."""
        return self._count[Standing.QUEUED] + self._count[Standing.SENT]

    @property
    def refused(self) -> tuple[str, ...]:
        """What ran before and is refused now, in words."""
        if not self._count[Standing.REFUSED]:
            return ()
        return tuple(
            f"{entry.label} ({entry.cause})" for entry in self._entries.values() if entry.standing is Standing.REFUSED
        )

    @property
    def ended(self) -> tuple[EndedStream, ...]:
        """What the gateway has ended and nobody has asked for again yet."""
        if not self._count[Standing.ENDED]:
            return ()
        return tuple(
            EndedStream(req_id, entry.feed, f"{entry.label} ({entry.cause})")
            for req_id, entry in self._entries.items()
            if entry.standing is Standing.ENDED
        )

    @property
    def withheld(self) -> tuple[str, ...]:
        """The labels of those that the gateway has silenced."""
        return tuple(entry.label for entry in self._entries.values() if entry.is_withheld)

    def _stand(self, entry: Entry, standing: Standing) -> None:
        self._count[entry.standing] -= 1
        self._count[standing] += 1
        entry.standing = standing
