"""The events of a call, for those who asked for them."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Any

import pytest
from opentelemetry import context, trace
from opentelemetry._logs import _internal
from opentelemetry.sdk._logs import LoggerProvider
from opentelemetry.sdk._logs.export import InMemoryLogRecordExporter, SimpleLogRecordProcessor
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter

from rewind_auto.telemetry.spans import SpanEnd, SpanStart, Tracing

if TYPE_CHECKING:
    from otlp_sink import OtlpSink

Program = Callable[..., Any]

CAPTURE = "OTEL_INSTRUMENTATION_GENAI_CAPTURE_MESSAGE_CONTENT"
EMIT = "OTEL_INSTRUMENTATION_GENAI_EMIT_EVENT"
DETAILS = "gen_ai.client.inference.operation.details"
EXCEPTION = "gen_ai.client.operation.exception"

START = SpanStart(
    "chat",
    "openai",
    "gpt-4o",
    "api.openai.com",
    443,
    "record",
    "5e55",
    1,
    request_attributes={"gen_ai.request.temperature": 1, "gen_ai.request.stop_sequences": ["\n"]},
)
ASKED = [{"role": "user", "parts": [{"type": "text", "content": "hello"}]}]
ANSWERED = [
    {
        "role": "assistant",
        "parts": [
            {"type": "tool_call", "id": "c1", "name": "add", "arguments": {"a": 1, "b": [2.5, None, True]}}
        ],
        "finish_reason": "tool_call",
    }
]


def ended(decision: str = "record", **more: Any) -> SpanEnd:
    found: dict[str, Any] = {
        "step": 1,
        "status": 200,
        "usage": {"input_tokens": 120, "output_tokens": 17},
        "response_attributes": {"gen_ai.response.id": "r1", "gen_ai.response.finish_reasons": ["stop"]},
        "system_instructions": lambda: [{"type": "text", "content": "be brief"}],
        "input_messages": lambda: ASKED,
        "output_messages": lambda: ANSWERED,
        "tool_definitions": lambda: [{"type": "function", "name": "add"}],
    }
    return SpanEnd(decision, **{**found, **more})


def call(environ: dict[str, str], outcome: SpanEnd) -> None:
    span = Tracing(None, environ).start(START)
    if span is not None:
        span.end(outcome)


def plain(value: Any) -> Any:
    """Without the SDK's own kinds of mapping and sequence."""
    if isinstance(value, str) or not hasattr(value, "__iter__"):
        return value
    return {k: plain(v) for k, v in value.items()} if hasattr(value, "items") else [plain(v) for v in value]


class Logged:
    """What the program's LoggerProvider was given."""

    def __init__(self) -> None:
        self._exporter = InMemoryLogRecordExporter()
        self.provider = LoggerProvider(shutdown_on_exit=False)
        self.provider.add_log_record_processor(SimpleLogRecordProcessor(self._exporter))

    @property
    def records(self) -> list[Any]:
        return [found.log_record for found in self._exporter.get_finished_logs()]

    @property
    def events(self) -> dict[str, dict[str, Any]]:
        found = {record.event_name: plain(record.attributes) for record in self.records}
        assert len(found) == len(self.records)
        return found


@pytest.fixture
def logged(monkeypatch: pytest.MonkeyPatch) -> Logged:
    found = Logged()
    monkeypatch.setattr(_internal, "_LOGGER_PROVIDER", found.provider)
    return found


@pytest.fixture
def spans(monkeypatch: pytest.MonkeyPatch) -> InMemorySpanExporter:
    exporter = InMemorySpanExporter()
    provider = TracerProvider(shutdown_on_exit=False)
    provider.add_span_processor(SimpleSpanProcessor(exporter))
    monkeypatch.setattr(trace, "_TRACER_PROVIDER", provider)
    return exporter


# --- who asks


@pytest.mark.parametrize(
    ("environ", "event", "messages"),
    [
        ({}, False, False),
        ({CAPTURE: "NO_CONTENT"}, False, False),
        ({CAPTURE: "SPAN_ONLY"}, False, False),
        ({CAPTURE: "true"}, False, False),
        ({CAPTURE: "EVENT_ONLY"}, True, True),
        ({CAPTURE: "span_and_event"}, True, True),
        ({EMIT: "true"}, True, False),
        ({EMIT: " TRUE "}, True, False),
        ({EMIT: "1"}, False, False),
        ({EMIT: "true", CAPTURE: "SPAN_ONLY"}, True, False),
        ({EMIT: "false", CAPTURE: "EVENT_ONLY"}, False, False),
    ],
)
def test_what_asks_for_the_event(
    logged: Logged, environ: dict[str, str], event: bool, messages: bool
) -> None:
    call(environ, ended())
    assert (DETAILS in logged.events) == event
    assert ("gen_ai.input.messages" in logged.events.get(DETAILS, {})) == messages


def test_a_provider_of_the_program_alone_asks_for_nothing(logged: Logged) -> None:
    tracing = Tracing(None, {})
    assert not tracing.listening
    assert tracing.start(START) is None
    assert not logged.records


@pytest.mark.parametrize(
    ("mode", "on_span", "on_event"),
    [("SPAN_ONLY", True, False), ("EVENT_ONLY", False, True), ("SPAN_AND_EVENT", True, True)],
)
def test_messages_go_where_they_were_asked_for(
    logged: Logged, spans: InMemorySpanExporter, mode: str, on_span: bool, on_event: bool
) -> None:
    call({CAPTURE: mode}, ended())
    (span,) = spans.get_finished_spans()
    assert ("gen_ai.input.messages" in (span.attributes or {})) == on_span
    assert ("gen_ai.input.messages" in logged.events.get(DETAILS, {})) == on_event


# --- what it says


def test_the_event_has_the_attributes_of_the_span_and_messages_with_structure(
    logged: Logged, spans: InMemorySpanExporter
) -> None:
    call({CAPTURE: "EVENT_ONLY"}, ended())
    (span,) = spans.get_finished_spans()
    assert logged.events == {
        DETAILS: {
            **plain(span.attributes),
            "gen_ai.system_instructions": [{"type": "text", "content": "be brief"}],
            "gen_ai.input.messages": ASKED,
            "gen_ai.output.messages": ANSWERED,
            "gen_ai.tool.definitions": [{"type": "function", "name": "add"}],
        }
    }
    assert logged.events[DETAILS]["gen_ai.usage.input_tokens"] == 120


def test_the_event_is_in_the_context_of_its_span(logged: Logged, spans: InMemorySpanExporter) -> None:
    call({EMIT: "true"}, ended())
    (span,) = spans.get_finished_spans()
    (record,) = logged.records
    assert (record.trace_id, record.span_id) == (span.context.trace_id, span.context.span_id)
    assert record.severity_number.name == "DEBUG"
    assert record.body is None
    assert span.start_time < record.timestamp


def test_on_a_hit_nothing_was_spent(logged: Logged, spans: InMemorySpanExporter) -> None:
    call({EMIT: "true"}, ended("hit", source_session="0ld", source_step=3, step=2))
    (span,) = spans.get_finished_spans()
    found = logged.events[DETAILS]
    assert found == plain(span.attributes)
    assert not [name for name in found if name.startswith("gen_ai.usage.")]
    assert found["rewind.recorded.usage.input_tokens"] == 120
    assert (found["rewind.cache.decision"], found["rewind.step"]) == ("hit", 2)


def test_without_a_span_there_is_the_event(logged: Logged) -> None:
    call({EMIT: "true"}, ended())
    (record,) = logged.records
    assert (record.trace_id, record.span_id) == (0, 0)
    assert logged.events[DETAILS]["gen_ai.request.temperature"] == 1.0


def test_messages_are_cut_to_size_and_stay_whole(logged: Logged) -> None:
    many = [{"role": "user", "parts": [{"type": "text", "content": "x" * 100_000}]}, *ASKED]
    limit = {"OTEL_ATTRIBUTE_VALUE_LENGTH_LIMIT": "1000"}
    call({CAPTURE: "EVENT_ONLY", **limit}, ended(input_messages=lambda: many))
    first, last = logged.events[DETAILS]["gen_ai.input.messages"]
    assert last == ASKED[0]
    assert first["parts"][0]["content"].endswith("…[100000 characters]")
    assert len(str(first)) < 1000


def test_a_number_that_otlp_cannot_carry_goes_as_text(logged: Logged) -> None:
    parts = [{"type": "tool_call", "name": "f", "arguments": {"n": 2**70, "m": -(2**62), "s": "\ud800"}}]
    call({CAPTURE: "EVENT_ONLY"}, ended(output_messages=lambda: [{"role": "assistant", "parts": parts}]))
    (message,) = logged.events[DETAILS]["gen_ai.output.messages"]
    assert message["parts"][0]["arguments"] == {"n": str(2**70), "m": -(2**62), "s": "?"}


def test_a_content_source_that_fails_costs_only_its_own_attribute(
    logged: Logged, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("REWIND_TESTING")

    def broken() -> Any:
        raise RuntimeError("no messages")

    call({CAPTURE: "EVENT_ONLY"}, ended(input_messages=broken))
    found = logged.events[DETAILS]
    assert "gen_ai.input.messages" not in found
    assert found["gen_ai.output.messages"] == ANSWERED


# --- what went wrong


@pytest.mark.parametrize(
    ("failure", "told"),
    [
        (
            {"status": None, "error_type": "ConnectTimeout", "error_message": "timed out"},
            {
                "error.type": "ConnectTimeout",
                "exception.type": "ConnectTimeout",
                "exception.message": "timed out",
            },
        ),
        (
            {"status": 429, "error_type": "429", "error_message": "slow down"},
            {"error.type": "429", "exception.message": "slow down"},
        ),
        ({"status": 500}, {"error.type": "500", "exception.message": "HTTP 500"}),
        (
            {"status": None, "error_type": "ReadError", "error_message": "x" * 5000},
            {"error.type": "ReadError", "exception.type": "ReadError", "exception.message": "x" * 1000},
        ),
    ],
)
def test_a_failure_is_an_event_of_its_own(
    logged: Logged, spans: InMemorySpanExporter, failure: dict[str, Any], told: dict[str, str]
) -> None:
    call({EMIT: "true"}, ended(**failure))
    assert logged.events.keys() == {EXCEPTION, DETAILS}
    assert logged.events[EXCEPTION] == {
        "gen_ai.operation.name": "chat",
        "gen_ai.provider.name": "openai",
        "gen_ai.request.model": "gpt-4o",
        "rewind.cache.decision": "record",
        **told,
    }
    (span,) = spans.get_finished_spans()
    exception = logged.records[0]
    assert (exception.event_name, exception.severity_number.name) == (EXCEPTION, "WARN")
    assert exception.span_id == span.context.span_id


def test_a_failure_is_no_event_unless_events_were_asked_for(logged: Logged) -> None:
    call({}, ended(status=500))
    assert not logged.records


# --- beside other instrumentations


@pytest.fixture
def genai() -> Iterator[None]:
    token = context.attach(context.set_value("opentelemetry.genai.client.inference.context", object()))
    yield
    context.detach(token)


@pytest.mark.usefixtures("genai")
def test_an_instrumentation_on_util_genai_has_the_event_itself(logged: Logged) -> None:
    call({EMIT: "true"}, ended())
    assert not logged.records


@pytest.mark.parametrize(("scope", "told"), [("logs.itself", False), ("openinference", True)])
@pytest.mark.usefixtures("spans")
def test_an_instrumentation_with_a_logger_has_the_event_itself(
    logged: Logged, scope: str, told: bool
) -> None:
    logged.provider.get_logger("logs.itself")
    attributes = {"gen_ai.operation.name": "chat"}
    with trace.get_tracer(scope).start_as_current_span("chat", attributes=attributes) as outer:
        call({EMIT: "true"}, ended())
    assert (DETAILS in logged.events) == told
    if told:
        assert logged.records[0].span_id == outer.get_span_context().span_id
        assert logged.events[DETAILS]["gen_ai.request.model"] == "gpt-4o"


# --- a private provider

TOLD = """
def told(step):
    message = [{"role": "user", "parts": [{"type": "text", "content": f"question {step}"}]}]
    start(step).end(SpanEnd("record", step=step, status=200, input_messages=lambda: message))
"""


def events_to(sink: OtlpSink) -> dict[str, str]:
    return {"OTEL_LOGS_EXPORTER": "otlp", "OTEL_EXPORTER_OTLP_ENDPOINT": sink.url, CAPTURE: "EVENT_ONLY"}


def test_the_private_provider_delivers_and_stays_private(program: Program, sink: OtlpSink) -> None:
    done = program(
        TOLD
        + """
from opentelemetry._logs import _internal as logs
told(1)
assert logs._LOGGER_PROVIDER is None
assert "opentelemetry.sdk.metrics" not in sys.modules
""",
        **events_to(sink),
    )
    assert (done.code, done.err) == (0, "")
    (event,), (span,) = sink.events, sink.spans
    assert (event.name, event.severity, event.scope) == (DETAILS, 5, "rewind-auto")
    assert (event.trace_id, event.span_id) == (span.trace_id, span.span_id)
    assert event.attributes["gen_ai.input.messages"] == [
        {"role": "user", "parts": [{"type": "text", "content": "question 1"}]}
    ]
    assert event.resource["service.name"] == "my_agent"


def test_events_alone_start_no_spans(program: Program, sink: OtlpSink) -> None:
    done = program(TOLD + "told(1)", **{**events_to(sink), "OTEL_TRACES_EXPORTER": "none"})
    assert (done.code, done.err) == (0, "")
    assert sink.paths == ["/v1/logs"]


@pytest.mark.parametrize("leave", ["sys.exit(0)", "os._exit(0)"])
def test_every_event_arrives_once_from_forked_children_too(
    program: Program, sink: OtlpSink, leave: str
) -> None:
    done = program(
        TOLD
        + f"""
for step in range(1, 1001): told(step)
if (pid := os.fork()) == 0:
    for step in range(2001, 2051): told(step)
    {leave}
assert os.waitpid(pid, 0)[1] == 0
""",
        **events_to(sink),
    )
    assert (done.code, done.err) == (0, "")
    steps = sorted(event.attributes["rewind.step"] for event in sink.events)
    assert steps == [*range(1, 1001), *range(2001, 2051)]


def test_the_console_exporter_keeps_off_stdout(program: Program) -> None:
    done = program(
        TOLD + "told(1)\nprint('mine')", **{CAPTURE: "EVENT_ONLY", "OTEL_LOGS_EXPORTER": "console"}
    )
    assert done.out == "mine\n"
    assert DETAILS in done.err
