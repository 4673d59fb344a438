"""`ScenarioPlayer`: runs a scenario on a gateway."""

import asyncio
import logging
from collections import Counter

from ibkr.simulator.faults.fault_context import FaultContext
from ibkr.simulator.faults.fault_registry import FaultError
from ibkr.simulator.scenarios.scenario import Scenario, Step
from ibkr.simulator.scheduling import Hooks

log = logging.getLogger("ibkr.simulator")

_IN_ORDER = 1e-6


class ScenarioPlayer:
    """Runs one scenario one time, at `speed` times its speed. The constructor starts it, in the gateway's loop."""

    def __init__(self, faults: FaultContext, hooks: Hooks, scenario: Scenario, speed: float) -> None:
        self._faults = faults
        self._steps = scenario.steps
        self._speed = speed
        self._received: Counter[str] = Counter()
        self._handles: dict[Step, asyncio.Handle] = {}
        self._loop = asyncio.get_running_loop()
        self._remove_listener = hooks.listen(self._reached, self._answered)
        log.info("scenario %s: %s", scenario.name, scenario.about)
        began = self._loop.time()
        for number, step in enumerate(self._steps):
            first = step.every if step.at is None else step.at
            if first is not None:
                self._schedule(step, began + first / speed + number * _IN_ORDER)

    def stop(self) -> None:
        """Stop the scenario."""
        self._remove_listener()
        for handle in self._handles.values():
            handle.cancel()
        self._handles.clear()

    def _schedule(self, step: Step, due: float) -> None:
        self._handles[step] = self._loop.call_at(due, self._on_due, step, due)

    def _on_due(self, step: Step, due: float) -> None:
        if step.every is not None:
            self._schedule(step, due + step.every / self._speed)
        self._carry_out(step)

    def _reached(self, name: str) -> None:
        self._received[name] += 1
        for step in self._steps:
            if step.when == name and self._received[name] == step.count:
                self._carry_out(step)

    def _answered(self, name: str, at: float) -> None:
        for step in self._steps:
            if step.after == name and self._received[name] == step.count:
                # Run the step when the answer was sent. If it is sent now, use the next iteration of the loop.
                later = self._loop.call_at(at + _IN_ORDER, self._carry_out, step) if at else None
                self._handles[step] = later or self._loop.call_soon(self._carry_out, step)

    def _carry_out(self, step: Step) -> None:
        log.info("scenario: %s", step)
        try:
            step.fault.method(self._faults, **step.fault.scaled_arguments(step.arguments, self._speed))
        except FaultError as error:  # a farm, a symbol or a port that only a running gateway can check
            log.error("scenario: %s: %s", step, str(error).removeprefix(f"{step.fault.name}: "))
