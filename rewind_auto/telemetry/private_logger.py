"""A private LoggerProvider. Importing this imports the SDK."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

from opentelemetry.sdk._logs import LoggerProvider, LogRecordProcessor, ReadableLogRecord, ReadWriteLogRecord
from opentelemetry.sdk._logs.export import ConsoleLogRecordExporter

from rewind_auto.telemetry.events import Events
from rewind_auto.telemetry.export import Private, batched, resource, unobserved
from rewind_auto.telemetry.signals import LOGS, ExportPlan
from rewind_auto.telemetry.source import SCOPE, VERSION
from rewind_auto.telemetry.weights import weight

if TYPE_CHECKING:
    from rewind_auto.telemetry.processor import Outbox


class PrivateLogger(Private[Events]):
    """Events, batched to an exporter of our own."""

    def __init__(self, plan: ExportPlan, content_limit: int) -> None:
        outbox = batched(LOGS, plan, lambda: ConsoleLogRecordExporter(out=sys.stderr), "OTEL_BLRP")
        self._content_limit = content_limit
        self._provider = unobserved(LoggerProvider, resource=resource(), shutdown_on_exit=False)
        self._provider.add_log_record_processor(_Emitted(outbox))
        super().__init__(LOGS, plan, outbox)

    def current(self) -> Events:
        return Events(self._provider.get_logger(SCOPE, VERSION), self._content_limit)


class _Emitted(LogRecordProcessor):
    def __init__(self, outbox: Outbox[ReadableLogRecord]) -> None:
        self._outbox = outbox

    def on_emit(self, log_record: ReadWriteLogRecord) -> None:
        if log_record.resource is not None:
            ended = ReadableLogRecord(
                log_record.log_record,
                log_record.resource,
                log_record.instrumentation_scope,
                log_record.limits,
            )
            self._outbox.put(ended, weight(log_record.log_record.attributes))

    def shutdown(self) -> None:
        """Nothing: the outbox sees to the end."""

    def force_flush(self, timeout_millis: int = 30000) -> bool:
        return self._outbox.flush(timeout_millis / 1000)
