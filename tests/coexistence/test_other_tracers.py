"""Tracers that are not OpenTelemetry's: they see what they see without us, and our spans go where ours go."""

from __future__ import annotations

from collections import Counter
from pathlib import Path
from typing import Any, NamedTuple

import pytest
from servers import Server, reply
from three_runs import OURS, Run, Runs

pytestmark = [pytest.mark.slow, pytest.mark.timeout(300)]

NO_EXPORTER = {"OTEL_TRACES_EXPORTER": "", "OTEL_EXPORTER_OTLP_TRACES_ENDPOINT": ""}
LLM_NAMES = ("openai.request", "anthropic.request", "anthropic.messages.create")
BELOW_US = "aiohttp.request"  # below httpx2, in the one client that has it there


class DdSpan(NamedTuple):
    name: str
    resource: str
    span_id: int
    parent_id: int | None
    tags: dict[str, Any]

    @property
    def decision(self) -> str | None:
        return self.tags.get("rewind.cache.decision")

    @property
    def llm(self) -> str | None:
        """What its LLM span is called, if it is one."""
        return next((name for name in (self.name, self.resource) if name in LLM_NAMES), None)


@pytest.fixture
def ddtrace(python):
    """The launcher, and what keeps all else of it quiet: an agent of theirs that takes everything."""
    with Server() as agent:
        agent.on("", reply(b"{}"))
        yield (
            [str(Path(python).with_name("ddtrace-run"))],
            {
                "DD_TRACE_AGENT_URL": agent.url,
                "DD_CRASHTRACKING_ENABLED": "false",
                "DD_INSTRUMENTATION_TELEMETRY_ENABLED": "false",
                "DD_REMOTE_CONFIGURATION_ENABLED": "false",
            },
        )


def tree(run: Run) -> list[Any]:
    """ddtrace's spans without what differs from run to run."""
    spans = [DdSpan(*kept) for kept in run.kept]
    names = {span.span_id: (span.name, span.resource) for span in spans}
    return [
        (
            *names[span.span_id],
            names.get(span.parent_id),
            sorted(tag for tag in span.tags if not tag.startswith(("rewind.", "_dd."))),
        )
        for span in spans
    ]


def alone(run: Run) -> bool:
    """Whether our spans, and no others, are where they are to be exported to, one a step."""
    assert {span.scope for span in run.spans} == {OURS}
    assert {span.parent_id for span in run.spans} == {""}
    return sorted(span.span_id for span in run.spans) == sorted(step["span_id"] for step in run.steps)


@pytest.mark.parametrize("place", ["outside", "inside"])
def test_ddtrace(wire, python, ddtrace, place):
    launcher, variables = ddtrace
    three = Runs(wire, python, "dd_program.py", wire.url, **{place: launcher}, **variables).three()
    plain, recorded, replayed = three
    assert {name for name, *_ in tree(plain)} > {"openai.request", "anthropic.request", "http.request"}
    assert tree(recorded) == tree(plain)
    assert tree(replayed) == [span for span in tree(plain) if span[0] != BELOW_US]
    assert plain.spans == ()
    assert alone(recorded)
    assert alone(replayed)


def test_ddtrace_as_the_programs_opentelemetry(wire, python, ddtrace):
    """Our word is on its LLM span, which its HTTP span is between us and."""
    launcher, variables = ddtrace
    three = Runs(
        wire,
        python,
        "dd_program.py",
        wire.url,
        outside=launcher,
        DD_TRACE_OTEL_ENABLED="true",
        **variables,
    ).three()
    plain, recorded, replayed = three
    for run, decision in ((recorded, "record"), (replayed, "hit")):
        spans = [DdSpan(*kept) for kept in run.kept]
        told = [span for span in spans if span.decision]
        assert {span.decision for span in told} == {decision}
        assert {f"{span.span_id:016x}" for span in told} == {step["span_id"] for step in run.steps}
        # A call that its OpenAI integration knows nothing of has a span of ours; the others have not.
        ours = [span for span in told if span.llm is None]
        assert [span.resource for span in ours] == ["chat gpt-4o"]
        parents = {span.span_id: span for span in spans}
        (within,) = [span for span in spans if span.name == "within"]
        assert parents[within.parent_id].name == "program", "ours is not left behind as the current one"
        assert run.spans == ()
        assert Counter(span.llm for span in spans if span.llm) == Counter(
            span.llm for span in map(DdSpan._make, plain.kept) if span.llm
        )


@pytest.mark.parametrize("exporter", [True, False], ids=["exporting", "not exporting"])
def test_sentry(wire, python, exporter):
    """Our exporter's requests are not in a transaction that is open when they are sent."""
    three = Runs(wire, python, "sentry_program.py", wire.url, **({} if exporter else NO_EXPORTER)).three()
    plain, recorded, replayed = three
    seen = [Counter(_of_sentry(run)) for run in three]
    assert seen[0]["gen_ai.chat"] > 0
    assert seen[1] == seen[0]
    assert seen[2] == seen[0] - Counter(["http.client"])  # that of aiohttp, below httpx2
    assert plain.spans == ()
    for run in (recorded, replayed):
        assert alone(run) if exporter else not any(step["span_id"] for step in run.steps)


def _of_sentry(run: Run) -> list[str]:
    """What kind of work each span stands for; LLM spans are sent apart."""
    found = []
    for kind, sent in run.kept:
        if kind == "transaction":
            found += [span["op"] for span in sent["spans"]]
        elif kind == "span":
            found += [item["attributes"]["sentry.op"]["value"] for item in sent["items"]]
    return found
