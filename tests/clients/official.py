"""The official client's decoder: ibapi 9.81 (up to version 157), or 10.46 as nautilus-ibapi."""

from __future__ import annotations

import inspect
from functools import cache
from typing import Any

import pytest

from ibkr.wire.frame import split_id


def is_old() -> bool:
    """Return whether the installed ibapi is 9.81. Skips the test if no ibapi is installed."""
    decoder = pytest.importorskip("ibapi.decoder", reason="no ibapi in this environment")
    return "msgId" not in inspect.signature(decoder.Decoder.interpret).parameters


def has_fundamentals() -> bool:
    """Whether it has fundamental data, which IB removed in 10.50."""
    wrapper = pytest.importorskip("ibapi.wrapper", reason="no ibapi in this environment")
    return hasattr(wrapper.EWrapper, "fundamentalData")


def interpret(heard: Any, version: int, body: bytes) -> None:
    """Decode this message with it, with ``heard`` as its wrapper."""
    number, is_protobuf, rest = split_id(body, version)
    decoder = _decoder(version)
    decoder.wrapper = _Plain(heard)
    if is_protobuf:
        decoder.processProtoBuf(rest, number)
        return
    fields = tuple(rest.split(b"\0")[:-1])
    decoder.interpret((str(number).encode(), *fields)) if is_old() else decoder.interpret(fields, number)


class _Plain:
    """A wrapper that gets plain values, and not the protobuf messages that they come from."""

    def __init__(self, heard: Any) -> None:
        self._heard = heard

    def __getattr__(self, name: str) -> Any:
        return (lambda *_: None) if name.endswith("ProtoBuf") else getattr(self._heard, name)


def versions(*wanted: int) -> list[int]:
    """The versions that the installed client speaks, of the given versions."""
    from ibapi import server_versions

    top = getattr(server_versions, "MAX_CLIENT_VER", 157)
    return [version for version in wanted if version <= top]


@cache
def _decoder(version: int) -> Any:
    """One decoder per version: making one takes milliseconds, because it looks at every method of its wrapper."""
    from ibapi.decoder import Decoder

    decoder = Decoder(None, version)
    decoder.discoverParams()
    return decoder
