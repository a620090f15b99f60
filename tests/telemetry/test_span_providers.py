"""A program and its providers: set late, in a child alone, replaced, by many threads at once, of any make."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from otlp_sink import OtlpSink

Program = Callable[..., Any]

PROVIDERS = """
from opentelemetry import trace
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter

class Provider(TracerProvider):
    def __init__(self):
        super().__init__(shutdown_on_exit=False)
        self.seen = InMemorySpanExporter()
        self.add_span_processor(SimpleSpanProcessor(self.seen))
    def steps(self):
        return [span.attributes["rewind.step"] for span in self.seen.get_finished_spans()]
"""


def test_a_provider_of_a_child_is_the_childs_alone(program: Program, sink: OtlpSink) -> None:
    done = program(
        PROVIDERS
        + """
call(1)
if (pid := os.fork()) == 0:
    call(2)                       # while the child has none either
    provider = Provider()
    trace.set_tracer_provider(provider)
    call(3)
    os._exit(0 if provider.steps() == [3] else 1)
assert os.waitpid(pid, 0)[1] == 0
call(4)
""",
        OTEL_EXPORTER_OTLP_ENDPOINT=sink.url,
    )
    assert (done.code, done.err) == (0, "")
    assert sink.steps == [1, 2, 4]


def test_a_provider_that_replaces_another(program: Program) -> None:
    done = program(
        PROVIDERS
        + """
first, second = Provider(), Provider()
trace.set_tracer_provider(first)
call(1)
open_call = start(2)
trace._TRACER_PROVIDER = second   # as test suites do
call(3)
open_call.end(SpanEnd("record"))
assert (first.steps(), second.steps()) == ([1, 2], [3])
trace._TRACER_PROVIDER = None
assert call(4) is None
trace._TRACER_PROVIDER = first
call(5)
assert first.steps() == [1, 2, 5]
"""
    )
    assert (done.code, done.err) == (0, "")


def test_a_proxys_tracers_and_ours_end_up_at_the_same_provider(program: Program) -> None:
    done = program(
        PROVIDERS
        + """
early = trace.get_tracer("mine")
assert call(1) is None
provider = Provider()
trace.set_tracer_provider(provider)
with early.start_as_current_span("agent", attributes={"rewind.step": 0}) as agent:
    call(2)
assert provider.steps() == [2, 0]
assert provider.seen.get_finished_spans()[0].parent.span_id == agent.get_span_context().span_id
"""
    )
    assert (done.code, done.err) == (0, "")


def test_no_call_is_lost_to_threads_that_find_the_provider_at_once(program: Program) -> None:
    """``get_tracer`` may take its time: nobody else may be told meanwhile that there is no tracer."""
    done = program(
        PROVIDERS
        + """
import threading
class Slow(Provider):
    def get_tracer(self, *args, **kwargs):
        together.wait(2)
        time.sleep(0.1)
        return super().get_tracer(*args, **kwargs)
together = threading.Barrier(2)
provider = Slow()
trace.set_tracer_provider(provider)
def first():
    call(1)
thread = threading.Thread(target=first)
thread.start()
together.wait(2)
together = threading.Barrier(1)
call(2)
thread.join()
assert sorted(provider.steps()) == [1, 2], provider.steps()
"""
    )
    assert (done.code, done.err) == (0, "")


@pytest.mark.parametrize("late", [False, True])
def test_once_the_program_has_a_provider_nothing_more_is_exported_by_ours(
    program: Program, sink: OtlpSink, late: bool
) -> None:
    done = program(
        PROVIDERS
        + f"""
late = {late}
if late:
    call(1)
    assert tracing.flush(5)
provider = Provider()
trace.set_tracer_provider(provider)
for step in range(2, 50): call(step)
time.sleep(0.3)
assert provider.steps() == list(range(2, 50))
assert ("rewind_auto.telemetry.export" in sys.modules) == late
""",
        OTEL_EXPORTER_OTLP_ENDPOINT=sink.url,
    )
    assert (done.code, done.err) == (0, "")
    assert sink.steps == ([1] if late else [])
    assert len(sink.paths) == late


def test_a_provider_that_starts_no_spans_does_not_break_the_call(program: Program, sink: OtlpSink) -> None:
    done = program(
        """
        del os.environ["REWIND_TESTING"]
        from opentelemetry import trace
        class Tracer(trace.NoOpTracer):
            def start_span(self, *args, **kwargs): raise RuntimeError("not today")
        class Provider(trace.NoOpTracerProvider):
            def get_tracer(self, *args, **kwargs): return Tracer()
        trace.set_tracer_provider(Provider())
        assert call(1) is None
        assert call(2) is None
        """,
        OTEL_EXPORTER_OTLP_ENDPOINT=sink.url,
    )
    assert done.code == 0
    assert done.err == (
        "rewind-auto: internal error in telemetry.start, the program goes on: RuntimeError: not today\n"
    )
    assert not sink.paths, "the program's choice is the program's"


def test_a_module_of_opentelemetry_that_is_not_whole_counts_as_no_provider(program: Program) -> None:
    """Another thread may be importing it, or a test suite may have put something in its place."""
    done = program(
        """
        import types
        sys.modules["opentelemetry.trace"] = types.ModuleType("opentelemetry.trace")
        assert call(1) is None
        sys.modules["opentelemetry.trace"] = None
        assert call(2) is None
        """
    )
    assert (done.code, done.err) == (0, "")
