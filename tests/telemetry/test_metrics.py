"""What is measured of a call, and of whose calls: the program has a MeterProvider of its own."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from dataclasses import replace
from types import ModuleType
from typing import TYPE_CHECKING, Any

import anthropic
import httpx2
import pytest
from opentelemetry import context, metrics, trace
from opentelemetry.metrics import _internal
from opentelemetry.sdk.metrics import MeterProvider
from opentelemetry.sdk.metrics.export import InMemoryMetricReader
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.sampling import ALWAYS_OFF

from rewind_auto.core.model import Mode
from rewind_auto.telemetry.spans import SpanEnd, SpanStart, Tracing

if TYPE_CHECKING:
    from offline_provider import OfflineProvider

START = SpanStart("chat", "openai", "gpt-4o", "api.openai.com", 443, "record", "5e55", 1)
CALL = {"gen_ai.operation.name": "chat", "gen_ai.provider.name": "openai", "gen_ai.request.model": "gpt-4o"}
SERVER = {"server.address": "api.openai.com", "server.port": 443}
SECONDS = [0.01, 0.02, 0.04, 0.08, 0.16, 0.32, 0.64, 1.28, 2.56, 5.12, 10.24, 20.48, 40.96, 81.92]
TOKENS = [1, 4, 16, 64, 256, 1024, 4096, 16384, 65536, 262144, 1048576, 4194304, 16777216, 67108864]


def ended(decision: str, **more: Any) -> SpanEnd:
    """The end of a call, with all that could be measured of one."""
    found: dict[str, Any] = {
        "status": 200,
        "duration": 1.5,
        "usage": {"input_tokens": 120, "output_tokens": 17, "cache_read_input_tokens": 100},
        "response_attributes": {"gen_ai.response.model": "gpt-4o-2026", "gen_ai.response.id": "r1"},
    }
    return SpanEnd(decision, **{**found, **more})


class Meters:
    """The program's provider, and what it has counted."""

    def __init__(self) -> None:
        self._reader = InMemoryMetricReader()
        self.provider = MeterProvider([self._reader], shutdown_on_exit=False)

    def metrics(self) -> dict[str, Any]:
        data = self._reader.get_metrics_data()
        scopes = (
            [scope for resource in data.resource_metrics for scope in resource.scope_metrics] if data else []
        )
        return {
            metric.name: metric
            for scope in scopes
            if scope.scope.name == "rewind-auto"
            for metric in scope.metrics
        }

    def points(self) -> dict[str, list[tuple[dict[str, Any], float]]]:
        """Of each metric the attributes and the value, or the sum, of each series."""
        return {
            name: [
                (dict(point.attributes), getattr(point, "sum", None) or getattr(point, "value", None))
                for point in metric.data.data_points
            ]
            for name, metric in self.metrics().items()
        }


@pytest.fixture
def meters(monkeypatch: pytest.MonkeyPatch) -> Meters:
    found = Meters()
    monkeypatch.setattr(_internal, "_METER_PROVIDER", found.provider)
    return found


@pytest.fixture
def tracer(monkeypatch: pytest.MonkeyPatch) -> trace.Tracer:
    monkeypatch.setattr(trace, "_TRACER_PROVIDER", TracerProvider(shutdown_on_exit=False))
    return trace.get_tracer("someone.else")


def call(decision: str, **more: Any) -> None:
    span = Tracing(None, {}).start(START)
    assert span is not None
    span.end(ended(decision, **more))


# --- what is measured


@pytest.mark.parametrize("decision", ["record", "miss", "bypass"])
def test_a_call_that_was_made(meters: Meters, decision: str) -> None:
    call(decision, time_to_first_chunk=0.25)
    answered = {**CALL, **SERVER, "gen_ai.response.model": "gpt-4o-2026"}
    assert meters.points() == {
        "rewind.calls": [({**CALL, "rewind.cache.decision": decision}, 1)],
        "gen_ai.client.operation.duration": [(answered, 1.5)],
        "gen_ai.client.operation.time_to_first_chunk": [(answered, 0.25)],
        "gen_ai.client.token.usage": [
            ({**answered, "gen_ai.token.type": "input"}, 120),
            ({**answered, "gen_ai.token.type": "output"}, 17),
        ],
    }


@pytest.mark.parametrize("decision", ["hit", "blocked"])
def test_a_call_that_nobody_made_is_counted_and_nothing_else(meters: Meters, decision: str) -> None:
    call("record")
    before = meters.points()
    call(decision, time_to_first_chunk=0.25, status=429)
    after = meters.points()
    assert after.pop("rewind.calls") == [
        *before.pop("rewind.calls"),
        ({**CALL, "rewind.cache.decision": decision}, 1),
    ]
    assert after == before


def test_units_and_boundaries_are_those_of_the_conventions(meters: Meters) -> None:
    call("record", time_to_first_chunk=0.25)
    found = meters.metrics()
    assert {name: metric.unit for name, metric in found.items()} == {
        "rewind.calls": "{call}",
        "gen_ai.client.operation.duration": "s",
        "gen_ai.client.operation.time_to_first_chunk": "s",
        "gen_ai.client.token.usage": "{token}",
    }
    bounds = {
        name: list(metric.data.data_points[0].explicit_bounds)
        for name, metric in found.items()
        if name != "rewind.calls"
    }
    assert bounds == {
        "gen_ai.client.operation.duration": SECONDS,
        "gen_ai.client.operation.time_to_first_chunk": SECONDS,
        "gen_ai.client.token.usage": TOKENS,
    }


@pytest.mark.parametrize(
    ("failure", "kind"),
    [
        ({"status": 429}, "429"),
        ({"status": None, "error_type": "ConnectTimeout"}, "ConnectTimeout"),
        ({"status": 200, "error_type": "overloaded_error"}, "overloaded_error"),
    ],
)
def test_an_error_is_told_by_its_type(meters: Meters, failure: dict[str, Any], kind: str) -> None:
    call("record", **failure, usage=None)
    call("record")
    found = meters.points()
    durations = [attributes.get("error.type") for attributes, _ in found["gen_ai.client.operation.duration"]]
    assert durations == [kind, None]
    assert not [
        attributes for attributes, _ in found["gen_ai.client.token.usage"] if "error.type" in attributes
    ]


def test_what_is_not_known_is_not_measured(meters: Meters) -> None:
    span = Tracing(None, {}).start(SpanStart("chat", "openai", None, None, 443, "record", "5e55"))
    assert span is not None
    span.end(SpanEnd("record", usage={"output_tokens": 0}))
    bare = {"gen_ai.operation.name": "chat", "gen_ai.provider.name": "openai"}
    found = meters.metrics()
    assert {name: [dict(p.attributes) for p in m.data.data_points] for name, m in found.items()} == {
        "rewind.calls": [{**bare, "rewind.cache.decision": "record"}],
        "gen_ai.client.token.usage": [{**bare, "gen_ai.token.type": "output"}],
    }


def test_a_call_is_measured_once(meters: Meters) -> None:
    span = Tracing(None, {}).start(START)
    assert span is not None
    span.end(ended("record"))
    span.end(ended("record"))
    assert meters.points()["rewind.calls"][0][1] == 1


# --- with and without a span


def test_without_a_tracer_there_is_no_span_and_a_measure(meters: Meters) -> None:
    tracing = Tracing(None, {})
    assert tracing.listening
    span = tracing.start(START)
    assert span is not None
    assert (span.trace_id, span.span_id, span.owned) == (None, None, True)
    with span.activate():
        assert not trace.get_current_span().get_span_context().is_valid
    span.end(ended("record"))
    assert len(meters.points()) == 3


def test_a_sampled_out_call_is_measured(meters: Meters, monkeypatch: pytest.MonkeyPatch) -> None:
    provider = TracerProvider(sampler=ALWAYS_OFF, shutdown_on_exit=False)
    monkeypatch.setattr(trace, "_TRACER_PROVIDER", provider)
    call("record")
    assert len(meters.points()) == 3


@pytest.mark.usefixtures("tracer")
def test_a_measure_leads_to_its_span(meters: Meters) -> None:
    span = Tracing(None, {}).start(START)
    assert span is not None
    span.end(ended("record"))
    (point,) = meters.metrics()["gen_ai.client.operation.duration"].data.data_points
    (exemplar,) = point.exemplars
    assert (f"{exemplar.trace_id:032x}", f"{exemplar.span_id:016x}") == (span.trace_id, span.span_id)


@pytest.mark.usefixtures("tracer")
def test_a_function_of_the_program_is_no_llm_call(meters: Meters) -> None:
    span = Tracing(None, {}).start(replace(START, operation="execute_tool", tool="weather"))
    assert span is not None
    span.end(ended("record"))
    assert meters.points() == {}


def test_suppression_is_for_metrics_too(meters: Meters) -> None:
    token = context.attach(context.set_value("suppress_instrumentation", value=True))
    try:
        assert Tracing(None, {}).start(START) is None
    finally:
        context.detach(token)
    assert meters.points() == {}


def test_a_provider_that_comes_later_is_used_from_then_on(monkeypatch: pytest.MonkeyPatch) -> None:
    tracing = Tracing(None, {})
    assert not tracing.listening
    assert tracing.start(START) is None
    for _ in range(2):
        found = Meters()
        monkeypatch.setattr(_internal, "_METER_PROVIDER", found.provider)
        span = tracing.start(START)
        assert span is not None
        span.end(ended("record"))
        assert found.points()["rewind.calls"][0][1] == 1


def test_a_meter_that_fails_costs_the_program_nothing(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    class Broken(metrics.NoOpMeterProvider):
        def get_meter(self, *_args: Any, **_options: Any) -> Any:
            raise RuntimeError("no meter")

    monkeypatch.delenv("REWIND_TESTING")
    monkeypatch.setattr(_internal, "_METER_PROVIDER", Broken())
    tracing = Tracing(None, {})
    assert tracing.start(START) is None
    assert tracing.start(START) is None
    assert capsys.readouterr().err.count("\n") == 1


# --- beside other instrumentations

GENAI_KEY = "opentelemetry.genai.client.inference.context"


@pytest.fixture
def genai() -> Iterator[None]:
    token = context.attach(context.set_value(GENAI_KEY, object()))
    yield
    context.detach(token)


@pytest.mark.usefixtures("genai")
@pytest.mark.parametrize("recording", [True, False])
def test_a_call_of_an_instrumentation_on_util_genai_is_measured_by_that(
    meters: Meters, tracer: trace.Tracer, recording: bool
) -> None:
    span = tracer.start_span("chat gpt-4o") if recording else trace.INVALID_SPAN
    with trace.use_span(span):
        call("record")
    assert meters.points() == {"rewind.calls": [({**CALL, "rewind.cache.decision": "record"}, 1)]}


@pytest.mark.parametrize(
    ("scope", "measured"),
    [("opentelemetry.instrumentation.openai.v1", False), ("openinference.instrumentation.openai", True)],
)
@pytest.mark.usefixtures("tracer")
def test_an_instrumentation_with_a_meter_measures_its_calls_itself(
    meters: Meters, scope: str, measured: bool
) -> None:
    meters.provider.get_meter("opentelemetry.instrumentation.openai.v1", "0.62")
    attributes = {"gen_ai.operation.name": "chat"}
    with trace.get_tracer(scope).start_as_current_span("openai.chat", attributes=attributes):
        call("record")
    assert ("gen_ai.client.operation.duration" in meters.points()) == measured
    assert meters.points()["rewind.calls"][0][1] == 1


@pytest.mark.parametrize(("name", "measured"), [("anthropic", False), ("openai.v1.responses_wrappers", True)])
@pytest.mark.usefixtures("tracer")
def test_an_instrumentation_whose_span_is_not_current_is_known_by_its_functions(
    meters: Meters, monkeypatch: pytest.MonkeyPatch, name: str, measured: bool
) -> None:
    """OpenLLMetry's for Anthropic measures, that for OpenAI's Responses does not."""
    module = ModuleType(f"opentelemetry.instrumentation.{name}")
    exec("def wrapper(call): return call()", vars(module))
    monkeypatch.setitem(sys.modules, module.__name__, module)
    module.wrapper(lambda: call("record"))
    assert ("gen_ai.client.operation.duration" in meters.points()) == measured
    call("record")
    assert meters.metrics()["gen_ai.client.operation.duration"].data.data_points[0].count == 1 + measured


@pytest.mark.usefixtures("tracer")
def test_who_cannot_be_asked_counts_as_measuring(monkeypatch: pytest.MonkeyPatch) -> None:
    recorded = []

    class Sealed(metrics.NoOpMeterProvider):
        def get_meter(self, *_args: Any, **_options: Any) -> Any:
            return self

        def create_counter(self, _name: str, *_args: Any, **_options: Any) -> Any:
            return self

        create_histogram = create_counter

        def add(self, *_args: Any) -> None:
            recorded.append("counter")

        def record(self, *_args: Any) -> None:
            recorded.append("histogram")

    monkeypatch.setattr(_internal, "_METER_PROVIDER", Sealed())
    with trace.get_tracer("x").start_as_current_span("chat", attributes={"gen_ai.operation.name": "chat"}):
        call("record")
    assert recorded == ["counter"]
    call("record")
    assert recorded == ["counter", "counter", "histogram", "histogram", "histogram"]


@pytest.mark.usefixtures("tracer")
def test_anthropics_own_spans_are_measured_by_us(meters: Meters, provider: OfflineProvider) -> None:
    """Its SDK makes a span for each call, once there is a tracer, and no metrics."""
    tracing = Tracing(None, {})
    owned = []

    class Measured(httpx2.HTTPTransport):
        def handle_request(self, request: httpx2.Request) -> httpx2.Response:
            span = tracing.start(START)
            assert span is not None
            owned.append(span.owned)
            response = super().handle_request(request)
            span.end(ended(Mode.RECORD.value))
            return response

    client = anthropic.Anthropic(
        base_url=provider.url, api_key="any", http_client=anthropic.DefaultHttpxClient(transport=Measured())
    )
    client.messages.create(model="m", max_tokens=9, messages=[{"role": "user", "content": "hello"}])
    assert owned == [False]
    assert len(meters.points()["gen_ai.client.operation.duration"]) == 1
