"""Where a fork leaves its source."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Timing:
    """When a recorded call took place: seconds since the epoch, on the clock of the run that made it.

    Attributes:
        run: what tells that run from others: times of two of them do not compare.
        servable: whether its answer is asked for again; one inside a function is part of that one's, and a
            call that was cancelled before it came may be spared.
    """

    step: int
    run: object
    began: float
    ended: float
    servable: bool = True


def snapped(cut: int, calls: Sequence[Timing]) -> int:
    """The cut, moved back in start order until no call was under way across it.

    A call that began before the cut and ended after the call at the cut had begun would give the fork an
    answer from a time that it says it has not reached: the cut goes to where that call began.

    Args:
        cut: number of the first step that goes live.
        calls: recorded calls in start order.
    """
    by_step = {call.step: call for call in calls}
    while (at := by_step.get(cut)) is not None:
        across = [c.step for c in calls if c.step < cut and c.run == at.run and c.ended > at.began]
        if not across:
            break
        cut = min(across)
    return cut
