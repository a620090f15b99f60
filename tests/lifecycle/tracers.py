"""Tools that look at what goes out, each with its own way on and off."""

from __future__ import annotations

import importlib

from other_tool import Tool


class OpenTelemetry(Tool):
    answers = False

    def __init__(self, url):
        super().__init__(url)
        from opentelemetry.instrumentation.aiohttp_client import AioHttpClientInstrumentor
        from opentelemetry.instrumentation.httpx import HTTPXClientInstrumentor
        from opentelemetry.instrumentation.requests import RequestsInstrumentor
        from opentelemetry.instrumentation.urllib3 import URLLib3Instrumentor
        from opentelemetry.sdk.trace import TracerProvider
        from opentelemetry.sdk.trace.export import SimpleSpanProcessor
        from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter

        self.exporter = InMemorySpanExporter()
        self.provider = TracerProvider()
        self.provider.add_span_processor(SimpleSpanProcessor(self.exporter))
        self.instrumentors = [
            AioHttpClientInstrumentor(),
            HTTPXClientInstrumentor(),
            RequestsInstrumentor(),
            URLLib3Instrumentor(),
        ]

    def on(self):
        for instrumentor in self.instrumentors:
            instrumentor.instrument(tracer_provider=self.provider)

    def off(self):
        for instrumentor in self.instrumentors:
            instrumentor.uninstrument()

    def seen(self):
        spans = self.exporter.get_finished_spans()
        self.exporter.clear()
        return [
            [
                span.name,
                span.kind.name,
                span.parent is None,
                span.status.status_code.name,
                dict(span.attributes),
            ]
            for span in spans
        ]


class Sentry(Tool):
    """There is no way to take its wrappers off: without a client they do nothing."""

    answers = False

    def __init__(self, url):
        super().__init__(url)
        import sentry_sdk
        from sentry_sdk.integrations.aiohttp import AioHttpIntegration
        from sentry_sdk.integrations.httpx import HttpxIntegration
        from sentry_sdk.integrations.httpx2 import Httpx2Integration

        self.sdk = sentry_sdk
        self.integrations = [AioHttpIntegration(), HttpxIntegration(), Httpx2Integration()]
        self.spans = []

    def _keep(self, event, _):
        self.spans += [
            [span["op"], span["description"], span["data"].get("http.response.status_code")]
            for span in event["spans"]
        ]

    def on(self):
        self.sdk.init(
            "http://key@127.0.0.1:9/1",
            traces_sample_rate=1.0,
            auto_enabling_integrations=False,
            auto_session_tracking=False,
            integrations=self.integrations,
            before_send_transaction=self._keep,
            shutdown_timeout=0,
        )

    def off(self):
        self.sdk.init(auto_enabling_integrations=False)

    def around(self):
        return self.sdk.start_transaction(name="program")

    def seen(self):
        spans, self.spans = self.spans, []
        return spans


class Ddtrace(Tool):
    answers = False
    libraries = ("httpx", "httpx2", "requests", "aiohttp")

    def __init__(self, url):
        super().__init__(url)
        import ddtrace
        from ddtrace.trace import TraceFilter, tracer

        class Keep(TraceFilter):
            def process_trace(_, trace):  # noqa: N805
                self.spans += [[span.name, span.get_tag("http.url"), span.error] for span in trace]

        self.patch = ddtrace.patch
        self.spans = []
        tracer.configure(trace_processors=[Keep()])

    def on(self):
        self.patch(**dict.fromkeys(self.libraries, True))

    def off(self):
        for name in self.libraries:
            importlib.import_module(f"ddtrace.contrib.internal.{name}.patch").unpatch()

    def seen(self):
        spans, self.spans = self.spans, []
        return spans
