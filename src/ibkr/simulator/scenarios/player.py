"""Plays a scenario on a gateway."""

import asyncio
import logging
from collections import Counter

from ibkr.simulator.connection.moments import Moments
from ibkr.simulator.faults.control import FaultControl
from ibkr.simulator.faults.registry import FaultError
from ibkr.simulator.scenarios.scenario import Scenario, Step

log = logging.getLogger("ibkr.simulator")

_IN_ORDER = 1e-6


class Player:
    """One play of one scenario, `speed` times as fast as it is written.

    It begins when it is made, in the gateway's loop.
    """

    def __init__(self, faults: FaultControl, moments: Moments, scenario: Scenario, speed: float) -> None:
        self._faults = faults
        self._steps = scenario.steps
        self._speed = speed
        self._received: Counter[str] = Counter()
        self._handles: dict[Step, asyncio.Handle] = {}
        self._loop = asyncio.get_running_loop()
        self._leave = moments.listen(self._reached, self._answered)
        log.info("scenario %s: %s", scenario.name, scenario.about)
        began = self._loop.time()
        for number, step in enumerate(self._steps):
            first = step.every if step.at is None else step.at
            if first is not None:
                self._await(step, began + first / speed + number * _IN_ORDER)

    def stop(self) -> None:
        """Nothing more happens."""
        self._leave()
        for handle in self._handles.values():
            handle.cancel()
        self._handles.clear()

    def _await(self, step: Step, due: float) -> None:
        self._handles[step] = self._loop.call_at(due, self._come, step, due)

    def _come(self, step: Step, due: float) -> None:
        if step.every is not None:
            self._await(step, due + step.every / self._speed)
        self._carry_out(step)

    def _reached(self, name: str) -> None:
        self._received[name] += 1
        for step in self._steps:
            if step.when == name and self._received[name] == step.count:
                self._carry_out(step)

    def _answered(self, name: str, at: float) -> None:
        for step in self._steps:
            if step.after == name and self._received[name] == step.count:
                # In the loop's next round, or when the answer has left.
                later = self._loop.call_at(at + _IN_ORDER, self._carry_out, step) if at else None
                self._handles[step] = later or self._loop.call_soon(self._carry_out, step)

    def _carry_out(self, step: Step) -> None:
        log.info("scenario: %s", step)
        try:
            step.fault.method(self._faults, **step.fault.at_speed(step.arguments, self._speed))
        except FaultError as error:  # what only the gateway knows: its farms, its symbols, a port that is taken
            log.error("scenario: %s: %s", step, str(error).removeprefix(f"{step.fault.name}: "))
