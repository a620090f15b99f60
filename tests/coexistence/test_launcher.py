"""``opentelemetry-instrument`` and ``rewind-run``, either around the other."""

from __future__ import annotations

from pathlib import Path

import pytest
from three_runs import OURS, Runs, is_http, is_llm

pytestmark = [pytest.mark.slow, pytest.mark.timeout(300)]

# It loads whatever is installed.
ONLY_HTTP = {
    "OTEL_PYTHON_DISABLED_INSTRUMENTATIONS": "anthropic,google-genai,openai",
    "ANTHROPIC_OPEN_TELEMETRY": "false",
}


@pytest.mark.parametrize("place", ["outside", "inside"])
def test_its_http_instrumentations(wire, python, place):
    launcher = [str(Path(python).with_name("opentelemetry-instrument"))]
    runs = Runs(wire, python, "program.py", "launched", wire.url, "calls", **{place: launcher}, **ONLY_HTTP)
    plain, recorded, replayed = runs.three()
    assert len([span for span in plain.spans if is_http(span)]) == plain.sent
    assert not [span for span in plain.spans if is_llm(span)]
    for run, decision in ((recorded, "record"), (replayed, "hit")):
        llm = [span for span in run.spans if is_llm(span)]
        assert {span.scope for span in llm} == {OURS}
        assert [span.attributes["rewind.cache.decision"] for span in llm] == [decision] * plain.sent
        assert {span.parent_id for span in llm} == {span.span_id for span in run.calls.values()}
        assert {span.span_id for span in llm} == {step["span_id"] for step in run.steps}
    bearers = {span.span_id for span in recorded.spans if is_llm(span)}
    assert {span.parent_id for span in recorded.spans if is_http(span)} == bearers
    assert not [span for span in replayed.spans if is_http(span)]


def test_all_that_it_finds_at_once(wire, python):
    """Several tools instrument each SDK here, one around another. We add no span to those of theirs."""
    launcher = [str(Path(python).with_name("opentelemetry-instrument"))]
    runs = Runs(wire, python, "program.py", "launched", wire.url, "calls", outside=launcher)
    plain, recorded, replayed = runs.three()
    for run, decision in ((recorded, "record"), (replayed, "hit")):
        for name, call in run.calls.items():
            llm = [span for span in run.below(call) if is_llm(span)]
            before = [span for span in plain.below(plain.calls[name]) if is_llm(span)]
            assert [span.name for span in llm] == [span.name for span in before], name
            told = [span for span in llm if span.attributes.get("rewind.cache.decision") == decision]
            assert len(told) == 1, name
