"""All that touches the OpenTelemetry API. Imported when somebody listens, not before."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from opentelemetry import context, trace
from opentelemetry.trace import Span, SpanContext, SpanKind, Status, StatusCode, TraceFlags, Tracer

from rewind_auto.telemetry import names
from rewind_auto.telemetry.values import AttributeValue

_SUPPRESSION_KEYS: Final = (
    getattr(context, "_SUPPRESS_INSTRUMENTATION_KEY", "suppress_instrumentation"),
    "suppress_instrumentation",
    "suppress_language_model_instrumentation",  # OpenLLMetry's
)

# Set by opentelemetry-util-genai around an LLM call of an instrumentation built on it.
_GENAI_KEYS: Final = (
    "opentelemetry.genai.client.inference.context",
    "opentelemetry.genai.client.embedding.context",
)

# What other instrumentations write on a span that already stands for this LLM call. Other operations
# (invoke_agent, execute_tool, …) are what a call happens in: parents of our span, not the same thing.
_LLM_MARKS: Final[Mapping[str, frozenset[str]]] = {
    names.GEN_AI_OPERATION_NAME: frozenset({"chat", "generate_content", "text_completion", "embeddings"}),
    "openinference.span.kind": frozenset({"LLM", "EMBEDDING"}),
}


def suppressed() -> bool:
    """Whether tracing was turned off for what runs now."""
    current = context.get_current()
    return any(current.get(key) for key in _SUPPRESSION_KEYS)


def llm_span_of_someone_else() -> Span | None:
    """The current span, if it stands for this very LLM call and can still be written to."""
    current = context.get_current()
    span = trace.get_current_span(current)
    if not span.is_recording():
        return None
    if any(key in current for key in _GENAI_KEYS):
        return span
    # Reading attributes is the SDK's, not the API's: other vendors' spans may not have them.
    attributes: Mapping[str, Any] = getattr(span, "attributes", None) or {}
    for name, values in _LLM_MARKS.items():
        if attributes.get(name) in values:
            return span
    return None


def start(tracer: Tracer, name: str, attributes: Mapping[str, AttributeValue]) -> Span:
    """A CLIENT span, child of the current one. All its attributes are there for the sampler."""
    return tracer.start_span(name, kind=SpanKind.CLIENT, attributes=attributes)


def ids(span: Span) -> tuple[str, str] | None:
    """Trace and span id in hex, or None for a span that has none."""
    found = span.get_span_context()
    return (f"{found.trace_id:032x}", f"{found.span_id:016x}") if found.is_valid else None


def add_link(span: Span, trace_id: str, span_id: str) -> None:
    """Link ``span`` to a recorded one. Ids are hex; malformed ones make no link, and the SDK drops zeros."""
    try:
        target = SpanContext(int(trace_id, 16), int(span_id, 16), is_remote=True, trace_flags=TraceFlags(1))
    except ValueError:
        return
    span.add_link(target)


def fail(span: Span, message: str | None) -> None:
    span.set_status(Status(StatusCode.ERROR, message))


class Active:
    """Makes a span the current one inside ``with``, and nothing else.

    Not ``trace.use_span``: that also writes exceptions on the span, which is for the end of the call to say.
    """

    __slots__ = ("_span", "_token")

    def __init__(self, span: Span) -> None:
        self._span = span

    def __enter__(self) -> None:
        self._token = context.attach(trace.set_span_in_context(self._span))

    def __exit__(self, *exception: object) -> None:
        context.detach(self._token)
