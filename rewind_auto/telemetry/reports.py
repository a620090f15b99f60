"""What is told of a call beside its span: metrics, and on request events.

Metrics go to the program's MeterProvider; while it has none, and ``OTEL_METRICS_EXPORTER`` names ``otlp`` or
``console``, to a private one. Events alike, with the program's LoggerProvider and ``OTEL_LOGS_EXPORTER``, and
only if wanted.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any, TypeAlias

from rewind_auto.telemetry import content
from rewind_auto.telemetry.signals import LOGS, METRICS, ExportError, ExportPlan, asked
from rewind_auto.telemetry.source import SCOPE, VERSION, Source

if TYPE_CHECKING:
    from opentelemetry.context import Context
    from opentelemetry.trace import Span

    from rewind_auto.telemetry.events import Events
    from rewind_auto.telemetry.instruments import Instruments
    from rewind_auto.telemetry.private_logger import PrivateLogger
    from rewind_auto.telemetry.private_meter import PrivateMeter
    from rewind_auto.telemetry.spans import SpanEnd, SpanStart

#: Told at the end of a call how it went, with a context that has its span.
Report: TypeAlias = Callable[["SpanEnd", "Context"], None]


class MeterSource(Source["Instruments"]):
    """Finds the instruments of the moment."""

    def __init__(self, otlp: str | None, environ: Mapping[str, str]) -> None:
        super().__init__("opentelemetry.metrics._internal", "_METER_PROVIDER", asked(METRICS, otlp, environ))

    def _of_program(self, provider: Any) -> Instruments:
        from rewind_auto.telemetry.instruments import Instruments

        return Instruments(provider.get_meter(SCOPE, VERSION))

    def _of_ours(self, plan: ExportPlan) -> PrivateMeter:
        from rewind_auto.telemetry.private_meter import PrivateMeter

        return PrivateMeter(plan)


class EventSource(Source["Events"]):
    """Finds where events go at the moment."""

    def __init__(self, otlp: str | None, environ: Mapping[str, str]) -> None:
        super().__init__("opentelemetry._logs._internal", "_LOGGER_PROVIDER", asked(LOGS, otlp, environ))
        self._content_limit = content.limit(environ) if content.wanted_on_events(environ) else 0

    def _of_program(self, provider: Any) -> Events:
        from rewind_auto.telemetry.events import Events

        return Events(provider.get_logger(SCOPE, VERSION), self._content_limit)

    def _of_ours(self, plan: ExportPlan) -> PrivateLogger:
        try:
            from rewind_auto.telemetry.private_logger import PrivateLogger
        except ImportError as error:  # the SDK of logs has no stable names yet
            needed = "no events are exported: that needs opentelemetry-sdk 1.39 or newer"
            raise ExportError(needed) from error
        return PrivateLogger(plan, self._content_limit)


class Reports:
    """What is told of the calls of one process beside their spans.

    Args:
        otlp: what ``--otlp`` or ``REWIND_OTLP`` said: None, ``"1"`` or a URL.
        environ: the environment, for the ``OTEL_*`` variables.
    """

    def __init__(self, otlp: str | None, environ: Mapping[str, str]) -> None:
        self._meters = MeterSource(otlp, environ)
        self._events = EventSource(otlp, environ) if content.events_wanted(environ) else None

    @property
    def sources(self) -> tuple[Source[Any], ...]:
        """All that may have something to deliver."""
        return (self._meters,) if self._events is None else (self._meters, self._events)

    @property
    def listening(self) -> bool:
        """Whether anything would be told to anybody."""
        return self._meters.current() is not None or (
            self._events is not None and self._events.current() is not None
        )

    def of_call(self, start: SpanStart, current: Context, outer: Span | None) -> list[Report]:
        """What is to be told of a call that begins now.

        Args:
            start: what is known of it.
            current: the context it happens in.
            outer: the LLM span of another instrumentation that it happens in, if there is one.
        """
        told: list[Report] = []
        if (instruments := self._meters.current()) is not None:
            from rewind_auto.telemetry import others, unseen

            counted = not self._meters.is_private(instruments) and (
                others.report_to(self._meters.provider, others.METERS, current, outer) or unseen.measured()
            )
            told.append(lambda outcome, context: instruments.record(start, outcome, context, counted=counted))
        if self._events is not None and (events := self._events.current()) is not None:
            from rewind_auto.telemetry import others

            if self._events.is_private(events) or not others.report_to(
                self._events.provider, others.LOGGERS, current, outer
            ):
                told.append(lambda outcome, context: events.emit(start, outcome, context))
        return told
