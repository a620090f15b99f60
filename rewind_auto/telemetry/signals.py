"""The signals of OpenTelemetry: how their exporters and variables are called, and what asks for them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final
from urllib.parse import urlsplit, urlunsplit

from rewind_auto.core.errors import RewindError


class ExportError(RewindError):
    """What was asked for cannot be had. One line for the user, with the variable that asks."""


@dataclass(frozen=True, slots=True)
class Signal:
    """One signal.

    Attributes:
        name: as in ``OTEL_EXPORTER_OTLP_TRACES_ENDPOINT`` and in the path ``v1/traces``.
        items: what is exported, in words.
        module: of its exporter, in the packages ``opentelemetry.exporter.otlp.proto.http`` and ``….grpc``.
        exporter: the exporter's class.
    """

    name: str
    items: str
    module: str
    exporter: str

    def variable(self, what: str) -> str:
        """Name of its own variable for the OTLP exporter: ``ENDPOINT``, ``PROTOCOL``."""
        return f"OTEL_EXPORTER_OTLP_{self.name.upper()}_{what}"


TRACES: Final = Signal("traces", "spans", "trace_exporter", "OTLPSpanExporter")
METRICS: Final = Signal("metrics", "metrics", "metric_exporter", "OTLPMetricExporter")
LOGS: Final = Signal("logs", "events", "_log_exporter", "OTLPLogExporter")


@dataclass(frozen=True, slots=True)
class ExportPlan:
    """Where a signal goes when the program has no provider.

    To ``otlp``, ``console``, or what a package brings under another name.
    """

    exporters: tuple[str, ...]
    endpoint: str | None = None  # None: as the OTEL_* variables say


def disabled(environ: Mapping[str, str]) -> bool:
    """Whether all of OpenTelemetry is switched off."""
    return environ.get("OTEL_SDK_DISABLED", "").strip().lower() == "true"


def named(signal: Signal, environ: Mapping[str, str]) -> tuple[str, ...] | None:
    """The exporters that ``OTEL_<SIGNAL>_EXPORTER`` names; None when it says nothing."""
    said = environ.get(f"OTEL_{signal.name.upper()}_EXPORTER", "").lower().replace(",", " ").split()
    if not said:
        return None
    return () if "none" in said else tuple(dict.fromkeys(said))


def asked(signal: Signal, otlp: str | None, environ: Mapping[str, str]) -> ExportPlan | None:
    """What ``OTEL_METRICS_EXPORTER`` or ``OTEL_LOGS_EXPORTER`` asks for, or None when it asks for nothing.

    Unlike for traces an endpoint alone asks for nothing: most programs that have one send traces only. The
    URL of ``--otlp`` says where to, unless the signal has an endpoint of its own.
    """
    exporters = None if disabled(environ) else named(signal, environ)
    if not exporters:
        return None
    if otlp and otlp != "1" and not environ.get(signal.variable("ENDPOINT")):
        return ExportPlan(exporters, signal_url(signal, otlp))
    return ExportPlan(exporters)


def signal_url(signal: Signal, url: str) -> str:
    """``url`` with the path of the signal: a base URL gets it appended, that of a signal is replaced."""
    parts = urlsplit(url)
    path = parts.path.rstrip("/")
    for other in (TRACES, METRICS, LOGS):
        path = path.removesuffix(f"/v1/{other.name}")
    return urlunsplit(parts._replace(path=f"{path}/v1/{signal.name}"))
