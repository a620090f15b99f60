"""Calls of the program's own functions as ``execute_tool`` spans, and divergences on spans."""

from __future__ import annotations

import json

import httpx2
import pytest
from opentelemetry import trace
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from opentelemetry.trace import SpanKind, StatusCode
from servers import Server, answer

import rewind_auto
from rewind_auto.core.errors import RewindReplayDivergenceError

CHAT = "/v1/chat/completions"


@pytest.fixture
def spans(monkeypatch):
    """Spans of the program's own provider, by name."""
    exporter = InMemorySpanExporter()
    provider = TracerProvider()
    provider.add_span_processor(SimpleSpanProcessor(exporter))
    monkeypatch.setattr(trace, "_TRACER_PROVIDER", provider)
    monkeypatch.setenv("REWIND_LLM_HOSTS", "127.0.0.1")

    def named():
        found = {}
        for span in exporter.get_finished_spans():
            found.setdefault(span.name, []).append(span)
        exporter.clear()
        return found

    return named


@pytest.fixture
def server():
    with Server() as running:
        running.on(CHAT, lambda seen: answer({"model": "m", "said": len(seen.body)}))
        yield running


def ask(server, *texts):
    messages = [{"role": "user", "content": text} for text in texts]
    with httpx2.Client(trust_env=False) as client:
        return client.post(f"{server.url}{CHAT}", json={"model": "m", "messages": messages}).json()


@rewind_auto.cached_call(name="weather")
def weather(city, server=None):
    if city == "Nowhere":
        raise LookupError(city)
    return {"city": city, "said": ask(server, city) if server else None}


def test_a_tool_and_the_call_inside(spans, server):
    with rewind_auto.session("first"):
        weather("Ulm", server)
    found = spans()
    (tool,), (chat,) = found["execute_tool weather"], found["chat m"]
    assert tool.kind is SpanKind.INTERNAL
    assert tool.attributes["gen_ai.operation.name"] == "execute_tool"
    assert tool.attributes["gen_ai.tool.name"] == "weather"
    assert tool.attributes["gen_ai.tool.type"] == "function"
    assert tool.attributes["rewind.cache.decision"] == "record"
    assert not any(
        name.startswith(("gen_ai.provider", "gen_ai.tool.call", "server.", "http."))
        for name in tool.attributes
    )
    assert chat.parent.span_id == tool.context.span_id
    with rewind_auto.session("second", mode="replay", source="first"):
        weather("Ulm", server)
    found = spans()
    assert found.keys() == {"execute_tool weather"}
    (hit,) = found["execute_tool weather"]
    assert hit.attributes["rewind.cache.decision"] == "hit"
    assert [link.context.span_id for link in hit.links] == [tool.context.span_id]


def test_a_tool_that_fails(spans):
    with rewind_auto.session("first"), pytest.raises(LookupError):
        weather("Nowhere")
    (tool,) = spans()["execute_tool weather"]
    assert tool.status.status_code is StatusCode.ERROR
    assert tool.attributes["error.type"] == "LookupError"


def test_its_content_on_request(spans, monkeypatch):
    monkeypatch.setenv("OTEL_INSTRUMENTATION_GENAI_CAPTURE_MESSAGE_CONTENT", "SPAN_ONLY")
    with rewind_auto.session("first"):
        weather("Ulm")
    (tool,) = spans()["execute_tool weather"]
    assert json.loads(tool.attributes["gen_ai.tool.call.arguments"]) == {"city": "Ulm", "server": None}
    assert json.loads(tool.attributes["gen_ai.tool.call.result"]) == {"city": "Ulm", "said": None}


def test_a_divergence_says_where(spans, server):
    with rewind_auto.session("first"):
        ask(server, "one")
        ask(server, "two")
    spans()
    with rewind_auto.session("second", mode="replay", source="first"):
        for text in ("1", "2"):
            with pytest.raises(RewindReplayDivergenceError):
                ask(server, text)
    first, second = spans()["chat m"]
    assert first.attributes["rewind.cache.decision"] == "blocked"
    assert "nothing was sent" in first.status.description
    assert "one" not in first.status.description.replace("one of", "")  # what was asked is content
    assert first.attributes["rewind.divergence.paths"] == ("messages[0].content",)
    assert first.attributes["rewind.divergence.source_step"] == 1
    assert "rewind.divergence.cause_step" not in first.attributes
    assert second.attributes["rewind.divergence.cause_step"] == 1


def test_drift_is_said_on_every_later_span(spans, server, monkeypatch):
    monkeypatch.setenv("REWIND_MATCH", "aligned")
    with rewind_auto.session("first"):
        for number in range(3):
            ask(server, "start", f"result {number}")
    spans()
    with rewind_auto.session("second", mode="replay", source="first"):
        ask(server, "start", "result 0")
        ask(server, "start", "another")
        ask(server, "start", "result 2")
    first, drifted, later = spans()["chat m"]
    assert [span.attributes["rewind.match"] for span in (first, drifted, later)] == [
        "exact",
        "aligned",
        "exact",
    ]
    assert drifted.attributes["rewind.divergence.paths"] == ("messages[1].content",)
    assert "rewind.drift.step" not in first.attributes
    assert later.attributes["rewind.drift.step"] == 2
