"""Which tracer to use, looked up at call time.

1. The program's own TracerProvider, as soon as it set one. Its exporters, its sampling, its exit.
2. While it has none, and export was asked for, a private SDK provider, built on the first LLM call.
3. Else none, and OpenTelemetry is not even imported.

Export is asked for by, in this order:

``REWIND_OTLP`` (``--otlp``): OTLP over HTTP, to its URL, or with ``1`` to where ``OTEL_EXPORTER_OTLP_*``
    point. It speaks for this agent alone, so it beats ``OTEL_TRACES_EXPORTER=none``.
``OTEL_TRACES_EXPORTER``: ``otlp``, ``console`` (to stderr: stdout is the program's), or ``none``.
``OTEL_EXPORTER_OTLP_TRACES_ENDPOINT``, ``OTEL_EXPORTER_OTLP_ENDPOINT``: where they point.

``OTEL_SDK_DISABLED=true`` is the kill switch for all of OpenTelemetry and beats every one of them.
Nothing global is ever set.
"""

from __future__ import annotations

import sys
import threading
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final
from urllib.parse import urlsplit, urlunsplit

from rewind_auto import __version__
from rewind_auto.core import guard
from rewind_auto.telemetry.fork import in_forked_child

if TYPE_CHECKING:
    from opentelemetry.trace import Tracer, TracerProvider

    from rewind_auto.telemetry.export import PrivateProvider

SCOPE: Final = "rewind-auto"


@dataclass(frozen=True, slots=True)
class ExportPlan:
    """Where spans go when the program has no provider: ``otlp``, ``console`` or both."""

    exporters: tuple[str, ...]
    endpoint: str | None = None  # None: as the OTEL_* variables say


def plan(otlp: str | None, environ: Mapping[str, str]) -> ExportPlan | None:
    """What the environment asks for, or None when it asks for no export."""
    named = environ.get("OTEL_TRACES_EXPORTER", "").lower().replace(",", " ").split()
    if environ.get("OTEL_SDK_DISABLED", "").strip().lower() == "true":
        if otlp:
            guard.warn_once("telemetry.disabled", "OTEL_SDK_DISABLED=true: no spans are exported")
        return None
    if otlp:
        return ExportPlan(("otlp",), None if otlp == "1" else traces_url(otlp))
    if named:
        known = tuple(name for name in dict.fromkeys(named) if name in ("otlp", "console"))
        return ExportPlan(known) if known and "none" not in named else None
    if environ.get("OTEL_EXPORTER_OTLP_TRACES_ENDPOINT") or environ.get("OTEL_EXPORTER_OTLP_ENDPOINT"):
        return ExportPlan(("otlp",))
    return None


def traces_url(url: str) -> str:
    """``url`` with the path of the traces signal: a base URL gets it appended, a full one is kept."""
    parts = urlsplit(url)
    path = parts.path.rstrip("/")
    return urlunsplit(parts._replace(path=path if path.endswith("/v1/traces") else f"{path}/v1/traces"))


class TracerSource:
    """Finds the tracer of the moment."""

    def __init__(self, otlp: str | None, environ: Mapping[str, str]) -> None:
        self._plan = plan(otlp, environ)
        self._asked_for_otlp = bool(otlp)
        self._provider: TracerProvider | None = None
        self._tracer: Tracer | None = None
        self._private: PrivateProvider | None = None
        self._private_tracer: Tracer | None = None
        self._lock = threading.Lock()
        in_forked_child(self._after_fork)

    def _after_fork(self) -> None:
        if self._lock.locked():
            # Another thread was importing the SDK: the locks of those modules are held for ever here.
            self._plan = None
            self._lock = threading.Lock()

    def tracer(self) -> Tracer | None:
        """The tracer to start a span with, or None when nobody listens."""
        # Not get_tracer_provider(): that would load and set the global one when OTEL_PYTHON_TRACER_PROVIDER
        # names it, and the program's own later call would then be refused.
        provider = getattr(sys.modules.get("opentelemetry.trace"), "_TRACER_PROVIDER", None)
        if provider is not None:
            return self._tracer if provider is self._provider else self._adopt(provider)
        if self._plan is None:
            return None
        return self._private_tracer or self._build(self._plan)

    def is_private(self, tracer: Tracer) -> bool:
        """Whether ``tracer`` is ours alone, its spans unknown to the program."""
        return tracer is self._private_tracer

    def flush(self, seconds: float) -> bool:
        """Wait until our own exporter has been given every ended span. The program's is its own business."""
        return self._private is None or self._private.flush(seconds)

    def close(self) -> None:
        """Deliver what is pending, within the bound of an exit, and let go of the process's hooks."""
        if self._private is not None:
            self._private.close()
            self._plan = self._private = self._private_tracer = None

    def _adopt(self, provider: TracerProvider) -> Tracer | None:
        if self._asked_for_otlp:
            guard.warn_once(
                "telemetry.program",
                "the program has a TracerProvider of its own: spans go there, not to --otlp",
            )
        self._provider, self._tracer = provider, None
        with guard.swallow("telemetry.adopt"):
            self._tracer = provider.get_tracer(SCOPE, __version__)
        return self._tracer

    def _build(self, plan: ExportPlan) -> Tracer | None:
        with self._lock:
            if self._private_tracer is None and self._plan is not None:
                try:
                    # Here and not in a background thread: a fork in the middle of a thread's import
                    # leaves the child an import lock that nobody will ever release.
                    from rewind_auto.telemetry.export import PrivateProvider

                    self._private = PrivateProvider(plan)
                    self._private_tracer = self._private.tracer(SCOPE, __version__)
                except Exception as error:  # noqa: BLE001 - a broken exporter must not end a call
                    self._plan = None
                    guard.report("telemetry.build", error)
            return self._private_tracer
