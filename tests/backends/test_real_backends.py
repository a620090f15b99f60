"""What real backends make of our spans. They are asked by their own APIs, and priced by their own lists."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

ASKING = Path(__file__).with_name("asking.py")
ROOT = Path(__file__).parents[2]
TRACED = ROOT / "examples" / "agent_traced.py"
THOUSAND = ASKING.with_name("thousand.py")


def test_every_step_is_one_span(backend, runs):
    for session in runs.recorded, runs.replayed:
        assert len(session["steps"]) == 5
        for step, span in runs.of(session):
            assert span.name == "chat gpt-4o"
            assert span.kind == backend.chat
            assert span.trace_id.removeprefix("tr-") == step["trace_id"]
            assert (span.step, span.decision) == (step["step"], step["decision"])
    assert len(runs.spans) == 10


def test_the_query_for_a_decision_finds_just_its_calls(runs):
    assert runs.queried["record"] == {step["span_id"] for step in runs.recorded["steps"]}
    assert runs.queried["hit"] == {step["span_id"] for step in runs.replayed["steps"]}


def test_the_documents_have_that_query(backend):
    assert backend.query("hit") in (ROOT / "docs" / "telemetry.md").read_text(encoding="utf-8")


def test_recorded_calls_have_tokens_and_a_price_and_hits_are_free(runs):
    for step, span in runs.of(runs.recorded):
        assert span.tokens == (step["usage"]["input_tokens"], step["usage"]["output_tokens"])
        assert span.cost > 0
    for step, span in runs.of(runs.replayed):
        assert (span.tokens, span.cost) == (None, 0)
        assert span.attributes["rewind.recorded.usage.input_tokens"] == step["usage"]["input_tokens"]


def test_content_is_shown_as_messages(runs):
    for session in runs.recorded, runs.replayed:
        *_, (_, span) = runs.of(session)
        assert [role for role, _ in span.messages] == [
            *("system", "user", "assistant", "tool", "tool", "assistant", "tool", "assistant")
        ]
        said = dict(enumerate(text for _, text in span.messages))
        assert said[0].startswith("You plan day trips.")
        assert said[2] == 'get_weather({"city": "Paris"}) get_weather({"city": "Tokyo"})'
        assert said[6] == "20.5"
        assert said[7] == runs.printed.splitlines()[-1]


def test_a_hit_leads_to_the_recorded_span(runs):
    recorded = {(span.attributes["rewind.session.id"], span.step): span for span in runs.spans.values()}
    for step, span in runs.of(runs.replayed):
        source = recorded[span.attributes["rewind.source.session.id"], span.attributes["rewind.source.step"]]
        assert source.decision == "record"
        assert source.messages == span.messages
        if span.links is not None:
            assert span.links == ((source.trace_id.removeprefix("tr-"), source.span_id),)
        assert step["source"]["step"] == source.step


def test_failed_and_refused_calls_are_errors(backend, lab):
    failing = "[status=400] hello"
    lab.run(lab.otlp, "--name", "live", *lab.program(ASKING, failing, "hello"))
    lab.provider.stop()
    again = lab.run(lab.otlp, "--replay", "live", *lab.program(ASKING, failing, "hullo"))
    assert (again.out, again.code) == ("400\n", 86)
    spans = {(span.decision, span.step): span for span in backend.wait(4)}
    assert set(spans) == {("record", 1), ("record", 2), ("hit", 1), ("blocked", 2)}
    assert {key: span.attributes["error.type"] for key, span in spans.items() if span.error is not None} == {
        ("record", 1): "400",
        ("hit", 1): "400",
        ("blocked", 2): "RewindReplayDivergenceError",
    }
    refused = spans["blocked", 2]
    assert "has no recorded answer" in (refused.error or "")
    assert "hullo" not in (refused.error or "")  # what was asked is content
    assert refused.cost == 0


def test_of_a_thousand_replayed_calls_all_are_found(backend, lab):
    assert lab.run("--name", "live", *lab.program(THOUSAND, spans=0)).code == 0
    lab.provider.stop()
    again = lab.run(lab.otlp, "--name", "again", "--replay", "live", *lab.program(THOUSAND, spans=1000))
    assert again.code == 0, again.err
    found = backend.wait(1000)
    assert sorted(span.step for span in found) == list(range(1, 1001))
    assert {span.span_id for span in found} == {step["span_id"] for step in lab.show("again")["steps"]}


def test_a_trace_id_of_the_backend_leads_to_the_run(backend, lab):
    there = {"OTEL_EXPORTER_OTLP_ENDPOINT": backend.url}
    live = lab.run("--name", "live", *lab.program(TRACED), **there)
    lab.run("--name", "newer", *lab.program(TRACED), **there)
    lab.provider.stop()
    spans = backend.wait(18)  # of each run the agent's, three of tools, five of calls
    session = lab.show("live")["session"]
    ours = [span for span in spans if span.attributes.get("rewind.session.id") == session["id"]]
    (trace_id,) = {span.trace_id for span in ours}
    assert len(ours) == 5
    assert len([span for span in spans if span.trace_id == trace_id]) == 9
    assert lab.show(f"trace:{trace_id}")["session"] == session
    again = lab.run("--replay", f"trace:{trace_id}", *lab.program(TRACED), **there)
    assert (again.code, again.out) == (0, live.out)


@pytest.mark.slow
def test_grpc(backend, lab):
    if backend.grpc is None:
        pytest.skip("this backend does not speak it")
    python = os.environ.get("REWIND_TEST_PHOENIX_PYTHON")  # a venv with the gRPC exporter, and openai
    if not python:
        pytest.skip("REWIND_TEST_PHOENIX_PYTHON is not set")
    where = {"OTEL_EXPORTER_OTLP_PROTOCOL": "grpc", "OTEL_EXPORTER_OTLP_ENDPOINT": backend.grpc}
    program = lab.program(ASKING, "hello", "hello again", python=python)
    live = lab.run("--name", "live", *program, python=python, **where)
    assert live.code == 0, live.err
    found = {span.span_id for span in backend.wait(2)}
    assert found == {step["span_id"] for step in lab.show("live")["steps"]}
