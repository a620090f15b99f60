"""One span per LLM call.

An error's ``error.type`` is the status code for an HTTP error (``"429"``, as the HTTP conventions have it)
and the exception's class name for a transport error (``"ConnectTimeout"``).
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final

from rewind_auto.core import guard
from rewind_auto.telemetry import content, names
from rewind_auto.telemetry.content import ContentSource
from rewind_auto.telemetry.provider import TracerSource
from rewind_auto.telemetry.values import cleaned, text

if TYPE_CHECKING:
    from opentelemetry.trace import Span

_HIT: Final = "hit"
_MESSAGE_LIMIT: Final = 1000
_NOT_CURRENT: Final[AbstractContextManager[None]] = nullcontext()

_VERDICT: Final[Mapping[str, str]] = {
    "decision": names.REWIND_CACHE_DECISION,
    "match": names.REWIND_MATCH,
    "source_session": names.REWIND_SOURCE_SESSION_ID,
    "source_step": names.REWIND_SOURCE_STEP,
    "step": names.REWIND_STEP,
    "fingerprint": names.REWIND_FINGERPRINT,
}
_SPENT: Final[Mapping[str, str]] = {
    "input_tokens": names.GEN_AI_USAGE_INPUT_TOKENS,
    "output_tokens": names.GEN_AI_USAGE_OUTPUT_TOKENS,
    "cache_read_input_tokens": names.GEN_AI_USAGE_CACHE_READ_INPUT_TOKENS,
    "cache_write_input_tokens": names.GEN_AI_USAGE_CACHE_WRITE_INPUT_TOKENS,
    "reasoning_output_tokens": names.GEN_AI_USAGE_REASONING_OUTPUT_TOKENS,
}
_RECORDED: Final[Mapping[str, str]] = {
    "input_tokens": names.REWIND_RECORDED_USAGE_INPUT_TOKENS,
    "output_tokens": names.REWIND_RECORDED_USAGE_OUTPUT_TOKENS,
    "cache_read_input_tokens": names.REWIND_RECORDED_USAGE_CACHE_READ_INPUT_TOKENS,
    "cache_write_input_tokens": names.REWIND_RECORDED_USAGE_CACHE_WRITE_INPUT_TOKENS,
    "reasoning_output_tokens": names.REWIND_RECORDED_USAGE_REASONING_OUTPUT_TOKENS,
}


@dataclass(frozen=True, slots=True)
class SpanStart:
    """What is known of a call before it is sent.

    ``request_attributes`` has the conventions' own names (``gen_ai.request.temperature``); values of the
    wrong type are converted where that loses nothing, else left out.
    """

    operation: str
    provider: str
    model: str | None
    server_address: str | None
    server_port: int | None
    mode: str
    session_id: str
    step: int | None = None
    fingerprint: str | None = None
    request_attributes: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class SpanEnd:
    """How a call went.

    ``step`` and ``fingerprint`` are for calls that had none yet at their start.
    ``usage`` counts tokens under ``input_tokens``, ``output_tokens``, ``cache_read_input_tokens``,
    ``cache_write_input_tokens``, ``reasoning_output_tokens``; other keys are ignored. ``link`` is the trace
    and span id, in hex, of the recorded call. ``time_to_first_chunk`` is in seconds, for streams. The four
    content sources are called only when content is asked for.
    """

    decision: str
    match: str | None = None
    source_session: str | None = None
    source_step: int | None = None
    link: tuple[str, str] | None = None
    step: int | None = None
    fingerprint: str | None = None
    status: int | None = None
    error_type: str | None = None
    error_message: str | None = None
    time_to_first_chunk: float | None = None
    usage: Mapping[str, int] | None = None
    response_attributes: Mapping[str, Any] = field(default_factory=dict)
    system_instructions: ContentSource | None = None
    input_messages: ContentSource | None = None
    output_messages: ContentSource | None = None
    tool_definitions: ContentSource | None = None


class Tracing:
    """Starts the spans of one process.

    Args:
        otlp: what ``--otlp`` or ``REWIND_OTLP`` said: None, ``"1"`` or a URL.
        environ: the environment, for the ``OTEL_*`` variables.
    """

    def __init__(self, otlp: str | None, environ: Mapping[str, str]) -> None:
        self._source = TracerSource(otlp, environ)
        self._content_limit = content.limit(environ) if content.wanted(environ) else 0

    @property
    def listening(self) -> bool:
        """Whether a span would go anywhere: False spares the work of describing a call."""
        return self._source.tracer() is not None

    def start(self, fields: SpanStart) -> CallSpan | None:
        """The span of a call, or None when nobody listens or tracing is suppressed here. Never raises."""
        tracer = self._source.tracer()
        if tracer is None:
            return None
        with guard.swallow("telemetry.start"):
            from rewind_auto.telemetry import otel

            if otel.suppressed():
                return None
            ours = [
                (names.REWIND_MODE, fields.mode),
                (names.REWIND_SESSION_ID, fields.session_id),
                (names.REWIND_STEP, fields.step),
                (names.REWIND_FINGERPRINT, fields.fingerprint),
            ]
            if (outer := otel.llm_span_of_someone_else()) is not None:
                outer.set_attributes(cleaned(ours))
                return CallSpan(outer, owned=False, activate=False, content_limit=0)
            attributes = cleaned([*_description(fields), *fields.request_attributes.items(), *ours])
            name = f"{fields.operation} {fields.model}" if fields.model else fields.operation
            span = otel.start(tracer, text(name), attributes)
            # A private span must not become visible to the program's own instrumentation, which would
            # take it for a parent and put its id into the request's headers.
            activate = not self._source.is_private(tracer)
            return CallSpan(span, owned=True, activate=activate, content_limit=self._content_limit)
        return None

    def flush(self, seconds: float) -> bool:
        """Wait until the spans ended so far were exported. False when that takes longer than ``seconds``."""
        return self._source.flush(seconds)

    def close(self) -> None:
        """Deliver what is pending, within 1.2 s, and start no more private spans."""
        self._source.close()


class CallSpan:
    """The span of one call: ours, or the LLM span of another instrumentation that we add to.

    Attributes:
        trace_id: 32 hex digits, or None.
        span_id: 16 hex digits, or None.
        owned: whether the span is ours to describe and to end.
    """

    trace_id: str | None
    span_id: str | None
    owned: bool

    def __init__(self, span: Span, *, owned: bool, activate: bool, content_limit: int) -> None:
        from rewind_auto.telemetry import otel

        self._span = span
        self._activate = activate
        self._content_limit = content_limit
        self._decided = self._ended = False
        self._pid = os.getpid()
        self.owned = owned
        self.trace_id, self.span_id = otel.ids(span) or (None, None)

    def activate(self) -> AbstractContextManager[None]:
        """Makes the span current inside a plain ``with``, in sync and async functions alike."""
        if not self._activate:
            return _NOT_CURRENT
        from rewind_auto.telemetry.otel import Active

        return Active(self._span)

    def decided(
        self,
        decision: str,
        *,
        match: str | None = None,
        source_session: str | None = None,
        source_step: int | None = None,
        link: tuple[str, str] | None = None,
        step: int | None = None,
        fingerprint: str | None = None,
    ) -> None:
        """Say early what was decided. Optional, since ``end`` says it too. Never raises.

        Worth it: the span of another instrumentation may end before the last byte of a stream.
        """
        if not self._decided:
            self._decided = True
            with guard.swallow("telemetry.decided"):
                if self._span.is_recording():
                    values = decision, match, source_session, source_step, step, fingerprint
                    self._span.set_attributes(cleaned(zip(_VERDICT.values(), values, strict=True)))
                    self._link(link)

    def end(self, outcome: SpanEnd) -> None:
        """Describe how the call went, and end the span if it is ours. The first call counts. Never raises."""
        # A fork in the middle of a call gives the child a copy of a span that the parent will end.
        if self._ended or self._pid != os.getpid():
            return
        self._ended = True
        with guard.swallow("telemetry.end"):
            try:
                # Someone else's span may have ended by now; writing to it would log a warning.
                if self._span.is_recording():
                    self._describe(outcome)
            finally:
                if self.owned:
                    self._span.end()

    def _describe(self, outcome: SpanEnd) -> None:
        attributes: list[tuple[str, object]] = []
        if not self._decided:
            self._decided = True
            attributes += [(name, getattr(outcome, key)) for key, name in _VERDICT.items()]
            self._link(outcome.link)
        hit = outcome.decision == _HIT
        if hit or self.owned:
            # Nothing was spent on a hit, and backends price a span from gen_ai.usage.*.
            usage = outcome.usage or {}
            attributes += [(name, usage.get(key)) for key, name in (_RECORDED if hit else _SPENT).items()]
        if self.owned:
            attributes += self._result(outcome)
        self._span.set_attributes(cleaned(attributes))

    def _result(self, outcome: SpanEnd) -> Iterator[tuple[str, object]]:
        yield from outcome.response_attributes.items()
        yield names.GEN_AI_RESPONSE_TIME_TO_FIRST_CHUNK, outcome.time_to_first_chunk
        yield names.HTTP_RESPONSE_STATUS_CODE, outcome.status
        failed = outcome.status is not None and outcome.status >= 400  # noqa: PLR2004 - HTTP's own number
        if outcome.error_type or failed:
            from rewind_auto.telemetry import otel

            yield names.ERROR_TYPE, outcome.error_type or str(outcome.status)
            otel.fail(self._span, text((outcome.error_message or "")[:_MESSAGE_LIMIT]) or None)
        if self._content_limit:
            yield names.GEN_AI_SYSTEM_INSTRUCTIONS, self._content(outcome.system_instructions)
            yield names.GEN_AI_INPUT_MESSAGES, self._content(outcome.input_messages)
            yield names.GEN_AI_OUTPUT_MESSAGES, self._content(outcome.output_messages)
            yield names.GEN_AI_TOOL_DEFINITIONS, self._content(outcome.tool_definitions)

    def _content(self, source: ContentSource | None) -> str | None:
        with guard.swallow("telemetry.content"):
            found = source() if source is not None else None
            return content.to_json(found, self._content_limit) if found else None
        return None

    def _link(self, link: tuple[str, str] | None) -> None:
        if link is not None:
            from rewind_auto.telemetry import otel

            otel.add_link(self._span, *link)


def _description(fields: SpanStart) -> Iterator[tuple[str, object]]:
    yield names.GEN_AI_OPERATION_NAME, fields.operation
    yield names.GEN_AI_PROVIDER_NAME, fields.provider
    yield names.GEN_AI_REQUEST_MODEL, fields.model
    yield names.SERVER_ADDRESS, fields.server_address
    yield names.SERVER_PORT, fields.server_port if fields.server_address else None
