"""A collector of OTLP over gRPC: prints its port, and at the end of its input what came, as JSON.

    python grpc_sink.py [SECONDS]

SECONDS is how long it takes to answer. It needs grpcio and opentelemetry-proto.
"""

from __future__ import annotations

import json
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import grpc
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceResponse
from opentelemetry.proto.collector.trace.v1.trace_service_pb2_grpc import (
    TraceServiceServicer,
    add_TraceServiceServicer_to_server,
)


class Service(TraceServiceServicer):
    def __init__(self, pause: float) -> None:
        self.pause = pause
        self.steps: list[int] = []
        self.metadata: list[dict[str, str]] = []

    def Export(self, request: Any, context: Any) -> ExportTraceServiceResponse:  # noqa: N802 - the service's name
        time.sleep(self.pause)
        for of_resource in request.resource_spans:
            for of_scope in of_resource.scope_spans:
                for span in of_scope.spans:
                    found = {pair.key: pair.value for pair in span.attributes}
                    self.steps.append(found["rewind.step"].int_value)
        self.metadata.append({key: str(value) for key, value in context.invocation_metadata()})
        return ExportTraceServiceResponse()


def main() -> None:
    service = Service(float(sys.argv[1]) if len(sys.argv) > 1 else 0.0)
    server = grpc.server(ThreadPoolExecutor(16))
    add_TraceServiceServicer_to_server(service, server)
    port = server.add_insecure_port("127.0.0.1:0")
    server.start()
    print(port, flush=True)
    sys.stdin.read()
    print(json.dumps({"steps": sorted(service.steps), "metadata": service.metadata}), flush=True)
    server.stop(None)


if __name__ == "__main__":
    main()
