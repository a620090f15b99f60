"""Calls of a real SDK over HTTP, recorded and replayed, and what a collector of metrics and events sees."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from offline_provider import OfflineProvider
    from otlp_sink import OtlpSink

Program = Callable[..., Any]

ASK = """
from openai import OpenAI, APIStatusError
llm_sdk = OpenAI(base_url=os.environ["BASE_URL"] + "/v1", api_key="sk-any", max_retries=0)

def ask(text, **more):
    return llm_sdk.chat.completions.create(
        model="gpt-4o", messages=[{"role": "user", "content": text}], **more)

print(ask("hello").choices[0].message.content)
stream = ask("[wait=0.1] [delay=0.1] stream", stream=True, stream_options={"include_usage": True})
print(*(chunk.choices[0].delta.content for chunk in stream if chunk.choices))
try: ask("[status=429] no")
except APIStatusError as error: print(error.status_code)
print(len(llm_sdk.embeddings.create(model="embed", input="x").data))
"""


@pytest.fixture
def environ(sink: OtlpSink) -> dict[str, str]:
    return {
        "OTEL_EXPORTER_OTLP_ENDPOINT": sink.url,
        "OTEL_TRACES_EXPORTER": "otlp",
        "OTEL_METRICS_EXPORTER": "otlp",
        "OTEL_LOGS_EXPORTER": "otlp",
        "OTEL_INSTRUMENTATION_GENAI_CAPTURE_MESSAGE_CONTENT": "EVENT_ONLY",
    }


def test_what_was_spent_is_counted_once_whatever_is_replayed(
    agent: Program, sink: OtlpSink, provider: OfflineProvider, environ: dict[str, str]
) -> None:
    recorded = agent(ASK, **environ)
    assert (recorded.code, recorded.err) == (0, "")
    spans = {span.span_id: span for span in sink.spans}
    assert sink.calls == {"record": 4}

    durations = {
        (dict(series)["gen_ai.operation.name"], dict(series).get("error.type")): measured
        for series, measured in sink.metric("gen_ai.client.operation.duration").items()
    }
    counts = {call: count for call, (count, _) in durations.items()}
    assert counts == {("chat", None): 2, ("chat", "429"): 1, ("embeddings", None): 1}
    assert all(total > 0 for _, total in durations.values())
    ((series, (streams, first)),) = sink.metric("gen_ai.client.operation.time_to_first_chunk").items()
    assert dict(series)["server.port"] == int(provider.url.rpartition(":")[2])
    assert streams == 1
    assert 0.1 <= first < durations["chat", None][1]

    spent = {
        kind: sum(span.attributes.get(f"gen_ai.usage.{kind}_tokens", 0) for span in spans.values())
        for kind in ("input", "output")
    }
    assert all(spent.values())
    assert tokens(sink) == spent

    details = [event for event in sink.events if event.name.endswith(".details")]
    (exception,) = [event for event in sink.events if event.name.endswith(".exception")]
    assert len(details) == 3, "of an embedding there are none"
    for event in details:
        span = spans[event.span_id]
        assert event.trace_id == span.trace_id
        assert span.attributes.items() <= event.attributes.items()
        assert "gen_ai.input.messages" not in span.attributes
    assert details[0].attributes["gen_ai.input.messages"] == [
        {"role": "user", "parts": [{"type": "text", "content": "hello"}]}
    ]
    assert exception.attributes["error.type"] == "429"

    before = len(sink.events)
    replayed = agent(ASK, "--replay", "last", **environ)
    assert (replayed.code, replayed.out, replayed.err) == (0, recorded.out, "")
    assert sink.calls == {"record": 4, "hit": 4}
    assert tokens(sink) == spent
    durations_of = sink.metric("gen_ai.client.operation.duration").values()
    assert sum(count for count, _ in durations_of) == 4
    again = [event for event in sink.events[before:] if event.name.endswith(".details")]
    assert [event.attributes["rewind.cache.decision"] for event in again] == ["hit"] * 3
    assert not [name for event in again for name in event.attributes if name.startswith("gen_ai.usage.")]


def test_a_blocked_call_is_counted_as_that(
    agent: Program, sink: OtlpSink, provider: OfflineProvider, environ: dict[str, str]
) -> None:
    agent("llm(1)")
    assert agent("llm(2)", "--replay", "last", **environ).code == 86
    assert len(provider.requests) == 1
    assert sink.calls == {"blocked": 1}
    assert not sink.metric("gen_ai.client.operation.duration")
    assert [event.name.rpartition(".")[2] for event in sink.events] == ["exception", "details"]


def tokens(sink: OtlpSink) -> dict[str, int]:
    totals: dict[str, int] = {}
    for series, (_, total) in sink.metric("gen_ai.client.token.usage").items():
        kind = dict(series)["gen_ai.token.type"]
        totals[kind] = totals.get(kind, 0) + int(total)
    return totals
