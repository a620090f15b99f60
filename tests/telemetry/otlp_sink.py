"""A collector on a loopback port: takes OTLP over HTTP and keeps the spans, or misbehaves on request."""

from __future__ import annotations

import threading
import time
from collections.abc import Mapping
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import TYPE_CHECKING, Any, Self

from google.protobuf.message import DecodeError
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest

if TYPE_CHECKING:
    from opentelemetry.proto.common.v1.common_pb2 import AnyValue


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


class OtlpSink:
    """The collector.

    Args:
        status: what it answers with.
        pause: seconds it takes to answer; answers are cut off when it stops.
    """

    def __init__(self, status: int = 200, pause: float = 0.0) -> None:
        self.status = status
        self.spans: list[SunkSpan] = []
        self.paths: list[str] = []
        self.headers: list[dict[str, str]] = []
        self._lock = threading.Lock()
        self._stopping = threading.Event()
        sink = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers["Content-Length"]))
                sink._stopping.wait(pause)
                try:
                    request = ExportTraceServiceRequest.FromString(body)
                except DecodeError:
                    self.send_error(400)
                    return
                if sink.status == 200:
                    sink._take(self.path, dict(self.headers), request)
                self.send_response(sink.status)
                self.send_header("Content-Length", "0")
                self.end_headers()

            def log_message(self, *args: object) -> None:
                pass

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._server.daemon_threads = True
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.02,), daemon=True)

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self._server.server_address[1]}"

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

    def _take(self, path: str, headers: dict[str, str], request: ExportTraceServiceRequest) -> None:
        with self._lock:
            self.paths.append(path)
            self.headers.append(headers)
            for of_resource in request.resource_spans:
                resource = _attributes(of_resource.resource.attributes)
                for of_scope in of_resource.scope_spans:
                    self.spans += [_span(span, resource, of_scope.scope.name) for span in of_scope.spans]

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *exception: object) -> None:
        self._stopping.set()
        self._server.shutdown()
        self._server.server_close()


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
    if kind == "array_value":
        return [_value(item) for item in value.array_value.values]
    return getattr(value, kind) if kind else None
