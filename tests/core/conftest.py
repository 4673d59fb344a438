"""Fixtures of the core's tests: the rig, and how to bring it into a phase."""

from __future__ import annotations

import asyncio
import socket
import threading
import time
from collections.abc import Callable

import pytest

from ibkr.core.machine_state import Identity, Phase
from ibkr.core.maintenance_calendar import Calendar
from ibkr.core.policy import Policy

from .rig import Rig


@pytest.fixture(autouse=True)
def nothing_left(monkeypatch: pytest.MonkeyPatch) -> None:
    """A test of the core makes no loop, socket or thread, so it cannot leave one behind.

    This fixture replaces the check of the other tests, because that check takes longer than most tests of the core.
    """

    def refuse(*_args: object, **_options: object) -> None:
        raise AssertionError("the core and its tests are pure")

    for owner, name in (asyncio, "new_event_loop"), (socket, "socket"), (threading.Thread, "start"), (time, "sleep"):
        monkeypatch.setattr(owner, name, refuse)


@pytest.fixture
def new_rig() -> Callable[..., Rig]:
    """Makes a rig. The keywords are fields of the policy. ``roll`` is the value of every random number."""

    def make(
        *,
        readonly: bool = False,
        account: str = "",
        roll: float = 0.0,
        calendar: Calendar | None = None,
        **policy: object,
    ) -> Rig:
        identity = Identity("127.0.0.1", 7497, 7, 5.0, readonly, account)
        return Rig(Policy(**policy), identity, lambda: roll, calendar or Calendar())

    return make


@pytest.fixture
def rig(new_rig: Callable[..., Rig]) -> Rig:
    """A rig in phase IDLE, with default settings."""
    return new_rig()


@pytest.fixture
def ready(rig: Rig) -> Rig:
    """A rig that is connected and ``READY``, with an empty record."""
    rig.connect()
    rig.come_up()
    rig.forget()
    return rig


@pytest.fixture
def bring() -> Callable[..., None]:
    """Brings an idle rig into a phase, by events only."""
    return _bring


def _bring(rig: Rig, phase: Phase, attempts: int | None = None) -> None:
    if phase is not Phase.IDLE:
        rig.connect({Phase.FAILED: 1, Phase.WAITING: None}.get(phase, attempts))
    if phase in (Phase.FAILED, Phase.WAITING):
        rig.refuse()
    elif phase is Phase.IDENTIFYING:
        rig.answers_looks = False
        rig.accept()
        rig.advance(5)
    elif phase in (Phase.STARTUP, Phase.RESTORING, Phase.UP, Phase.CLOSING):
        rig.subscriptions = 1 if phase is Phase.RESTORING else 0
        rig.accept()
        rig.open_session()
        rig.code(2104, "usfarm")
        if phase is not Phase.STARTUP:
            rig.answer()
        if phase is Phase.CLOSING:
            rig.reconnect()
    assert rig.machine.phase is phase
