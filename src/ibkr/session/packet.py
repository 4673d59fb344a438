"""What one packet says, told as few facts: each costs a step of the machine, and a session's first packets say much."""

from __future__ import annotations

from collections.abc import Callable

from ibkr.core.facts import Fact, FarmsTold, StartupAnswered
from ibkr.session.tap import Tap


class Packet:
    """Notices of farms and answers to start-up requests, held back until ``tell``; nothing else may overtake them.

    ``tap`` calls that at the end of each packet; between two, nothing is held back. ``post`` takes the facts.
    """

    def __init__(self, tap: Tap, post: Callable[[Fact], None]) -> None:
        self._tap = tap
        tap.on_packet = self.tell
        self._post = post
        self.begin(0)

    def begin(self, attempt: int) -> None:
        """An attempt begins: what was said in another is no news."""
        self._attempt = attempt
        self._notices: list[tuple[int, str]] = []
        self._answers: list[str] = []
        self._read_only = False

    def notice(self, code: int, text: str) -> None:
        """The gateway says how a farm is."""
        self._notices.append((code, text))
        if not self._tap.is_reading:
            self.tell()

    def answer(self, name: str, *, read_only: bool, at_once: bool) -> None:
        """A start-up request is answered; ``read_only``: by a refusal, because the API is read-only."""
        self._answers.append(name)
        self._read_only |= read_only
        if at_once or not self._tap.is_reading:
            self.tell()

    def tell(self) -> None:
        """Post what was held back, if anything was."""
        if self._notices:
            notices, self._notices = tuple(self._notices), []
            self._post(FarmsTold(self._attempt, notices))
        if self._answers:
            names, self._answers = tuple(self._answers), []
            self._post(StartupAnswered(self._attempt, names, self._read_only))
