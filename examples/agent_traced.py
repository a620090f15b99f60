"""The travel agent in a program that is traced already: a run of it is one trace, with its tools in it.

    OTEL_EXPORTER_OTLP_ENDPOINT=http://127.0.0.1:4318 python examples/agent_traced.py [QUESTION]

It knows nothing of rewind-auto; under rewind-run its calls to the model are spans of that trace too.
"""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Callable

from agent import FUNCTIONS, main
from opentelemetry import trace
from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor
from travel_tools import QUESTION

tracer = trace.get_tracer(__name__)


def traced(name: str, function: Callable[..., str]) -> Callable[..., str]:
    attributes = {"gen_ai.operation.name": "execute_tool", "gen_ai.tool.name": name}

    def call(**arguments: str) -> str:
        with tracer.start_as_current_span(f"execute_tool {name}", attributes=attributes):
            return function(**arguments)

    return call


if __name__ == "__main__":
    provider = TracerProvider(resource=Resource.create({"service.name": "travel-agent"}))
    provider.add_span_processor(BatchSpanProcessor(OTLPSpanExporter()))
    trace.set_tracer_provider(provider)
    FUNCTIONS.update({name: traced(name, function) for name, function in FUNCTIONS.items()})
    agent = {"gen_ai.operation.name": "invoke_agent", "gen_ai.agent.name": "travel"}
    with tracer.start_as_current_span("invoke_agent travel", attributes=agent):
        asyncio.run(main(" ".join(sys.argv[1:]) or QUESTION))
