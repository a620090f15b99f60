"""Which tracer to use. See `rewind_auto.telemetry.source`.

While the program has no TracerProvider, export is asked for by, in this order:

``REWIND_OTLP`` (``--otlp``): OTLP over HTTP, to its URL, or with ``1`` to where ``OTEL_EXPORTER_OTLP_*``
    point. It speaks for this agent alone, so it beats ``OTEL_TRACES_EXPORTER=none``.
``OTEL_TRACES_EXPORTER``: ``otlp``, ``console`` (to stderr: stdout is the program's), or ``none``.
``OTEL_EXPORTER_OTLP_TRACES_ENDPOINT``, ``OTEL_EXPORTER_OTLP_ENDPOINT``: where they point.

``OTEL_SDK_DISABLED=true`` is the kill switch for all of OpenTelemetry and beats every one of them.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

from rewind_auto.core import guard
from rewind_auto.telemetry.signals import TRACES, ExportPlan, disabled, named, signal_url
from rewind_auto.telemetry.source import SCOPE, VERSION, Source

if TYPE_CHECKING:
    from opentelemetry.trace import Tracer, TracerProvider

    from rewind_auto.telemetry.private_tracer import PrivateTracer


def plan(otlp: str | None, environ: Mapping[str, str]) -> ExportPlan | None:
    """What the environment asks for, or None when it asks for no export."""
    if disabled(environ):
        if otlp:
            guard.warn_once("telemetry.disabled", "OTEL_SDK_DISABLED=true: no spans are exported")
        return None
    if otlp:
        return ExportPlan(("otlp",), None if otlp == "1" else signal_url(TRACES, otlp))
    exporters = named(TRACES, environ)
    if exporters is not None:
        return ExportPlan(exporters) if exporters else None
    if environ.get("OTEL_EXPORTER_OTLP_TRACES_ENDPOINT") or environ.get("OTEL_EXPORTER_OTLP_ENDPOINT"):
        return ExportPlan(("otlp",))
    return None


class TracerSource(Source["Tracer"]):
    """Finds the tracer of the moment."""

    def __init__(self, otlp: str | None, environ: Mapping[str, str]) -> None:
        super().__init__("opentelemetry.trace", "_TRACER_PROVIDER", plan(otlp, environ))
        self._asked_for_otlp = bool(otlp)

    def _of_program(self, provider: TracerProvider) -> Tracer:
        if self._asked_for_otlp:
            guard.warn_once(
                "telemetry.program",
                "the program has a TracerProvider of its own: spans go there, not to --otlp",
            )
        return provider.get_tracer(SCOPE, VERSION)

    def _of_ours(self, plan: ExportPlan) -> PrivateTracer:
        from rewind_auto.telemetry.private_tracer import PrivateTracer

        return PrivateTracer(plan)
