"""A private MeterProvider. Importing this imports the SDK."""

from __future__ import annotations

import sys
from collections.abc import Callable, Sequence
from queue import Empty, SimpleQueue
from typing import Any, Final
from uuid import uuid4

from opentelemetry.sdk.metrics import MeterProvider
from opentelemetry.sdk.metrics.export import ConsoleMetricExporter, MetricReader, MetricsData
from opentelemetry.sdk.resources import SERVICE_INSTANCE_ID, Resource

from rewind_auto.telemetry.export import Private, exporters, number, resource
from rewind_auto.telemetry.instruments import Instruments
from rewind_auto.telemetry.processor import Outbox
from rewind_auto.telemetry.signals import METRICS, ExportPlan
from rewind_auto.telemetry.source import SCOPE, VERSION

_INTERVAL_MILLISECONDS: Final = 60_000  # the specification's
_NO_LIMIT: Final = sys.maxsize


class PrivateMeter(Private[Instruments]):
    """Metrics, exported after the first call, then every ``OTEL_METRIC_EXPORT_INTERVAL``, and at the end.

    The SDK's periodic reader may take 30 s at exit, and starts a thread in every forked child.
    """

    def __init__(self, plan: ExportPlan) -> None:
        self._plan = plan
        self._readers: list[_Reader] = []
        self._ticks = _Ticks(self._ready)
        super().__init__(METRICS, plan, self._ticks)

    def current(self) -> Instruments:
        """Instruments that count from nought: asked for at first, and again in a forked child."""
        made = self._exporters()
        self._readers[:] = [_Reader(found) for found in made if not isinstance(found, MetricReader)]
        pulled = [found for found in made if isinstance(found, MetricReader)]  # Prometheus fetches by itself
        # No two processes may write the same series, and nothing else tells those of one program apart.
        described = resource()
        if SERVICE_INSTANCE_ID not in described.attributes:
            described = described.merge(Resource({SERVICE_INSTANCE_ID: str(uuid4())}))
        self._provider = MeterProvider([*self._readers, *pulled], described, shutdown_on_exit=False)
        return Instruments(self._provider.get_meter(SCOPE, VERSION), self._ticks.tick)

    def _exporters(self, seconds: float | None = None) -> list[Any]:
        return exporters(METRICS, self._plan, lambda: ConsoleMetricExporter(out=sys.stderr), seconds)

    def _ready(self, seconds: float | None) -> list[_Reader]:
        """The readers, to export within so many seconds. They stay the same: the provider knows them."""
        if seconds is not None:
            made = [found for found in self._exporters(seconds) if not isinstance(found, MetricReader)]
            for reader, exporter in zip(self._readers, made, strict=True):
                reader.exporter = exporter
        return self._readers


class _Reader(MetricReader):
    """Collects when the outbox exports, and not by itself."""

    def __init__(self, exporter: Any) -> None:
        super().__init__(exporter._preferred_temporality, exporter._preferred_aggregation)  # noqa: SLF001
        self.exporter = exporter

    def export(self, _ticks: Sequence[None]) -> None:
        self.collect()

    def _receive_metrics(
        self, metrics_data: MetricsData, timeout_millis: float = 10_000, **_kwargs: Any
    ) -> None:
        self.exporter.export(metrics_data, timeout_millis=timeout_millis)

    def shutdown(self, timeout_millis: float = 30_000, **_kwargs: Any) -> None:
        """Nothing: the outbox sees to the end."""


class _Ticks(Outbox[None]):
    """Holds no more than the wish to collect: the numbers are in the SDK."""

    def __init__(self, readers: Callable[[float | None], Sequence[_Reader]]) -> None:
        self._interval = number("OTEL_METRIC_EXPORT_INTERVAL", _INTERVAL_MILLISECONDS) / 1000
        super().__init__("metrics", readers, delay=self._interval, batch=_NO_LIMIT, limit=_NO_LIMIT)

    def tick(self) -> None:
        """Something was recorded."""
        if self.holds():
            self.urge()
        else:
            self.put(None)

    def _rest(self) -> SimpleQueue[None] | None:
        # What has not changed is exported as well: backends take a series that stops coming for ended.
        try:
            return self._calls.get(timeout=self._interval)
        except Empty:
            self._items.add(None, 0)
            return None
