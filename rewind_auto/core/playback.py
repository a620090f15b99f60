"""Serves a recorded body: its chunks at their boundaries, at once or in recorded time."""

from __future__ import annotations

from collections.abc import Iterator
from time import perf_counter

from rewind_auto.core.model import Ending, Fault, Recording

# How long a call that was cancelled when recorded stays pending on replay, for the program's own time-out or
# cancellation to come again: its recorded time once more, and this.
_GRACE = 5.0  # seconds


class Playback:
    """The body of one served call.

    Iterating gives ``(pause, data)``: wait so many seconds, then hand out the data. All iterators share one
    position: SDKs read on with a second one after the last event.

    Args:
        recording: what to serve.
        speed: 0 for at once, 1 as recorded, N for N times as fast.
    """

    def __init__(self, recording: Recording, speed: float) -> None:
        self._recording = recording
        self.speed = speed
        self._start = perf_counter()
        self.whole_chunk = True  # whether the piece last given was the end of an HTTP chunk
        self._items = self._chunks()

    def __iter__(self) -> Iterator[tuple[float, bytes]]:
        return self._items

    @property
    def head_pause(self) -> float:
        """Seconds to wait before the response comes."""
        if self._recording.head is None and self._recording.ending is Ending.CANCELLED:
            return self._recording.end_us / 1e6 + _GRACE
        return self._until(
            self._recording.end_us if self._recording.head is None else self._recording.head_us
        )

    @property
    def end_pause(self) -> float:
        """Seconds to wait, after the last chunk, before the end is told."""
        if self._recording.ending is Ending.CANCELLED:
            return self._recording.end_us / 1e6 + _GRACE
        return self._until(self._recording.end_us)

    @property
    def fault(self) -> Fault | None:
        """The error that ended the body, if one did."""
        return self._recording.fault

    @property
    def truncated(self) -> bool:
        """Whether the recorded program stopped reading before the end: what came next is not known."""
        return self._recording.ending in (Ending.CLOSED, Ending.CANCELLED)

    def _chunks(self) -> Iterator[tuple[float, bytes]]:
        body, at, unfinished = self._recording.body, 0, frozenset(self._recording.open_cuts)
        for index, (length, offset) in enumerate(self._recording.cuts):
            self.whole_chunk = index not in unfinished
            yield self._until(offset), body[at : at + length]
            at += length

    def _until(self, offset_us: int) -> float:
        if not self.speed:
            return 0.0
        return max(0.0, offset_us / 1e6 / self.speed - (perf_counter() - self._start))
