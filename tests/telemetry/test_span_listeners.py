"""Who gets the spans: the program's provider, a private one, or nobody."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import pytest

from rewind_auto.telemetry.provider import plan
from rewind_auto.telemetry.signals import TRACES, ExportPlan, signal_url

if TYPE_CHECKING:
    from otlp_sink import OtlpSink

Program = Callable[..., Any]

OTLP = ExportPlan(("otlp",))


@pytest.mark.parametrize(
    ("otlp", "environ", "expected"),
    [
        (None, {}, None),
        ("1", {}, OTLP),
        ("http://c:4318", {}, ExportPlan(("otlp",), "http://c:4318/v1/traces")),
        (None, {"OTEL_TRACES_EXPORTER": "otlp"}, OTLP),
        (None, {"OTEL_TRACES_EXPORTER": "console"}, ExportPlan(("console",))),
        (None, {"OTEL_TRACES_EXPORTER": "otlp, console"}, ExportPlan(("otlp", "console"))),
        (None, {"OTEL_TRACES_EXPORTER": "zipkin"}, ExportPlan(("zipkin",))),
        (None, {"OTEL_TRACES_EXPORTER": "otlp,none"}, None),
        (None, {"OTEL_TRACES_EXPORTER": "none", "OTEL_EXPORTER_OTLP_ENDPOINT": "http://c:4318"}, None),
        (None, {"OTEL_EXPORTER_OTLP_ENDPOINT": "http://c:4318"}, OTLP),
        (None, {"OTEL_EXPORTER_OTLP_TRACES_ENDPOINT": "http://c:4318/v1/traces"}, OTLP),
        (None, {"OTEL_EXPORTER_OTLP_METRICS_ENDPOINT": "http://c:4318/v1/metrics"}, None),
        (None, {"OTEL_EXPORTER_OTLP_ENDPOINT": ""}, None),
        ("1", {"OTEL_TRACES_EXPORTER": "none"}, OTLP),
        ("1", {"OTEL_SDK_DISABLED": "true"}, None),
        (None, {"OTEL_SDK_DISABLED": "TRUE", "OTEL_TRACES_EXPORTER": "otlp"}, None),
        (None, {"OTEL_SDK_DISABLED": "false", "OTEL_TRACES_EXPORTER": "otlp"}, OTLP),
    ],
)
def test_what_asks_for_export(otlp: str | None, environ: dict[str, str], expected: ExportPlan | None) -> None:
    assert plan(otlp, environ) == expected


@pytest.mark.parametrize(
    ("given", "full"),
    [
        ("http://c:4318", "http://c:4318/v1/traces"),
        ("http://c:4318/", "http://c:4318/v1/traces"),
        ("https://c/otlp", "https://c/otlp/v1/traces"),
        ("https://c/otlp/v1/traces", "https://c/otlp/v1/traces"),
        ("https://c/v1/traces/", "https://c/v1/traces"),
        ("https://c/v1/traces?key=1", "https://c/v1/traces?key=1"),
        ("https://c/x?key=1", "https://c/x/v1/traces?key=1"),
    ],
)
def test_the_url_of_the_traces_signal(given: str, full: str) -> None:
    assert signal_url(TRACES, given) == full


# --- nobody


def test_without_a_listener_nothing_is_imported_and_nothing_is_spent(program: Program) -> None:
    done = program(
        """
        assert not tracing.listening
        assert call(1) is None
        heavy = ("opentelemetry", "google.protobuf", "requests", "logging", "asyncio")
        assert not [name for name in sys.modules if name.split(".")[0] in heavy or name in heavy]
        source = tracing._source
        best = 1.0
        for _ in range(20):
            began = time.perf_counter()
            for _ in range(10_000): source.current()
            best = min(best, time.perf_counter() - began)
        print(best / 10_000 * 1e6)
        """
    )
    assert done.code == 0, done.err
    assert float(done.out) < 1.0, "microseconds a look-up"


def test_a_program_that_only_imported_the_api_is_no_listener(program: Program) -> None:
    done = program(
        """
        from opentelemetry import trace
        trace.get_tracer("mine")
        assert call(1) is None
        assert "opentelemetry.sdk.trace" not in sys.modules
        """
    )
    assert done.code == 0, done.err


def test_a_provider_that_the_environment_names_is_left_for_the_program_to_load(program: Program) -> None:
    done = program(
        """
        import opentelemetry.trace as trace
        assert call(1) is None
        assert trace._TRACER_PROVIDER is None
        """,
        OTEL_PYTHON_TRACER_PROVIDER="sdk_tracer_provider",
    )
    assert done.code == 0, done.err


def test_the_kill_switch_is_told_apart_from_silence(program: Program, sink: OtlpSink) -> None:
    done = program("assert call(1) is None", REWIND_OTLP=sink.url, OTEL_SDK_DISABLED="true")
    assert done.err == "rewind-auto: OTEL_SDK_DISABLED=true: no spans are exported\n"
    assert not sink.spans


# --- a private provider


def test_the_private_provider_stays_private(program: Program, sink: OtlpSink) -> None:
    done = program(
        """
        from opentelemetry import trace
        span = start(1)
        with span.activate():
            assert not trace.get_current_span().get_span_context().is_valid
        span.end(SpanEnd("record"))
        assert type(trace.get_tracer_provider()).__name__ == "ProxyTracerProvider"
        assert not trace.get_tracer("mine").start_span("x").is_recording()
        """,
        REWIND_OTLP=sink.url,
    )
    assert (done.code, done.err) == (0, "")
    (span,) = sink.wait(1)
    assert (span.name, span.scope, span.resource["service.name"]) == (
        "chat gpt-4o",
        "rewind-auto",
        "my_agent",
    )
    assert sink.paths == ["/v1/traces"]


@pytest.mark.parametrize(
    "environ",
    [
        {"OTEL_SERVICE_NAME": "shop"},
        {"OTEL_RESOURCE_ATTRIBUTES": "service.name=shop,deployment.environment.name=test"},
    ],
)
def test_the_service_is_named_as_the_environment_says(
    program: Program, sink: OtlpSink, environ: dict[str, str]
) -> None:
    program("call(1)", REWIND_OTLP="1", OTEL_EXPORTER_OTLP_ENDPOINT=sink.url, **environ)
    (span,) = sink.wait(1)
    assert span.resource["service.name"] == "shop"
    assert span.resource.get("deployment.environment.name") == (
        "test" if "OTEL_RESOURCE_ATTRIBUTES" in environ else None
    )


def test_the_environments_own_variables_are_enough(program: Program, sink: OtlpSink) -> None:
    program(
        "call(1)",
        OTEL_EXPORTER_OTLP_TRACES_ENDPOINT=f"{sink.url}/elsewhere",
        OTEL_EXPORTER_OTLP_HEADERS="x-team=blue",
    )
    assert sink.steps == [1]
    assert sink.paths == ["/elsewhere"]
    assert sink.headers[0]["x-team"] == "blue"


def test_the_environments_sampler_is_obeyed(program: Program, sink: OtlpSink) -> None:
    done = program("assert call(1).trace_id", REWIND_OTLP=sink.url, OTEL_TRACES_SAMPLER="always_off")
    assert (done.code, done.err) == (0, "")
    assert not sink.spans


def test_the_console_exporter_keeps_off_stdout(program: Program) -> None:
    done = program("call(1)\nprint('mine')", OTEL_TRACES_EXPORTER="console")
    assert done.out == "mine\n"
    assert '"name": "chat gpt-4o"' in done.err


def test_an_exporter_that_is_not_there_costs_one_line(program: Program) -> None:
    done = program(
        """
        del os.environ["REWIND_TESTING"]
        assert call(1) is None
        os.environ["OTEL_EXPORTER_OTLP_PROTOCOL"] = "http/protobuf"
        assert call(2) is None, "tried again"
        """,
        OTEL_TRACES_EXPORTER="otlp",
        OTEL_EXPORTER_OTLP_PROTOCOL="grpc",
    )
    assert done.code == 0
    assert len(done.err.splitlines()) == 1
    assert "needs opentelemetry-exporter-otlp-proto-grpc" in done.err


def test_the_exporters_own_requests_are_suppressed(program: Program, sink: OtlpSink) -> None:
    """An instrumentation of requests, ours too, tells them by the standard context keys."""
    done = program(
        """
        import requests
        from opentelemetry import context
        plain = requests.Session.send
        def send(self, request, **options):
            keys = (context._SUPPRESS_INSTRUMENTATION_KEY, context._SUPPRESS_HTTP_INSTRUMENTATION_KEY,
                    "suppress_instrumentation")
            print(*(context.get_value(key) for key in keys), start(9) is None)
            return plain(self, request, **options)
        requests.Session.send = send
        call(1)
        """,
        REWIND_OTLP=sink.url,
    )
    assert done.out == "True True True True\n"


def test_a_child_forked_while_the_sdk_loads_goes_without(program: Program, sink: OtlpSink) -> None:
    """The other thread that was loading it is not there to finish: waiting for it would be for ever."""
    done = program(
        """
        import signal
        with tracing._source._lock:
            if (pid := os.fork()) == 0:
                signal.alarm(5)
                os._exit(0 if call(1) is None else 1)
        print(os.waitpid(pid, 0)[1])
        call(2)
        """,
        REWIND_OTLP=sink.url,
    )
    assert done.out == "0\n"
    assert sink.steps == [2]


# --- the program's provider

PROVIDER = """
from opentelemetry import trace
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter

seen = InMemorySpanExporter()
def set_provider():
    provider = TracerProvider()
    provider.add_span_processor(SimpleSpanProcessor(seen))
    trace.set_tracer_provider(provider)
def steps():
    return [span.attributes["rewind.step"] for span in seen.get_finished_spans() if span.name != "agent"]
"""


def test_the_programs_provider_is_used_and_no_exporter_is_built(program: Program) -> None:
    done = program(
        PROVIDER
        + """
set_provider()
assert tracing.listening
call(1)
assert steps() == [1]
assert "rewind_auto.telemetry.export" not in sys.modules
assert "requests" not in sys.modules
"""
    )
    assert (done.code, done.err) == (0, "")


def test_a_provider_set_later_takes_over_and_no_span_is_lost(program: Program, sink: OtlpSink) -> None:
    done = program(
        PROVIDER
        + """
call(1)
open_call = start(2)
set_provider()
call(3)
with trace.get_tracer("mine").start_as_current_span("agent") as agent:
    call(4)
open_call.end(SpanEnd("record"))
assert steps()[0] == 3
four = seen.get_finished_spans()[1]
assert four.parent.span_id == agent.get_span_context().span_id
""",
        REWIND_OTLP=sink.url,
    )
    assert done.code == 0, done.err
    assert done.err.splitlines() == [
        "rewind-auto: the program has a TracerProvider of its own: spans go there, not to --otlp"
    ]
    assert sink.steps == [1, 2]


def test_the_programs_span_is_current_while_the_call_runs(program: Program) -> None:
    done = program(
        PROVIDER
        + """
import asyncio
set_provider()
async def one(step):
    span = start(step)
    with span.activate():
        await asyncio.sleep(0.01)
        assert f"{trace.get_current_span().get_span_context().span_id:016x}" == span.span_id
        await asyncio.sleep(0.01)
    assert not trace.get_current_span().get_span_context().is_valid
    span.end(SpanEnd("record"))
async def main():
    await asyncio.gather(*(one(step) for step in range(1, 21)))
    try:
        with start(99).activate():
            raise RuntimeError
    except RuntimeError:
        pass
    assert not trace.get_current_span().get_span_context().is_valid
asyncio.run(main())
assert sorted(steps()) == list(range(1, 21))
assert not any(span.events for span in seen.get_finished_spans())
"""
    )
    assert (done.code, done.err) == (0, "")


def test_a_provider_of_another_make_is_enough(program: Program) -> None:
    """Only what the API promises is used: no span attributes, no processors."""
    done = program(
        """
        from opentelemetry import trace
        class Span(trace.NonRecordingSpan):
            written = {}
            def is_recording(self): return True
            def set_attributes(self, attributes): self.written.update(attributes)
            def end(self, end_time=None): print(self.written["rewind.cache.decision"])
        class Tracer(trace.NoOpTracer):
            def start_span(self, name, *args, **kwargs): return Span(trace.SpanContext(1, 2, False))
        class Provider(trace.NoOpTracerProvider):
            def get_tracer(self, *args, **kwargs): return Tracer()
        trace.set_tracer_provider(Provider())
        span = start(1)
        with span.activate():
            inner = start(2)
        span.end(SpanEnd("hit", error_type="x", link=("0" * 31 + "1", "0" * 15 + "2")))
        print(span.trace_id, span.span_id)
        """
    )
    assert (done.code, done.err) == (0, "")
    assert done.out.split() == ["hit", "0" * 31 + "1", "0" * 15 + "2"]


def test_a_provider_that_gives_no_tracer_is_asked_once(program: Program) -> None:
    done = program(
        """
        del os.environ["REWIND_TESTING"]
        from opentelemetry import trace
        class Provider(trace.NoOpTracerProvider):
            def get_tracer(self, *args, **kwargs):
                print("asked")
                raise KeyError("none left")
        trace.set_tracer_provider(Provider())
        assert call(1) is None
        assert call(2) is None
        """
    )
    assert (done.code, done.out) == (0, "asked\n")
    assert done.err == (
        "rewind-auto: internal error in telemetry.adopt, the program goes on: KeyError: 'none left'\n"
    )


def test_a_broken_provider_does_not_break_the_call(program: Program) -> None:
    done = program(
        PROVIDER
        + """
del os.environ["REWIND_TESTING"]
from opentelemetry.sdk.trace import SpanProcessor
class Broken(SpanProcessor):
    def on_start(self, span, parent_context=None):
        if span.attributes["rewind.step"] == 1: raise KeyError("start")
    def on_end(self, span): raise KeyError("end")
provider = TracerProvider()
provider.add_span_processor(Broken())
trace.set_tracer_provider(provider)
assert call(1) is None
assert call(2) is not None
call(3)
"""
    )
    assert done.code == 0
    assert done.err.splitlines() == [
        "rewind-auto: internal error in telemetry.start, the program goes on: KeyError: 'start'",
        "rewind-auto: internal error in telemetry.end, the program goes on: KeyError: 'end'",
    ]
