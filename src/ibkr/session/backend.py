"""The client library itself: imported when the first connector is made, not before."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from ib_async import IB


def new_ib() -> IB:
    """A fresh ``IB``, not connected."""
    from ib_async import IB

    return IB()


def script_loop() -> asyncio.AbstractEventLoop:
    """The loop that the library's own blocking calls (``ib.sleep``, ``ib.reqContractDetails``) run in this thread."""
    from ib_async.util import getLoop

    loop: asyncio.AbstractEventLoop = getLoop()  # type: ignore[no-untyped-call]  # the library has no types here
    return loop
