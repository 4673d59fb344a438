"""The rig, and what brings it into a phase."""

from __future__ import annotations

import asyncio
import socket
import threading
import time
from collections.abc import Callable

import pytest

from ibkr.core.calendar import Calendar
from ibkr.core.policy import Policy
from ibkr.core.situation import Identity, Phase

from .rig import Rig


@pytest.fixture(autouse=True)
def nothing_left(monkeypatch: pytest.MonkeyPatch) -> None:
    """No loop, no socket, no thread, no sleep: what cannot be made cannot be left behind.

    Stands in for the look at what is left that other tests end with; it costs more than most tests here.
    """

    def refuse(*_args: object, **_options: object) -> None:
        raise AssertionError("the core and its tests are pure")

    for owner, name in (asyncio, "new_event_loop"), (socket, "socket"), (threading.Thread, "start"), (time, "sleep"):
        monkeypatch.setattr(owner, name, refuse)


@pytest.fixture
def new_rig() -> Callable[..., Rig]:
    """Makes a rig: keywords are policy values, and ``roll`` the number that chance gives."""

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
    """Idle, all by default."""
    return new_rig()


@pytest.fixture
def ready(rig: Rig) -> Rig:
    """Connected and ``READY``, its record begun anew."""
    rig.connect()
    rig.come_up()
    rig.forget()
    return rig


@pytest.fixture
def bring() -> Callable[..., None]:
    """Brings an idle rig into a phase, by facts alone."""
    return _bring


def _bring(rig: Rig, phase: Phase, attempts: int | None = None) -> None:
    if phase is not Phase.IDLE:
        rig.connect({Phase.FAILED: 1, Phase.WAITING: None}.get(phase, attempts))
    if phase in (Phase.FAILED, Phase.WAITING):
        rig.refuse()
    elif phase is Phase.LOOKING:
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
