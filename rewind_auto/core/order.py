"""Releases replayed answers in the order in which the recorded ones came.

A program that takes answers as they are ready goes the way it went when recorded, though a replay has them
all at once. Nothing is held that the recorded program had before: an answer waits only for ends that came
before it, of calls that had begun before those ends, so a program that does the same never waits for ever.
"""

from __future__ import annotations

from collections.abc import Container, Iterable
from time import monotonic

from rewind_auto.core import forks, guard
from rewind_auto.core.cut import Timing
from rewind_auto.core.model import StepRef

_POLL = 0.001  # seconds
# Polls that an answer stands back for one that came before it and that it does not follow from. What that one
# sets off takes the program some turns of its event loop, and there is one at least in each poll.
_SETTLING = 3
_PATIENCE = 2.0  # seconds without an end: the program does something else this time


class Turnstile:
    """Where the answers of one replay pass.

    Args:
        calls: every recorded call whose answer can be asked for, of all sessions of the replay.
    """

    def __init__(self, calls: Iterable[tuple[StepRef, Timing]]) -> None:
        ordered = sorted(calls, key=lambda call: (call[1].ended, call[1].step))
        self._timings = dict(ordered)
        self._ends = [(timing.ended, step) for step, timing in ordered]
        self._first = 0  # of those in order, all before this one have passed
        self._passed: set[StepRef] = set()
        self._latest = 0.0  # when the latest of them ended
        self._lock = forks.lock()
        self._moved = monotonic()

    def place(self, step: StepRef) -> Place:
        """The place of a recorded step."""
        timing = self._timings.get(step)
        return Place(self, step, timing.began if timing is not None else 0.0)

    def wait(self, place: Place, at: float) -> float:
        """Seconds after which to ask again whether what came at ``at`` may come now; 0: it may."""
        with self._lock:
            while self._first < len(self._ends) and self._ends[self._first][1] in self._passed:
                self._first += 1
            if self._first == len(self._ends):
                return 0.0
            ended, first = self._ends[self._first]
            if first == place.step or ended >= at:
                return _POLL if place.began < self._latest and place.settling(len(self._passed)) else 0.0
            if monotonic() - self._moved < _PATIENCE:
                return _POLL
            self._first = len(self._ends)
        guard.warn_once(
            "order", f"answers come in no order from here on: recorded step {first.step} is not asked for"
        )
        return 0.0

    def forget(self, sessions: Container[str]) -> None:
        """Wait no more for calls of these sessions: none of them will be asked for again."""
        with self._lock:
            self._ends = [(ended, step) for ended, step in self._ends if step.session not in sessions]
            self._first = 0

    def passed(self, step: StepRef) -> None:
        """The end of a step was told to the program."""
        with self._lock:
            self._passed.add(step)
            timing = self._timings.get(step)
            self._latest = max(self._latest, timing.ended if timing is not None else 0.0)
            self._moved = monotonic()


class Place:
    """Where one answer stands."""

    __slots__ = ("_passed", "_polls", "_turnstile", "began", "step")

    def __init__(self, turnstile: Turnstile, step: StepRef, began: float) -> None:
        self._turnstile = turnstile
        self.step = step
        self.began = began
        self._passed = self._polls = 0

    def settling(self, passed: int) -> bool:
        """Whether the answer that passed last may still be on its way through the program."""
        if passed != self._passed:
            self._passed, self._polls = passed, 0
        self._polls += 1
        return self._polls <= _SETTLING

    def wait(self, offset_us: int) -> float:
        """As `Turnstile.wait`, for what came so many microseconds after the call began."""
        return self._turnstile.wait(self, self.began + offset_us / 1e6)

    def passed(self) -> None:
        """The program has all of it."""
        self._turnstile.passed(self.step)
