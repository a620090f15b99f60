"""The private provider: the SDK with an exporter, and the hooks that deliver before the process ends."""

from __future__ import annotations

import atexit
import logging
import os
import sys
from collections.abc import Callable
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, Final, NoReturn, TypeAlias
from urllib.parse import urlsplit

from opentelemetry.sdk.resources import SERVICE_NAME, Resource
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import ConsoleSpanExporter, SpanExporter

from rewind_auto.core import guard
from rewind_auto.telemetry.processor import PromptProcessor
from rewind_auto.telemetry.provider import ExportPlan

if TYPE_CHECKING:
    from opentelemetry.trace import Tracer

_DELAY_SECONDS: Final = 0.1
_BATCH: Final = 128  # with the cap on content, below the 64 MiB at which the exporter drops a batch whole
_QUEUE: Final = 16384  # at thousands of replayed calls a second the SDK's 2 048 overflow

_Exit: TypeAlias = Callable[[int], NoReturn]

_NOISY: Final = (
    "opentelemetry.exporter.otlp.common.http",
    "opentelemetry.exporter.otlp.proto.grpc.exporter",
    "opentelemetry.exporter.otlp.proto.http._common",
    "opentelemetry.exporter.otlp.proto.http.trace_exporter",
    "urllib3.connectionpool",
)


class PrivateProvider:
    """A TracerProvider that nobody else sees, and the process's hooks that get its spans out in time."""

    def __init__(self, plan: ExportPlan) -> None:
        resource = Resource.create()
        if str(resource.attributes.get(SERVICE_NAME, "")).startswith("unknown_service"):
            resource = resource.merge(Resource({SERVICE_NAME: _program_name()}))
        self._processor = PromptProcessor(
            lambda: [_exporter(name, plan) for name in plan.exporters],
            delay=_number("OTEL_BSP_SCHEDULE_DELAY", _DELAY_SECONDS * 1000) / 1000,
            batch=int(_number("OTEL_BSP_MAX_EXPORT_BATCH_SIZE", _BATCH)),
            limit=int(_number("OTEL_BSP_MAX_QUEUE_SIZE", _QUEUE)),
        )
        self._provider = TracerProvider(resource=resource, shutdown_on_exit=False)
        self._provider.add_span_processor(self._processor)
        self._hush = _Hush(self._processor, plan)
        for noisy in _NOISY:
            logging.getLogger(noisy).addFilter(self._hush)
        atexit.register(self._processor.at_exit)
        self._os_exit = os._exit
        self._patched_exit = _delivering_exit(self._processor, os._exit)
        os._exit = self._patched_exit  # type: ignore[assignment]  # mypy minds the parameter's name

    def tracer(self, name: str, version: str) -> Tracer:
        return self._provider.get_tracer(name, version)

    def flush(self, seconds: float) -> bool:
        return self._processor.flush(seconds)

    def close(self) -> None:
        self._processor.at_exit()
        atexit.unregister(self._processor.at_exit)
        for noisy in _NOISY:
            logging.getLogger(noisy).removeFilter(self._hush)
        if os._exit is self._patched_exit:
            os._exit = self._os_exit


def _delivering_exit(processor: PromptProcessor, original: _Exit) -> _Exit:
    """``os._exit`` that first delivers what waits, within the bound of an exit.

    Children of ``multiprocessing`` and of ``os.fork`` leave by it, and no other exit hook runs there.
    """

    def _exit(status: int) -> NoReturn:
        try:
            processor.at_exit()
        finally:
            original(status)

    # Picklable by reference, as the original: programs submit os._exit to process pools.
    _exit.__module__, _exit.__qualname__ = "os", "_exit"
    return _exit


def _exporter(name: str, plan: ExportPlan) -> SpanExporter:
    if name == "console":
        return ConsoleSpanExporter(out=sys.stderr)
    if plan.endpoint is None and _otlp_protocol() == "grpc":
        return _grpc_exporter()
    from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter

    return OTLPSpanExporter(endpoint=plan.endpoint)


def _grpc_exporter() -> SpanExporter:
    package = "opentelemetry.exporter.otlp.proto.grpc"
    try:
        module = import_module(f"{package}.trace_exporter")
    except ImportError as error:
        distribution = package.replace(".", "-")
        raise ImportError(f"the OTLP protocol is set to grpc, which needs {distribution}") from error
    exporter: SpanExporter = module.OTLPSpanExporter()
    return exporter


def _otlp_protocol() -> str:
    specific = os.environ.get("OTEL_EXPORTER_OTLP_TRACES_PROTOCOL")
    return specific or os.environ.get("OTEL_EXPORTER_OTLP_PROTOCOL") or ""


class _Hush(logging.Filter):
    """One line of ours on stderr in place of what the exporter's libraries log, in our thread alone."""

    def __init__(self, processor: PromptProcessor, plan: ExportPlan) -> None:
        super().__init__()
        self._processor = processor
        environ = os.environ
        where = plan.endpoint or environ.get("OTEL_EXPORTER_OTLP_TRACES_ENDPOINT")
        where = where or environ.get("OTEL_EXPORTER_OTLP_ENDPOINT") or "http://localhost:4318"
        self._host = urlsplit(where).netloc.rpartition("@")[2]  # the rest of a URL may hold secrets

    def filter(self, record: logging.LogRecord) -> bool:
        if not self._processor.is_exporting_here():
            return True
        if record.levelno >= logging.WARNING:
            args = record.args if isinstance(record.args, tuple) else ()
            status = next((f" (HTTP {arg})" for arg in args if isinstance(arg, int)), "")
            guard.warn_once(
                "telemetry.collector",
                f"the collector at {self._host} does not take spans{status}: they get lost",
            )
        return False


def _number(variable: str, default: float) -> float:
    value = os.environ.get(variable, "").strip()
    return float(value) if value.isascii() and value.isdigit() and int(value) else default


def _program_name() -> str:
    path = Path(sys.argv[0] if sys.argv else "")
    if path.name == "__main__.py":  # python -m package
        path = path.parent
    return path.stem if path.stem not in ("", "-c", "-m", "-") else "python"
