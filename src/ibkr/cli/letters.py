"""Text that is read from across the room, and numbers that are seen at a glance."""

from __future__ import annotations

from collections.abc import Sequence

_LETTERS = {
    "A": ("█▀█", "█▀█", "▀ ▀"),
    "C": ("█▀▀", "█  ", "▀▀▀"),
    "D": ("█▀▄", "█ █", "▀▀ "),
    "E": ("█▀▀", "█▀▀", "▀▀▀"),
    "F": ("█▀▀", "█▀▀", "▀  "),
    "G": ("█▀▀", "█ █", "▀▀▀"),
    "I": ("▀█▀", " █ ", "▀▀▀"),
    "L": ("█  ", "█  ", "▀▀▀"),
    "N": ("█▄ █", "█ ▀█", "▀  ▀"),
    "O": ("█▀█", "█ █", "▀▀▀"),
    "R": ("█▀▄", "█▀▄", "▀ ▀"),
    "S": ("█▀▀", "▀▀█", "▀▀▀"),
    "T": ("▀█▀", " █ ", " ▀ "),
    "Y": ("█ █", " █ ", " ▀ "),
}
"""Those that the names of the states are made of."""

_BARS = "▁▂▃▄▅▆▇█"


def large(word: str) -> str:
    """The word in three lines of blocks. Raises ``KeyError`` for a letter that is in no state's name."""
    return "\n".join(" ".join(_LETTERS[letter][line] for letter in word) for line in range(3))


def sparkline(values: Sequence[float]) -> str:
    """One bar for each value, from zero to the largest."""
    top = max(values, default=0.0) or 1.0
    return "".join(_BARS[min(int(value / top * len(_BARS)), len(_BARS) - 1)] for value in values)
