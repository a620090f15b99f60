"""One span per LLM call, by the GenAI semantic conventions in their newest state.

``error.type``, which goes with the status ERROR and with nothing else, is

- the status code of an HTTP error, ``"429"``, live and replayed, as the HTTP conventions have it;
- the provider's own code for an error that came inside an answer of status 200, ``"overloaded_error"``;
- the class of a transport error, without its module, since that differs by client: ``"ConnectTimeout"``;
- ``"cancelled"`` for a call whose task was cancelled, or whose program was interrupted or left;
- ``"RewindReplayDivergenceError"`` for a call that a strict replay had no answer to.

A program that stops reading a stream has made no error: ``finish_reasons`` says ``error`` of what it left
unfinished, and the status stays unset.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final

from rewind_auto.core import guard
from rewind_auto.core.forks import importing
from rewind_auto.telemetry import content
from rewind_auto.telemetry.content import ContentSource
from rewind_auto.telemetry.provider import TracerSource
from rewind_auto.telemetry.reports import Reports

if TYPE_CHECKING:
    from rewind_auto.telemetry.call_span import CallSpan
    from rewind_auto.telemetry.source import Source

_HTTP_ERROR: Final = 400


# These two are not frozen: a frozen one takes three times as long to make, and each call makes both.
@dataclass(slots=True)
class SpanStart:
    """What is known of a call before it is sent.

    ``request_attributes`` has the conventions' own names (``gen_ai.request.temperature``); values of the
    wrong type are converted where that loses nothing, else left out. With ``tool``, the call is one of a
    function of the program's own, of that name.
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
    tool: str = ""
    request_attributes: Mapping[str, Any] = field(default_factory=dict)


@dataclass(slots=True)
class SpanEnd:
    """How a call went.

    ``step`` and ``fingerprint`` are for calls that had none yet at their start.
    ``usage`` counts tokens under ``input_tokens``, ``output_tokens``, ``cache_read_input_tokens``,
    ``cache_write_input_tokens``, ``reasoning_output_tokens``, and what of them was text, image or audio under
    ``text_input_tokens``, ``text_cache_read_input_tokens``, ``text_output_tokens`` and so on; other keys are
    ignored. ``link`` is the trace and span id, in hex, of the recorded call. In seconds from the request on
    are ``time_to_first_chunk``, for streams, and ``duration``, to the end of the body. ``divergence`` is
    what a blocked step, or one served by its place alone, has of that: ``paths``, ``source_step``, ``cause``,
    ``drift``. The content sources are called only when content is asked for.
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
    duration: float | None = None
    usage: Mapping[str, int] | None = None
    response_attributes: Mapping[str, Any] = field(default_factory=dict)
    system_instructions: ContentSource | None = None
    input_messages: ContentSource | None = None
    output_messages: ContentSource | None = None
    tool_definitions: ContentSource | None = None
    tool_arguments: Callable[[], str] | None = None
    tool_result: Callable[[], str] | None = None
    divergence: Mapping[str, Any] | None = None

    @property
    def failure(self) -> str | None:
        """``error.type``, or None when nothing went wrong."""
        if self.error_type or self.status is None or self.status < _HTTP_ERROR:
            return self.error_type
        return str(self.status)


class Tracing:
    """Starts the spans of one process.

    Args:
        otlp: what ``--otlp`` or ``REWIND_OTLP`` said: None, ``"1"`` or a URL.
        environ: the environment, for the ``OTEL_*`` variables.
    """

    def __init__(self, otlp: str | None, environ: Mapping[str, str]) -> None:
        self._source = TracerSource(otlp, environ)
        self._reports = Reports(otlp, environ)
        self._content_limit = content.limit(environ) if content.wanted(environ) else 0
        #: Whether the content sources of a `SpanEnd` are of any use.
        self.wants_content = bool(self._content_limit) or content.wanted_on_events(environ)
        self._started: Callable[..., CallSpan | None] | None = None

    @property
    def listening(self) -> bool:
        """Whether anything would go anywhere: False spares the work of describing a call."""
        return self._source.current() is not None or self._reports.listening

    def start(self, fields: SpanStart) -> CallSpan | None:
        """The span of a call, or None when nobody listens or tracing is suppressed here. Never raises."""
        tracer = self._source.current()
        if tracer is None and not self._reports.listening:
            return None
        try:
            if self._started is None:
                with importing:
                    from rewind_auto.telemetry.call_span import started

                self._started = started
            # A private span must not become visible to the program's own instrumentation, which would
            # take it for a parent and put its id into the request's headers.
            visible = tracer is not None and not self._source.is_private(tracer)
            limit = self._content_limit
            return self._started(tracer, fields, self._reports, visible=visible, content_limit=limit)
        except Exception as error:  # noqa: BLE001 - the call goes on without a span
            guard.report("telemetry.start", error)
            return None

    def flush(self, seconds: float) -> bool:
        """Wait until what there is was exported. False when that takes longer than ``seconds``."""
        by = time.monotonic() + seconds
        delivered = [source.flush(by - time.monotonic()) for source in self._sources]
        return all(delivered)

    def close(self) -> None:
        """Deliver what is pending, within 1.2 s in all, and start no more private spans."""
        private = [found for source in self._sources if (found := source.release()) is not None]
        if private:
            from rewind_auto.telemetry.export import close

            close(private)

    @property
    def _sources(self) -> tuple[Source[Any], ...]:
        return (self._source, *self._reports.sources)
