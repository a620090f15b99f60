"""A collector on a loopback port: takes OTLP over HTTP and keeps what comes, or misbehaves on request."""

from __future__ import annotations

import gzip
import ssl
import threading
import time
import zlib
from collections.abc import Mapping
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import TYPE_CHECKING, Any, Self

from google.protobuf.message import DecodeError
from opentelemetry.proto.collector.logs.v1.logs_service_pb2 import ExportLogsServiceRequest
from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import ExportMetricsServiceRequest
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest

if TYPE_CHECKING:
    from opentelemetry.proto.common.v1.common_pb2 import AnyValue


_DECODERS = {"identity": bytes, "gzip": gzip.decompress, "deflate": zlib.decompress}


@dataclass(frozen=True)
class SunkSpan:
    """One span as it came over the wire."""

    name: str
    kind: int
    trace_id: str
    span_id: str
    parent_id: str
    attributes: Mapping[str, Any]
    resource: Mapping[str, Any]
    links: tuple[tuple[str, str], ...]
    status: int
    message: str
    scope: str


@dataclass(frozen=True)
class SunkPoint:
    """One data point of a metric; of a histogram ``value`` is the sum."""

    metric: str
    unit: str
    attributes: Mapping[str, Any]
    resource: Mapping[str, Any]
    scope: str
    value: float
    count: int
    bounds: tuple[float, ...]
    exemplars: tuple[tuple[str, str], ...]


@dataclass(frozen=True)
class SunkEvent:
    """One log record that is an event."""

    name: str
    severity: int
    trace_id: str
    span_id: str
    attributes: Mapping[str, Any]
    resource: Mapping[str, Any]
    scope: str


class OtlpSink:
    """The collector.

    Args:
        status: what it answers with.
        pause: seconds it takes to answer; answers are cut off when it stops.
        tls: speak HTTPS with this.
    """

    def __init__(self, status: int = 200, pause: float = 0.0, tls: ssl.SSLContext | None = None) -> None:
        self.status = status
        self.spans: list[SunkSpan] = []
        self.points: list[SunkPoint] = []
        self.events: list[SunkEvent] = []
        self.paths: list[str] = []
        self.headers: list[dict[str, str]] = []
        self.batches: list[int] = []
        self.sizes: list[int] = []
        self._scheme = "https" if tls else "http"
        self._lock = threading.Lock()
        self._stopping = threading.Event()
        sink = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers["Content-Length"]))
                sink._stopping.wait(pause)
                try:
                    body = _DECODERS[self.headers.get("Content-Encoding", "identity")](body)
                    request = _REQUESTS.get(self.path, ExportTraceServiceRequest).FromString(body)
                except (DecodeError, zlib.error, OSError):
                    self.send_error(400)
                    return
                if sink.status == 200:
                    sink._take(self.path, dict(self.headers), request, len(body))
                self.send_response(sink.status)
                self.send_header("Content-Length", "0")
                self.end_headers()

            def log_message(self, *args: object) -> None:
                pass

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._server.daemon_threads = True
        if tls is not None:
            # The handshake is left to the connection's own thread, where breaking it off ends nothing else.
            self._server.socket = tls.wrap_socket(
                self._server.socket, server_side=True, do_handshake_on_connect=False
            )
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.02,), daemon=True)

    @property
    def url(self) -> str:
        return f"{self._scheme}://127.0.0.1:{self._server.server_address[1]}"

    @property
    def steps(self) -> list[int]:
        """The step of every span, sorted."""
        with self._lock:
            return sorted(span.attributes["rewind.step"] for span in self.spans)

    def wait(self, count: int, seconds: float = 10.0) -> list[SunkSpan]:
        """The spans, once there are ``count`` or time is up."""
        end = time.monotonic() + seconds
        while len(self.spans) < count and time.monotonic() < end:
            time.sleep(0.01)
        with self._lock:
            return list(self.spans)

    def metric(self, name: str) -> dict[tuple[tuple[str, Any], ...], tuple[int, float]]:
        """Count and sum of each series, over all processes, by its attributes in the order of their names."""
        latest: dict[Any, SunkPoint] = {}
        with self._lock:
            for point in self.points:
                if point.metric == name:
                    series = tuple(sorted(point.attributes.items()))
                    latest[point.resource["service.instance.id"], series] = point
        totals: dict[tuple[tuple[str, Any], ...], tuple[int, float]] = {}
        for (_, series), point in latest.items():
            count, value = totals.get(series, (0, 0.0))
            totals[series] = count + point.count, value + point.value
        return totals

    @property
    def calls(self) -> dict[str, int]:
        """The calls by decision, as ``rewind.calls`` has them."""
        totals: dict[str, int] = {}
        for series, (_, value) in self.metric("rewind.calls").items():
            decision = dict(series)["rewind.cache.decision"]
            totals[decision] = totals.get(decision, 0) + int(value)
        return totals

    def _take(self, path: str, headers: dict[str, str], request: Any, size: int) -> None:
        with self._lock:
            self.paths.append(path)
            self.headers.append(headers)
            self.sizes.append(size)
            before = len(self.spans)
            self.points += _points(request)
            self.events += _events(request)
            for of_resource in getattr(request, "resource_spans", ()):
                resource = _attributes(of_resource.resource.attributes)
                for of_scope in of_resource.scope_spans:
                    self.spans += [_span(span, resource, of_scope.scope.name) for span in of_scope.spans]
            self.batches.append(len(self.spans) - before)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *exception: object) -> None:
        self._stopping.set()
        self._server.shutdown()
        self._server.server_close()


_REQUESTS: Mapping[str, Any] = {
    "/v1/metrics": ExportMetricsServiceRequest,
    "/v1/logs": ExportLogsServiceRequest,
}


def _points(request: Any) -> list[SunkPoint]:
    found = []
    for of_resource in getattr(request, "resource_metrics", ()):
        resource = _attributes(of_resource.resource.attributes)
        for of_scope in of_resource.scope_metrics:
            for metric in of_scope.metrics:
                histogram = metric.WhichOneof("data") == "histogram"
                found += [
                    SunkPoint(
                        metric=metric.name,
                        unit=metric.unit,
                        attributes=_attributes(point.attributes),
                        resource=resource,
                        scope=of_scope.scope.name,
                        value=point.sum if histogram else point.as_int,
                        count=point.count if histogram else 0,
                        bounds=tuple(point.explicit_bounds) if histogram else (),
                        exemplars=tuple((e.trace_id.hex(), e.span_id.hex()) for e in point.exemplars),
                    )
                    for point in (metric.histogram if histogram else metric.sum).data_points
                ]
    return found


def _events(request: Any) -> list[SunkEvent]:
    return [
        SunkEvent(
            name=record.event_name,
            severity=record.severity_number,
            trace_id=record.trace_id.hex(),
            span_id=record.span_id.hex(),
            attributes=_attributes(record.attributes),
            resource=_attributes(of_resource.resource.attributes),
            scope=of_scope.scope.name,
        )
        for of_resource in getattr(request, "resource_logs", ())
        for of_scope in of_resource.scope_logs
        for record in of_scope.log_records
    ]


def _span(span: Any, resource: Mapping[str, Any], scope: str) -> SunkSpan:
    return SunkSpan(
        name=span.name,
        kind=span.kind,
        trace_id=span.trace_id.hex(),
        span_id=span.span_id.hex(),
        parent_id=span.parent_span_id.hex(),
        attributes=_attributes(span.attributes),
        resource=resource,
        links=tuple((link.trace_id.hex(), link.span_id.hex()) for link in span.links),
        status=span.status.code,
        message=span.status.message,
        scope=scope,
    )


def _attributes(pairs: Any) -> dict[str, Any]:
    return {pair.key: _value(pair.value) for pair in pairs}


def _value(value: AnyValue) -> Any:
    kind = value.WhichOneof("value")
    if kind == "kvlist_value":
        return _attributes(value.kvlist_value.values)
    if kind == "array_value":
        return [_value(item) for item in value.array_value.values]
    return getattr(value, kind) if kind else None
