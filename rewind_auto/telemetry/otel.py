"""All that touches the OpenTelemetry API. Imported when somebody listens, not before."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, Final

from opentelemetry import context, trace
from opentelemetry.trace import Span, SpanContext, SpanKind, Status, StatusCode, TraceFlags, Tracer

from rewind_auto.telemetry import names
from rewind_auto.telemetry.values import AttributeValue

if TYPE_CHECKING:
    from opentelemetry.context import Context

_SUPPRESSION_KEYS: Final = (
    getattr(context, "_SUPPRESS_INSTRUMENTATION_KEY", "suppress_instrumentation"),
    "suppress_instrumentation",
    "suppress_language_model_instrumentation",  # OpenLLMetry's
)
_SUPPRESS_HTTP: Final = getattr(
    context, "_SUPPRESS_HTTP_INSTRUMENTATION_KEY", "suppress_http_instrumentation"
)
_HTTP_MARKS: Final = ("http.request.method", "http.method")

# Set by opentelemetry-util-genai around an LLM call of an instrumentation built on it.
GENAI_KEYS: Final = (
    "opentelemetry.genai.client.inference.context",
    "opentelemetry.genai.client.embedding.context",
)

# What other instrumentations write on a span that already stands for this LLM call. Other operations
# (invoke_agent, execute_tool, …) are what a call happens in: parents of our span, not the same thing.
_LLM_MARKS: Final[Mapping[str, frozenset[str]]] = {
    names.GEN_AI_OPERATION_NAME: frozenset({"chat", "generate_content", "text_completion", "embeddings"}),
    "openinference.span.kind": frozenset({"LLM", "EMBEDDING"}),
}
_DDTRACE_NAMES: Final = frozenset(
    f"{maker}.request" for maker in ("openai", "anthropic", "google_genai", "litellm", "vertexai")
)


current = context.get_current
holding = trace.set_span_in_context

#: Stands for a call's span where no tracer makes one.
NO_SPAN: Final = trace.INVALID_SPAN


def suppressed(current: Context) -> bool:
    """Whether tracing was turned off for what runs now."""
    if not current:
        return False
    if any(current.get(key) for key in _SUPPRESSION_KEYS):
        return True
    # The instrumentation of requests turns off what is below its own span: urllib3's, not ours.
    return bool(current.get(_SUPPRESS_HTTP)) and not _is_http(trace.get_current_span(current))


@contextmanager
def suppressing() -> Iterator[None]:
    """Turn tracing off inside ``with``, for every instrumentation: an exporter's requests are no calls."""
    inner = context.get_current()
    for key in (_SUPPRESSION_KEYS[0], _SUPPRESSION_KEYS[1], _SUPPRESS_HTTP):
        inner = context.set_value(key, value=True, context=inner)
    token = context.attach(inner)
    try:
        yield
    finally:
        context.detach(token)


def llm_span_of_someone_else(current: Context) -> Span | None:
    """The current span, if it stands for this very LLM call and can still be written to."""
    if not current:
        return None
    span = trace.get_current_span(current)
    if not span.is_recording():
        return None
    if any(key in current for key in GENAI_KEYS):
        return span
    if is_llm(span):
        return span
    return _of_ddtrace(span) if hasattr(span, "_ddspan") else None


def is_llm(span: Span) -> bool:
    """Whether a span stands for an LLM call, and can still be written to."""
    attributes = _attributes(span)
    marked = any(attributes.get(name) in values for name, values in _LLM_MARKS.items())
    return marked and span.is_recording()


def _attributes(span: Span) -> Mapping[str, Any]:
    """Reading attributes is the SDK's, not the API's: other vendors' spans may not have them."""
    return getattr(span, "attributes", None) or {}


def _is_http(span: Span) -> bool:
    attributes = _attributes(span)
    return any(name in attributes for name in _HTTP_MARKS)


def _of_ddtrace(span: Any) -> Span | None:
    """The LLM span that ddtrace's HTTP span is in: its own spans know their parents, others do not.

    Its OpenTelemetry spans are views of those (``ddtrace/internal/opentelemetry/span.py``).
    """
    own = span._ddspan  # noqa: SLF001
    while own is not None and own.span_type == "http":
        own = own._parent  # noqa: SLF001
    if own is None:
        return None
    operation = own.get_tag(names.GEN_AI_OPERATION_NAME)
    is_llm = own.name in _DDTRACE_NAMES or operation in _LLM_MARKS[names.GEN_AI_OPERATION_NAME]
    view: Span | None = type(span)(own) if is_llm else None
    return view


def can_be_left(span: Span) -> bool:
    """Whether a span that was made current can be taken off again: ddtrace's ``detach`` does nothing."""
    return not hasattr(span, "_ddspan")


def start(
    tracer: Tracer,
    name: str,
    current: Context,
    attributes: Mapping[str, AttributeValue],
    *,
    inside: bool = False,
) -> Span:
    """A CLIENT span, or one of what goes on ``inside`` the program, child of the current one.

    All its attributes are there for the sampler.
    """
    return tracer.start_span(name, current, SpanKind.INTERNAL if inside else SpanKind.CLIENT, attributes)


def ids(span: Span) -> tuple[str, str] | None:
    """Trace and span id in hex, or None for a span that has none."""
    found = span.get_span_context()
    trace_id, span_id = found.trace_id, found.span_id
    return (f"{trace_id:032x}", f"{span_id:016x}") if trace_id and span_id else None


def add_link(span: Span, trace_id: str, span_id: str) -> None:
    """Link ``span`` to a recorded one. Ids are hex; malformed ones make no link, and the SDK drops zeros."""
    try:
        target = SpanContext(int(trace_id, 16), int(span_id, 16), is_remote=True, trace_flags=TraceFlags(1))
    except ValueError:
        return
    # The API's own method, which ddtrace's spans inherit, does nothing but warn on the program's stderr.
    if getattr(span.add_link, "__func__", None) is not Span.add_link:
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
