"""Writes that go on behind the program, when the store was not to be had in the time a live call may wait."""

from __future__ import annotations

import threading
import time
from collections import deque
from collections.abc import Callable

from rewind_auto.core import forks, guard
from rewind_auto.core.errors import StoreBusyError, StoreError

_RETRY = 0.05  # seconds
_GIVE_UP = 120.0  # seconds a write is kept
_MOST = 10_000  # writes kept


class Behind:
    """A queue of write attempts and the thread that sees to them, while there are any.

    Args:
        waits: told that something waits: no exit handler runs in a process that ends by ``os._exit``.
    """

    def __init__(self, waits: Callable[[], None] = lambda: None) -> None:
        self._waits = waits
        self._reset()
        forks.in_forked_child(self._reset)  # they are the parent's to write

    def _reset(self) -> None:
        self._waiting: deque[tuple[float, Callable[[], object]]] = deque()
        self._wake = threading.Condition()
        self._running = False
        self._never = threading.Event()  # to sleep by: tests of programs replace `time.sleep`

    def submit(self, attempt: Callable[[], object]) -> None:
        """Take over an attempt that met a busy store."""
        with self._wake:
            if len(self._waiting) >= _MOST:
                guard.warn_once("behind", "the store cannot be written; recordings are being lost")
                return
            self._waiting.append((time.monotonic() + _GIVE_UP, attempt))
            if not self._running:
                try:
                    threading.Thread(target=self._work, name="rewind-behind", daemon=True).start()
                    self._running = True
                except (RuntimeError, MemoryError):
                    pass  # the interpreter is shutting down, or no thread can be had; `flush` has a last try
        with guard.swallow("writing behind"):
            self._waits()

    def flush(self, seconds: float) -> None:
        """Wait for the queue to empty, at most so long."""
        if not self._empties(time.monotonic() + seconds):
            guard.warn_once("behind", f"{len(self._waiting)} recordings were lost: the store stayed locked")

    def _empties(self, by: float) -> bool:
        while self._waiting and time.monotonic() < by:
            if not self._running and not self._one():
                self._never.wait(_RETRY)
            elif self._running:
                self._never.wait(0.005)
        return not self._waiting

    def leave(self, by: float) -> Callable[[], bool]:
        """The process ends: gives what waits for the queue to empty, until ``by`` (monotonic time)."""
        return lambda: self._empties(by)

    def stay(self, by: float | None) -> None:
        """It does not end after all."""

    def pause(self, by: float) -> Callable[[], None]:  # noqa: ARG002 - a fork is not held up for a locked store
        """The process will fork: what waits is the parent's to write."""
        return lambda: None

    def resume(self) -> None:
        """It has forked."""

    def _work(self) -> None:
        while True:
            with self._wake:
                if not self._waiting:
                    self._running = False
                    return
            if not self._one():
                self._never.wait(_RETRY)

    def _one(self) -> bool:
        """Try the oldest write. False: the store is still busy."""
        try:
            until, attempt = self._waiting[0]
        except IndexError:
            return True
        try:
            attempt()
        except StoreBusyError:
            if time.monotonic() < until:
                return False
            guard.warn_once("behind", "a recording was lost: the store stayed locked")
        except StoreError as error:
            guard.warn_once("store", f"a recording was lost: {error}")
        except Exception as error:  # noqa: BLE001
            guard.report("writing behind", error)
        self._waiting.popleft()
        return True
