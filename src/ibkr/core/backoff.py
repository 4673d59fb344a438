"""When to try again: from the cause of the last failure, how often it came, and for how long we are out."""

from __future__ import annotations

from ibkr.core.failure import Failure, FailureKind
from ibkr.core.policy import Policy
from ibkr.core.value import Value


class Wait(Value):
    """Seconds to wait, counted from the start of the failed attempt, or from its end."""

    seconds: float
    from_end: bool = False

    def left(self, started: float, now: float) -> float:
        """What of the wait is left at ``now``, for an attempt begun at ``started`` that has just failed."""
        return self.seconds if self.from_end else max(0.0, started + self.seconds - now)


def wait_after(
    failure: Failure, in_a_row: int, out_for: float, policy: Policy, roll: float, *, id_in_use_for: float = 0.0
) -> Wait:
    """The wait before the next attempt.

    Args:
        failure: How the last attempt failed.
        in_a_row: Failures of this kind in a row, this one counted.
        out_for: Seconds since the first attempt of this outage.
        policy: The numbers.
        roll: Chance, from 0 to below 1. It shortens the wait by up to ``policy.jitter``.
        id_in_use_for: Seconds since the gateway first refused the client id as in use (326), without a break.
    """
    less = 1.0 - policy.jitter * roll
    later = out_for >= policy.later_after
    if failure.kind is FailureKind.UNREACHABLE:
        return Wait((policy.refused_every_later if later else policy.refused_every) * less)
    if failure.kind is FailureKind.CLOSED and failure.before_any_byte:
        return Wait((policy.closed_every_later if later else policy.closed_every) * less)
    if failure.kind is FailureKind.CLIENT_ID_IN_USE:
        return Wait(_client_id_wait(id_in_use_for, policy) * less)
    # An attempt that stays silent lasts its whole timeout, and may open a dialog each time: its wait begins at its end.
    doubled = policy.backoff_first * 2.0 ** min(in_a_row - 1, 30)
    return Wait(min(policy.backoff_cap, doubled) * less, from_end=failure.kind is FailureKind.SILENT)


def _client_id_wait(refused_for: float, policy: Policy) -> float:
    """Short waits first: the gateway most often holds our own lost session, and releases it within seconds."""
    if refused_for < policy.client_id_later_after:
        return policy.client_id_every
    return policy.client_id_every_later if refused_for < policy.client_id_last_after else policy.client_id_every_last
