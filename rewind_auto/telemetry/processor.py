"""A span processor that suits short-lived programs.

The SDK's BatchSpanProcessor waits 5 s before it sends, joins up to 30 s at exit (its export timeout is
"not used"), loses what a pool's worker still has, and starts a thread in every forked child. LLM calls are
few and slow, so this one sends at once when idle, and in batches under load.

Nothing here waits for a lock: deques and SimpleQueues are safe to use from a signal handler and after a fork.
"""

from __future__ import annotations

import sys
import threading
import time
from collections import deque
from collections.abc import Callable, Sequence
from contextlib import suppress
from queue import Empty, SimpleQueue
from typing import TYPE_CHECKING, Final

from opentelemetry import context
from opentelemetry.sdk.trace import ReadableSpan, SpanProcessor

from rewind_auto.core import guard
from rewind_auto.telemetry.fork import in_forked_child

if TYPE_CHECKING:
    from opentelemetry.sdk.trace.export import SpanExporter

EXIT_SECONDS: Final = 1.2
POOL_SECONDS: Final = 0.5

_NEVER: Final = sys.maxsize


class PromptProcessor(SpanProcessor):
    """Hands ended spans to exporters from one daemon thread, soon, and waits for it only so long.

    Args:
        make_exporters: builds the exporters; called again in a forked child, since a kept-alive connection
            shared with the parent mixes up both sides' answers.
        delay: least time between two exports of less than a full batch, in seconds.
        batch: most spans in one export.
        limit: most spans waiting; further ones are dropped, said once on stderr.
    """

    _exporters: Sequence[SpanExporter] | None

    def __init__(
        self, make_exporters: Callable[[], Sequence[SpanExporter]], *, delay: float, batch: int, limit: int
    ) -> None:
        self._make_exporters = make_exporters
        self._delay = delay
        self._batch = batch
        self._limit = limit
        self._begin()
        self._exporters = make_exporters()
        in_forked_child(self._begin)

    def _begin(self) -> None:
        """Start empty: at first, and in a forked child, where the parent keeps the spans it had."""
        self._exporters = None
        self._spans: deque[ReadableSpan] = deque()
        self._calls: SimpleQueue[SimpleQueue[None] | None] = SimpleQueue()
        self._worker: threading.Thread | None = None
        self._starting = threading.Lock()  # taken once, never waited for
        self._wake_at = _NEVER  # how many waiting spans the worker wants to be called for
        self._deliver_each = False
        self._exporting_thread: int | None = None
        self._exit_by: float | None = None

    def on_end(self, span: ReadableSpan) -> None:
        """Queue ``span``. Waits only in a pool's worker, see ``_start``, and past the exit."""
        if span.context is None or not span.context.trace_flags.sampled:
            return
        if len(self._spans) >= self._limit:
            guard.warn_once("telemetry.full", f"{self._limit} spans wait for the collector: dropping more")
            return
        self._spans.append(span)
        self._wake()
        if self._exit_by is not None:
            self.flush(self._exit_by - time.monotonic())
        elif self._deliver_each:
            # A collector that is slower than this is not waited for again.
            self._deliver_each = self.flush(POOL_SECONDS)

    def flush(self, seconds: float) -> bool:
        """Wait until every span ended so far was handed to the exporters. False: not within ``seconds``."""
        self._wake()
        if self._worker is None:  # nothing waits, or no thread can be started any more
            self._export_waiting()
            return True
        done: SimpleQueue[None] = SimpleQueue()
        self._calls.put(done)
        try:
            done.get(timeout=max(0.0, seconds))
        except Empty:
            return False
        return True

    def force_flush(self, timeout_millis: int = 30000) -> bool:
        return self.flush(timeout_millis / 1000)

    def at_exit(self) -> None:
        """The one wait of an exit. Spans of later exit handlers share what is left of its time."""
        if self._exit_by is None:
            self._exit_by = time.monotonic() + EXIT_SECONDS
        self.flush(self._exit_by - time.monotonic())

    def is_exporting_here(self) -> bool:
        """Whether the calling thread is the one that exports."""
        return self._exporting_thread == threading.get_ident()

    def _wake(self) -> None:
        if self._worker is None and self._spans and self._starting.acquire(blocking=False):
            self._start()
        if len(self._spans) >= self._wake_at:
            self._wake_at = _NEVER
            self._calls.put(None)

    def _start(self) -> None:
        if self._exporters is None:
            self._exporters = self._make_exporters()
        # A pool ends its workers with SIGTERM as soon as it has their results: there, a call's span is
        # delivered before the call returns.
        process = sys.modules.get("multiprocessing.process")
        self._deliver_each = process is not None and bool(process.current_process().daemon)
        worker = threading.Thread(target=self._work, name="rewind-auto-spans", daemon=True)
        try:
            worker.start()
        except RuntimeError:  # the interpreter is shutting down
            self._starting.release()
            return
        self._worker = worker

    def _work(self) -> None:
        _suppress_instrumentation()
        exported_at = 0.0
        while True:
            done = self._wait(exported_at)
            self._export_waiting()
            exported_at = time.monotonic()
            if done is not None:
                done.put(None)

    def _wait(self, exported_at: float) -> SimpleQueue[None] | None:
        """Sleep until there is something to send and its time has come. The queue to answer, if any."""
        self._wake_at = 1
        if not self._spans and (done := self._calls.get()) is not None:
            return done
        self._wake_at = self._batch
        pause = exported_at + self._delay - time.monotonic()
        if pause <= 0 or len(self._spans) >= self._batch:
            return None
        try:
            return self._calls.get(timeout=pause)
        except Empty:
            return None

    def _export_waiting(self) -> None:
        self._wake_at = _NEVER
        self._exporting_thread = threading.get_ident()
        while batch := self._take():
            for exporter in self._exporters or ():
                try:
                    exporter.export(batch)
                except Exception as error:  # noqa: BLE001 - the thread must live
                    guard.warn_once("telemetry.export", f"spans get lost: {type(error).__name__}: {error}")
        self._exporting_thread = None

    def _take(self) -> list[ReadableSpan]:
        batch: list[ReadableSpan] = []
        with suppress(IndexError):
            while len(batch) < self._batch:
                batch.append(self._spans.popleft())
        return batch


def _suppress_instrumentation() -> None:
    """Keep every instrumentation, ours included, from seeing the exporter's own requests as calls."""
    current = context.set_value("suppress_instrumentation", value=True)
    for name in ("_SUPPRESS_INSTRUMENTATION_KEY", "_SUPPRESS_HTTP_INSTRUMENTATION_KEY"):
        key = getattr(context, name, None)
        if key is not None:
            current = context.set_value(key, value=True, context=current)
    context.attach(current)
