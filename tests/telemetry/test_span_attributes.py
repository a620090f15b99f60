"""What is on a span: exact names, exact types, and nothing that was not meant to leave."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from typing import Any

import conventions
import pytest
from hypothesis import given
from hypothesis import strategies as st
from opentelemetry import trace
from opentelemetry.sdk.trace import ReadableSpan, TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from opentelemetry.trace import SpanKind, StatusCode

from rewind_auto.providers import info
from rewind_auto.providers.info import RequestInfo, ResponseInfo
from rewind_auto.telemetry import content, names
from rewind_auto.telemetry.spans import SpanEnd, SpanStart, Tracing

START = SpanStart(
    operation="chat",
    provider="openai",
    model="gpt-4o",
    server_address="api.openai.com",
    server_port=443,
    mode="record",
    session_id="5e55",
    step=7,
    fingerprint="ab12",
    request_attributes={"gen_ai.request.temperature": 1.0, "gen_ai.request.stream": True},
)
USAGE = {
    "input_tokens": 120,
    "output_tokens": 17,
    "cache_read_input_tokens": 100,
    "cache_write_input_tokens": 3,
    "reasoning_output_tokens": 5,
    "something_new": 1,
}
LINK = ("0af7651916cd43dd8448eb211c80319c", "b7ad6b7169203331")


@pytest.fixture
def seen(monkeypatch: pytest.MonkeyPatch) -> InMemorySpanExporter:
    """The program's own provider is set, and its spans are kept."""
    exporter = InMemorySpanExporter()
    provider = TracerProvider()
    provider.add_span_processor(SimpleSpanProcessor(exporter))
    monkeypatch.setattr(trace, "_TRACER_PROVIDER", provider)
    return exporter


def traced(
    seen: InMemorySpanExporter, end: SpanEnd, start: SpanStart = START, **environ: str
) -> ReadableSpan:
    span = Tracing(None, environ).start(start)
    assert span is not None
    assert span.owned
    span.end(end)
    (finished,) = seen.get_finished_spans()
    assert finished.context is not None
    assert span.trace_id == f"{finished.context.trace_id:032x}"
    assert span.span_id == f"{finished.context.span_id:016x}"
    return finished


def of(span: ReadableSpan) -> Mapping[str, Any]:
    assert span.attributes is not None
    return span.attributes


def test_a_recorded_call(seen: InMemorySpanExporter) -> None:
    span = traced(
        seen,
        SpanEnd(
            decision="record",
            status=200,
            usage=USAGE,
            time_to_first_chunk=0.25,
            response_attributes={
                "gen_ai.response.id": "chatcmpl-1",
                "gen_ai.response.model": "gpt-4o-2024-08-06",
                "gen_ai.response.finish_reasons": ["stop"],
            },
        ),
    )
    assert (span.name, span.kind, span.status.status_code) == (
        "chat gpt-4o",
        SpanKind.CLIENT,
        StatusCode.UNSET,
    )
    assert of(span) == {
        "gen_ai.operation.name": "chat",
        "gen_ai.provider.name": "openai",
        "gen_ai.request.model": "gpt-4o",
        "server.address": "api.openai.com",
        "server.port": 443,
        "gen_ai.request.temperature": 1.0,
        "gen_ai.request.stream": True,
        "rewind.mode": "record",
        "rewind.session.id": "5e55",
        "rewind.step": 7,
        "rewind.fingerprint": "ab12",
        "rewind.cache.decision": "record",
        "http.response.status_code": 200,
        "gen_ai.usage.input_tokens": 120,
        "gen_ai.usage.output_tokens": 17,
        "gen_ai.usage.cache_read.input_tokens": 100,
        "gen_ai.usage.cache_write.input_tokens": 3,
        "gen_ai.usage.reasoning.output_tokens": 5,
        "gen_ai.response.time_to_first_chunk": 0.25,
        "gen_ai.response.id": "chatcmpl-1",
        "gen_ai.response.model": "gpt-4o-2024-08-06",
        "gen_ai.response.finish_reasons": ("stop",),
    }
    conventions.check_span(span)
    assert not span.links
    assert not span.events


def test_a_hit_spends_nothing_and_links_to_what_was_recorded(seen: InMemorySpanExporter) -> None:
    span = traced(
        seen,
        SpanEnd(
            decision="hit",
            match="renamed",
            source_session="0ld",
            source_step=3,
            link=LINK,
            usage=USAGE,
            status=200,
        ),
    )
    attributes = of(span)
    assert not [name for name in attributes if name.startswith("gen_ai.usage.")]
    assert {name: value for name, value in attributes.items() if name.startswith("rewind.")} == {
        "rewind.mode": "record",
        "rewind.session.id": "5e55",
        "rewind.step": 7,
        "rewind.fingerprint": "ab12",
        "rewind.cache.decision": "hit",
        "rewind.match": "renamed",
        "rewind.source.session.id": "0ld",
        "rewind.source.step": 3,
        "rewind.recorded.usage.input_tokens": 120,
        "rewind.recorded.usage.output_tokens": 17,
        "rewind.recorded.usage.cache_read.input_tokens": 100,
        "rewind.recorded.usage.cache_write.input_tokens": 3,
        "rewind.recorded.usage.reasoning.output_tokens": 5,
    }
    assert [(f"{to.context.trace_id:032x}", f"{to.context.span_id:016x}") for to in span.links] == [LINK]


@pytest.mark.parametrize(
    "link", [("", ""), ("0" * 32, "0" * 16), ("not hex", "b7ad6b7169203331"), ("f" * 40, "1")]
)
def test_a_malformed_link_is_no_link(seen: InMemorySpanExporter, link: tuple[str, str]) -> None:
    span = traced(seen, SpanEnd("hit", link=link))
    assert not span.links
    assert of(span)["rewind.cache.decision"] == "hit"


@pytest.mark.parametrize(
    ("end", "error_type", "message"),
    [
        (SpanEnd("record", status=429), "429", None),
        (SpanEnd("hit", status=500, error_message="overloaded"), "500", "overloaded"),
        (
            SpanEnd("record", error_type="ConnectTimeout", error_message="timed out"),
            "ConnectTimeout",
            "timed out",
        ),
        (SpanEnd("blocked", error_type="RewindReplayDivergenceError"), "RewindReplayDivergenceError", None),
        (SpanEnd("record", status=200, error_type="ReadError"), "ReadError", None),
    ],
)
def test_failures(seen: InMemorySpanExporter, end: SpanEnd, error_type: str, message: str | None) -> None:
    span = traced(seen, end)
    assert (span.status.status_code, span.status.description) == (StatusCode.ERROR, message)
    assert of(span)["error.type"] == error_type


def test_the_sampler_sees_every_attribute_of_the_start(monkeypatch: pytest.MonkeyPatch) -> None:
    from opentelemetry.sdk.trace.sampling import ALWAYS_OFF, Sampler, SamplingResult

    asked: dict[str, Any] = {}

    class Curious(Sampler):
        def should_sample(self, *args: Any, **kwargs: Any) -> SamplingResult:
            asked.update(args[4])
            return ALWAYS_OFF.should_sample(*args, **kwargs)

        def get_description(self) -> str:
            return "curious"

    monkeypatch.setattr(trace, "_TRACER_PROVIDER", TracerProvider(sampler=Curious()))
    span = Tracing(None, {}).start(START)
    assert span is not None
    assert span.trace_id
    span.end(SpanEnd("record", input_messages=lambda: pytest.fail("asked for content of a dropped span")))
    assert set(asked) >= {*conventions.CONVENTIONS["spans"]["gen_ai.client.inference"]["at_start"]}
    assert asked["gen_ai.request.model"] == "gpt-4o"
    assert asked["rewind.session.id"] == "5e55"


def test_what_is_missing_is_left_out(seen: InMemorySpanExporter) -> None:
    bare = SpanStart("embeddings", "custom", None, None, 8080, "cache", "5e55")
    span = traced(seen, SpanEnd("miss"), bare)
    assert span.name == "embeddings"
    assert of(span) == {
        "gen_ai.operation.name": "embeddings",
        "gen_ai.provider.name": "custom",
        "rewind.mode": "cache",
        "rewind.session.id": "5e55",
        "rewind.cache.decision": "miss",
    }


@pytest.mark.parametrize("early", [True, False])
def test_a_step_that_is_numbered_late(seen: InMemorySpanExporter, early: bool) -> None:
    span = Tracing(None, {}).start(SpanStart("chat", "openai", "gpt-4o", "h", 1, "replay", "5e55"))
    assert span is not None
    if early:
        span.decided("hit", step=4, fingerprint="cd34")
        span.end(SpanEnd("hit"))
    else:
        span.end(SpanEnd("hit", step=4, fingerprint="cd34"))
    (finished,) = seen.get_finished_spans()
    assert (of(finished)["rewind.step"], of(finished)["rewind.fingerprint"]) == (4, "cd34")


def test_only_the_first_end_counts(seen: InMemorySpanExporter, caplog: pytest.LogCaptureFixture) -> None:
    span = Tracing(None, {}).start(START)
    assert span is not None
    span.decided("hit", match="exact", link=LINK)
    span.decided("miss")
    span.end(SpanEnd("record"))
    span.end(SpanEnd("bypass", error_type="x"))
    span.decided("miss")
    (finished,) = seen.get_finished_spans()
    assert of(finished)["rewind.cache.decision"] == "hit"
    assert len(finished.links) == 1
    assert finished.status.status_code is StatusCode.UNSET
    assert not caplog.records


@pytest.mark.parametrize(
    "key",
    ["suppress_instrumentation", "suppress_language_model_instrumentation", "_SUPPRESS_INSTRUMENTATION_KEY"],
)
def test_suppression_turns_the_span_off(seen: InMemorySpanExporter, key: str) -> None:
    from opentelemetry import context

    token = context.attach(context.set_value(getattr(context, key, key), value=True))
    try:
        assert Tracing(None, {}).start(START) is None
    finally:
        context.detach(token)
    assert Tracing(None, {}).start(START) is not None


# --- names and types


def public_names() -> list[str]:
    return [value for name, value in vars(names).items() if name.isupper()]


def test_names_are_told_apart_and_nest() -> None:
    every = public_names()
    assert len(set(every)) == len(every) > 40
    # A backend that turns dots into nested objects cannot hold a value and an object under one name.
    assert not [(a, b) for a in every for b in every if b.startswith(f"{a}.")]


def test_every_name_but_ours_is_the_conventions() -> None:
    known = {name for kind in ("attributes", "metrics", "events") for name in conventions.CONVENTIONS[kind]}
    assert {name for name in public_names() if not name.startswith("rewind.")} <= known


def test_the_providers_use_these_names_and_types() -> None:
    request = RequestInfo(
        model="m",
        stream=True,
        temperature=1.0,
        top_p=1.0,
        top_k=1,
        max_tokens=1,
        frequency_penalty=1.0,
        presence_penalty=1.0,
        choice_count=2,
        seed=1,
        stop_sequences=("s",),
        output_type="text",
        reasoning_level="low",
        service_tier="flex",
        conversation_id="c",
        previous_response_id="p",
        prompt_name="n",
        prompt_version="1",
        guardrail_id="g",
        compacted=True,
        dimension_count=1,
        encoding_formats=("float",),
    )
    response = ResponseInfo(
        model="m",
        id="i",
        finish_reasons=("stop",),
        service_tier="flex",
        system_fingerprint="f",
        conversation_id="c",
    )
    asked, answered = request.attributes(), response.attributes()
    assert len(asked) == len(info._REQUEST_ATTRIBUTES), "every field is set above"
    assert len(answered) == len(info._RESPONSE_ATTRIBUTES)
    assert not {*asked, *answered} - set(public_names())
    for name, value in {**asked, **answered}.items():
        conventions.check_value(name, value)


def test_text_that_utf8_cannot_carry_does_not_cost_the_batch(seen: InMemorySpanExporter) -> None:
    from opentelemetry.exporter.otlp.proto.common.trace_encoder import encode_spans

    odd = SpanStart("chat", "openai", "gpt\ud800", "h", 1, "record", "5e55")
    span = traced(seen, SpanEnd("record", error_type="E\ud800", error_message="m\ud800"), odd)
    encode_spans([span])
    assert span.name == "chat gpt?"
    assert (of(span)["gen_ai.request.model"], of(span)["error.type"]) == ("gpt?", "E?")
    assert span.status.description == "m?"


# --- content

MESSAGES = [{"role": "user", "parts": [{"type": "text", "content": "hello"}]}]


def with_content(
    environ: dict[str, str], seen: InMemorySpanExporter, text: str = "hello"
) -> Mapping[str, Any]:
    messages = [{"role": "user", "parts": [{"type": "text", "content": text}]}]
    end = SpanEnd(
        "record",
        input_messages=lambda: messages,
        output_messages=lambda: [{"role": "assistant", "parts": [], "finish_reason": "stop"}],
        system_instructions=lambda: None,
        tool_definitions=list,
    )
    return of(traced(seen, end, **environ))


@pytest.mark.parametrize("value", [None, "", "NO_CONTENT", "EVENT_ONLY", "false", "1"])
def test_content_is_off_unless_asked_for(seen: InMemorySpanExporter, value: str | None) -> None:
    environ = {} if value is None else {content.CAPTURE_VARIABLE: value}
    asked: list[str] = []
    sources: dict[str, Any] = {
        source: lambda source=source: asked.append(source)
        for source in ("input_messages", "output_messages", "system_instructions", "tool_definitions")
    }
    span = traced(seen, SpanEnd("record", **sources), **environ)
    assert not asked
    assert not [name for name in of(span) if "messages" in name or "instructions" in name or "tool" in name]


@pytest.mark.parametrize("value", ["SPAN_ONLY", "span_and_event", "true"])
def test_content_when_asked_for(seen: InMemorySpanExporter, value: str) -> None:
    attributes = with_content({content.CAPTURE_VARIABLE: value}, seen)
    assert json.loads(attributes["gen_ai.input.messages"]) == MESSAGES
    assert json.loads(attributes["gen_ai.output.messages"])[0]["finish_reason"] == "stop"
    assert "gen_ai.system_instructions" not in attributes
    assert "gen_ai.tool.definitions" not in attributes


def test_long_content_is_cut_inside_its_strings(seen: InMemorySpanExporter) -> None:
    attributes = with_content({content.CAPTURE_VARIABLE: "true"}, seen, "x" * 10**6)
    text = attributes["gen_ai.input.messages"]
    assert 60_000 < len(text.encode()) <= content.DEFAULT_LIMIT
    (message,) = json.loads(text)
    assert message["role"] == "user"
    assert message["parts"][0]["content"].endswith("…[1000000 characters]")


@pytest.mark.parametrize(
    "variable", ["OTEL_ATTRIBUTE_VALUE_LENGTH_LIMIT", "OTEL_SPAN_ATTRIBUTE_VALUE_LENGTH_LIMIT"]
)
def test_the_sdks_own_limit_does_not_get_to_break_the_json(
    monkeypatch: pytest.MonkeyPatch, variable: str
) -> None:
    monkeypatch.setenv(variable, "500")
    exporter = InMemorySpanExporter()
    provider = TracerProvider()
    provider.add_span_processor(SimpleSpanProcessor(exporter))
    monkeypatch.setattr(trace, "_TRACER_PROVIDER", provider)
    attributes = with_content({content.CAPTURE_VARIABLE: "true", variable: "500"}, exporter, "x" * 5000)
    assert len(attributes["gen_ai.input.messages"]) <= 500
    assert json.loads(attributes["gen_ai.input.messages"])[0]["role"] == "user"


def test_a_content_source_that_fails_costs_only_its_own_attribute(
    seen: InMemorySpanExporter, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("REWIND_TESTING")
    end = SpanEnd("record", status=200, input_messages=lambda: {}[1], output_messages=lambda: MESSAGES)
    attributes = of(traced(seen, end, **{content.CAPTURE_VARIABLE: "true"}))
    assert attributes["http.response.status_code"] == 200
    assert "gen_ai.output.messages" in attributes


@pytest.mark.parametrize("character", ["日", '"', "\n", "😀"])
def test_the_limit_counts_bytes_as_they_are_sent(character: str) -> None:
    text = content.to_json([{"role": "user", "content": character * 100_000}], content.DEFAULT_LIMIT)
    assert text is not None
    assert content.DEFAULT_LIMIT // 2 < len(text.encode()) <= content.DEFAULT_LIMIT


def conversations() -> st.SearchStrategy[list[dict[str, Any]]]:
    part = st.fixed_dictionaries({"type": st.just("text"), "content": st.text(max_size=2000)})
    message = {"role": st.sampled_from(["user", "assistant"]), "parts": st.lists(part, max_size=3)}
    return st.lists(st.fixed_dictionaries(message), min_size=1, max_size=12)


@given(conversations(), st.integers(min_value=0, max_value=6000))
def test_capped_content_is_always_whole_json_within_its_limit(
    items: list[dict[str, Any]], limit: int
) -> None:
    text = content.to_json(items, limit)
    if text is None:
        assert len(json.dumps(items[-1])) > limit - 2
        return
    assert len(text.encode()) <= limit
    kept = json.loads(text)
    newest = items[len(items) - len(kept) :]
    assert [m["role"] for m in kept] == [m["role"] for m in newest]
    for was, now in zip(newest, kept, strict=True):
        for part, cut in zip(was["parts"], now["parts"], strict=True):
            assert cut["type"] == "text"
            assert cut["content"] == part["content"] or cut["content"].endswith("characters]")


@pytest.fixture(autouse=True)
def _no_current_span() -> Iterator[None]:
    assert not trace.get_current_span().get_span_context().is_valid
    yield
    assert not trace.get_current_span().get_span_context().is_valid
