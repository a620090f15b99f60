"""Releases replayed answers in the order in which the recorded ones came.

A program that takes answers as they are ready goes the way it went when recorded, though a replay has them
all at once. Nothing is held that the recorded program had before: an answer waits only for ends that came
before it, of calls that had begun before those ends, so a program that does the same never waits for ever.
"""

from __future__ import annotations

import threading
from collections.abc import Iterable
from time import monotonic

from rewind_auto.core import guard
from rewind_auto.core.cut import Timing

_POLL = 0.001  # seconds
_PATIENCE = 2.0  # seconds without an end: the program does something else this time


class Turnstile:
    """Where the answers of one replay pass.

    Args:
        calls: every recorded call whose answer can be asked for.
    """

    def __init__(self, calls: Iterable[Timing]) -> None:
        ordered = sorted(calls, key=lambda call: (call.ended, call.step))
        self._began = {call.step: call.began for call in ordered}
        self._ends = [(call.ended, call.step) for call in ordered]
        self._first = 0  # of those in order, all before this one have passed
        self._passed: set[int] = set()
        self._lock = threading.Lock()
        self._moved = monotonic()

    def place(self, step: int) -> Place:
        """The place of a recorded step."""
        return Place(self, step, self._began.get(step, 0.0))

    def wait(self, step: int, at: float) -> float:
        """Seconds after which to ask again whether what came at ``at`` may come now; 0: it may."""
        with self._lock:
            while self._first < len(self._ends) and self._ends[self._first][1] in self._passed:
                self._first += 1
            if self._first == len(self._ends):
                return 0.0
            ended, first = self._ends[self._first]
            if first == step or ended >= at:
                return 0.0
            if monotonic() - self._moved < _PATIENCE:
                return _POLL
            self._first = len(self._ends)
        guard.warn_once(
            "order", f"answers come in no order from here on: recorded step {first} is not asked for"
        )
        return 0.0

    def passed(self, step: int) -> None:
        """The end of a step was told to the program."""
        with self._lock:
            self._passed.add(step)
            self._moved = monotonic()


class Place:
    """Where one answer stands."""

    __slots__ = ("_began", "_step", "_turnstile")

    def __init__(self, turnstile: Turnstile, step: int, began: float) -> None:
        self._turnstile = turnstile
        self._step = step
        self._began = began

    def wait(self, offset_us: int) -> float:
        """As `Turnstile.wait`, for what came so many microseconds after the call began."""
        return self._turnstile.wait(self._step, self._began + offset_us / 1e6)

    def passed(self) -> None:
        """The program has all of it."""
        self._turnstile.passed(self._step)
