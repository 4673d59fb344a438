"""What the program has asked to be streamed: wanted, sent, live, refused. By key, kind and label only."""

from __future__ import annotations

from collections import Counter
from enum import StrEnum

from ibkr.core.facts import EndedStream, Key, RefusedStream
from ibkr.core.state import Feed
from ibkr.core.stats import Subscriptions


class Standing(StrEnum):
    """How far one subscription has come in this session."""

    WANTED = "wanted"
    QUEUED = "queued"
    """Asked for, but held back by the limiter."""
    SENT = "sent"
    LIVE = "live"
    REFUSED = "refused"
    ENDED = "ended"


class Entry:
    """One subscription. ``ran`` is True once it has been live in any session.

    ``cause`` says why it is not live now, and ``code`` is IB's code for that.
    ``was_asked``: before the gateway last forgot.
    """

    standing: Standing = Standing.WANTED
    ran = False
    was_asked = False
    cause = ""
    code: int | None = None
    is_withheld = False

    def __init__(self, label: str, kind: str, feed: Feed | None) -> None:
        self.label = label
        self.kind = kind
        self.feed = feed

    @property
    def words(self) -> str:
        """Its name and why it is not live."""
        cause = self.cause if self.code is None else f"{self.code}: {self.cause}"
        return f"{self.label} ({cause})"


class Ledger:
    """The list of subscriptions. A message about a key that it does not know changes nothing."""

    def __init__(self) -> None:
        self._entries: dict[Key, Entry] = {}
        self._count: Counter[Standing] = Counter()
        self._awaited: Counter[str] = Counter()

    def __contains__(self, key: Key) -> bool:
        return key in self._entries

    def want(self, key: Key, label: str, kind: str, feed: Feed | None) -> None:
        """A new subscription under this key; ``feed`` None: it comes over no farm."""
        self.forget(key)
        self._entries[key] = entry = Entry(label, kind, feed)
        self._counted(entry, 1)

    def forget(self, key: Key) -> None:
        """It is cancelled."""
        entry = self._entries.pop(key, None)
        if entry is not None:
            self._counted(entry, -1)

    def move(self, old: Key, new: Key) -> None:
        """It goes on under another key."""
        self._entries[new] = self._entries.pop(old)

    def queued(self, key: Key) -> None:
        """It is being asked for in this session."""
        entry = self._entries[key]
        self._stand(entry, Standing.QUEUED)
        self._withhold(entry, False)

    def sent(self, key: Key) -> bool:
        """The request for it has left; True if that was awaited."""
        entry = self._entries.get(key)
        if entry is None or entry.standing is not Standing.QUEUED:
            return False
        self._stand(entry, Standing.SENT)
        return True

    def live(self, key: Key) -> bool:
        """Its first message came; True if it was awaited."""
        entry = self._entries.get(key)
        if entry is None or entry.standing is not Standing.SENT:
            return False
        self._stand(entry, Standing.LIVE)
        entry.ran = True
        return True

    def refuse(self, key: Key, why: str, code: int | None = None) -> bool:
        """It will not be streamed, by the gateway's word or because it cannot be asked for; True if it was awaited.

        What ran before stays on the list as refused; what is refused when first asked for is dropped.
        """
        entry = self._entries.get(key)
        if entry is None or entry.standing not in (Standing.QUEUED, Standing.SENT):
            return False
        if entry.ran:
            self._stand(entry, Standing.REFUSED)
            entry.cause, entry.code = why, code
        else:
            self.forget(key)
        return True

    def end(self, key: Key, why: str, code: int | None = None) -> bool:
        """The gateway has ended the stream; True if it was sent or live."""
        entry = self._entries.get(key)
        if entry is None or entry.standing not in (Standing.SENT, Standing.LIVE):
            return False
        self._stand(entry, Standing.ENDED)
        entry.cause, entry.code = why, code
        return True

    def withhold(self, key: Key) -> bool:
        """The gateway has silenced the stream for a while (10197); True if that is news."""
        entry = self._entries.get(key)
        if entry is None or entry.is_withheld:
            return False
        self._withhold(entry, True)
        return True

    def ticked(self, key: Key) -> bool:
        """Data came; True if it had been withheld."""
        entry = self._entries.get(key)
        if entry is None or not entry.is_withheld:
            return False
        self._withhold(entry, False)
        return True

    def unsend(self) -> None:
        """The gateway has forgotten all of it: the session ended, or it said so (1101)."""
        for entry in self._entries.values():
            entry.was_asked = entry.was_asked or entry.standing is not Standing.WANTED
            self._stand(entry, Standing.WANTED)
            self._withhold(entry, False)

    def has_run(self, key: Key) -> bool:
        """Whether it has been live, in this session or in another."""
        entry = self._entries.get(key)
        return entry is not None and entry.ran

    def label(self, key: Key) -> str:
        """What it is called. Raises ``KeyError`` for a key that is not on the list."""
        return self._entries[key].label

    def is_asked(self, key: Key) -> bool:
        """Whether this session's gateway was asked for it, or is about to be, and has not refused."""
        return self._entries[key].standing not in (Standing.WANTED, Standing.REFUSED)

    def kind(self, key: Key) -> str:
        """Of which kind it is. Raises ``KeyError`` for a key that is not on the list."""
        return self._entries[key].kind

    def ids(self, *standings: Standing) -> list[Key]:
        """The keys in the order of asking; only those of the given standings, if any are given."""
        return [key for key, entry in self._entries.items() if not standings or entry.standing in standings]

    @property
    def standings(self) -> Subscriptions:
        """How many stand where."""
        count = self._count
        wanted = count[Standing.WANTED] + count[Standing.QUEUED] + count[Standing.ENDED]
        return Subscriptions(wanted, count[Standing.SENT], count[Standing.LIVE], count[Standing.REFUSED])

    @property
    def held_back(self) -> int:
        """How many wait to be sent."""
        return self._count[Standing.QUEUED]

    @property
    def pending(self) -> int:
        """How many wait to be sent, or for their first message."""
        return self._count[Standing.QUEUED] + self._count[Standing.SENT]

    @property
    def awaited(self) -> list[str]:
        """The kinds of those that wait for a message: the first, or one after they were silenced."""
        return [kind for kind, number in self._awaited.items() if number]

    @property
    def restored(self) -> tuple[str, ...]:
        """The labels of those that run again."""
        return tuple(
            entry.label
            for entry in self._entries.values()
            if entry.was_asked and entry.standing in (Standing.SENT, Standing.LIVE)
        )

    @property
    def refused(self) -> tuple[RefusedStream, ...]:
        """What ran before and is refused now."""
        if not self._count[Standing.REFUSED]:
            return ()
        return tuple(
            RefusedStream(entry.words, entry.code)
            for entry in self._entries.values()
            if entry.standing is Standing.REFUSED
        )

    @property
    def ended(self) -> tuple[EndedStream, ...]:
        """What the gateway has ended and nobody has asked for again yet."""
        if not self._count[Standing.ENDED]:
            return ()
        return tuple(
            EndedStream(key, entry.feed, entry.words, entry.code)
            for key, entry in self._entries.items()
            if entry.standing is Standing.ENDED
        )

    @property
    def withheld(self) -> tuple[str, ...]:
        """The labels of those that the gateway has silenced."""
        return tuple(entry.label for entry in self._entries.values() if entry.is_withheld)

    def _stand(self, entry: Entry, standing: Standing) -> None:
        self._counted(entry, -1)
        entry.standing = standing
        self._counted(entry, 1)

    def _counted(self, entry: Entry, one: int) -> None:
        self._count[entry.standing] += one
        if entry.standing in (Standing.QUEUED, Standing.SENT) or entry.is_withheld:
            self._awaited[entry.kind] += one

    def _withhold(self, entry: Entry, is_withheld: bool) -> None:
        self._counted(entry, -1)
        entry.is_withheld = is_withheld
        self._counted(entry, 1)
