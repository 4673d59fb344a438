"""Decides when the next attempt begins, by the kind and number of failures and the time without a session.

There are two other waits. The attempts of a first ``connect()`` are ``connect_pause`` apart, unless it uses
``wait=True``, or our earlier session still uses the client id (see ``attempts.fail_attempt``). If sessions are lost too
often, the next attempt waits ``flap_pause`` (see ``attempts._fail_session``).
"""

from __future__ import annotations

from ibkr.core.attempt_failure import Failure, FailureKind
from ibkr.core.frozen_record import FrozenRecord
from ibkr.core.policy import Policy


class RetryDelay(FrozenRecord):
    """Seconds to wait, counted from the start or the end of the failed attempt."""

    seconds: float
    from_end: bool = False

    def left(self, started: float, now: float) -> float:
        """The rest of the wait at ``now``, for an attempt that began at ``started`` and has just failed."""
        return self.seconds if self.from_end else max(0.0, started + self.seconds - now)


def retry_delay(
    failure: Failure, in_a_row: int, out_for: float, policy: Policy, roll: float, *, id_in_use_for: float = 0.0
) -> RetryDelay:
    """The delay before the next attempt.

    Args:
        failure: How the last attempt failed.
        in_a_row: Consecutive failures of this kind, including this one.
        out_for: Seconds since the first attempt of this outage.
        policy: The delays.
        roll: A random number from 0 to below 1. It shortens the delay by up to ``policy.jitter``.
        id_in_use_for: Seconds for which the gateway has refused the client id as in use (326) without a break.
    """
    less = 1.0 - policy.jitter * roll
    later = out_for >= policy.later_after
    if failure.kind is FailureKind.UNREACHABLE:
        return RetryDelay((policy.refused_every_later if later else policy.refused_every) * less)
    if failure.kind is FailureKind.CLOSED and failure.before_any_byte:
        return RetryDelay((policy.closed_every_later if later else policy.closed_every) * less)
    if failure.kind is FailureKind.CLIENT_ID_IN_USE:
        return RetryDelay(_client_id_wait(id_in_use_for, policy) * less)
    # A silent attempt lasts its complete timeout, and may open a dialog in TWS each time. So the delay begins at the
    # end of the attempt.
    doubled = policy.backoff_first * 2.0 ** min(in_a_row - 1, 30)
    return RetryDelay(min(policy.backoff_cap, doubled) * less, from_end=failure.kind is FailureKind.SILENT)


def _client_id_wait(refused_for: float, policy: Policy) -> float:
    """Return short delays first: usually the gateway holds the id for our lost session and soon releases it."""
    if refused_for < policy.client_id_later_after:
        return policy.client_id_every
    return policy.client_id_every_later if refused_for < policy.client_id_last_after else policy.client_id_every_last
