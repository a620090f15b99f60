"""Serves a recorded body: its chunks at their boundaries, at once or in recorded time."""

from __future__ import annotations

from collections.abc import Generator, Iterator
from time import perf_counter
from typing import TypeVar

from rewind_auto.core.model import Ending, Fault, Recording
from rewind_auto.core.order import Place

T = TypeVar("T")
Pauses = Generator[float, None, T]  # as in `seam`, which imports this module

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
        place: where the answer stands among others, if they are to come in recorded order.
    """

    def __init__(self, recording: Recording, speed: float, place: Place | None = None) -> None:
        self._recording = recording
        self._place = place
        self.speed = speed
        self._start = perf_counter()
        self.whole_chunk = True  # whether the piece last given was the end of an HTTP chunk
        self._items = self._chunks()

    def __iter__(self) -> Iterator[tuple[float, bytes]]:
        return self._items

    @property
    def head_pause(self) -> float:
        """Seconds to wait before the response comes; then there may be more to wait."""
        recording = self._recording
        if recording.head is None and recording.ending is Ending.CANCELLED:
            return self._pending()
        return self._turn(recording.end_us if recording.head is None else recording.head_us)

    @property
    def end_pause(self) -> float:
        """Seconds to wait, after the last chunk, before the end is told; then there may be more to wait."""
        if self._recording.ending is Ending.CANCELLED:
            return self._pending()
        return self._turn(self._recording.end_us)

    def head_pauses(self) -> Pauses[None]:
        """Wait for the response."""
        while (pause := self.head_pause) > 0:
            yield pause

    def end_pauses(self) -> Pauses[None]:
        """Wait, after the last chunk, for the end."""
        while (pause := self.end_pause) > 0:
            yield pause

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

    def _pending(self) -> float:
        return max(0.0, self._recording.end_us / 1e6 + _GRACE - (perf_counter() - self._start))

    def _turn(self, offset_us: int) -> float:
        pause = self._until(offset_us)
        return pause if pause or self._place is None else self._place.wait(offset_us)

    def _until(self, offset_us: int) -> float:
        if not self.speed:
            return 0.0
        return max(0.0, offset_us / 1e6 / self.speed - (perf_counter() - self._start))
