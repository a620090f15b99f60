"""A private TracerProvider. Importing this imports the SDK."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

from opentelemetry.sdk.trace import ReadableSpan, SpanProcessor, TracerProvider
from opentelemetry.sdk.trace.export import ConsoleSpanExporter

from rewind_auto.telemetry.export import Private, batched, resource, unobserved
from rewind_auto.telemetry.signals import TRACES, ExportPlan
from rewind_auto.telemetry.source import SCOPE, VERSION
from rewind_auto.telemetry.weights import weight

if TYPE_CHECKING:
    from opentelemetry.trace import Tracer

    from rewind_auto.telemetry.processor import Outbox


class PrivateTracer(Private["Tracer"]):
    """Spans, batched to an exporter of our own."""

    def __init__(self, plan: ExportPlan) -> None:
        outbox = batched(TRACES, plan, lambda: ConsoleSpanExporter(out=sys.stderr), "OTEL_BSP")
        self._provider = unobserved(TracerProvider, resource=resource(), shutdown_on_exit=False)
        self._provider.add_span_processor(_Ended(outbox))
        super().__init__(TRACES, plan, outbox)

    def current(self) -> Tracer:
        return self._provider.get_tracer(SCOPE, VERSION)


class _Ended(SpanProcessor):
    def __init__(self, outbox: Outbox[ReadableSpan]) -> None:
        self._outbox = outbox

    def on_end(self, span: ReadableSpan) -> None:
        if span.context is not None and span.context.trace_flags.sampled:
            self._outbox.put(span, weight(span.attributes))

    def force_flush(self, timeout_millis: int = 30000) -> bool:
        return self._outbox.flush(timeout_millis / 1000)
