"""A span a call: into the program's own SDK, whose exporter throws it away; and when nobody listens."""

from __future__ import annotations

import timeit
from collections.abc import Iterator, Sequence

from opentelemetry import trace
from opentelemetry.sdk.trace import ReadableSpan, TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor, SpanExporter, SpanExportResult

from benchmarks.harness import Row, Run, batches, pair
from benchmarks.scene import HEADERS, URL, Agent, Caller, Pool, question
from rewind_auto.core.model import Request

_BUDGET = 120.0  # µs
_BLOCK = 50


class Nowhere(SpanExporter):
    """Counts spans and drops them."""

    exported = 0

    def export(self, spans: Sequence[ReadableSpan]) -> SpanExportResult:
        """Count them."""
        Nowhere.exported += len(spans)
        return SpanExportResult.SUCCESS


def run(run: Run) -> Iterator[Row]:
    """CPU added by call, over recording alone."""
    provider = TracerProvider()
    provider.add_span_processor(BatchSpanProcessor(Nowhere(), max_queue_size=20_000))
    for asynchronous in (False, True):
        caller = Caller("httpx2", asynchronous=asynchronous, pool=Pool("httpx2"))
        agent = Agent(caller.module, run.scratch / "spans.db")
        questions = batches([question(number) for number in range(10_000)], _BLOCK)

        def untraced(caller: Caller = caller, questions: Iterator[Sequence[bytes]] = questions) -> float:
            caller.calls(next(questions)[:5])
            return caller.calls(next(questions)).cpu

        def traced(caller: Caller = caller, questions: Iterator[Sequence[bytes]] = questions) -> float:
            _listen(provider)
            try:
                return untraced(caller, questions)
            finally:
                _listen(None)

        with agent.installed():
            found = pair(run.rounds(80), untraced, traced)
            if not asynchronous:
                yield _nobody(agent)
        agent.close()
        yield Row(
            f"span, {caller.name}: CPU added to a recorded call",
            found.added * 1e6,
            "µs",
            _BUDGET,
            note=found.note,
            detail=found.detail,
        )
    provider.shutdown()
    assert Nowhere.exported, "no span was made"


def _listen(provider: TracerProvider | None) -> None:
    """Set or take back the global provider, which the API lets nobody do twice."""
    trace._TRACER_PROVIDER = provider  # noqa: SLF001


def _nobody(agent: Agent) -> Row:
    runtime = agent.driver.runtime()
    request = Request("POST", URL, tuple((k.encode(), v.encode()) for k, v in HEADERS.items()), question(1))
    step, description = runtime.describe(request)
    start = timeit.Timer(lambda: description.start(step, runtime.session, runtime.tracing))
    describe = timeit.Timer(lambda: runtime.describe(request))
    return Row(
        "span, nobody listens: time of finding out",
        min(start.repeat(20, 1000)) * 1e3,
        "µs",
        note=f"describing the step takes {min(describe.repeat(20, 1000)) * 1e3:.1f} µs",
    )
