"""What happens to connectors when their process ends, and in a process that was forked from it."""

from __future__ import annotations

import atexit
import os
import weakref
from typing import Protocol


class Mortal(Protocol):
    """Is told how the process goes on."""

    def exit(self) -> None:
        """The interpreter ends, or would if this one did not keep it."""

    def forked(self) -> None:
        """This is a new process: what it has inherited belongs to its parent."""


_living: weakref.WeakSet[Mortal] = weakref.WeakSet()


def remember(mortal: Mortal) -> None:
    """Tell it, as long as it lives."""
    _living.add(mortal)


def _exit() -> None:
    for mortal in list(_living):
        mortal.exit()


def _forked() -> None:
    for mortal in list(_living):
        mortal.forked()


atexit.register(_exit)
if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_forked)
