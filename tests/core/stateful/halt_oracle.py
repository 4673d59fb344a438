"""The design's rules for a halt and for the journal."""

from __future__ import annotations

from ibkr.core import effects as do
from ibkr.core import events as event_of
from ibkr.core.effects import Effect
from ibkr.core.events import Event

from .gateway_model import Link


class HaltOracle:
    """Checks these rules during all sessions of one rig."""

    def __init__(self) -> None:
        self._is_halted = self._cancel_due = self._journal_fails = False

    @property
    def hinder(self) -> bool:
        """Whether new orders are forbidden."""
        return self._is_halted or self._journal_fails

    def take(self, event: Event, link: Link) -> None:
        """Process an event. ``link`` is the link before the event."""
        if link.upstream == "down" or link.read_only:
            link.cancel_sent = False  # the cancel was lost or refused
        match event:
            case event_of.Halted():
                self._is_halted = self._cancel_due = True
                link.cancel_sent = False
            case event_of.Resumed():
                self._is_halted = self._cancel_due = False
            case event_of.GlobalCancelDelivered(_, link.cancels) if link.cancel_sent:
                self._cancel_due = False
            case event_of.JournalTroubleChanged(trouble):
                self._journal_fails = bool(trouble)

    def follow(self, effect: Effect, link: Link) -> None:
        """Process an effect."""
        if isinstance(effect, do.SendGlobalCancel):
            assert self._cancel_due, "nobody wants it"
            assert not link.cancel_sent, "once in each session"
            link.cancel_sent, link.cancels = True, effect.number

    def check(self, link: Link) -> None:
        """Check after one step, in a session in which messages arrive."""
        if link.read_only:
            return
        assert link.cancel_sent or not self._cancel_due, "the global cancel could be sent, and was not"
