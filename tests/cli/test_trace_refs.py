"""``trace:<id>``: from a trace in a backend to the run that it came from."""

from __future__ import annotations

import json
import subprocess
import sys

import pytest

A, B, C = "0af7651916cd43dd8448eb211c80319c", "b" * 32, "c" * 32

# A call in each of the traces that it is given, all of them its own.
PROGRAM = """
import os
import sys

import httpx2
from opentelemetry import trace
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.trace import NonRecordingSpan, SpanContext, TraceFlags

trace.set_tracer_provider(TracerProvider())
tracer = trace.get_tracer("program")
operation = {"gen_ai.operation.name": os.environ["OPERATION"]}
for number, trace_id in enumerate(sys.argv[1:]):
    caller = NonRecordingSpan(SpanContext(int(trace_id, 16), 7, is_remote=True, trace_flags=TraceFlags(1)))
    context = trace.set_span_in_context(caller)
    with tracer.start_as_current_span("work", context, attributes=operation) as span:
        print(f"{span.get_span_context().span_id:016x}", file=sys.stderr)
        question = {"role": "user", "content": f"question {number}"}
        answer = httpx2.post(os.environ["URL"], json={"model": "m", "messages": [question]})
        print(answer.json()["choices"][0]["message"]["content"])
"""


@pytest.fixture
def run(rewind_run, provider, tmp_path):
    """``run(["--name", "n"], trace_id, …)``: the program with its calls in these traces, under rewind-run."""
    (tmp_path / "program.py").write_text(PROGRAM)

    def start(options, *traces, operation="invoke_agent"):
        variables = {"URL": f"{provider.url}/v1/chat/completions", "OPERATION": operation}
        words = ("--hosts", "127.0.0.1", *options, sys.executable, "program.py", *traces)
        return rewind_run(*words, **variables)

    return start


@pytest.fixture
def look(environ, tmp_path):
    """``look(REF, …)``: what ``rewind-auto show`` prints."""

    def show(*words):
        command = [sys.executable, "-m", "rewind_auto.cli.main", "show", *words]
        streams = {"capture_output": True, "text": True}
        return subprocess.run(command, env=environ, cwd=tmp_path, timeout=60, check=True, **streams).stdout

    return show


@pytest.fixture
def show(look):
    """``show(REF)``: the same for programs."""
    return lambda ref: json.loads(look(ref, "--json"))


@pytest.mark.parametrize("written", [A.upper(), f"00-{A}-b7ad6b7169203331-01"])
def test_a_run_is_found_and_replayed_by_its_trace(run, show, provider, written):
    live = run([], A, A)
    run([], B)
    provider.stop()
    assert [step["trace_id"] for step in show(f"trace:{written}")["steps"]] == [A, A]
    again = run(["--replay", f"trace:{written}"], C, C)
    assert (again.returncode, again.stdout) == (0, live.stdout)


def test_a_server_is_found_by_each_of_its_traces(run, show, look, provider):
    live = run(["--name", "server"], A, B, B)
    provider.stop()
    for trace, steps in (A, "step 1"), (B, "steps 2, 3"):
        assert show(f"trace:{trace}")["session"]["name"] == "server"
        assert look(f"trace:{trace}").endswith(f"\nin this trace: {steps}\n")
    assert "in this trace" not in look("server")
    again = run(["--replay", f"trace:{B}"], C, C, C)
    assert (again.returncode, again.stdout) == (0, live.stdout)


def test_of_runs_in_one_trace_the_newest_is_shown_and_the_newest_recorded_replayed(run, show, provider):
    run(["--name", "first"], A)
    second = run(["--name", "second"], A)
    provider.stop()
    run(["--name", "third", "--replay", "second"], A)
    assert show(f"trace:{A}")["session"]["name"] == "third"
    again = run(["--name", "fourth", "--replay", f"trace:{A}"], A)
    assert (again.returncode, again.stdout) == (0, second.stdout)
    shown = show("fourth")
    assert shown["session"]["parent"] == show("second")["session"]["id"]


def test_a_replay_is_replayed_by_its_own_trace(run, show, provider):
    live = run(["--name", "live"], A)
    provider.stop()
    run(["--name", "again", "--replay", "live"], B)
    third = run(["--name", "third", "--replay", f"trace:{B}"], C)
    assert (third.returncode, third.stdout) == (0, live.stdout)
    assert show("third")["session"]["parent"] == show("again")["session"]["id"]


def test_the_span_of_another_instrumentation_leads_there_too(run, show):
    live = run([], A, operation="chat")
    (step,) = show(f"trace:{A}")["steps"]
    assert step["span_id"] == live.stderr.strip()


@pytest.mark.parametrize(
    ("ref", "said"),
    [
        (f"trace:{C}", f"no call in this store was recorded in the trace 'trace:{C}'"),
        ("trace:nightly", "'trace:nightly' has no trace id: that is up to 32 hex digits"),
        ("trace:", "'trace:' has no trace id: that is up to 32 hex digits"),
    ],
)
def test_a_trace_that_leads_nowhere_is_one_line(run, ref, said):
    run([], A)
    refused = run(["--replay", ref], A)
    assert (refused.returncode, refused.stdout, refused.stderr) == (2, "", f"rewind-run: {said}\n")
