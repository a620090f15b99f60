"""What waits for export: a queue and a thread that suit short-lived programs.

The SDK's batch processors wait 5 s before they send, join up to 30 s at exit (their export timeout is
"not used"), lose what a pool's worker still has, and start a thread in every forked child. LLM calls are
few and slow, so this one sends at once when idle, and in batches under load.

Nothing here waits for a lock: deques and SimpleQueues are safe to use from a signal handler and after a fork.
"""

from __future__ import annotations

import contextvars
import math
import os
import sys
import threading
import time
from collections.abc import Callable, Sequence
from queue import Empty, SimpleQueue
from typing import Final, Generic, Protocol, TypeVar

from rewind_auto.core import guard
from rewind_auto.core.forks import in_forked_child
from rewind_auto.telemetry import otel
from rewind_auto.telemetry.waiting import Waiting

POOL_SECONDS: Final = 0.5
ITEM: Final = 4 << 10  # bytes that a span of some twenty attributes takes, without long texts

T = TypeVar("T")
T_contra = TypeVar("T_contra", contravariant=True)

_NEVER: Final = sys.maxsize


class Exporter(Protocol[T_contra]):
    """The part of the SDK's exporters of spans and of log records that is used here."""

    def export(self, batch: Sequence[T_contra], /) -> object: ...


class Outbox(Generic[T]):
    """Hands ended items to exporters from one daemon thread, soon, and waits for it only so long.

    Args:
        items: what they are called: "spans".
        make_exporters: builds the exporters, with the time-out in seconds that it is given, None for that of
            the variables; called again in a forked child, since a kept-alive connection shared with the
            parent mixes up both sides' answers.
        delay: least time between two exports of less than a full batch, in seconds.
        batch: most items in one export.
        limit: most items waiting; further ones are dropped, said once on stderr.

    Attributes:
        collector: what to call where they go.
    """

    _exporters: Sequence[Exporter[T]] | None

    def __init__(
        self,
        items: str,
        make_exporters: Callable[[float | None], Sequence[Exporter[T]]],
        *,
        delay: float,
        batch: int,
        limit: int,
    ) -> None:
        self.items = items
        self.collector = "the exporter"
        self._make_exporters = make_exporters
        self._delay = delay
        self._batch = batch
        self._limit = limit
        self._begin()
        self._exporters = make_exporters(None)
        in_forked_child(self._begin)

    def _begin(self) -> None:
        """Start empty: at first, and in a forked child, where the parent keeps the items it had."""
        self._exporters = None
        self._items: Waiting[T] = Waiting(self._limit)
        self._in_hand = 0  # items that are being exported
        self._calls: SimpleQueue[SimpleQueue[None] | None] = SimpleQueue()
        self._worker: threading.Thread | None = None
        self._starting = threading.Lock()  # taken once, never waited for
        self._wake_at = _NEVER  # how many waiting items the worker wants to be called for
        self._deliver_each = False
        self._stop: SimpleQueue[None] | None = None  # the call after which the thread ends
        self._stop_by = math.inf
        self._late = False
        self._exporting_thread: int | None = None
        self._exit_by: float | None = None

    def put(self, item: T, weight: int = ITEM) -> None:
        """Queue ``item``. Waits only in a pool's worker, see ``_start``, and past the exit.

        ``weight`` is about how many bytes it takes, in memory and as sent.
        """
        if self._items.add(item, weight):
            self.urge()
        else:
            self.complain(f"is too slow for {len(self._items)} {self.items} that wait: further ones get lost")

    def urge(self) -> None:
        """See to it that what waits is exported: soon, or where there may be no later, now."""
        self._wake()
        if self._exit_by is not None:
            self.leave(self._exit_by)()
        elif self._deliver_each:
            # A collector that is slower than this is not waited for again.
            self._deliver_each = self.flush(POOL_SECONDS)

    def flush(self, seconds: float) -> bool:
        """Wait until every item put so far was handed to the exporters. False: not within ``seconds``."""
        return self._ask(time.monotonic() + seconds)()

    def leave(self, by: float) -> Callable[[], bool]:
        """The process ends: export what waits, and whatever comes later, until ``by`` (monotonic time).

        Returns what waits for that. Several outboxes are asked to leave before any is waited for.
        """
        self._exit_by = by
        answered = self._ask(by)

        def left() -> bool:
            if not (delivered := answered()) and (lost := len(self._items) + self._in_hand):
                self.complain(f"has not taken the last {lost} {self.items} in time: they may be lost")
            return delivered

        return left

    def stay(self, by: float | None) -> None:
        """What was to be left goes on, or ends ``by`` another time."""
        self._exit_by = by

    def pause(self, by: float) -> Callable[[], None]:
        """Export what can be in half the time, and end the thread until `resume`: the process will fork.

        Python 3.12 and later warn of a fork with threads, and what one has locked, a connection pool or a
        module that it imports, is locked for ever in the child. Returns what waits for that, like ``leave``.
        A collector that is slower is not waited for again while it is so slow.
        """
        worker = self._worker
        if worker is None or self._late:
            return lambda: None
        stop: SimpleQueue[None] = SimpleQueue()
        self._stop = stop
        self._stop_by = (time.monotonic() + by) / 2
        self._calls.put(stop)

        def paused() -> None:
            self._late = not _answered(stop, by)
            self._stop = None
            if not self._late:
                _await_end(worker, by)

        return paused

    def resume(self) -> None:
        """Go on after a fork."""
        self._stop_by = math.inf
        self._wake()

    def refused(self, why: str | None) -> None:
        """An exporter says that it failed, and perhaps why."""
        self.complain(f"does not take {self.items}{f' ({why})' if why else ''}: they get lost")

    def complain(self, what: str) -> None:
        """Say once in this process what is the matter with the collector."""
        guard.warn_once(f"telemetry.collector.{self.collector}", f"{self.collector} {what}")

    def _ask(self, by: float) -> Callable[[], bool]:
        if self._worker is None and not self._items:
            return lambda: True
        done: SimpleQueue[None] = SimpleQueue()
        self._calls.put(done)
        self._wake()
        if self._worker is None:  # no thread can be started any more
            self._export_here(by)
            return lambda: not self._items
        return lambda: _answered(done, by)

    def holds(self) -> bool:
        """Whether something waits. What is recorded after True was said is exported with it."""
        return bool(self._items)

    def is_exporting_here(self) -> bool:
        """Whether the calling thread is the one that exports."""
        return self._exporting_thread == threading.get_ident()

    def _wake(self) -> None:
        # A thread that ended may have left calls behind as well.
        if (
            self._worker is None
            and (self._items or not self._calls.empty())
            and self._starting.acquire(blocking=False)
        ):
            self._start()
        if len(self._items) >= self._wake_at:
            self._wake_at = _NEVER
            self._calls.put(None)

    def _start(self) -> None:
        if self._exporters is None:
            self._exporters = self._make_exporters(None)
        # A pool ends its workers with SIGTERM as soon as it has their results: there, a call's span is
        # delivered before the call returns.
        loaded = [sys.modules.get(f"{name}.process") for name in ("multiprocessing", "multiprocess")]
        self._deliver_each = any(process.current_process().daemon for process in loaded if process)
        worker = threading.Thread(target=self._work, name=f"rewind-auto-{self.items}", daemon=True)
        try:
            # In an empty context: Sentry hands its open transaction on to a thread that is started in one.
            contextvars.Context().run(worker.start)
        except (RuntimeError, MemoryError):  # the interpreter is shutting down, or no thread can be had
            self._starting.release()
            return
        self._worker = worker

    def _work(self) -> None:
        with otel.suppressing():
            self._export_until_stopped()
        self._worker = None
        self._starting.release()
        if self._stop_by == math.inf:  # else `resume` sees to what is left
            self._wake()

    def _export_until_stopped(self) -> None:
        exported_at = 0.0
        while True:
            done = self._wait(exported_at)
            self._export_waiting()
            exported_at = time.monotonic()
            self._late = False
            if done is not None:
                done.put(None)
                if done is self._stop:
                    return

    def _wait(self, exported_at: float) -> SimpleQueue[None] | None:
        """Sleep until there is something to send and its time has come. The queue to answer, if any."""
        self._wake_at = 1
        if not self._items and (done := self._rest()) is not None:
            return done
        self._wake_at = self._batch
        pause = exported_at + self._delay - time.monotonic()
        if pause <= 0 or len(self._items) >= self._batch:
            return None
        try:
            return self._calls.get(timeout=pause)
        except Empty:
            return None

    def _rest(self) -> SimpleQueue[None] | None:
        """Sleep until called, with nothing to send."""
        return self._calls.get()

    def _export_here(self, by: float) -> None:
        """Export in this thread, with exporters that give up in time."""
        if self._items:
            with guard.swallow("telemetry.export"), otel.suppressing():
                self._exporters = self._make_exporters(max(0.1, by - time.monotonic()))
                self._export_waiting(by)
            self._exporters = None

    def _export_waiting(self, by: float = math.inf) -> None:
        self._wake_at = _NEVER
        self._exporting_thread = threading.get_ident()
        there = len(self._items)  # what comes meanwhile has its turn when the delay is over
        while there > 0 and time.monotonic() < min(by, self._stop_by):
            if not (batch := self._items.take(self._batch)):
                break
            there -= len(batch)
            self._in_hand = len(batch)
            for exporter in self._exporters or ():
                try:
                    exporter.export(batch)
                except Exception as error:  # noqa: BLE001 - the thread must live
                    self.refused(why(error))
            self._in_hand = 0
        self._exporting_thread = None


def why(error: BaseException) -> str:
    """What is wrong, in few words: no more of an error than its first cause, since its text has the URL."""
    while (cause := error.__cause__ or error.__context__) is not None:
        error = cause
    return getattr(error, "strerror", None) or type(error).__name__


def _answered(done: SimpleQueue[None], by: float) -> bool:
    try:
        done.get(timeout=max(0.0, by - time.monotonic()))
    except Empty:
        return False
    return True


def _await_end(thread: threading.Thread, by: float) -> None:
    thread.join(max(0.0, by - time.monotonic()))
    # Up to Python 3.12 a thread counts as ended a moment before it is gone, and a fork sees what is there.
    # Those of gevent are no threads of the system's.
    if thread.native_id == threading.get_native_id():
        return
    never = threading.Event()  # to sleep by: tests of programs replace `time.sleep`
    while os.path.exists(f"/proc/self/task/{thread.native_id}") and time.monotonic() < by:
        never.wait(0.0001)
