"""The events of a call: what it was, in full, and what went wrong. For those who want it apart from traces.

Both are emitted only on request, by the variables that opentelemetry-util-genai reads as well.
"""

from __future__ import annotations

from inspect import signature
from time import time_ns
from typing import TYPE_CHECKING, Any, Final

from opentelemetry._logs import Logger, LogRecord, SeverityNumber

from rewind_auto.core import guard
from rewind_auto.telemetry import attributes, content, names
from rewind_auto.telemetry.signals import ExportError
from rewind_auto.telemetry.values import cleaned

if TYPE_CHECKING:
    from opentelemetry.context import Context

    from rewind_auto.telemetry.spans import SpanEnd, SpanStart


_EMBEDDINGS: Final = "embeddings"  # no inference, and the details are those of one


class Events:
    """Emits events to one logger.

    Args:
        logger: the program's, or a private one.
        content_limit: most bytes that messages may have as JSON, each attribute by itself; 0: no messages.

    Raises:
        ExportError: OpenTelemetry's API knows no events.
    """

    def __init__(self, logger: Logger, content_limit: int) -> None:
        if "event_name" not in signature(LogRecord.__init__).parameters:
            raise ExportError("no events are made: that needs opentelemetry-api 1.35 or newer")
        self._logger = logger
        self._content_limit = content_limit

    def emit(self, start: SpanStart, outcome: SpanEnd, context: Context) -> None:
        """Tell of one call. ``context`` has its span."""
        if outcome.failure:
            self._emit(names.EXCEPTION_EVENT, SeverityNumber.WARN, context, _failure(start, outcome))
        if start.operation == _EMBEDDINGS:
            return
        details = attributes.whole(start, outcome)
        if self._content_limit:
            for name, source in attributes.messages(outcome):
                with guard.swallow("telemetry.content"):
                    found = source() if source is not None else None
                    capped = content.structured(found, self._content_limit) if found else None
                    if capped:
                        details[name] = capped
        self._emit(names.DETAILS_EVENT, SeverityNumber.DEBUG, context, details)

    def _emit(self, name: str, severity: SeverityNumber, context: Context, found: dict[str, Any]) -> None:
        self._logger.emit(
            LogRecord(
                timestamp=time_ns(),
                context=context,
                severity_number=severity,
                event_name=name,
                attributes=found,
            )
        )


def _failure(start: SpanStart, outcome: SpanEnd) -> dict[str, Any]:
    status = str(outcome.status)
    # An HTTP error is an exception only later, of a class that the program's SDK chooses.
    kind = outcome.failure if outcome.failure != status else None
    message = attributes.complaint(outcome) or (None if kind else f"HTTP {status}")
    return cleaned(
        (
            (names.GEN_AI_OPERATION_NAME, start.operation),
            (names.GEN_AI_PROVIDER_NAME, start.provider),
            (names.GEN_AI_REQUEST_MODEL, start.model),
            (names.ERROR_TYPE, outcome.failure),
            (names.EXCEPTION_TYPE, kind),
            (names.EXCEPTION_MESSAGE, message),
            (names.REWIND_CACHE_DECISION, outcome.decision),
        )
    )
