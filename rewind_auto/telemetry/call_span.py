"""The span of one call, from its start to its end. Imported when somebody listens, not before."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from typing import TYPE_CHECKING, Final

from rewind_auto.core import guard
from rewind_auto.core.forks import in_forked_child
from rewind_auto.telemetry import attributes, content, names, otel, unseen
from rewind_auto.telemetry.content import ContentSource
from rewind_auto.telemetry.spans import SpanEnd, SpanStart

if TYPE_CHECKING:
    from opentelemetry.trace import Span, Tracer

    from rewind_auto.telemetry.attributes import Attributes
    from rewind_auto.telemetry.reports import Report, Reports

_HIT: Final = "hit"
_NOT_CURRENT: Final[AbstractContextManager[None]] = nullcontext()
_forks: int = 0  # that this process is away from the first; cheaper to ask for than its id


def _forked() -> None:
    global _forks
    _forks += 1


in_forked_child(_forked)


def started(
    tracer: Tracer | None, fields: SpanStart, reports: Reports, *, visible: bool, content_limit: int
) -> CallSpan | None:
    """The span of a call, or None where tracing is suppressed and nobody else has one for it.

    One who has may well suppress all that is below it, as Logfire does: that is no second span.

    Args:
        tracer: whose span it will be, unless another instrumentation has one for the call; None: nobody's.
        fields: what is known before it is sent.
        reports: what else is to be told of it.
        visible: whether the program's own code may find it to be the current span.
        content_limit: most bytes of a content attribute; 0: no content.
    """
    current = otel.current()
    if fields.tool:
        if tracer is None or otel.suppressed(current):
            return None
        span = otel.start(
            tracer, f"{fields.operation} {fields.tool}", current, attributes.of_tool(fields), inside=True
        )
        return CallSpan(span, fields, owned=True, visible=visible, content_limit=content_limit)
    outer = otel.llm_span_of_someone_else(current)
    late = False
    if outer is None and visible:
        late, outer = unseen.look()
    suppressed = otel.suppressed(current)
    if suppressed and outer is None:
        return None
    told = [] if suppressed else reports.of_call(fields, current, outer)
    if outer is not None:
        outer.set_attributes(attributes.ours(fields))
        return CallSpan(outer, fields, told, owned=False, visible=False, content_limit=0)
    if tracer is None:
        return CallSpan(otel.NO_SPAN, fields, told, owned=True, visible=False, content_limit=0)
    known = attributes.of_start(fields)
    model = known.get(names.GEN_AI_REQUEST_MODEL)
    name = f"{fields.operation} {model}" if model else fields.operation
    if late:  # theirs will say what the call was, when ours is over: ours, what was decided
        name, known = "rewind", attributes.ours(fields)
    span = otel.start(tracer, name, current, known)
    visible = visible and otel.can_be_left(span)
    return CallSpan(
        span, fields, told, owned=True, described=late, visible=visible, content_limit=content_limit
    )


class CallSpan:
    """The span of one call: ours, or the LLM span of another instrumentation that we add to.

    Attributes:
        trace_id: 32 hex digits, or None.
        span_id: 16 hex digits, or None.
        owned: whether the span is ours to end.
    """

    __slots__ = (
        "_content_limit",
        "_decided",
        "_described",
        "_ended",
        "_forks",
        "_reports",
        "_span",
        "_start",
        "_visible",
        "owned",
        "span_id",
        "trace_id",
    )

    trace_id: str | None
    span_id: str | None
    owned: bool

    def __init__(
        self,
        span: Span,
        start: SpanStart,
        reports: Sequence[Report] = (),
        *,
        owned: bool,
        described: bool = False,
        visible: bool,
        content_limit: int,
    ) -> None:
        self._span = span
        self._start = start
        self._reports = reports
        self._visible = visible
        self._content_limit = content_limit
        self._decided = self._ended = False
        self._forks = _forks
        self.owned = owned
        self._described = described or not owned
        self.trace_id, self.span_id = otel.ids(span) or (None, None)

    def activate(self) -> AbstractContextManager[None]:
        """Makes the span current inside a plain ``with``, in sync and async functions alike."""
        return otel.Active(self._span) if self._visible else _NOT_CURRENT

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
        usage: Mapping[str, int] | None = None,
    ) -> None:
        """Say early what was decided, and of a hit what it once took. Optional, since ``end`` says it too.

        Worth it: the span of another instrumentation may end before the last byte of a stream. Never raises.
        """
        if self._decided:
            return
        verdict = SpanEnd(decision, match, source_session, source_step, link, step, fingerprint, usage=usage)
        with guard.swallow("telemetry.decided"):
            if self._span.is_recording():
                said: Attributes = {}
                self._add_verdict(said, verdict)
                if decision == _HIT:
                    attributes.add_usage(said, verdict)
                self._span.set_attributes(said)
        self._decided = True

    def end(self, outcome: SpanEnd) -> None:
        """Describe how the call went, and end the span if it is ours. The first call counts. Never raises."""
        # A fork in the middle of a call gives the child a copy of a span that the parent will end.
        if self._ended or self._forks != _forks:
            return
        self._ended = True
        try:
            try:
                # Someone else's span may have ended by now; writing to it would log a warning.
                if self._span.is_recording():
                    self._span.set_attributes(self._description(outcome))
            finally:
                if self.owned:
                    self._span.end()
        except Exception as error:  # noqa: BLE001 - the call goes on without a span
            guard.report("telemetry.end", error)
        for report in self._reports:  # now that the span has its end: a report may take its time
            with guard.swallow("telemetry.report"):
                report(outcome, otel.holding(self._span))

    def _description(self, outcome: SpanEnd) -> Attributes:
        said: Attributes = {}
        if not self._decided:
            self._add_verdict(said, outcome)
        if outcome.decision == _HIT or not self._described:
            attributes.add_usage(said, outcome)
        if not self._described:
            self._add_result(said, outcome)
        return said

    def _add_verdict(self, said: Attributes, outcome: SpanEnd) -> None:
        self._decided = True
        attributes.add_verdict(said, self._start, outcome)
        if outcome.link is not None:
            otel.add_link(self._span, *outcome.link)

    def _add_result(self, said: Attributes, outcome: SpanEnd) -> None:
        attributes.add_result(said, outcome)
        if names.ERROR_TYPE in said:
            otel.fail(self._span, attributes.complaint(outcome))
        if self._content_limit:
            for name, source in attributes.messages(outcome):
                if (found := self._content(source)) is not None:
                    said[name] = found
            for name, told in attributes.tool_content(outcome):
                with guard.swallow("telemetry.content"):
                    if len(found := told()) <= self._content_limit:  # cut, it would be no JSON any more
                        said[name] = found

    def _content(self, source: ContentSource | None) -> str | None:
        with guard.swallow("telemetry.content"):
            found = source() if source is not None else None
            return content.to_json(found, self._content_limit) if found else None
        return None
