"""Tools that make OpenTelemetry spans: each call has one LLM span, ours or theirs, and our word is on it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
from three_runs import OURS, Run, Runs, is_http, is_llm

if TYPE_CHECKING:
    from otlp_sink import SunkSpan

pytestmark = [pytest.mark.slow, pytest.mark.timeout(300)]  # three processes that import a lot

NOT_COMPARED = ("rewind.", "logfire.", "gen_ai.response.time_to_first_chunk")
WITHOUT_ANTHROPICS = {"ANTHROPIC_OPEN_TELEMETRY": "false"}


def check(three: tuple[Run, Run, Run], owner: Any) -> None:
    """``owner`` says of a call's name whose its LLM span is.

    ``late``: theirs is made when the call is over, our word is on a span of ours. ``lost``: they end none.
    """
    plain, recorded, replayed = three
    assert plain.calls
    assert [list(run.calls) for run in three[1:]] == [list(plain.calls)] * 2
    for run in three[1:]:
        waiting = list(run.steps)
        for name, call in run.calls.items():
            steps = [waiting.pop(0) for _ in range(2 if "retried" in name else 1)]
            llm = [span for span in run.below(call) if is_llm(span)]
            whose = owner(name)
            if whose == "ours":
                assert [span.scope for span in llm] == [OURS] * len(steps), name
            else:
                assert [span.scope == OURS for span in llm] == [False] * (whose != "lost"), name
                assert [_theirs(span) for span in llm] == [
                    _theirs(span) for span in plain.below(plain.calls[name]) if is_llm(span)
                ]
                steps = steps[-1:]  # a span that stands for all attempts tells of the last
            bearers = llm
            if whose == "late":
                bearers = [span for span in run.below(call) if span.scope == OURS]
            for span, step in zip(bearers, steps, strict=whose != "lost"):
                assert span.parent_id == call.span_id, name
                bears_our_word(span, step)
                if run is replayed:
                    tells_of_the_recorded_one(span, step, recorded)
                    if span.scope == OURS:
                        assert not [key for key in span.attributes if key.startswith("gen_ai.usage")]
        assert waiting == []


def _theirs(span: SunkSpan) -> tuple[str, int, int, dict[str, Any]]:
    """What they say of a call, which is what they say without us."""
    said = {name: value for name, value in span.attributes.items() if not name.startswith(NOT_COMPARED)}
    return span.name, span.kind, span.status, said


def bears_our_word(span: SunkSpan, step: dict[str, Any]) -> None:
    said = span.attributes
    assert (span.trace_id, span.span_id) == (step["trace_id"], step["span_id"])
    assert said["rewind.cache.decision"] == step["decision"]
    assert said["rewind.step"] == step["step"]
    assert said["rewind.fingerprint"] == step["fingerprint"]
    assert said["rewind.mode"] == ("replay" if step["decision"] == "hit" else "record")
    assert said["rewind.session.id"]


def tells_of_the_recorded_one(span: SunkSpan, step: dict[str, Any], recorded: Run) -> None:
    said = span.attributes
    source = next(found for found in recorded.steps if found["step"] == step["source"]["step"])
    assert step["decision"] == "hit"
    assert said["rewind.match"] == "exact"
    assert said["rewind.source.session.id"] == step["source"]["session"]
    assert said["rewind.source.step"] == source["step"]
    assert span.links[-1] == (source["trace_id"], source["span_id"])
    for key in ("input_tokens", "output_tokens"):
        assert said.get(f"rewind.recorded.usage.{key}") == (source["usage"] or {}).get(key)


def ours(name: str) -> str:
    return "ours"


def theirs(name: str) -> str:
    return "theirs"


def anthropics_own(name: str) -> str:
    return "theirs" if "message" in name else "ours"


def test_a_program_that_only_exports(wire, python):
    """Anthropic's SDK makes spans of its own as soon as there is a provider."""
    check(Runs(wire, python, "program.py", "provider", wire.url, "calls").three(), anthropics_own)


def test_http_instrumentations(wire, python):
    """Their spans are in ours, and none is made of a request that is not sent."""
    three = Runs(wire, python, "program.py", "http", wire.url, "calls", **WITHOUT_ANTHROPICS).three()
    check(three, ours)
    plain, recorded, replayed = three
    sent = [span for span in plain.spans if is_http(span)]
    assert len(sent) == plain.sent
    bearing = {span.span_id for span in recorded.spans if span.scope == OURS}
    assert all(span.parent_id in bearing for span in recorded.spans if is_http(span))
    assert len([span for span in recorded.spans if is_http(span)]) == len(sent)
    assert not [span for span in replayed.spans if is_http(span)]


@pytest.mark.parametrize("tool", ["genai", "openinference"])
def test_llm_instrumentations(wire, python, tool):
    three = Runs(wire, python, "program.py", tool, wire.url, "calls", **WITHOUT_ANTHROPICS).three()
    check(three, theirs)
    assert [span for span in three[0].spans if is_http(span)]
    assert not [span for span in three[2].spans if is_http(span)]


def test_logfire(wire, python):
    """It suppresses what is below its spans, which is not to hide them from us."""
    check(
        Runs(wire, python, "program.py", "logfire", wire.url, "calls", **WITHOUT_ANTHROPICS).three(), theirs
    )


def test_openllmetry(wire, python):
    def owner(name: str) -> str:
        if "response" in name:
            return "lost" if name == "sync response stream" else "late"  # theirs fails in a `with`
        return "lost" if name.endswith("message left") else "theirs"

    check(
        Runs(wire, python, "program.py", "openllmetry", wire.url, "calls", **WITHOUT_ANTHROPICS).three(),
        owner,
    )


def test_openai_v2(wire, old_python):
    """Beside it, Anthropic's SDK of the time, that makes no spans."""

    def owner(name: str) -> str:
        return "ours" if "message" in name or "response" in name else "theirs"

    check(Runs(wire, old_python, "program.py", "openai_v2", wire.url, "calls").three(), owner)


@pytest.mark.parametrize("tool", ["openinference", "openllmetry"])
def test_two_that_have_spans_for_the_same_call(wire, python, tool):
    """We make no third one."""
    plain, recorded, replayed = Runs(wire, python, "program.py", tool, wire.url, "calls").three()
    for run in (recorded, replayed):
        for name, call in run.calls.items():
            if "message" in name:
                llm = [span for span in run.below(call) if is_llm(span)]
                before = [span for span in plain.below(plain.calls[name]) if is_llm(span)]
                assert [span.name for span in llm] == [span.name for span in before]
                assert ["rewind.step" in span.attributes for span in llm].count(True) == 1
