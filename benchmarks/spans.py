"""A span a call: into the program's own SDK, whose exporter throws it away; and when nobody listens.

Three figures. What telemetry itself adds to a call when nobody listens; what it adds to a bare SDK span with
as many attributes of the same types, set at the same two moments; and what a recorded call costs more with
spans than without. Bodies are parsed by recording anyway: only the third has that in it, on both sides.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterator, Sequence
from statistics import median
from typing import TYPE_CHECKING, Any

from opentelemetry import trace
from opentelemetry.sdk.trace import ReadableSpan, Span, TracerProvider
from opentelemetry.sdk.trace.export import (
    BatchSpanProcessor,
    SimpleSpanProcessor,
    SpanExporter,
    SpanExportResult,
)
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from opentelemetry.trace import SpanKind

from benchmarks.harness import Row, Run, batches, pair
from benchmarks.scene import ANSWER, ANSWER_HEADERS, HEADERS, URL, Agent, Caller, Pool, question
from rewind_auto.core.model import Fingerprint, Head, Recording, Request, Session, Step
from rewind_auto.describe import Description, route_of
from rewind_auto.telemetry.spans import Tracing

if TYPE_CHECKING:
    from opentelemetry.context import Context

_RECORDED = 120.0  # µs
_NOBODY = 15.0
_BARE = 20.0
_BLOCK = 50
_SPANS = 200


class Nowhere(SpanExporter):
    """Counts spans and drops them."""

    exported = 0

    def export(self, spans: Sequence[ReadableSpan]) -> SpanExportResult:
        """Count them."""
        Nowhere.exported += len(spans)
        return SpanExportResult.SUCCESS


def run(run: Run) -> Iterator[Row]:
    """CPU of the calling thread for a span alone, and CPU of the process for a whole call."""
    provider = TracerProvider()
    provider.add_span_processor(BatchSpanProcessor(Nowhere(), max_queue_size=20_000))
    yield from _alone(run, provider)
    for asynchronous in (False, True):
        yield _recorded(run, provider, asynchronous=asynchronous)
    provider.shutdown()
    assert Nowhere.exported, "no span was made"


def _alone(run: Run, provider: TracerProvider) -> Iterator[Row]:
    """Telemetry and nothing else."""
    tracing = Tracing(None, {})
    ours = _telemetry(tracing)
    rounds = run.rounds(400)

    found = pair(rounds, _block(lambda: None), _block(ours))
    nobody = median(b - a for a, b in zip(found.plain, found.other, strict=True))
    yield Row("span, nobody listens: CPU added to a call", nobody * 1e6, "µs", _NOBODY, detail=found.detail)

    bare, count = _bare(ours, provider)
    _listen(provider)
    try:
        found = pair(rounds, _block(bare), _block(ours))
    finally:
        _listen(None)
    yield Row(
        "span, with SDK and exporter: CPU over a bare span",
        found.added * 1e6,
        "µs",
        _BARE,
        note=f"{found.note}, {count} attributes",
        detail=found.detail,
    )


def _telemetry(tracing: Tracing) -> Callable[[], None]:
    """All that telemetry does for one recorded call, its bodies parsed before."""
    request = Request("POST", URL, tuple((k.encode(), v.encode()) for k, v in HEADERS.items()), question(1))
    head = Head(200, tuple(ANSWER_HEADERS))
    recording = Recording(request, head, ANSWER, ((len(ANSWER), 1_000),), 900, 1_100)
    route = route_of("POST", URL, ())
    session = Session(os.urandom(16).hex())
    step = Step(session.id, 7, status=200, fingerprint=Fingerprint(b"e" * 32, b"c" * 32))
    parsed = Description(route, request)
    asked, answered = parsed.asked(), parsed._answered(recording)  # noqa: SLF001 - recording pays for these

    def call() -> None:
        description = Description(route, request)
        description._asked = asked  # noqa: SLF001
        description.start(step, session, tracing)
        description.end(step, recording, answered)

    return call


def _bare(ours: Callable[[], None], provider: TracerProvider) -> tuple[Callable[[], None], int]:
    """The same span made by hand with the attributes at hand, and how many these are."""
    watched, looking = TracerProvider(), _Looking()
    watched.add_span_processor(looking)
    _listen(watched)
    ours()
    _listen(None)
    (span,) = looking.kept.get_finished_spans()
    whole, first = dict(span.attributes or {}), looking.first
    rest = {name: value for name, value in whole.items() if name not in first}
    tracer = provider.get_tracer("bare", "1")

    def bare() -> None:
        made = tracer.start_span(span.name, kind=SpanKind.CLIENT, attributes=first)
        made.set_attributes(rest)
        made.end()

    return bare, len(whole)


class _Looking(SimpleSpanProcessor):
    """Remembers which attributes a span had at its start."""

    def __init__(self) -> None:
        self.kept = InMemorySpanExporter()
        self.first: dict[str, Any] = {}
        super().__init__(self.kept)

    def on_start(self, span: Span, parent_context: Context | None = None) -> None:
        """Look."""
        super().on_start(span, parent_context)
        self.first = dict(span.attributes or {})


def _block(call: Callable[[], None]) -> Callable[[], float]:
    """Seconds of this thread's CPU for one call."""

    def block() -> float:
        for _ in range(_SPANS // 10):
            call()
        start = time.thread_time()
        for _ in range(_SPANS):
            call()
        return (time.thread_time() - start) / _SPANS

    return block


def _recorded(run: Run, provider: TracerProvider, *, asynchronous: bool) -> Row:
    """CPU added by call, over recording alone."""
    caller = Caller("httpx2", asynchronous=asynchronous, pool=Pool("httpx2"))
    agent = Agent(caller.module, run.scratch / "spans.db")
    questions = batches([question(number) for number in range(10_000)], _BLOCK)

    def untraced() -> float:
        caller.calls(next(questions)[:5])
        return caller.calls(next(questions)).cpu

    def traced() -> float:
        _listen(provider)
        try:
            return untraced()
        finally:
            _listen(None)

    with agent.installed():
        found = pair(run.rounds(80), untraced, traced)
    agent.close()
    what = f"span, {caller.name}: CPU added to a recorded call"
    return Row(what, found.added * 1e6, "µs", _RECORDED, note=found.note, detail=found.detail)


def _listen(provider: TracerProvider | None) -> None:
    """Set or take back the global provider, which the API lets nobody do twice."""
    trace._TRACER_PROVIDER = provider  # noqa: SLF001
