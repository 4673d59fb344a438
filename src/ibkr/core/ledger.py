"""What the program has asked to be streamed: wanted, sent, live, refused. By request id, kind and label only."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum


class Standing(StrEnum):
    """How far one subscription has come in this session."""

    WANTED = "wanted"
    SENT = "sent"
    LIVE = "live"
    REFUSED = "refused"


@dataclass(slots=True)
class Entry:
    """One subscription. ``ran`` is True once it has been live in any session."""

    label: str
    standing: Standing = Standing.WANTED
    ran: bool = False
    refusal: str = ""


class Ledger:
    """The list of subscriptions. A message about an id that it does not know changes nothing."""

    def __init__(self) -> None:
        self._entries: dict[int, Entry] = {}

    def want(self, req_id: int, label: str) -> None:
        """A new subscription under this request id."""
        self._entries[req_id] = Entry(label)

    def forget(self, req_id: int) -> None:
        """It is cancelled."""
        self._entries.pop(req_id, None)

    def clear(self) -> None:
        """Forget everything."""
        self._entries.clear()

    def move(self, old: int, new: int) -> None:
        """It goes on under another request id."""
        self._entries[new] = self._entries.pop(old)

    def sent(self, req_id: int) -> None:
        """It was asked for in this session."""
        self._entries[req_id].standing = Standing.SENT

    def live(self, req_id: int) -> bool:
        """Its first message came; True if it was awaited."""
        entry = self._entries.get(req_id)
        if entry is None or entry.standing is not Standing.SENT:
            return False
        entry.standing = Standing.LIVE
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
            entry.standing = Standing.REFUSED
            entry.refusal = why
        else:
            self.forget(req_id)
        return True

    def unsend(self) -> None:
        """The gateway has forgotten all of it: the session ended, or it said so (1101)."""
        for entry in self._entries.values():
            entry.standing = Standing.WANTED

    def ids(self, *standings: Standing) -> list[int]:
        """The request ids in the order of asking; only those of the given standings, if any are given."""
        return [req_id for req_id, entry in self._entries.items() if not standings or entry.standing in standings]

    @property
    def pending(self) -> int:
        """How many were sent and wait for their first message."""
        return len(self.ids(Standing.SENT))

    @property
    def refused(self) -> tuple[str, ...]:
        """What ran before and is refused now, in words."""
        return tuple(
            f"{entry.label} ({entry.refusal})" for entry in self._entries.values() if entry.standing is Standing.REFUSED
        )
