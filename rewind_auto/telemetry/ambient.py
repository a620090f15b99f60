"""What the OpenTelemetry context of the running code says. Nothing is imported that the program has not."""

from __future__ import annotations

import sys


def current_trace() -> str:
    """The trace id of the current span in 32 hex digits, or ""."""
    if "opentelemetry.trace" not in sys.modules:
        return ""
    from opentelemetry import trace

    context = trace.get_current_span().get_span_context()
    return f"{context.trace_id:032x}" if context.trace_id else ""


def baggage(name: str) -> str:
    """The baggage entry of this name, whatever its spelling, or ""."""
    if "opentelemetry.context" not in sys.modules:
        return ""
    from opentelemetry import baggage as entries

    return next((str(value) for key, value in entries.get_all().items() if key.lower() == name), "")
