"""What the private providers share: exporters, the resource, and quiet while exporting."""

from __future__ import annotations

import logging
import os
import sys
from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from importlib import import_module
from importlib.metadata import entry_points
from inspect import signature, unwrap
from pathlib import Path
from types import MethodType
from typing import Any, Final, Generic, TypeVar
from urllib.parse import urlsplit

from opentelemetry.metrics import NoOpMeterProvider
from opentelemetry.sdk.resources import SERVICE_NAME, OTELResourceDetector, Resource

from rewind_auto.core import guard
from rewind_auto.telemetry.exits import PROCESS
from rewind_auto.telemetry.kept_alive import watch
from rewind_auto.telemetry.processor import Outbox, why
from rewind_auto.telemetry.signals import ExportError, ExportPlan, Signal

_DELAY_MILLISECONDS: Final = 100
_BATCH: Final = 128  # with the cap on content, below the 64 MiB at which the exporter drops a batch whole
_QUEUE: Final = 16384  # at thousands of replayed calls a second the SDK's 2 048 overflow

_PACKAGE: Final = "opentelemetry.exporter.otlp.proto"
_NOISY: Final = (
    "opentelemetry.exporter.otlp.common.http",
    f"{_PACKAGE}.grpc.exporter",
    f"{_PACKAGE}.http._common",
    "urllib3.connectionpool",
)

_HTTP_ERRORS: Final = range(400, 600)

# Variables of requests with the certificates of everybody else's servers.
_BUNDLES: Final = ("REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE")

T = TypeVar("T")


class Private(ABC, Generic[T]):
    """A provider that nobody else sees, whose outbox is delivered before the process ends."""

    def __init__(self, signal: Signal, plan: ExportPlan, outbox: Outbox[Any]) -> None:
        self.outbox = outbox
        outbox.collector = f"the collector at {_host(signal, plan)}"
        self._hush = _Hush(outbox)
        self._noisy = [logging.getLogger(name) for name in (*_NOISY, f"{_PACKAGE}.http.{signal.module}")]
        for noisy in self._noisy:
            noisy.addFilter(self._hush)
        PROCESS.add(outbox)

    @property
    def leaving(self) -> bool:
        """Whether the process is at its end, and what is reported from now on is delivered at once."""
        return PROCESS.leaving

    @abstractmethod
    def current(self) -> T:
        """What to report with in this process."""

    def unhush(self) -> None:
        """Let the exporter's libraries log as they like. For when it is closed."""
        for noisy in self._noisy:
            noisy.removeFilter(self._hush)


def close(providers: Sequence[Private[Any]]) -> None:
    """Deliver what waits, within the bound of one exit, and let go of the process's hooks."""
    PROCESS.close([provider.outbox for provider in providers])
    for provider in providers:
        provider.unhush()


def batched(signal: Signal, plan: ExportPlan, console: Callable[[], Any], variables: str) -> Outbox[Any]:
    """An outbox for a signal whose items are exported one by one. ``variables``: ``OTEL_BSP``, the prefix."""
    return Outbox(
        signal.items,
        lambda seconds: exporters(signal, plan, console, seconds),
        delay=number(f"{variables}_SCHEDULE_DELAY", _DELAY_MILLISECONDS) / 1000,
        batch=number(f"{variables}_MAX_EXPORT_BATCH_SIZE", _BATCH),
        limit=number(f"{variables}_MAX_QUEUE_SIZE", _QUEUE),
    )


def exporters(
    signal: Signal, plan: ExportPlan, console: Callable[[], Any], seconds: float | None = None
) -> list[Any]:
    """The exporters that were asked for. ``seconds``: the time-out of an export, if not as the variables say.

    Raises:
        ExportError: there is none of them, or the OTLP protocol is gRPC and its exporter is not installed.
    """
    made, unknown = [], []
    for name in plan.exporters:
        if name == "otlp":
            made.append(_otlp(signal, plan.endpoint, seconds))
        elif name == "console":
            made.append(console())
        elif found := list(entry_points(group=f"opentelemetry_{signal.name}_exporter", name=name)):
            made.append(found[0].load()())
        else:
            unknown.append(name)
    variable = f"OTEL_{signal.name.upper()}_EXPORTER"
    line = f"{variable}: no exporter of {signal.items} is called {', '.join(unknown)}"
    if not made:
        raise ExportError(line)
    if unknown:
        guard.warn_once(f"telemetry.exporter.{signal.name}", line)
    return made


def _otlp(signal: Signal, endpoint: str | None, seconds: float | None) -> Any:
    options: dict[str, Any] = {"endpoint": endpoint, "timeout": seconds}
    protocol = "http/protobuf" if endpoint else _of_otlp(signal, "PROTOCOL")
    if protocol == "grpc":
        package = f"{_PACKAGE}.grpc"
        try:
            module = import_module(f"{package}.{signal.module}")
        except ImportError as error:
            needed = package.replace(".", "-")
            raise ExportError(
                f"no {signal.items} are exported: the OTLP protocol is set to grpc, which needs {needed}"
            ) from error
    else:
        if protocol not in ("", "http/protobuf"):
            line = f"OTLP over {protocol} is not there: {signal.items} go over http/protobuf"
            guard.warn_once(f"telemetry.protocol.{signal.name}", line)
        module = import_module(f"{_PACKAGE}.http.{signal.module}")
        certificate = _of_otlp(signal, "CERTIFICATE")
        if certificate and any(os.environ.get(name) for name in _BUNDLES):
            options["session"] = _trusting(certificate)
        if not any(name.endswith("_CREDENTIAL_PROVIDER") for name in os.environ):
            session = options.setdefault("session", import_module("requests").Session())
            # It knows nothing of suppression: each export would be a trace of its own in the user's backend.
            if "ddtrace" in sys.modules:
                _unseen(session)
            watch(session)
    return unobserved(getattr(module, signal.exporter), **options)


def _unseen(session: Any) -> None:
    """Have a session's requests pass by what tools have put around ``requests.Session.send``."""
    session.send = MethodType(unwrap(type(session).send), session)


def _of_otlp(signal: Signal, what: str) -> str:
    """A variable of the OTLP exporter: the signal's own, else that of all signals, else empty."""
    value = os.environ.get(signal.variable(what)) or os.environ.get(f"OTEL_EXPORTER_OTLP_{what}")
    return value.strip() if value else ""


def _trusting(certificate: str) -> Any:
    """A session of requests, which the exporter imports anyway, that trusts this certificate.

    The exporter sets it on the session, and there requests lets its own variables beat it.
    """
    session = import_module("requests").Session()
    merged = session.merge_environment_settings
    session.merge_environment_settings = lambda *args: {**merged(*args), "verify": certificate}
    return session


def unobserved(build: Callable[..., T], **options: Any) -> T:
    """``build(**options)`` of something in the SDK that would count its own doings.

    For that it gets the global MeterProvider, which loads and sets the one that OTEL_PYTHON_METER_PROVIDER
    names, and the program's own later call would then be refused.
    """
    if "meter_provider" in signature(build).parameters:
        options["meter_provider"] = NoOpMeterProvider()
    return build(**options)


def resource() -> Resource:
    """What the environment says this process is, named after its program when that gives no name."""
    try:
        found = Resource.create()
    except (RuntimeError, MemoryError):  # it wants threads, and for exit handlers there are none any more
        found = OTELResourceDetector().detect()
    if str(found.attributes.get(SERVICE_NAME, "unknown_service")).startswith("unknown_service"):
        found = found.merge(Resource({SERVICE_NAME: _program_name()}))
    return found


def number(variable: str, default: int) -> int:
    """The positive whole number that a variable holds."""
    value = os.environ.get(variable, "").strip()
    return int(value) if value.isascii() and value.isdigit() and int(value) else default


class _Hush(logging.Filter):
    """One line of ours on stderr in place of what the exporter's libraries log, in our thread alone."""

    def __init__(self, outbox: Outbox[Any]) -> None:
        super().__init__()
        self._outbox = outbox

    def filter(self, record: logging.LogRecord) -> bool:
        if not self._outbox.is_exporting_here():
            return True
        if record.levelno >= logging.WARNING:
            args = record.args if isinstance(record.args, tuple) else ()
            self._outbox.refused(next((found for arg in args if (found := _why(arg))), None))
        return False


def _why(argument: object) -> str | None:
    """What an argument of a logged line says is wrong."""
    if isinstance(argument, int) and argument in _HTTP_ERRORS:
        return f"HTTP {argument}"
    return why(argument) if isinstance(argument, Exception) else None


def _host(signal: Signal, plan: ExportPlan) -> str:
    default = "http://localhost:4317" if _of_otlp(signal, "PROTOCOL") == "grpc" else "http://localhost:4318"
    where = plan.endpoint or _of_otlp(signal, "ENDPOINT") or default
    return urlsplit(where).netloc.rpartition("@")[2] or where  # the rest of a URL may hold secrets


def _program_name() -> str:
    path = Path(sys.argv[0] if sys.argv else "")
    if path.name == "__main__.py":  # python -m package
        path = path.parent
    return path.stem if path.stem not in ("", "-c", "-m", "-") else "python"
