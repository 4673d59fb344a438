"""The official client's own decoder: ibapi 9.81 (up to version 157), or 10.46 as nautilus-ibapi."""

from __future__ import annotations

import inspect
from functools import cache
from typing import Any

import pytest


def is_old() -> bool:
    """Whether it is 9.81; the test is skipped where none is installed."""
    decoder = pytest.importorskip("ibapi.decoder", reason="no ibapi in this environment")
    return "msgId" not in inspect.signature(decoder.Decoder.interpret).parameters


def has_fundamentals() -> bool:
    """Whether it knows fundamental data, which IB has removed from 10.50 on."""
    wrapper = pytest.importorskip("ibapi.wrapper", reason="no ibapi in this environment")
    return hasattr(wrapper.EWrapper, "fundamentalData")


def interpret(heard: Any, version: int, body: bytes) -> None:
    """Have it decode this message, and tell ``heard``, in place of its wrapper."""
    fields = tuple(body.split(b"\0")[:-1])
    decoder = _decoder(version)
    decoder.wrapper = heard
    decoder.interpret(fields) if is_old() else decoder.interpret(fields[1:], int(fields[0]))


@cache
def _decoder(version: int) -> Any:
    """One for each version: it looks at every method of its wrapper's class first, which takes milliseconds."""
    from ibapi.decoder import Decoder

    decoder = Decoder(None, version)
    decoder.discoverParams()
    return decoder
