"""Agents and SDKs that make spans themselves, and requests made without any SDK."""

from __future__ import annotations

import pytest
from three_runs import OURS, Runs, is_http, is_llm

pytestmark = [pytest.mark.slow, pytest.mark.timeout(300)]


def test_agents_and_sdks(wire, python):
    """openai-agents' own tracing goes to an LLM host: it is no call, and no replay misses it."""
    runs = Runs(wire, python, "program.py", "http", wire.url, "self_traced", MISTRAL_SDK_TELEMETRY="global")
    plain, recorded, replayed = runs.three()
    theirs = [span for span in plain.spans if is_llm(span)]
    assert len(theirs) == 8  # but of openai-agents'
    for run, decision in ((recorded, "record"), (replayed, "hit")):
        assert {step["decision"] for step in run.steps} == {decision}
        assert {step["kind"] for step in run.steps} == {"llm"}
        llm = [span for span in run.spans if is_llm(span)]
        assert sorted(span.name for span in llm if span.scope != OURS) == sorted(s.name for s in theirs)
        assert [span.name for span in llm if span.scope == OURS] == ["chat gpt-4o"]
        # The asynchronous ones of google-genai go by aiohttp, whose HTTP span is between theirs and us.
        http = [span for name in run.calls if "gemini async" in name for span in run.below(run.calls[name])]
        bearers = [span for span in run.spans if "rewind.cache.decision" in span.attributes]
        assert {span.span_id for span in bearers if not is_llm(span)} <= {span.span_id for span in http}
        assert [span.attributes["rewind.cache.decision"] for span in bearers] == [decision] * len(run.steps)
        assert {(span.trace_id, span.span_id) for span in bearers} == {
            (step["trace_id"], step["span_id"]) for step in run.steps
        }
        agents = {span.span_id for span in run.spans if span.name.startswith("invoke_agent")}
        assert len([span for span in llm if span.parent_id in agents]) == 2


def test_http_libraries(wire, python):
    """requests and aiohttp are instrumented around where we are: there, their span is around ours."""
    runs = Runs(wire, python, "program.py", "http", wire.url, "requests_of_all_kinds")
    _, recorded, replayed = runs.three()
    for run, decision in ((recorded, "record"), (replayed, "hit")):
        for name, sent in (("httpx", decision == "record"), ("requests", True), ("aiohttp", True)):
            below = run.below(run.calls[name])
            (llm,) = [span for span in below if is_llm(span)]
            assert llm.attributes["rewind.cache.decision"] == decision
            http = [span for span in below if is_http(span)]
            assert len(http) == sent
            if name != "httpx":
                assert llm.parent_id == http[0].span_id


def test_suppression(wire, python):
    """Each of the keys turns off our span, while recording and replay go on."""
    runs = Runs(wire, python, "program.py", "http", wire.url, "requests_of_all_kinds")
    _, recorded, replayed = runs.three()
    for run, decision in ((recorded, "record"), (replayed, "hit")):
        assert [step["decision"] for step in run.steps] == [decision] * 11
        assert [bool(step["span_id"]) for step in run.steps] == [True] * 3 + [False] * 8
        for name in (
            "suppress_instrumentation",
            "suppress_http_instrumentation",
            "openinference",
            "openllmetry",
        ):
            assert not [span for span in run.below(run.calls[name]) if span.scope == OURS]
