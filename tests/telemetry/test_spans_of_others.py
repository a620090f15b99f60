"""A call that another instrumentation already has a span for gets no second one."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

import anthropic
import httpx2
import pytest
from opentelemetry import context, trace
from opentelemetry.sdk.trace import ReadableSpan, TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from opentelemetry.trace import SpanKind, StatusCode, Tracer

from rewind_auto.telemetry.call_span import CallSpan
from rewind_auto.telemetry.spans import SpanEnd, SpanStart, Tracing

if TYPE_CHECKING:
    from offline_provider import OfflineProvider

START = SpanStart("chat", "openai", "gpt-4o", "api.openai.com", 443, "replay", "5e55", 7)
HIT = SpanEnd(
    "hit",
    match="exact",
    source_session="0ld",
    source_step=3,
    link=("0af7651916cd43dd8448eb211c80319c", "b7ad6b7169203331"),
    usage={"input_tokens": 120},
    status=429,
    error_type="429",
    response_attributes={"gen_ai.response.id": "r"},
)


@pytest.fixture
def seen(monkeypatch: pytest.MonkeyPatch) -> InMemorySpanExporter:
    exporter = InMemorySpanExporter()
    provider = TracerProvider()
    provider.add_span_processor(SimpleSpanProcessor(exporter))
    monkeypatch.setattr(trace, "_TRACER_PROVIDER", provider)
    return exporter


@pytest.fixture
def tracer(seen: InMemorySpanExporter) -> Tracer:
    return trace.get_tracer("someone.else")


def hit() -> CallSpan:
    span = Tracing(None, {}).start(START)
    assert span is not None
    span.end(HIT)
    return span


@pytest.mark.parametrize(
    "mark",
    [
        {"gen_ai.operation.name": "chat"},
        {"gen_ai.operation.name": "embeddings"},
        {"gen_ai.operation.name": "generate_content"},
        {"openinference.span.kind": "LLM"},
    ],
)
def test_an_llm_span_is_added_to(
    seen: InMemorySpanExporter, tracer: Tracer, mark: dict[str, str], caplog: pytest.LogCaptureFixture
) -> None:
    with tracer.start_as_current_span("theirs", attributes=mark) as theirs:
        ours = hit()
    (span,) = seen.get_finished_spans()
    assert span.name == "theirs"
    assert not ours.owned
    assert ours.trace_id == f"{theirs.get_span_context().trace_id:032x}"
    assert ours.span_id == f"{theirs.get_span_context().span_id:016x}"
    assert dict(span.attributes or {}) == {
        **mark,
        "rewind.mode": "replay",
        "rewind.session.id": "5e55",
        "rewind.step": 7,
        "rewind.cache.decision": "hit",
        "rewind.match": "exact",
        "rewind.source.session.id": "0ld",
        "rewind.source.step": 3,
        "rewind.recorded.usage.input_tokens": 120,
    }
    assert len(span.links) == 1
    assert span.status.status_code is StatusCode.UNSET, "how it went is for them to say"
    assert not caplog.records


def test_what_was_spent_is_theirs_to_say(seen: InMemorySpanExporter, tracer: Tracer) -> None:
    with tracer.start_as_current_span("theirs", attributes={"gen_ai.operation.name": "chat"}):
        span = Tracing(None, {}).start(START)
        assert span is not None
        span.end(SpanEnd("record", usage={"input_tokens": 120}, status=200))
    (theirs,) = seen.get_finished_spans()
    assert not [name for name in theirs.attributes or {} if "usage" in name]


@pytest.mark.parametrize("kind", ["inference", "embedding"])
def test_the_key_of_util_genai_marks_an_llm_span(
    seen: InMemorySpanExporter, tracer: Tracer, kind: str
) -> None:
    with tracer.start_as_current_span("theirs"):
        token = context.attach(context.set_value(f"opentelemetry.genai.client.{kind}.context", object()))
        try:
            assert not hit().owned
        finally:
            context.detach(token)
    assert [span.name for span in seen.get_finished_spans()] == ["theirs"]


@pytest.mark.parametrize(
    "mark",
    [
        {"gen_ai.operation.name": "invoke_agent"},
        {"gen_ai.operation.name": "create_agent"},
        {"gen_ai.operation.name": "execute_tool"},
        {"gen_ai.operation.name": "invoke_workflow"},
        {"gen_ai.operation.name": "retrieval"},
        {"openinference.span.kind": "AGENT"},
        {"openinference.span.kind": "CHAIN"},
        {"http.request.method": "POST"},
    ],
)
def test_any_other_span_is_a_parent(seen: InMemorySpanExporter, tracer: Tracer, mark: dict[str, str]) -> None:
    with tracer.start_as_current_span("theirs", attributes=mark) as theirs:
        ours = hit()
    span, parent = seen.get_finished_spans()
    assert ours.owned
    assert (span.name, span.kind) == ("chat gpt-4o", SpanKind.CLIENT)
    assert span.parent is not None
    assert span.parent.span_id == theirs.get_span_context().span_id
    assert dict(parent.attributes or {}) == mark


def test_activating_leaves_their_span_current(seen: InMemorySpanExporter, tracer: Tracer) -> None:
    with tracer.start_as_current_span("theirs", attributes={"gen_ai.operation.name": "chat"}) as theirs:
        span = Tracing(None, {}).start(START)
        assert span is not None
        with span.activate():
            assert trace.get_current_span() is theirs
        span.end(HIT)


def test_their_span_may_end_first(
    seen: InMemorySpanExporter, tracer: Tracer, caplog: pytest.LogCaptureFixture
) -> None:
    with tracer.start_as_current_span("theirs", attributes={"gen_ai.operation.name": "chat"}):
        early = Tracing(None, {}).start(START)
        late = Tracing(None, {}).start(START)
        assert early is not None
        assert late is not None
        early.decided("record")
    early.end(HIT)
    late.decided("miss")
    late.end(HIT)
    (span,) = seen.get_finished_spans()
    assert (span.attributes or {})["rewind.cache.decision"] == "record"
    assert not caplog.records


def test_an_ended_llm_span_left_current_is_not_added_to(seen: InMemorySpanExporter, tracer: Tracer) -> None:
    theirs = tracer.start_span("theirs", attributes={"gen_ai.operation.name": "chat"})
    theirs.end()
    with trace.use_span(theirs):
        assert hit().owned
    assert [span.name for span in seen.get_finished_spans()] == ["theirs", "chat gpt-4o"]


# --- the real thing: anthropic's client makes spans of its own as soon as there is a provider


class Seam(httpx2.BaseTransport):
    """Starts and ends a span where an adapter would: around the transport, to the end of the body."""

    def __init__(self) -> None:
        self.inner = httpx2.HTTPTransport()
        self.spans: list[CallSpan] = []

    def handle_request(self, request: httpx2.Request) -> httpx2.Response:
        span = Tracing(None, {}).start(SpanStart("chat", "anthropic", "claude", "h", 1, "record", "5e55", 1))
        assert span is not None
        self.spans.append(span)
        span.decided("record")
        with span.activate():
            response = self.inner.handle_request(request)
        assert isinstance(response.stream, httpx2.SyncByteStream)
        response.stream = Body(response.stream, span)
        return response

    def close(self) -> None:
        self.inner.close()


class Body(httpx2.SyncByteStream):
    def __init__(self, inner: httpx2.SyncByteStream, span: CallSpan) -> None:
        self.inner = inner
        self.span = span

    def __iter__(self) -> Iterator[bytes]:
        yield from self.inner

    def close(self) -> None:
        self.inner.close()
        self.span.end(SpanEnd("record", status=200, usage={"output_tokens": 1}))


def client(provider: OfflineProvider, seam: Seam) -> anthropic.Anthropic:
    return anthropic.Anthropic(
        base_url=provider.url, api_key="any", http_client=httpx2.Client(transport=seam), max_retries=0
    )


ASK: dict[str, Any] = {
    "model": "claude-sonnet-4",
    "max_tokens": 100,
    "messages": [{"role": "user", "content": "What is the capital of France?"}],
}


def only_theirs(seen: InMemorySpanExporter, seam: Seam) -> ReadableSpan:
    (span,) = seen.get_finished_spans()
    assert span.instrumentation_scope is not None
    assert span.instrumentation_scope.name == "com.anthropic.sdk.python"
    assert (span.attributes or {})["rewind.cache.decision"] == "record"
    assert (span.attributes or {})["rewind.session.id"] == "5e55"
    assert span.context is not None
    assert seam.spans[0].span_id == f"{span.context.span_id:016x}"
    return span


def test_anthropics_own_span(
    seen: InMemorySpanExporter, provider: OfflineProvider, caplog: pytest.LogCaptureFixture
) -> None:
    seam = Seam()
    with client(provider, seam) as claude:
        claude.messages.create(**ASK)
    only_theirs(seen, seam)
    assert not [record for record in caplog.records if record.name.startswith("opentelemetry")]


@pytest.mark.parametrize("whole", [True, False])
def test_anthropics_own_span_of_a_stream(
    seen: InMemorySpanExporter, provider: OfflineProvider, caplog: pytest.LogCaptureFixture, whole: bool
) -> None:
    seam = Seam()
    with client(provider, seam) as claude:
        stream = claude.messages.create(stream=True, **ASK)
        for _ in stream:
            if not whole:
                break
        stream.close()
    only_theirs(seen, seam)
    assert not [record for record in caplog.records if record.name.startswith("opentelemetry")]


def test_anthropic_inside_an_agents_span(
    seen: InMemorySpanExporter, provider: OfflineProvider, tracer: Tracer
) -> None:
    seam = Seam()
    mark = {"gen_ai.operation.name": "invoke_agent"}
    with tracer.start_as_current_span("agent", attributes=mark) as agent, client(provider, seam) as claude:
        claude.messages.create(**ASK)
    theirs, _ = seen.get_finished_spans()
    assert theirs.parent is not None
    assert theirs.parent.span_id == agent.get_span_context().span_id
    assert not seam.spans[0].owned


@pytest.fixture(autouse=True)
def _no_current_span() -> Iterator[None]:
    assert not trace.get_current_span().get_span_context().is_valid
    yield
    assert not trace.get_current_span().get_span_context().is_valid
